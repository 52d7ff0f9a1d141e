"""Copies of a SQLite file, taken while others write to it, and checks of them.

Python's own SQLite only: a process that also opens the file with DuckDB would lose its locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from exporter.errors import SourceError, one_line

#: Seconds to wait for a lock before saying that the file is locked.
BUSY_TIMEOUT_S: Final = 5.0
#: Pages a step: with 4 KiB pages 16 MiB, some hundredths of a second.
_PAGES: Final = 4096
#: Without a write-ahead log, a change by another process starts the copy anew. After so many times
#: one single step is taken, which makes writers wait for as long as the copy takes.
_RESTARTS: Final = 2
#: Steps that found the file locked.
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_RUN_TABLES: Final = (
    "run_summary", "http_events", "rate_events", "breaker_transitions", "fallback_attempts",
    "downloads",
)  # fmt: skip

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        rows: rows by table, virtual tables and SQLite's own left out.
        runs: how many runs the telemetry tables name.
        schema_version: the recorder's version of the tables; 0 where there is none.
    """

    rows: dict[str, int]
    runs: int
    schema_version: int


class _Restarted(Exception):
    """Another process changed the file between two steps of a copy."""


def uri(path: Path, options: str) -> str:
    """Return a file's name as a SQLite URI; any byte may be in the name."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{options}"


@contextmanager
def opened(path: Path, options: str) -> Iterator[sqlite3.Connection]:
    """Open a file that exists, with the options of a SQLite URI, to be used by any one thread."""
    connection = sqlite3.connect(
        uri(path, options),
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        check_same_thread=False,
    )
    with closing(connection):
        yield connection


@contextmanager
def source(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file to back up, read-only; errors within say what is wrong with it.

    Raises:
        SourceError: the file is missing, locked, empty, or no database.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SourceError(f"{path} {what}: name a SQLite file of telemetry with --db")
    try:
        with opened(path, "mode=ro") as connection:
            connection.execute("begin")
            if not _tables(connection):
                raise SourceError(
                    f"{path} holds no table, so there is nothing to back up: is it the right file?"
                )
            yield connection
    except sqlite3.Error as error:
        raise SourceError(f"cannot back up {path}: {_reason(path, error)}") from None


def snapshot(
    origin: sqlite3.Connection, path: Path, copy: Path, step: Step
) -> dict[str, int] | None:
    """Copy the file as it is at one moment, by SQLite's online backup.

    In WAL mode the open transaction of `origin` keeps to one snapshot: writers go on, and nothing
    they write starts the copy anew. In the other journal modes a lock held for the whole copy
    would keep writers from committing, so it is given up between steps, at first.

    Args:
        origin: of `source`, whose transaction sees that snapshot until it is closed.
        path: the file, for messages.
        copy: the file to make.
        step: told how many pages are done of how many.

    Returns:
        The rows by table in that snapshot; None where the file has no WAL, and may have changed.

    Raises:
        SourceError: there is no room, or the copy cannot be written.
        sqlite3.Error: the file cannot be read.
    """
    is_wal = origin.execute("pragma journal_mode").fetchone() == ("wal",)
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        # The copy is thrown away unless all of it is good: nothing in it needs a second chance.
        target.execute("pragma journal_mode = off")
        target.execute("pragma synchronous = off")
        if not is_wal:
            origin.execute("commit")
        try:
            _copy(origin, target, is_wal, path, step)
        except sqlite3.Error as error:
            if "full" in str(error) or "disk I/O" in str(error):
                raise SourceError(
                    f"cannot copy {path} to {copy.parent}: {one_line(error)}; "
                    "free some disk space there"
                ) from None
            raise
    return row_counts(origin) if is_wal else None


def _copy(
    origin: sqlite3.Connection, target: sqlite3.Connection, is_wal: bool, path: Path, step: Step
) -> None:
    restarts, before, moved = 0, -1, time.monotonic()

    def watch(status: int, remaining: int, total: int) -> None:
        nonlocal restarts, before, moved
        if status in _BUSY:
            # Python's loop around SQLite would try for ever
            if time.monotonic() - moved > BUSY_TIMEOUT_S:
                raise sqlite3.OperationalError("database is locked")
            return
        restarts += before >= 0 and remaining > max(before - _PAGES, 0)
        before, moved = remaining, time.monotonic()
        step(f"copying {path.name}", total - remaining, total)
        if restarts > _RESTARTS and remaining and not is_wal:
            raise _Restarted

    try:
        origin.backup(target, pages=_PAGES, progress=watch, sleep=0.01)
    except _Restarted:
        before = -1
        origin.backup(target, pages=-1, progress=watch, sleep=0.01)


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of each table, as the connection sees them."""
    return {
        table: _number(connection, f"select count(*) from {_quoted(table)}")
        for table in _tables(connection)
    }


def contents(path: Path) -> Content:
    """Return what a file that nobody else has open holds."""
    with opened(path, "mode=ro&immutable=1") as connection:
        rows = row_counts(connection)
        runs = " union ".join(
            f"select distinct run_id from {table}"
            for table in _RUN_TABLES
            if table in rows and _has_runs(connection, table)
        )
        return Content(
            rows,
            _number(connection, f"select count(run_id) from ({runs})") if runs else 0,
            _number(connection, "select max(version) from recorder_schema")
            if "recorder_schema" in rows
            else 0,
        )


def complaint(path: Path, started: Callable[[sqlite3.Connection], object]) -> str | None:
    """Return what SQLite finds wrong with a file that nobody else has open; None when all is well.

    Args:
        path: the file; no -wal or -shm is made beside it.
        started: given the connection, so that another thread can interrupt the check.
    """
    # immutable: no locks and no -wal, which a copy of a WAL file would otherwise be given
    with opened(path, "mode=ro&immutable=1") as connection:
        started(connection)
        connection.execute("pragma cache_size = -65536")
        try:
            found = [str(row[0]) for row in connection.execute("pragma integrity_check(3)")]
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise
            return one_line(error)
        except sqlite3.DatabaseError as error:
            return one_line(error)
    return None if found == ["ok"] else one_line(ValueError("\n".join(found)))


def _tables(connection: sqlite3.Connection) -> list[str]:
    # virtual tables, which may need a module that is not here, have no page of their own
    asked = (
        "select name from sqlite_master where type = 'table' and rootpage > 0 "
        r"and name not like 'sqlite\_%' escape '\' order by name"
    )
    return [str(name) for (name,) in connection.execute(asked).fetchall()]


def _has_runs(connection: sqlite3.Connection, table: str) -> bool:
    asked = f"select count(*) from pragma_table_info('{table}') where name = 'run_id'"
    return _number(connection, asked) > 0


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0] or 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reason(path: Path, error: sqlite3.Error) -> str:
    text = one_line(error)
    if "locked" in text:
        return f"it stayed locked for {BUSY_TIMEOUT_S:.0f} s: try again when its writer is done"
    if "not a database" in text:
        return "it is not a SQLite database: name the telemetry file"
    if "unable to open" in text or "readonly" in text:
        return (
            f"{text}: run this as a user who may read it and write to {path.absolute().parent}, "
            "where SQLite keeps its -wal and -shm"
        )
    return f"{text}: see docs/backup.md for how to restore an earlier backup"
