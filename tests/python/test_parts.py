"""Runs are built in parts that fit into memory: the rows are those of all runs at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from exporter import touched, warehouse

from .conftest import ROOT
from .support.lakes import Lake, Rows, differences, rows
from .support.runs import START, record

#: Names that could be taken for a number, a date, nothing or the end of a text.
RUNS = ("00123", "null", "true", "2025-01-01", "it's \\ run")
_BUILD = """
import sys
from pathlib import Path
from exporter import runner, touched
touched.PART_ROWS = int(sys.argv[2])
assert runner.build([sys.argv[1]], Path().resolve(), print, lambda *done: None).published
"""


def built(db: Path, folder: Path, part_rows: int) -> None:
    """Build a warehouse of a file, in parts of so many rows."""
    subprocess.run(
        [sys.executable, "-c", _BUILD, db, str(part_rows)],
        cwd=ROOT, env=os.environ | {"DOCSTOKG_WAREHOUSE": str(folder)}, check=True,
    )  # fmt: skip


@pytest.mark.slow
def test_parts_give_the_rows_of_all_runs_at_once(
    ready: Path, compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "t.sqlite3"
    for number, run in enumerate(RUNS):
        record(db, run, good=15 + number, start=START + 1800 * number)
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    )
    unnamed = "insert into http_events (run_id, ts) values ('', 1760000000), (x'ff', 1760000000)"
    subprocess.run([sys.executable, "-c", code, db, unnamed], check=True)
    built(db, ready, 250)  # a run has 102 rows: two parts of three and two runs
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(ready))
    once = Lake(compiled)
    once.load([db])
    once.build()
    connection = warehouse.connect()
    warehouse.attach_published(connection)
    tables = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() "
        "where database_name = 'lake' and schema_name in ('staging', 'intermediate', 'marts')"
    ).fetchall()
    found: dict[str, Rows] = {name: rows(connection, name) for (name,) in tables}
    connection.close()
    wrong = {
        name: different
        for name, parts in found.items()
        if (different := differences(rows(once.connection, name), parts))
    }
    assert wrong == {}
    assert {run in str(found["marts.host_traffic"]) for run in RUNS[:4]} == {True}
    assert len(found["marts.rejected_rows"]) == 2
    assert len([name for name, parts in found.items() if parts]) > 15


def test_runs_are_divided_by_their_rows() -> None:
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as lake")
    warehouse.ensure_schema(connection)
    touched.make_room(connection)
    sizes = {"a": 60, "b": 30, "c": 500, "d": 10, "e": 95}
    for run, size in sizes.items():
        connection.execute(
            "insert into lake.raw.http_events (run_id) select ? from range(?)", [run, size]
        )
        connection.execute("insert into lake.meta.load_runs (load_id, run_id) values (1, ?)", [run])
    touched.touch(connection, 0, part_rows=100)
    found = connection.execute(
        "select part, list(run_id order by run_id) from session.main.touched_runs "
        "group by part order by part"
    ).fetchall()
    assert [runs for _, runs in found] == [["a", "b", "c"], ["d"], ["e"]]
    touched.touch(connection, 1)
    assert connection.execute("select count(*) from session.main.touched_runs").fetchone() == (0,)
