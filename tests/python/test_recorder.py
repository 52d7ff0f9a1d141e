"""The recorder: off by default, private, thread- and process-safe, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from recorder import NullRecorder, SettingsError, TelemetryWriter, open_recorder, schema

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


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


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


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"DOCSTOKG_ENABLE_TELEMETRY": "1"}, "DOCSTOKG_TELEMETRY_DB_PATH is not set"),
        ({"DOCSTOKG_ENABLE_TELEMETRY": "hunter2"}, "neither on"),
    ],
)
def test_settings_that_cannot_be_used(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as raised:
        open_recorder("run", environ)
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


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    TelemetryWriter(path, "old").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {schema.SCHEMA_VERSION + 1}")
    with TelemetryWriter(path, "new") as recorder:
        recorder.rate_event(host="h", action="acquire")
    assert recorder.dropped == 1
    assert ask(path, "select count(*) from rate_events") == [(0,)]


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


def test_trouble_never_reaches_the_crawler(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with TelemetryWriter(tmp_path / "file" / "t.sqlite3", "run") as recorder:
        for _ in range(3):
            recorder.rate_event(host="h", action="acquire")
            recorder.flush(10)
    assert recorder.dropped == 3
    assert sum("telemetry is being dropped" in message for message in caplog.messages) == 1


def test_one_bad_value_does_not_spoil_its_batch(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        recorder.rate_event(host="good", action="acquire")
        recorder.rate_event(host=object(), action="acquire")  # type: ignore[typeddict-item]
        recorder.rate_event(host="good", action="acquire")
    assert ask(path, "select host from rate_events") == [("good",), ("good",)]
    assert recorder.dropped == 1


def test_a_wrong_field_is_a_bug(tmp_path: Path) -> None:
    with (
        TelemetryWriter(tmp_path / "t.sqlite3", "run") as recorder,
        pytest.raises(TypeError, match="colour"),
    ):
        recorder.rate_event(colour="blue")  # type: ignore[call-arg]


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
