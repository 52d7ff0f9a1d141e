"""Recorder settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENABLE_VARIABLE: Final = "DOCSTOKG_ENABLE_TELEMETRY"
DB_PATH_VARIABLE: Final = "DOCSTOKG_TELEMETRY_DB_PATH"

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"", "0", "false", "no", "off"})


class SettingsError(ValueError):
    """An environment variable has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to record, and where; off by default.

    Attributes:
        enabled: whether anything is recorded.
        db_path: the SQLite file; None only when telemetry is off.
    """

    enabled: bool = False
    db_path: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables.

        Raises:
            SettingsError: a variable has a value that cannot be used, or one is missing.
        """
        enabled = _switch(environ.get(ENABLE_VARIABLE, ""))
        text = environ.get(DB_PATH_VARIABLE, "").strip()
        if enabled and not text:
            raise SettingsError(
                f"{ENABLE_VARIABLE} is on but {DB_PATH_VARIABLE} is not set: "
                "set it to the SQLite file to record into"
            )
        return cls(enabled=enabled, db_path=Path(text) if text else None)


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in _ON:
        return True
    if word in _OFF:
        return False
    # Not echoed as it is: a wrong variable may hold a secret.
    raise SettingsError(
        f"{ENABLE_VARIABLE} has a value that is neither on (1, true, yes, on) "
        "nor off (0, false, no, off, or empty)"
    )
