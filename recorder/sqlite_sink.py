"""Stores rows in the SQLite file, a batch a transaction."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from recorder import crawler, schema
from recorder.rows import UPDATE, Row

_log = logging.getLogger("recorder")

#: Short, so that a locked file never keeps the writer from being told to stop: it tries again.
_BUSY_TIMEOUT_S: Final = 1.0

# Connections that a forked child inherited. SQLite forbids the child to use them, and closing
# one could remove the log of the parent's: they are kept, untouched, until the process ends.
_inherited: Final[list[sqlite3.Connection]] = []


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _keep(names: Sequence[str], new: str) -> str:
    return ", ".join(f"{name} = coalesce({new.format(name=name)}, {name})" for name in names)


def _upsert(table: str, names: Sequence[str], key: str, **merged: str) -> str:
    kept = _keep([name for name in names if name not in {key, *merged}], "excluded.{name}")
    # Of several processes that record one run, the first to begin and the last to end count.
    more = [
        f"{name} = {function}(coalesce({table}.{name}, excluded.{name}), "
        f"coalesce(excluded.{name}, {table}.{name}))"
        for name, function in merged.items()
    ]
    return f"{_insert(table, names)} ON CONFLICT ({key}) DO UPDATE SET {', '.join([kept, *more])}"


_DOWNLOADS: Final = schema.COLUMNS["downloads"]
_UPDATED: Final = tuple(c for c in _DOWNLOADS if c not in {"run_id", "artifact_id"})
_STATEMENTS: Final = {
    (table, ""): _insert(table, names)
    for table, names in {**schema.COLUMNS, **crawler.COLUMNS}.items()
} | {
    # The latest of what a run's workers and resumptions said, whichever file is loaded last.
    ("summaries", ""): (
        f"{_insert('summaries', crawler.COLUMNS['summaries'])} ON CONFLICT (run_id) DO UPDATE "
        "SET timestamp = excluded.timestamp, payload = excluded.payload "
        "WHERE (coalesce(julianday(excluded.timestamp), 0), excluded.payload) "
        "> (coalesce(julianday(summaries.timestamp), 0), summaries.payload)"
    ),
    ("run_summary", ""): _upsert(
        "run_summary", schema.COLUMNS["run_summary"], "run_id", started_at="min", finished_at="max"
    ),
    # What it counts only grows, in whatever order its words arrive.
    (schema.STATUS_TABLE, ""): _upsert(
        schema.STATUS_TABLE,
        tuple(schema.STATUS),
        "writer",
        **dict.fromkeys(
            ("updated_at", "events", "dropped", "damaged_values", "call_s", "writer_cpu_s"), "max"
        ),
    ),
    ("downloads", UPDATE): (
        f"UPDATE downloads SET {_keep(_UPDATED, ':{name}')} WHERE id = (SELECT max(id) "
        "FROM downloads WHERE run_id = :run_id AND artifact_id = :artifact_id)"
    ),
}
_REWRITE: Final = f"UPDATE downloads SET {', '.join(f'{c} = ?' for c in _DOWNLOADS)} WHERE id = ?"
#: What is wrong with a row, not with the file.
_REFUSALS: Final = (sqlite3.IntegrityError, sqlite3.InterfaceError, UnicodeError, OverflowError)
_STATUS: Final = _STATEMENTS[schema.STATUS_TABLE, ""]


class SqliteSink:
    """One SQLite file; any number of threads and processes may have one each.

    Args:
        path: the file; it and its folder are created when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def write(self, rows: Sequence[Row], first: int, status: Sequence[Any]) -> int:
        """Store rows and the writer's own row, all or nothing; return how many would not go in.

        Those are rows that the file itself refuses, such as by a constraint of its own; the
        others of the batch are stored.

        Raises:
            SchemaError: the file was written by a newer version.
            sqlite3.Error, OSError: nothing was stored; the same rows may be given again.
        """
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            # IMMEDIATE waits for other writers here, where the busy timeout holds; a transaction
            # that starts as a reader can be refused half-way without a wait.
            refused = store(connection, rows)
            connection.execute(_STATUS, status)
            connection.execute("COMMIT")
            return refused
        except BaseException:
            self._roll_back()
            raise

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def forget(self) -> None:
        """Leave the connection to the process that this one was forked from."""
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is not None:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            # Otherwise rows would go on into a file that has no name any more.
            _log.warning("telemetry file was removed or replaced, writing anew: %s", self.path)
            with suppress(sqlite3.Error):
                # A file that was only renamed must have all that was written, without its log.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.close()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,  # closed by whichever thread ends the writer
            )
            try:
                schema.enable_wal(connection, _BUSY_TIMEOUT_S)
                connection.execute("PRAGMA synchronous=NORMAL")
                schema.ensure_schema(connection)
                self._inode = _inode(self.path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _was_replaced(self) -> bool:
        try:
            return _inode(self.path) != self._inode
        except FileNotFoundError:
            return True


def store(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Store rows in the transaction under way; return how many the file refuses.

    Raises:
        sqlite3.Error: the transaction must be rolled back.
    """
    refused = 0
    # Table by table, since each statement has a cost of its own; within a table in their order.
    ordered = sorted(rows, key=lambda row: row.table)
    for (table, action), group in itertools.groupby(ordered, lambda row: (row.table, row.action)):
        statement = _STATEMENTS[table, action]
        batch: list[Any] = [row.values for row in group]
        if action == UPDATE:
            batch = [dict(zip(_DOWNLOADS, values, strict=True)) for values in batch]
        try:
            connection.execute("SAVEPOINT batch")
            done = connection.executemany(statement, batch)
            if action == UPDATE:  # of a download that is not there
                refused += len(batch) - done.rowcount
        except _REFUSALS:
            connection.execute("ROLLBACK TO batch")
            refused += sum(_refuses(connection, statement, values) for values in batch)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            # The statement does not fit this file's table, and never will; others may.
            connection.execute("ROLLBACK TO batch")
            refused += len(batch)
        connection.execute("RELEASE batch")
    return refused


def rewrite(connection: sqlite3.Connection, row_id: int, row: Row) -> bool:
    """Give a stored download these values, NULL too; False if the file refuses them."""
    return not _refuses(connection, _REWRITE, (*row.values, row_id))


def _refuses(connection: sqlite3.Connection, statement: str, values: Any) -> bool:
    try:
        connection.execute(statement, values)
    except _REFUSALS:
        return True
    return False


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
