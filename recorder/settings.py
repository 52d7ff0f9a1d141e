"""Recorder settings, from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

ENABLE_VARIABLE: Final = "DOCSTOKG_ENABLE_TELEMETRY"
DB_PATH_VARIABLE: Final = "DOCSTOKG_TELEMETRY_DB_PATH"
JSONL_PATH_VARIABLE: Final = "DOCSTOKG_TELEMETRY_JSONL_PATH"
CSV_PATH_VARIABLE: Final = "DOCSTOKG_TELEMETRY_CSV_PATH"
CSV_SPREADSHEET_VARIABLE: Final = "DOCSTOKG_TELEMETRY_CSV_SPREADSHEET"
ROTATE_VARIABLE: Final = "DOCSTOKG_TELEMETRY_ROTATE_MB"
HASH_URLS_VARIABLE: Final = "DOCSTOKG_TELEMETRY_HASH_URLS"
HASH_KEY_VARIABLE: Final = "DOCSTOKG_TELEMETRY_HASH_KEY"
SAMPLE_VARIABLE: Final = "DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS"
RATE_VARIABLE: Final = "DOCSTOKG_RATE_BACKEND"
BREAKER_VARIABLE: Final = "DOCSTOKG_BREAKER_COOLDOWN_STORE"

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"0", "false", "no", "off"})
_KEY_BYTES: Final = 16

StoreKind = Literal["memory", "sqlite", "redis", "postgres"]
T = TypeVar("T")
D = TypeVar("D")


class SettingsError(ValueError):
    """An environment variable has a value that cannot be used."""


class Store(NamedTuple):
    """Where limiters or breakers keep their state.

    Attributes:
        kind: what holds it.
        place: the file of ``sqlite``, the address of a server, or nothing.
    """

    kind: StoreKind = "memory"
    place: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to record, and where; off by default.

    Attributes:
        enabled: whether anything is recorded.
        db_path: the SQLite file, if any.
        jsonl_path: the JSONL file beside it or instead, if any.
        csv_path: the CSV file beside it or instead, if any.
        rotate_bytes: size at which a JSONL or CSV file is set aside and a new one begun.
        hash_urls: whether a hash of each URL is stored; off, URLs leave no trace at all.
        hash_key: key of that hash (HMAC-SHA-256); empty for a plain SHA-256.
        sample_cache_hits: share of cache hits that get a row of their own, 0 < share ≤ 1.
        csv_for_spreadsheets: whether text in the CSV that a spreadsheet would run is guarded.
    """

    enabled: bool = False
    db_path: Path | None = None
    jsonl_path: Path | None = None
    csv_path: Path | None = None
    rotate_bytes: int = 100_000_000
    hash_urls: bool = True
    hash_key: bytes = field(default=b"", repr=False)
    sample_cache_hits: float = 1.0
    csv_for_spreadsheets: bool = False

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] = os.environ,
        default_db: str | os.PathLike[str] | None = None,
    ) -> Settings:
        """Read the settings from environment variables; only those of telemetry that is on.

        Args:
            environ: the variables.
            default_db: the SQLite file when no variable names any file.

        Raises:
            SettingsError: a variable has a value that cannot be used, or one is missing.
        """
        if not _read(environ, ENABLE_VARIABLE, _switch, False):
            return cls()  # whatever else is wrong: turning it off must always work
        db_path, jsonl_path, csv_path = (
            _read(environ, name, Path, None)
            for name in (DB_PATH_VARIABLE, JSONL_PATH_VARIABLE, CSV_PATH_VARIABLE)
        )
        if not (db_path or jsonl_path or csv_path):
            if default_db is None:
                raise SettingsError(
                    f"{ENABLE_VARIABLE} is on but {DB_PATH_VARIABLE} is not set: "
                    "set it to the SQLite file to record into"
                )
            db_path = Path(default_db)
        named = [path.absolute() for path in (db_path, jsonl_path, csv_path) if path]
        if len(set(named)) < len(named):
            raise SettingsError(
                f"{DB_PATH_VARIABLE}, {JSONL_PATH_VARIABLE} and {CSV_PATH_VARIABLE} name one file "
                "twice: give each a file of its own"
            )
        return cls(
            enabled=True,
            db_path=db_path,
            jsonl_path=jsonl_path,
            csv_path=csv_path,
            rotate_bytes=_read(environ, ROTATE_VARIABLE, _megabytes, cls().rotate_bytes),
            hash_urls=_read(environ, HASH_URLS_VARIABLE, _switch, True),
            hash_key=_read(environ, HASH_KEY_VARIABLE, _key, b""),
            sample_cache_hits=_read(environ, SAMPLE_VARIABLE, _share, 1.0),
            csv_for_spreadsheets=_read(environ, CSV_SPREADSHEET_VARIABLE, _switch, False),
        )


def rate_backend(environ: Mapping[str, str] = os.environ) -> Store:
    """Return where rate limiters keep their state: ``DOCSTOKG_RATE_BACKEND``.

    Raises:
        SettingsError: the variable names no store.
    """
    return _read(environ, RATE_VARIABLE, _store, Store())


def breaker_store(environ: Mapping[str, str] = os.environ) -> Store:
    """Return where circuit breakers keep their state: ``DOCSTOKG_BREAKER_COOLDOWN_STORE``.

    Raises:
        SettingsError: the variable names no store.
    """
    return _read(environ, BREAKER_VARIABLE, _store, Store())


def _read(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: D) -> T | D:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        # The value is not echoed: a wrong variable may hold a secret.
        raise SettingsError(f"{name} has a value that cannot be used: {error}") from None


def _switch(text: str) -> bool:
    word = text.lower()
    if word in _ON:
        return True
    if word in _OFF:
        return False
    raise ValueError("it is neither on (1, true, yes, on) nor off (0, false, no, off, or empty)")


def _share(text: str) -> float:
    share = _number(text)
    if not 0 < share <= 1:
        raise ValueError("it must be above 0 and at most 1, as in 0.1 for every tenth")
    return share


def _megabytes(text: str) -> int:
    size = _number(text)
    if not 0 < size <= 1_000_000:
        raise ValueError("it must be a size in MB, above 0 and at most 1000000")
    return max(int(size * 1_000_000), 1)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("it must be a number") from None


def _key(text: str) -> bytes:
    key = text.encode("utf-8", "surrogateescape")
    if len(key) < _KEY_BYTES:
        raise ValueError(
            f"a key that short can be guessed: give {_KEY_BYTES} bytes or more, "
            "as from 'openssl rand -hex 32'"
        )
    return key


def _store(text: str) -> Store:
    kind, separator, place = text.partition(":")
    kind = kind.lower()
    if text.lower() == "memory":
        return Store()
    if kind == "sqlite" and place:
        # Both sqlite:PATH and the URL form of other tools: sqlite:///relative, sqlite:////absolute.
        path = re.sub("^///", "", place)
        if path and not path.startswith("//"):
            return Store("sqlite", path)
    if separator and place.startswith("//") and len(place) > 2:
        if kind in {"redis", "rediss"}:
            return Store("redis", f"{kind}:{place}")
        if kind in {"postgres", "postgresql"}:
            return Store("postgres", f"postgresql:{place}")
    raise ValueError("use memory, sqlite:PATH, redis://HOST or postgres://HOST/DATABASE")
