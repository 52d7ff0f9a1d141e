"""Touched runs: those whose marts are out of date, which is all that a build looks at."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb


def make_room(connection: duckdb.DuckDBPyConnection) -> None:
    """Attach the database of what one session knows and no other, in memory."""
    connection.execute("attach ':memory:' as session")
    connection.execute("create table session.main.touched_runs (run_id varchar)")
    connection.execute("create table session.main.rebuilt (resource_type varchar)")


def touch(cursor: duckdb.DuckDBPyConnection, after: int, rebuilt: Sequence[str] = ()) -> None:
    """Name the runs that loads touched after the one that the marts were last built for.

    Args:
        cursor: a connection with the lake attached, to which `make_room` was done.
        after: number of that load; -1 for all runs that were ever loaded.
        rebuilt: what is built anew whatever is stored of it: "model", "seed".
    """
    cursor.execute("delete from session.main.touched_runs")
    cursor.execute(
        "insert into session.main.touched_runs "
        "select distinct run_id from lake.meta.load_runs where run_id is not null and load_id > ?",
        [after],
    )
    cursor.execute("delete from session.main.rebuilt")
    cursor.execute("insert into session.main.rebuilt select unnest(?::varchar[])", [list(rebuilt)])
