"""SQLite files as they are: opened by any name, counted and checked.

Python's own SQLite only: a process that also opens the file with DuckDB would lose its locks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from exporter.crawler_tables import CRAWLER_TABLES
from exporter.errors import one_line
from exporter.raw_schema import TABLES
from exporter.sqlite_reason import is_foreign

#: Seconds to wait for a lock before saying that the file is locked.
BUSY_TIMEOUT_S: Final = 5.0
#: From each run's id to the next one, which an index answers without reading its rows.
_RUNS_BY_INDEX: Final = """
with recursive runs (run) as (
    select min(run_id collate binary) from {0}
    union all
    select (select min(run_id collate binary) from {0} where run_id collate binary > run)
    from runs where run is not null
)
select run from runs where run is not null
"""

#: Tables with a page of their own: virtual ones, whose module may not be here, have none.
_TABLES_SQL: Final = (
    "select name from sqlite_master where type = 'table' and rootpage > 0 "
    r"and name not like 'sqlite\_%' escape '\' order by name"
)
#: Collations that every SQLite has.
_COLLATIONS: Final = "'BINARY', 'NOCASE', 'RTRIM'"
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Checked:
    """What a look for damage found.

    Attributes:
        damage: what is wrong; None when all that could be checked is well.
        unchecked: the indexes that could not be checked, each with the reason.
    """

    damage: str | None
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        rows: rows by table, virtual tables and SQLite's own left out.
        runs: how many runs the telemetry tables name.
        schema_version: the recorder's version of the tables; 0 where there is none.
    """

    rows: dict[str, int]
    runs: int
    schema_version: int


def uri(path: Path, options: str) -> str:
    """Return a file's name as a SQLite URI; any byte may be in the name."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{options}"


@contextmanager
def opened(
    path: Path, options: str, timeout_s: float = BUSY_TIMEOUT_S
) -> Iterator[sqlite3.Connection]:
    """Open a file that exists, with the options of a SQLite URI, to be used by any one thread."""
    connection = sqlite3.connect(
        uri(path, options),
        uri=True,
        isolation_level=None,
        timeout=timeout_s,
        check_same_thread=False,
    )
    with closing(connection):
        yield connection


def row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of each table, as the connection sees them."""
    return {
        table: count(_quoted(table), lambda sql: connection.execute(sql).fetchall())
        for table in tables(connection)
    }


def count(table: str, ask: Ask) -> int:
    """Count a table's rows, by whichever of its indexes this SQLite can use."""
    try:
        return int(ask(f"select count(*) from {table}")[0][0])
    except sqlite3.OperationalError as error:
        if not is_foreign(str(error)):
            raise
        return int(ask(f"select count(*) from {table} not indexed")[0][0])


def contents(path: Path) -> Content:
    """Return what a file that nobody else has open holds."""
    with opened(path, "mode=ro&immutable=1") as connection:
        rows = row_counts(connection)
        runs = {
            run
            for table in (*TABLES, *CRAWLER_TABLES)
            if table in rows
            for run in _runs_of(connection, table)
        }
        return Content(
            rows,
            len(runs),
            _number(connection, "select max(version) from recorder_schema")
            if "recorder_schema" in rows
            else 0,
        )


def checked(path: Path, started: Callable[[sqlite3.Connection], object]) -> Checked:
    """Have SQLite look for damage in a file that nobody else has open.

    Args:
        path: the file; no -wal or -shm is made beside it.
        started: given the connection, so that another thread can interrupt the check.

    Raises:
        sqlite3.OperationalError: the check was interrupted.
    """
    # immutable: no locks and no -wal, which a copy of a WAL file would otherwise be given
    with opened(path, "mode=ro&immutable=1") as connection:
        started(connection)
        connection.execute("pragma cache_size = -65536")
        return check("integrity_check", lambda sql: connection.execute(sql).fetchall())


def check(pragma: str, ask: Ask) -> Checked:
    """Have SQLite look for damage, three findings at most.

    An index by a collation or function that only the file's own application has cannot be checked.
    It is no damage: the other tables are then checked one by one, and of that table the rows.

    Args:
        pragma: ``integrity_check`` or ``quick_check``.
        ask: returns the rows of a query.

    Raises:
        sqlite3.OperationalError: the check was interrupted.
    """
    try:
        return Checked(_damage(f"{pragma}(3)", ask))
    except _Foreign:
        pass
    unchecked: list[str] = []
    for table in ask(_TABLES_SQL):
        name = str(table[0])
        try:
            damage = _damage(f"{pragma}({_quoted(name)})", ask)
        except _Foreign as foreign:
            unchecked += _foreign_indexes(name, str(foreign), ask)
            damage = _unreadable(name, ask)
        if damage is not None:
            return Checked(damage, tuple(unchecked))
    return Checked(None, tuple(unchecked))


class _Foreign(Exception):
    """A check needs what only the file's own application has."""


def _damage(pragma: str, ask: Ask) -> str | None:
    try:
        found = [str(row[0]) for row in ask(f"pragma {pragma}")]
    except sqlite3.DatabaseError as error:
        if is_foreign(str(error)):
            raise _Foreign(str(error)) from None
        if "interrupted" in str(error):
            raise
        return one_line(error)
    return None if found == ["ok"] else one_line(ValueError("\n".join(found)))


def _unreadable(table: str, ask: Ask) -> str | None:
    """Return what is met in reading a table's rows without its indexes."""
    try:
        ask(f"select count(*) from {_quoted(table)} not indexed where rowid is not null")
    except sqlite3.DatabaseError as error:
        if "interrupted" in str(error):
            raise
        return None if is_foreign(str(error)) else one_line(error)
    return None


def _foreign_indexes(table: str, why: str, ask: Ask) -> list[str]:
    """Name the indexes of a table that need what only the file's own application has."""
    name = table.replace("'", "''")
    what = f"upper(x.coll) not in ({_COLLATIONS})" if "collation" in why else "x.cid = -2"
    found = ask(
        f"select name from pragma_index_list('{name}') as l where l.partial or exists "
        f"(select 1 from pragma_index_xinfo(l.name) as x where x.key and {what})"
    )
    return [f"index {index} ({why})" for (index,) in found] or [f"table {table} ({why})"]


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables that have a page of their own: virtual ones have none."""
    return [str(name) for (name,) in connection.execute(_TABLES_SQL).fetchall()]


def _runs_of(connection: sqlite3.Connection, table: str) -> list[object]:
    """Return the runs that a telemetry table names."""
    if not _number(
        connection, f"select count(*) from pragma_table_info('{table}') where name = 'run_id'"
    ):
        return []
    is_indexed = _number(
        connection,
        f"select count(*) from pragma_index_list('{table}') as l, pragma_index_xinfo(l.name) as i "
        "where i.seqno = 0 and i.name = 'run_id' and i.coll = 'BINARY' and not l.partial",
    )
    plain = f"select distinct run_id collate binary from {table} not indexed"
    found = connection.execute(_RUNS_BY_INDEX.format(table) if is_indexed else plain).fetchall()
    return [run for (run,) in found if run is not None]


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0] or 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
