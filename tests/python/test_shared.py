"""One warehouse for several machines: the catalog in PostgreSQL, the data in object storage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support.runs import START, Tool, record
from .support.services import object_storage, postgres


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, str]]:
    """The settings of a warehouse that is on no machine's own disk."""
    with postgres() as place, object_storage() as settings:
        yield settings | {
            "DOCSTOKG_CATALOG": f"postgres:{place}",
            "DOCSTOKG_DATA_PATH": "s3://telemetry/warehouse",
        }


@pytest.mark.slow
def test_two_machines_share_a_warehouse(tool: Tool, tmp_path: Path, shared: dict[str, str]) -> None:
    here = shared | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "here")}
    there = shared | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "there")}
    done = tool("runs", **here)
    assert done.returncode == 2
    assert "nothing is published" in done.stderr
    for number, name in enumerate(("a", "b", "c")):
        record(tmp_path / f"{name}.sqlite3", name, start=START + 1000 * number)
    asked = ("query", "--format", "json", "--query", "select count(*) as n from http_events")

    # both write at once: one makes the warehouse, and the other waits, though they share no file
    done_by = {}
    threads = [
        threading.Thread(
            target=lambda n=name, e=env: done_by.update(
                {n: tool("run", "--db", f"{n}.sqlite3", "--db", "a.sqlite3", **e)}
            )
        )
        for name, env in (("b", here), ("c", there))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.returncode for process in done_by.values()] == [0, 0], done_by
    assert sum("waiting up to" in process.stderr for process in done_by.values()) == 1
    for env in (here, there):
        assert json.loads(tool(*asked, **env).stdout) == [{"n": 120}]
        rows = json.loads(tool("runs", "--output-format", "json", **env).stdout)
        assert [row["run_id"] for row in rows] == ["a", "b", "c"]
    done = tool("run", "--db", "b.sqlite3", **there)
    assert "nothing new" in done.stdout, done.stderr
    done = tool("export", "--out", "out", **there)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*here/**/*.parquet")) == []


def test_a_catalog_that_cannot_be_reached_is_one_line(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    settings = {
        "DOCSTOKG_CATALOG": "postgres:host=127.0.0.1 port=1 user=x password=t0psecret dbname=x"
    }
    for command in (("runs",), ("run", "--db", "t.sqlite3")):
        done = tool(*command, **settings)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "t0psecret" not in done.stderr
    done = tool("runs", DOCSTOKG_CATALOG="mysql:host=db password=t0psecret")
    assert done.returncode == 2
    assert "postgres:" in done.stderr
    assert "t0psecret" not in done.stderr


def test_a_warehouse_that_was_moved_is_read_and_written(
    tool: Tool, tmp_path: Path, loaded: Path
) -> None:
    (tmp_path / "warehouse").rename(tmp_path / "elsewhere")
    moved = {"DOCSTOKG_WAREHOUSE": str(tmp_path / "elsewhere")}
    assert "run " in tool("runs", **moved).stdout
    record(tmp_path / "b.sqlite3", "b", start=START + 1000)
    done = tool("run", "--db", "b.sqlite3", **moved)
    assert done.returncode == 0, done.stderr
    rows = json.loads(tool("runs", "--output-format", "json", **moved).stdout)
    assert [row["run_id"] for row in rows] == ["run", "b"]
    assert not (tmp_path / "warehouse").exists()
