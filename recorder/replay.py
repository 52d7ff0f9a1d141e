"""Brings recorded JSONL into a SQLite file of the schema, each record once."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recorder import changes, loaded, schema
from recorder.changes import Record, store_records
from recorder.lines import LONGEST, Line, chunks, may_grow, open_lines
from recorder.privacy import Privacy
from recorder.rows import UPDATE, Event, Rows

#: Lines that are no records. Not their text, which may hold anything: it is still in the file.
_ASIDE: Final = (
    "CREATE TABLE IF NOT EXISTS jsonl_set_aside "
    "(digest TEXT PRIMARY KEY, file TEXT, line INTEGER, reason TEXT)"
)
#: Characters of a writer's name; the recorder's have 16.
_LONGEST_NAME: Final = 200
_MOST: Final = sys.float_info.max


class ReplayError(RuntimeError):
    """Nothing could be loaded; the message says what to do."""


class _NoRecordError(ValueError):
    """A line is no record; the message says why, and nothing of what is in the line."""


@dataclass
class Loaded:
    """What became of the lines.

    Attributes:
        files: how many were read to their end.
        rows: records that are new in the SQLite file.
        known: records that were there already.
        set_aside: lines that are no records, or that the file refuses; kept by number and reason.
        unfinished: files whose last line is no record yet: it has no end, and may be being written.
        missing: records that a writer counted and that were in no file so far.
        runs: names of the runs that rows belong to.
        skipped: files that could not be read, and why.
    """

    files: int = 0
    rows: int = 0
    known: int = 0
    set_aside: int = 0
    unfinished: int = 0
    missing: int = 0
    runs: set[str] = field(default_factory=set)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def load_jsonl(
    paths: Iterable[str], db_path: Path, tell: Callable[[str, int], None] = lambda file, lines: None
) -> Loaded:
    """Load JSONL files, plain or .gz, ``-`` for standard input; may be killed and run again.

    Args:
        paths: the files.
        db_path: the SQLite file; created when missing, added to when not.
        tell: is told the file and how many of its lines are done.

    Raises:
        ReplayError: the SQLite file cannot be written.
    """
    done = Loaded()
    try:
        with closing(_open(db_path)) as connection:
            replay = _Replay(connection, done)
            for path in paths:
                try:
                    with open_lines(path) as file:
                        for chunk in chunks(file):
                            replay.load(path, chunk)
                            tell(path, chunk[-1].number)
                    done.files += 1
                except (OSError, EOFError, zlib.error) as error:
                    reason = getattr(error, "strerror", None) or str(error)
                    done.skipped.append((path, reason))
            done.missing = loaded.missing(connection)
    except (sqlite3.Error, OSError, schema.SchemaError) as error:
        raise ReplayError(
            f"cannot write {db_path}: {error}: name another file with --db, or free this one"
        ) from error
    return done


class _Replay:
    def __init__(self, connection: sqlite3.Connection, done: Loaded) -> None:
        self._connection, self._done = connection, done
        self._privacy = Privacy()
        self._rows = Rows("", self._privacy)

    def load(self, path: str, chunk: list[Line]) -> None:
        """Load lines of a file in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            counts = self._load(path, chunk)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        # Not before they are stored.
        self._done.rows += counts[0]
        self._done.known += counts[1]
        self._done.set_aside += counts[2]
        self._done.unfinished += counts[3]

    def _load(self, path: str, chunk: list[Line]) -> tuple[int, int, int, int]:
        records: list[Record] = []
        aside = unfinished = 0
        for line in chunk:
            if line.text.isspace():
                continue
            try:
                records.append(self._parse(line))
            except _NoRecordError as error:
                if not line.is_ended and may_grow(path):
                    unfinished += 1  # whole the next time
                else:
                    aside += self._set_aside(path, line, str(error))
        new = self._new(records)
        refused = store_records(self._connection, new)
        return len(new) - refused, len(records) - len(new), aside + refused, unfinished

    def _new(self, records: list[Record]) -> list[Record]:
        """Return the records that were not loaded so far, and note that they are."""
        numbers: dict[str, set[int]] = {}
        for writer, number, _ in records:
            numbers.setdefault(writer, set()).add(number)
        new = {w: loaded.add(self._connection, w, of_it) for w, of_it in numbers.items()}
        found = []
        for record in records:
            if record.number in new[record.writer]:
                new[record.writer].remove(record.number)  # a chunk may hold a record twice
                found.append(record)
        return found

    def _parse(self, line: Line) -> Record:
        if line.is_too_long:
            raise _NoRecordError(f"longer than {LONGEST:,} bytes")
        try:
            record = json.loads(line.text)
        except (ValueError, RecursionError):
            raise _NoRecordError("not JSON") from None
        if not isinstance(record, dict):
            raise _NoRecordError("not a JSON object")
        table, action = record.pop("table", None), record.pop("change", "")
        writer, number = record.pop("writer", None), record.pop("number", None)
        run_id = record.pop("run_id", None)
        # Any of these may be anything that JSON has: a list or an object cannot even be looked up.
        if not isinstance(table, str) or table not in schema.COLUMNS:
            raise _NoRecordError("no record of telemetry: its table is not known")
        if action != "" and (action != UPDATE or table != "downloads"):
            raise _NoRecordError("no record of telemetry: its change is not known")
        if not _is_name(writer) or type(number) is not int or number not in loaded.NUMBERS:
            raise _NoRecordError("no writer or number, by which it could be told from others")
        if not isinstance(run_id, str) or not run_id:
            raise _NoRecordError("no run_id")
        if unknown := record.keys() - set(schema.COLUMNS[table]):
            raise _NoRecordError(
                f"written by a newer recorder: {len(unknown)} columns are not known"
            )
        if not _is_time(record.get("ts")):
            record["ts"] = None
            if schema.TABLES.get(table, {}).get("ts", "").endswith("NOT NULL"):
                raise _NoRecordError("no ts, or one that is no number")
        if table == schema.STATUS_TABLE:
            record["writer"] = writer  # its own column too
        self._rows.run_id = self._privacy.name(run_id)
        self._done.runs.add(self._rows.run_id)
        # Given as the event's time as well, which fills the column where a record has none.
        row = self._rows.make(Event(table, record["ts"], record, action))
        return Record(writer, number, row)

    def _set_aside(self, path: str, line: Line, reason: str) -> int:
        digest = line.digest or hashlib.sha256(line.text).hexdigest()
        # A name of a file need not be UTF-8.
        name = os.fsencode(Path(path).name).decode("utf-8", "replace")
        added = self._connection.execute(
            "INSERT OR IGNORE INTO jsonl_set_aside VALUES (?, ?, ?, ?)",
            (digest, name, line.number, reason),
        )
        return added.rowcount


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        schema.enable_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        schema.ensure_schema(connection)
        for table in (loaded.TABLE, changes.TABLE, _ASIDE):
            connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_name(value: object) -> bool:
    """Tell whether SQLite can store and compare a writer's name: a lone surrogate has no UTF-8."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _is_time(value: object) -> bool:
    """Tell whether a value is a finite number: JSON of Python's may hold NaN and endless digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_MOST <= value <= _MOST
