"""A refreshed warehouse equals one built anew, whatever became of the files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from .support.lakes import Lake, RefreshedLake, differences


def script(path: Path, sql: str) -> None:
    """Run statements on a telemetry file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


def assert_as_built_anew(lake: RefreshedLake, compiled: Path, paths: list[Path]) -> None:
    """Compare every model of a warehouse with one built anew from the same files."""
    anew = Lake(compiled)
    anew.load(paths)
    anew.build()
    wrong = {
        name: found
        for name in anew.models.models
        if (found := differences(anew.rows(name), lake.rows(name)))
    }
    anew.connection.close()
    assert not wrong, "\n".join(f"{name}: {found[:6]}" for name, found in wrong.items())


def test_rows_that_a_run_has_no_more_are_deleted(
    tmp_path: Path, compiled: Path, refreshed: Path
) -> None:
    db = tmp_path / "t.sqlite3"
    lake = RefreshedLake(compiled, refreshed)
    script(db, """
        create table downloads (id integer primary key, run_id, artifact_id, sha256, final_path);
        insert into downloads (run_id, artifact_id, sha256, final_path) values
            ('done', 'a1', 'ab', '/a1'), ('open', 'a1', 'ab', null), (null, 'a2', 'ab', '/a2');
    """)  # fmt: skip
    lake.refresh([db])
    assert [row[:2] for row in lake.rows("half_done_artifacts")] == [("open", "id:a1")]
    script(db, """
        update downloads set final_path = '/a1' where run_id = 'open';
        insert into downloads (run_id, artifact_id) values (null, 'a3'), ('later', 'a4');
    """)  # fmt: skip
    lake.refresh([db])
    assert lake.rows("half_done_artifacts") == []
    assert len(lake.rows("rejected_rows")) == 2
    assert_as_built_anew(lake, compiled, [db])
