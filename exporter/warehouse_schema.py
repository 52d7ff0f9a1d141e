"""The tables that the loader keeps in a warehouse, and how those of other releases are met.

A release adds tables and columns, names the tables that it no longer keeps, and changes no type:
what an earlier release made is completed, and what this one does not know was made by a later one.
"""

from __future__ import annotations

from typing import Final

import duckdb

from exporter.errors import WarehouseError
from exporter.paths import warehouse_dir
from exporter.raw_schema import CAPABILITIES, TABLES, raw_columns

#: Goes up when an earlier release could not read or write what is written any more. Release 0.1.0
#: wrote no number, which counts as 1.
FORMAT: Final = 2

_META: Final = {
    "loads": "load_id bigint, loaded_at timestamptz, files_read bigint, files_skipped bigint, "
    "rows_appended bigint, rows_changed bigint",
    "load_runs": "load_id bigint, run_id varchar",
    "load_skips": "load_id bigint, path varchar, reason varchar",
    "watermarks": "file_id varchar, table_name varchar, last_id bigint, fingerprint varchar",
    "blocks": "file_id varchar, table_name varchar, block bigint, digest varchar",
    "publications": "published_at timestamptz, load_id bigint, models_version varchar",
}
#: Tables that an earlier release kept and this one does not.
_RETIRED: Final = (("meta", "open_runs"),)


def ensure_schema(cursor: duckdb.DuckDBPyConnection, lake: str = "lake") -> None:
    """Add what the raw relations and the book-keeping lack: tables, and columns, which are NULL.

    All of it in one transaction, or nothing.

    Raises:
        WarehouseError: the warehouse has a table or a column that only a later release knows.
    """
    wanted = _wanted()
    counts = {
        (schema, table): count
        for schema, table, count in cursor.execute(
            "select schema_name, table_name, column_count from duckdb_tables() "
            "where database_name = ? and schema_name in ('raw', 'meta')",
            [lake],
        ).fetchall()
    }
    # the columns themselves take 0.1 s more
    if counts == {relation: len(columns) for relation, columns in wanted.items()}:
        return
    present: dict[tuple[str, str], set[str]] = {}
    retired = [relation for relation in _RETIRED if relation in counts]
    for schema, table, column in cursor.execute(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "where database_name = ? and schema_name in ('raw', 'meta')",
        [lake],
    ).fetchall():
        present.setdefault((schema, table), set()).add(column)
    for gone in retired:
        present.pop(gone, None)
    for (schema, table), columns in present.items():
        if unknown := columns.difference(wanted.get((schema, table), {})):
            raise newer(f"{schema}.{table} has a column {min(unknown)}")
    cursor.execute("begin")
    for gone in retired:
        cursor.execute(f"drop table {lake}.{'.'.join(gone)}")
    for schema in ("raw", "meta"):
        cursor.execute(f"create schema if not exists {lake}.{schema}")
    for (schema, table), kinds in wanted.items():
        relation = f"{lake}.{schema}.{table}"
        if (schema, table) not in present:
            listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            cursor.execute(f"create table {relation} ({listed})")
            continue
        for name, kind in kinds.items():
            if name not in present[schema, table]:
                cursor.execute(f"alter table {relation} add column {name} {kind}")
    cursor.execute("commit")


def source_file_columns() -> dict[str, str]:
    """Return the columns of ``raw.source_files`` and their types."""
    flags = dict.fromkeys(CAPABILITIES, "boolean")
    return {"file_id": "varchar", "path": "varchar"} | flags | {"family": "integer"}


def newer(why: str) -> WarehouseError:
    """Return the error of a warehouse that a later release has written to.

    Args:
        why: what tells so.
    """
    return WarehouseError(
        f"the warehouse {warehouse_dir()} was written by a newer release ({why}): "
        "update docstokg-telemetry, or set DOCSTOKG_WAREHOUSE to another folder"
    )


def _wanted() -> dict[tuple[str, str], dict[str, str]]:
    """Return the columns of each table, by schema and name."""
    meta = {
        ("meta", name): dict(column.split() for column in columns.split(", "))
        for name, columns in _META.items()
    }
    raw = {("raw", table): raw_columns(table) for table in TABLES}
    return meta | {("raw", "source_files"): source_file_columns()} | raw
