"""Checks of the times and values in a file, as the models judge them.

DuckDB reads the file here: see `exporter.examine` for why nothing else may in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from exporter.errors import TelemetryError, one_line
from exporter.examined import NEWEST_ROWS
from exporter.findings import Finding, duration, good, plural
from exporter.raw_sql import ENGINE_ERRORS
from exporter.rejections import over_file, short
from exporter.results import Row, rows
from exporter.sources import Source, own_name
from recorder.privacy import Privacy

#: Names of runs that one line holds.
_NAMED: Final = 3
_MODELS: Final = ("file_times", "file_runs", "misfit_values")
_CHECKS: Final = ("times", "order", "runs", "values")
_CLOCK: Final = "set the crawler's clock (timedatectl: NTP active)"


@dataclass(frozen=True)
class _Found:
    """What the models say of the rows that are looked at."""

    times: list[Row]
    runs: list[Row]
    values: list[Row]


def check_rows(path: str, deep: bool, project: Path | None) -> Iterator[Finding]:
    """Judge the newest rows of each table: their times, their runs' ends, values that do not fit.

    Args:
        path: the file.
        deep: look at all rows.
        project: the analyst's own copy of the dbt project.
    """
    try:
        found = over_file(path, project, _MODELS, _ask, None if deep else NEWEST_ROWS)
    except (TelemetryError, *ENGINE_ERRORS) as error:
        for check in _CHECKS:
            yield Finding(check, "unknown", one_line(error), "see what summary --db FILE says")
        return
    yield from _times(found.times)
    yield from _order(found.times)
    yield from _runs(found.runs)
    yield from _values(found.values)


def _ask(connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> _Found:
    found = _Found(
        rows(connection, "select * from lake.diagnosis.file_times order by table_name"),
        rows(connection, "select * from lake.diagnosis.file_runs order by last_event_at, run_id"),
        rows(
            connection,
            "select table_name, column_name, sum(misfits)::bigint as misfits, "
            "sum(row_count)::bigint as row_count, bool_or(is_notable) as is_notable, "
            "min(example) as example from lake.marts.misfit_values "
            "where column_name <> 'ts' group by all "  # those are told among the times
            "order by misfits desc, table_name, column_name",
        ),
    )
    for value in found.values:
        value["own_name"] = own_name(sources, value["table_name"], value["column_name"])
    return found


def _seen(table: Row) -> str:
    """Say how many rows of a table were looked at."""
    number = int(table["row_count"])
    return f"the newest {number:,} rows" if number == NEWEST_ROWS else plural(number, "row")


def _times(tables: list[Row]) -> Iterator[Finding]:
    """Tell times that are to come, and rows without one that can be used."""
    bad = False
    for table in tables:
        where = f"of {_seen(table)} in {table['table_name']}"
        if table["times_ahead"]:
            bad = True
            found = f"{table['times_ahead']:,} {where} lie in the future, the latest at " + (
                f"{table['latest_at']:%Y-%m-%d %H:%M:%S} UTC: such a run stays the latest"
            )
            yield Finding("times", "bad", found, f"{_CLOCK}, and correct or delete the rows")
        if table["unusable_times"]:
            bad = True
            example = table["unusable_example"]
            such = "" if example is None else f", such as {_shown(example)}"
            lost = "they count as missing" if table["table_name"] == "downloads" else "rejected"
            yield Finding(
                "times",
                "bad",
                f"{table['unusable_times']:,} {where} have no time between 2000 and 2100{such}: "
                f"{lost}",
                "record Unix seconds, or ISO 8601 text in UTC, by a clock that is set",
            )
    if not bad:
        told = (
            f"{t['table_name']} {_seen(t)}"
            + (f" ({t['text_times']:,} of them text)" if t["text_times"] else "")
            for t in tables
        )
        yield good("times", f"all between 2000 and now: {'; '.join(told) or 'no rows'}")


def _order(tables: list[Row]) -> Iterator[Finding]:
    """Tell clocks that went back: rows of a run whose times fall while their ids rise."""
    back = [table for table in tables if table["steps_back"]]
    for table in back:
        yield Finding(
            "order",
            "warning",
            f"{table['table_name']}: time goes back {plural(table['steps_back'], 'time')} within a "
            f"run in {_seen(table)}, by up to {duration(table['largest_step_s'])} "
            f"(id {table['largest_step_id']})",
            "let NTP slew the clock instead of setting it; or rows waited for a locked file: "
            "see recorder_status.first_error",
        )
    if not back:
        told = "; ".join(f"{table['table_name']} {_seen(table)}" for table in tables)
        yield good("order", f"time goes forward within runs: {told or 'no rows'}")


def _runs(runs: list[Row]) -> Iterator[Finding]:
    """Tell runs that end before they start, and runs that stopped without an end."""
    backwards = [run for run in runs if run["ends_before_start_s"] is not None]
    if backwards:
        worst = max(backwards, key=lambda run: float(run["ends_before_start_s"]))
        yield Finding(
            "runs",
            "bad",
            f"{plural(len(backwards), 'run')} "
            f"{'ends before it starts' if len(backwards) == 1 else 'end before they start'}, "
            f"{named(worst['run_id'])} by {duration(worst['ends_before_start_s'])}",
            f"{_CLOCK}, and correct run_summary",
        )
    stopped = [run for run in runs if run["is_silent"] and run["writes_ends"]]
    if stopped:
        names = ", ".join(named(run["run_id"]) for run in stopped[-_NAMED:])
        yield Finding(
            "runs",
            "warning",
            f"{len(stopped):,} of {plural(len(runs), 'run')} "
            f"{'has' if len(stopped) == 1 else 'have'} no end and stopped: {names}, last event "
            f"{duration(stopped[-1]['silent_s'])} ago",
            "the crawler was killed, or lost the file; a run ends when its open_run() block does",
        )
    if not backwards and not stopped:
        going = sum(run["finished_at"] is None for run in runs)
        more = f", {going:,} without an end" if going else ""
        yield good("runs", f"{plural(len(runs), 'run')}{more}")


def _values(columns: list[Row]) -> Iterator[Finding]:
    """Tell columns in which values do not fit."""
    for column in columns:
        yield Finding(
            "values",
            "bad" if column["is_notable"] else "warning",
            f"{column['own_name']}: values do not fit in "
            f"{column['misfits']:,} of {plural(column['row_count'], 'row')} and count as missing, "
            f"such as {_shown(column['example'])}",
            "correct the crawler; docs/runbooks/data-quality.md: values that do not fit",
        )
    if not columns:
        yield good("values", "all fit their columns")


def _shown(example: str) -> str:
    return short(Privacy().text(example[:120]))


def named(run: object) -> str:
    """Return a run's id, short enough for a line."""
    text = str(run)
    return text if len(text) <= 60 else f"{text[:59]}…"
