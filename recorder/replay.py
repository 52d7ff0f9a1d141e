"""Brings recorded JSONL into a SQLite file of the schema, each record once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recorder import changes, crawler, loaded, schema
from recorder.changes import Record, store_records
from recorder.lines import Line, chunks, may_grow, open_lines
from recorder.records import IgnoredError, NoRecordError, Parser

#: Lines that are no records. Not their text, which may hold anything: it is still in the file.
_ASIDE: Final = (
    "CREATE TABLE IF NOT EXISTS jsonl_set_aside "
    "(digest TEXT PRIMARY KEY, file TEXT, line INTEGER, reason TEXT)"
)
#: How often a record of the crawler's was in the file that is read. Temporary, so that however long
#: the file is, it does not fill the memory.
_SEEN: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS jsonl_seen "
    "(writer TEXT PRIMARY KEY, times INTEGER) WITHOUT ROWID"
)
_SEE: Final = (
    "INSERT INTO temp.jsonl_seen VALUES (?, 1) ON CONFLICT (writer) DO UPDATE SET times = times + 1"
)
_TIMES_SEEN: Final = "SELECT times FROM temp.jsonl_seen WHERE writer = ?"


class ReplayError(RuntimeError):
    """Nothing could be loaded; the message says what to do."""


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
        ignored: the crawler's records that no SLI needs, by their type.
        runs: names of the runs that rows belong to.
        skipped: files that could not be read, and why.
    """

    files: int = 0
    rows: int = 0
    known: int = 0
    set_aside: int = 0
    unfinished: int = 0
    missing: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
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
                        replay.begin()
                        for chunk in chunks(file):
                            replay.load(path, chunk)
                            tell(path, chunk[-1].number)
                    done.files += 1
                except (OSError, EOFError, zlib.error) as error:
                    reason = getattr(error, "strerror", None) or str(error)
                    done.skipped.append((path, reason))
            done.missing = replay.end()
    except (sqlite3.Error, OSError, schema.SchemaError) as error:
        raise ReplayError(
            f"cannot write {db_path}: {error}: name another file with --db, or free this one"
        ) from error
    return done


@dataclass
class _Read:
    records: list[Record] = field(default_factory=list)
    aside: list[tuple[Line, str]] = field(default_factory=list)
    unfinished: int = 0
    ignored: Counter[str] = field(default_factory=Counter)


class _Replay:
    def __init__(self, connection: sqlite3.Connection, done: Loaded) -> None:
        self._connection, self._done = connection, done
        self._parser = Parser(done.runs)
        self._made: set[str] = set()

    def begin(self) -> None:
        """Begin with the first line of a file."""
        self._connection.execute(_SEEN)
        self._connection.execute("DELETE FROM temp.jsonl_seen")

    def load(self, path: str, chunk: list[Line]) -> None:
        """Load lines of a file in one transaction."""
        read = self._read(path, chunk)
        self._make_tables(read.records)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            aside = sum(self._set_aside(path, line, reason) for line, reason in read.aside)
            new = self._new(self._numbered(read.records))
            refused = store_records(self._connection, new)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        # Not before they are stored.
        self._done.rows += len(new) - refused
        self._done.known += len(read.records) - len(new)
        self._done.set_aside += aside + refused
        self._done.unfinished += read.unfinished
        self._done.ignored += read.ignored

    def end(self) -> int:
        """Leave a file of telemetry, also when no record came; return how many are missing."""
        if not crawler.is_in(self._connection):
            schema.ensure_schema(self._connection)
        self._connection.execute(loaded.TABLE)
        return loaded.missing(self._connection)

    def _read(self, path: str, chunk: list[Line]) -> _Read:
        read = _Read()
        for line in chunk:
            if line.text.isspace():
                continue
            try:
                read.records.append(self._parser.parse(line))
            except IgnoredError as ignored:
                read.ignored[str(ignored)] += 1
            except NoRecordError as error:
                if not line.is_ended and may_grow(path):
                    read.unfinished += 1  # whole the next time
                else:
                    read.aside.append((line, str(error)))
        return read

    def _make_tables(self, records: list[Record]) -> None:
        """Create the tables that these records need; a file gets no others."""
        needed = {"crawler" if of.row.table in crawler.TABLES else "recorder" for of in records}
        for family in sorted(needed - self._made):
            make = crawler.ensure_tables if family == "crawler" else schema.ensure_schema
            make(self._connection)
        self._made |= needed
        for table in (loaded.TABLE, changes.TABLE, _ASIDE):
            self._connection.execute(table)

    def _numbered(self, records: list[Record]) -> list[Record]:
        """Number the crawler's records: the n-th in a file that says the same is number n.

        Two tries of a resolver can look the same. A copy or a later state of the file has as many
        of them, or more.
        """
        numbered = []
        for record in records:
            if not record.number:
                self._connection.execute(_SEE, (record.writer,))
                (number,) = self._connection.execute(_TIMES_SEEN, (record.writer,)).fetchone()
                record = record._replace(number=number)
            numbered.append(record)
        return numbered

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
    except BaseException:
        connection.close()
        raise
    return connection
