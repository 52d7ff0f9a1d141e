"""The recorder: off by default, private, thread- and process-safe, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from recorder import (
    NullRecorder,
    Settings,
    SettingsError,
    TelemetryWriter,
    open_recorder,
    open_run,
    schema,
)
from recorder.settings import Store, breaker_store, rate_backend

from .support.web import ask

CONTRACT = {
    "http_events": "id run_id ts host role method status url_hash from_cache revalidated stale "
    "retry_count retry_after_s rate_delay_ms sample_weight breaker_state breaker_recorded "
    "elapsed_ms error",
    "rate_events": "id run_id ts host role action delay_ms max_delay_ms",
    "breaker_transitions": "id run_id ts host scope old_state new_state reset_timeout_s details",
    "fallback_attempts": "id run_id ts work_id artifact_id tier source host outcome reason status "
    "elapsed_ms metadata",
    "downloads": "id run_id ts work_id artifact_id sha256 final_path content_type content_length "
    "dedupe_action elapsed_ms metadata",
    "run_summary": "run_id started_at finished_at artifacts_total artifacts_success yield_pct "
    "ttfp_p50_ms ttfp_p95_ms cache_hit_pct rate_delay_p95_ms http_429_ratio breaker_open_events "
    "dedupe_saved_mb corruption_count",
}


def test_off_by_default(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    recorder = open_recorder("run", {"DOCSTOKG_TELEMETRY_DB_PATH": str(path)})
    assert isinstance(recorder, NullRecorder)
    recorder.http_event(host="h", role="metadata", url="https://example.org/")
    recorder.close()
    assert not path.exists()


def test_on_by_environment(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "t.sqlite3"
    environ = {"DOCSTOKG_ENABLE_TELEMETRY": "1", "DOCSTOKG_TELEMETRY_DB_PATH": str(path)}
    with open_recorder("run", environ) as recorder:
        recorder.rate_event(ts=1763940000.123457, host="h", action="block", delay_ms=2.5)
    assert ask(path, "select run_id, ts, host, action, delay_ms from rate_events") == [
        ("run", 1763940000.123457, "h", "block", 2.5)
    ]
    assert ask(path, "pragma journal_mode") == [("wal",)]


ON = {"DOCSTOKG_ENABLE_TELEMETRY": "1"}


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (ON, "DOCSTOKG_TELEMETRY_DB_PATH is not set"),
        ({"DOCSTOKG_ENABLE_TELEMETRY": "hunter2"}, "ENABLE_TELEMETRY .* neither on"),
        ({"DOCSTOKG_TELEMETRY_HASH_URLS": "hunter2"}, "HASH_URLS .* neither on"),
        ({"DOCSTOKG_TELEMETRY_HASH_KEY": "hunter2"}, "HASH_KEY .* 16 bytes"),
        ({"DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS": "0"}, "SAMPLE_CACHE_HITS .* above 0"),
        ({"DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS": "1.5"}, "SAMPLE_CACHE_HITS .* at most 1"),
        ({"DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS": "nan"}, "SAMPLE_CACHE_HITS .* at most 1"),
        ({"DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS": "hunter2"}, "SAMPLE_CACHE_HITS .* number"),
        ({"DOCSTOKG_TELEMETRY_ROTATE_MB": "0"}, "ROTATE_MB .* above 0"),
        ({"DOCSTOKG_TELEMETRY_ROTATE_MB": "inf"}, "ROTATE_MB .* at most"),
        (
            ON
            | {
                "DOCSTOKG_TELEMETRY_DB_PATH": "a/t.db",
                "DOCSTOKG_TELEMETRY_CSV_PATH": str(Path("a/t.db").absolute()),
            },
            "one file twice",
        ),
    ],
)
def test_settings_that_cannot_be_used(environ: dict[str, str], words: str) -> None:
    named = {"DOCSTOKG_TELEMETRY_CSV_PATH": "a/t.csv"} if environ != ON else {}
    with pytest.raises(SettingsError, match=words) as raised:
        open_recorder("run", ON | named | environ)
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)
    if "DOCSTOKG_ENABLE_TELEMETRY" not in environ:
        assert not open_recorder("run", named | environ).enabled


def test_settings() -> None:
    assert Settings.from_environ({}) == Settings()
    environ = ON | {
        "DOCSTOKG_TELEMETRY_JSONL_PATH": " logs/t.jsonl ",
        "DOCSTOKG_TELEMETRY_CSV_PATH": "logs/t.csv",
        "DOCSTOKG_TELEMETRY_HASH_URLS": "off",
        "DOCSTOKG_TELEMETRY_HASH_KEY": "0123456789abcdef",
        "DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS": "0.1",
        "DOCSTOKG_TELEMETRY_ROTATE_MB": "1.5",
        "DOCSTOKG_TELEMETRY_CSV_SPREADSHEET": "1",
    }
    assert Settings.from_environ(environ, "default.db") == Settings(
        enabled=True,
        db_path=None,
        jsonl_path=Path("logs/t.jsonl"),
        csv_path=Path("logs/t.csv"),
        rotate_bytes=1_500_000,
        hash_urls=False,
        hash_key=b"0123456789abcdef",
        sample_cache_hits=0.1,
        csv_for_spreadsheets=True,
    )
    assert "0123456789abcdef" not in repr(Settings.from_environ(environ))
    assert Settings.from_environ(ON, "out/manifest.sqlite3").db_path == Path("out/manifest.sqlite3")


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("", Store()),
        ("memory", Store()),
        ("sqlite:/var/lib/r.sqlite", Store("sqlite", "/var/lib/r.sqlite")),
        ("sqlite:r.sqlite", Store("sqlite", "r.sqlite")),
        ("sqlite:///r.sqlite", Store("sqlite", "r.sqlite")),
        ("sqlite:////var/r.sqlite", Store("sqlite", "/var/r.sqlite")),
        ("redis://:pw@h:6379/0", Store("redis", "redis://:pw@h:6379/0")),
        ("REDISS://h", Store("redis", "rediss://h")),
        ("postgres://u:pw@h/db", Store("postgres", "postgresql://u:pw@h/db")),
        ("postgresql://h/db", Store("postgres", "postgresql://h/db")),
    ],
)
def test_stores(text: str, store: Store) -> None:
    assert rate_backend({"DOCSTOKG_RATE_BACKEND": text}) == store
    assert breaker_store({"DOCSTOKG_BREAKER_COOLDOWN_STORE": text}) == store


@pytest.mark.parametrize(
    "text", ["sqlite:", "sqlite://h/x", "redis:", "redis://", "mysql://hunter2@h", "hunter2"]
)
def test_stores_that_there_are_not(text: str) -> None:
    with pytest.raises(SettingsError, match="DOCSTOKG_RATE_BACKEND .* use memory") as raised:
        rate_backend({"DOCSTOKG_RATE_BACKEND": text})
    assert "hunter2" not in str(raised.value)


def test_schema_is_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    TelemetryWriter(path, "run").close()
    for table, columns in CONTRACT.items():
        found = {str(row[0]) for row in ask(path, f"select name from pragma_table_info('{table}')")}
        assert set(columns.split()) <= found, table
    for table, indexed in schema.INDEXES:
        columns_of = (
            "select group_concat(i.name) from pragma_index_list('{}') as l, "
            "pragma_index_info(l.name) as i group by l.name"
        )
        assert (",".join(indexed),) in ask(path, columns_of.format(table))


def test_an_older_file_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "create table http_events (id integer primary key autoincrement, run_id text, ts real, "
            "host text, role text, method text, status integer, url_hash text, from_cache integer)"
        )
        connection.execute("insert into http_events (run_id, ts, host) values ('old', 1, 'h')")
    with TelemetryWriter(path, "new") as recorder:
        recorder.http_event(ts=2.0, host="h", role="metadata", rate_delay_ms=5.0)
    assert ask(path, "select run_id, rate_delay_ms from http_events order by id") == [
        ("old", None),
        ("new", 5.0),
    ]


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:

        def work(thread: int) -> None:
            for number in range(500):
                recorder.http_event(host=f"h{thread}", role="artifact", elapsed_ms=float(number))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert recorder.dropped == 0
    assert ask(path, "select count(*), count(distinct id) from http_events") == [(4000, 4000)]
    assert ask(path, "select count(*) from (select host from http_events group by 1)") == [(8,)]


def test_many_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    code = (
        "import sys; from recorder import TelemetryWriter\n"
        "with TelemetryWriter(sys.argv[1], sys.argv[2]) as recorder:\n"
        "    for number in range(1000):\n"
        "        recorder.fallback_attempt(artifact_id=str(number), outcome='success')\n"
        "assert recorder.dropped == 0\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), f"run-{n}"]) for n in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0, 0, 0, 0]
    counted = "select count(*), count(distinct id), count(distinct run_id) from fallback_attempts"
    assert ask(path, counted) == [(4000, 4000, 4)]


def test_events_before_exit_arrive_without_close(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    code = (
        "import sys; from recorder import TelemetryWriter\n"
        "recorder = TelemetryWriter(sys.argv[1], 'run', flush_interval_s=3600)\n"
        "recorder.rate_event(host='h', action='acquire')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    assert ask(path, "select count(*) from rate_events") == [(1,)]


def test_flush_waits_until_written(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run", flush_interval_s=3600) as recorder:
        recorder.rate_event(host="h", action="acquire")
        assert recorder.flush(10)
        assert ask(path, "select count(*) from rate_events") == [(1,)]


def test_downloads_and_summaries_are_completed_later(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        recorder.run_summary(started_at=1.0)
        recorder.download(artifact_id="a", content_length=5)
        recorder.update_download(artifact_id="a", sha256="ab", final_path="a.pdf")
        recorder.run_summary(finished_at=2.0)
    found = "select artifact_id, content_length, sha256, final_path from downloads"
    assert ask(path, found) == [("a", 5, "ab", "a.pdf")]
    assert ask(path, "select started_at, finished_at from run_summary") == [(1.0, 2.0)]


def test_values_that_cannot_be_stored_become_null_and_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite3"
    strange: Any = object()
    with TelemetryWriter(path, "run") as recorder:
        for _ in range(2):
            recorder.rate_event(host=strange, action="acquire", delay_ms=float("nan"))
        recorder.http_event(host="h", role="artifact", status=2**70, elapsed_ms=strange)
        wrong: Any = {"action": Colour.RED, "colour": "blue"}
        recorder.rate_event(host="\ud800", **wrong)
    assert ask(path, "select host, action, delay_ms from rate_events") == [
        (None, "acquire", None),
        (None, "acquire", None),
        ("[hidden]", "red", None),
    ]
    assert ask(path, "select host, status, elapsed_ms from http_events") == [("h", None, None)]
    counted = "select events, dropped, damaged_values from recorder_status"
    assert ask(path, counted) == [(4, 0, 7)]
    assert sorted(message.partition(": ")[2] for message in caplog.messages) == [
        "http_events.elapsed_ms: TypeError",
        "http_events.status: OverflowError",
        "rate_events.colour: no such column",
        "rate_events.delay_ms: ValueError",
        "rate_events.host: TypeError",
    ]


class Colour(Enum):
    """A value of a kind that crawlers have."""

    RED = "red"


def test_values_of_other_types_are_stored_as_what_they_mean(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    values: dict[str, Any] = {
        "artifact_id": UUID(int=7),
        "ts": at,
        "final_path": Path("a/b.pdf"),
        "content_length": "12",
        "elapsed_ms": Decimal("1.5"),
        "metadata": {"n": {1}, "why": ValueError("https://secret/"), "when": at},
    }
    with TelemetryWriter(path, "run") as recorder:
        recorder.download(**values)
        recorder.http_event(host="h", role="artifact", from_cache=True, error=ValueError("x"))
    columns = "artifact_id, ts, final_path, content_length, elapsed_ms, metadata"
    assert ask(path, f"select {columns} from downloads") == [
        (
            "00000000-0000-0000-0000-000000000007",
            at.timestamp(),
            "a/b.pdf",
            12,
            1.5,
            '{"n": [1], "when": "2026-11-24 10:00:00+00:00", "why": "ValueError"}',
        )
    ]
    assert ask(path, "select from_cache, error from http_events") == [(1, "ValueError")]


def test_metadata_is_what_it_was_when_it_was_recorded(tmp_path: Path) -> None:
    path, metadata = tmp_path / "t.sqlite3", {"resolver_name": "unpaywall"}
    with TelemetryWriter(path, "run") as recorder:
        recorder.download(artifact_id="a", metadata=metadata)
        metadata["resolver_name"] = "later"
    assert ask(path, "select metadata from downloads") == [('{"resolver_name": "unpaywall"}',)]


def test_off_allocates_nothing() -> None:
    recorder, run = NullRecorder(), open_run("run", {})

    def record() -> None:
        recorder.http_event(host="h", role="artifact", status=200, url="https://h/", ts=1.0)
        recorder.rate_event(host="h", action="acquire", delay_ms=1.0)
        recorder.breaker_transition(host="h", old_state="closed", new_state="open")
        recorder.fallback_attempt(outcome="success", artifact_id="a", source="x")
        recorder.download(artifact_id="a", sha256="x")
        recorder.run_summary(started_at=1.0)

    def blocks() -> None:
        with run.artifact("a") as artifact, artifact.attempt("x"):
            artifact.saved("nowhere.pdf")

    assert most_memory(record) == 0
    # A with statement holds two bound methods; an object of ours would have a dictionary too.
    assert most_memory(blocks) <= 256


def most_memory(call: Callable[[], None]) -> int:
    """Return the bytes that a call has at most, of what it allocated itself."""
    call()
    tracemalloc.start()
    try:
        call()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_no_url_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        recorder.http_event(host="h", role="artifact", url="https://h/secret-path?token=t0psecret")
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"secret" not in stored
    ((digest,),) = ask(path, "select url_hash from http_events")
    assert isinstance(digest, str)
    assert len(digest) == 64


def test_it_needs_neither_dbt_nor_duckdb() -> None:
    code = (
        "import sys, recorder; "
        "bad = {m.partition('.')[0] for m in sys.modules} & {'dbt', 'duckdb', 'exporter'}; "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
