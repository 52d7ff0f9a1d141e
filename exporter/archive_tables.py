"""The telemetry tables of one SQLite file, as the archive's other process sees them.

Python's own SQLite only: a process that also opens the file with DuckDB would lose its locks.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Final

from exporter.raw_schema import TABLES, UPSERTED

_ROWIDS: Final = ("rowid", "_rowid_", "oid")
_ON_DELETE: Final = re.compile(r"\bdelete\s+on\b", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """One telemetry table.

    Attributes:
        contract: the contract's name.
        name: the name as the file spells it.
        columns: name as spelled, declared type.
        rowid: a name for the rowid that is not a column's; None where there is none.
        key: the id column where it is the rowid; else None.
        keeps_ids: an id is never given out again (AUTOINCREMENT), or names no row.
        has_index: SQLite keeps rowids in a VACUUM only with an index or an integer primary key.
        is_indexed_by_run: rows of a run are found by an index.
    """

    contract: str
    name: str
    columns: list[tuple[str, str]]
    rowid: str | None
    key: str | None
    keeps_ids: bool
    has_index: bool
    is_indexed_by_run: bool

    @property
    def run(self) -> str | None:
        """Return the run's column; None where the table has none."""
        return next((quoted(n) for n, _ in self.columns if n.lower() == "run_id"), None)

    def of_run(self, alias: str) -> str:
        """Return a condition on a run's rows, whose id is bound as ``:run``, whatever collation."""
        run = f"{alias}.{self.run}"
        return (
            f"{run} = :run and typeof({run}) = 'text' and cast({run} as blob) = cast(:run as blob)"
        )

    def same(self, one: str, other: str) -> str:
        """Return a condition that two rows hold the same values."""
        return " and ".join(
            f"{one}.{c} is {other}.{c}"
            # without a type of its own, a column tells 1 from 1.0
            + ("" if kind else f" and typeof({one}.{c}) = typeof({other}.{c})")
            for c, kind in ((quoted(name), kind) for name, kind in self.columns)
        )


def quoted(name: str) -> str:
    """Quote a name, by SQL's rules."""
    return '"' + name.replace('"', '""') + '"'


def telemetry_tables(connection: sqlite3.Connection) -> list[Table]:
    """Return the file's telemetry tables, those that others may refer to last."""
    has_sequence = _has(connection, "sqlite_sequence")
    found: dict[str, Table] = {}
    for (name,) in connection.execute(
        "select name from sqlite_master where type = 'table' and rootpage > 0"
    ).fetchall():
        if name.lower() not in TABLES:
            continue
        # pragma_table_list would tell, but wants the modules of all virtual tables
        without_rowid = connection.execute(
            "select exists (select 1 from pragma_index_list(?) as l where l.origin = 'pk' "
            "and not exists (select 1 from pragma_index_xinfo(l.name) as x where x.cid = -1))",
            [name],
        ).fetchone()[0]
        info = connection.execute(
            "select name, type, pk from pragma_table_xinfo(?) where hidden <> 1", [name]
        ).fetchall()
        names = {str(row[0]).lower() for row in info}
        keys = [row for row in info if row[2]]
        key = None
        if len(keys) == 1 and keys[0][0].lower() == "id" and keys[0][1].upper() == "INTEGER":
            has_index = connection.execute(
                "select exists (select 1 from pragma_index_list(?) where origin = 'pk')", [name]
            ).fetchone()[0]  # INTEGER PRIMARY KEY DESC is no rowid
            key = None if has_index else str(keys[0][0])
        indexes = [
            [str(c).lower() for (c,) in connection.execute(
                "select name from pragma_index_info(?) order by seqno", [index])]
            for (index,) in connection.execute(
                "select name from pragma_index_list(?) where partial = 0", [name]
            ).fetchall()
        ]  # fmt: skip
        counted = (
            has_sequence
            and connection.execute(
                "select count(*) from sqlite_sequence where name = ?", [name]
            ).fetchone()[0]
        )
        found[name.lower()] = Table(
            name.lower(),
            name,
            [(str(row[0]), str(row[1])) for row in info],
            None if without_rowid else next((r for r in _ROWIDS if r not in names), None),
            key,
            bool(counted) or name.lower() in UPSERTED,
            key is not None or bool(indexes),
            any(index[0] == "run_id" for index in indexes),
        )
    return [found[table] for table in TABLES if table in found and table not in UPSERTED] + [
        found[table] for table in TABLES if table in found and table in UPSERTED
    ]


def refusal(connection: sqlite3.Connection, tables: list[Table]) -> str | None:
    """Return why nothing may be deleted from a file; None where nothing is in the way."""
    names = {table.name for table in tables}
    triggers = connection.execute(
        "select name, tbl_name, sql from sqlite_master where type = 'trigger' order by name"
    ).fetchall()
    for trigger, table, sql in triggers:
        if table in names and _ON_DELETE.search(sql or ""):
            return f"trigger {trigger} of {table} would run at every delete: drop it first"
    lowered = [name.lower() for name in names]
    for referring, referred in connection.execute(
        'select m.name, f."table" from sqlite_master as m, pragma_foreign_key_list(m.name) as f '
        "where m.type = 'table' and m.rootpage > 0 order by m.name"
    ).fetchall():
        if referred.lower() in lowered and referring.lower() not in lowered:
            return f"table {referring} refers to rows of {referred}, which would be orphans"
    return None


def held_back(connection: sqlite3.Connection, table: Table) -> tuple[str | None, str] | None:
    """Return which run may not be taken out of a table, None for all of them; and why."""
    if table.run is None or table.contract in UPSERTED:
        return None
    if table.rowid is None:
        return None, f"{table.name} has no rowid to know its rows by"
    if table.keeps_ids:
        return None
    row = connection.execute(
        f"select {table.run} from {quoted(table.name)} order by {table.rowid} desc limit 1"
    ).fetchone()
    if row is None or not isinstance(row[0], str):
        return None
    return (
        row[0],
        f"it holds the last row of {table.name}, whose id would be given to another row "
        "(no AUTOINCREMENT)",
    )


def _has(connection: sqlite3.Connection, name: str) -> bool:
    asked = "select count(*) from sqlite_master where name = ?"
    return bool(connection.execute(asked, [name]).fetchone()[0])
