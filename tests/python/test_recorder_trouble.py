"""Telemetry in trouble: the crawler neither fails nor waits, and what is lost is counted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from recorder import Settings, TelemetryWriter, lifetime, pipeline, schema, writer

from .support.runs import Tool
from .support.web import ask

CALL_LIMIT_S = 0.05
"""Far above what a call takes, and far below what any trouble lasts."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other writer out."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("begin immediate")
        yield
        connection.execute("rollback")


def record(recorder: TelemetryWriter, count: int) -> float:
    """Record events; return the seconds that the slowest call took."""
    slowest = 0.0
    for number in range(count):
        began = time.perf_counter()
        recorder.http_event(host="h", role="artifact", url=f"https://h/{number}", status=200)
        slowest = max(slowest, time.perf_counter() - began)
    return slowest


def test_a_file_that_cannot_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    began = time.monotonic()
    with TelemetryWriter(tmp_path / "file" / "t.sqlite3", "run", flush_interval_s=0.05) as recorder:
        assert record(recorder, 3) < CALL_LIMIT_S
        assert not recorder.flush(0.3)
    assert time.monotonic() - began < 5
    assert recorder.dropped == 3
    assert sum("telemetry is being dropped" in message for message in caplog.messages) == 1
    assert sum("telemetry waits" in message for message in caplog.messages) == 1
    assert "telemetry lost 3 of 3 events" in caplog.messages


CLOSED_FOLDER = """
import os, sys
from recorder import TelemetryWriter
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with TelemetryWriter(sys.argv[1], "run") as recorder:
    recorder.rate_event(host="h", action="acquire")
print(recorder.dropped)
"""


def test_a_folder_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        path = Path(folder) / "t.sqlite3"
        done = subprocess.run(
            [sys.executable, "-c", CLOSED_FOLDER, str(path)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
        assert "unable to open database file" in done.stderr
        assert not path.exists()


def test_a_locked_file_is_waited_for_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run", flush_interval_s=0.05) as recorder:
        assert recorder.flush(10)
        with locked(path):
            assert record(recorder, 500) < CALL_LIMIT_S
            assert not recorder.flush(2.5)  # longer than one attempt takes
            assert record(recorder, 500) < CALL_LIMIT_S
        assert recorder.flush(10)
        assert ask(path, "select count(*) from http_events") == [(1000,)]
    assert recorder.dropped == 0
    assert caplog.messages == []


def test_a_file_locked_to_the_end_is_given_up_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite3"
    recorder = TelemetryWriter(path, "run")
    assert recorder.flush(10)
    with locked(path):
        record(recorder, 10)
        began = time.monotonic()
        recorder.close(1.5)
        assert 1 < time.monotonic() - began < 5
    assert recorder.dropped == 10
    assert "telemetry lost 10 of 10 events" in caplog.messages
    assert any("database is locked" in message for message in caplog.messages)


def test_more_events_than_can_wait_are_counted_and_recorded_as_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "QUEUE_LIMIT", 100)
    for module in (writer, pipeline):
        monkeypatch.setattr(module, "BACKLOG_LIMIT", 50)
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run", flush_interval_s=0.05) as recorder:
        assert recorder.flush(10)
        with locked(path):
            record(recorder, 50)
            time.sleep(0.5)  # the writer takes these, and waits with them
            assert record(recorder, 300) < CALL_LIMIT_S
            kept = 350 - recorder.dropped
            assert kept == 150
    assert ask(path, "select count(*) from http_events") == [(kept,)]
    assert ask(path, "select events, dropped from recorder_status") == [(350, 350 - kept)]
    assert sum("telemetry is being dropped" in message for message in caplog.messages) == 1


def test_a_summary_says_what_was_dropped(tool: Tool, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    for run_id in ("whole", "torn"):
        with TelemetryWriter(path, run_id) as recorder:
            record(recorder, 3)
            if run_id == "torn":
                assert recorder.flush(10)
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute(
                        "create trigger full before insert on http_events "
                        "begin select raise(abort, 'full'); end"
                    )
                record(recorder, 2)
    said = {
        run_id: tool("summary", "--db", path, "--run", run_id).stderr
        for run_id in ("whole", "torn")
    }
    assert said == {
        "whole": "",
        "torn": "the recorder dropped 2 events of this run: what is shown is of those it kept "
        "(why: first_error in recorder_health)\n",
    }


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow: to SQLite that is a full disk."""
    path = tmp_path / "t.sqlite3"
    code = (
        "import resource, signal, sys, time\n"
        "from recorder import TelemetryWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with TelemetryWriter(sys.argv[1], 'run', flush_interval_s=0.05) as recorder:\n"
        "    recorder.rate_event(host='h', action='acquire')\n"
        "    assert recorder.flush(10)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))\n"
        "    for _ in range(200):\n"
        "        recorder.rate_event(host='h' * 500, action='acquire')\n"
        "    assert not recorder.flush(1)\n"
        "    assert recorder.dropped == 0\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "    assert recorder.flush(10)\n"
        "assert recorder.dropped == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("telemetry waits") == 1
    assert ask(path, "select count(*) from rate_events") == [(201,)]


def test_a_file_that_was_removed_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run", flush_interval_s=0.05) as recorder:
        record(recorder, 10)
        assert recorder.flush(10)
        path.unlink()
        record(recorder, 7)
        assert recorder.flush(10)
        assert ask(path, "select count(*) from http_events") == [(7,)]
        record(recorder, 3)
    assert ask(path, "select count(*) from http_events") == [(10,)]
    assert ask(path, "pragma integrity_check") == [("ok",)]
    assert sum("was removed or replaced" in message for message in caplog.messages) == 1


def test_a_file_with_rules_of_its_own_keeps_what_they_allow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        schema.ensure_schema(connection)
        connection.execute(
            "create trigger no_evil before insert on rate_events when new.host = 'evil' "
            "begin select raise(abort, 'no'); end"
        )
        connection.commit()
    with TelemetryWriter(path, "run") as recorder:
        for host in ("good", "evil", "good", "evil", "good"):
            recorder.rate_event(host=host, action="acquire")
        recorder.rate_event(host="good", action="block")
    assert ask(path, "select host, count(*) from rate_events") == [("good", 4)]
    assert recorder.dropped == 2
    assert sum("telemetry is being dropped" in message for message in caplog.messages) == 1


def test_a_newer_file_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.sqlite3"
    TelemetryWriter(path, "old").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update recorder_schema set version = version + 1")
        connection.commit()
    with TelemetryWriter(path, "new") as recorder:
        recorder.rate_event(host="h", action="acquire")
    assert recorder.dropped == 1
    assert ask(path, "select count(*) from rate_events") == [(0,)]
    assert any("update the recorder, or name another file" in text for text in caplog.messages)


SLEEPER = """
import sys, time
from recorder import open_run
with open_run("run") as run:
    number = 0
    while True:
        run.recorder.rate_event(host="h", action="acquire", delay_ms=float(number))
        number += 1
        if number == 20:
            print("going", flush=True)
        time.sleep(0.002)
"""


@contextmanager
def process(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a recording program until it has begun."""
    environ = os.environ | {
        "DOCSTOKG_ENABLE_TELEMETRY": "1",
        "DOCSTOKG_TELEMETRY_DB_PATH": str(path),
    }
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "going\n"
        yield child
    finally:
        child.kill()
        child.wait()


def test_sigterm_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with process(SLEEPER, path) as child:
        time.sleep(0.1)
        child.terminate()
        assert child.wait(20) == -signal.SIGTERM
    ((count, last),) = ask(path, "select count(*), max(delay_ms) from rate_events")
    assert count == last + 1
    assert ask(path, "select events - 1 from recorder_status") == [(count,)]


def test_a_sigterm_handler_of_the_crawler_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    for code in (
        f"import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n{SLEEPER}",
        SLEEPER.replace(
            "number = 0",
            "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); number = 0",
        ),
    ):
        with process(code, path) as child:
            child.terminate()
            assert child.wait(20) == 7
    # Besides, each run has recorded its start and its end.
    ((recorded, stored),) = ask(
        path, "select sum(events), (select count(*) from rate_events) from recorder_status"
    )
    assert recorded == stored + 2 * 2


def test_sigkill_loses_at_most_the_last_interval(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with process(SLEEPER, path) as child:
        time.sleep(1.2)
        killed_at = time.time()
        child.kill()
        child.wait(20)
    ((count, highest, last),) = ask(
        path, "select count(*), max(delay_ms), max(ts) from rate_events"
    )
    assert count == highest + 1  # nothing is missing before the last
    # half a second is the interval; the rest is for a machine with other work
    assert killed_at - last < 1.0


FORKS = """
import multiprocessing, os, sys, time
from recorder import TelemetryWriter
recorder = TelemetryWriter(sys.argv[1], "run", flush_interval_s=0.05)
recorder.rate_event(host="parent", action="acquire")
recorder.flush()
recorder.rate_event(host="parent-queued", action="acquire")
child = os.fork()
if child == 0:
    recorder.rate_event(host="child", action="acquire")
    sys.exit(0)
os.waitpid(child, 0)
def work(number):
    for _ in range(100):
        recorder.rate_event(host=f"worker-{number}", action="acquire")
context = multiprocessing.get_context("fork")
workers = [context.Process(target=work, args=(number,)) for number in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
recorder.rate_event(host="parent-after", action="acquire")
"""


def test_forked_children_record_and_nothing_is_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS, str(path)], check=True, timeout=60)
    assert dict(ask(path, "select host, count(*) from rate_events group by 1")) == {
        "parent": 1,
        "parent-queued": 1,
        "parent-after": 1,
        "child": 1,
        "worker-0": 100,
        "worker-1": 100,
        "worker-2": 100,
    }
    assert ask(path, "pragma integrity_check") == [("ok",)]


def work_elsewhere(recorder: TelemetryWriter) -> None:
    """Record in a process that was started anew."""
    recorder.rate_event(host="elsewhere", action="acquire")


def test_a_recorder_goes_with_its_worker_processes(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        worker = multiprocessing.get_context("spawn").Process(
            target=work_elsewhere, args=(recorder,)
        )
        worker.start()
        worker.join(60)
        assert worker.exitcode == 0
    assert ask(path, "select run_id, host from rate_events") == [("run", "elsewhere")]
    assert pickle.loads(pickle.dumps(recorder)).settings == recorder.settings


TEXTS = """
import sys
from pathlib import Path
from recorder import Settings, TelemetryWriter
folder = Path(sys.argv[1])
settings = Settings(True, folder / "t.sqlite3", folder / "t.jsonl", folder / "t.csv", 20_000)
with TelemetryWriter(settings, sys.argv[2], flush_interval_s=0.01) as recorder:
    for number in range(1000):
        recorder.rate_event(host=str(number), action="acquire")
        if number % 50 == 0:
            assert recorder.flush(30)
assert recorder.dropped == 0
"""


def test_processes_share_files_that_are_set_aside(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", TEXTS, str(tmp_path), f"run-{number}"])
        for number in range(3)
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert ask(tmp_path / "t.sqlite3", "select count(*) from rate_events") == [(3000,)]
    texts = sorted(tmp_path.glob("t*.jsonl"))
    assert len(texts) > 5
    # A batch is never torn apart, so a file may be as long as one batch.
    assert max(text.stat().st_size for text in texts) < 30_000
    lines = [json.loads(line) for text in texts for line in text.read_text().splitlines()]
    said = [line for line in lines if line["table"] == "recorder_status"]
    assert [(line["events"], line["dropped"]) for line in said] == [(1000, 0)] * 3
    lines = [line for line in lines if line not in said]
    assert len(lines) == 3000
    assert {(line["run_id"], line["host"]) for line in lines} == {
        (f"run-{run}", str(number)) for run in range(3) for number in range(1000)
    }
    tables = sorted(tmp_path.glob("t*.csv"))
    rows = [row for table in tables for row in table.read_text().splitlines()]
    heads = sum(row.startswith("table,change,run_id,ts,host,") for row in rows)
    assert heads == len(tables)
    assert len(rows) - heads == 3000 + len(said)


def test_a_text_file_alone_says_what_was_lost(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("no folder")
    settings = Settings(True, jsonl_path=folder / "t.jsonl")
    with TelemetryWriter(settings, "run", flush_interval_s=0.05) as recorder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "BACKLOG_LIMIT", 10)
            record(recorder, 25)
            time.sleep(0.3)
        folder.unlink()
    lines = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    assert [line["table"] for line in lines] == ["http_events"] * 10 + ["recorder_status"] * 2
    assert [(line["events"], line["dropped"]) for line in lines[10:]] == [(25, 15)] * 2


def test_a_text_file_that_another_holds_leaves_the_database_alone(tmp_path: Path) -> None:
    settings = Settings(True, tmp_path / "t.sqlite3", tmp_path / "t.jsonl")
    with (tmp_path / "t.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with TelemetryWriter(settings, "run", flush_interval_s=0.05) as recorder:
            record(recorder, 10)
            assert not recorder.flush(0.5)
            assert ask(tmp_path / "t.sqlite3", "select count(*) from http_events") == [(10,)]
            fcntl.flock(held, fcntl.LOCK_UN)
            assert recorder.flush(10)
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 11


def test_the_last_word_waits_for_a_file_that_others_are_writing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with path.open("w") as held:
        recorder = TelemetryWriter(Settings(True, jsonl_path=path), "run", flush_interval_s=0.05)
        record(recorder, 10)
        assert recorder.flush(10)
        fcntl.flock(held, fcntl.LOCK_EX)
        release = threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN))
        release.start()
        recorder.close()
        release.join()
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["table"], last["events"], last["dropped"]) == ("recorder_status", 10, 0)


def test_a_file_that_is_renamed_keeps_what_it_had(tmp_path: Path) -> None:
    path, old = tmp_path / "t.sqlite3", tmp_path / "old.sqlite3"
    with TelemetryWriter(path, "run", flush_interval_s=0.05) as recorder:
        record(recorder, 100)
        assert recorder.flush(10)
        path.rename(old)
        record(recorder, 10)
    for file, count in ((old, 100), (path, 10)):
        assert ask(file, "select count(*) from http_events") == [(count,)]
        assert ask(file, "pragma integrity_check") == [("ok",)]


def test_a_fast_crawler_and_a_file_locked_for_seconds(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        assert recorder.flush(10)
        with locked(path):
            for _ in range(60):
                record(recorder, 2_000)
                time.sleep(0.04)
        recorder.close(60)
    assert recorder.dropped == 0
    assert ask(path, "select count(*) from http_events") == [(120_000,)]


def test_several_writers_end_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.sqlite3" for number in range(3)]
    recorders = [TelemetryWriter(path, "run") for path in paths]
    with contextlib.ExitStack() as stack:
        for path, recorder in zip(paths, recorders, strict=True):
            assert recorder.flush(10)
            stack.enter_context(locked(path))
            record(recorder, 5)
        began = time.monotonic()
        lifetime.end_all(1.5)
        assert time.monotonic() - began < 4
    assert [recorder.dropped for recorder in recorders] == [5, 5, 5]


FOREIGN = {
    "another program's version": "create table theirs (x); pragma user_version = 2",
    "a high version of another program": "create table theirs (x); pragma user_version = 77",
}


@pytest.mark.parametrize("sql", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_program_takes_telemetry_too(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
        before = connection.execute("pragma user_version").fetchone()
    for _ in range(2):
        with TelemetryWriter(path, "run") as recorder:
            record(recorder, 5)
        assert recorder.dropped == 0
    assert ask(path, "select count(*) from http_events") == [(10,)]
    assert ask(path, "pragma user_version") == [before]


def test_a_table_that_does_not_fit_spoils_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table run_summary (run_id text, started_at real)")
        connection.execute("create table downloads (run_id text, ts real, artifact_id text)")
    with TelemetryWriter(path, "run") as recorder:
        recorder.run_summary(started_at=1.0)  # there is no key that it could replace a row by
        record(recorder, 5)
        recorder.download(artifact_id="a")
        recorder.update_download(artifact_id="a", sha256="ab")
    assert ask(path, "select count(*) from http_events") == [(5,)]
    assert ask(path, "select count(*) from downloads") == [(1,)]
    assert recorder.dropped == 2


def test_an_update_of_nothing_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        recorder.update_download(artifact_id="a", sha256="ab")
        recorder.download(artifact_id="b")
        recorder.update_download(artifact_id="b", sha256="ab")
    assert recorder.dropped == 1
    assert ask(path, "select artifact_id, sha256 from downloads") == [("b", "ab")]


def test_several_processes_record_one_run_from_its_start_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        for started, finished in ((5.0, None), (3.0, None), (None, 9.0), (4.0, 7.0)):
            recorder.run_summary(started_at=started, finished_at=finished)
            recorder.flush()
    assert ask(path, "select started_at, finished_at from run_summary") == [(3.0, 9.0)]


def test_a_text_file_in_trouble_leaves_the_database_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = Settings(True, tmp_path / "t.sqlite3", tmp_path / "file" / "t.jsonl")
    with TelemetryWriter(settings, "run") as recorder:
        record(recorder, 5)
    assert recorder.dropped == 0
    assert ask(tmp_path / "t.sqlite3", "select count(*) from http_events") == [(5,)]
    assert any("t.jsonl" in message for message in caplog.messages)


def test_calls_from_many_threads_while_it_closes(tmp_path: Path) -> None:
    path, stop = tmp_path / "t.sqlite3", threading.Event()
    recorder = TelemetryWriter(path, "run")
    calls = [0] * 4

    def work(thread: int) -> None:
        while not stop.is_set():
            recorder.rate_event(host="h", action="acquire")
            calls[thread] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    recorder.close(30)
    stop.set()
    for thread in threads:
        thread.join()
    recorder.close(30)  # it had to share the processor with them
    ((stored,),) = ask(path, "select count(*) from rate_events")
    assert stored > 0
    assert stored + recorder.dropped == sum(calls)
