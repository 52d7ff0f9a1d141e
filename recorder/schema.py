"""The six telemetry tables, as data and as SQLite DDL."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SCHEMA_VERSION: Final = 2

_ID: Final = "INTEGER PRIMARY KEY AUTOINCREMENT"

# Column name to SQLite declaration. Everything else that knows columns (the writer, the
# generator, tests) reads them here. AUTOINCREMENT, because an id must name its row for ever:
# a plain rowid is given out again after a delete, and readers remember the last id they saw.
TABLES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "http_events": MappingProxyType(
            {
                "id": _ID,
                "run_id": "TEXT NOT NULL",
                "ts": "REAL NOT NULL",
                "host": "TEXT",
                "role": "TEXT",
                "method": "TEXT",
                "status": "INTEGER",
                "url_hash": "TEXT",
                "from_cache": "INTEGER",
                "revalidated": "INTEGER",
                "stale": "INTEGER",
                "retry_count": "INTEGER",
                "retry_after_s": "REAL",
                "rate_delay_ms": "REAL",
                "sample_weight": "REAL DEFAULT 1",
                "breaker_state": "TEXT",
                "breaker_recorded": "TEXT",
                "elapsed_ms": "REAL",
                "error": "TEXT",
            }
        ),
        "rate_events": MappingProxyType(
            {
                "id": _ID,
                "run_id": "TEXT NOT NULL",
                "ts": "REAL NOT NULL",
                "host": "TEXT",
                "role": "TEXT",
                "action": "TEXT",
                "delay_ms": "REAL",
                "max_delay_ms": "REAL",
            }
        ),
        "breaker_transitions": MappingProxyType(
            {
                "id": _ID,
                "run_id": "TEXT NOT NULL",
                "ts": "REAL NOT NULL",
                "host": "TEXT",
                "scope": "TEXT",
                "old_state": "TEXT",
                "new_state": "TEXT",
                "reset_timeout_s": "REAL",
                "details": "TEXT",
            }
        ),
        "fallback_attempts": MappingProxyType(
            {
                "id": _ID,
                "run_id": "TEXT NOT NULL",
                "ts": "REAL NOT NULL",
                "work_id": "TEXT",
                "artifact_id": "TEXT",
                "tier": "TEXT",
                "source": "TEXT",
                "host": "TEXT",
                "outcome": "TEXT",
                "reason": "TEXT",
                "status": "INTEGER",
                "elapsed_ms": "REAL",
                "metadata": "TEXT",
            }
        ),
        "downloads": MappingProxyType(
            {
                "id": _ID,
                "run_id": "TEXT NOT NULL",
                "ts": "REAL",
                "work_id": "TEXT",
                "artifact_id": "TEXT",
                "sha256": "TEXT",
                "final_path": "TEXT",
                "content_type": "TEXT",
                "content_length": "INTEGER",
                "dedupe_action": "TEXT",
                "elapsed_ms": "REAL",
                "metadata": "TEXT",
            }
        ),
        "run_summary": MappingProxyType(
            {
                "run_id": "TEXT PRIMARY KEY",
                "started_at": "REAL",
                "finished_at": "REAL",
                "artifacts_total": "INTEGER",
                "artifacts_success": "INTEGER",
                "yield_pct": "REAL",
                "ttfp_p50_ms": "REAL",
                "ttfp_p95_ms": "REAL",
                "cache_hit_pct": "REAL",
                "rate_delay_p95_ms": "REAL",
                "http_429_ratio": "REAL",
                "breaker_open_events": "INTEGER",
                "dedupe_saved_mb": "REAL",
                "corruption_count": "INTEGER",
            }
        ),
    }
)

# (run_id, ts): one run is read out of a file of many, and the latest run found, without a scan.
# Downloads are also looked up by artifact, to be updated.
INDEXES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("http_events", ("run_id", "ts")),
    ("rate_events", ("run_id", "ts")),
    ("breaker_transitions", ("run_id", "ts")),
    ("fallback_attempts", ("run_id", "ts")),
    ("downloads", ("run_id", "ts")),
    ("downloads", ("run_id", "artifact_id")),
)


# What recorders did: not telemetry of the crawl, so no model is made of it. One row per writer.
STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "writer": "TEXT PRIMARY KEY",
        "run_id": "TEXT",
        "started_at": "REAL",
        "updated_at": "REAL",
        "events": "INTEGER",
        "dropped": "INTEGER",
        "damaged_values": "INTEGER",
        "call_s": "REAL",
        "writer_cpu_s": "REAL",
        "first_error": "TEXT",
    }
)
STATUS_TABLE: Final = "recorder_status"
# Not user_version: the file may be another program's, with a version of its own there.
_VERSION_TABLE: Final = "recorder_schema"
_ALL: Final = MappingProxyType({**TABLES, STATUS_TABLE: STATUS})

#: The columns of each table that a writer fills: all but the automatic id.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {table: tuple(name for name in declared if name != "id") for table, declared in _ALL.items()}
)


class SchemaError(RuntimeError):
    """The file has a schema that this version cannot write."""


def ddl() -> tuple[str, ...]:
    """Return the statements that create what is missing, tables before their indexes."""
    statements = [f"CREATE TABLE IF NOT EXISTS {_VERSION_TABLE} (version INTEGER)"]
    for table, declared in _ALL.items():
        body = ", ".join(f"{name} {kind}" for name, kind in declared.items())
        statements.append(f"CREATE TABLE IF NOT EXISTS {table} ({body})")
    for table, indexed in INDEXES:
        name = f"idx_{table}_{'_'.join(indexed)}"
        statements.append(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({', '.join(indexed)})")
    return tuple(statements)


def enable_wal(connection: sqlite3.Connection, timeout_s: float = 10.0) -> None:
    """Switch the file to write-ahead logging, so that readers and a writer do not block.

    Raises:
        sqlite3.OperationalError: the file cannot be written, or stayed locked for timeout_s.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            # Processes that open a new file at once race for this switch, and SQLite answers
            # "database is locked" at once here, whatever the busy timeout says.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def ensure_schema(connection: sqlite3.Connection) -> None:
    """Create the tables, columns and indexes that are missing; safe for several processes at once.

    The connection must not be inside a transaction.

    Raises:
        SchemaError: the file was written by a newer version.
        sqlite3.Error: the file cannot be written.
    """
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have been here while this one waited for the lock.
        version = _version(connection)
        if version > SCHEMA_VERSION:
            raise SchemaError(
                f"telemetry schema version {version} is newer than {SCHEMA_VERSION}, the newest "
                "this version writes: update the recorder, or name another file"
            )
        _add_columns(connection)
        for statement in ddl():
            connection.execute(statement)
        connection.execute(f"DELETE FROM {_VERSION_TABLE}")
        connection.execute(f"INSERT INTO {_VERSION_TABLE} VALUES ({SCHEMA_VERSION})")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _add_columns(connection: sqlite3.Connection) -> None:
    """Give the tables of an older file the columns they lack; its rows keep NULL there."""
    for table, declared in _ALL.items():
        known = connection.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
        for name, kind in declared.items() if known else ():
            if (name,) not in known and name != "id":
                added = kind.replace(" NOT NULL", "")
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {added}")


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of a file's telemetry; 0 for one without, or of the first recorders."""
    asked = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(asked, [_VERSION_TABLE]).fetchone() == (0,):
        return 0
    (version,) = connection.execute(f"SELECT max(version) FROM {_VERSION_TABLE}").fetchone()
    return int(version or 0)
