"""Telemetry files, read row by row with the standard library: section 1 of the contract.

Anything SQL could get wrong is done here in Python: the only statements are ``select *``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from .values import (
    Value,
    decode,
    filled,
    flag,
    host,
    integer,
    real,
    resolver_in,
    state,
    text,
    time_us,
    word,
)

Clean = None | int | float | str
NO_RUN_ID = "no usable run_id"
NO_TIME = "no usable time"

# What each field is. Durations, delays and weights may have a fraction; the rest are counts.
FIELDS: dict[str, dict[str, Callable[[Value], Clean]]] = {
    "http_events": {
        "host": host, "role": word, "method": text, "status": integer, "url_hash": text,
        "from_cache": flag, "revalidated": flag, "stale": flag, "retry_count": integer,
        "retry_after_s": real, "rate_delay_ms": real, "sample_weight": real,
        "breaker_state": state, "breaker_recorded": word, "elapsed_ms": real, "error": text,
    },
    "rate_events": {
        "host": host, "role": word, "action": word, "delay_ms": real, "max_delay_ms": real,
    },
    "breaker_transitions": {
        "host": host, "scope": word, "old_state": state, "new_state": state,
        "reset_timeout_s": real, "details": text,
    },
    "fallback_attempts": {
        "work_id": text, "artifact_id": text, "tier": text, "source": text, "resolver_name": text,
        "host": host, "outcome": word, "reason": text, "status": integer, "elapsed_ms": real,
        "metadata": text,
    },
    "downloads": {
        "work_id": text, "artifact_id": text, "source": text, "resolver_name": text,
        "sha256": filled, "final_path": filled, "content_type": text, "content_length": integer,
        "dedupe_action": word, "elapsed_ms": real, "metadata": text,
    },
    "run_summary": {
        "started_at": time_us, "finished_at": time_us, "artifacts_total": integer,
        "artifacts_success": integer, "yield_pct": real, "ttfp_p50_ms": real, "ttfp_p95_ms": real,
        "cache_hit_pct": real, "rate_delay_p95_ms": real, "http_429_ratio": real,
        "breaker_open_events": integer, "dedupe_saved_mb": real, "corruption_count": integer,
    },
}  # fmt: skip
EVENT_TABLES = tuple(table for table in FIELDS if table != "run_summary")
TIME_IS_OPTIONAL = ("downloads", "run_summary")

Schema = dict[str, frozenset[str]]
"""The tables of a file and the columns of each, both in lower case."""


@dataclass(frozen=True)
class Row:
    """One loaded row: its identity, its time, and its other fields, cleaned."""

    table: str
    id: int
    run_id: str
    ts_us: int | None
    fields: dict[str, Clean]

    def text(self, column: str) -> str | None:
        """Return a text field; None also where the file lacks the column."""
        found = self.fields[column]
        return found if isinstance(found, str) else None

    def number(self, column: str) -> float | None:
        """Return a numeric field; None also where the file lacks the column."""
        found = self.fields[column]
        return found if isinstance(found, int | float) else None

    @property
    def resolver(self) -> str:
        """The first of source, resolver_name and metadata's name that is there, else 'unknown'."""
        return (
            self.text("source")
            or self.text("resolver_name")
            or resolver_in(self.text("metadata"))
            or "unknown"
        )


@dataclass(frozen=True)
class Rejected:
    """A row that could not be loaded, and why; run_id is looked at before the time."""

    table: str
    id: int
    reason: str


@dataclass
class Counts:
    """What became of a table's rows: source = loaded + len(rejected) + duplicates."""

    source: int = 0
    loaded: int = 0
    duplicates: int = 0
    rejected: list[Rejected] = field(default_factory=list)


@dataclass
class Telemetry:
    """All that some files hold. Every one of the six tables has an entry, empty if need be."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in FIELDS})
    counts: dict[str, Counts] = field(default_factory=lambda: {t: Counts() for t in FIELDS})
    schemas: dict[str, list[Schema]] = field(default_factory=dict)  # of the files of each run

    @property
    def runs(self) -> list[str]:
        """Every run that a loaded row of any table names, in order of name."""
        return sorted(self.schemas)

    def of(self, table: str, run_id: str) -> list[Row]:
        """Return a run's rows of one table, in order of id."""
        return sorted((r for r in self.rows[table] if r.run_id == run_id), key=lambda r: r.id)

    def has_table(self, run_id: str, table: str) -> bool:
        """Tell whether a file that names the run has the table."""
        return any(table in schema for schema in self.schemas.get(run_id, ()))

    def has_column(self, run_id: str, table: str, column: str) -> bool:
        """Tell whether a file that names the run has the column."""
        return any(column in schema.get(table, ()) for schema in self.schemas.get(run_id, ()))


def load(paths: str | Path | Iterable[str | Path]) -> Telemetry:
    """Read one file or several.

    A path given twice is read once. A row met again in another file (same run_id, table and id;
    for run_summary same run_id) is counted as a duplicate, and the one met first stays. A row that
    is rejected has no such name, so a copy of the file under another path rejects it again.
    """
    several = [paths] if isinstance(paths, str | Path) else paths
    telemetry = Telemetry()
    seen: set[tuple[str, str, int]] = set()
    for path in dict.fromkeys(Path(p).resolve(strict=True) for p in several):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = decode
            _load_file(connection, telemetry, seen)
    return telemetry


def _load_file(
    connection: sqlite3.Connection, telemetry: Telemetry, seen: set[tuple[str, str, int]]
) -> None:
    schema: Schema = {}
    runs: set[str] = set()
    for kind, name, *_ in connection.execute("select * from sqlite_master").fetchall():
        table = str(name).lower()
        if kind not in ("table", "view") or table not in FIELDS:
            continue
        cursor = connection.execute(f'select * from "{name}"')
        columns = [str(column[0]).lower() for column in cursor.description]
        schema[table] = frozenset(columns)
        counts = telemetry.counts[table]
        for found in _read(table, columns, cursor):
            counts.source += 1
            if isinstance(found, Rejected):
                counts.rejected.append(found)
                continue
            key = (found.run_id, table, found.id)
            if key in seen:
                counts.duplicates += 1
                continue
            seen.add(key)
            counts.loaded += 1
            telemetry.rows[table].append(found)
            runs.add(found.run_id)
    for run_id in runs:
        telemetry.schemas.setdefault(run_id, []).append(schema)


def _read(
    table: str, columns: list[str], values: Iterable[tuple[Value, ...]]
) -> Iterator[Row | Rejected]:
    """Clean the rows of one table.

    The time is the column ts, and timestamp only where the table has no ts. A table without an id
    counts its rows.
    """
    time_column = "ts" if "ts" in columns else "timestamp"
    for position, line in enumerate(values, start=1):
        raw = dict(zip(columns, line, strict=True))
        key = raw.get("id", position)
        row_id = key if isinstance(key, int) else position
        run_id = text(raw.get("run_id"))
        ts_us = time_us(raw.get(time_column))
        if run_id is None:
            yield Rejected(table, row_id, NO_RUN_ID)
        elif ts_us is None and table not in TIME_IS_OPTIONAL:
            yield Rejected(table, row_id, NO_TIME)
        else:
            fields = {name: clean(raw.get(name)) for name, clean in FIELDS[table].items()}
            yield Row(table, 0 if table == "run_summary" else row_id, run_id, ts_us, fields)
