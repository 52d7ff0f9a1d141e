"""Files that SQLite allows and nobody expects: none stops a load, and both ways agree on each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter import direct, results, warehouse
from exporter.compiled import Models
from exporter.loader import LoadReport, load

from .conftest import ROOT
from .support.runs import START, Tool, record

_EVENTS = "create table http_events (id {key}, run_id, ts, host text, role, status, from_cache)"
_DOWNLOADS = (
    "create table downloads (id integer primary key, run_id text, ts real, artifact_id text"
)


def make(path: Path, script: str) -> None:
    """Run SQL statements on a file, in a process of its own."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(path), script], check=True)


def asked(tool: Tool, sql: str) -> list[dict[str, object]]:
    """Ask the warehouse."""
    done = tool("query", "--format", "json", "--query", sql)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def both(tool: Tool, db: Path, run: str) -> dict[str, object]:
    """Return a run's summary, the same from its file and from the warehouse."""
    answers = []
    for arguments in (("--db", db), ()):
        done = tool("summary", *arguments, "--run", run, "--output-format", "json")
        assert done.returncode in (0, 1), done.stderr
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1]
    found: dict[str, object] = answers[0]
    return found


def test_odd_files_load_beside_good_ones(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    record(folder / "good.db", "good")
    make(
        folder / "utf16.db",
        "pragma encoding = 'UTF-16le';" + _EVENTS.format(key="integer primary key")
        + f"; insert into http_events (run_id, ts) values ('wide', {START})",
    )  # fmt: skip
    make(
        folder / "nul.db",
        _EVENTS.format(key="integer primary key")
        + f"; insert into http_events (run_id, ts) values ('nul' || char(0) || 'in', {START})",
    )
    # all of one run are a whole table, which is read by a scan that such values end
    for name, column, value in (
        ("text", "host", "cast(x'fffe' as text)"),
        ("blob", "host", "x'fffe'"),
        ("number", "status", "cast(x'fffe' as text)"),
    ):
        record(folder / f"{name}.db", name)
        make(
            folder / f"{name}.db",
            f"insert into http_events (run_id, ts, role, {column}) "
            f"values ('{name}', {START}, 'metadata', {value})",
        )
    # one row that stands for more requests than there are
    record(folder / "heavy.db", "heavy")
    make(folder / "heavy.db", "update http_events set sample_weight = 1e308")
    done = tool("run", "--db", folder)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "published" in done.stdout
    assert "1 file skipped" in done.stdout
    assert "utf16.db: its text is UTF-16" in done.stderr
    for name in ("good", "text", "blob", "number", "heavy"):
        assert both(tool, folder / f"{name}.db", name)["yield_pct"] == 95.0
    assert both(tool, folder / "heavy.db", "heavy")["requests"] == 40
    assert asked(tool, "select run_id from run_inventory where run_id like 'nul%'") == [
        {"run_id": "nul\ufffdin"}
    ]
    assert "nothing new" in tool("run", "--db", folder).stdout


class Lake:
    """A warehouse in memory: loads and builds in this process, without dbt."""

    def __init__(self, compiled: Path) -> None:
        self.compiled = compiled
        self.connection = warehouse.connect(("sqlite_scanner",))
        self.connection.execute("attach ':memory:' as lake")
        warehouse.ensure_schema(self.connection)

    def load(self, db: Path) -> LoadReport:
        """Load what is new."""
        return load(self.connection, [str(db)], lambda message: None)

    def summary(self, db: Path, run: str) -> dict[str, Any]:
        """Return a run's summary, the same from what was loaded and from its file."""
        for schema in ("staging", "intermediate", "marts"):
            self.connection.execute(f"drop schema if exists lake.{schema} cascade")
        Models(self.compiled.read_text()).build(self.connection, results.SUMMARY_MODELS)
        ours = results.summary(self.connection, run).as_json()
        with direct.opened([str(db)], run, self.compiled, results.SUMMARY_MODELS) as found:
            assert results.summary(found.connection, run).as_json() == ours
        return ours


def test_rows_that_nothing_tells_apart_are_all_counted(compiled: Path, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    ids = ["1", "1", "1", "2", "2", "3", "null", "null", "'x'", "'x'"]
    rows = ", ".join(f"({one}, 'run', {START}, 'h', 'metadata', 200, 0)" for one in ids)
    make(
        db,
        _EVENTS.format(key="integer") + f"; insert into http_events values {rows};"
        "create table run_summary (run_id text, started_at real, finished_at real);"
        f"insert into run_summary values ('run', 1, 2), ('run', {START}, {START + 1}),"
        f" ('run', {START}, {START + 60})",
    )
    lake = Lake(compiled)
    assert lake.load(db).rows == 13
    found = lake.summary(db, "run")
    assert found["requests"] == 10
    assert found["rejected_rows"] == 2
    assert found["finished_at"] == "2025-10-09T08:54:20Z"  # the row written last
    again = lake.load(db)
    assert (again.rows, again.changed, again.load_id) == (0, 0, None)
    # one more of the same is one more
    make(db, f"insert into http_events values (1, 'run', {START}, 'h', 'metadata', 200, 0)")
    assert lake.load(db).rows == 1
    assert lake.summary(db, "run")["requests"] == 11


def test_an_id_may_be_unique_in_its_run_only(compiled: Path, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    make(
        db,
        "create table http_events (run_id text, id integer, ts real, role text, from_cache int,"
        " primary key (run_id, id));"
        f"insert into http_events values ('a', 1, {START}, 'metadata', 1),"
        f" ('b', 1, {START + 9}, 'metadata', 0), ('b', 2, {START + 9}, 'metadata', 1)",
    )
    lake = Lake(compiled)
    assert lake.load(db).rows == 3
    assert lake.summary(db, "a")["cache_hit_pct"] == 100
    assert lake.summary(db, "b")["cache_hit_pct"] == 50
    assert lake.load(db).rows == 0


def test_an_infinite_time_is_none(compiled: Path, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    make(
        db,
        "create table http_events (id integer primary key, run_id text, ts real, timestamp text);"
        "insert into http_events (run_id, ts, timestamp) values"
        " ('run', 9e999, '2025-10-09T08:53:20Z'), ('run', -9e999, null), ('run', 1760000000, '')",
    )
    lake = Lake(compiled)
    assert lake.load(db).rows == 3
    found = lake.summary(db, "run")
    assert (found["requests"], found["rejected_rows"]) == (2, 1)


def test_a_column_that_is_added_later_counts_from_then_on(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    rows = ", ".join(f"('run', {START}, 'a{n}', 'ab')" for n in range(5))
    make(
        db, _DOWNLOADS + ", sha256 text);"
        f"insert into downloads (run_id, ts, artifact_id, sha256) values {rows}",
    )  # fmt: skip
    assert tool("run", "--db", db).returncode == 0
    assert both(tool, db, "run")["yield_pct"] == 100
    make(db, "alter table downloads add column final_path text")
    assert tool("run", "--db", db).returncode == 0
    found = both(tool, db, "run")
    assert (found["yield_pct"], found["corruption_count"]) == (0, 5)


def test_a_file_that_replaces_another_leaves_its_runs_alone(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "old")
    assert tool("run", "--db", db).returncode == 0
    before = both(tool, db, "old")
    assert before["breaker_opens"] == 0
    for path in tmp_path.glob("t.sqlite3*"):
        path.unlink()
    make(
        db, _DOWNLOADS + ", sha256 text);"
        f"insert into downloads (run_id, ts, artifact_id, sha256) values ('new', {START}, 'a', 'b')"
    )  # fmt: skip
    # other models, so that all runs are built anew
    project = copy_of_project(tmp_path)
    done = tool("run", "--db", db, "--project-dir", project)
    assert done.returncode == 0, done.stderr
    done = tool("summary", "--run", "old", "--output-format", "json")
    # what "new" is held against is another matter: the two overlap in time
    after = json.loads(done.stdout)
    assert {**after, "regressions": None} == {**before, "regressions": None}
    assert both(tool, db, "new")["breaker_opens"] is None
    assert "nothing new" in tool("run", "--db", db, "--project-dir", project).stdout


def copy_of_project(tmp_path: Path) -> Path:
    """Return a copy of the dbt project whose models have another version."""
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("generic", "singular"):
        shutil.copytree(ROOT / "tests" / name, project / "tests" / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, project / name)
    with (project / "models" / "marts" / "runs" / "run_summary.sql").open("a") as file:
        file.write("-- changed\n")
    return project


@pytest.mark.parametrize(
    "command",
    ["summary", "budget", "compare a b", "trends", "diagnose", "report --format md", "metrics"],
)
def test_a_missing_file_is_told_before_anything_is_compiled(
    tool: Tool, tmp_path: Path, command: str
) -> None:
    project = copy_of_project(tmp_path)
    done = tool(*command.split(), "--db", "nope.sqlite3", "--project-dir", project)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: cannot read {tmp_path / 'nope.sqlite3'}: no such file: correct --db, "
        "or wait until the crawler has made it\n",
    )


@pytest.mark.slow
def test_export_of_a_copy_and_of_a_renamed_file(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "a.sqlite3", "a")
    record(tmp_path / "b.sqlite3", "b", start=START + 1000)
    assert tool("run", "--db", "a.sqlite3", "--db", "b.sqlite3").returncode == 0
    shutil.copy(tmp_path / "a.sqlite3", tmp_path / "copy.sqlite3")
    for path in tmp_path.glob("b.sqlite3*"):
        path.rename(tmp_path / path.name.replace("b.", "moved."))
    for name, run in (("copy", "a"), ("moved", "b")):
        done = tool("export", "--db", f"{name}.sqlite3", "--out", f"out-{name}")
        assert done.returncode == 0, done.stderr
        code = (
            'import duckdb, sys; print([duckdb.sql(f"select count(*), max(run_id) from '
            "'{sys.argv[1]}/{t}.parquet'\").fetchone() for t in "
            "('http_events', 'downloads', 'run_slis', 'recorded_run_summary')])"
        )
        read = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"out-{name}")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert read.stdout.strip() == str([(40, run), (20, run), (1, run), (1, run)])
    (row,) = (r for r in json.loads(tool("runs", "--output-format", "json").stdout)
              if r["run_id"] == "b")  # fmt: skip
    assert row["source_path"].endswith("moved.sqlite3")


def test_a_target_for_one_host_needs_no_default(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    project = copy_of_project(tmp_path)
    with (project / "seeds" / "slo_targets.csv").open("a") as file:
        file.write("cache_hit_pct,run_host,never.asked.example,>=,50,%,99,28,0\n")
    done = tool("run", "--db", "t.sqlite3", "--project-dir", project)
    assert done.returncode == 0, done.stderr
    rows = asked(
        tool, "select subject, status from slo_verdicts where slo = 'cache_hit_pct' "
        "and scope = 'run_host'",
    )  # fmt: skip
    assert rows == [{"subject": "never.asked.example", "status": "no_data"}]


def test_a_query_cannot_take_all_time_or_memory(tool: Tool, loaded: Path) -> None:
    for sql, says in (
        ("select levenshtein(repeat('a', 100000), repeat('b', 100000))", "longer than 1 s"),
        ("select length(repeat('x', 3000000000))", "failed"),
    ):
        done = tool("query", "--timeout", "1", "--query", sql)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert says in done.stderr
    assert tool("query", "--timeout", "nan", "--query", "select 1").returncode == 2


def test_output_that_nobody_takes(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "\x1b[31mred\nrun")
    assert tool("run", "--db", "t.sqlite3").returncode == 0
    done = tool("runs")
    assert "\x1b" not in done.stdout
    assert r"\x1b[31mred\nrun" in done.stdout
    assert "\x1b" not in tool("summary", "--db", "t.sqlite3").stdout
    done = tool("query", "--format", "json", "--query", "select 1 as a, 2 as a")
    assert json.loads(done.stdout) == [{"a": 1, "a_1": 2}]
    done = tool("query", "--format", "csv", "--query", "select true t, [1] l, null n, 0.5::double")
    assert done.stdout.splitlines()[1] == "true,[1],,0.5"
    environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse")}
    command = f"{sys.executable} -m exporter"
    for shell, code in (
        (f"{command} query --format csv --query 'from range(100000)' | head -1", 0),
        (f"{command} runs | true", 0),
        (f"{command} runs >&-", 0),
        (f"{command} runs > /dev/full", 2),
    ):
        done = subprocess.run(
            ["bash", "-c", f"{shell}; exit ${{PIPESTATUS[0]}}"],
            env=environ, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, (shell, done.stderr)
        assert len(done.stderr.splitlines()) == (code != 0), (shell, done.stderr)
