"""Circuit breakers in a SQLite file: for the processes of one machine."""

from __future__ import annotations

import sqlite3
from typing import Final

from recorder.integrations.breaker_storage import Counter, Row
from recorder.integrations.sqlite_file import SqliteFile

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS breakers (host TEXT PRIMARY KEY, state TEXT, "
    "failures INTEGER NOT NULL DEFAULT 0, successes INTEGER NOT NULL DEFAULT 0, opened_at REAL)",
)
_COLUMNS: Final = frozenset(Row._fields)
#: A request waits for this lock, so not for long.
_TIMEOUT_S: Final = 0.25


class SqliteBreakers:
    """One row per host; the file is opened when it is first needed."""

    name = "the SQLite file"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path, _SCHEMA, _TIMEOUT_S)

    def read(self, host: str) -> Row:
        """Return a host's row."""
        query = "SELECT state, failures, successes, opened_at FROM breakers WHERE host = ?"
        with self._file.reading() as connection:
            found = connection.execute(query, (host,)).fetchone()
        return Row() if found is None else Row.of(*found)

    def add(self, host: str, counter: Counter) -> None:
        """Add one to a counter."""
        with self._file.writing() as connection:
            connection.execute(
                f"INSERT INTO breakers (host, {counter}) VALUES (?, 1) "
                f"ON CONFLICT (host) DO UPDATE SET {counter} = {counter} + 1",
                (host,),
            )

    def write(self, host: str, **fields: str | float) -> None:
        """Set fields of a host's row."""
        assert fields.keys() <= _COLUMNS
        names = [*fields]
        with self._file.writing() as connection:
            connection.execute(
                f"INSERT INTO breakers (host, {', '.join(names)}) "
                f"VALUES (?{', ?' * len(names)}) ON CONFLICT (host) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in names),
                (host, *fields.values()),
            )

    def claim(self, host: str, old: str, new: str) -> bool:
        """Change a host's state if it is the old one."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO breakers (host) VALUES (?)", (host,))
            changed = connection.execute(
                "UPDATE breakers SET state = ? WHERE host = ? AND coalesce(state, ?) = ?",
                (new, host, Row().state, old),
            )
            return changed.rowcount == 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()
