"""The dbt project by itself: build with unit and data tests, docs and ls, offline and bare."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import ROOT
from .test_commands import counts, record


@pytest.fixture(autouse=True)
def _parsed(tmp_path: Path, parsed: Path) -> None:
    """Let the first command find the project parsed, as in an analyst's folder."""
    (tmp_path / "target").mkdir()
    shutil.copy(parsed, tmp_path / "target")


def dbt(tmp_path: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run dbt as an analyst does, from the project's folder."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    environ |= {
        "DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse"),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    return subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), *arguments],
        env=environ | extra,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_build_docs_and_ls(tmp_path: Path) -> None:
    built = assert_it_loads_and_publishes(tmp_path, "build")
    assert "unit tests" in built.stdout
    assert "PASS freshness of meta.loads" in dbt(tmp_path, "source", "freshness").stdout
    assert dbt(tmp_path, "docs", "generate").returncode == 0
    listed = dbt(tmp_path, "ls", "--resource-type", "model")
    assert "docstokg_telemetry.marts.sli.run_slis" in listed.stdout
    manifest = json.loads((tmp_path / "target" / "manifest.json").read_text())
    catalog = json.loads((tmp_path / "target" / "catalog.json").read_text())
    undescribed = [
        f"{name}.{column}"
        for name, relation in catalog["nodes"].items()
        for column in relation["columns"]
        # what is measured of a ratio, which the model's own description tells
        if not manifest["nodes"][name]["columns"]
        .get(re.sub("_(valid|good)$", "", column), {})
        .get("description")
    ]
    assert len(catalog["nodes"]) >= 40
    assert undescribed == []
    own = [m for m in manifest["macros"].values() if m["package_name"] == "docstokg_telemetry"]
    assert [m["name"] for m in own if not m["description"] and "test_" not in m["name"]] == []


def test_a_bare_run_loads_and_publishes(tmp_path: Path) -> None:
    assert_it_loads_and_publishes(tmp_path, "run")


def assert_it_loads_and_publishes(tmp_path: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of dbt on one file; return what it said."""
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    built = dbt(tmp_path, command, DOCSTOKG_TELEMETRY_DB_PATH=str(db))
    assert built.returncode == 0, built.stdout[-4000:]
    environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "warehouse")}
    asked = subprocess.run(
        [sys.executable, "-m", "exporter", "query", "--format", "csv"]
        + ["--query", "select count(*) as n from http_events"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout == f"n\n{counts(db)['http_events']}\n"
    return built


def test_dbt_and_the_tool_mean_the_same_warehouse(tmp_path: Path) -> None:
    # an empty variable is no variable, and a tilde is somebody's home
    for value, place in (("", ROOT / "warehouse"), ("~/wh", tmp_path / "wh")):
        where = {"DOCSTOKG_WAREHOUSE": value, "HOME": str(tmp_path)}
        done = dbt(tmp_path, "compile", "--select", "run_inventory", **where)
        assert done.returncode == 0, done.stdout[-2000:]
        assert (place / "catalog.sqlite").exists()
    assert not Path("/catalog.sqlite").exists()


def test_no_table_has_a_place_for_rows_in_the_catalog(prepared: Path) -> None:
    """For each that has, readers load the lake as it was when the table was made."""
    with closing(sqlite3.connect(prepared / "catalog.sqlite")) as catalog:
        (places,) = catalog.execute("select count(*) from ducklake_inlined_data_tables").fetchone()
        (tables,) = catalog.execute("select count(*) from ducklake_table").fetchone()
    assert places == 0 < tables
