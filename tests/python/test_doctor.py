"""docstokg-telemetry doctor: every planted problem is named, with its number and a remedy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import checks_file, checks_machine, checks_time, examined
from exporter.checks_privacy import Looks
from exporter.checks_recorder import check_recorders
from exporter.checks_size import check_size
from exporter.checks_tables import COLUMN_COSTS, TABLE_COSTS
from exporter.checks_time import check_rows
from exporter.examine import CHECKS, examine
from exporter.findings import FILE_CHECKS, SHARED_CHECKS
from exporter.raw_schema import CAPABILITIES, TABLES, TELEMETRY

from .conftest import ROOT
from .support.runs import START, Tool, counts, record
from .test_hostile import copy_of_project, make
from .test_privacy import HEADERS, LOGINS, REQUEST_LINES, URLS

#: The recorder's own figures of a run that was over long ago, as for a crawl of some minutes.
_LONG = (
    "update recorder_status set started_at = 1e9, updated_at = 1e9 + 100, call_s = 0.5, "
    "writer_cpu_s = 0.25;"
)


def good_file(path: Path, script: str = "") -> Path:
    """Record a run in which nothing is wrong, then plant what a script does."""
    record(path, "run")
    make(path, _LONG + script)
    return path


def not_good(path: Path, deep: bool = False) -> list[tuple[str, str, str]]:
    """Return (check, status, found) of what is not good about a file."""
    findings = examine(str(path), str(path), deep)
    assert all(f.remedy for f in findings if f.status != "good")
    return [(f.check, f.status, f.found) for f in findings if f.status != "good"]


def doctor(tool: Tool, *arguments: object) -> dict[str, Any]:
    """Run the command; return its JSON."""
    done = tool("doctor", *arguments, "--output-format", "json")
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["counts"]["bad"] else 0)
    return found


def test_nothing_is_wrong_with_a_good_file(tmp_path: Path) -> None:
    db = good_file(tmp_path / "t.sqlite3")
    findings = examine(str(db), str(db), False)
    assert {f.check: f.status for f in findings} == {
        name: "good" for name in FILE_CHECKS if name in ("file", "integrity", *CHECKS)
    }
    found = {f.check: f.found for f in findings}
    assert found["tables"] == (
        "all 6, rows: http_events 40, rate_events 0, breaker_transitions 0, "
        "fallback_attempts 40, downloads 20, run_summary 1"
    )
    assert not_good(db, deep=True) == []


EVENT = "insert into http_events (run_id, ts) values ('run', {})"
PLANTED = [
    ("format", "warning", "journal mode delete", "pragma journal_mode = delete"),
    ("tables", "warning", "fallback_attempts is missing: ttfp", "drop table fallback_attempts"),
    ("ids", "warning", "rate_events: a view: read whole at every load",
     "drop table rate_events; create view rate_events as select 1 as id"),
    ("columns", "warning", "downloads lacks final_path: corruption_count is NULL",
     "alter table downloads drop column final_path"),
    ("columns", "bad", "rate_events lacks run_id: all its rows are rejected",
     "drop index idx_rate_events_run_id_ts; alter table rate_events drop column run_id"),
    ("indexes", "warning", "http_events has no index on (run_id, ts)",
     "drop index idx_http_events_run_id_ts; with recursive n(i) as (select 1 union all select i + 1"
     f" from n where i < 50000) insert into http_events (run_id, ts) select 'run', {START} from n"),
    ("ids", "warning", "rate_events: id without AUTOINCREMENT",
     "drop table rate_events; create table rate_events (id integer primary key, run_id text,"
     " ts real, host, role, action, delay_ms, max_delay_ms)"),
    ("ids", "warning", "rate_events: id is not an INTEGER PRIMARY KEY",
     "drop table rate_events; create table rate_events (id text primary key, run_id text, ts real)"
     " without rowid"),
    ("schema version", "warning", "version 99, this program knows",
     "update recorder_schema set version = 99"),
    ("ignored", "warning",
     "not read: 2 columns of downloads (part_path, fsync_ms); 1 table (Notes)",
     "alter table downloads add part_path; alter table downloads add fsync_ms;"
     " create table Notes (x)"),
    ("privacy", "bad", "http_events.error: 1 of 40 rows hold a URL, query string or credential, "
     "for example in row 3", "update http_events set error = 'no https://x/?k=t0ps' where id = 3"),
    ("privacy", "bad", "downloads.metadata: 20 of 20 rows",
     """update downloads set metadata = '{"a": {"api_key": "t0ps"}}'"""),
    ("privacy", "bad", "downloads.artifact_id: 1 of 20 rows",
     "update downloads set artifact_id = 'https://x/t0ps' where id = 1"),
    ("privacy", "bad", "http_events.status: 1 of 40 rows",  # any value fits any column
     "update http_events set status = 'nul' || char(0) || 'http://t0ps/' where id = 1"),
    ("privacy", "bad", "http_events.host: 1 of 40 rows",
     "update http_events set host = cast('user:t0ps@h.example' as blob) where id = 1"),
    ("privacy", "bad", "http_events.error: 1 of 40 rows",
     "update http_events set error = replace(hex(zeroblob(9000)), '0', 'a ') || 'token=t0ps'"
     " where id = 1"),
    ("privacy", "warning", "manifest.url: 1 of 1 row hold",
     "create table manifest (url); insert into manifest values ('https://x/t0ps?a=b')"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "status", "found", "script"), PLANTED)
def test_a_planted_problem_is_named(
    tmp_path: Path, check: str, status: str, found: str, script: str
) -> None:
    db = good_file(tmp_path / "t.sqlite3", script)
    named = not_good(db)
    assert any(
        (c, s) == (check, status) and f.partition(found)[1] for c, s, f in named
    ), named  # fmt: skip
    # and nothing else is made of it, but for what follows from it
    follows = {"ids", "columns", "indexes", "ignored"}
    assert {c for c, _, _ in named} <= {check} | follows
    assert "t0ps" not in str(named)


@pytest.mark.parametrize(
    ("check", "status", "found", "change"),
    [
        ("recorder", "good", "101 events of 1 writer, none dropped", "call_s = 0.5"),
        ("recorder", "bad", "50 of 101 events dropped by 1 writer; first error: disk full",
         "dropped = 50, first_error = 'disk full'"),
        ("recorder", "warning", "1 of 101 events dropped", "dropped = 1"),
        ("recorder", "warning", "7 values that fitted no column are NULL", "damaged_values = 7"),
        ("recorder", "warning", "nothing was lost, but a writer met an error: full",
         "first_error = 'full'"),
        ("recorder", "unknown", "what was lost of 1 run is not recorded, such as run",
         "dropped = null"),
        ("recorder", "unknown", "no recorder_status", None),
        ("overhead", "good", "recording takes 0.75 % of run run, the most of all runs: 0.50 % in "
         "calls, 0.25 % of processor time in the writer; the limit is 5 %", "call_s = 0.5"),
        ("overhead", "bad", "recording takes 5.00 % of run run", "call_s = 4.75"),
        ("overhead", "warning", "recording takes 1.00 % of run run", "call_s = 0.75"),
        ("overhead", "unknown", "no run recorded for long enough (the longest: 3.0 s)",
         "updated_at = started_at + 3"),
        ("overhead", "unknown", "no recorder_status", None),
    ],
)  # fmt: skip
def test_what_recorders_say_is_judged_by_the_model_that_gate_reads(
    tmp_path: Path,
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    status: str,
    found: str,
    change: str | None,
) -> None:
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(prepared))
    sql = f"update recorder_status set {change}" if change else "drop table recorder_status"
    db = good_file(tmp_path / "t.sqlite3", sql)
    named = [f for f in check_recorders(str(db), None) if f.check == check]
    assert [(f.status, f.found.partition(found)[1]) for f in named] == [(status, found)], named
    assert all(f.remedy for f in named if f.status != "good")


AHEAD = "unixepoch('now') + 86400"


@pytest.mark.parametrize(
    ("check", "status", "found", "script"),
    [
        ("times", "good", "all between 2000 and now: downloads 20 rows; fallback_attempts 40 rows; "
         "http_events 40 rows", ""),
        ("times", "good", "http_events 42 rows (1 of them text)",
         EVENT.format(f"{START} * 1000000")
         + f", ('run', strftime('%Y%m%dT%H%M%S,5z', {START}, 'unixepoch'))"),
        ("times", "bad", "1 of 41 rows in http_events lie in the future, the latest at 2",
         EVENT.format(AHEAD)),
        ("times", "bad", "1 of 41 rows in http_events have no time between 2000 and 2100, such as "
         "'5.0': rejected", EVENT.format("5")),
        ("times", "bad", "2 of 42 rows in http_events have no time between 2000 and 2100, such as "
         "'soon': rejected", EVENT.format("'soon'") + ", ('run', x'00ff')"),
        ("times", "bad", "1 of 21 rows in downloads have no time between 2000 and 2100, such as "
         "'soon': they count as missing",
         "insert into downloads (run_id, artifact_id, ts) values ('run', 'a', 'soon')"),
        ("order", "good", "time goes forward within runs: downloads 20 rows", ""),
        ("order", "warning", "http_events: time goes back 1 time within a run in 42 rows, by up to "
         "100.0 s (id 42)", EVENT.format(START + 200) + f", ('run', {START + 100})"),
        ("runs", "good", "1 run", ""),
        ("runs", "bad", "1 run ends before it starts, run by 5.0 s",
         "update run_summary set finished_at = started_at - 5"),
        ("runs", "warning", "1 of 1 run has no end and stopped: run, last event ",
         "update run_summary set finished_at = null"),
        ("runs", "good", "1 run, 1 without an end",
         "drop table run_summary; drop table recorder_status"),
        ("values", "good", "all fit their columns", ""),
        ("values", "bad", "http_events.from_cache: values do not fit in 40 of 40 rows and count as "
         "missing, such as 'ja'", "update http_events set from_cache = 'ja'"),
        ("values", "good", "all fit their columns", "update http_events set from_cache = 'True'"),
    ],
)  # fmt: skip
def test_rows_are_judged_by_the_models(
    tmp_path: Path,
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    status: str,
    found: str,
    script: str,
) -> None:
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(prepared))
    db = good_file(tmp_path / "t.sqlite3", script)
    named = list(check_rows(str(db), False, None))
    assert [(f.status, f.found.partition(found)[1]) for f in named if f.check == check] == [
        (status, found)
    ], named
    assert all(f.remedy for f in named if f.status != "good")


def test_of_a_large_table_the_newest_rows_are_looked_at(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(prepared))
    monkeypatch.setattr(checks_time, "NEWEST_ROWS", 10)
    db = good_file(tmp_path / "t.sqlite3", "update http_events set ts = 'soon' where id <= 30")
    (times,) = (f for f in check_rows(str(db), False, None) if f.check == "times")
    assert (times.status, times.found.partition("http_events the newest 10 rows")[1]) == (
        "good", "http_events the newest 10 rows"
    )  # fmt: skip
    (times,) = (f for f in check_rows(str(db), True, None) if f.check == "times")
    assert (times.status, times.found[:30]) == ("bad", "30 of 40 rows in http_events h")


def test_sizes_of_file_log_and_free_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = good_file(tmp_path / "t.sqlite3")
    make(db, "create table x (a); insert into x values (zeroblob(300000)); delete from x")
    monkeypatch.setattr(checks_file, "FREE_BYTES", 1000)
    assert {check for check, _, _ in not_good(db)} == {"free pages", "ignored"}
    # sparse: a log that large has nothing that SQLite would read
    with Path(f"{db}-wal").open("wb") as log:
        log.truncate(65 * 10**6)
    assert any(c == "wal" and "65 MB" in f for c, _, f in not_good(db))


def test_size_is_judged_with_the_log(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(prepared))
    db = tmp_path / "t.sqlite3"
    for megabytes, log, status in ((2000, 0, "good"), (2000, 1, "warning"), (5001, 0, "bad")):
        for path, number in ((db, megabytes), (Path(f"{db}-wal"), log)):
            with path.open("wb") as file:  # sparse
                file.truncate(number * 10**6)
        (finding,) = check_size(str(db), None)
        assert (finding.check, finding.status) == ("size", status), finding
        assert "the limit is 2 GB" in finding.found


def test_damage_is_found(tmp_path: Path) -> None:
    db = good_file(tmp_path / "t.sqlite3")
    make(db, "pragma wal_checkpoint(truncate)")
    content = bytearray(db.read_bytes())
    content[-4096 * 4 :] = os.urandom(4096 * 4)
    db.write_bytes(content)
    named = not_good(db)
    assert any((c, s) == ("integrity", "bad") for c, s, _ in named), named


def test_only_the_newest_rows_of_a_large_table_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examined, "WHOLE_ROWS", 200)
    monkeypatch.setattr(examined, "NEWEST_ROWS", 100)
    db = good_file(
        tmp_path / "t.sqlite3",
        "update http_events set error = 'https://x/' where id = 1; with recursive n(i) as "
        "(select 1 union all select i + 1 from n where i < 12000) "
        f"insert into http_events (run_id, ts) select 'run', {START} + 100 from n",
    )
    assert not_good(db) == []
    (told,) = (f.found for f in examine(str(db), str(db), False) if f.check == "privacy")
    assert "http_events the newest 100 of 12,040 rows" in told
    assert [c for c, _, _ in not_good(db, deep=True)] == ["privacy"]


CLEAN = st.text("abz_019 .-", max_size=12)
SUSPICIOUS = st.lists(
    CLEAN
    | URLS
    | REQUEST_LINES
    | LOGINS
    | HEADERS
    | st.sampled_from(
        [
            "//h.example",
            "h.example/",
            "user@h.example/",
            "a=b&c=d",
            "%3A%2F",
            ":\\/",
            "a?b",
            "url: x",
        ]
        + ["token", "PassWord", "api key", "sid", "=", ":", "'", '"', ",", ">", "<", "(", ")", " "]
        + ["Bearer abcdef1", "ghp_" + "a" * 20, "AKIA" + "B" * 16, "eyJhbGciOiJI", "sk-" + "a" * 16]
        + [
            "-----BEGIN",
            "digest a1",
            "-u a:b",
            "ſecret=1",
            "\0",
            "\t",
            "headers=",
            "query",
            "[url]",
        ]
    ),
    max_size=5,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(
    text=SUSPICIOUS,
    key=st.sampled_from(["a", "api_key", "Cookie", "href", "x-amz-id", "params", "PWD"]) | CLEAN,
    place=st.sampled_from(
        [("http_events", name) for name in ("error", "host", "run_id", "url_hash", "metadata")]
    ),
)
def test_the_quick_look_passes_nothing_that_cleaning_changes(
    text: str, key: str, place: tuple[str, str]
) -> None:
    looks = Looks()
    look, is_harmless = looks.look(*place)
    for value in (text, json.dumps({key: text}), json.dumps([key, text], ensure_ascii=False)):
        stored = value.encode()
        if value and look(value):
            assert not is_harmless(stored)
            # those of other rows do not hide it
            assert not is_harmless(b"some-other\n" + stored + b"\nand-one.more")
            assert looks.suspicious(*place, {stored, b"a"}) == {stored}


def test_hostile_files_are_named_and_crash_nothing(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "a b'c\n*"
    folder.mkdir()
    record(folder / "good.db", "good")
    (folder / "empty.db").touch()
    (folder / "text.db").write_text("no database at all, but long enough to be one" * 9)
    half = (folder / "good.db").read_bytes()[:20_000]
    (folder / "half.db").write_bytes(half)
    make(folder / "utf16.db", "pragma encoding = 'UTF-16le'; create table http_events (id)")
    make(
        folder / "odd.db",
        'create table "a""b\'" ("x""y");'
        "create table downloads (rowid text, oid, _rowid_, run_id, ts, primary key (ts))"
        " without rowid; insert into downloads values ('a', 1, 2, x'00ff', 9e999);"
        "create table fallback_attempts (id, run_id, ts); insert into fallback_attempts values"
        " ('x', null, 'x'), (9e999, cast(x'fffe' as text), -9e999), (1, 'r', zeroblob(9000000));"
        "create table run_summary (run_id, started_at blob); insert into run_summary values (1, 2);"
        "create table recorder_status (events); insert into recorder_status values (x'00');"
        "create table recorder_schema (version); insert into recorder_schema values ('new')",
    )
    view = "create view http_events as select * from nowhere; create table downloads (run_id, ts)"
    make(folder / "view.db", view)
    os.mkfifo(folder / "pipe.db")
    found = doctor(tool, "--db", folder)
    files = {Path(row["file"]).name: row for row in found["findings"] if row["check"] == "file"}
    assert {name: row["found"] for name, row in files.items() if row["status"] == "bad"} == {
        "empty.db": "empty file",
        "text.db": "not a SQLite database",
        "utf16.db": "its text is UTF-16",
        "pipe.db": "not a regular file but a named pipe",
        "half.db": "damaged SQLite database, cut short to 20,000 of 73,728 bytes",
    }
    bad = {(Path(r["file"]).name, r["check"]) for r in found["findings"]
           if r["status"] == "bad" and r["file"]}  # fmt: skip
    assert ("odd.db", "times") in bad
    (of_view,) = (
        r for r in found["findings"] if r["check"] == "times" and "view.db" in str(r["file"])
    )
    assert (of_view["status"], of_view["found"]) == (
        "unknown", "no such table: main.nowhere: mend the view that names it"
    )  # fmt: skip
    assert not any("the check failed" in row["found"] for row in found["findings"])
    done = tool("doctor", "--db", folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout


def test_a_locked_file_is_named(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    good_file(db, "pragma journal_mode = delete")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('begin exclusive'); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (file,) = (r for r in doctor(tool, "--db", db)["findings"] if r["check"] == "file")
        assert file["found"] == "locked by another program, which holds it exclusively"
        assert file["remedy"].endswith(f"fuser -v {db}")
        holder.kill()


def test_a_live_writer_is_not_held_up_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    db = good_file(tmp_path / "t.sqlite3")
    make(db, "pragma wal_checkpoint(truncate)")
    before = db.read_bytes()
    assert not_good(db) == []
    assert db.read_bytes() == before
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=5); print(flush=True)\n"
        "while True:\n"
        "    c.execute(\"insert into rate_events (run_id, ts) values ('run', unixepoch('now'))\")\n"
        "    c.commit()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(db)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(3):
            before_rows = counts(db)["rate_events"]
            assert [f for f in not_good(db) if f[1] == "bad"] == []
            assert writer.poll() is None  # it never waited as long as a crawler would
            assert counts(db)["rate_events"] > before_rows
        writer.kill()


@pytest.mark.slow
def test_the_warehouse_none_current_behind_and_stale(tool: Tool, tmp_path: Path) -> None:
    db = good_file(tmp_path / "t.sqlite3")
    make(db, EVENT.format("'soon'"))

    def shown(*arguments: object) -> dict[str, tuple[str, str]]:
        rows = doctor(tool, "--db", db, *arguments)["findings"]
        names = ("warehouse", "models", "loaded", "rejected rows", "lock")
        return {
            row["check"]: (row["status"], row["found"]) for row in rows if row["check"] in names
        }

    rejected = "1 of 103, {}: http_events 1 (no usable time)"
    found = shown()
    assert found["warehouse"] == ("warning", f"nothing is published in {tmp_path / 'warehouse'}")
    assert found["loaded"] == ("warning", "nothing is published")
    assert found["models"][0] == "unknown"
    assert found["rejected rows"] == ("bad", rejected.format("as they would be loaded"))

    tool("run", "--db", db)
    found = shown()
    assert re.search(r": snapshot \d+ published \d+\.\d s ago, with load 1$", found["warehouse"][1])
    assert found["models"][0] == "good"
    assert found["loaded"] == (
        "good", "up to id: downloads 20, fallback_attempts 40, http_events 41",
    )  # fmt: skip
    assert found["rejected rows"] == ("bad", rejected.format("as loaded"))

    found = shown("--project-dir", copy_of_project(tmp_path))
    assert found["models"][0] == "warning"
    assert found["models"][1].startswith("models changed since the marts were built")

    make(db, EVENT.format(START))
    code = (
        "import sys; from pathlib import Path; from exporter.lock import Lock\n"
        "lock = Lock(Path(sys.argv[1])); lock.acquire(print); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "warehouse")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = shown()
        holder.kill()
    assert found["loaded"][0] == "warning"
    assert found["loaded"][1].startswith("1 row newer than what is published: http_events 1")
    assert found["rejected rows"] == (
        "bad", "1 of 104, as they would be loaded: http_events 1 (no usable time)",
    )  # fmt: skip
    assert found["lock"][0] == "warning"
    assert found["lock"][1].startswith(f"held by process {holder.pid} (python")


def test_text_and_exit_codes(tool: Tool, tmp_path: Path) -> None:
    db = good_file(tmp_path / "t.sqlite3", EVENT.format("5") + "; drop table rate_events")
    done = tool("doctor", "--db", db)
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    statuses = [words[1] for words in lines if words[0] in "✗!?✓"]
    assert statuses[:3] == ["bad", "bad", "warning"]  # times, rejected rows; tables
    assert "→ update the crawler's recorder" in done.stdout
    assert "✓ good     file, format, wal" in done.stdout
    assert re.search(r"\d bad, \d warning, \d unknown, \d+ good; 1 file\n$", done.stdout)
    assert "opened read-only" not in done.stdout

    well = good_file(tmp_path / "well.sqlite3")  # but for a warehouse
    assert tool("doctor", "--db", well).returncode == 0
    done = tool("doctor", "--db", well, "--strict", "-v")
    assert done.returncode == 1
    assert "opened read-only" in done.stdout
    missing = tool("doctor", "--db", well, "--db", "gone.db", "--db", "no*.db")
    assert missing.returncode == 1
    assert "no such file" in missing.stdout
    assert "matches no file" in missing.stdout
    assert f"run --db {well} --db gone.db --db 'no*.db'" in missing.stdout  # of the warehouse
    for arguments in (
        (), ("--db", ""), ("--db", well, "--output-format", "xml"), ("--db", "gone.db"),
        ("--db", "no*.db", "--db", tmp_path / "nowhere" / "x.db"),
    ):  # fmt: skip
        done = tool("doctor", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_fills(tmp_path: Path) -> None:
    gb = 10**9
    for free, total, status in (
        (50 * gb, 100 * gb, "good"),
        (9 * gb, 100 * gb, "warning"),
        (gb - 1, 5 * gb, "warning"),
        (gb, 100 * gb, "bad"),
        (0, 0, "bad"),
    ):
        assert checks_machine.of_disk("/x", free, total).status == status
    assert len(list(checks_machine.check_disks([str(tmp_path / "a" / "b"), str(tmp_path)]))) == 1


def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    (fine,) = checks_machine.check_versions()
    assert fine.status == "good"
    known = {"duckdb": "1.5.5", "duckdb-extension-ducklake": "1.4.0", "dbt-core": "1.11.16"}
    monkeypatch.setattr(checks_machine, "_version", known.get)
    (finding,) = checks_machine.check_versions()
    assert finding.status == "bad"
    assert "dbt-duckdb is missing, duckdb-extension-ducklake is for another duckdb" in finding.found


def test_the_page_and_the_tables_are_complete() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    names = [
        name for name in re.findall(r"^\| ([a-z ]+) \|", page, re.MULTILINE) if name != "check"
    ]
    names.remove("archive")  # of folders that are no files
    assert names == [*FILE_CHECKS, *SHARED_CHECKS]
    later = [
        "integrity",
        "size",
        "times",
        "order",
        "runs",
        "values",
        "recorder",
        "overhead",
        "loaded",
        "rejected rows",
        "archived runs",
    ]
    assert [*CHECKS, *later] == [*FILE_CHECKS[1:]]
    assert set(TABLE_COSTS) == set(TELEMETRY)
    costs = {*COLUMN_COSTS, *((table, None) for table in TABLE_COSTS)}
    assert set(CAPABILITIES.values()) <= costs
    assert all(column in TABLES[table] for table, column in COLUMN_COSTS)
