"""Breakers: what counts, what is recorded once, and what happens under concurrency."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo

import httpx
import pybreaker
import pytest
from pybreaker import CircuitBreaker, CircuitBreakerError, CircuitMemoryStorage
from pyrate_limiter import AbstractBucket, BucketFactory, Limiter, Rate, RateItem

from recorder.integrations import pybreaker as breakers_module
from recorder.integrations.httpx import RecordedTransport
from recorder.integrations.httpx_breaker import AsyncBreakerTransport, BreakerTransport
from recorder.integrations.httpx_limiter import LimitedTransport, RateLimited
from recorder.integrations.pybreaker import BreakerListener, Breakers
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.stores import open_limiter
from recorder.notes import Noting

from .support.recorded import Recorded

HOST = "a.org"
URL = "https://a.org/"


class Clock:
    """What breakers take for the time: it stands still unless a test lets it pass."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        """Stand in for ``time.monotonic``."""
        return self.passed_s

    def now(self, zone: tzinfo) -> datetime:
        """Stand in for ``datetime.now``."""
        return datetime(2026, 1, 2, tzinfo=UTC).astimezone(zone) + timedelta(seconds=self.passed_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which the breakers of a test go."""
    clock = Clock()
    monkeypatch.setattr(breakers_module, "time", clock)
    for module in (breakers_module, pybreaker):
        monkeypatch.setattr(module, "datetime", clock)
    return clock


def fail(breakers: Breakers, times: int = 1) -> None:
    """Let requests to the host fail."""
    for _ in range(times):
        with pytest.raises(OSError, match="down"), breakers.attempt(HOST):
            raise OSError("down")


def succeed(breakers: Breakers) -> str:
    """Let a request to the host succeed; return the state it was let through in."""
    with breakers.attempt(HOST) as attempt:
        pass
    return str(attempt.state)


def refused(breakers: Breakers) -> bool:
    """Return whether the breaker refuses a request, which is then not counted."""
    try:
        with breakers.attempt(HOST) as attempt:
            attempt.ignore()
    except CircuitBreakerError:
        return True
    return False


def test_every_transition_is_recorded_once(clock: Clock) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=2, reset_timeout_s=60)
    fail(breakers)
    succeed(breakers)
    fail(breakers)
    assert recorder.events == []
    fail(breakers)
    assert refused(breakers)
    clock.passed_s += 60
    fail(breakers)
    clock.passed_s += 60
    assert succeed(breakers) == "half_open"
    assert succeed(breakers) == "closed"
    assert recorder.transitions() == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "open"),
        ("open", "half_open"), ("half_open", "closed"),
    ]  # fmt: skip
    assert recorder.events[0] == (
        "breaker",
        {
            "host": HOST, "scope": "host", "old_state": "closed", "new_state": "open",
            "reset_timeout_s": 60,
        },
    )  # fmt: skip
    assert not breakers.of("b.org") == breakers.of(HOST) == breakers.of(HOST)


def test_a_broken_recorder_does_not_disturb_breakers() -> None:
    breakers = Breakers(Recorded(broken=True), fail_max=1, reset_timeout_s=60)
    fail(breakers)
    assert refused(breakers)


def test_a_transition_that_was_only_noticed_is_not_recorded() -> None:
    storage = CircuitMemoryStorage("closed")
    recorders = Recorded(), Recorded()
    one, other = (
        CircuitBreaker(
            fail_max=1, reset_timeout=0,
            state_storage=storage, listeners=[BreakerListener(recorder, HOST)],
        )
        for recorder in recorders
    )  # fmt: skip
    with pytest.raises(CircuitBreakerError):
        one.call(lambda: 1 / 0)
    assert other.state.name == "open"
    assert other.call(lambda: 5) == 5
    assert one.state.name == "closed"
    assert recorders[0].transitions() == [("closed", "open")]
    assert recorders[1].transitions() == [("open", "half_open"), ("half_open", "closed")]


def test_a_breaker_that_opens_again_while_open_makes_no_transition() -> None:
    recorder = Recorded()
    breaker = Breakers(recorder, fail_max=1, reset_timeout_s=60).of(HOST)
    with pytest.raises(OSError, match="late"), breaker.calling():
        with pytest.raises(OSError, match="first"), breaker.calling():
            raise OSError("first")
        raise OSError("late")
    assert recorder.transitions() == [("closed", "open")]


def test_requests_under_way_when_it_opens_neither_open_it_again_nor_close_it(clock: Clock) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=2, reset_timeout_s=60)
    under_way = [breakers.attempt(HOST).__enter__() for _ in range(6)]
    failing, (late, slow) = under_way[:4], under_way[4:]
    for attempt in failing:
        attempt.fail()
        attempt.__exit__(None, None, None)
    assert [attempt.outcome for attempt in failing] == ["failure", "failure", "none", "none"]
    opened_at = breakers.of(HOST)._state_storage.opened_at
    clock.passed_s += 40
    late.fail()
    late.__exit__(None, None, None)
    assert breakers.of(HOST)._state_storage.opened_at == opened_at
    clock.passed_s += 20
    with breakers.attempt(HOST) as trial:
        slow.__exit__(None, None, None)
        assert slow.outcome == "none"
        assert breakers.of(HOST).current_state == "half-open"
    assert trial.outcome == "success"
    assert recorder.transitions() == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "closed"),
    ]  # fmt: skip


def test_one_thread_tries_a_half_open_host_and_the_others_are_refused(clock: Clock) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    fail(breakers)
    clock.passed_s += 60
    barrier, refused = threading.Barrier(8), threading.Semaphore(0)
    sent, refusals = list[str](), list[str]()

    def crawl() -> None:
        barrier.wait()
        try:
            with breakers.attempt(HOST) as attempt:
                sent.append(str(attempt.state))
                assert all(refused.acquire(timeout=10) for _ in range(7))
        except CircuitBreakerError as error:
            refusals.append(str(error))
            refused.release()

    threads = [threading.Thread(target=crawl) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == ["half_open"]
    assert len(refusals) == 7
    assert recorder.transitions()[1:] == [("open", "half_open"), ("half_open", "closed")]


def test_a_trial_that_does_not_end_is_not_waited_for_for_ever(clock: Clock) -> None:
    breakers = Breakers(Recorded(), fail_max=1, reset_timeout_s=60)
    fail(breakers)
    clock.passed_s += 60
    hanging = breakers.attempt(HOST).__enter__()
    clock.passed_s += 59
    assert refused(breakers)
    clock.passed_s += 1
    assert not refused(breakers)
    hanging.__exit__(None, None, None)
    assert hanging.outcome == "success"
    assert succeed(breakers) == "closed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_what_stops_the_crawler_is_neither_failure_nor_success(
    stop: type[BaseException], clock: Clock
) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=2, reset_timeout_s=60)
    fail(breakers)
    for _ in range(3):
        with pytest.raises(stop), breakers.attempt(HOST):
            raise stop
    assert breakers.of(HOST).fail_counter == 1
    fail(breakers)
    clock.passed_s += 60
    with pytest.raises(stop), breakers.attempt(HOST):
        raise stop
    assert breakers.of(HOST).current_state == "half-open"
    assert succeed(breakers) == "half_open"
    assert recorder.transitions() == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "closed"),
    ]  # fmt: skip


def test_an_opening_that_lies_ahead_shuts_a_host_no_longer_than_another(clock: Clock) -> None:
    """As one written before a clock was set back, or by a machine whose clock is fast."""
    breakers = Breakers(Recorded(), fail_max=1, reset_timeout_s=60)
    fail(breakers)
    for hours in (1, 24 * 365):
        ahead = clock.now(UTC) + timedelta(hours=hours)
        breakers.of(HOST)._state_storage.opened_at = ahead
        assert refused(breakers)
        clock.passed_s += 59
        assert refused(breakers)  # for as long as if it were of now, nevertheless
        clock.passed_s += 1
        with pytest.raises(OSError, match="down"), breakers.attempt(HOST):
            raise OSError("down")
        assert refused(breakers)
    clock.passed_s += 60
    assert succeed(breakers) == "half_open"


def scripted(*outcomes: int | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler for httpx.MockTransport that answers with these, one after another."""
    rest = iter(outcomes)

    def handle(_: httpx.Request) -> httpx.Response:
        outcome = next(rest)
        if isinstance(outcome, Exception):
            raise outcome
        return httpx.Response(outcome)

    return handle


def test_the_transport_returns_what_came_and_notes_what_counted(clock: Clock) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=3, reset_timeout_s=60)
    inner = httpx.MockTransport(scripted(404, 429, httpx.ReadTimeout("slow"), 503, 200))
    seen: list[object] = []
    with httpx.Client(transport=BreakerTransport(inner, breakers)) as client:
        for _ in range(6):
            if len(seen) == 5:
                clock.passed_s += 60
            with Noting(HOST) as noting:
                try:
                    seen.append(client.get(URL).status_code)
                except Exception as error:
                    seen.append(type(error).__name__)
            seen[-1] = (seen[-1], *noting.fields.values())
    assert [*noting.fields] == ["breaker_state", "breaker_recorded", "sent"]
    assert seen == [
        (404, "closed", "success", True),
        (429, "closed", "failure", True),
        ("ReadTimeout", "closed", "failure", True),
        (503, "closed", "failure", True),  # it opens the breaker, but was sent
        ("CircuitBreakerError", True),  # refused
        (200, "half_open", "success", True),
    ]


def test_the_transport_leaves_our_own_errors_alone_and_notes_nothing_when_off() -> None:
    recorder = Recorded(enabled=False)
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    inner = httpx.MockTransport(scripted(httpx.PoolTimeout("full"), httpx.LocalProtocolError("?")))
    with (
        httpx.Client(transport=BreakerTransport(inner, breakers)) as client,
        Noting(HOST) as noting,
    ):
        for error in (httpx.PoolTimeout, httpx.LocalProtocolError):
            with pytest.raises(error):
                client.get(URL)
    assert (noting.fields, recorder.events) == ({}, [])
    assert breakers.of(HOST).current_state == "closed"


def test_a_request_that_the_limiter_refuses_is_not_the_hosts_failure() -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    limiter = RecordedLimiter(open_limiter([Rate(1, 60_000)], {}), recorder)
    inner = LimitedTransport(httpx.MockTransport(scripted(200)), limiter, timeout_s=0)
    with httpx.Client(transport=BreakerTransport(inner, breakers)) as client:
        with Noting(HOST):
            client.get(URL)
        with Noting(HOST) as noting, pytest.raises(RateLimited):
            client.get(URL)
    assert noting.fields == {
        "breaker_state": "closed", "breaker_recorded": "none", "refused": True,
    }  # fmt: skip
    assert breakers.of(HOST).current_state == "closed"


@pytest.mark.parametrize("wrong", [ValueError("no rates"), RuntimeError("broken"), KeyError("?")])
def test_what_a_limiter_raises_is_not_the_hosts_failure(wrong: Exception) -> None:
    class Broken(BucketFactory):
        def wrap_item(self, name: str, weight: int = 1) -> RateItem:
            raise wrong

        def get(self, item: RateItem) -> AbstractBucket:
            raise wrong

    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    limited = LimitedTransport(
        httpx.MockTransport(scripted()), RecordedLimiter(Limiter(Broken()), recorder)
    )
    transport = RecordedTransport(recorder, BreakerTransport(limited, breakers))
    with httpx.Client(transport=transport) as client:
        for _ in range(3):
            with pytest.raises(type(wrong)) as caught:
                client.get(URL)
            assert caught.value is wrong
    assert breakers.of(HOST).fail_counter == 0
    assert recorder.events == []


def test_a_refusal_by_a_breaker_further_in_is_not_the_hosts_failure() -> None:
    recorder = Recorded()
    outer, inner = (Breakers(recorder, fail_max=most, reset_timeout_s=60) for most in (2, 1))
    guarded = BreakerTransport(httpx.MockTransport(scripted(503)), inner)
    with httpx.Client(transport=BreakerTransport(guarded, outer)) as client:
        with Noting(HOST):
            client.get(URL)
        for _ in range(3):
            with Noting(HOST) as noting, pytest.raises(CircuitBreakerError):
                client.get(URL)
            assert noting.fields["refused"] is True
            assert "sent" not in noting.fields
    assert outer.of(HOST).fail_counter == 1


def test_a_retry_that_is_refused_was_sent_before() -> None:
    breakers = Breakers(Recorded(), fail_max=1, reset_timeout_s=60)
    transport = BreakerTransport(httpx.MockTransport(scripted(503)), breakers)
    with Noting(HOST) as noting, httpx.Client(transport=transport) as client:
        client.get(URL)
        with pytest.raises(CircuitBreakerError):
            client.get(URL)
    assert (noting.fields["sent"], noting.fields["refused"]) == (True, True)


def test_an_own_judgement_of_responses() -> None:
    breakers = Breakers(Recorded(), fail_max=1, reset_timeout_s=60)
    inner = httpx.MockTransport(scripted(503, 403))
    transport = BreakerTransport(inner, breakers, is_failure=lambda r: r.status_code == 403)
    with httpx.Client(transport=transport) as client:
        assert [client.get(URL).status_code for _ in range(2)] == [503, 403]
        with pytest.raises(CircuitBreakerError):
            client.get(URL)


def test_requests_to_one_host_run_side_by_side() -> None:
    together = threading.Barrier(4)

    def handle(_: httpx.Request) -> httpx.Response:
        together.wait(5)  # breaks, and so raises, unless all four are here at once
        return httpx.Response(200)

    transport = BreakerTransport(httpx.MockTransport(handle), Breakers(Recorded()))
    with httpx.Client(transport=transport) as client, ThreadPoolExecutor(4) as pool:
        assert [r.status_code for r in pool.map(client.get, [URL] * 4)] == [200] * 4


class Switch(httpx.AsyncBaseTransport):
    """Answers when it is let, with the status it is given."""

    def __init__(self) -> None:
        self.go, self.status, self.sent = asyncio.Event(), 503, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        await self.go.wait()
        return httpx.Response(self.status)


def test_tasks_share_a_breaker(clock: Clock) -> None:
    recorder = Recorded()
    breakers = Breakers(recorder, fail_max=3, reset_timeout_s=60)

    async def crawl() -> None:
        switch = Switch()
        async with httpx.AsyncClient(transport=AsyncBreakerTransport(switch, breakers)) as client:

            async def start(tasks: int) -> list[asyncio.Task[httpx.Response]]:
                started = [asyncio.create_task(client.get(URL)) for _ in range(tasks)]
                for _ in range(100):  # they wait for nothing but each other and the switch
                    await asyncio.sleep(0)
                return started

            first = await start(5)
            assert switch.sent == 5
            switch.go.set()
            assert [(await task).status_code for task in first] == [503] * 5
            with Noting(HOST) as noting, pytest.raises(CircuitBreakerError):
                await client.get(URL)
            assert noting.fields == {"refused": True}

            clock.passed_s += 60
            switch.go.clear()
            (trial,) = await start(1)
            trial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await trial
            trial, other = await start(2)
            assert isinstance(other.exception(), CircuitBreakerError)
            switch.status = 200
            switch.go.set()
            assert (await trial).status_code == 200
            assert (await client.get(URL)).status_code == 200

    asyncio.run(crawl())
    assert recorder.transitions() == [
        ("closed", "open"), ("open", "half_open"), ("half_open", "closed"),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """No note of one test waits for the request of another."""
    yield
    with Noting("nobody"):
        pass
