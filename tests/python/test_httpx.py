"""What passes through a recorded httpx client is one row each, whatever becomes of it."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hishel import AsyncSqliteStorage, CacheOptions, SqliteStorage
from hishel.httpx import AsyncCacheTransport, CacheTransport

from recorder import NullRecorder, TelemetryWriter, hash_url, notes
from recorder.headers import retry_after_s
from recorder.integrations.httpx import (
    AsyncRecordedTransport,
    RecordedTransport,
    record,
)
from recorder.notes import note, note_under_way

from .support.web import web


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with web() as address:
        yield address


class Fetcher:
    """Fetches with a recorded client, sync or async, and reads what was recorded."""

    def __init__(self, path: Path, is_async: bool, cache: Path | None, **transport: Any) -> None:
        self.path, self._is_async, self._cache = path, is_async, cache
        self._transport = transport

    def fetch(self, *requests: tuple[str, dict[str, Any]], **client: Any) -> list[Any]:
        """Send requests one after another; return responses, or the classes of exceptions."""
        with TelemetryWriter(self.path, "run") as recorder:
            if self._is_async:
                return asyncio.run(self._fetch_async(recorder, requests, client))
            inner: httpx.BaseTransport = httpx.HTTPTransport()
            if self._cache:
                storage = SqliteStorage(database_path=self._cache)
                inner = CacheTransport(inner, storage, CacheOptions(allow_stale=True))
            transport = RecordedTransport(recorder, inner, **self._transport)
            with httpx.Client(transport=transport, **client) as session:
                return [self._one(session, url, options) for url, options in requests]

    def _one(self, session: httpx.Client, url: str, options: dict[str, Any]) -> Any:
        try:
            return session.get(url, **options)
        except httpx.HTTPError as error:
            return type(error)

    async def _fetch_async(self, recorder: Any, requests: Any, client: Any) -> list[Any]:
        inner: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport()
        if self._cache:
            storage = AsyncSqliteStorage(database_path=self._cache)
            inner = AsyncCacheTransport(inner, storage, CacheOptions(allow_stale=True))
        transport = AsyncRecordedTransport(recorder, inner, **self._transport)
        results: list[Any] = []
        async with httpx.AsyncClient(transport=transport, **client) as session:
            for url, options in requests:
                try:
                    results.append(await session.get(url, **options))
                except httpx.HTTPError as error:
                    results.append(type(error))
        return results

    def rows(self) -> list[dict[str, Any]]:
        """Return what was recorded, in order."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("select * from http_events")]


Make = Callable[..., Fetcher]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def fetcher(cache: bool = False, **transport: Any) -> Fetcher:
        where = tmp_path / "cache.sqlite" if cache else None
        return Fetcher(tmp_path / "t.sqlite3", request.param == "async", where, **transport)

    return fetcher


def test_an_answer(make: Make, site: str) -> None:
    fetcher = make(role="artifact")
    url = f"{site}/pdf/1.pdf?token=t0psecret"
    (response,) = fetcher.fetch((url, {}))
    assert response.content == b"%PDF-1.4 /pdf/1.pdf"
    (row,) = fetcher.rows()
    assert 0 < row.pop("elapsed_ms") < 5_000
    assert row.pop("ts") > 1.7e9
    assert {name: value for name, value in row.items() if value is not None} == {
        "id": 1,
        "run_id": "run",
        "host": "127.0.0.1",
        "role": "artifact",
        "method": "GET",
        "status": 200,
        "url_hash": hash_url(url),
        "retry_count": 0,
        "sample_weight": 1.0,
    }


def test_statuses_and_exceptions(make: Make, site: str) -> None:
    fetcher = make()
    done = fetcher.fetch(
        (f"{site}/busy", {}),
        (f"{site}/broken", {}),
        (f"{site}/slow", {"timeout": 0.2}),
        (f"{site}/torn", {}),
        ("http://127.0.0.1:1/", {}),
    )
    assert [d if isinstance(d, type) else d.status_code for d in done] == [
        429,
        503,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.ConnectError,
    ]
    found = [(row["status"], row["error"], row["retry_after_s"]) for row in fetcher.rows()]
    assert found == [
        (429, None, 7.0),
        (503, None, None),
        (None, "ReadTimeout", None),
        (None, "RemoteProtocolError", None),
        (None, "ConnectError", None),
    ]


def test_a_redirect_is_two_requests_and_no_retry(make: Make, site: str) -> None:
    fetcher = make(role=lambda request: "artifact" if "pdf" in request.url.path else "landing")
    (response,) = fetcher.fetch((f"{site}/redirect/1", {}), follow_redirects=True)
    assert response.status_code == 200
    assert [(r["status"], r["role"], r["retry_count"]) for r in fetcher.rows()] == [
        (302, "landing", 0),
        (200, "artifact", 0),
    ]
    assert fetcher.rows()[1]["url_hash"] == hash_url(f"{site}/pdf/x.pdf?token=t0psecret-redirect")


def test_the_state_of_the_cache(make: Make, site: str) -> None:
    fetcher = make(cache=True)
    urls = [f"{site}/cached", f"{site}/cached", f"{site}/tagged", f"{site}/tagged", f"{site}/busy"]
    fetcher.fetch(*((url, {}) for url in urls))
    found = [(r["status"], r["from_cache"], r["revalidated"], r["stale"]) for r in fetcher.rows()]
    assert found == [
        (200, 0, 0, None),
        (200, 1, 0, 0),
        (200, 0, 0, None),
        (200, 1, 1, found[3][3]),
        (429, 0, 0, None),
    ]


def test_a_stale_answer_is_told(make: Make, site: str) -> None:
    fetcher = make(cache=True)
    url = f"{site}/stale"
    fetcher.fetch((url, {}))
    time.sleep(2.1)
    fetcher.fetch((url, {}))
    last = fetcher.rows()[-1]
    assert (last["from_cache"], last["revalidated"], last["stale"]) == (1, 0, 1)


def test_extensions_of_a_request_go_before(make: Make, site: str) -> None:
    fetcher = make(role="metadata")
    mine = {"telemetry": {"role": "landing", "retry_count": 2, "breaker_state": "half_open"}}
    fetcher.fetch(
        (f"{site}/a", {"extensions": mine}),
        (f"{site}/a", {"extensions": mine}),
        (f"{site}/a", {}),
    )
    assert [(r["role"], r["retry_count"], r["breaker_state"]) for r in fetcher.rows()] == [
        ("landing", 2, "half_open"),
        ("landing", 2, "half_open"),
        ("metadata", 0, None),
    ]
    assert mine == {
        "telemetry": {"role": "landing", "retry_count": 2, "breaker_state": "half_open"}
    }


def test_a_transport_that_tries_again_counts_retries(tmp_path: Path, site: str) -> None:
    class Stubborn(httpx.BaseTransport):
        def __init__(self, inner: httpx.BaseTransport) -> None:
            self.inner = inner

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            for _ in range(2):
                response = self.inner.handle_request(request)
                response.close()
            return self.inner.handle_request(request)

    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        transport = Stubborn(RecordedTransport(recorder))
        with httpx.Client(transport=transport) as client:
            client.get(f"{site}/busy")
            client.get(f"{site}/busy")
    found = [row["retry_count"] for row in Fetcher(path, False, None).rows()]
    assert found == [0, 1, 2, 0, 1, 2]


def test_a_role_that_cannot_be_told_stops_nothing(make: Make, site: str) -> None:
    fetcher = make(role=lambda request: 1 / 0)
    (response,) = fetcher.fetch((f"{site}/a", {}))
    assert response.status_code == 200
    assert [row["role"] for row in fetcher.rows()] == ["metadata"]


class Noting(httpx.BaseTransport):
    """Notes what a limiter or breaker would."""

    def __init__(self, inner: httpx.BaseTransport, **noted: Any) -> None:
        self.inner, self.noted = inner, noted

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        note_under_way(request.url.host, **self.noted)
        if self.noted.get("refused"):
            raise RuntimeError("no")
        return self.inner.handle_request(request)


def test_what_lies_below_may_add_to_the_row(tmp_path: Path, site: str) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        noting = Noting(httpx.HTTPTransport(), rate_delay_ms=40_000.0, breaker_recorded="success")
        with httpx.Client(transport=RecordedTransport(recorder, noting)) as client:
            client.get(f"{site}/a")
        refusing = Noting(httpx.HTTPTransport(), refused=True)
        with httpx.Client(transport=RecordedTransport(recorder, refusing)) as client:
            with pytest.raises(RuntimeError):
                client.get(f"{site}/a")
            note("another.example", rate_delay_ms=9.0)
            note("127.0.0.1", breaker_state="closed")
        with httpx.Client(transport=RecordedTransport(recorder)) as client:
            client.get(f"{site}/a")
            client.get(f"{site}/a")
    found = [
        (r["rate_delay_ms"], r["breaker_state"], r["breaker_recorded"], r["elapsed_ms"] < 30_000)
        for r in Fetcher(path, False, None).rows()
    ]
    assert found == [
        (40_000.0, None, "success", True),
        (None, "closed", None, True),
        (None, None, None, True),
    ]


def test_a_wait_before_a_request_is_on_that_request_alone(tmp_path: Path, site: str) -> None:
    path = tmp_path / "t.sqlite3"

    async def crawl(recorder: TelemetryWriter) -> None:
        async with record(httpx.AsyncClient(), recorder) as client:
            note("127.0.0.1", rate_delay_ms=7.0)
            await asyncio.gather(*(client.get(f"{site}/a") for _ in range(3)))
            await client.get(f"{site}/a")
            note("127.0.0.1", rate_delay_ms=8.0)
            await asyncio.wait_for(client.get(f"{site}/a"), 10)
            await client.get(f"{site}/a")

    with TelemetryWriter(path, "run") as recorder:
        asyncio.run(crawl(recorder))
    waits = [row["rate_delay_ms"] for row in Fetcher(path, False, None).rows()]
    assert sorted(wait for wait in waits[:3] if wait) == [7.0]
    assert waits[3:] == [None, 8.0, None]


def test_a_wait_noted_long_ago_is_on_no_request(
    tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.sqlite3"
    monkeypatch.setattr(notes, "_PATIENCE_S", 0.0)
    note("127.0.0.1", rate_delay_ms=7.0)
    with TelemetryWriter(path, "run") as recorder, record(httpx.Client(), recorder) as client:
        client.get(f"{site}/a")
    assert [row["rate_delay_ms"] for row in Fetcher(path, False, None).rows()] == [None]


ODD_DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2026 99999999999999999999:00:00 GMT",
    "Mon, 01 Jan 2026 00:00:00 +99999999999",
    "Mon, 01 Jan 0001 00:00:00 +2300",
]


@pytest.mark.parametrize("header", ODD_DATES)
def test_no_header_raises(header: str) -> None:
    assert retry_after_s(header) in {None, 0.0}


@pytest.mark.parametrize(
    "extension", [{1: 2}, {"self": 2}, {"role": object()}, "artifact", {"url": 5}, {"host": None}]
)
def test_no_extension_raises(tmp_path: Path, site: str, extension: Any) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder, record(httpx.Client(), recorder) as client:
        assert client.get(f"{site}/a", extensions={"telemetry": extension}).status_code == 200
    assert len(Fetcher(path, False, None).rows()) == 1


def test_a_client_is_recorded_once(tmp_path: Path, site: str) -> None:
    path = tmp_path / "t.sqlite3"
    with (
        TelemetryWriter(path, "run") as recorder,
        record(record(httpx.Client(), recorder), recorder) as client,
    ):
        client.get(f"{site}/a")
    assert len(Fetcher(path, False, None).rows()) == 1


def test_what_was_sent_before_a_refusal_has_a_row(tmp_path: Path, site: str) -> None:
    class SentThenRefused(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            note_under_way(request.url.host, sent=True)
            note_under_way(request.url.host, refused=True)
            raise httpx.ConnectError("refused after a try")

    path = tmp_path / "t.sqlite3"
    with (
        TelemetryWriter(path, "run") as recorder,
        httpx.Client(transport=RecordedTransport(recorder, SentThenRefused())) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get(f"{site}/a")
    assert [row["error"] for row in Fetcher(path, False, None).rows()] == ["ConnectError"]


def test_streams_are_recorded_when_closed_read_or_forgotten(tmp_path: Path, site: str) -> None:
    path = tmp_path / "t.sqlite3"
    with (
        TelemetryWriter(path, "run") as recorder,
        httpx.Client(transport=RecordedTransport(recorder)) as client,
    ):
        with client.stream("GET", f"{site}/closed-early"):
            pass
        with client.stream("GET", f"{site}/read") as response:
            assert b"".join(response.iter_bytes()) == b"%PDF-1.4 /read"
        with client.stream("GET", f"{site}/half-read") as response:
            next(response.iter_bytes(2))
        client.send(client.build_request("GET", f"{site}/forgotten"), stream=True)
        gc.collect()
    statuses = [row["status"] for row in Fetcher(path, False, None).rows()]
    assert statuses == [200, 200, 200, 200]


def test_a_client_that_is_there_is_recorded_as_it_is(tmp_path: Path, site: str) -> None:
    path = tmp_path / "t.sqlite3"
    mounts = {"http://elsewhere.example": httpx.MockTransport(lambda _: httpx.Response(201))}
    with TelemetryWriter(path, "run") as recorder:
        given = httpx.Client(mounts=mounts, base_url=site)
        with record(given, recorder, "landing") as client:
            assert client is given
            assert client.get("/a").status_code == 200
            assert client.get("http://elsewhere.example/b").status_code == 201

        async def fetch() -> None:
            async with record(httpx.AsyncClient(), recorder, "artifact") as session:
                await session.get(f"{site}/missing")

        asyncio.run(fetch())
    assert [(r["role"], r["status"], r["host"]) for r in Fetcher(path, False, None).rows()] == [
        ("landing", 200, "127.0.0.1"),
        ("landing", 201, "elsewhere.example"),
        ("artifact", 404, "127.0.0.1"),
    ]


def test_nothing_happens_when_telemetry_is_off(site: str) -> None:
    with httpx.Client(transport=RecordedTransport(NullRecorder())) as client:
        response = client.get(f"{site}/a")
    assert type(response.stream).__name__ != "_Recorded"
    assert response.request.extensions.keys() == {"timeout"}
    untouched = httpx.Client()
    before = untouched._transport
    assert record(untouched, NullRecorder())._transport is before


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("9" * 40, 999_999_999.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after_s(format_datetime(at, usegmt=True)) == pytest.approx(90, abs=2)
