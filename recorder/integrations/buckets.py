"""The buckets of a limiter: one per host, or per host and role, made when first asked for.

pyrate-limiter has buckets of its own for SQLite, Redis and PostgreSQL. They are not used,
because as measured (version 4.5.1, four processes of three threads, limit 5 in 100 ms):

- Redis let 171 pass where 150 may, up to 8 in a window: it counts up to the caller's own clock,
  so an admission that another process has just stamped a millisecond later is not seen.
- SQLite with its file lock kept the limit, but the lock polls every 50 ms: the p95 of one
  decision was 55 ms, against 1.5 to 3 ms with ``BEGIN IMMEDIATE``; and it is not meant for threads.
- PostgreSQL refuses whenever another decision is under way, and retries keep a stale time: at
  100 a second, up to 108 were sent within one. It also keeps a table and an index per host.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pyrate_limiter import (
    AbstractBucket,
    BucketFactory,
    Decision,
    InMemoryBucket,
    MonotonicClock,
    Rate,
    RateItem,
    WallClock,
)

Rates = Sequence[Rate] | Mapping[str, Sequence[Rate]]


class StoreUnavailable(Exception):
    """A limiter's store cannot be used now. The message holds neither address nor password."""


class Admissions(Protocol):
    """A store of who was let through when, shared by threads, processes or machines."""

    name: str
    #: What its library raises when it cannot be used.
    errors: tuple[type[Exception], ...]

    def admit(self, bucket: str, rates: Sequence[Rate], weight: int) -> Decision:
        """Let ``weight`` requests through now if all rates allow it; atomic, by one clock.

        May raise one of ``errors``, as every method may.
        """

    def count(self, bucket: str) -> int:
        """Return how many admissions are kept for a bucket."""

    def forget(self, bucket: str) -> None:
        """Forget the admissions of a bucket."""

    def close(self) -> None:
        """Close all connections."""


def bucket_name(host: str, role: str | None = None) -> str:
    """Return the name to ask a limiter for: the host, and the role after a ``#``."""
    return host if role is None else f"{host}#{role}"


def check(rates: Rates) -> None:
    """Find out at the start, not at the first request, whether rates can be used.

    Raises:
        ValueError: they cannot: none are given, or one makes another pointless.
    """
    for listed in rates.values() if isinstance(rates, Mapping) else [rates]:
        InMemoryBucket(list(listed))


def decide(
    rates: Sequence[Rate], weight: int, now_ms: int, newest: Callable[[int], int | None]
) -> Decision:
    """Decide by the sliding windows of all rates.

    Args:
        rates: none of which may be exceeded.
        weight: how many requests want to pass.
        now_ms: the store's clock.
        newest: the time, at most ``now_ms``, of the admission so many places before the newest,
            or None.
    """
    full: list[tuple[int, Rate]] = []
    for rate in rates:
        if weight > rate.limit:
            return Decision(failing_rate=rate)
        blocking = newest(rate.limit - weight)
        if blocking is not None and blocking >= now_ms - rate.interval:
            full.append((blocking + rate.interval - now_ms + 1, rate))
    if not full:
        return Decision()
    wait_ms, rate = max(full, key=lambda found: found[0])
    return Decision(failing_rate=rate, retry_after_ms=wait_ms)


def key(bucket: str) -> str:
    """Return a short name of safe characters that stands for a bucket in a store."""
    readable = re.sub(r"[^a-z0-9.-]", "_", bucket.lower())[:30]
    return f"{readable}-{hashlib.sha256(bucket.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


class SharedBucket(AbstractBucket):
    """The admissions of one bucket, in a store."""

    is_async = False
    _clock = WallClock()  # of the items; the store decides by its own

    def __init__(self, admissions: Admissions, name: str, rates: Sequence[Rate]) -> None:
        self._admissions, self._key = admissions, key(name)
        self.rates = list(rates)

    def put_decision(self, item: RateItem) -> Decision:
        """Decide; unlike that of other buckets, safe for threads without a lock around it.

        Raises:
            StoreUnavailable: the store cannot be used now.
        """
        store = self._admissions
        try:
            return store.admit(self._key, self.rates, item.weight)
        except store.errors as error:
            # Not the error's own text: it may quote the address.
            raise StoreUnavailable(
                f"rate limits are kept in {store.name}, which cannot be used now "
                f"({type(error).__name__})"
            ) from None

    def put(self, item: RateItem) -> bool:
        """Let the item through if the rates allow it."""
        return self._record(item, self.put_decision(item))

    def leak(self, current_timestamp: int | None = None) -> int:
        """Do nothing: the store drops what has expired with every admission."""
        return 0

    def flush(self) -> None:
        """Forget all admissions of this bucket."""
        self._admissions.forget(self._key)
        self.failing_rate = self._last_wait = None

    def count(self) -> int:
        """Return how many admissions the store keeps for this bucket."""
        return self._admissions.count(self._key)

    def peek(self, index: int) -> None:
        """Return nothing: waits come with each decision, so nobody needs to look back."""


class Buckets(BucketFactory):
    """Makes one bucket per name, in memory or in a shared store.

    Args:
        rates: those of every host, or of each role at every host.
        admissions: the shared store; None for this process's memory.
    """

    def __init__(self, rates: Rates, admissions: Admissions | None = None) -> None:
        self._rates, self._admissions = rates, admissions
        self._clock = MonotonicClock() if admissions is None else WallClock()
        self._buckets: dict[str, AbstractBucket] = {}
        self._lock = threading.Lock()

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """Stamp an item by the clock of the buckets."""
        return RateItem(name, self._clock.now(), weight)

    def get(self, item: RateItem) -> AbstractBucket:
        """Return the bucket of an item.

        Raises:
            ValueError: rates are given by role, and none for this one.
        """
        return self._of(item.name)

    def close(self) -> None:
        """Stop trimming, and close the store."""
        super().close()
        if self._admissions is not None:
            self._admissions.close()

    def _of(self, name: str) -> AbstractBucket:
        host, _, role = name.partition("#")
        rates = self._rates
        if isinstance(rates, Mapping):
            if role not in rates:
                raise ValueError(_no_rates(role, [*rates]))
            rates = rates[role]
        else:
            name = host
        # Looked up without the lock: all but the first requests to a host find it.
        bucket = self._buckets.get(name)
        if bucket is None:
            with self._lock:
                bucket = self._buckets.get(name) or self._make(name, rates)
                if self._admissions is None and name not in self._buckets:
                    self.schedule_leak(bucket)
                self._buckets[name] = bucket
        return bucket

    def _make(self, name: str, rates: Sequence[Rate]) -> AbstractBucket:
        if self._admissions is None:
            return InMemoryBucket(list(rates))
        return SharedBucket(self._admissions, name, rates)


def _no_rates(role: str, known: list[str]) -> str:
    if role:
        return f"no rates for the role {role!r}: there are {known}"
    return (
        f"rates are given for the roles {known}, but a request has none: give it one, as in "
        "extensions={'telemetry': {'role': …}}, or give LimitedTransport a role"
    )
