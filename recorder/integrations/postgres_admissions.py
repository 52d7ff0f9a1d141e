"""What a rate limiter let through, in PostgreSQL: for crawlers on several machines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool
from pyrate_limiter import Decision, Rate

from recorder.integrations.buckets import decide

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS docstokg_rate_admissions ("
    "bucket text NOT NULL, at_ms bigint NOT NULL, until_ms bigint NOT NULL)",
    "CREATE INDEX IF NOT EXISTS docstokg_rate_admissions_at "
    "ON docstokg_rate_admissions (bucket, at_ms)",
    "CREATE INDEX IF NOT EXISTS docstokg_rate_admissions_until "
    "ON docstokg_rate_admissions (until_ms)",
)
_EXISTS: Final = "SELECT to_regclass('docstokg_rate_admissions_until') IS NOT NULL"
# Statements see what was committed before they began, so the lock needs one of its own.
_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
# The clock is the server's, read while the lock is held.
_CLOCK: Final = "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms) AS clock"
_NEWEST: Final = (
    "(SELECT at_ms FROM docstokg_rate_admissions WHERE bucket = %s AND at_ms <= now_ms "
    "ORDER BY at_ms DESC LIMIT 1 OFFSET %s)"
)
# Skips what others are deleting: waiting for them could end in a deadlock.
_ADMIT: Final = (
    "WITH expired AS (SELECT ctid FROM docstokg_rate_admissions WHERE until_ms < %s "
    "LIMIT 100 FOR UPDATE SKIP LOCKED), "
    "gone AS (DELETE FROM docstokg_rate_admissions WHERE ctid IN (SELECT ctid FROM expired)) "
    "INSERT INTO docstokg_rate_admissions "
    "SELECT %s, %s, %s FROM generate_series(1, %s)"
)
_TIMEOUT_S: Final = 5
_CONNECTIONS: Final = 8

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresAdmissions:
    """Admissions of all buckets in one table; expired rows go with each admission.

    Making one raises ``ValueError`` for an address that cannot be read. Its methods raise
    ``psycopg.Error`` when the server does not answer within 5 s. It has threads of its own, which
    a fork loses: open it in the process that uses it.

    Args:
        url: the database, as ``postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE``.
    """

    name = "PostgreSQL"
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        try:
            timeout_s = conninfo_to_dict(url).get("connect_timeout") or _TIMEOUT_S
        except psycopg.ProgrammingError:
            raise ValueError("the address cannot be read") from None
        # By a connection of its own: a pool tells why it has none only to the log.
        with psycopg.connect(url, connect_timeout=timeout_s) as connection:
            (exists,) = connection.execute(_EXISTS).fetchone() or (False,)
            if not exists:
                # CREATE … IF NOT EXISTS fails when two do it at once.
                connection.execute(_LOCK, (_number("schema"),))
                for statement in _SCHEMA:
                    connection.execute(statement)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            kwargs={"connect_timeout": timeout_s},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_TIMEOUT_S,
            configure=_configure,
            check=ConnectionPool.check_connection,  # so that a restart of the server is not felt
            open=True,
        )

    def admit(self, bucket: str, rates: Sequence[Rate], weight: int) -> Decision:
        """Let requests through if the rates allow it."""
        skipped = [max(rate.limit - weight, 0) for rate in rates]
        query = f"SELECT now_ms, {', '.join([_NEWEST] * len(rates))} FROM {_CLOCK}"
        values = [value for places in skipped for value in (bucket, places)]
        # As a pipeline, one round trip to the server instead of three while others wait.
        with self._pool.connection() as connection, connection.pipeline():
            connection.execute(_LOCK, (_number(bucket),))
            now_ms, *found = connection.execute(query, values).fetchone() or ()
            newest = dict(zip(skipped, found, strict=True))
            decision = decide(rates, weight, now_ms, newest.__getitem__)
            if decision.allowed:
                until_ms = now_ms + max(rate.interval for rate in rates)
                connection.execute(_ADMIT, (now_ms, bucket, now_ms, until_ms, weight))
            return decision

    def count(self, bucket: str) -> int:
        """Return how many admissions are kept."""
        query = "SELECT count(*) FROM docstokg_rate_admissions WHERE bucket = %s"
        with self._pool.connection() as connection:
            (count,) = connection.execute(query, (bucket,)).fetchone() or (0,)
            return int(count)

    def forget(self, bucket: str) -> None:
        """Forget a bucket's admissions."""
        query = "DELETE FROM docstokg_rate_admissions WHERE bucket = %s"
        with self._pool.connection() as connection:
            connection.execute(query, (bucket,))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def _configure(connection: Connection) -> None:
    connection.autocommit = True
    # A crash of the server may lose the last admissions; waiting for its disk each time is worse.
    connection.execute("SET synchronous_commit = off")
    connection.execute(f"SET lock_timeout = '{_TIMEOUT_S}s'")
    connection.execute(f"SET statement_timeout = '{_TIMEOUT_S}s'")
    connection.autocommit = False


def _number(text: str) -> int:
    """Return the number of an advisory lock: 64 bits of a digest, as no other program makes."""
    digest = hashlib.sha256(f"docstokg:rate:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
