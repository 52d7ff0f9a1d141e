"""What can be recorded: the fields of each event, and the interface that takes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Protocol, Required, Self, TypedDict, Unpack

Role = Literal["metadata", "landing", "artifact"]
BreakerOutcome = Literal["success", "failure", "none"]
LimiterAction = Literal["acquire", "block", "head_skip"]
BreakerScope = Literal["host", "resolver"]
AttemptOutcome = Literal[
    "success", "retryable", "nonretryable", "timeout", "skipped", "error", "no_pdf"
]
DedupeAction = Literal["download", "hardlink", "copy", "skipped"]
Metadata = Mapping[str, object] | str


class HttpEvent(TypedDict, total=False):
    """One request, after cache and limiter.

    ``ts`` is Unix time in seconds, now when left out, as in every event. ``url`` is never
    stored, only its hash; ``url_hash`` is for callers that have hashed it already. ``status`` is
    None when the call raised, and ``error`` then names the exception's class; an exception may be
    given there, of which the class is kept. ``sample_weight`` is how many requests the row stands
    for.
    """

    host: Required[str]
    role: Required[Role]
    ts: float
    method: str
    status: int | None
    url: str
    url_hash: str
    from_cache: bool | None
    revalidated: bool | None
    stale: bool | None
    retry_count: int | None
    retry_after_s: float | None
    rate_delay_ms: float | None
    sample_weight: float
    breaker_state: str | None
    breaker_recorded: BreakerOutcome | None
    elapsed_ms: float | None
    error: str | BaseException | type[BaseException] | None


class RateEvent(TypedDict, total=False):
    """One decision of a rate limiter; delays in milliseconds."""

    host: Required[str]
    action: Required[LimiterAction]
    ts: float
    role: Role | None
    delay_ms: float | None
    max_delay_ms: float | None


class BreakerTransition(TypedDict, total=False):
    """One change of state of a circuit breaker; states are closed, open and half_open."""

    host: Required[str]
    old_state: Required[str]
    new_state: Required[str]
    ts: float
    scope: BreakerScope
    reset_timeout_s: float | None
    details: str | None


class FallbackAttempt(TypedDict, total=False):
    """One try of one resolver, recorded when it ends; ``source`` is the resolver's name."""

    outcome: Required[AttemptOutcome]
    ts: float
    work_id: str | None
    artifact_id: str | None
    tier: str | None
    source: str | None
    host: str | None
    reason: str | None
    status: int | None
    elapsed_ms: float | None
    metadata: Metadata | None


class Download(TypedDict, total=False):
    """One attempt to get one artifact; ``content_length`` is in bytes."""

    artifact_id: Required[str]
    ts: float
    work_id: str | None
    sha256: str | None
    final_path: str | None
    content_type: str | None
    content_length: int | None
    dedupe_action: DedupeAction | None
    elapsed_ms: float | None
    metadata: Metadata | None


class RunSummary(TypedDict, total=False):
    """The run's own row. Times are Unix seconds. SLIs are not here: the models derive them."""

    started_at: float | None
    finished_at: float | None
    artifacts_total: int | None
    artifacts_success: int | None


class Recorder(Protocol):
    """Takes a run's events. No method raises because of telemetry or waits for the disk."""

    @property
    def enabled(self) -> bool:
        """Whether events are kept."""

    def http_event(self, **fields: Unpack[HttpEvent]) -> None:
        """Record one request."""

    def rate_event(self, **fields: Unpack[RateEvent]) -> None:
        """Record one decision of a rate limiter."""

    def breaker_transition(self, **fields: Unpack[BreakerTransition]) -> None:
        """Record one change of state of a circuit breaker."""

    def fallback_attempt(self, **fields: Unpack[FallbackAttempt]) -> None:
        """Record one try of one resolver."""

    def download(self, **fields: Unpack[Download]) -> None:
        """Record one attempt to get one artifact."""

    def update_download(self, **fields: Unpack[Download]) -> None:
        """Set fields of the latest download of this run and artifact; None leaves one alone."""

    def run_summary(self, **fields: Unpack[RunSummary]) -> None:
        """Create or complete the run's row; None leaves a field alone."""

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all events so far are written; False if that took longer than timeout_s."""

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what is left and stop; waits at most timeout_s seconds."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
