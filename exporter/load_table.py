"""One table of the load: rows the lake does not have are appended, rows that changed replaced."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from exporter import archived
from exporter.archived import FILE_ID_PREFIX
from exporter.findings import plural
from exporter.load_plan import Plan, SourceFailed
from exporter.raw_schema import APPEND_ONLY, UPSERTED, raw_columns
from exporter.raw_sql import ENGINE_ERRORS, careful_sql, literal, typed_sql
from exporter.sources import Source

#: Columns that are set when a download is complete.
_COMPLETE = ("sha256", "final_path")


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
        known_runs = _known_runs(cursor, plan, load_id)
        if known_runs and plan.table not in APPEND_ONLY:
            return merge_small(cursor, plan.table, [plan], load_id)[0]
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
    cursor: duckdb.DuckDBPyConnection, table: str, plans: Sequence[Plan], load_id: int
) -> tuple[int, int]:
    """Append and update the rows of several files' tables, read value by value.

    Args:
        cursor: a connection inside the load's transaction.
        table: the contract's name of the table.
        plans: one for each file; together they fit in memory.
        load_id: number of the load.

    Returns:
        Rows appended, rows changed.

    Raises:
        SourceFailed: names the first file when one of them could not be read.
    """
    cursor.execute(f"drop table if exists new_{table}")
    selects = [
        f"select *, {literal(plan.source.file_id)} as file_id, {load_id:d}::bigint as load_id "
        f"from ({rows_sql(plan.source, table, _where(plan))})"
        for plan in plans
    ]
    try:
        cursor.execute(f"create temp table new_{table} as {' union all by name '.join(selects)}")
    except ENGINE_ERRORS as error:
        raise SourceFailed(plans[0].source, table, typed=False, error=error) from error
    rereads = table not in APPEND_ONLY or any(plan.rereads for plan in plans)
    changed, appended = merge(cursor, table, rereads)
    cursor.execute(f"drop table new_{table}")
    return appended, changed


def merge(cursor: duckdb.DuckDBPyConnection, table: str, rereads: bool) -> tuple[int, int]:
    """Bring what ``new_<table>`` holds into the raw relation; return rows changed, appended.

    Args:
        cursor: a connection with the temporary table new_<table>.
        table: the contract's name of the table.
        rereads: rows of these files may be in the relation already, as they were.
    """
    near = _near(cursor, table)
    if near is None:
        return 0, 0
    if table not in APPEND_ONLY:
        _find_workers(cursor, table, near)
    changed = _delete_changed(cursor, table, near) if rereads else 0
    return changed, _append_unknown(cursor, table, near) - changed


def without_ids(
    cursor: duckdb.DuckDBPyConnection, sources: Sequence[Source], load_id: int
) -> list[str]:
    """Say which rows of a load nothing but their position tells apart."""
    notes = []
    for source in sources:
        for table, shape in source.tables.items():
            if source.archived is not None or shape.id_is_rowid or table in UPSERTED:
                continue
            has_none = "id < 0" if "id" in shape.columns else "true"
            rows = _count(
                cursor,
                f"select count(*) from lake.raw.{table} where load_id = {load_id:d} "
                f"and file_id = {literal(source.file_id)} and {has_none}",
            )
            if rows:
                notes.append(
                    f"{plural(rows, 'row')} of {shape.name} in {source.path} without an id, told "
                    "apart by position, which a VACUUM may change: give the table an "
                    "id INTEGER PRIMARY KEY AUTOINCREMENT"
                )
    return notes


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


def _where(plan: Plan) -> str:
    if plan.after is None:
        return ""
    key = plan.shape.id_name
    return " or ".join(
        [f"{key} > {plan.after:d}", *(f"{key} between {a:d} and {b:d}" for a, b in plan.changed)]
    )


def _append_unknown(cursor: duckdb.DuckDBPyConnection, table: str, near: str) -> int:
    """Append the rows of temp table new_<table> that the lake does not have."""
    # The same row may come from a file and its copy in one load: keep its latest state.
    # Rows that nothing tells apart may also lie in one file: keep as many as it has.
    order = f"{_rank(table, 'other')} < {_rank(table, 'new')}"
    same = ", ".join(f"new.{c}" for c in ("run_id", *_names(table), "file_id"))
    return _count(
        cursor,
        f"insert into lake.raw.{table} by name select * exclude same_before from ("
        f"select new.*, row_number() over (partition by {same}, {_content(table, 'new')}) "
        f"as same_before from new_{table} as new where not exists ("
        f"select 1 from new_{table} as other where {_same(table, 'other')} and {order})"
        f") as new where same_before > ({_known_rows(table, near, 'count(*)')})",
    )


def _near(cursor: duckdb.DuckDBPyConnection, table: str) -> str | None:
    """Return a condition on rows of the lake that new rows could be; None without new rows."""
    bounds = cursor.execute(
        f"select min(id), max(id), count(distinct run_id), list(distinct run_id) from new_{table}"
    ).fetchone()
    if bounds is None or bounds[0] is None:
        return None
    low, high, runs, names = bounds
    near = "true" if table in UPSERTED else f"known.id between {low:d} and {high:d}"
    if runs <= 20:  # a literal list lets DuckLake pass over the files of other runs
        listed = ", ".join(literal(name) for name in names if name is not None)
        near += f" and (known.run_id is null{f' or known.run_id in ({listed})' if listed else ''})"
    return near


def _find_workers(cursor: duckdb.DuckDBPyConnection, table: str, near: str) -> None:
    """Fill temp table workers: pairs of files whose rows share run and id but are different rows.

    A copy of a file has the same artifact under each id, whatever its row said since; the files
    of two workers do not, nor do two tables of one file that mean the same.
    """
    told = ("artifact_id", "work_id") if table == "downloads" else ()
    columns = ", ".join(f"rows_told.{c}" for c in ("run_id", *_names(table), *told, "file_id"))
    rows = " union all ".join(
        f"select {columns}, coalesce(files.family, 0) as family from {rows_told} "
        "left join lake.raw.source_files as files on rows_told.file_id = files.file_id"
        for rows_told in (
            f"new_{table} as rows_told",
            f"(select known.* from lake.raw.{table} as known where {near}) as rows_told",
        )
    )
    alike = " and ".join(f"one.{c} = other.{c}" for c in ("run_id", *_names(table)))
    differ = " or ".join(f"one.{c} is distinct from other.{c}" for c in (*told, "family"))
    cursor.execute(
        f"create or replace temp table workers as with told as ({rows}) "
        "select distinct one.run_id, one.file_id as one_file, other.file_id as other_file "
        f"from told as one join told as other on {alike} "
        f"where one.file_id <> other.file_id and ({differ})"
    )


def _delete_changed(cursor: duckdb.DuckDBPyConnection, table: str, near: str) -> int:
    """Delete the rows of the lake of which their file now says something else.

    What an archive holds is the last that its file said of it, unless the file still says more.
    A copy of the file replaces a download only by a later state of it.
    """
    named = " and ".join(
        f"new.{c} is not distinct from old.{c}" for c in ("run_id", *_names(table))
    )
    speaks = "new.file_id = old.file_id"
    if table not in APPEND_ONLY:
        live = named.replace("new.", "live.").replace("old.", "new.")
        speaks = (
            f"({speaks} or {_is_archived('new')} <> {_is_archived('old')} "
            f"and {_no_workers('new', 'old')}) "
            f"and not ({_is_archived('new')} and exists (select 1 from new_{table} as live "
            f"where {live} and not {_is_archived('live')}))"
        )
    replaces = f"({speaks})"
    if table == "downloads":
        more = f"{_rank(table, 'new')} < {_rank(table, 'old')}"
        replaces += f" or {_is_copy('new', 'old')} and not {_is_archived('new')} and {more}"
    return _count(
        cursor,
        f"delete from lake.raw.{table} as old where {near.replace('known.', 'old.')} "
        "and old.run_id is not null and old.defect is null "
        f"and exists (select 1 from new_{table} as new where {named} and new.defect is null "
        f"and ({replaces}) and {_everything(table, 'new')} <> {_everything(table, 'old')}) "
        f"and not exists (select 1 from new_{table} as new where {named} and ({speaks}) "
        f"and {_everything(table, 'new')} = {_everything(table, 'old')})",
    )


def _is_archived(alias: str) -> str:
    """Return a condition on rows that come from an archive."""
    return f"starts_with({alias}.file_id, {literal(FILE_ID_PREFIX)})"


def _known_runs(cursor: duckdb.DuckDBPyConnection, plan: Plan, load_id: int) -> str:
    """Return a condition on rows of the lake that a bulk load could meet again; '' for none.

    They may be of an earlier load, or of another file in this one.
    """
    if not cursor.execute(f"from lake.raw.{plan.table} limit 1").fetchall():
        return ""
    if plan.source.archived is not None:
        named = f"select {literal(plan.source.archived.run_id)} as run_id"
    else:
        run = plan.shape.columns["run_id"][0] if "run_id" in plan.shape.columns else "null"
        named = f"select distinct {run} as run_id from {plan.source.alias}.{plan.shape.name}"
    runs = cursor.execute(
        f"select distinct known.run_id from ({named}) as new "
        "join (select run_id from lake.meta.load_runs "
        f"union select run_id from lake.raw.{plan.table} where load_id = {load_id:d}) as known "
        "on known.run_id is not distinct from new.run_id"
    ).fetchall()
    if not runs:
        return ""
    listed = ", ".join(literal(name) for (name,) in runs if name is not None)
    return f"(known.run_id is null{f' or known.run_id in ({listed})' if listed else ''})"


def _names(table: str) -> tuple[str, ...]:
    """Return the columns that name a row within its run."""
    return UPSERTED.get(table, ("id",))


def _unknown(table: str, near: str) -> str:
    """Return a condition on a new row of a bulk load: the lake does not have it."""
    return f"not exists ({_known_rows(table, near, '1')})"


def _known_rows(table: str, near: str, selected: str) -> str:
    """Return a subquery over the lake's rows that are the new row."""
    return (
        f"select {selected} from (select known.* from lake.raw.{table} as known where {near}) "
        f"as known where {_same(table, 'known')}"
    )


def _same(table: str, other: str) -> str:
    """Return a condition that a row of an alias is the new row.

    Ids alone do not tell: the files of two workers of a run give out the same ones. A download is
    the same in a copy of its file, though the copy may have an earlier or a later state of it.
    """
    names = ("run_id", *_names(table))
    same = " and ".join(f"{other}.{c} is not distinct from new.{c}" for c in names)
    content = f"{_content(table, other)} is not distinct from {_content(table, 'new')}"
    if table in UPSERTED:
        copied = f"{_is_archived(other)} <> {_is_archived('new')} and {_no_workers('new', other)}"
        return f"{same} and ({content} or {copied})"
    if table != "downloads":
        return f"{same} and {content}"
    return f"{same} and ({content} or {_is_copy('new', other)})"


def _is_copy(new: str, other: str) -> str:
    """Return a condition that a download of the same run and id is told by a copy of the file."""
    return (
        f"{new}.run_id is not null and {other}.file_id <> {new}.file_id "
        f"and {other}.artifact_id is not distinct from {new}.artifact_id "
        f"and {other}.work_id is not distinct from {new}.work_id "
        f"and {_no_workers(new, other)}"
    )


def _no_workers(new: str, other: str) -> str:
    """Return a condition that two files are not in temp table workers for this run."""
    return (
        f"not exists (select 1 from workers where workers.run_id = {new}.run_id "
        f"and workers.one_file = {other}.file_id and workers.other_file = {new}.file_id)"
    )


def _rank(table: str, alias: str) -> str:
    """Return a sort key of the states of a row in a file and its copies; the lowest one is kept."""
    state = ""
    if table == "downloads":
        missing = " + ".join(f"(coalesce({alias}.{c}, '') = '')::int" for c in _COMPLETE)
        text = f"epoch(try_cast({alias}.ts_text as timestamptz))"
        state = f"-coalesce({alias}.ts, {text}, 0), {missing}, "
    return f"({_is_archived(alias)}, {state}{alias}.file_id)"


def _content(table: str, alias: str) -> str:
    """Return what tells rows of one name apart; a recorder's writer is told by its name alone."""
    return "null" if table == "recorder_status" else _everything(table, alias)


def _everything(table: str, alias: str) -> str:
    """Return a hash of all that a row says; an upsert may give it another id."""
    without = {"file_id", "load_id", *(("id",) if table in UPSERTED else ())}
    return f"hash({', '.join(f'{alias}.{c}' for c in raw_columns(table) if c not in without)})"


def _count(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = cursor.execute(sql).fetchone()
    return int(row[0]) if row else 0
