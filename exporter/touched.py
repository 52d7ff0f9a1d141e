"""Touched runs: those whose marts are out of date, which is all that a build looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from exporter.raw_schema import TABLES

#: Raw rows per part. At this size the hungriest model needs about 400 MB; larger parts could spill,
#: smaller ones would read files more often.
PART_ROWS: Final = 2_000_000


def make_room(connection: duckdb.DuckDBPyConnection) -> None:
    """Attach the database of what one session knows and no other, in memory."""
    connection.execute("attach ':memory:' as session")
    connection.execute("create table session.main.touched_runs (run_id varchar, part integer)")
    connection.execute("create table session.main.rebuilt (resource_type varchar)")


def touch(
    cursor: duckdb.DuckDBPyConnection,
    after: int,
    rebuilt: Sequence[str] = (),
    part_rows: int | None = None,
) -> None:
    """Name the runs that loads touched after the one that the marts were last built for.

    Args:
        cursor: a connection with the lake attached, to which `make_room` was done.
        after: number of that load; -1 for all runs that were ever loaded.
        rebuilt: what is built anew whatever is stored of it: "model", "seed".
        part_rows: raw rows of a part of the runs, PART_ROWS by default; a part ends with the run
            that reaches them.
    """
    cursor.execute("delete from session.main.touched_runs")
    cursor.execute(
        "insert into session.main.touched_runs select distinct run_id, 0 "
        "from lake.meta.load_runs where run_id is not null and load_id > ?",
        [after],
    )
    several = cursor.execute("select count(*) > 1 from session.main.touched_runs").fetchone()
    if several and several[0]:
        _divide(cursor, part_rows or PART_ROWS)
    cursor.execute("delete from session.main.rebuilt")
    cursor.execute("insert into session.main.rebuilt select unnest(?::varchar[])", [list(rebuilt)])


def _divide(cursor: duckdb.DuckDBPyConnection, part_rows: int) -> None:
    """Assign each touched run to a part; parts are built one after another."""
    rows = " union all ".join(f"select run_id from lake.raw.{table}" for table in TABLES)
    cursor.execute(
        f"with sizes as (select run_id, count(*) as size from ({rows}) "
        "where run_id in (select t.run_id from session.main.touched_runs as t) group by run_id) "
        "update session.main.touched_runs as touched set part = parts.part from ("
        "  select run_id, ((sum(size) over (order by run_id) - size) // ?)::integer as part "
        "  from sizes) as parts where touched.run_id = parts.run_id",
        [part_rows],
    )
