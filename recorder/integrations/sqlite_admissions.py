"""What a rate limiter let through, in a SQLite file: for the processes of one machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from pyrate_limiter import Decision, Rate

from recorder.integrations.buckets import decide
from recorder.integrations.sqlite_file import SqliteFile

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS rate_admissions ("
    "bucket TEXT NOT NULL, at_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS rate_admissions_at ON rate_admissions (bucket, at_ms)",
    "CREATE INDEX IF NOT EXISTS rate_admissions_until ON rate_admissions (until_ms)",
)
#: Not later than now: a clock that was set back must not block a host until it has caught up.
_NEWEST: Final = (
    "SELECT at_ms FROM rate_admissions WHERE bucket = ? AND at_ms <= ? "
    "ORDER BY at_ms DESC LIMIT 1 OFFSET ?"
)
_TIMEOUT_S: Final = 10.0


class SqliteAdmissions:
    """Admissions of all buckets in one table of one file; expired rows go with each admission.

    Its methods raise ``sqlite3.Error`` when the file cannot be used, or stays locked for 10 s.
    """

    name = "a SQLite file"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path, _SCHEMA, _TIMEOUT_S)
        with self._file.reading():
            pass  # opened now, so that a file that cannot be used is known at the start

    def admit(self, bucket: str, rates: Sequence[Rate], weight: int) -> Decision:
        """Let requests through if the rates allow it."""
        with self._file.writing() as connection:
            # Read within the transaction: times are then in the order of the decisions.
            now_ms = time.time_ns() // 1_000_000

            def newest(skipped: int) -> int | None:
                row = connection.execute(_NEWEST, (bucket, now_ms, skipped)).fetchone()
                return None if row is None else int(row[0])

            decision = decide(rates, weight, now_ms, newest)
            if decision.allowed:
                until_ms = now_ms + max(rate.interval for rate in rates)
                connection.execute("DELETE FROM rate_admissions WHERE until_ms < ?", (now_ms,))
                connection.executemany(
                    "INSERT INTO rate_admissions VALUES (?, ?, ?)",
                    [(bucket, now_ms, until_ms)] * weight,
                )
            return decision

    def count(self, bucket: str) -> int:
        """Return how many admissions are kept."""
        query = "SELECT count(*) FROM rate_admissions WHERE bucket = ?"
        with self._file.reading() as connection:
            return int(connection.execute(query, (bucket,)).fetchone()[0])

    def forget(self, bucket: str) -> None:
        """Forget a bucket's admissions."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM rate_admissions WHERE bucket = ?", (bucket,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
