"""Limiters: what is recorded of their decisions, and that waits are right under concurrency."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pyrate_limiter import BucketAsyncWrapper, InMemoryBucket, Limiter, Rate, SingleBucketFactory

from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.stores import open_limiter
from recorder.integrations.transports import (
    AsyncLimitedTransport,
    LimitedTransport,
    RateLimited,
)
from recorder.notes import Noting

from .support.recorded import Recorded


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """No note of one test waits for the request of another."""
    yield
    with Noting("nobody"):
        pass


def limited(recorder: Recorded, *rates: Rate) -> RecordedLimiter:
    """Return a limiter in memory."""
    return RecordedLimiter(open_limiter(list(rates), {}), recorder)


def test_a_request_that_waits_is_a_block_and_its_row_knows_the_delay() -> None:
    recorder = Recorded()
    limiter = limited(recorder, Rate(1, 200))
    with Noting("a.org") as first:
        assert limiter.try_acquire("a.org", "metadata")
    began = time.monotonic()
    with Noting("a.org") as second:
        assert limiter.try_acquire("a.org", "metadata", timeout_s=5)
    waited_ms = (time.monotonic() - began) * 1000

    (_, passed), (_, blocked) = recorder.events
    assert passed == {
        "host": "a.org", "role": "metadata", "action": "acquire",
        "delay_ms": first.fields["rate_delay_ms"], "max_delay_ms": None,
    }  # fmt: skip
    assert blocked["action"] == "block"
    assert blocked["max_delay_ms"] == 5000
    assert blocked["delay_ms"] == second.fields["rate_delay_ms"]
    assert passed["delay_ms"] < 50
    assert 150 <= blocked["delay_ms"] <= waited_ms < 400


def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    recorder = Recorded()
    limiter = limited(recorder, Rate(1, 60_000))
    with Noting("a.org"):
        assert limiter.try_acquire("a.org", timeout_s=0)
    began = time.monotonic()
    with Noting("a.org") as noting:
        assert not limiter.try_acquire("a.org", timeout_s=20)
        assert not limiter.try_acquire("a.org", timeout_s=0)
    assert time.monotonic() - began < 1
    assert noting.fields == {}
    assert recorder.actions() == ["acquire", "block", "block"]
    assert [fields["max_delay_ms"] for _, fields in recorder.events] == [0, 20_000, 0]
    with pytest.raises(ValueError, match="timeout_s"):
        limiter.try_acquire("a.org", timeout_s=-2)


def test_without_telemetry_it_only_limits() -> None:
    recorder = Recorded(enabled=False)
    limiter = limited(recorder, Rate(1, 60_000))
    with Noting("a.org") as noting:
        assert limiter.try_acquire("a.org")
        assert not limiter.try_acquire("a.org", timeout_s=0)
        limiter.skip("a.org")
    assert (noting.fields, recorder.events) == ({}, [])


def test_only_the_limiter_raises_into_the_crawler() -> None:
    limiter = limited(Recorded(broken=True), Rate(1, 60_000))
    assert limiter.try_acquire("a.org")
    limiter.skip("a.org")
    by_role = RecordedLimiter(open_limiter({"metadata": [Rate(1, 1000)]}, {}), Recorded())
    with pytest.raises(ValueError, match="no rates for the role 'artifact'.*metadata"):
        by_role.try_acquire("a.org", "artifact")
    bucket = BucketAsyncWrapper(InMemoryBucket([Rate(1, 1000)]))
    asynchronous = Limiter(SingleBucketFactory(bucket, schedule_leak=False))
    with pytest.raises(TypeError, match="asynchronous"):
        RecordedLimiter(asynchronous, Recorded()).try_acquire("a.org")


def test_a_limiter_with_one_bucket_for_all_is_recorded_too() -> None:
    recorder = Recorded()
    limiter = RecordedLimiter(Limiter(Rate(1, 60_000)), recorder)
    assert limiter.try_acquire("a.org")
    assert not limiter.try_acquire("b.org", timeout_s=0)
    assert recorder.actions() == ["acquire", "block"]


def test_hosts_have_limits_of_their_own_and_roles_where_rates_differ() -> None:
    together = limited(Recorded(), Rate(1, 60_000))
    assert together.try_acquire("a.org", "metadata", timeout_s=0)
    assert not together.try_acquire("a.org", "artifact", timeout_s=0)
    assert together.try_acquire("b.org", "metadata", timeout_s=0)

    rates = {"metadata": [Rate(2, 60_000)], "artifact": [Rate(1, 60_000)]}
    apart = RecordedLimiter(open_limiter(rates, {}), Recorded())
    assert [apart.try_acquire("a.org", "artifact", timeout_s=0) for _ in range(2)] == [True, False]
    assert [apart.try_acquire("a.org", "metadata", timeout_s=0) for _ in range(3)] == [
        True, True, False,
    ]  # fmt: skip


def test_all_rates_hold_and_unusable_ones_are_refused_at_the_start() -> None:
    limiter = limited(Recorded(), Rate(2, 100), Rate(3, 60_000))
    assert [limiter.try_acquire("a.org", timeout_s=1) for _ in range(4)] == [True] * 3 + [False]
    with pytest.raises(ValueError, match="[Rr]ate"):
        open_limiter([Rate(5, 1000), Rate(3, 60_000), Rate(2, 120_000)], {})
    with pytest.raises(ValueError, match="[Rr]ate"):
        open_limiter({"metadata": []}, {})


def test_threads_are_not_told_to_wait_for_each_other() -> None:
    recorder = Recorded()
    limiter = limited(recorder, Rate(100_000, 1000))

    def acquire(_: int) -> bool:
        return all(limiter.try_acquire("a.org", timeout_s=0) for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(acquire, range(8)))
    assert recorder.actions() == ["acquire"] * 1600


def test_threads_hold_the_limit_together_and_wait_no_longer_than_it_asks() -> None:
    limiter = limited(Recorded(), Rate(5, 100))
    passed: list[float] = []

    def crawl() -> None:
        while len(passed) < 30 and limiter.try_acquire("a.org"):
            passed.append(time.monotonic())

    threads = [threading.Thread(target=crawl) for _ in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed[29] - began >= 0.49  # the first five at once, then five every 100 ms
    assert passed[29] - began < 1


def test_a_host_that_waits_does_not_hold_up_others_in_the_event_loop() -> None:
    recorder = Recorded()
    limiter = limited(recorder, Rate(1, 600))

    async def crawl() -> tuple[float, float]:
        await limiter.try_acquire_async("slow.org")
        slow = asyncio.create_task(limiter.try_acquire_async("slow.org"))
        await asyncio.sleep(0)
        began = time.monotonic()
        assert await limiter.try_acquire_async("other.org")
        other = time.monotonic() - began
        assert not await limiter.try_acquire_async("other.org", timeout_s=0.1)
        assert await slow
        return other, time.monotonic() - began

    other_s, slow_s = asyncio.run(crawl())
    assert other_s < 0.3
    assert 0.5 < slow_s < 1.2
    assert recorder.actions() == ["acquire", "acquire", "block", "block"]


def answer(sent: list[httpx.Request]) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler for httpx.MockTransport that notes what reaches it."""

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    return handle


METADATA = {"telemetry": {"role": "metadata"}}


def test_the_transport_limits_by_host_and_role() -> None:
    recorder, sent = Recorded(), list[httpx.Request]()
    transport = LimitedTransport(
        httpx.MockTransport(answer(sent)),
        limited(recorder, Rate(1, 60_000)),
        timeout_s=0.05,
        skip_head=True,
    )
    with httpx.Client(transport=transport) as client:
        with Noting("a.org") as noting:
            assert client.get("https://a.org/1", extensions=METADATA).status_code == 200
        assert noting.fields["refused"] is False
        assert noting.fields["rate_delay_ms"] >= 0
        with Noting("a.org") as noting, pytest.raises(RateLimited, match=r"a\.org") as caught:
            client.get("https://a.org/2", extensions=METADATA)
        assert noting.fields == {"refused": True}
        assert caught.value.request.url.path == "/2"
        assert isinstance(caught.value, httpx.HTTPError)
        client.head("https://a.org/3", extensions=METADATA)
        client.get("https://b.org/4")
    assert [request.url.path for request in sent] == ["/1", "/3", "/4"]
    assert recorder.actions() == ["acquire", "block", "head_skip", "acquire"]
    assert [fields["role"] for _, fields in recorder.events] == ["metadata"] * 3 + [None]


def test_the_asynchronous_transport_limits_likewise() -> None:
    recorder, sent = Recorded(), list[httpx.Request]()
    transport = AsyncLimitedTransport(
        httpx.MockTransport(answer(sent)), limited(recorder, Rate(1, 60_000)), timeout_s=0
    )

    async def crawl() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            with Noting("a.org"):
                await client.get("https://a.org/1", extensions=METADATA)
            with Noting("a.org") as noting, pytest.raises(RateLimited):
                await client.head("https://a.org/2", extensions=METADATA)
            assert noting.fields == {"refused": True}

    asyncio.run(crawl())
    assert [request.url.path for request in sent] == ["/1"]
    assert recorder.actions() == ["acquire", "block"]
