"""What must not hurt: writers, readers and other runs at the same time, locks, a full disk."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import ROOT
from .support.runs import START, Tool, counts, loaded_counts, record

_WRITER = """
import sys, time, sqlite3
from recorder import TelemetryWriter
path, stop = sys.argv[1:]
import os
number = 0
with TelemetryWriter(path, 'busy') as telemetry:
    while not os.path.exists(stop):
        ts = 1760000000.0 + number / 100
        telemetry.http_event(ts=ts, host='h', role='metadata', status=200, from_cache=number % 2)
        telemetry.rate_event(ts=ts, host='h', role='metadata', action='acquire', delay_ms=number)
        telemetry.fallback_attempt(ts=ts, outcome='success', artifact_id=f'a{number}', source='s')
        telemetry.download(ts=ts, artifact_id=f'a{number}', content_length=number)
        if number > 50:
            telemetry.update_download(
                artifact_id=f'a{number - 50}', sha256='ab' * 32, final_path=f'{number}.pdf'
            )
        number += 1
        if number % 20 == 0:
            telemetry.flush()
            time.sleep(0.1)
"""
_DIE_WHILE_WRITING = """
import os, sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute('pragma cache_size = 1')  # so that pages reach the file before the commit
catalog.execute('begin immediate')
catalog.execute('create table half_done (x)')
for _ in range(2000):
    catalog.execute('insert into half_done values (zeroblob(1000))')
os._exit(9)
"""
_SUMS = """
import sqlite3, sys, json
c = sqlite3.connect(sys.argv[1])
print(json.dumps(c.execute(sys.argv[2]).fetchall()))
"""
_CONTENT = (
    "select count(*), sum(id), sum(content_length), count(sha256), count(final_path), "
    "sum(length(final_path)) from downloads"
)


def source_rows(db: Path, sql: str) -> list[list[object]]:
    """Ask the source with plain sqlite3, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _SUMS, str(db), sql], capture_output=True, text=True, check=True
    )
    rows: list[list[object]] = json.loads(done.stdout)
    return rows


def warehouse_rows(tool: Tool, sql: str) -> list[dict[str, object]]:
    """Ask the warehouse."""
    done = tool("query", "--format", "json", "--query", sql)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


@pytest.mark.slow
def test_a_writer_that_keeps_committing_loses_nothing(tool: Tool, tmp_path: Path) -> None:
    db, stop = tmp_path / "t.sqlite3", tmp_path / "stop"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(db), str(stop)])
    try:
        while not db.exists():
            assert writer.poll() is None
        seen = []
        for _ in range(2):
            done = tool("run", "--db", db)
            assert done.returncode == 0, done.stderr
            seen.append(loaded_counts(tool)["downloads"])
        assert writer.poll() is None, "the writer ended before the runs did"
    finally:
        stop.touch()
        assert writer.wait(60) == 0
    assert seen == sorted(set(seen)), "each run should find more rows"
    assert tool("run", "--db", db).returncode == 0
    assert loaded_counts(tool) == counts(db)
    (expected,) = source_rows(db, _CONTENT)
    (found,) = warehouse_rows(tool, _CONTENT.replace("sum(", "sum(1.0 * "))
    assert list(found.values()) == pytest.approx(expected)


def test_two_runs_at_once(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "a.sqlite3", "first")
    record(tmp_path / "b.sqlite3", "second", start=START + 1000)
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    threads = [
        threading.Thread(target=lambda n=name: done.update({n: tool("run", "--db", n)}))
        for name in ("a.sqlite3", "b.sqlite3")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in done.values()] == [0, 0], done
    waited = [process for process in done.values() if "waiting up to" in process.stderr]
    assert len(waited) == 1
    rows = json.loads(tool("runs", "--output-format", "json").stdout)
    assert [row["run_id"] for row in rows] == ["first", "second"]


def test_a_process_builds_one_warehouse_after_another_and_lets_others_write(
    tool: Tool, tmp_path: Path, prepared: Path
) -> None:
    for name in ("one", "two"):
        shutil.copytree(prepared, tmp_path / name)
    record(tmp_path / "a.sqlite3", "first")
    record(tmp_path / "b.sqlite3", "second", start=START + 1000)
    code = (
        "import os, sys; from pathlib import Path; from exporter.runner import build\n"
        "for name in ('one', 'two'):\n"
        "    os.environ['DOCSTOKG_WAREHOUSE'] = name\n"
        "    assert build(['a.sqlite3'], Path(sys.argv[1]), print, lambda *_: None).published\n"
        "print('built', flush=True); sys.stdin.read()\n"
    )
    builder = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT)],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert builder.stdout is not None
        assert "built" in builder.stdout.readline()
        two = {"DOCSTOKG_WAREHOUSE": str(tmp_path / "two")}
        done = tool("run", "--db", "b.sqlite3", DOCSTOKG_LOCK_TIMEOUT_S="0", **two)
        assert done.returncode == 0, done.stderr
    finally:
        builder.communicate()
    for name, runs in (("one", ["first"]), ("two", ["first", "second"])):
        done = tool("runs", "--output-format", "json", DOCSTOKG_WAREHOUSE=str(tmp_path / name))
        assert [run["run_id"] for run in json.loads(done.stdout)] == runs


def test_a_second_run_gives_up_at_its_limit(tool: Tool, tmp_path: Path, loaded: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
            "print('held', flush=True); sys.stdin.read()",
            str(tmp_path / "warehouse" / ".lock"),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = tool("run", "--db", loaded, DOCSTOKG_LOCK_TIMEOUT_S="0.3")
        assert done.returncode == 2
        assert "DOCSTOKG_LOCK_TIMEOUT_S" in done.stderr.splitlines()[-1]
    finally:
        holder.communicate()
    assert tool("run", "--db", loaded).returncode == 0


@pytest.mark.slow
def test_readers_never_see_half_a_run(tool: Tool, tmp_path: Path, loaded: Path) -> None:
    db = tmp_path / "t.sqlite3"
    ended = threading.Event()
    problems: list[str] = []
    states: set[int] = set()
    asked = (
        "select (select count(*) from http_events) as raw, "
        "(select sum(http_events) from intermediate.int_runs) as counted, "
        "(select sum(requests) from host_traffic) as requested, "
        "(select count(*) from run_verdicts) as runs"
    )

    def ask() -> None:
        while not ended.is_set():
            done = tool("query", "--format", "json", "--query", asked)
            if done.returncode != 0:
                problems.append(done.stderr)
                continue
            (row,) = json.loads(done.stdout)
            states.add(row["runs"])
            if not row["raw"] == row["counted"] == row["requested"] == 40 * row["runs"]:
                problems.append(str(row))
            ended.wait(0.3)

    def look() -> None:
        while not ended.is_set():
            done = tool("summary", "--run", "run")
            if done.returncode != 0:
                problems.append(done.stderr)
            done = tool("export", "--out", "out")
            if done.returncode != 0:
                problems.append(done.stderr)
            ended.wait(0.5)

    readers = [threading.Thread(target=ask), threading.Thread(target=look)]
    for reader in readers:
        reader.start()
    try:
        record(db, "run-1", start=START + 1000)
        done = tool("run", "--db", db)
        assert done.returncode == 0, done.stderr
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert len(states) > 1, "the readers should have met more than one state"


def test_a_locked_file_is_named_and_loads_later(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "good.sqlite3", "good")
    locked = tmp_path / "locked.sqlite3"
    record(locked, "locked", start=START + 1000)
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
            "c.execute('pragma journal_mode=delete'); c.execute('begin exclusive'); "
            "print('held', flush=True); sys.stdin.read()",
            str(locked),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = tool("run", "--db", "good.sqlite3", "--db", locked)
        assert done.returncode == 1
        assert f"skipped {locked}: locked by another program" in done.stderr
        assert loaded_counts(tool)["http_events"] == 40
        done = tool("summary", "--db", locked)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "locked by another program" in done.stderr
    finally:
        holder.communicate()
    assert tool("run", "--db", locked).returncode == 0
    assert loaded_counts(tool)["http_events"] == 80


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[dict[str, int]]:
    """Make a folder a file system of a few megabytes; where that is not allowed, limit files.

    Yields what to give to `subprocess`: nothing, or the limit that a child has to set itself.
    """
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    try:
        yield {} if mounted.returncode == 0 else {"limit": megabytes << 20}
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_good_state(tmp_path: Path, prepared: Path) -> None:
    record(tmp_path / "small.sqlite3", "small")
    large = tmp_path / "large.sqlite3"
    subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--db", str(large), "--events", "250000",
         "--runs", "2"],
        check=True, capture_output=True,
    )  # fmt: skip
    disk = tmp_path / "disk"
    with small_disk(disk, 12) as quota:
        shutil.copytree(prepared, disk / "warehouse")
        environ = {**os.environ, "DOCSTOKG_WAREHOUSE": str(disk / "warehouse")}

        def limited(*arguments: object) -> subprocess.CompletedProcess[str]:
            def set_limit() -> None:
                if quota:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

            return subprocess.run(
                [sys.executable, "-m", "exporter", *map(str, arguments)],
                env=environ, cwd=tmp_path, capture_output=True, text=True, check=False,
                preexec_fn=set_limit,
            )  # fmt: skip

        assert limited("run", "--db", "small.sqlite3").returncode == 0
        done = limited("run", "--db", large)
        assert done.returncode == 2, (done.stdout, done.stderr)
        message = done.stderr.strip().splitlines()[-1]
        assert "cannot write to the warehouse" in message
        assert "free some disk space" in message
        assert "Traceback" not in done.stderr
        kept = limited("runs", "--output-format", "json")
        assert [row["run_id"] for row in json.loads(kept.stdout)] == ["small"], kept.stderr
        assert limited("summary", "--run", "small").returncode == 0
        if not quota:
            subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
        quota.clear()
        done = limited("run", "--db", large)
        assert done.returncode == 0, done.stderr
        rows = json.loads(limited("runs", "--output-format", "json").stdout)
        assert len(rows) == 3
        asked = limited(
            "query", "--format", "json", "--query", "select count(*) n from http_events"
        )
        assert json.loads(asked.stdout) == [{"n": counts(large)["http_events"] + 40}]


def test_refreshes_with_nothing_new_write_nothing(loaded: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in (tmp_path / "warehouse").rglob("*")
            if path.is_file() and path.name not in (".lock", "catalog.sqlite-shm")
        }

    before = state()
    code = (
        "import sys; from pathlib import Path; from exporter.runner import build\n"
        "for _ in range(25):\n"
        "    done = build([sys.argv[1]], Path(sys.argv[2]), print, lambda *_: None)\n"
        "    assert done.was_current\n"
    )
    environ = {**os.environ, "DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse")}
    subprocess.run([sys.executable, "-c", code, str(loaded), str(ROOT)], env=environ, check=True)
    assert state() == before


@pytest.mark.slow
def test_the_store_does_not_grow_with_the_number_of_refreshes(
    tool: Tool, tmp_path: Path, ready: Path
) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run-0")
    code = """
import sys
from collections import Counter
from pathlib import Path
import exporter.housekeeping as housekeeping
from exporter.runner import build
housekeeping.clean_up.__defaults__ = (0.0,)  # nobody reads: nothing has to be kept for readers
import subprocess
append = "import sys; sys.path.insert(0, sys.argv[3]); " \\
    "from tests.python.support.runs import record; from pathlib import Path; " \\
    "record(Path(sys.argv[1]), 'run-0', artifacts=3, start=1760000000.0 + 100 * int(sys.argv[2]))"
for number in range(1, 6):
    subprocess.run([sys.executable, '-c', append, sys.argv[1], str(number), sys.argv[2]],
                   check=True)
    assert build([sys.argv[1]], Path(sys.argv[2]), print, lambda *_: None).published
    folders = Counter(path.parent for path in Path(sys.argv[3]).rglob('*.parquet'))
    print('FILES', max(folders.values()))
"""
    environ = {**os.environ, "DOCSTOKG_WAREHOUSE": str(ready)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(db), str(ROOT), str(ready)],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [int(line.split()[1]) for line in done.stdout.splitlines() if "FILES" in line]
    # of a table, where each refresh writes one; four are merged
    assert len(files) == 5 and max(files) <= 3, files
    assert loaded_counts(tool) == counts(db)


def test_times_keep_their_microseconds(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run", artifacts=1, start=1763940000.123457)
    assert tool("run", "--db", db).returncode == 0
    (row,) = warehouse_rows(
        tool,
        "select (select min(ts) from http_events) as ts, "
        "cast(min(occurred_at) as varchar) as at from stg_http_events",
    )
    assert row["ts"] == 1763940000.123457
    assert row["at"] == "2025-11-23 23:20:00.123457"
    for arguments in (("--db", db), ()):
        done = tool("summary", *arguments, "--output-format", "json")
        assert json.loads(done.stdout)["started_at"] == "2025-11-23T23:20:00.123457Z"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--nope",),
        ("nope",),
        ("query",),
        ("summary", "--db"),
        ("summary", "--output-format", "yaml"),
        ("query", "--query", "select 1", "--limit", "x"),
        ("export",),
    ],
)
def test_usage_errors_are_one_line(tool: Tool, arguments: tuple[str, ...]) -> None:
    done = tool(*arguments)
    if not arguments:
        assert done.returncode == 0
        assert "Commands:" in done.stdout
        return
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert "--help" in done.stderr


def test_shell_completion(tool: Tool) -> None:
    done = tool("--show-completion", "bash")
    assert done.returncode == 0
    assert "complete" in done.stdout


def test_readers_undo_what_a_killed_writer_left_in_the_catalog(
    tool: Tool, tmp_path: Path, loaded: Path
) -> None:
    before = tool("runs", "--output-format", "json").stdout
    catalog = tmp_path / "warehouse" / "catalog.sqlite"
    subprocess.run([sys.executable, "-c", _DIE_WHILE_WRITING, str(catalog)], check=False)
    assert catalog.with_name("catalog.sqlite-journal").stat().st_size > 0
    after = tool("runs", "--output-format", "json")
    assert after.returncode == 0, after.stderr
    assert after.stdout == before != ""


def test_a_first_run_killed_before_it_wrote_leaves_nothing_published(
    tool: Tool, tmp_path: Path
) -> None:
    catalog = tmp_path / "warehouse" / "catalog.sqlite"
    subprocess.run([sys.executable, "-c", _DIE_WHILE_WRITING, str(catalog)], check=False)
    done = tool("runs")
    assert done.returncode == 2
    assert "nothing is published" in done.stderr
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    assert tool("run", "--db", db).returncode == 0
