"""The stores of limits and breakers: shared by threads and processes, and what if they fail."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import redis as redis_library
from pybreaker import CircuitBreakerError, CircuitBreakerStorage
from pyrate_limiter import Limiter, Rate

from recorder.integrations import postgres_admissions
from recorder.integrations.breaker_storage import SharedBreakers
from recorder.integrations.buckets import StoreUnavailable
from recorder.integrations.httpx import AsyncRecordedTransport, RecordedTransport
from recorder.integrations.httpx_breaker import AsyncBreakerTransport, BreakerTransport
from recorder.integrations.httpx_limiter import (
    AsyncLimitedTransport,
    LimitedTransport,
    LimiterUnavailable,
)
from recorder.integrations.pybreaker import Breakers
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.redis_breaker import RedisBreakers
from recorder.integrations.sqlite_breaker import SqliteBreakers
from recorder.integrations.stores import open_breaker_storage, open_breakers, open_limiter
from recorder.null import NullRecorder
from recorder.settings import SettingsError, breaker_store

from .conftest import ROOT
from .support.files import opened
from .support.recorded import Recorded
from .support.services import free_port, postgres, redis

RATE, BREAKER = "DOCSTOKG_RATE_BACKEND", "DOCSTOKG_BREAKER_COOLDOWN_STORE"
#: A host as nobody should have.
HOSTILE = "a'; DROP TABLE rate_admissions; --\0" + "é" * 100


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis server."""
    with redis() as port:
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server with an empty database."""
    with postgres() as place:
        given = dict(part.split("=") for part in place.split())
        yield f"postgres://{given['user']}@127.0.0.1:{given['port']}/{given['dbname']}"


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store for limits, as the variable names it."""
    if request.param in {"memory", "sqlite"}:
        return "memory" if request.param == "memory" else f"sqlite:{tmp_path / 'rates.sqlite'}"
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of shared store for breakers, as the variable names it."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'breakers.sqlite'}"
    return str(request.getfixturevalue("redis_url"))


def passes(limiter: Limiter, host: str) -> bool:
    """Return whether a request may be sent at once."""
    return RecordedLimiter(limiter, NullRecorder()).try_acquire(host, timeout_s=0)


def test_each_store_limits_each_host(place: str, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    limiter = open_limiter([Rate(2, 300), Rate(3, 60_000)], {RATE: place})
    for host in (f"{name}.org", name + HOSTILE):
        assert [passes(limiter, host) for _ in range(3)] == [True, True, False]
        # as other users of pyrate-limiter would ask
        began = time.monotonic()
        assert limiter.try_acquire(host, timeout=5)
        assert 0.2 < time.monotonic() - began < 0.6
        assert not limiter.try_acquire(host, blocking=False)
        bucket = limiter.bucket_factory.get(limiter.bucket_factory.wrap_item(host))
        assert bucket.count() == 3
        assert bucket.leak(0) == 0
        bucket.flush()
        assert bucket.count() == 0
        assert passes(limiter, host)
    limiter.close()


CRAWL = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pyrate_limiter import Rate
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.stores import open_limiter
from recorder.null import NullRecorder

place, host, limit, interval, seconds = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
limiter = open_limiter([Rate(int(limit), int(interval))], {"DOCSTOKG_RATE_BACKEND": place})
recorded, passed = RecordedLimiter(limiter, NullRecorder()), []
print("ready", flush=True)
until = float(sys.stdin.readline()) + seconds

def crawl():
    while (left := until - time.time()) > 0:
        if recorded.try_acquire(host, timeout_s=left):
            passed.append(time.time())

time.sleep(max(0, until - seconds - time.time()))
with ThreadPoolExecutor(3) as pool:
    for crawling in [pool.submit(crawl) for _ in range(3)]:
        crawling.result()
print(json.dumps(passed))
"""


def run(code: str, *arguments: object, **extra: str) -> subprocess.Popen[str]:
    """Start a Python program of the checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT, env=os.environ | extra, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def together(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let programs that said they are ready begin at once; return what each printed."""
    for process in processes:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready == "ready\n", process.communicate()
    start = f"{time.time() + 0.05}\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(start)
        process.stdin.flush()
    printed = []
    for process in processes:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        printed.append(out)
    return printed


@pytest.mark.parametrize("place", ["sqlite", "redis", "postgres"], indirect=True)
def test_processes_and_threads_hold_a_limit_together(place: str) -> None:
    """Redis as the library uses it let 15% too many pass here."""
    limit, interval, seconds = 4, 80, 1.2
    crawlers = [run(CRAWL, place, "together.org", limit, interval, seconds) for _ in range(3)]
    passed = sorted(t for printed in together(crawlers) for t in json.loads(printed))
    most = limit * seconds * 1000 / interval
    assert 0.7 * most <= len(passed) <= most + limit


def test_a_forked_process_holds_the_limit_with_its_parent(tmp_path: Path) -> None:
    code = """
import os, sys
from pyrate_limiter import Rate
sys.path.insert(0, "tests/python/support")
from files import opened
from recorder.integrations.stores import open_limiter
limiter = open_limiter([Rate(2, 60000)], {"DOCSTOKG_RATE_BACKEND": "sqlite:" + sys.argv[1]})
assert limiter.try_acquire("a.org", blocking=False)
if not (child := os.fork()):
    passed = [limiter.try_acquire("a.org", blocking=False) for _ in range(2)]
    # the parent's connection, which it leaves alone, and its own
    os._exit(0 if passed == [True, False] and opened(sys.argv[1]) == 2 else 1)
_, status = os.waitpid(child, 0)
assert status == 0
assert not limiter.try_acquire("a.org", blocking=False)
limiter.close()
"""
    process = run(code, tmp_path / "rates.sqlite")
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    with sqlite3.connect(tmp_path / "rates.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_does_not_grow_with_the_hosts_that_were_visited(tmp_path: Path) -> None:
    path = tmp_path / "rates.sqlite"
    limiter = open_limiter([Rate(5, 100)], {RATE: f"sqlite:{path}"})
    assert all(passes(limiter, f"{number}.org") for number in range(50))
    time.sleep(0.11)
    assert passes(limiter, "last.org")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM rate_admissions").fetchone() == (1,)
        tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
        assert connection.execute(tables).fetchone() == (1,)
    connection.close()
    assert opened(path)
    limiter.close()
    assert not opened(path)


def test_a_file_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "rates.sqlite"
    limiter = open_limiter([Rate(1, 60_000)], {RATE: f"sqlite:{path}"})
    assert passes(limiter, "a.org")
    for file in tmp_path.iterdir():
        file.unlink()
    assert passes(limiter, "a.org")
    other = open_limiter([Rate(1, 60_000)], {RATE: f"sqlite:{path}"})
    assert not passes(other, "a.org")


def test_a_clock_that_is_set_back_does_not_block_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = open_limiter([Rate(1, 60_000)], {RATE: f"sqlite:{tmp_path / 'rates.sqlite'}"})
    assert passes(limiter, "a.org")
    true = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true() - 3600 * 10**9)
    assert passes(limiter, "a.org")
    assert not passes(limiter, "a.org")


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_machines_need_not_agree_on_the_time(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = request.getfixturevalue(f"{kind}_url")
    limiter = open_limiter([Rate(1, 60_000)], {RATE: place})
    assert passes(limiter, "clock.org")
    true = time.time_ns
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time_ns", lambda h=hours: true() + h * 3600 * 10**9)
        assert not passes(limiter, "clock.org")
    limiter.close()


def test_redis_forgets_a_host_that_is_left_alone(redis_url: str) -> None:
    limiter = open_limiter([Rate(3, 20_000)], {RATE: redis_url})
    assert passes(limiter, "left" + HOSTILE)
    client = redis_library.Redis.from_url(redis_url)
    (key,) = client.keys("docstokg:rate:left*")
    assert 20_000 < client.pttl(key) <= 21_000
    assert len(key) < 70
    assert set(key.decode()) <= set("abcdefghijklmnopqrstuvwxyz0123456789:._-")


def test_a_redis_that_is_restarted_is_used_again() -> None:
    port = free_port()
    environ = {RATE: f"redis://127.0.0.1:{port}"}
    with redis(port=port):
        limiter = open_limiter([Rate(1, 60_000)], environ)
        assert passes(limiter, "a.org")
        assert not passes(limiter, "a.org")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"in Redis, .* \(ConnectionError\)$"):
        passes(limiter, "a.org")
    assert time.monotonic() - began < 3
    with redis(port=port):
        assert passes(limiter, "a.org")
        assert not passes(limiter, "a.org")


def stopped(kind: str, folder: Path) -> Iterator[str]:
    """Yield a store of limits that works; resumed, take it away."""
    if kind == "redis":
        port = free_port()
        with redis(port=port):
            yield f"redis://127.0.0.1:{port}"
    elif kind == "postgres":
        with postgres() as place:
            given = dict(part.split("=") for part in place.split())
            yield f"postgres://{given['user']}:s3cret@127.0.0.1:{given['port']}/{given['dbname']}"
    else:
        path = folder / "rates.sqlite"
        yield f"sqlite:{path}"
        for file in folder.iterdir():
            file.unlink()
        path.write_text("not a database, but long enough to look like one " * 30)
    yield ""


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_a_store_that_goes_away_is_neither_the_hosts_failure_nor_a_request(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_admissions, "_TIMEOUT_S", 1)
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(200)

    recorder, wire, store = Recorded(), httpx.MockTransport(answer), stopped(kind, tmp_path)
    limiter = RecordedLimiter(open_limiter([Rate(9, 60_000)], {RATE: next(store)}), recorder)
    breakers = Breakers(recorder, fail_max=1, reset_timeout_s=60)
    guarded = BreakerTransport(LimitedTransport(wire, limiter), breakers)
    guarded_async = AsyncBreakerTransport(AsyncLimitedTransport(wire, limiter), breakers)

    async def crawl(path: str) -> None:
        transport = AsyncRecordedTransport(recorder, guarded_async)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(f"https://a.org{path}")

    with httpx.Client(transport=RecordedTransport(recorder, guarded)) as client:
        client.get("https://a.org/1")
        asyncio.run(crawl("/2"))
        next(store)
        for ask in (lambda: client.get("https://a.org/3"), lambda: asyncio.run(crawl("/4"))):
            with pytest.raises(LimiterUnavailable) as caught:
                ask()
            assert isinstance(caught.value, httpx.TransportError)
            assert caught.value.request.url.host == "a.org"
            assert caught.value.__suppress_context__
            assert re.fullmatch(
                r"rate limits are kept in (a SQLite file|Redis|PostgreSQL), "
                r"which cannot be used now \(\w+\)",
                str(caught.value),
            )
    assert sent == ["/1", "/2"]
    assert recorder.requests() == [(200, None)] * 2
    assert recorder.transitions() == []
    assert breakers.of("a.org").fail_counter == 0
    limiter.close()


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def complaint(environ: dict[str, str]) -> str:
    """Return what open_limiter says of a store that it cannot use; it says so soon."""
    began = time.monotonic()
    with pytest.raises(SettingsError) as caught:
        open_limiter([Rate(1, 1000)], environ)
    assert time.monotonic() - began < 3.5
    message = str(caught.value)
    assert message.startswith(RATE)
    assert "\n" not in message
    assert "s3cret" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return message


def test_a_limiter_says_at_the_start_that_its_store_cannot_be_used(
    tmp_path: Path, mute: int
) -> None:
    port = free_port()
    for place in (f"redis://:s3cret@127.0.0.1:{port}", f"redis://:s3cret@127.0.0.1:{mute}"):
        assert "a Redis server that cannot be used" in complaint({RATE: place})
    down = complaint({RATE: f"postgres://me:s3cret@127.0.0.1:{port}/telemetry"})
    assert "a PostgreSQL server that cannot be used (OperationalError)" in down
    for place in ("redis://:s3cret/x@h", "redis://h:s3cret", "postgres://u:s3cret%zz@h/d"):
        assert "an address that cannot be read" in complaint({RATE: place})
    missing = tmp_path / "missing" / "rates.sqlite"
    for place in (str(missing), "postgres://u:s3cret@h/db"):
        said = complaint({RATE: f"sqlite:{place}"})
        assert "a SQLite file that cannot be used (unable to open database file)" in said
        assert place not in said
    (tmp_path / "text").write_text("not a database, but long enough to look like one " * 30)
    assert "not a database" in complaint({RATE: f"sqlite:{tmp_path / 'text'}"})


@pytest.mark.parametrize(
    ("library", "extra", "place"),
    [
        ("redis", "redis", "redis://h"),
        ("psycopg_pool", "postgres", "postgres://h/d"),
        ("psycopg", "postgres", "postgres://h/d"),
        ("pyrate_limiter", "limiter", "memory"),
        ("pybreaker", "breaker", "sqlite:b.sqlite"),
    ],
)
def test_a_library_that_is_not_installed_is_named_by_its_extra(
    library: str, extra: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith("recorder.integrations.") and not name.endswith(".stores"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    variable = BREAKER if library == "pybreaker" else RATE
    with pytest.raises(SettingsError) as caught:
        if library == "pybreaker":
            open_breaker_storage("a.org", {BREAKER: place})
        else:
            open_limiter([Rate(1, 1000)], {RATE: place})
    assert str(caught.value) == (
        f"{variable} needs a library that is not installed: "
        f"pip install 'docstokg-telemetry[{extra}]'"
    )


def test_breakers_cannot_be_kept_in_postgres() -> None:
    with pytest.raises(SettingsError, match=f"^{BREAKER} names PostgreSQL.*sqlite:PATH or redis"):
        open_breaker_storage("a.org", {BREAKER: "postgres://u:s3cret@h/d"})
    with pytest.raises(SettingsError, match="an address that cannot be read") as caught:
        open_breaker_storage("a.org", {BREAKER: "redis://h:s3cret"})
    assert "s3cret" not in str(caught.value)
    assert open_breaker_storage("a.org", {}).state == "closed"


def test_a_storage_keeps_what_a_breaker_writes(shared: str) -> None:
    storages = [open_breakers(breaker_store({BREAKER: shared})) for _ in range(2)]
    one, other = (storage.of("kept" + HOSTILE) for storage in storages if storage)
    assert (one.state, one.counter, one.success_counter, one.opened_at) == ("closed", 0, 0, None)
    one.state = "half-open"
    one.opened_at = opened_at = datetime.now(UTC).replace(microsecond=123457)
    one.increment_success_counter()
    assert (other.state, other.success_counter) == ("half-open", 1)
    assert other.opened_at is not None
    assert abs(other.opened_at - opened_at) < timedelta(milliseconds=1)
    assert other.opened_at.tzinfo is UTC
    other.reset_success_counter()
    assert one.success_counter == 0

    def count(storage: CircuitBreakerStorage) -> None:
        for _ in range(25):
            storage.increment_counter()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, [one, other] * 2))
    assert (one.counter, other.counter) == (100, 100)
    one.reset_counter()
    assert other.counter == 0


BREAK = """
import json, sys, time
sys.path.insert(0, "tests/python/support")
from pybreaker import CircuitBreakerError
from recorded import Recorded
from recorder.integrations.pybreaker import Breakers
from recorder.settings import breaker_store

store = breaker_store({"DOCSTOKG_BREAKER_COOLDOWN_STORE": sys.argv[1]})
recorder = Recorded()
breakers = Breakers(recorder, fail_max=6, reset_timeout_s=0.4, store=store)
breakers.of("process.org")
print("ready", flush=True)
until = float(sys.stdin.readline()) + 1.2
counts = {"failure": 0, "success": 0, "none": 0, "refused": 0}
healthy_at = until - 0.9
while time.time() < until:
    try:
        with breakers.attempt("process.org") as attempt:
            if time.time() < healthy_at:
                attempt.fail()
    except CircuitBreakerError:
        counts["refused"] += 1
    else:
        counts[attempt.outcome] += 1
    time.sleep(0.02)
print(json.dumps([counts, recorder.transitions()]))
"""


def test_processes_share_a_breaker_and_record_each_transition_once(shared: str) -> None:
    printed = [json.loads(out) for out in together([run(BREAK, shared) for _ in range(3)])]
    counts = [counted for counted, _ in printed]
    transitions = [(old, new) for _, recorded in printed for old, new in recorded]
    assert 6 <= sum(counted["failure"] for counted in counts) <= 8
    assert all(counted["refused"] > 3 and counted["success"] > 3 for counted in counts)
    assert sorted(transitions) == sorted(
        [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    )


def unusable(kind: str, folder: Path, mute: int) -> str:
    """Return the name of a store of breakers that does not work."""
    path = folder / "breakers.sqlite"
    if kind == "locked":
        held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        held.execute("BEGIN EXCLUSIVE")
        _held.append(held)
    if kind == "broken":
        path.write_text("not a database, but long enough to look like one " * 30)
    if kind == "missing":
        path = folder / "missing" / "breakers.sqlite"
    if kind in {"down", "mute"}:
        return f"redis://:s3cret@127.0.0.1:{mute if kind == 'mute' else free_port()}"
    return f"sqlite:{path}"


_held: list[sqlite3.Connection] = []


@pytest.mark.parametrize("kind", ["locked", "broken", "missing", "down", "mute"])
def test_breakers_work_in_memory_while_their_store_does_not(
    kind: str, tmp_path: Path, mute: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = breaker_store({BREAKER: unusable(kind, tmp_path, mute)})
    recorder = Recorded()
    began = time.monotonic()
    breakers = Breakers(recorder, fail_max=2, reset_timeout_s=60, store=store)
    for _ in range(2):
        with breakers.attempt("a.org") as attempt:
            attempt.fail()
    with pytest.raises(CircuitBreakerError), breakers.attempt("a.org"):
        pass
    with breakers.attempt("b.org"):
        pass
    assert time.monotonic() - began < 1.5
    assert recorder.transitions() == [("closed", "open")]
    (logged,) = caplog.records
    assert logged.levelno == logging.WARNING
    assert logged.exc_info is None
    assert re.search(r"kept in memory until .* \(\w+Error\)$", logged.getMessage())
    assert "s3cret" not in caplog.text
    while _held:
        _held.pop().close()


def test_a_full_disk_does_not_stop_breakers(tmp_path: Path) -> None:
    code = """
import resource, sys
from recorder.integrations.stores import open_breaker_storage
environ = {"DOCSTOKG_BREAKER_COOLDOWN_STORE": "sqlite:" + sys.argv[1]}
storage = open_breaker_storage("a.org", environ)
storage.increment_counter()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
storage.increment_counter()
storage.state = "open"
assert (storage.state, storage.counter) == ("open", 2)
"""
    process = run(code, tmp_path / "breakers.sqlite")
    _, error = process.communicate(timeout=30)
    assert process.returncode == 0, error
    assert error.count("kept in memory until the SQLite file") == 1
    with sqlite3.connect(tmp_path / "breakers.sqlite") as connection:
        assert connection.execute("SELECT state, failures FROM breakers").fetchall() == [(None, 1)]


def test_what_happened_while_the_store_was_away_is_written_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "breakers.sqlite"
    storage = SharedBreakers(SqliteBreakers(str(path)), retry_s=0.05).of("a.org")
    storage.increment_counter()
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    storage.increment_counter()
    storage.state = "open"
    storage.opened_at = datetime(2026, 1, 2, tzinfo=UTC)
    assert (storage.state, storage.counter) == ("open", 2)
    held.close()
    time.sleep(0.06)
    assert storage.state == "open"
    other = SharedBreakers(SqliteBreakers(str(path))).of("a.org")
    assert (other.state, other.counter) == ("open", 2)
    assert other.opened_at == datetime(2026, 1, 2, tzinfo=UTC)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "circuit breakers are kept in memory until the SQLite file can be used again "
        "(OperationalError)",
        "circuit breakers are kept in the SQLite file again",
    ]


def test_an_open_breaker_stays_open_while_redis_is_away() -> None:
    port = free_port()
    shared = SharedBreakers(RedisBreakers(f"redis://127.0.0.1:{port}"), retry_s=0.05)
    storage = shared.of("a.org")
    with redis(port=port):
        storage.state = "open"
        assert storage.state == "open"
    assert storage.state == "open"
    storage.opened_at = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
    with redis(port=port):
        time.sleep(0.06)
        assert storage.state == "open"
        client = redis_library.Redis(port=port)
        found = client.hgetall("docstokg:breaker:a.org")
        assert (found[b"state"], found[b"opened_at"]) == (b"open", b"1767323045.6")
        assert client.ttl("docstokg:breaker:a.org") > 86400


def test_nonsense_in_a_store_reads_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "breakers.sqlite"
    storage = SharedBreakers(SqliteBreakers(str(path))).of("a.org")
    storage.increment_counter()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE breakers SET state = x'ff', failures = 'x', opened_at = 9e99")
    assert (storage.state, storage.counter, storage.opened_at) == ("closed", 0, None)


def test_one_connection_serves_the_breakers_of_all_hosts(tmp_path: Path) -> None:
    environ = {BREAKER: f"sqlite:{tmp_path / 'breakers.sqlite'}"}
    storages = [open_breaker_storage(f"{number}.org", environ) for number in range(20)]
    threads = [threading.Thread(target=storage.increment_counter) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [storage.counter for storage in storages] == [1] * 20
    assert opened(tmp_path / "breakers.sqlite") == 1


def test_an_event_loop_goes_on_while_a_store_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "rates.sqlite"
    limiter = RecordedLimiter(open_limiter([Rate(9, 1000)], {RATE: f"sqlite:{path}"}), Recorded())
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")

    async def crawl() -> bool:
        waiting = asyncio.create_task(limiter.try_acquire_async("a.org"))
        await asyncio.sleep(0.1)
        held.close()
        return await waiting

    assert asyncio.run(asyncio.wait_for(crawl(), 5))
