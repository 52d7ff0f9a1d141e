"""One table of the load: rows the lake does not have are appended, rows that changed replaced."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from exporter import archived
from exporter.archived import FILE_ID_PREFIX
from exporter.load_plan import Plan, SourceFailed
from exporter.raw_schema import APPEND_ONLY, UPSERTED, raw_columns
from exporter.raw_sql import ENGINE_ERRORS, careful_sql, literal, typed_sql
from exporter.sources import Source


def append_bulk(cursor: duckdb.DuckDBPyConnection, plan: Plan, load_id: int) -> int:
    """Append a whole table, of a file by the typed scan; return the rows added.

    Raises:
        SourceFailed: the scan met a value of another type than its column's, or a damaged page.
    """
    select = (
        rows_sql(plan.source, plan.table)
        if plan.source.archived is not None
        else typed_sql(plan.table, plan.shape, plan.source.alias)
    )
    try:
        known_runs = _known_runs(cursor, plan)
        guard = f"where {_unknown(plan.table, known_runs)}" if known_runs else ""
        return _count(
            cursor,
            f"insert into lake.raw.{plan.table} by name select new.*, "
            f"{literal(plan.source.file_id)} as file_id, {load_id:d} as load_id "
            f"from ({select}) as new {guard}",
        )
    except ENGINE_ERRORS as error:
        raise SourceFailed(plan.source, plan.table, typed=True, error=error) from error


def merge_small(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    plans: Sequence[Plan],
    load_id: int,
    open_ranges: dict[str, list[tuple[int, int]]],
) -> tuple[int, int]:
    """Append and update the rows of several files' tables, read value by value.

    Args:
        cursor: a connection inside the load's transaction.
        table: the contract's name of the table.
        plans: one for each file; together they fit in memory.
        load_id: number of the load.
        open_ranges: by file_id, the id ranges of downloads that may still be updated.

    Returns:
        Rows appended, rows changed.

    Raises:
        SourceFailed: names the first file when one of them could not be read.
    """
    cursor.execute(f"drop table if exists new_{table}")
    selects = [
        f"select *, {literal(plan.source.file_id)} as file_id, {load_id:d}::bigint as load_id "
        f"from ({rows_sql(plan.source, table, _where(plan, open_ranges))})"
        for plan in plans
    ]
    try:
        cursor.execute(f"create temp table new_{table} as {' union all by name '.join(selects)}")
    except ENGINE_ERRORS as error:
        raise SourceFailed(plans[0].source, table, typed=False, error=error) from error
    changed = 0 if table in APPEND_ONLY else _replace_changed(cursor, table)
    appended = _append_unknown(cursor, table)
    cursor.execute(f"drop table new_{table}")
    return appended, changed


def rows_sql(source: Source, table: str, where: str = "") -> str:
    """Return a select of a table's raw columns (without file_id and load_id).

    Args:
        source: a file, or an archived run.
        table: the contract's name of the table.
        where: an optional SQLite condition, for a file.
    """
    if source.archived is not None:
        return archived.select_sql(source.path, source.archived, table)
    return careful_sql(table, source.tables[table], source.alias, where)


def _where(plan: Plan, open_ranges: dict[str, list[tuple[int, int]]]) -> str:
    if plan.after is None:
        return ""
    key = plan.shape.id_name
    ranges = open_ranges.get(plan.source.file_id, []) if plan.table == "downloads" else []
    return " or ".join(
        [f"{key} > {plan.after:d}", *(f"{key} between {a:d} and {b:d}" for a, b in ranges)]
    )


def _append_unknown(cursor: duckdb.DuckDBPyConnection, table: str) -> int:
    """Append the rows of temp table new_<table> that the lake does not have."""
    bounds = cursor.execute(
        f"select min(id), max(id), count(distinct run_id), list(distinct run_id) from new_{table}"
    ).fetchone()
    if bounds is None or bounds[0] is None:
        return 0
    low, high, runs, names = bounds
    near = "true" if table in UPSERTED else f"known.id between {low:d} and {high:d}"
    if runs <= 20:  # a literal list lets DuckLake pass over the files of other runs
        listed = ", ".join(literal(name) for name in names if name is not None)
        near += f" and (known.run_id is null{f' or known.run_id in ({listed})' if listed else ''})"
    # The same row may come from a file and its copy in one load: keep one of them. Rows that
    # nothing tells apart may also lie in one file: keep as many as it has.
    key = _key(table)
    return _count(
        cursor,
        f"insert into lake.raw.{table} by name select * exclude (copy_number, same_before) from ("
        f"select new.*, dense_rank() over (partition by {key} "
        f"order by {_is_archived('new')}, new.file_id) as copy_number,"
        f" row_number() over (partition by {key}, new.file_id) as same_before "
        f"from new_{table} as new) as new "
        f"where copy_number = 1 and same_before > ({_known_rows(table, near, 'count(*)')})",
    )


def _replace_changed(cursor: duckdb.DuckDBPyConnection, table: str) -> int:
    """Replace the rows that differ from the lake's in the file that owns them.

    What an archive holds is the last that its file said of it, unless the file still says more.
    """
    columns = [c for c in raw_columns(table) if c not in ("id", "file_id", "load_id")]
    differs = " or ".join(f"new.{c} is distinct from old.{c}" for c in columns)
    named = "".join(f" and new.{c} is not distinct from {{0}}.{c}" for c in _names(table))
    cursor.execute(
        f"""
        create or replace temp table changed_rows as
        select new.*, old.id as old_id, old.file_id as old_file_id
        from new_{table} as new
        join lake.raw.{table} as old on new.run_id = old.run_id {named.format("old")}
        where new.defect is null and old.defect is null and ({differs})
            and (new.file_id = old.file_id or {_is_archived("new")} <> {_is_archived("old")})
            and not ({_is_archived("new")} and exists (
                select 1 from new_{table} as live
                where live.run_id = new.run_id {named.format("live")} and not {_is_archived("live")}
            ))
        qualify row_number() over (
            partition by old.run_id, old.id, old.file_id order by new.file_id = old.file_id desc
        ) = 1
        """
    )
    changed = _count(
        cursor,
        f"delete from lake.raw.{table} as old using changed_rows as new "
        "where new.run_id = old.run_id and new.old_file_id = old.file_id and new.old_id = old.id",
    )
    if changed:
        cursor.execute(
            f"insert into lake.raw.{table} by name "
            "select * exclude (old_id, old_file_id) from changed_rows"
        )
    cursor.execute("drop table changed_rows")
    return changed


def _is_archived(alias: str) -> str:
    """Return a condition on rows that come from an archive."""
    return f"starts_with({alias}.file_id, {literal(FILE_ID_PREFIX)})"


def _known_runs(cursor: duckdb.DuckDBPyConnection, plan: Plan) -> str:
    """Return a condition on rows of the lake that a bulk load could meet again; '' for none."""
    if not cursor.execute(f"from lake.raw.{plan.table} limit 1").fetchall():
        return ""
    if plan.source.archived is not None:
        named = f"select {literal(plan.source.archived.run_id)} as run_id"
    else:
        run = plan.shape.columns["run_id"][0] if "run_id" in plan.shape.columns else "null"
        named = f"select distinct {run} as run_id from {plan.source.alias}.{plan.shape.name}"
    runs = cursor.execute(
        f"select distinct known.run_id from ({named}) as new "
        f"join (select distinct run_id from lake.meta.load_runs) as known "
        "on known.run_id is not distinct from new.run_id"
    ).fetchall()
    if not runs:
        return ""
    listed = ", ".join(literal(name) for (name,) in runs if name is not None)
    return f"(known.run_id is null{f' or known.run_id in ({listed})' if listed else ''})"


def _names(table: str) -> tuple[str, ...]:
    """Return the columns that name a row within its run."""
    return UPSERTED.get(table, ("id",))


def _key(table: str) -> str:
    """Return what names a row: its run and id; without a usable run_id also all it says."""
    return ", ".join(f"new.{c}" for c in ("run_id", *_names(table))) + f", {_content(table, 'new')}"


def _unknown(table: str, near: str) -> str:
    """Return a condition on a new row of a bulk load: the lake does not have it."""
    return f"not exists ({_known_rows(table, near, '1')})"


def _known_rows(table: str, near: str, selected: str) -> str:
    """Return a subquery over the lake's rows that are the new row."""
    named = ("run_id", *_names(table))
    same = " and ".join(f"known.{c} is not distinct from new.{c}" for c in named)
    same += f" and {_content(table, 'known')} is not distinct from {_content(table, 'new')}"
    return (
        f"select {selected} from (select known.* from lake.raw.{table} as known where {near}) "
        f"as known where {same}"
    )


def _content(table: str, alias: str) -> str:
    values = ", ".join(
        f"{alias}.{c}" for c in raw_columns(table) if c not in ("file_id", "load_id")
    )
    unnamed = f"trim(coalesce({alias}.run_id, '')) = '' or {alias}.defect is not null"
    return f"case when {unnamed} then hash({values}) end"


def _count(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    return int(row[0]) if row else 0
