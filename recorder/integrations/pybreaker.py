"""Records what the circuit breakers of pybreaker do, one for each host.

breakers = Breakers(telemetry, fail_max=5, reset_timeout_s=60, store=breaker_store())
with breakers.attempt("api.example.org") as attempt:
    if fetch().status >= 500:
        attempt.fail()
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, Self

from pybreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitBreakerStorage,
)

from recorder.events import BreakerOutcome, BreakerScope, Recorder
from recorder.integrations.breaker_storage import SharedStorage
from recorder.integrations.stores import breaker_storage, open_breakers
from recorder.settings import Store

_NAMES: Final = {STATE_HALF_OPEN: "half_open"}


class HostFailed(Exception):
    """A host answered, but in a way that counts as a failure."""


class BreakerListener(CircuitBreakerListener):
    """Records the transitions that this process makes.

    pybreaker also tells of those that another process made and this one has just noticed in
    their shared storage; they were recorded there. It changes its own state before the storage's,
    so a change of its own is one that the storage does not show yet.

    Args:
        recorder: takes the transitions.
        host: whose breaker it is.
        scope: what the breaker is for.
        storage: the breaker's. Where one of ours is shared, the change is also made in it, at
            once: of processes that find at the same time that it is due, one makes and records it.
    """

    def __init__(
        self,
        recorder: Recorder,
        host: str,
        scope: BreakerScope = "host",
        storage: CircuitBreakerStorage | None = None,
    ) -> None:
        self._recorder, self._host, self._scope = recorder, host, scope
        self._storage = storage if isinstance(storage, SharedStorage) else None

    def state_change(
        self,
        cb: CircuitBreaker,
        old_state: CircuitBreakerState | None,
        new_state: CircuitBreakerState,
    ) -> None:
        """Record a transition."""
        old = old_state.name if old_state is not None else STATE_CLOSED
        with suppress(Exception):
            if cb.current_state == new_state.name:
                return
            if self._storage is not None and not self._storage.claim(old, new_state.name):
                return
            self._recorder.breaker_transition(
                host=self._host,
                scope=self._scope,
                old_state=_NAMES.get(old, old),
                new_state=_NAMES.get(new_state.name, new_state.name),
                reset_timeout_s=cb.reset_timeout,
            )


class _Host:
    """One host's breaker, and the one request that may try a half-open one."""

    def __init__(self, breaker: CircuitBreaker, storage: CircuitBreakerStorage) -> None:
        self.breaker, self.storage = breaker, storage
        self.lock = threading.Lock()
        self.trial: Attempt | None = None
        self.tried_at = 0.0
        self._opening: tuple[datetime, float] | None = None

    def is_due(self) -> bool:
        """Return whether an open breaker has been open for long enough to be tried.

        By the wall clock, which processes share; but no longer than that after this process
        first saw the opening, which may lie ahead: a clock may have been set back since, and
        another machine's may be fast.
        """
        opened_at, now = self.storage.opened_at, time.monotonic()
        if opened_at is None:
            return True
        if self._opening is None or self._opening[0] != opened_at:
            self._opening = opened_at, now
        open_s = (datetime.now(UTC) - opened_at).total_seconds()
        return max(open_s, now - self._opening[1]) >= self.breaker.reset_timeout


class Attempt:
    """One request to a host: a context manager, which raises when the breaker refuses it.

    It succeeds unless an ``Exception`` leaves it or ``fail`` was called. What is not an
    ``Exception`` (``CancelledError``, ``KeyboardInterrupt``) says nothing about the host, and
    does not count.

    It does not use pybreaker's own ``calling()``: that counts a cancelled request as a failure,
    or if told not to, as a success; and lets any number of requests try a half-open host.

    Attributes:
        state: the state in which it was let through, ``closed`` or ``half_open``; None before.
        outcome: what was counted: ``success``, ``failure``, or ``none``, also when the breaker
            had opened meanwhile.
    """

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._error: BaseException | None = None
        self._ignored = False
        self.state: Literal["closed", "half_open"] | None = None
        self.outcome: BreakerOutcome = "none"

    def fail(self, why: str = "") -> None:
        """Count this as a failure of the host, although no exception is raised."""
        self._error = HostFailed(why)

    def ignore(self) -> None:
        """Count this neither as a success nor as a failure."""
        self._ignored = True

    def __enter__(self) -> Self:
        host, breaker = self._host, self._host.breaker
        with host.lock:
            state = breaker.state.name
            if state == STATE_OPEN and not host.is_due():
                raise CircuitBreakerError("Timeout not elapsed yet, circuit breaker still open")
            if state != STATE_CLOSED:
                now = time.monotonic()
                # A trial that takes longer than that may be one that never ends.
                if host.trial is not None and now < host.tried_at + breaker.reset_timeout:
                    raise CircuitBreakerError("Trial call under way, circuit breaker half-open")
                if state == STATE_OPEN:
                    breaker.half_open()
                host.trial, host.tried_at = self, now
            self.state = "closed" if state == STATE_CLOSED else "half_open"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        host, breaker = self._host, self._host.breaker
        with host.lock:
            if host.trial is self:
                host.trial = None
            if self._ignored or (error is not None and not isinstance(error, Exception)):
                return
            # A request that was sent before the breaker opened must neither open it again, for
            # longer, nor close it.
            state = breaker.current_state
            if state == STATE_OPEN or (state == STATE_HALF_OPEN and self.state == "closed"):
                return
            failure = error or self._error
            self.outcome = "failure" if failure is not None else "success"
            # Not even an error of pybreaker, as when another process opens the breaker just now,
            # may hide what the request itself came to.
            with suppress(Exception):
                breaker.call(_raise, failure)
        if error is not None:
            error.with_traceback(trace)


class Breakers:
    """One circuit breaker per host, made when first asked for; for threads, and for tasks.

    Args:
        recorder: takes a row for every transition.
        fail_max: failures in a row that open a breaker.
        reset_timeout_s: seconds after which one request may try the host again.
        store: where the breakers' state is kept; this process's memory when left out.

    Raises:
        SettingsError: the store cannot keep breakers, or needs a library that is not installed.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        fail_max: int = 5,
        reset_timeout_s: float = 60.0,
        store: Store | None = None,
    ) -> None:
        self._recorder, self._fail_max, self._reset_timeout_s = recorder, fail_max, reset_timeout_s
        self._shared = open_breakers(store or Store())
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @property
    def recorder(self) -> Recorder:
        """What takes the transitions."""
        return self._recorder

    def of(self, host: str) -> CircuitBreaker:
        """Return the breaker of a host."""
        return self._of(host).breaker

    def attempt(self, host: str) -> Attempt:
        """Return a context manager for one request to a host.

        Entering it raises ``CircuitBreakerError`` when the breaker is open, or half-open and
        another request of this process is trying the host.
        """
        return Attempt(self._of(host))

    def close(self) -> None:
        """Close the store."""
        if self._shared is not None:
            self._shared.close()

    def _of(self, host: str) -> _Host:
        found = self._hosts.get(host)
        if found is not None:
            return found
        with self._lock:
            if host not in self._hosts:
                storage = breaker_storage(host, self._shared)
                breaker = CircuitBreaker(
                    fail_max=self._fail_max,
                    reset_timeout=self._reset_timeout_s,
                    listeners=[BreakerListener(self._recorder, host, storage=storage)],
                    state_storage=storage,
                    name=host,
                    throw_new_error_on_trip=False,
                )
                self._hosts[host] = _Host(breaker, storage)
            return self._hosts[host]


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error
