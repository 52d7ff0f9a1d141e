"""Warehouses of earlier releases are taken over whole, those of later ones refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporter import raw_schema
from exporter.archived import ArchivedRun, Stored, select_sql
from exporter.errors import WarehouseError
from exporter.warehouse_schema import FORMAT, ensure_schema
from scripts.golden import GOLDEN, source

from .conftest import Tool
from .support.runs import counts, loaded_counts

RELEASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
#: What a summary says of a run that is no longer meant as the release meant it, and why.
CHANGED: dict[str, set[str]] = {"0.1.0": set()}
#: Makes of a warehouse one whose models were others: a stored one that is a view, a view that is
#: stored, a stored one with other columns, one that is no more, and a seed that is a view.
_OTHER_MODELS = """
from exporter import warehouse
c = warehouse.connect()
warehouse._attach(c)
named = "select schema_name, {0}_name from duckdb_{0}s() where database_name = 'lake' "
stored = c.execute(named.format("table") + "and schema_name = 'marts'").fetchall()
views = c.execute(named.format("view") + "and schema_name = 'marts'").fetchall()
stored = [f"lake.{schema}.{name}" for schema, name in stored if name != "slo_targets"]
c.execute(f"drop table {stored[0]}")
c.execute(f"create view {stored[0]} as select 1 as other")
c.execute(f"create or replace table {stored[1]} as select 1 as run_id, [1] as yield_pct")
c.execute(f"drop view lake.{views[0][0]}.{views[0][1]}")
c.execute(f"create table lake.{views[0][0]}.{views[0][1]} as select 1 as other")
c.execute("create table lake.marts.renamed as select 1 as run_id")
c.execute("drop table lake.marts.slo_targets")
c.execute("create view lake.marts.slo_targets as select 1 as other")
"""


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_a_warehouse_of_a_release_is_taken_over(tool: Tool, tmp_path: Path, release: str) -> None:
    shutil.unpack_archive(GOLDEN / release / "warehouse.zip", tmp_path / "warehouse")
    db = tmp_path / "telemetry.sqlite3"
    source(db, "source.sql")
    subprocess.run(
        [sys.executable, "-c", _OTHER_MODELS],
        env={"DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse")},
        check=True,
    )
    assert _loaded(tool, db) == (0, 0)
    assert loaded_counts(tool) == counts(db)
    said = _read((GOLDEN / release / "summaries.json").read_text("utf-8"))
    for run, before in said.items():
        now = _summary(tool, "--run", run)
        slis = [name for name, value in before.items() if not isinstance(value, list | dict)]
        for name in set(slis).difference(CHANGED[release]):
            assert now[name] == before[name], (run, name)
        verdicts = [{_key(slo): slo["status"] for slo in of["slos"]} for of in (before, now)]
        kept = {
            key: status for key, status in verdicts[0].items() if key[0] not in CHANGED[release]
        }
        assert kept.items() <= verdicts[1].items()
    relations = tool(
        "query", "--format", "json", "--query",
        "select table_name from information_schema.tables where table_name = 'renamed'",
    )  # fmt: skip
    assert json.loads(relations.stdout) == []

    source(db, "grown.sql")
    assert _loaded(tool, db) == (4, 1)
    assert loaded_counts(tool) == counts(db)
    for run in [*said, "r4"]:
        there, file = _summary(tool, "--run", run), _summary(tool, "--run", run, "--db", str(db))
        for answer in (there, file):
            del answer["regressions"]  # a warehouse knows the runs before
        assert there == file


def _loaded(tool: Tool, db: Path) -> tuple[int, int]:
    """Run, and return how many rows were new and how many had changed."""
    done = tool("run", "--db", db, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["published"]
    return sum(answer["new_rows"].values()), answer["changed_rows"]


def _summary(tool: Tool, *words: str) -> dict[str, Any]:
    done = tool("summary", *words, "--output-format", "json")
    assert done.returncode in (0, 1), done.stderr
    return _read(done.stdout)


def _read(text: str) -> Any:
    """Read JSON; the last digits of numbers depend on the order of sums."""
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.9g}"))


def _key(slo: dict[str, Any]) -> tuple[str, str, str | None]:
    return slo["slo"], slo["scope"], slo["subject"]


def test_what_a_warehouse_lacks_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = duckdb.connect()
    lake.execute("attach ':memory:' as lake")
    ensure_schema(lake)
    lake.execute("insert into lake.raw.source_files (file_id, path) values ('f', '/f')")
    lake.execute("insert into lake.raw.http_events (id, run_id) values (1, 'r')")
    with monkeypatch.context() as later:
        later.setitem(raw_schema.TABLES["http_events"], "novel", "time")
        later.setitem(raw_schema.TABLES, "novelties", {"run_id": "key"})
        later.setitem(raw_schema.CAPABILITIES, "has_novel", ("http_events", "novel"))
        ensure_schema(lake)
        row = lake.execute("select id, run_id, novel, novel_text from lake.raw.http_events")
        assert row.fetchall() == [(1, "r", None, None)]
        files = lake.execute("select file_id, has_novel from lake.raw.source_files")
        assert files.fetchall() == [("f", None)]
        assert lake.execute("from lake.raw.novelties").fetchall() == []
        ensure_schema(lake)
    # which this release does not know
    with pytest.raises(WarehouseError, match=r"newer release .* has a column .*: update"):
        ensure_schema(lake)


def test_archived_columns_of_before_are_typed_nulls(tmp_path: Path) -> None:
    lake = duckdb.connect()
    lake.execute(f"copy (select 1::bigint as id, 'r' as run_id) to '{tmp_path}/t.parquet'")
    stored = Stored(["id", "run_id"], [], 1, file="t.parquet", parquet_columns=["id", "run_id"])
    run = ArchivedRun("r", 1, "", None, "", "", "", {"http_events": stored})
    relation = lake.sql(select_sql(str(tmp_path), run, "http_events"))
    kinds = raw_schema.raw_columns("http_events")
    assert [(c, str(t).lower()) for c, t in zip(relation.columns, relation.types, strict=True)] == [
        (c, t) for c, t in kinds.items() if c not in ("file_id", "load_id")
    ]
    assert relation.fetchall()[0][:3] == (1, "r", None)


#: Publishes what the warehouse holds, as a later release.
_PUBLISH_LATER = """
from exporter import warehouse
connection = warehouse.connect()
warehouse.attach_writer(connection)
warehouse.FORMAT, warehouse.__version__ = 99, "9.0.0"
warehouse.publish(connection, "later-later", ["marts"])
"""


def test_a_warehouse_of_a_later_release_is_refused(
    tool: Tool, tmp_path: Path, loaded: Path
) -> None:
    place = tmp_path / "warehouse"
    subprocess.run(
        [sys.executable, "-c", _PUBLISH_LATER], env={"DOCSTOKG_WAREHOUSE": str(place)}, check=True
    )
    message = (
        f"error: the warehouse {place} was written by a newer release (9.0.0, format 99; known up "
        f"to {FORMAT}): update docstokg-telemetry, or set DOCSTOKG_WAREHOUSE to another folder\n"
    )
    for command in (("runs",), ("run", "--db", loaded)):
        done = tool(*command)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
