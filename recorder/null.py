"""What a crawler holds when telemetry is off: it records nothing, and allocates nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self


class NullRecorder:
    """Records nothing.

    Every field is a parameter of its own, because a call that collects keyword arguments makes
    a dictionary of them.
    """

    enabled: Final = False
    dropped: Final = 0
    run_id: Final = ""

    def http_event(
        self,
        *,
        host: object = None,
        role: object = None,
        ts: object = None,
        method: object = None,
        status: object = None,
        url: object = None,
        url_hash: object = None,
        from_cache: object = None,
        revalidated: object = None,
        stale: object = None,
        retry_count: object = None,
        retry_after_s: object = None,
        rate_delay_ms: object = None,
        sample_weight: object = None,
        breaker_state: object = None,
        breaker_recorded: object = None,
        elapsed_ms: object = None,
        error: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    def rate_event(
        self,
        *,
        host: object = None,
        action: object = None,
        ts: object = None,
        role: object = None,
        delay_ms: object = None,
        max_delay_ms: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    def breaker_transition(
        self,
        *,
        host: object = None,
        old_state: object = None,
        new_state: object = None,
        ts: object = None,
        scope: object = None,
        reset_timeout_s: object = None,
        details: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    def fallback_attempt(
        self,
        *,
        outcome: object = None,
        ts: object = None,
        work_id: object = None,
        artifact_id: object = None,
        tier: object = None,
        source: object = None,
        host: object = None,
        reason: object = None,
        status: object = None,
        elapsed_ms: object = None,
        metadata: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    def download(
        self,
        *,
        artifact_id: object = None,
        ts: object = None,
        work_id: object = None,
        sha256: object = None,
        final_path: object = None,
        content_type: object = None,
        content_length: object = None,
        dedupe_action: object = None,
        elapsed_ms: object = None,
        metadata: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    update_download = download

    def run_summary(
        self,
        *,
        started_at: object = None,
        finished_at: object = None,
        artifacts_total: object = None,
        artifacts_success: object = None,
        **_unknown: object,
    ) -> None:
        """Do nothing."""

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Report success at once."""
        return True

    def close(self, timeout_s: float = 10.0) -> None:
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
