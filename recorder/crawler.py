"""The crawler's own JSONL: which of its records are kept, and what may be kept of each.

Its records go into tables with the names and columns of the crawler's own SQLite file, as far as
they are read, so that whatever reads that file reads these. What they mean is the reader's affair.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from recorder import schema
from recorder.privacy import Privacy
from recorder.rows import Row, integer, plain_text, real

#: What a record with this ``record_type`` is a row of.
RECORDS: Final = {
    "manifest": "manifests",
    "attempt": "attempts",
    "fallback_attempt": "fallback_events",
    "breaker_event": "breaker_events",
    "summary": "summaries",
}
#: Records that no SLI needs.
IGNORED: Final = frozenset({"fallback_summary", "io_attempt"})

_ID: Final = "INTEGER PRIMARY KEY AUTOINCREMENT"
#: By table its columns and how SQLite declares them.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "manifests": {
        "id": _ID,
        "timestamp": "TEXT",
        "run_id": "TEXT",
        "work_id": "TEXT",
        "resolver": "TEXT",
        "path": "TEXT",
        "classification": "TEXT",
        "content_type": "TEXT",
        "reason": "TEXT",
        "sha256": "TEXT",
        "content_length": "INTEGER",
        "dry_run": "INTEGER",
    },
    "attempts": {
        "id": _ID,
        "timestamp": "TEXT",
        "run_id": "TEXT",
        "work_id": "TEXT",
        "resolver_name": "TEXT",
        "url": "TEXT",
        "status": "TEXT",
        "http_status": "INTEGER",
        "reason": "TEXT",
        "elapsed_ms": "REAL",
    },
    "fallback_events": {
        "id": _ID,
        "timestamp": "TEXT",
        "run_id": "TEXT",
        "work_id": "TEXT",
        "artifact_id": "TEXT",
        "tier": "TEXT",
        "source": "TEXT",
        "outcome": "TEXT",
        "reason": "TEXT",
        "elapsed_ms": "REAL",
        "status": "INTEGER",
        "host": "TEXT",
        "payload": "TEXT",
    },
    "breaker_events": {
        "id": _ID,
        "timestamp": "TEXT",
        "run_id": "TEXT",
        "event_type": "TEXT",
        "host": "TEXT",
        "scope": "TEXT",
        "resolver": "TEXT",
        "payload": "TEXT",
    },
    "summaries": {"run_id": "TEXT PRIMARY KEY", "timestamp": "TEXT", "payload": "TEXT"},
}
COLUMNS: Final = {
    table: tuple(name for name in declared if name != "id") for table, declared in TABLES.items()
}
#: What is kept of a payload. Of a summary it is the numbers.
_PAYLOAD: Final = {
    "fallback_events": ("ts",),
    "breaker_events": ("ts", "old", "new", "reset_timeout_s"),
}
_NAMES: Final = {"work_id", "artifact_id", "resolver", "resolver_name", "source"}
#: As deep as the totals of a summary go.
_DEPTH: Final = 4
#: Scheme and host of a URL; whatever cannot be part of a host's name ends it.
_SITE: Final = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9+.-]+)://(?:[^/?#\\\s]*@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+)"
)


class CrawlerRows:
    """Makes rows of the crawler's records, without titles, paths, and all of a URL but its host."""

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy
        self._readers = {
            table: {
                column: self._reader(column, kind)
                for column, kind in declared.items()
                if column not in {"id", "run_id", "payload"}
            }
            for table, declared in TABLES.items()
        }

    def make(self, table: str, run_id: str, record: Mapping[str, Any]) -> Row:
        """Return the row of a record; what a value cannot be is NULL."""
        values: dict[str, Any] = {"run_id": run_id}
        for column, read in self._readers[table].items():
            value = record.get(column)
            if value is None or value == "":
                continue
            try:
                values[column] = read(value)
            except (TypeError, ValueError, OverflowError):
                continue
        if "payload" in COLUMNS[table]:
            values["payload"] = self._payload(table, record)
        return Row(table, tuple(map(values.get, COLUMNS[table])))

    def _reader(self, column: str, kind: str) -> Callable[[Any], Any]:
        if column == "path":
            return lambda _: "present"
        if column == "url":
            return lambda value: self._site(plain_text(value))
        if column == "dry_run":  # also a word: what it means is the reader's affair
            return lambda value: value if value in (0, 1) else self._privacy.text(plain_text(value))
        if kind == "INTEGER":
            return integer
        if kind == "REAL":
            return real
        clean = self._privacy.text
        if column in _NAMES:
            clean = self._privacy.name
        elif column == "host":
            clean = self._privacy.host
        elif column == "sha256":
            return lambda value: self._privacy.given_hash(plain_text(value))
        return lambda value: clean(plain_text(value))

    def _site(self, url: str) -> str | None:
        found = _SITE.match(url)
        return f"{found[1]}://{self._privacy.host(found[2])}/" if found else None

    def _payload(self, table: str, record: Mapping[str, Any]) -> str:
        """Return the payload of a record, which has it as fields of its own or as JSON."""
        inner = record.get("payload")
        if isinstance(inner, str):
            try:
                inner = json.loads(inner)
            except (ValueError, RecursionError):
                inner = None
        told = {**inner, **record} if isinstance(inner, dict) else record
        if table == "summaries":
            totals = _numbers(told)
            plain = {key: number for key, number in totals.items() if _is_number(number)}
            # where they are too long, without the totals by name
            return self._privacy.json(totals) or self._privacy.json(plain) or "{}"
        kept = {key: told[key] for key in _PAYLOAD[table] if _is_scalar(told.get(key))}
        return self._privacy.json(kept) or "{}"


def digest(record: Mapping[str, Any]) -> str:
    """Return what tells a record from others: it has no number of its own."""
    text = json.dumps(record, sort_keys=True)
    return blake2b(text.encode(), digest_size=12).hexdigest()


def is_in(connection: sqlite3.Connection) -> bool:
    """Tell whether a file has a table of the crawler's."""
    named = ", ".join(f"'{table}'" for table in TABLES)
    asked = f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name IN ({named})"
    return bool(connection.execute(asked).fetchone())


def ensure_tables(connection: sqlite3.Connection) -> None:
    """Create the tables that are missing.

    Raises:
        SchemaError: the crawler wrote into the file itself, most likely the same records.
    """
    for table, declared in TABLES.items():
        known = connection.execute("SELECT name FROM pragma_table_info(?)", [table])
        if {name for (name,) in known} - set(declared):
            raise schema.SchemaError(
                f"its table {table} is the crawler's own and may hold the same records"
            )
    for table, declared in TABLES.items():
        body = ", ".join(f"{name} {kind}" for name, kind in declared.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({body})")


def _numbers(value: Any, depth: int = _DEPTH) -> Any:
    """Return the numbers of a JSON object, and those of the objects in it."""
    if not isinstance(value, dict):
        return value if _is_number(value) else None
    inner = {key: _numbers(of_it, depth - 1) for key, of_it in value.items()} if depth else {}
    return {key: number for key, number in inner.items() if number is not None}


def _is_scalar(value: object) -> bool:
    return isinstance(value, str) or _is_number(value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
