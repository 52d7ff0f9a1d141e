"""Checks of a file's tables: which are there, with which columns, indexes and ids."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from exporter.crawler_tables import CRAWLER_TABLES, expressions, own_columns
from exporter.examined import Examined, Table, TooLong, quoted
from exporter.findings import Finding, are, good, plural
from exporter.raw_schema import TABLES, TELEMETRY
from recorder.schema import INDEXES

#: What cannot be told without a table.
TABLE_COSTS: Final = {
    "http_events": "cache_hit_pct, http_429_pct and rate_delay_p95_ms are NULL",
    "rate_events": "no limiter blocks per host and role",
    "breaker_transitions": "breaker_opens and breaker_opens_per_hour are NULL",
    "fallback_attempts": "ttfp_p50_ms, ttfp_p95_ms, ttfp_p99_ms and ttfp_wall_… are NULL",
    "downloads": "yield_pct, dedupe_saved_mb and corruption_count are NULL",
    "run_summary": "no run has a recorded start and end",
}
#: What is lost without a column, where an SLI depends on it.
COLUMN_COSTS: Final = {
    ("http_events", "host"): "no figures per host",
    ("http_events", "role"): "cache_hit_pct and rate_delay_p95_ms are NULL",
    ("http_events", "status"): "http_429_pct is NULL",
    ("http_events", "from_cache"): "cache_hit_pct is NULL",
    ("http_events", "rate_delay_ms"): "rate_delay_p95_ms is NULL",
    ("http_events", "elapsed_ms"): "no latencies per host",
    ("breaker_transitions", "host"): "breaker_opens_per_hour knows one host only",
    ("breaker_transitions", "new_state"): "breaker_opens and breaker_opens_per_hour are NULL",
    ("breaker_transitions", "old_state"): "breaker_opens counts what was open already",
    ("fallback_attempts", "artifact_id"): "TTFP goes by work_id",
    ("fallback_attempts", "outcome"): "every TTFP is NULL",
    ("downloads", "artifact_id"): "yield_pct counts every row as an artifact",
    ("downloads", "sha256"): "yield_pct and corruption_count are NULL",
    ("downloads", "final_path"): "corruption_count is NULL; yield_pct goes by sha256 alone",
    ("downloads", "content_length"): "dedupe_saved_mb is NULL",
    ("downloads", "dedupe_action"): "dedupe_saved_mb is NULL",
    ("run_summary", "started_at"): "runs start with their first event",
    ("run_summary", "finished_at"): "no run has an end",
}
#: Rows from which a missing index is felt: below, a scan takes a few milliseconds.
INDEX_ROWS: Final = 50_000
#: Indexes that only the recorder's own updates of downloads need.
_UPDATES: Final = ("run_id", "artifact_id")


def check_tables(file: Examined) -> Iterator[Finding]:
    """Find the telemetry tables of which nothing in the file tells."""
    present = [name for name in TELEMETRY if name in file.tables]
    own = [
        name
        for name, read in CRAWLER_TABLES.items()
        if name in file.tables and set(read.needed) <= set(file.tables[name].columns)
    ]
    if not present and not own:
        yield Finding(
            "tables",
            "bad",
            f"none of the {len(TELEMETRY)} telemetry tables",
            "name the file that the crawler records into (DOCSTOKG_TELEMETRY_DB_PATH there)",
        )
        return
    rows = [(name, file.rows(file.tables[name])) for name in (*present, *own)]
    told = ", ".join(f"{name} {'?' if n is None else format(n, ',')}" for name, n in rows)
    missing = {*TELEMETRY} - {*present} - {CRAWLER_TABLES[name].table for name in own}
    if not missing:
        kinds = f"all {len(TELEMETRY)}" if not own else "all telemetry is there"
        yield good("tables", f"{kinds}, rows: {told}")
    elif own:
        yield good("tables", f"the crawler's own are read, rows: {told}")
    for name in TELEMETRY:
        if name in missing:
            yield Finding(
                "tables",
                "warning",
                f"{name} is missing: {TABLE_COSTS[name]}",
                "let the crawler record it (docs/recorder.md): the recorder adds its tables"
                if own
                else "update the crawler's recorder: it adds what is missing when it opens the "
                "file",
            )


def check_columns(file: Examined) -> Iterator[Finding]:
    """Find columns whose absence costs an SLI, or all rows."""
    is_good = True
    lesser: list[str] = []
    for name, table in _present(file):
        missing = [column for column in TABLES[name] if column not in table.columns]
        if "timestamp" in table.columns:
            missing = [column for column in missing if column != "ts"]
        if "artifact_id" in missing and "work_id" in missing and name == "fallback_attempts":
            missing.remove("work_id")
        for column in missing:
            if column == "run_id" or (column == "ts" and name != "downloads"):
                is_good = False
                yield Finding(
                    "columns",
                    "bad",
                    f"{name} lacks {column}: all its rows are rejected",
                    "correct the crawler; these rows stay lost",
                )
            elif cost := COLUMN_COSTS.get((name, column)):
                is_good = False
                yield Finding(
                    "columns",
                    "warning",
                    f"{name} lacks {column}: {cost}",
                    "update the crawler's recorder: it adds the columns that are missing",
                )
            elif column not in ("resolver_name", "source"):
                lesser.append(f"{name}.{column}")
    for name, read in CRAWLER_TABLES.items():
        own = file.tables.get(name)
        if own is None or not set(read.needed) <= set(own.columns):
            continue
        there = expressions(read, own.columns)
        for column in read.columns:
            cost = COLUMN_COSTS.get((read.table, column))
            if column not in there and cost:
                is_good = False
                yield Finding(
                    "columns",
                    "warning",
                    f"{name} lacks {', '.join(own_columns(read, column))}: {cost}",
                    "update the crawler: its next file has the column",
                )
    if is_good:
        rest = f"; without {', '.join(lesser)}, which no SLI needs" if lesser else ""
        yield good("columns", f"all that the SLIs need{rest}")


def check_indexes(file: Examined) -> Iterator[Finding]:
    """Find large tables that answer every question about one run with a scan."""
    is_good = True
    known = 0
    for name, columns in INDEXES:
        table = file.real(name)
        if table is None or not set(columns) <= {*table.columns, "ts"}:
            continue
        at = "ts" if "ts" in table.columns else "timestamp"
        wanted = tuple(at if column == "ts" else column for column in columns)
        if wanted in _indexed(file, table):
            known += 1
            continue
        rows = file.rows(table)
        if rows is not None and rows < INDEX_ROWS:
            continue
        is_good = False
        cost = (
            "every update of a download reads the whole table"
            if columns == _UPDATES
            else "the latest run and the rows of one run are found by reading the whole table"
        )
        listed = ", ".join(wanted)
        yield Finding(
            "indexes",
            "warning",
            f"{name} has no index on ({listed}): {cost}, "
            f"{'many' if rows is None else format(rows, ',')} rows",
            f"CREATE INDEX idx_{name}_{'_'.join(wanted)} ON {name} ({listed})",
        )
    if is_good:
        rest = "" if known == len(INDEXES) else "; the others' tables are missing or small"
        yield good("indexes", f"{known} of {len(INDEXES)}{rest}")


def _indexed(file: Examined, table: Table) -> set[tuple[str, ...]]:
    """Return the first two columns of each whole index of a table."""
    found = set()
    for name, partial in file.ask("select name, partial from pragma_index_list(?)", [table.name]):
        columns = file.ask("select name from pragma_index_info(?) order by seqno", [name])
        if not partial:
            found.add(tuple(str(column).lower() for (column,) in columns[:2]))
    return found


def check_ids(file: Examined) -> Iterator[Finding]:
    """Find ids that do not name their row for ever."""
    kept = []
    for name, table in _present(file):
        if name == "run_summary":
            continue
        problem = _id_problem(file, table)
        if problem is None:
            kept.append(name)
            continue
        yield Finding(
            "ids",
            "warning",
            f"{name}: {problem}",
            "let the recorder make the crawler's next file: a table cannot be given it later",
        )
    if kept:
        yield good("ids", f"AUTOINCREMENT in {', '.join(kept)}")


def _id_problem(file: Examined, table: Table) -> str | None:
    if table.kind != "table":
        return f"a {table.kind}{'' if table.kind == 'view' else ' table'}: read whole at every load"
    if "id" not in table.columns:
        return "no id: rows are told apart by their position, which VACUUM may change"
    if table.keys != ("id",) or table.rowid is None or not _is_rowid(file, table):
        told = "id is not an INTEGER PRIMARY KEY: the whole table is read at every load"
        name = quoted(table.columns["id"])
        with suppress(TooLong):
            ((without,),) = file.ask(
                f"select count(*) from {table.quoted} where typeof({name}) <> 'integer'"
            )
            if without:
                told += (
                    f"; {plural(without, 'row')} without one {are(without)} told apart by position"
                )
        return told
    if not re.search(r"\bautoincrement\b", table.sql, re.IGNORECASE):
        return "id without AUTOINCREMENT: a row that gets a deleted row's id takes its place"
    return None


def _is_rowid(file: Examined, table: Table) -> bool:
    """Tell whether an id is SQLite's own; one that is ordered DESC, say, has an index instead."""
    sql = (
        "select upper(type), (select count(*) from pragma_index_list(?1) where origin = 'pk') "
        "from pragma_table_info(?1) where lower(name) = 'id'"
    )
    try:
        return file.ask(sql, [table.name]) == [("INTEGER", 0)]
    except sqlite3.Error:
        return False


def _present(file: Examined) -> Iterator[tuple[str, Table]]:
    for name in TELEMETRY:
        if table := file.tables.get(name):
            yield name, table
