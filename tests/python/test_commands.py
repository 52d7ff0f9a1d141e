"""Whole commands on real files: what operators type, what they read, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from exporter.cli import app

from .conftest import ROOT
from .support.forked import Forks
from .support.runs import START, Tool, counts, loaded_counts, record

#: Parts of a run's length at which it is killed: while it loads, builds models (until about 0.6),
#: tests, publishes and cleans up.
KILLED_AT = (0.05, 0.13, 0.3, 0.45, 0.6, 0.8, 0.92, 0.97)


def test_summary_of_a_file_never_seen(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "good")
    done = tool("summary", "--db", "t.sqlite3", "--run", "latest", "--output-format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["run_id"] == "good"
    assert found["started_at"] == "2025-10-09T08:53:20Z"
    assert found["yield_pct"] == 95.0
    assert found["ttfp_p50_ms"] == 500.0
    assert found["cache_hit_pct"] == 70.0
    assert found["http_429_pct"] == 0.0
    assert found["rate_delay_p95_ms"] == pytest.approx(18.05)  # 0..19: 18 + 0.05
    assert found["breaker_opens_per_hour"] == 0
    assert found["dedupe_saved_mb"] == 10.0
    assert found["corruption_count"] == 0
    assert found["passed"] is True
    assert {"slo", "scope", "subject", "comparator", "target", "value", "status"} <= set(
        found["slos"][0]
    )


def test_exit_codes_of_summary(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "bad", good=10)
    assert tool("summary", "--db", "t.sqlite3").returncode == 1
    for arguments in (
        ("--db", "t.sqlite3", "--run", "nope"),
        ("--db", "missing.sqlite3"),
        (),
    ):
        done = tool("summary", *arguments)
        assert done.returncode == 2, arguments
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


def test_run_then_everything_from_the_warehouse(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "first")
    record(db, "second", good=10, start=START + 1000)
    done = tool("run", "--db", db)
    assert done.returncode == 0, done.stderr
    assert "204 new rows from 1 file, 0 rejected (0 in all); published" in done.stdout
    assert "nothing new" in tool("run", "--db", db).stdout
    rows = json.loads(tool("runs", "--output-format", "json").stdout)
    assert [(r["run_id"], r["has_passed"]) for r in rows] == [("first", True), ("second", False)]
    # direct and warehouse say the same
    for run_id in ("first", "second"):
        direct = tool("summary", "--db", db, "--run", run_id, "--output-format", "json")
        lake = tool("summary", "--run", run_id, "--output-format", "json")
        assert json.loads(direct.stdout) == json.loads(lake.stdout)
        assert direct.returncode == lake.returncode
    # so do runs compared
    told = tool("summary", "--run", "second").stdout
    assert "Against the run before: worse yield_pct 50.00 % (was 95.00 %, -45.00 points" in told
    assert "No run had ended before it" in tool("summary", "--run", "first").stdout
    lake = tool("compare", "first", "latest", "--output-format", "json")
    direct = tool("compare", "baseline", "second", "--db", db, "--output-format", "json")
    answers = [json.loads(done.stdout) for done in (lake, direct)]
    assert [answer["baseline_run_ids"] for answer in answers] == [["first"], ["first"]]
    assert answers[0]["slis"] == answers[1]["slis"]
    # the guide's own query
    done = tool(
        "query", "--db", db, "--format", "csv", "--query",
        "SELECT host, COUNT(*) requests, SUM(CASE WHEN status=429 THEN 1 ELSE 0 END) http_429 "
        "FROM http_events GROUP BY host ORDER BY http_429 DESC, host",
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "host,requests,http_429"
    assert "api.example.org,40,0" in done.stdout
    # a copy under another path adds nothing; more rows in the file are found
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "c.sqlite3").write_bytes(db.read_bytes())
    tool("run", "--db", tmp_path / "copy")
    assert loaded_counts(tool) == counts(db)
    record(db, "third", start=START + 2000)
    assert "Not held against the runs before it" in tool("summary", "--db", db).stdout
    assert tool("run", "--db", db).returncode == 0
    assert loaded_counts(tool) == counts(db)
    done = tool("export", "--out", "out", "--db", db)
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"http_events.parquet", "run_summary.parquet", "rejected_rows.parquet"} <= names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    "sql",
    [
        "drop table http_events",
        "select 1; select 2",
        "copy (select 1) to 'x.csv'",
        "select * from read_text('/etc/passwd')",
        "select * from sqlite_scan('t.sqlite3', 'http_events')",
        "select * from glob('/*')",
        "attach 'x.db'",
        "set memory_limit = '1GB'",
        "select * from query('select 1')",
        "nonsense",
    ],
)
def test_query_is_sandboxed(tool: Tool, tmp_path: Path, sql: str) -> None:
    done = tool("query", "--query", sql)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.glob("x.*")) == []


def test_bad_files_are_named_and_the_rest_loads(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    record(folder / "good it's.sqlite3", "good")
    (folder / "garbage.db").write_text("this is no database at all, not even close")
    (folder / "empty.db").write_bytes(b"")
    whole = (folder / "good it's.sqlite3").read_bytes()
    (folder / "cut.db").write_bytes(whole[: len(whole) // 3])
    done = tool("run", "--db", folder, "--db", "nowhere.sqlite3")
    assert done.returncode == 1, done.stderr
    for name in ("garbage.db", "empty.db", "cut.db", "nowhere.sqlite3"):
        assert name in done.stderr
    assert "4 files skipped" in done.stdout
    assert loaded_counts(tool)["http_events"] == 40
    again = tool("run", "--db", folder, "--output-format", "json")
    told = json.loads(again.stdout)
    assert (told["published"], told["was_current"], len(told["skipped"])) == (True, True, 3)
    assert again.returncode == 1


def test_a_bad_value_in_every_column_stops_nothing(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "dirty")
    code = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
n = 0
given = {'run_id': "'dirty'", 'ts': '1760000001.5'}
for table in sys.argv[2].split():
    names = [name for (name,) in c.execute('select name from pragma_table_info(?)', [table])]
    for name in names:
        if name == 'id':
            continue
        for value in ("cast(x'ff80' as text)", "x'00ff'", "'abc'", '9e999', '-1'):
            # a host of its own, of which nothing but the bad value is known
            all_given = given | {'host': f"'h{n}'", 'role': "'metadata'"}
            kept = {k: v for k, v in all_given.items() if k != name and k in names}
            others, values = ", ".join(kept), ", ".join(kept.values())
            c.execute(f'insert into {table} ({name}, {others}) values ({value}, {values})')
            n += 1
c.commit()
"""
    tables = " ".join(counts(db))
    subprocess.run([sys.executable, "-c", code, str(db), tables], check=True)
    done = tool("run", "--db", db)
    assert done.returncode == 0, done.stderr
    assert loaded_counts(tool) == counts(db)
    rejected = json.loads(
        tool(
            "query", "--format", "json", "--query",
            "select table_name, reason, count(*) as n from rejected_rows group by all order by all",
        ).stdout
    )  # fmt: skip
    # run_id: not UTF-8 and a blob; ts: those, 'abc', infinity and -1
    for table in ("http_events", "rate_events", "breaker_transitions", "fallback_attempts"):
        assert {"table_name": table, "reason": "no usable run_id", "n": 2} in rejected
        assert {"table_name": table, "reason": "no usable time", "n": 5} in rejected
    assert f"{sum(r['n'] for r in rejected)} rejected" in done.stdout


def test_no_url_reaches_the_warehouse(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "leaky")
    code = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
u = 'https://user:secret@host.example/p?token=t0psecret'
escaped = '{"resolver_name": "arxiv", "url": "' + u.replace('/', chr(92) + '/') + '"}'
events = 'insert into http_events (run_id, ts, host, url_hash, error) values (?, ?, ?, ?, ?)'
c.execute(events, ['leaky', 1760000001, u, u, 'failed at ' + u])
c.execute(events, ['leaky', -1, u, None, None])
c.execute(
    'insert into downloads (run_id, ts, artifact_id, final_path, metadata) values (?, ?, ?, ?, ?)',
    ['leaky', 1760000001, u, u, escaped],
)
c.commit()
"""
    subprocess.run([sys.executable, "-c", code, str(db)], check=True)
    assert tool("run", "--db", db).returncode == 0
    out = tool(
        "query", "--limit", "100000", "--format", "json", "--query", "from http_events"
    ).stdout
    out += tool(
        "query", "--limit", "100000", "--format", "json", "--query", "from downloads"
    ).stdout
    out += tool("query", "--format", "json", "--query", "from rejected_rows").stdout
    assert "t0psecret" not in out
    assert "arxiv" in tool("query", "--query", "from resolver_slis").stdout


def test_failing_data_test_is_not_published(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "first")
    project = tmp_path / "project"
    import shutil

    for name in ("models", "macros", "seeds"):
        shutil.copytree(ROOT / name, project / name)
    (project / "tests").mkdir()
    for name in ("generic", "singular"):
        shutil.copytree(ROOT / "tests" / name, project / "tests" / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, project / name)
    assert tool("run", "--db", db, "--project-dir", project).returncode == 0
    (project / "tests" / "singular" / "assert_never_a_second_run.sql").write_text(
        "select run_id from {{ ref('run_inventory') }} where run_id = 'second'"
    )
    marts = project / "models" / "marts"
    for name, before, after in (
        ("runs/_runs.yml", "first_event_at <= last_event_at", "first_event_at > last_event_at"),
        ("sli/_sli.yml", "one_row_per: [run_id, host]", "one_row_per: [run_id]"),
    ):
        path = marts / name
        text = path.read_text()
        assert text.count(before) == 1
        path.write_text(text.replace(before, after))
    record(db, "second", start=START + 1000)
    done = tool("run", "--db", db, "--project-dir", project)
    assert done.returncode == 1, done.stderr
    assert "assert_never_a_second_run" in done.stderr
    failures = {line.split(": ")[1]: line for line in done.stderr.splitlines() if "such as" in line}
    for mart, broken in (
        ("run_inventory", "first_event_at > last_event_at"),
        ("host_slis", "one row per run_id"),
    ):
        (line,) = (text for name, text in failures.items() if name.startswith(f"is_sound_{mart}_"))
        assert f'{{"broken":["{broken}"],"at_row":{{"run_id":' in line
    assert "NOT published" in done.stdout
    rows = json.loads(tool("runs", "--output-format", "json").stdout)
    assert [row["run_id"] for row in rows] == ["first"]


@pytest.mark.slow
def test_killed_at_any_moment_loses_and_doubles_nothing(
    tool: Tool, tmp_path: Path, ready: Path, forks: Forks
) -> None:
    db = tmp_path / "t.sqlite3"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    environ["DOCSTOKG_WAREHOUSE"] = str(ready)

    def run(kill_after_s: float = 0) -> int:
        arguments = ["run", "--db", str(db)]
        return forks.run(arguments, environ, tmp_path, kill_after_s).returncode

    record(db, "run-0")
    began = time.monotonic()
    assert run() == 0
    length_s = time.monotonic() - began
    killed = 0
    for number, part in enumerate(KILLED_AT, 1):
        record(db, f"run-{number}", start=START + 1000 * number)
        began = time.monotonic()
        code = run(part * length_s)
        assert code in (0, -signal.SIGKILL)
        if code == 0:  # the machine has become faster
            length_s = time.monotonic() - began
        killed += code != 0
        # readers are never stopped by what a killed run left behind
        assert tool("runs").returncode == 0
    assert killed >= len(KILLED_AT) / 2
    assert run() == 0
    assert loaded_counts(tool) == counts(db)
    rows = json.loads(tool("runs", "--output-format", "json").stdout)
    assert len(rows) == len(KILLED_AT) + 1


def test_every_command_has_help_with_an_example(tool: Tool) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert len(group.commands) == 20
    for command in group.commands:
        done = tool(command, "--help")
        assert done.returncode == 0
        assert "Example: docstokg-telemetry" in done.stdout


def test_sqlite_is_opened_read_only(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    connection = sqlite3.connect(db)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    before = db.read_bytes()
    tool("run", "--db", db)
    tool("summary", "--db", db)
    assert db.read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("from run_slos", "Catalog Error: Table with name run_slos does not exist! did you mean "
         "run_slis?; all tables: docstokg-telemetry query --query 'show all tables'"),
        ("select nope from run_slis", 'Binder Error: Referenced column "nope" not found in FROM '
         "clause!; columns of a table: docstokg-telemetry query --query 'describe TABLE'"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_told_with_what_to_do(
    tool: Tool, loaded: Path, sql: str, said: str
) -> None:
    done = tool("query", "--query", sql)
    assert (done.returncode, done.stderr) == (2, f"error: the query failed: {said}\n")


def test_a_run_of_which_nothing_could_be_judged(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute(
            "create table http_events (id integer primary key, run_id text, ts real, host text, "
            "role text, status integer, from_cache integer)"
        )
        connection.commit()
        done = tool("summary", "--db", db)
        assert (done.returncode, done.stderr) == (
            2,
            f"error: no run in {db}: wait for the crawler's first rows, or name the file that it "
            "records into\n",
        )
        connection.execute(
            "insert into http_events (run_id, ts, host, role, status, from_cache) "
            f"values ('r', {START}, 'h', 'landing', 200, 1)"
        )
        connection.commit()
    done = tool("summary", "--db", db)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Run r  NO DATA")
    assert tool("summary", "--db", db, "--strict").returncode == 1
    assert "– no data" in tool("runs", "--db", db).stdout
