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
from typing import Final
from urllib.parse import quote

from exporter.crawler_tables import CRAWLER_TABLES
from exporter.errors import one_line
from exporter.raw_schema import TABLES

#: Seconds to wait for a lock before saying that the file is locked.
BUSY_TIMEOUT_S: Final = 5.0
#: From each run's id to the next one, which an index answers without reading its rows.
_RUNS_BY_INDEX: Final = """
with recursive runs (run) as (
    select min(run_id) from {0}
    union all
    select (select min(run_id) from {0} where run_id > run) from runs where run is not null
)
select run from runs where run is not null
"""


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
        table: _number(connection, f"select count(*) from {_quoted(table)}")
        for table in tables(connection)
    }


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


def complaint(path: Path, started: Callable[[sqlite3.Connection], object]) -> str | None:
    """Return what SQLite finds wrong with a file that nobody else has open; None when all is well.

    Args:
        path: the file; no -wal or -shm is made beside it.
        started: given the connection, so that another thread can interrupt the check.
    """
    # immutable: no locks and no -wal, which a copy of a WAL file would otherwise be given
    with opened(path, "mode=ro&immutable=1") as connection:
        started(connection)
        connection.execute("pragma cache_size = -65536")
        try:
            found = [str(row[0]) for row in connection.execute("pragma integrity_check(3)")]
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise
            return one_line(error)
        except sqlite3.DatabaseError as error:
            return one_line(error)
    return None if found == ["ok"] else one_line(ValueError("\n".join(found)))


def tables(connection: sqlite3.Connection) -> list[str]:
    # virtual tables, which may need a module that is not here, have no page of their own
    asked = (
        "select name from sqlite_master where type = 'table' and rootpage > 0 "
        r"and name not like 'sqlite\_%' escape '\' order by name"
    )
    return [str(name) for (name,) in connection.execute(asked).fetchall()]


def _runs_of(connection: sqlite3.Connection, table: str) -> list[object]:
    """Return the runs that a telemetry table names."""
    if not _number(
        connection, f"select count(*) from pragma_table_info('{table}') where name = 'run_id'"
    ):
        return []
    is_indexed = _number(
        connection,
        f"select count(*) from pragma_index_list('{table}') as l, pragma_index_info(l.name) as i "
        "where i.seqno = 0 and i.name = 'run_id' and not l.partial",
    )
    plain = f"select distinct run_id from {table} where run_id is not null"
    found = connection.execute(_RUNS_BY_INDEX.format(table) if is_indexed else plain).fetchall()
    return [run for (run,) in found]


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0] or 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
