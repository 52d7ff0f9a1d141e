"""A small SQLite file that threads and processes of one machine change together."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from recorder.schema import enable_wal

#: Connections of a parent process, which a fork must neither use nor close.
_inherited: Final[list[sqlite3.Connection]] = []
_files: Final[weakref.WeakSet[SqliteFile]] = weakref.WeakSet()


class SqliteFile:
    """One connection to the file, opened when it is first needed and again when it has to be.

    It is opened again in a child process, after any error, and when the file was deleted or
    replaced: others would then share a file that this process does not see.

    Args:
        path: the file; it is made if it is missing, its folder is not.
        schema: statements that create what is missing.
        timeout_s: how long to wait for a lock that another process holds.
    """

    def __init__(self, path: str, schema: Sequence[str], timeout_s: float) -> None:
        self._path, self._schema, self._timeout_s = Path(path), schema, timeout_s
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = threading.RLock()
        _files.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, outside any transaction, to one thread.

        Raises:
            sqlite3.Error: the file cannot be used now.
        """
        with self._lock:
            try:
                yield self._connect()
            except BaseException:
                self.close()
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection within a transaction that no other writer overlaps.

        Raises:
            sqlite3.Error: the file cannot be used now; nothing was changed.
        """
        with self.reading() as connection:
            # IMMEDIATE, because a transaction that reads first and writes later can be refused
            # the lock at once (SQLITE_BUSY_SNAPSHOT), whatever the timeout.
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; the next use opens it again. An open transaction is undone."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened == self._identity():
            return self._connection
        self.close()
        connection = sqlite3.connect(
            self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            enable_wal(connection, self._timeout_s)
            # What is kept here matters for seconds or minutes: no need to wait for the disk.
            connection.execute("PRAGMA synchronous=NORMAL")
            for statement in self._schema:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        self._connection, self._opened = connection, self._identity()
        return connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def forked(self) -> None:
        """Let go of what the parent process holds; called in every child process."""
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection, self._lock = None, threading.RLock()


def _forked() -> None:
    for file in _files:
        file.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
