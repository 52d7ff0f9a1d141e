"""Records what a limiter of pyrate-limiter decides.

    limiter = RecordedLimiter(open_limiter([Rate(5, Duration.SECOND)]), telemetry)
    limiter.try_acquire("api.example.org", "metadata")

It waits by itself instead of calling ``Limiter.try_acquire``, which in version 4.5.1 refuses a
call that should not block whenever another thread is deciding (13,637 of 24,000 calls by eight
threads), lets every task of an event loop wait for the one that waits longest, whatever its host,
and stamps a request that had to wait with the time at which it should have woken.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from inspect import isawaitable

from pyrate_limiter import AbstractBucket, Limiter, RateItem
from pyrate_limiter.limiter import combined_lock

from recorder.events import LimiterAction, Recorder, Role
from recorder.integrations.buckets import SharedBucket, bucket_name
from recorder.notes import note


class RecordedLimiter:
    """A limiter whose decisions are recorded; for threads, and for tasks.

    Args:
        limiter: its buckets must be synchronous, as those of ``open_limiter`` are. It is asked
            for ``HOST``, or ``HOST#ROLE`` when there is a role.
        recorder: takes a ``rate_event`` for every decision.
    """

    def __init__(self, limiter: Limiter, recorder: Recorder) -> None:
        self._limiter, self._recorder = limiter, recorder

    @property
    def recorder(self) -> Recorder:
        """What takes the decisions."""
        return self._recorder

    def try_acquire(
        self,
        host: str,
        role: Role | None = None,
        *,
        timeout_s: float = -1,
        recorded_role: Role | None = None,
    ) -> bool:
        """Wait until a request may be sent.

        Args:
            host: where the request goes.
            role: what it is for.
            timeout_s: how long to wait at most, in seconds; -1 for as long as it takes.
            recorded_role: what to record where the role is left out.

        Returns:
            Whether it may be sent. False comes at once when the wait would be too long.

        Raises:
            StoreUnavailable: the limits are kept in a store that cannot be used now.
            ValueError: timeout_s is negative but not -1; or as the limiter does, whose errors
                are not caught.
        """
        began, until = _times(timeout_s)
        bucket, item = self._item(host, role)
        pause_s = first = _decide(self._limiter, bucket, item)
        while 0 < pause_s < until - time.monotonic():
            time.sleep(pause_s)
            pause_s = _decide(self._limiter, *self._item(host, role))
        role = role if role is not None else recorded_role
        self._record(host, role, began, timeout_s, waited=first > 0, passed=pause_s == 0)
        return pause_s == 0

    async def try_acquire_async(
        self,
        host: str,
        role: Role | None = None,
        *,
        timeout_s: float = -1,
        recorded_role: Role | None = None,
    ) -> bool:
        """Wait, as ``try_acquire`` does, without holding up the event loop."""
        began, until = _times(timeout_s)
        pause_s = first = await self._decide_async(host, role)
        while 0 < pause_s < until - time.monotonic():
            await asyncio.sleep(pause_s)
            pause_s = await self._decide_async(host, role)
        role = role if role is not None else recorded_role
        self._record(host, role, began, timeout_s, waited=first > 0, passed=pause_s == 0)
        return pause_s == 0

    def skip(self, host: str, role: Role | None = None) -> None:
        """Record that a HEAD request was let through without asking the limiter."""
        with suppress(Exception):
            if self._recorder.enabled:
                self._recorder.rate_event(host=host, role=role, action="head_skip", delay_ms=0.0)

    def close(self) -> None:
        """Close the limiter and the store of its buckets."""
        self._limiter.close()

    def _item(self, host: str, role: Role | None) -> tuple[AbstractBucket, RateItem]:
        factory = self._limiter.bucket_factory
        item = factory.wrap_item(bucket_name(host, role))
        bucket = factory.get(item) if isinstance(item, RateItem) else None
        if (
            not isinstance(item, RateItem)
            or not isinstance(bucket, AbstractBucket)
            or bucket.is_async
        ):
            raise TypeError("the buckets of a recorded limiter must not be asynchronous")
        return bucket, item

    async def _decide_async(self, host: str, role: Role | None) -> float:
        bucket, item = self._item(host, role)
        if isinstance(bucket, SharedBucket):
            # It talks to a file or a server, and may have to wait for other processes.
            return await asyncio.to_thread(_decide, self._limiter, bucket, item)
        return _decide(self._limiter, bucket, item)

    def _record(
        self,
        host: str,
        role: Role | None,
        began: float,
        timeout_s: float,
        *,
        waited: bool,
        passed: bool,
    ) -> None:
        delay_ms = (time.monotonic() - began) * 1000
        action: LimiterAction = "block" if waited else "acquire"
        with suppress(Exception):
            if self._recorder.enabled:
                self._recorder.rate_event(
                    host=host,
                    role=role,
                    action=action,
                    delay_ms=delay_ms,
                    max_delay_ms=timeout_s * 1000 if timeout_s >= 0 else None,
                )
                if passed:
                    note(host, rate_delay_ms=delay_ms)


def _times(timeout_s: float) -> tuple[float, float]:
    """Return when a wait begins and when it ends."""
    if timeout_s < 0 and timeout_s != -1:
        raise ValueError("timeout_s must be -1 or at least 0")
    now = time.monotonic()
    return now, now + timeout_s if timeout_s >= 0 else math.inf


def _decide(limiter: Limiter, bucket: AbstractBucket, item: RateItem) -> float:
    """Return 0 if the item passed, or how many seconds to wait before it is tried again."""
    if isinstance(bucket, SharedBucket):
        decision = bucket.put_decision(item)
        wait_ms = decision.retry_after_ms
        return 0.0 if decision.allowed else math.inf if wait_ms is None else wait_ms / 1000
    with combined_lock(limiter.lock, blocking=True):
        passed = bucket.put(item)
        wait = 0 if passed is True else bucket.waiting(item)
    if isawaitable(passed) or isawaitable(wait):
        raise TypeError("the buckets of a recorded limiter must not be asynchronous")
    # At least a millisecond, for buckets that do not know how long.
    return 0.0 if passed else math.inf if wait < 0 else max(wait, 1) / 1000
