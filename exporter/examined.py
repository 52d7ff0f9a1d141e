"""A telemetry file as the doctor reads it: read-only, in short reads that have an end."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from exporter.findings import plural
from exporter.sqlite_file import count

#: Rows of a table that are all looked at; of a larger one only the newest, unless told --deep.
WHOLE_ROWS: Final = 200_000
NEWEST_ROWS: Final = 100_000
#: Seconds for one question. A reader of a WAL holds up its checkpoint, and one of a file with a
#: rollback journal its writer, who gives up after 5 s by default.
WAL_BUDGET_S: Final = 8.0
JOURNAL_BUDGET_S: Final = 1.5
#: Seconds to wait for a file that its writer holds.
BUSY_S: Final = 2.0

_TABLES_SQL: Final = (
    "select m.name, m.type, m.sql, l.wr from sqlite_master m "
    "left join pragma_table_list l on l.schema = 'main' and l.name = m.name "
    "where m.type in ('table', 'view') and m.name not like 'sqlite\\_%' escape '\\' "
    "and m.name is not null order by m.name"
)


@dataclass(frozen=True)
class Table:
    """A table or view of the file.

    Attributes:
        name: as the file spells it.
        kind: ``table``, ``view`` or ``virtual``.
        sql: the statement that made it.
        columns: lower-cased name to name as spelled.
        keys: lower-cased columns of the primary key, in its order.
        rowid: a name of its rowid that no column hides; None where it has none.
    """

    name: str
    kind: str
    sql: str
    columns: dict[str, str]
    keys: tuple[str, ...]
    rowid: str | None

    @property
    def quoted(self) -> str:
        """Return the name as SQL takes it."""
        return quoted(self.name)

    @property
    def time(self) -> str | None:
        """Return the column with the time of an event, as SQL takes it."""
        found = self.columns.get("ts") or self.columns.get("timestamp")
        return quoted(found) if found else None

    def column(self, name: str) -> str:
        """Return a column as SQL takes it; NULL where the table has none of that name."""
        return quoted(self.columns[name]) if name in self.columns else "null"


class Examined:
    """A file open for reading.

    Attributes:
        path: the file, as a person knows it.
        deep: whether everything is looked at, however long it takes.
        tables: lower-cased name to table.
        is_wal: whether it has a write-ahead log.
    """

    def __init__(self, path: str, opened: str, deep: bool) -> None:
        self.path, self.deep, self._opened = path, deep, opened
        self._connection = connect(opened)
        self.is_wal = self.ask("pragma journal_mode")[0][0] == "wal"
        self.tables = {t.name.lower(): t for t in self._tables()}
        self._rows: dict[str, int | None] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def budget_s(self) -> float:
        """Return the seconds that one question may take."""
        return WAL_BUDGET_S if self.is_wal else JOURNAL_BUDGET_S

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a question, each in a short transaction of its own.

        Raises:
            TooLong: it took longer than its budget.
            sqlite3.Error: the file cannot be read so.
        """
        is_limited = not self.deep and hasattr(self, "tables")
        return asked(self._connection, sql, values, self.budget_s if is_limited else None)

    def beside(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a question on a connection of its own, for another thread."""
        connection = connect(self._opened)
        try:
            return asked(connection, sql, (), None if self.deep else self.budget_s)
        finally:
            connection.close()

    def real(self, name: str) -> Table | None:
        """Return a table by its lower-cased name; None where it is missing or a view."""
        table = self.tables.get(name)
        return table if table and table.kind == "table" else None

    def rows(self, table: Table) -> int | None:
        """Return how many rows a table has; None when counting takes too long."""
        if table.name not in self._rows:
            try:
                self._rows[table.name] = count(table.quoted, self.ask)
            except TooLong:
                self._rows[table.name] = None
        return self._rows[table.name]

    def limit(self, table: Table) -> int | None:
        """Return how many of a table's newest rows are looked at; None for all."""
        rows = self.rows(table)
        return None if self.deep or (rows is not None and rows <= WHOLE_ROWS) else NEWEST_ROWS

    def looked_at(self, table: Table) -> str:
        """Say how many of a table's rows are looked at."""
        rows, limit = self.rows(table), self.limit(table)
        total = "many rows" if rows is None else plural(rows, "row")
        return total if limit is None else f"the newest {limit:,} of {total}"

    def scope(self, table: Table, columns: str) -> str:
        """Return SQL for the rows to look at: all, or of a large table the newest.

        Args:
            table: the table.
            columns: what to select of each row, beside its ``position``.
        """
        sql = f"select {table.rowid or 'null'} as position, {columns} from {table.quoted}"
        limit = self.limit(table)
        if limit is None:
            return f"({sql})"
        order = f" order by {table.rowid} desc" if table.rowid else ""
        return f"({sql}{order} limit {limit:d})"

    def _tables(self) -> Iterator[Table]:
        for name, kind, sql, without_rowid in self.ask(_TABLES_SQL):
            text = sql or ""
            if text.lstrip().lower().startswith("create virtual"):
                kind = "virtual"
            listed: list[tuple[Any, ...]] = []
            with suppress(sqlite3.Error):  # a view of what is gone, a module that is not here
                # the pragma without an x leaves out the columns that SQLite generates
                listed = self.ask(
                    "select name, pk from pragma_table_xinfo(?) where hidden <> 1", [name]
                )
            columns = {column.lower(): column for column, _ in listed}
            keys = sorted((pk, column.lower()) for column, pk in listed if pk)
            free = [n for n in ("rowid", "_rowid_", "oid") if n not in columns]
            rowid = free[0] if free and kind == "table" and not without_rowid else None
            yield Table(name, kind, text, columns, tuple(key for _, key in keys), rowid)


class TooLong(Exception):
    """A question took longer than the file's writer may be made to wait."""


def connect(path: str) -> sqlite3.Connection:
    """Open a file for reading only; text that is not UTF-8 comes with replacement characters.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    # Where neither we nor SQLite can make the -shm that a reader of a WAL needs, and no log is
    # there either, the file is all there is. A journal may have to be undone: SQLite says so.
    folder = os.path.dirname(path) or "."
    logs = any(os.path.exists(path + end) for end in ("-wal", "-journal"))
    bare = not logs and not os.access(folder, os.W_OK)
    uri = f"file:{quote(os.fsencode(path))}?mode=ro{'&immutable=1' if bare else ''}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def asked(
    connection: sqlite3.Connection,
    sql: str,
    values: Sequence[object] = (),
    budget_s: float | None = None,
) -> list[tuple[Any, ...]]:
    """Return all rows of a question that may take some seconds.

    Raises:
        TooLong: it took longer.
        sqlite3.Error: it cannot be answered.
    """
    with _limited(connection, budget_s):
        try:
            return connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TooLong from None
            raise


@contextmanager
def _limited(connection: sqlite3.Connection, budget_s: float | None) -> Iterator[None]:
    if budget_s is None:
        yield
        return
    # not a progress handler: it takes Python's lock thousands of times a second, from a check too
    # that runs beside it in another thread
    timer = threading.Timer(budget_s, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # a connection that is closed cannot be interrupted


def quoted(name: str) -> str:
    """Return an identifier as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
