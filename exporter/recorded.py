"""What the recorders of a run say about themselves, in the file that they recorded into."""

from __future__ import annotations

import duckdb

from exporter.raw_sql import ENGINE_ERRORS, literal


def dropped(connection: duckdb.DuckDBPyConnection, alias: str, run_id: str) -> int:
    """Return how many events of a run were dropped; 0 where no recorder says anything.

    Args:
        connection: has the file attached.
        alias: the attached database's name.
        run_id: the run.
    """
    sql = f"select sum(dropped) from recorder_status where run_id = {literal(run_id)}"
    try:
        row = connection.execute(
            "select try_cast(columns(*) as bigint) from sqlite_query(?, ?)", [alias, sql]
        ).fetchone()
    except ENGINE_ERRORS:  # crawlers that do not record with the recorder have no such table
        return 0
    return row[0] or 0 if row else 0
