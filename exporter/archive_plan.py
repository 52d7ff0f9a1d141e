"""Which runs of a telemetry file are old enough to be archived, and what stays, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

import duckdb

from exporter.archive_process import FileProcess
from exporter.compiled import Models
from exporter.direct import attached_in_memory
from exporter.direct_read import raw_views
from exporter.errors import SourceError, UsageError
from exporter.raw_schema import TABLES, TELEMETRY
from exporter.raw_sql import ENGINE_ERRORS
from exporter.sources import reason_of
from exporter.warehouse import one_thread

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: A run that ended so recently may still be written to, by a clock that is a little off, say.
_LEAST: Final = timedelta(hours=1)


@dataclass(frozen=True)
class PlannedRun:
    """A run that is to be archived.

    Attributes:
        run_id: the run.
        ended_at: when it ended, or its last event was, whichever is later; Unix seconds.
        last_event_at: time of its last event, Unix seconds; None where none has a time.
        rows: rows by table, rejected ones included.
        ranges: lowest and highest id by table.
        bytes: about what it takes in the file.
    """

    run_id: str
    ended_at: float
    last_event_at: float | None
    rows: dict[str, int]
    ranges: dict[str, list[int]]
    bytes: int = 0


@dataclass(frozen=True)
class Left:
    """A run that should be archived and is not, and why."""

    run_id: str
    reason: str


@dataclass
class FilePlan:
    """What is to become of one file.

    Attributes:
        path: the file.
        runs: the runs to archive, the oldest first.
        left: runs that are old, or of no known age, and stay.
        recent_runs: how many runs are not old enough.
        rows_without_run: rows that no run can be told of; they stay.
        bytes: of the file and its write-ahead log.
        free_bytes: of them, free for new rows.
        is_measured: bytes of runs are by the pages of their tables, not by the file's size alone.
        table_bytes: of each table, its indexes included.
        table_rows: of each telemetry table.
        day_rows: rows by UTC day of the event, then by table; those without a time left out.
        all_runs: rows by run, then by table, whatever becomes of the run.
        noted: runs that were archived before, and where to, as the file says.
    """

    path: str
    runs: list[PlannedRun] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    recent_runs: int = 0
    rows_without_run: int = 0
    bytes: int = 0
    free_bytes: int = 0
    is_measured: bool = False
    table_bytes: dict[str, int] = field(default_factory=dict)
    table_rows: dict[str, int] = field(default_factory=dict)
    day_rows: dict[date, dict[str, int]] = field(default_factory=dict)
    all_runs: dict[str, dict[str, int]] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)

    def bytes_of(self, rows: Mapping[str, int]) -> int:
        """Return what some rows of each table take, their share of the indexes included."""
        return round(sum(count * self._bytes_per_row(table) for table, count in rows.items()))

    def _bytes_per_row(self, table: str) -> float:
        rows = self.table_rows.get(table, 0)
        return self.table_bytes.get(table, 0) / rows if rows else 0.0


def limit_of(older_than: str, now: datetime) -> datetime:
    """Return the moment before which runs must have ended.

    Args:
        older_than: ``14d``, ``36h``, ``2w``, ``90m``; or a date, or a date and time, of UTC
            where no offset is named. A day is 24 hours.
        now: the present.

    Raises:
        UsageError: it is none of these, or less than an hour ago.
    """
    told = older_than.strip()
    if found := re.fullmatch(r"(\d{1,6})\s*([mhdw])", told):
        try:
            limit = now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            raise UsageError(f"--older-than {older_than} is before all dates") from None
    else:
        try:
            limit = datetime.fromisoformat(told)
        except ValueError:
            raise UsageError(
                f"--older-than {older_than!r} is no age: give 14d, 36h, 2w, or a date such as "
                "2026-01-31"
            ) from None
        limit = limit if limit.tzinfo is not None else limit.replace(tzinfo=UTC)
    if now - limit < _LEAST:
        raise UsageError(
            f"--older-than {older_than} would take runs that may still be written to: "
            "give an hour (1h) or more"
        )
    return limit


def plan(
    path: str,
    limit: datetime,
    compiled_models: str,
    process: FileProcess,
    by_day: bool = False,
) -> FilePlan:
    """Find out what of a file is old, by the models, and may be taken out of it, by SQLite.

    Args:
        path: the file.
        limit: runs must have ended before.
        compiled_models: content of the file with the compiled models.
        process: has the file open.
        by_day: count rows by day, too.

    Raises:
        SourceError: the file cannot be read.
    """
    found, models = FilePlan(path), Models(compiled_models)
    with (
        attached_in_memory([(path, True)]) as (connection, probe),
        one_thread(connection),
    ):
        if not probe.sources:
            raise SourceError(f"cannot read {path}: {probe.skipped[0].reason}")
        names = {
            (source.file_id, table): shape.name.lower()
            for source in probe.sources
            for table, shape in source.tables.items()
        }
        found.table_rows = dict.fromkeys(names.values(), 0)
        ask = partial(_ask, connection)
        for typed in (True, False):
            raw_views(connection, probe.sources, typed)
            try:
                models.build(connection, ["int_runs"])
                counts, ends = ask(_COUNTS), ask(_ENDS)
                days = ask(_DAYS) if by_day else []
                break
            except ENGINE_ERRORS as error:
                if not typed:
                    raise SourceError(f"cannot read {path}: {reason_of(error)}") from error
    rows: dict[str, dict[str, int]] = {}
    ranges: dict[str, dict[str, list[int]]] = {}
    for run_id, file_id, table, count, low, high, is_named in counts:
        name = names[file_id, table]
        found.table_rows[name] += count
        if not is_named:
            found.rows_without_run += count
            continue
        found.all_runs.setdefault(run_id, {})[name] = count
        if name == table:  # the crawler reads its own tables to resume: they stay
            rows.setdefault(run_id, {})[table] = count
            ranges.setdefault(run_id, {})[table] = [low, high]
    for day, file_id, table, count in days:
        of_day, name = found.day_rows.setdefault(day, {}), names[file_id, table]
        of_day[name] = of_day.get(name, 0) + count
    told = process.ask("look", deep=True)
    found.noted = told["noted"]
    _measure(found, told)
    known = {run_id: (ended, last) for run_id, ended, last in ends}
    for run_id in found.all_runs:
        ended, last = known.get(run_id, (None, None))
        if ended is None:
            found.left.append(Left(run_id, "none of its rows has a usable time"))
        elif ended >= limit.timestamp():
            found.recent_runs += 1
        elif run_id not in rows:
            found.left.append(Left(run_id, "it is in the crawler's own tables alone, which stay"))
        elif found.all_runs[run_id].keys() - rows[run_id].keys():
            reason = "the crawler's own tables, which stay, tell of it too, and would say otherwise"
            found.left.append(Left(run_id, reason))
        else:
            size = found.bytes_of(rows[run_id])
            found.runs.append(PlannedRun(run_id, ended, last, rows[run_id], ranges[run_id], size))
    found.runs.sort(key=lambda run: (run.ended_at, run.run_id))
    _hold_back(found, told)
    return found


_ENDS: Final = (
    "select run_id, epoch(greatest(finished_at, last_event_at)), epoch(last_event_at) "
    "from lake.intermediate.int_runs"
)


_DAYS: Final = " union all ".join(
    [
        f"select occurred_at::date, file_id, '{table}', count(*) from lake.staging.stg_{table} "
        "where occurred_at is not null group by all"
        for table in TELEMETRY
        if table != "run_summary"
    ]
    + [
        "select occurred_at::date, file_id, table_name, count(*) "
        "from lake.staging.stg_uncounted_rows "
        "where occurred_at is not null and table_name <> 'run_summary' group by all"
    ]
)

_COUNTS: Final = " union all ".join(
    f"select run_id, file_id, '{table}', count(*), min(id), max(id), "
    r"coalesce(regexp_matches(run_id, '[^\s\v]'), false) "
    f"from lake.raw.{table} group by run_id, file_id"
    for table in TABLES
)


def _ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def _measure(found: FilePlan, told: dict[str, Any]) -> None:
    """Take over how SQLite says that bytes are spread; where it does not say, by rows."""
    found.bytes = told["page_bytes"] * told["pages"]
    found.free_bytes = told["page_bytes"] * told["free_pages"]
    if told["tables"] is not None:
        found.is_measured = True
        found.table_bytes = {name.lower(): size for name, size in told["tables"].items()}
    else:
        rows = sum(found.table_rows.values())
        used = found.bytes - found.free_bytes
        found.table_bytes = {
            table: round(used * count / rows) for table, count in found.table_rows.items() if rows
        }


def _hold_back(found: FilePlan, told: dict[str, Any]) -> None:
    """Leave the runs that cannot be taken out without changing what other rows mean."""
    going = []
    for run in found.runs:
        reasons = [told["refusal"], *told["held_tables"][:1], told["held"].get(run.run_id)]
        reason = next((reason for reason in reasons if reason), None)
        if reason is None:
            going.append(run)
        else:
            found.left.append(Left(run.run_id, reason))
    found.runs = going
