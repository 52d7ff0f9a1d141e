"""Limiters: what is recorded of their decisions, and that waits are right under concurrency."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import httpx
import pytest
from pyrate_limiter import BucketAsyncWrapper, InMemoryBucket, Limiter, Rate, SingleBucketFactory

from recorder.events import Recorder, Role
from recorder.integrations.httpx import AsyncRecordedTransport, RecordedTransport
from recorder.integrations.httpx_breaker import AsyncBreakerTransport, BreakerTransport
from recorder.integrations.httpx_limiter import (
    AsyncLimitedTransport,
    LimitedRole,
    LimitedTransport,
    RateLimited,
)
from recorder.integrations.pybreaker import Breakers
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.stores import open_limiter
from recorder.notes import Noting
from recorder.null import NullRecorder

from .conftest import ROOT
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


@pytest.mark.parametrize(
    ("module", "missing"),
    [("httpx_limiter", "pybreaker"), ("httpx_breaker", "pyrate_limiter")],
)
def test_each_layer_needs_its_own_library_only(module: str, missing: str) -> None:
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[2]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import httpx
from recorder.null import NullRecorder

def answer(request):
    return httpx.Response(200)

if sys.argv[1] == "httpx_limiter":
    from pyrate_limiter import Rate
    from recorder.integrations.httpx_limiter import LimitedTransport
    from recorder.integrations.pyrate import RecordedLimiter
    from recorder.integrations.stores import open_limiter
    limiter = RecordedLimiter(open_limiter([Rate(1, 1000)], {}), NullRecorder())
    transport = LimitedTransport(httpx.MockTransport(answer), limiter)
else:
    from recorder.integrations.httpx_breaker import BreakerTransport
    from recorder.integrations.pybreaker import Breakers
    transport = BreakerTransport(httpx.MockTransport(answer), Breakers(NullRecorder()))
print(httpx.Client(transport=transport).get("https://a.org").status_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, module, missing],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("200\n", "")


def by_path(request: httpx.Request) -> Role | None:
    """Tell what a request is for by its path."""
    return "artifact" if request.url.path.startswith("/pdf") else None


def outcomes(
    recorder: Recorder, role: LimitedRole, kind: str, asked: list[tuple[str, object]]
) -> list[str]:
    """Return what comes of requests through all layers, one after another."""
    rates = {"metadata": [Rate(2, 60_000)], "artifact": [Rate(1, 60_000)]}
    limiter = RecordedLimiter(open_limiter(rates, {}), recorder)
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    wire = httpx.MockTransport(answer([]))
    inner = LimitedTransport(wire, limiter, role=role, timeout_s=0)
    inner_async = AsyncLimitedTransport(wire, limiter, role=role, timeout_s=0)
    client = httpx.Client(transport=RecordedTransport(recorder, BreakerTransport(inner, breakers)))
    client_async = httpx.AsyncClient(
        transport=AsyncRecordedTransport(recorder, AsyncBreakerTransport(inner_async, breakers))
    )

    async def crawl() -> list[str]:
        seen = []
        for path, about in asked:
            url, extensions = f"https://a.org{path}", {"telemetry": about}
            try:
                if kind == "async":
                    response = await client_async.get(url, extensions=extensions)
                else:
                    response = client.get(url, extensions=extensions)
                seen.append(str(response.status_code))
            except Exception as error:
                seen.append(type(error).__name__)
        return seen

    return asyncio.run(crawl())


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("telemetry", [False, True])
def test_a_request_has_the_same_role_with_telemetry_on_and_off(kind: str, telemetry: bool) -> None:
    def crawl(role: LimitedRole, *asked: tuple[str, object]) -> list[str]:
        recorder = Recorded() if telemetry else NullRecorder()
        return outcomes(recorder, role, kind, list(asked))

    metadata, artifact = {"role": "metadata"}, {"role": "artifact"}
    # named by the request
    assert crawl(None, ("/", metadata), ("/", artifact), ("/", artifact)) == [
        "200", "200", "RateLimited",
    ]  # fmt: skip
    # named by nobody; a mistake of ours, and so the breaker stays closed
    assert crawl(None, ("/", None), ("/", {}), ("/", artifact)) == ["ValueError"] * 2 + ["200"]
    # told to the transport, for requests that name none
    assert crawl("artifact", ("/", None), ("/", {"role": None}), ("/", metadata)) == [
        "200", "RateLimited", "200",
    ]  # fmt: skip
    # what is no mapping says nothing
    assert crawl("artifact", ("/", "metadata"), ("/", ["metadata"])) == ["200", "RateLimited"]
    # by a function, which may not know either
    assert crawl(by_path, ("/pdf/1", None), ("/pdf/2", None), ("/", None), ("/", artifact)) == [
        "200", "RateLimited", "ValueError", "RateLimited",
    ]  # fmt: skip


def test_any_mapping_names_a_role() -> None:
    about = MappingProxyType({"role": "artifact"})
    assert outcomes(NullRecorder(), None, "sync", [("/", about), ("/", about)]) == [
        "200", "RateLimited",
    ]  # fmt: skip


def test_the_role_that_a_recording_transport_is_told_is_recorded_only() -> None:
    recorder = Recorded()
    inner = LimitedTransport(
        httpx.MockTransport(answer([])), limited(recorder, Rate(9, 60_000)), skip_head=True
    )
    transport = RecordedTransport(recorder, inner, lambda _: "landing")
    with httpx.Client(transport=transport) as client:
        client.get("https://a.org")
        client.head("https://a.org")
        client.get("https://a.org", extensions=METADATA)
    roles = [fields["role"] for kind, fields in recorder.events if kind == "rate"]
    assert roles == ["landing", "landing", "metadata"]


def test_rates_by_role_say_what_to_do_about_a_request_without_one() -> None:
    limiter = RecordedLimiter(open_limiter({"metadata": [Rate(1, 1000)]}, {}), Recorded())
    with pytest.raises(ValueError, match=r"\['metadata'\].*extensions=.*LimitedTransport a role"):
        limiter.try_acquire("a.org")


def test_a_task_that_is_cancelled_while_it_waits_sent_nothing() -> None:
    recorder, sent = Recorded(), list[httpx.Request]()
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    inner = AsyncLimitedTransport(
        httpx.MockTransport(answer(sent)), limited(recorder, Rate(1, 60_000))
    )
    transport = AsyncRecordedTransport(recorder, AsyncBreakerTransport(inner, breakers))

    async def crawl() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("https://a.org/1")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("https://a.org/2"), 0.05)

    asyncio.run(crawl())
    assert [request.url.path for request in sent] == ["/1"]
    assert recorder.requests() == [(200, None)]


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
        assert noting.fields["sent"] is True
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
