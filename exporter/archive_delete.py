"""Rows that are in the archive, deleted from their file: in small transactions, and compared first.

Python's own SQLite only: a process that also opens the file with DuckDB would lose its locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from exporter.archive_tables import Table, quoted
from exporter.raw_schema import UPSERTED

#: Rows that one transaction deletes: some hundredths of a second, for which a writer waits.
_BATCH_ROWS: Final = 4000
#: How long the file is left alone after a transaction: this share of the time it took.
PAUSE_SHARE: Final = 0.25
#: … and at least so many seconds: a waiting writer looks again after 1, 2, 5, 10 ms.
PAUSE_S: Final = 0.004


def delete(
    connection: sqlite3.Connection, tables: Sequence[Table], run: str, alias: str
) -> dict[str, Any]:
    """Delete those of a run's rows that are what was copied, a few thousand at a time.

    Args:
        connection: has the file as main.
        tables: its telemetry tables.
        run: the run.
        alias: the copy, attached.

    Returns:
        How many were deleted and how many were left because they had changed, and the longest
        transaction in seconds.
    """
    deleted, changed, longest = 0, 0, 0.0
    for table in tables:
        if table.run is None:
            continue
        for condition, values in _batches(connection, table, alias, run):
            began = time.monotonic()
            deleted += _in_transaction(
                connection,
                f"delete from main.{quoted(table.name)} as live where {condition}",
                values,
            )
            took = time.monotonic() - began
            longest = max(longest, took)
            time.sleep(max(took * PAUSE_SHARE, PAUSE_S))
        changed += _still_there(connection, table, alias, run)
    return {"deleted": deleted, "changed": changed, "longest_s": longest}


def note(connection: sqlite3.Connection, run: str, archive: str, archived_at: str) -> None:
    """Say in the file where a run is, before the first of its rows goes."""
    _in_transaction(
        connection,
        "create table if not exists archived_runs "
        "(run_id TEXT PRIMARY KEY, archive TEXT, archived_at TEXT)",
        {},
    )
    where = os.fsencode(archive).decode(errors="replace")
    _in_transaction(
        connection,
        "insert or replace into archived_runs (run_id, archive, archived_at) "
        "values (:run, :archive, :archived_at)",
        {"run": run, "archive": where, "archived_at": archived_at},
    )


def _in_transaction(connection: sqlite3.Connection, sql: str, values: dict[str, Any]) -> int:
    """Run one statement for itself; return how many rows it was about."""
    connection.execute("begin immediate")
    try:
        count = connection.execute(sql, values).rowcount
        connection.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("rollback")
        raise
    return count


def _batches(
    connection: sqlite3.Connection, table: Table, alias: str, run: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield conditions on the rows of one transaction each, and their values."""
    copied = f"{alias}.{quoted(table.name)}"
    same = table.same("aside", "live")
    if table.rowid is None or table.contract in UPSERTED:
        # few rows, which an upsert gives another rowid
        yield (
            f"{table.of_run('live')} and exists (select 1 from {copied} as aside where {same})",
            {"run": run},
        )
        return
    after = -(1 << 63)
    chosen = f"select rowid from {copied} where rowid > :after order by rowid limit :rows"
    while True:
        values = {"after": after, "rows": _BATCH_ROWS}
        last = connection.execute(f"select max(rowid) from ({chosen})", values).fetchone()
        if last[0] is None:
            return
        yield (
            f"live.{table.rowid} in (select rowid from {copied} "
            "where rowid > :after and rowid <= :last) and exists (select 1 "
            f"from {copied} as aside where aside.rowid = live.{table.rowid} and {same})",
            {"after": after, "last": last[0]},
        )
        after = int(last[0])


def _still_there(connection: sqlite3.Connection, table: Table, alias: str, run: str) -> int:
    """Count the copied rows that are in the file though they should be gone."""
    copied = f"{alias}.{quoted(table.name)}"
    if table.rowid is None or table.contract in UPSERTED:
        where = table.of_run("live")
        sql = f"select count(*) from main.{quoted(table.name)} as live where {where}"
    else:
        sql = (
            f"select count(*) from {copied} as aside join main.{quoted(table.name)} as live "
            f"on live.{table.rowid} = aside.rowid where {table.of_run('live')}"
        )
    return int(connection.execute(sql, {"run": run}).fetchone()[0])
