"""Warehouses of earlier releases are taken over whole, those of later ones refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
