"""The recorder of a run that records nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self


class NullRecorder:
    """Records nothing: what a crawler holds when telemetry is off."""

    enabled: Final = False
    dropped: Final = 0

    def http_event(self, **_fields: object) -> None:
        """Do nothing."""

    def rate_event(self, **_fields: object) -> None:
        """Do nothing."""

    def breaker_transition(self, **_fields: object) -> None:
        """Do nothing."""

    def fallback_attempt(self, **_fields: object) -> None:
        """Do nothing."""

    def download(self, **_fields: object) -> None:
        """Do nothing."""

    def update_download(self, **_fields: object) -> None:
        """Do nothing."""

    def run_summary(self, **_fields: object) -> None:
        """Do nothing."""

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Report success at once."""
        return True

    def close(self, timeout_s: float = 30.0) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""
