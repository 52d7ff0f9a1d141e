"""Stores records that change rows of others, so that the order they are loaded in does not matter.

Such a record may be in a file that is loaded before the one with the row it changes. So all records
of downloads and run_summary are kept as they were written, and the rows that new ones are about are
put together anew from all that is known: in the order of their numbers, which is that of writing.

Numbers of different writers say nothing about each other. A writer's change is of its own latest
download of the artifact before it; only where it has none, of the latest by time of the others'.
Of a run_summary the first start and the last end count, and of other fields the word of the writer
that speaks of the latest time. A recorder that writes into SQLite itself goes by what comes last,
also between writers.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from recorder import schema
from recorder.rows import UPDATE, Row
from recorder.sqlite_sink import rewrite, store

#: `row_id` is the row of a new download, and NULL for what changes one.
TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS jsonl_changes (about TEXT, run_id TEXT, artifact_id TEXT, "
    "writer TEXT, number INTEGER, row_id INTEGER, fields TEXT, "
    "PRIMARY KEY (about, run_id, artifact_id, writer, number)) WITHOUT ROWID"
)
_INSERT: Final = "INSERT OR REPLACE INTO jsonl_changes VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT: Final = (
    "SELECT writer, number, row_id, fields FROM jsonl_changes "
    "WHERE about = ? AND run_id = ? AND artifact_id = ? ORDER BY writer, number"
)
_CHANGED: Final = {"downloads", "run_summary"}


class Record(NamedTuple):
    """A row, the writer that recorded it, and its number among those of that writer."""

    writer: str
    number: int
    row: Row


def store_records(connection: sqlite3.Connection, records: Iterable[Record]) -> int:
    """Store records in the transaction under way; return how many the file refuses.

    Raises:
        sqlite3.Error: the transaction must be rolled back.
    """
    plain: list[Row] = []
    # As keys, which keep their order: rows get their ids in the order of the records.
    changed: dict[tuple[str, str, str], None] = {}
    refused = 0
    for record in records:
        if record.row.table not in _CHANGED:
            plain.append(record.row)
        elif not _keep(connection, record, changed):
            refused += 1
    refused += store(connection, plain)
    for about, run_id, artifact_id in changed:
        if about == "run_summary":
            refused += store(connection, [_summary(connection, run_id)])
        else:
            refused += _change(connection, run_id, artifact_id)
    return refused


def _keep(
    connection: sqlite3.Connection, record: Record, changed: dict[tuple[str, str, str], None]
) -> bool:
    """Keep a record, and store the row of a new download; False if the file refuses that."""
    table, values, action = record.row
    fields = dict(zip(schema.COLUMNS[table], values, strict=True))
    row_id = None
    if table == "downloads" and not action:
        if store(connection, [record.row]):
            return False
        (row_id,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    run_id = fields.pop("run_id")
    artifact_id = fields.pop("artifact_id", None) if table == "downloads" else ""
    if artifact_id is None:
        return True  # which no change can name
    text = json.dumps({name: value for name, value in fields.items() if value is not None})
    key = (table, run_id, artifact_id)
    connection.execute(_INSERT, (*key, record.writer, record.number, row_id, text))
    changed[key] = None
    return True


def _change(connection: sqlite3.Connection, run_id: str, artifact_id: str) -> int:
    """Bring what is known of an artifact into its rows; return how many the file refuses."""
    rows: dict[int, dict[str, Any]] = {}
    latest: dict[str, int] = {}
    by_time: list[tuple[float, str, int, int]] = []
    of_others: dict[str, dict[str, Any]] = {}
    is_changed = False
    for writer, number, row_id, text in connection.execute(
        _SELECT, ("downloads", run_id, artifact_id)
    ):
        fields = json.loads(text)
        if row_id is not None:
            rows[row_id], latest[writer] = fields, row_id
            by_time.append((fields.get("ts", -math.inf), writer, number, row_id))
            continue
        is_changed = True
        if writer in latest:
            rows[latest[writer]].update(fields)
        else:
            of_others.setdefault(writer, {}).update(fields)
    if not is_changed:
        return 0
    by_time.sort()
    for writer, fields in of_others.items():
        row_ids = [row_id for _, owner, _, row_id in by_time if owner != writer]
        if row_ids:
            rows[row_ids[-1]].update(fields)
    if not rows:  # the download may be one that a recorder wrote into this very file
        changes = [_row("downloads", run_id, artifact_id, of_others[w]) for w in of_others]
        return store(connection, [row._replace(action=UPDATE) for row in changes])
    # All of them: one may have been changed by what is now known to be of another.
    return sum(
        not rewrite(connection, row_id, _row("downloads", run_id, artifact_id, fields))
        for row_id, fields in rows.items()
    )


def _summary(connection: sqlite3.Connection, run_id: str) -> Row:
    """Put the row of a run together: from its first start to its last end."""
    of_writers: dict[str, dict[str, Any]] = {}
    times: dict[str, list[float]] = {"started_at": [], "finished_at": []}
    for writer, _, _, text in connection.execute(_SELECT, ("run_summary", run_id, "")):
        fields = json.loads(text)
        of_writers.setdefault(writer, {}).update(fields)
        for name, found in times.items():
            found += [fields[name]] if name in fields else []
    whole: dict[str, Any] = {}
    for fields in sorted(of_writers.values(), key=_latest_time):  # of equal times by writer
        whole.update(fields)
    whole["started_at"] = min(times["started_at"], default=None)
    whole["finished_at"] = max(times["finished_at"], default=None)
    return _row("run_summary", run_id, "", whole)


def _latest_time(fields: dict[str, Any]) -> float:
    times = [fields[name] for name in ("started_at", "finished_at") if name in fields]
    return max(times, default=-math.inf)


def _row(table: str, run_id: str, artifact_id: str, fields: dict[str, Any]) -> Row:
    whole = {**fields, "run_id": run_id, "artifact_id": artifact_id}
    return Row(table, tuple(map(whole.get, schema.COLUMNS[table])))
