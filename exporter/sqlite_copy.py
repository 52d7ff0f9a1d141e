"""Copies of a SQLite file, taken while others write to it.

Python's own SQLite only: a process that also opens the file with DuckDB would lose its locks.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from exporter.errors import SourceError, one_line
from exporter.sqlite_file import BUSY_TIMEOUT_S, opened, row_counts, tables
from exporter.sqlite_reason import refusal, trouble

#: Pages a step: with 4 KiB pages 16 MiB, some hundredths of a second.
_PAGES: Final = 4096
#: Without a write-ahead log, a change by another process starts the copy anew. After so many times
#: one single step is taken, which makes writers wait for as long as the copy takes.
_RESTARTS: Final = 2
#: Steps that found the file locked.
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
Step = Callable[[str, int, int], None]


class _Restarted(Exception):
    """Another process changed the file between two steps of a copy."""


@contextmanager
def source(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file to back up, read-only; errors within say what is wrong with it.

    Raises:
        SourceError: the file is missing, locked, empty, or no database.
    """
    if (refused := refusal(str(path))) is not None:
        raise SourceError(f"cannot back up {path}: {refused}")
    try:
        with opened(path, "mode=ro") as connection:
            connection.execute("begin")
            if not tables(connection):
                raise SourceError(
                    f"{path} holds no table, so there is nothing to back up: is it the right file?"
                )
            yield connection
    except sqlite3.Error as error:
        raise SourceError(f"cannot back up {path}: {trouble(error, str(path))}") from None


def damaged(db: Path, damage: str) -> SourceError:
    """Return the error of a damaged file; its backup would push out a good one."""
    return SourceError(
        f"{db} is damaged ({damage}), so it was not backed up: keep it, and restore an earlier "
        "backup under another name"
    )


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
    if not is_wal:
        origin.execute("commit")
    try:
        _copy(origin, copy, is_wal, path, step)
    except sqlite3.Error as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise SourceError(
                f"cannot copy {path} to {copy.parent}: {one_line(error)}; "
                "free some disk space there"
            ) from None
        raise
    return row_counts(origin) if is_wal else None


def _copy(origin: sqlite3.Connection, copy: Path, is_wal: bool, path: Path, step: Step) -> None:
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

    # A writer that commits without a pause leaves the file free for moments only: looked for often.
    origin.execute("pragma busy_timeout = 0")
    try:
        with _written(copy) as target:
            origin.backup(target, pages=_PAGES, progress=watch, sleep=0.001)
    except _Restarted:
        before = -1
        copy.unlink()  # what was given up half-way is no database
        with _written(copy) as target:
            origin.backup(target, pages=-1, progress=watch, sleep=0.001)


@contextmanager
def _written(copy: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        # The copy is thrown away unless all of it is good: nothing in it needs a second chance.
        target.execute("pragma journal_mode = off")
        target.execute("pragma synchronous = off")
        yield target
