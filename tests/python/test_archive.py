"""Old runs moved to Parquet: the same answers before and after, and nothing lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings

from exporter import direct, results, warehouse
from exporter.archive_file import File
from exporter.archive_move import Wishes, move
from exporter.archive_plan import limit_of
from exporter.compiled import Models
from exporter.errors import UsageError
from exporter.loader import load
from exporter.raw_schema import TABLES, UPSERTED
from recorder import TelemetryWriter

from .conftest import ROOT
from .support import strategies
from .support.archives import Lake, dirty, script, slis
from .support.lakes import is_same
from .support.runs import START, Tool, counts, record
from .support.web import ask
from .test_backup import holding, in_child, refused
from .test_faults import small_disk

DAY = 86_400.0
NOTHING = {"http_events": 0, "rate_events": 0, "breaker_transitions": 0, "fallback_attempts": 0,
           "downloads": 0}  # fmt: skip


def moved(tool: Tool, db: object, out: object, *more: object, code: int = 0) -> dict[str, Any]:
    """Archive what is old; return what was done."""
    done = tool("archive", "--db", db, "--out", out, *more, "--output-format", "json")
    assert done.returncode == code, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def parquet(out: Path, table: str, sql: str = "count(*)") -> Any:
    """Ask the Parquet files of all runs."""
    return duckdb.sql(f"select {sql} from read_parquet('{out}/*/{table}-*.parquet')").fetchall()


def test_there_and_in_every_answer(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    for number in range(3):
        record(db, f"run-{number}", start=START + number * DAY, good=15 + number)
    record(db, "new", start=time.time() - 60)
    before = slis(tool, "run-1", db)
    lake = Lake(tmp_path / "lake")
    known, rows, _ = lake.load(db)
    dry = moved(tool, db, out, "--dry-run")
    assert [run["run_id"] for run in dry["files"][0]["archived"]] == ["run-0", "run-1", "run-2"]
    assert dry["rows"] == 3 * 102 and dry["bytes"] > 10_000 and not out.exists()
    assert counts(db)["downloads"] == 80

    done = tool("archive", "--db", db, "--out", "kept")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert f"{db}: archived 3 runs, 306 rows, about " in done.stdout
    assert "; 1 newer than 20" in done.stdout
    assert counts(db) == NOTHING | {"http_events": 40, "fallback_attempts": 40, "downloads": 20}
    assert parquet(out, "http_events") == [(120,)]
    assert json.loads((out / "run_id=run-0" / "manifest.json").read_text())["run_id"] == "run-0"
    # the file tells where they are; the archive alone, and both together, say the same
    for names in ([db], [out], [db, out], [tmp_path]):
        assert slis(tool, "run-1", *names) == before, names
    assert slis(tool, "latest", db, out)["run_id"] == "new"
    assert slis(tool, "latest", out)["run_id"] == "run-2"
    # a warehouse that had them keeps them; one that is made anew gets them
    for names in ([db], [out], [out, db, tmp_path / "*"]):
        assert lake.load(*names) == (known, 0, []), names
    assert Lake(tmp_path / "another").load(db, out) == (known, rows, [])
    again = moved(tool, db, out)
    assert again["rows"] == 0 and again["files"][0]["left"] == []


@pytest.mark.slow
def test_marts_are_the_same_after_the_warehouse_is_made_anew(
    tool: Tool, tmp_path: Path, prepared: Path
) -> None:
    db, other, out = tmp_path / "t.sqlite3", tmp_path / "dirty.sqlite3", tmp_path / "kept"
    record(db, "one")
    record(db, "new", start=time.time() - 60)
    dirty(other)
    marts = {
        "run_slis": "", "slo_verdicts": "", "host_slis": "", "resolver_slis": "", "day_slis": "",
        "metric_samples": "", "run_inventory": "exclude (source_path)",
        "rejected_rows": "exclude (load_id, file_id, raw_values)",
    }  # fmt: skip
    sql = " union all ".join(
        f"select '{mart}' as mart, list(to_json(t)::varchar order by to_json(t)::varchar) as said "
        f"from (select * {leave} from {mart}) as t"
        for mart, leave in marts.items()
    )

    def answers(folder: str) -> dict[str, list[str]]:
        done = tool("query", "--format", "json", "--query", sql,
                    DOCSTOKG_WAREHOUSE=str(tmp_path / folder))  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {row["mart"]: row["said"] for row in json.loads(done.stdout)}

    shutil.copytree(prepared, tmp_path / "second")
    assert tool("run", "--db", db, "--db", other).returncode == 0
    before = answers("warehouse")
    assert moved(tool, tmp_path / "*.sqlite3", out)["rows"] > 250
    # the files say where their runs are, to every command that answers about more than one run
    done = tool("runs", "--db", tmp_path / "*.sqlite3",
                DOCSTOKG_WAREHOUSE=str(tmp_path / "second"))  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert answers("second") == before
    assert len(before) == len(marts) and all(before.values())
    runs = {out: ["dirty", "one"], tmp_path / "*.sqlite3": ["dirty", "new", "one"]}
    for name, expected in runs.items():
        done = tool("export", "--db", name, "--out", "pq", "--output-format", "json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tables"]["http_events"] > 0
        found = duckdb.sql(f"select distinct run_id from '{tmp_path}/pq/http_events.parquet'")
        assert sorted(found.fetchall()) == [(run,) for run in expected]
    done = tool("diagnose", "--db", other, "--against", "one")
    assert "is not in" in done.stderr or done.returncode in (0, 1), done.stderr


def test_a_dirty_file_says_the_same_after(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    dirty(db)
    before = slis(tool, "dirty", db)
    known = Lake(tmp_path / "lake").load(db)
    result = moved(tool, db, out)
    assert result["files"][0]["rows_without_run"] == 2
    assert result["rows"] == 60 * 3 + 1
    assert ask(db, "select artifact_id from downloads") == [("lost",), ("lost too",)]
    assert ask(db, "select * from notes") == [("mine",)]
    for names in ([out], [db], [db, out]):
        assert slis(tool, "dirty", *names) == before, names
    assert before["corruption_count"] is None and before["breaker_opens_per_hour"] is None
    assert Lake(tmp_path / "second").load(db, out) == known
    assert Lake(tmp_path / "lake").load(db, out) == (known[0], 0, [])
    # what the contract does not know is kept, and no URL in it
    (kept,) = parquet(out, "http_events", "min_by(extra, id)")
    assert json.loads(kept[0]) == {'odd "column': "x", "note": "see [url]"}
    for file in out.rglob("*.*"):
        assert b"t0psecret" not in file.read_bytes()
    texts = parquet(out, "fallback_attempts", "string_agg(metadata)")
    assert "[url]" in texts[0][0] and "t0psecret" not in texts[0][0]


def test_names_that_mean_something_elsewhere(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "o'u t[*]={}\"%"
    folder.mkdir()
    db, out = folder / "d\"b'.sqlite3", folder / "a[b]?*"
    runs = ["a'b", 'a"b', "a=b", "../up", "..", "new\nline", "🙂", "é" * 150, "Run", "run", "*",
            "%2F", "x" * 300, "x" * 299 + "y", "-v"]  # fmt: skip
    record(db, "run", artifacts=2, good=1)
    with closing(sqlite3.connect(db)) as connection:
        for run in runs:
            connection.execute(
                "insert into http_events (run_id, ts, host, from_cache) values (?, ?, 'h', 1)",
                [run, START],
            )
        connection.commit()
    before = [slis(tool, run, db) for run in ("../up", "Run")]
    known, _, _ = Lake(tmp_path / "lake").load(db)
    with closing(sqlite3.connect(db)) as connection:
        odd = ["https://h/run", "nul\0inside", b"blob", 7]
        for run in odd:
            connection.execute("insert into http_events (run_id, ts) values (?, ?)", [run, START])
        connection.commit()
    result = moved(tool, db, out, code=1)["files"][0]
    assert sorted(run["run_id"] for run in result["archived"]) == sorted([*runs, "7"])
    assert result["rows_without_run"] == 1
    reasons = [left["reason"] for left in result["left"]]
    assert len(reasons) == 2
    assert all("not stored as this text (a number, a URL" in reason for reason in reasons)
    assert counts(db) == NOTHING | {"http_events": 3}
    assert [slis(tool, run, out) for run in ("../up", "Run")] == before
    script(db, "delete from http_events")
    found, _, skipped = Lake(tmp_path / "second").load(out)
    assert skipped == []
    assert {t: n[0] for t, n in found.items()} == {
        t: n[0] + (t == "http_events") for t, n in known.items()
    }
    assert not (tmp_path / "up").exists() and len(list(out.glob("run_id=*"))) == len(runs) + 1


def test_killed_at_any_moment_and_run_again(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--db", db, "--events", "60000", "--runs", "6"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    known = Lake(tmp_path / "lake").load(db)
    command = [sys.executable, "-m", "exporter", "archive", "--db", str(db), "--out", str(out)]
    environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse")}
    killed = 0
    for number in range(9):
        folders = set(out.glob(".docstokg-*"))
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
        )
        while set(out.glob(".docstokg-*")) <= folders and process.poll() is None:
            time.sleep(0.005)  # what is before does not touch the file
        time.sleep(0.1 + 0.2 * number)
        if process.poll() is not None:
            break
        if number % 3 == 2:  # the command alone: its other process ends what it is at
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed += 1
        if number % 4 == 3:  # in this state, too, nothing is lost or doubled
            assert Lake(tmp_path / f"lake-{number}").load(db, out)[::2] == (known[0], [])
    assert killed > 3
    moved(tool, db, out)
    assert counts(db) == NOTHING
    assert Lake(tmp_path / "second").load(out) == known
    assert {path.name for path in out.iterdir() if not path.name.startswith("run_id=")} == {
        ".lock", "archive.json",
    }  # fmt: skip
    for folder in out.glob("run_id=*"):  # no file that no manifest names
        said = json.loads((folder / "manifest.json").read_text())["tables"].values()
        assert {f.name for f in folder.glob("*")} == {
            "manifest.json", *(table["file"] for table in said if table["file"]),
        }  # fmt: skip


BUSY = """
import sys, time
from recorder import TelemetryWriter
longest, n = 0.0, 0
with TelemetryWriter(sys.argv[1], 'busy') as recorder:
    while True:
        for _ in range(20):
            n += 1
            recorder.http_event(host='h', role='artifact', status=200, elapsed_ms=1.0)
            recorder.download(artifact_id=f'a{n}', sha256='ab', final_path='a.pdf')
        began = time.monotonic()
        recorder.flush()
        if n > 100:
            longest = max(longest, time.monotonic() - began)
        with open(sys.argv[2], 'w') as file:
            file.write(f'{n:09} {longest:.3f}')
        if n == 100:
            print('ready', flush=True)
"""


def told(said: Path) -> list[str]:
    """Return the words of a file that is written anew all the time."""
    while not (words := said.read_text().split()):
        time.sleep(0.001)
    return words


def test_a_writer_goes_on_meanwhile(tool: Tool, tmp_path: Path) -> None:
    db, said = tmp_path / "t.sqlite3", tmp_path / "flushed"
    subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--db", db, "--events", "60000", "--runs", "3"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    writer = in_child(BUSY, db, said)
    try:
        before = int(told(said)[0])
        result = moved(tool, db, tmp_path / "out", "--incremental-vacuum", code=1)
        after, longest = told(said)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()
    assert int(after) > before
    assert float(longest) < 2.0  # seconds that one flush took at most; 5 is when SQLite gives up
    assert result["files"][0]["longest_lock_s"] < 1.0
    assert "not made for it" in result["files"][0]["problem"]
    assert result["rows"] == 72_006 + 2 and result["files"][0]["recent_runs"] == 1
    found = ask(db, "select run_id, count(*), max(id) - min(id) + 1 from http_events group by 1")
    assert [run for run, _, _ in found] == ["busy"]
    assert found[0][1] == found[0][2] >= int(after)


def test_rows_that_come_late_are_added(tool: Tool, tmp_path: Path) -> None:
    db, out, twin = tmp_path / "t.sqlite3", tmp_path / "kept", tmp_path / "twin.sqlite3"
    record(db, "one")
    shutil.copy(db, twin)
    moved(tool, db, out)
    lake = Lake(tmp_path / "lake")
    lake.load(db, out)
    for path in (db, twin):
        with TelemetryWriter(path, "one") as telemetry:
            telemetry.http_event(ts=START + 50, host="late", role="metadata", status=429)
            telemetry.download(ts=START + 50, artifact_id="late", sha256="ab", final_path="x")
            telemetry.run_summary(started_at=START, finished_at=START + 60)
    # the ids of a copy go on from its own rows, as those of the file do
    expected = slis(tool, "one", twin)
    assert slis(tool, "one", db) == expected
    assert slis(tool, "one", db, out) == expected
    assert slis(tool, "one", out) != expected
    known, _, _ = Lake(tmp_path / "both").load(db, out)
    assert moved(tool, db, out)["rows"] == 4  # with what the recorder says of itself
    assert counts(db) == NOTHING
    said = json.loads((out / "run_id=one" / "manifest.json").read_text())
    assert (said["generation"], said["tables"]["http_events"]["rows"]) == (2, 41)
    for names in ([out], [db], [db, out]):
        assert slis(tool, "one", *names) == expected
    assert Lake(tmp_path / "anew").load(out)[0] == known
    assert lake.load(db, out)[0] == known
    assert lake.load(out) == (known, 0, [])


def test_an_archive_that_lost_its_manifest_is_not_written_over(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    record(db, "old")
    script(db, "pragma wal_checkpoint(truncate)")
    backup = tmp_path / "backup.sqlite3"
    shutil.copy(db, backup)
    moved(tool, db, out)
    before = sorted((file.name, file.stat().st_size) for file in (out / "run_id=old").glob("*.p*"))
    (out / "run_id=old/manifest.json").unlink()
    late = f"insert into http_events (run_id, ts, host) values ('old', {START}, 'late')"
    script(db, late)
    for place in (out, tmp_path / "elsewhere"):
        (left,) = moved(tool, db, place, code=1)["files"][0]["left"]
        assert f"rows of it were archived to {out} before, and are not in {place}" in left["reason"]
    assert counts(db)["http_events"] == 1
    # nor is it by a file that is restored from a backup, and does not know of it
    (tmp_path / "older.sqlite3").write_bytes(backup.read_bytes())
    script(tmp_path / "older.sqlite3", f"delete from downloads where id > 17; {late}")
    script(tmp_path / "older.sqlite3", "update downloads set final_path = 'y' where id = 3")
    result = moved(tool, tmp_path / "older.sqlite3", out, code=1)["files"][0]
    file = out / "run_id=old/downloads-1.parquet"
    assert result["archived"] == [] and result["left"][0]["reason"] == (
        f"no manifest names {file}, which has 4 rows not in the file: restore its "
        "folder's manifest.json from a copy of the archive, or move the folder out of it"
    )
    assert before == sorted(
        (file.name, file.stat().st_size) for file in (out / "run_id=old").glob("*.p*")
    )
    (out / "run_id=old/notes.parquet").write_text("mine")
    file.rename(out / "run_id=old/downloads-7.parquet")
    script(backup, late)  # one with all of it goes, and what was there is not kept twice
    assert moved(tool, backup, out)["rows"] == 103
    assert parquet(out, "downloads") == [(20,)] and parquet(out, "http_events") == [(41,)]
    assert {file.name for file in (out / "run_id=old").glob("downloads-*")} == {
        "downloads-1.parquet"
    }
    assert (out / "run_id=old/notes.parquet").exists()


def test_rows_that_change_between_copy_and_delete_stay(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "one")
    file = File(str(db), write=True)
    copied = file.copy("one", str(tmp_path / "copy-1.sqlite3"), {})
    script(db, "update downloads set content_length = 5 where artifact_id = 'a3'; "
               "update http_events set from_cache = 1.0 where id = 1; "
               "update http_events set host = 'API.example.org' where id = 3")  # fmt: skip
    told = file.delete("one", str(tmp_path / "copy-1.sqlite3"), str(tmp_path), "now")
    file.close()
    assert copied["rows"]["downloads"] == 20
    assert told["changed"] == 3 - (ask(db, "select count(*) from http_events where id = 1")[0][0]
                                   == 0)  # fmt: skip
    assert ("a3", 5) in ask(db, "select artifact_id, content_length from downloads")
    assert ask(db, "select host from http_events where id = 3") == [("API.example.org",)]


def test_an_update_after_a_first_archive_wins(tool: Tool, tmp_path: Path) -> None:
    """A kill between copy and delete, then an update: the file's row is the right one."""
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    record(db, "one", good=10)
    script(db, "pragma wal_checkpoint(truncate)")
    kept = db.read_bytes()
    moved(tool, db, out)
    for end in ("-wal", "-shm"):
        Path(f"{db}{end}").unlink(missing_ok=True)
    db.write_bytes(kept)
    script(db, "update downloads set sha256 = 'cd', final_path = 'y' where sha256 is null")
    assert slis(tool, "one", db, out)["yield_pct"] == 100
    lake = Lake(tmp_path / "lake")
    lake.load(out)
    updated, _, _ = Lake(tmp_path / "live").load(db)
    assert lake.load(db, out)[0] == updated
    assert Lake(tmp_path / "both").load(out, db)[0] == updated
    moved(tool, db, out)
    assert slis(tool, "one", out)["yield_pct"] == 100
    assert Lake(tmp_path / "anew").load(out)[0] == updated
    # a warehouse that saw neither the update nor the file since
    assert lake.load(out) == (updated, 0, [])


def test_ids_that_would_be_given_out_again(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    script(db, """
        create table http_events (id integer primary key, run_id text, ts real);
        create table downloads (run_id text, ts real, artifact_id text);
        create table rate_events (id integer primary key, run_id text, ts real) without rowid;
        create table run_summary (run_id text primary key, finished_at real) without rowid;
    """)  # fmt: skip
    with closing(sqlite3.connect(db)) as connection:
        for run in ("a", "b", "c"):
            for _ in range(3):
                connection.execute("insert into http_events (run_id, ts) values (?, ?)",
                                   [run, START])  # fmt: skip
            connection.execute("insert into run_summary values (?, ?)", [run, START + 9])
        connection.execute("insert into downloads values ('b', ?, 'x')", [START])
        connection.commit()
    result = moved(tool, db, out, "--vacuum", code=1)["files"][0]
    assert [run["run_id"] for run in result["archived"]] == []
    assert all("no rowid" in left["reason"] for left in result["left"])
    script(db, "drop table rate_events")
    result = moved(tool, db, out, "--vacuum", code=1)["files"][0]
    assert [run["run_id"] for run in result["archived"]] == ["a"]
    assert {left["run_id"]: left["reason"].split(",")[0] for left in result["left"]} == {
        "b": "it holds the last row of downloads", "c": "it holds the last row of http_events",
    }  # fmt: skip
    assert "no VACUUM: it would number the rows of downloads anew" in result["problem"]
    assert ask(db, "select run_id from run_summary") == [("b",), ("c",)]
    script(db, "insert into http_events (run_id, ts) values ('a', 1760000099)")
    assert ask(db, "select max(id) from http_events where run_id = 'a'") == [(10,)]


def test_what_else_is_in_the_file_is_looked_at_first(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    record(db, "one")
    script(db, "create table log (x); create trigger gone after delete on downloads "
               "begin insert into log values (old.id); end")  # fmt: skip
    result = moved(tool, db, out, code=1)["files"][0]
    assert result["left"] == [
        {"run_id": "one",
         "reason": "trigger gone of downloads would run at every delete: drop it first"}
    ]  # fmt: skip
    script(db, "drop trigger gone; create table mine (d integer references downloads(id))")
    result = moved(tool, db, out, code=1)["files"][0]
    assert "table mine refers to rows of downloads" in result["left"][0]["reason"]
    assert counts(db)["downloads"] == 20 and ask(db, "select * from log") == []
    script(db, "drop table mine; create trigger fine after insert on downloads "
               "begin insert into log values (new.id); end")  # fmt: skip
    assert moved(tool, db, out)["rows"] == 102


def test_another_run_of_the_same_name_is_not_mixed_in(tool: Tool, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    for name, good in (("a", 19), ("b", 3)):
        record(tmp_path / f"{name}.sqlite3", "same", good=good)
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(tmp_path / "a.sqlite3", copy)
    moved(tool, tmp_path / "a.sqlite3", out)
    before = slis(tool, "same", out)
    result = moved(tool, tmp_path / "b.sqlite3", out, code=1)["files"][0]
    assert "archived of a run of this name: archive this file into" in result["left"][0]["reason"]
    assert counts(tmp_path / "b.sqlite3")["downloads"] == 20
    assert slis(tool, "same", out) == before
    assert moved(tool, copy, out)["rows"] == 102  # a copy: its rows are there already
    said = json.loads((out / "run_id=same" / "manifest.json").read_text())
    assert (said["generation"], said["tables"]["downloads"]["rows"]) == (1, 20)


def test_vacuum_gives_the_room_back(tool: Tool, tmp_path: Path) -> None:
    for name, option in (("a", "--vacuum"), ("b", "--incremental-vacuum")):
        db = tmp_path / f"{name}.sqlite3"
        script(db, "pragma auto_vacuum = incremental; pragma journal_mode = wal; vacuum")
        record(db, "one", artifacts=400)
        record(db, "new", start=time.time() - 60)
        known = Lake(tmp_path / f"lake-{name}").load(db)[0]
        before = ask(db, "pragma page_count")[0][0]
        out = tmp_path / "kept" / name
        with holding(db, "begin", "select count(*) from downloads"):
            result = moved(tool, db, out, option, code=1)["files"][0]
            assert "someone reads the file" in result["problem"]
            assert ask(db, "pragma page_count")[0][0] < before * 1.1 and result["archived"]
        result = moved(tool, db, out, option)["files"][0]
        assert result["problem"] == ""
        assert ask(db, "pragma page_count")[0][0] < before / 2
        assert ask(db, "pragma freelist_count") == [(0,)]
        assert ask(db, "pragma integrity_check") == [("ok",)]
        assert result["bytes_after"] < result["bytes_before"] / 2
        assert Lake(tmp_path / f"lake-{name}").load(db) == (known, 0, [])


def test_damaged_archives_are_named_and_skipped(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    for run in ("a", "b", "c"):
        record(db, run, start=START + ord(run))
    kept = tmp_path / "kept.sqlite3"
    script(db, "pragma wal_checkpoint(truncate)")
    shutil.copy(db, kept)
    moved(tool, db, out)
    file = out / "run_id=a" / "http_events-1.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:900] + bytes([content[900] ^ 1]) + content[901:])
    (out / "run_id=b" / "downloads-1.parquet").write_bytes(b"PAR1")
    done = tool("summary", "--db", out, "--run", "a")
    refused(done, "the checksum of http_events-1.parquet is wrong: restore it from a copy")
    refused(tool("summary", "--db", db, "--run", "b"), "where it cannot be read: downloads-1")
    found, _, skipped = Lake(tmp_path / "lake").load(out)
    assert [Path(path).name for path in skipped] == ["run_id=b", "run_id=a"]
    assert found["downloads"][0] == 20
    done = tool("summary", "--db", out, "--run", "c")
    assert "run_id=b: downloads-1.parquet has 4 bytes and not" in done.stderr
    # its rows are not deleted on the word of a damaged archive
    result = moved(tool, kept, out, code=1)["files"][0]
    assert [run["run_id"] for run in result["archived"]] == ["c"]
    assert all("archived of it before is damaged" in left["reason"] for left in result["left"])
    (out / "run_id=c" / "manifest.json").write_text("{")
    refused(tool("summary", "--db", out / "run_id=c"), "its manifest is damaged")


def test_full_disks(tool: Tool, tmp_path: Path) -> None:
    db, disk = tmp_path / "t.sqlite3", tmp_path / "disk"
    record(db, "one", artifacts=3000)
    known = Lake(tmp_path / "lake").load(db)
    with small_disk(disk, 1) as limit:
        if limit:
            pytest.skip("no small disk here")
        (disk / "other").write_bytes(os.urandom(900_000))
        done = tool("archive", "--db", db, "--out", disk / "kept")
        refused(done, "free some")
        assert counts(db)["downloads"] == 3000
        left = (
            {path.name for path in (disk / "kept").rglob("*")} if (disk / "kept").exists() else {}
        )
        assert not [name for name in left if name.startswith(("run_id=", "copy-", ".docstokg"))]
    with small_disk(disk, 8):
        source = disk / "t.sqlite3"
        script(db, "pragma wal_checkpoint(truncate)")
        shutil.copy(db, source)
        with (disk / "other").open("wb") as file, pytest.raises(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))
        done = tool("archive", "--db", source, "--out", tmp_path / "kept")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        (disk / "other").unlink()
        assert Lake(tmp_path / "full").load(source, tmp_path / "kept")[0] == known[0]
        moved(tool, source, tmp_path / "kept")
        assert counts(source) == NOTHING
    assert Lake(tmp_path / "anew").load(tmp_path / "kept") == known


def test_what_cannot_be_done_is_said_in_a_line(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "one")
    archive = ("archive", "--out", "kept", "--db")
    refused(tool(*archive, "nowhere.sqlite3"), "no such file")
    refused(tool("archive", "--db", db), "name the archive's folder with --out DIR")
    refused(tool(*archive, db, "--older-than", "0d"), "may still be written to")
    refused(tool(*archive, db, "--older-than", "soon"), "is no age: give 14d, 36h, 2w, or a date")
    (tmp_path / "text.sqlite3").write_text("no database, but long enough for one\n" * 99)
    refused(tool(*archive, "text.sqlite3"), "not a SQLite database")
    refused(tool("archive", "--db", db, "--out", "text.sqlite3/x"), "cannot write to")
    with holding(db, "begin exclusive"):
        done = tool(*archive, db)
        refused(done, "locked")
    assert counts(db)["downloads"] == 20
    # one at a time, and a file that only its owner may write
    (tmp_path / "kept").mkdir(exist_ok=True)
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "kept" / ".lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        refused(tool(*archive, db), "another archive is writing to")
    finally:
        child.kill()
        child.communicate()
    done = tool("archive", "--db", db, "--db", "text.sqlite3", "--out", "kept")
    assert done.returncode == 1 and "skipped" in done.stderr
    assert counts(db) == NOTHING
    refused(tool("summary", "--db", db, "--run", "never"), "no run in")


def test_ages() -> None:
    now = datetime(2026, 3, 30, 12, tzinfo=UTC)
    for told, then in (
        ("14d", "2026-03-16 12:00"), ("36h", "2026-03-29 00:00"), ("2w", "2026-03-16 12:00"),
        ("90m", "2026-03-30 10:30"), ("2026-03-29", "2026-03-29 00:00"),
        ("2026-03-29T02:30+02:00", "2026-03-29 00:30"),
    ):  # fmt: skip
        assert limit_of(told, now).astimezone(UTC).strftime("%Y-%m-%d %H:%M") == then
    for told in ("0d", "59m", "2026-03-31", "-1d", "14", "", "1e3d"):
        with pytest.raises(UsageError):
            limit_of(told, now)


def test_the_later_of_two_ends_counts(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    record(db, "ended")
    record(db, "clock", start=time.time() - 60)
    record(db, "crashed", start=START + 5)
    script(db, f"update run_summary set finished_at = {START} where run_id = 'clock'; "
               "delete from run_summary where run_id = 'crashed'; "
               "insert into downloads (run_id, artifact_id) values ('timeless', 'x')")  # fmt: skip
    result = moved(tool, db, out, code=1)["files"][0]
    assert [run["run_id"] for run in result["archived"]] == ["ended", "crashed"]
    assert result["recent_runs"] == 1
    assert result["left"] == [
        {"run_id": "timeless", "reason": "none of its rows has a usable time"}
    ]


@contextmanager
def loaded(compiled: Path, *paths: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load files and build the marts over them, in memory."""
    connection = warehouse.connect(("sqlite_scanner",))
    connection.execute("attach ':memory:' as lake")
    warehouse.ensure_schema(connection)
    load(connection, [str(path) for path in paths], lambda message: None)
    marts = ("run_slis", "host_slis", "role_slis", "resolver_slis", "day_slis", "run_verdicts")
    Models(compiled.read_text()).build(connection, [*marts, "slo_verdicts", "rejected_rows"])
    try:
        yield connection
    finally:
        connection.close()


def raw_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the raw rows of each table, but for who loaded them and ids that mean nothing."""
    found = {}
    for table in TABLES:
        left_out = ", ".join(["file_id", "load_id", *(["id"] if table in UPSERTED else [])])
        rows = connection.execute(
            f"select to_json(t)::varchar from (select * exclude ({left_out}) from lake.raw.{table})"
            " as t order by all"
        ).fetchall()
        found[table] = [row for (row,) in rows]
    return found


@pytest.mark.slow
@settings(max_examples=4)  # a dozen whole answers each
@given(data=strategies.telemetry_files())
def test_any_file_says_the_same_beside_its_archive(
    compiled: Path, data: strategies.FileData
) -> None:
    answers = results.SUMMARY_MODELS
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCSTOKG_WAREHOUSE", str(compiled.parent.parent))
        folder, out = Path(name), Path(name) / "kept"
        path = strategies.write_file(folder / "t.sqlite3", data)
        models = Models(compiled.read_text())
        with loaded(compiled, path) as connection:
            before = raw_rows(connection)
            models.build(connection, answers)
            runs = connection.execute("select run_id from lake.marts.run_slis").fetchall()
            said = {run: results.summary(connection, run) for (run,) in runs}
        wishes = Wishes(out, datetime.now(UTC), dry_run=False, vacuum="")
        (result,), failed = move([str(path)], wishes, None)
        assert failed == []
        went = {run.run_id for run in result.archived}
        assert went | {left.run_id for left in result.left} >= {
            run for run, summary in said.items() if summary.run["last_event_at"] is not None
            and summary.run["last_event_at"] < wishes.limit.replace(tzinfo=None)
            and (summary.run["finished_at"] or datetime.min) < wishes.limit.replace(tzinfo=None)
        }  # fmt: skip
        with loaded(compiled, path, out) as connection:
            assert raw_rows(connection) == before
        for run in sorted(went & said.keys())[:2]:
            for names in ([out], [path], [path, out]):
                with direct.opened([str(n) for n in names], run, compiled, answers) as found:
                    ours = results.summary(found.connection, run)
                    assert is_same(ours.as_json(), said[run].as_json())
                    assert is_same(ours.hosts, said[run].hosts)
