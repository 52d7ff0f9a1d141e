"""The raw relations every telemetry file is presented as, whatever the file itself holds.

The names are the telemetry contract's, and one more: what recorders say of themselves. A *kind*
says how a value is read:

- ``key``: text that identifies something; a URL in it is replaced by its SHA-256;
- ``text``: free text; URLs in it are replaced by ``[url]``;
- ``url``: of a URL only the host is kept;
- ``hash``: a hex digest; anything that looks like a URL is set aside;
- ``integer``, ``double``: numbers (text that reads as a number counts);
- ``flag``: 0 or 1, also written true, yes, t, false, no or f, in any case;
- ``time``: a number that counts from 1970, or ISO 8601 text. It becomes two raw columns,
  ``X`` (the number) and ``X_text`` (the text); which of them is meant is decided in staging.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, Literal

Kind = Literal["key", "text", "url", "hash", "integer", "flag", "double", "time"]

TABLES: Final[dict[str, dict[str, Kind]]] = {
    "http_events": {
        "run_id": "key",
        "ts": "time",
        "host": "key",
        "role": "text",
        "method": "text",
        "status": "integer",
        "url_hash": "hash",
        "from_cache": "flag",
        "revalidated": "flag",
        "stale": "flag",
        "retry_count": "integer",
        "retry_after_s": "double",
        "rate_delay_ms": "double",
        "sample_weight": "double",
        "breaker_state": "text",
        "breaker_recorded": "text",
        "elapsed_ms": "double",
        "error": "text",
    },
    "rate_events": {
        "run_id": "key",
        "ts": "time",
        "host": "key",
        "role": "text",
        "action": "text",
        "delay_ms": "double",
        "max_delay_ms": "double",
    },
    "breaker_transitions": {
        "run_id": "key",
        "ts": "time",
        "host": "key",
        "scope": "text",
        "old_state": "text",
        "new_state": "text",
        "reset_timeout_s": "double",
        "details": "text",
    },
    "fallback_attempts": {
        "run_id": "key",
        "ts": "time",
        "work_id": "key",
        "artifact_id": "key",
        "tier": "text",
        "source": "key",
        "resolver_name": "key",
        "host": "key",
        "outcome": "text",
        "reason": "text",
        "status": "integer",
        "elapsed_ms": "double",
        "metadata": "text",
    },
    "downloads": {
        "run_id": "key",
        "ts": "time",
        "work_id": "key",
        "artifact_id": "key",
        "source": "key",
        "resolver_name": "key",
        "sha256": "hash",
        "final_path": "text",
        "content_type": "text",
        "content_length": "integer",
        "dedupe_action": "text",
        "elapsed_ms": "double",
        "metadata": "text",
        "classification": "text",
        "reason": "text",
        "dry_run": "flag",
    },
    "run_summary": {
        "run_id": "key",
        "started_at": "time",
        "finished_at": "time",
        "artifacts_total": "integer",
        "artifacts_success": "integer",
        "yield_pct": "double",
        "ttfp_p50_ms": "double",
        "ttfp_p95_ms": "double",
        "cache_hit_pct": "double",
        "rate_delay_p95_ms": "double",
        "http_429_ratio": "double",
        "breaker_open_events": "integer",
        "dedupe_saved_mb": "double",
        "corruption_count": "integer",
    },
    "recorder_status": {
        "run_id": "key",
        "writer": "key",
        "started_at": "time",
        "updated_at": "time",
        "events": "integer",
        "dropped": "integer",
        "damaged_values": "integer",
        "call_s": "double",
        "writer_cpu_s": "double",
        "first_error": "text",
    },
}

#: The tables of the contract: those that crawlers fill.
TELEMETRY: Final = tuple(table for table in TABLES if table != "recorder_status")

#: What names a row within its run where that is not its id: an upsert may give it another.
UPSERTED: Final[dict[str, tuple[str, ...]]] = {"run_summary": (), "recorder_status": ("writer",)}

#: Tables whose rows never change once written: "id > the last one seen" finds all that is new.
APPEND_ONLY: Final = ("http_events", "rate_events", "breaker_transitions", "fallback_attempts")

#: Columns whose absence from a file changes what an SLI means (contract, section 2).
CAPABILITIES: Final[dict[str, tuple[str, str]]] = {
    "has_status": ("http_events", "status"),
    "has_from_cache": ("http_events", "from_cache"),
    "has_breaker_transitions": ("breaker_transitions", "new_state"),
    "has_sha256": ("downloads", "sha256"),
    "has_final_path": ("downloads", "final_path"),
    "has_content_length": ("downloads", "content_length"),
    "has_dedupe_action": ("downloads", "dedupe_action"),
}

#: Matches a text with a URL in it, also one escaped by JSON. A single letter before :/ is a drive.
#: The pattern means the same to Python and to DuckDB.
URL_IN: Final = r"(^|[^A-Za-z]|[A-Za-z0-9+.-][A-Za-z]):\\?/"

_DUCKDB_TYPES: Final[dict[Kind, str]] = {
    "key": "varchar",
    "text": "varchar",
    "url": "varchar",
    "hash": "varchar",
    "integer": "bigint",
    "flag": "bigint",
    "double": "double",
    "time": "double",
}


def raw_columns(table: str) -> dict[str, str]:
    """Return the columns of a raw relation and their DuckDB types, in order.

    Args:
        table: one of the raw relations.

    Returns:
        Name to type: ``id``, the contract's columns (a ``time`` as two), ``misfits`` (JSON text
        of the values that did not fit their column), ``defect`` (why the row itself cannot be
        keyed), ``file_id`` and ``load_id``.
    """
    columns = {"id": "bigint"}
    for name, kind in TABLES[table].items():
        columns |= dict(value_columns(name, kind))
    return columns | {
        "misfits": "varchar",
        "defect": "varchar",
        "file_id": "varchar",
        "load_id": "bigint",
    }


def as_key(text: str) -> str:
    """Return what a ``key`` becomes when it is read, so that a person may write it as recorded.

    `exporter.raw_sql` does the same in SQL.
    """
    if has_url(text):
        return f"url-sha256:{sha256(text.encode(errors='replace')).hexdigest()}"
    return text.replace("\0", "\ufffd")


def has_url(text: str) -> bool:
    """Tell whether a URL is in a text; a path such as ``C:/runs/1`` is none."""
    return re.search(URL_IN, text) is not None


def value_columns(column: str, kind: Kind) -> list[tuple[str, str]]:
    """Return (name, DuckDB type) of the columns that hold one column of the contract."""
    columns = [(column, _DUCKDB_TYPES[kind])]
    return [*columns, (f"{column}_text", "varchar")] if kind == "time" else columns
