"""Checks of the times in a file: whether they can be, and whether runs begin and end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from exporter.examined import NEWEST_ROWS, Examined, Table, TooLong
from exporter.findings import Finding, duration, good, plural

#: Clocks of two machines differ by less, in seconds.
AHEAD_S: Final = 60.0
#: The loader rejects what is earlier (telemetry contract, section 1): 2000-01-01 in Unix seconds.
EARLIEST_S: Final = 946_684_800.0
#: Rows of several processes get their ids up to half a second late; this many seconds mean that a
#: clock was set back, or that rows waited for a locked file.
STEP_S: Final = 10.0
#: No crawler that is under way is silent for an hour, in seconds.
SILENT_S: Final = 3_600.0
_TIMED: Final = (
    "http_events",
    "rate_events",
    "breaker_transitions",
    "fallback_attempts",
    "downloads",
)
#: Names of runs that one line holds.
_NAMED: Final = 3

#: Unix seconds of a recorded time: a number (milliseconds above 1e11), a number as text, ISO text.
#: What it reads is what the models read (macros/unix_seconds.sql), of all years.
_SECONDS: Final = """(case
    when typeof({0}) in ('integer', 'real') then {0} * iif(abs({0}) > 1e11, 0.001, 1.0)
    when typeof({0}) <> 'text' then null
    when date(substr(trim({0}), 1, 10), '+0 days') = substr(trim({0}), 1, 10)
        then (julianday(case
            -- SQLite wants all of an offset that ISO-8601 may shorten
            when length(trim({0})) <= 10 then trim({0})
            when trim({0}) glob '*[+-][0-9][0-9]' then trim({0}) || ':00'
            when trim({0}) glob '*[+-][0-9][0-9][0-9][0-9]'
                then substr(trim({0}), 1, length(trim({0})) - 2) || ':' || substr(trim({0}), -2)
            else trim({0}) end) - 2440587.5) * 86400.0
    when {0} glob '*[0-9]*' and trim({0}) not glob '*[^0-9.eE+]*'
        then cast({0} as real) * iif(cast({0} as real) > 1e11, 0.001, 1.0)
end)"""


def seconds(column: str) -> str:
    """Return SQL for the Unix seconds of a column; NULL where it does not read as a time."""
    return _SECONDS.format(column)


def check_times(file: Examined) -> Iterator[Finding]:
    """Find times that are no times, that are yet to come, or from before the year 2000."""
    told = []
    is_good = True
    for name, table in _timed(file):
        rows, unread, texts, ahead, early, latest, earliest = _times(file, table)
        if not rows:
            continue
        seen = file.looked_at(table)
        told.append(f"{name} {seen}{f' ({texts:,} of them text)' if texts else ''}")
        where = f"of {seen} in {name}"
        if ahead or (latest or 0) > time.time() + AHEAD_S:
            is_good = False
            yield Finding(
                "times",
                "bad",
                f"{ahead:,} {where} lie in the future, the latest at {moment(latest)}: such a run "
                "stays the latest",
                "set the crawler's clock (timedatectl: NTP active), and correct or delete the rows",
            )
        if early:
            is_good = False
            yield Finding(
                "times",
                "bad",
                f"{early:,} {where} lie before 2000, the earliest at {moment(earliest)}: they are "
                "rejected",
                "set the crawler's clock before it starts; record Unix seconds",
            )
        if unread:
            is_good = False
            yield Finding(
                "times",
                "bad",
                f"{unread:,} {where} have no time that can be read: they are rejected",
                "record Unix seconds, or ISO-8601 text in UTC; these rows stay lost",
            )
    if is_good:
        listed = "; ".join(told) or "no rows"
        yield good("times", f"all between 2000 and now: {listed}")


def _times(file: Examined, table: Table) -> tuple[Any, ...]:
    at = table.time or "null"
    # the time of a download is optional
    missing = "at is not null and " if table.name.lower() == "downloads" else ""
    rows = file.scope(table, f"{at} as at, {seconds(at)} as s")
    return file.ask(
        f"select count(*), count(iif({missing}s is null, 1, null)), "
        "count(iif(typeof(at) = 'text', 1, null)), count(iif(s > ?, 1, null)), "
        f"count(iif(s < ?, 1, null)), max(s), min(s) from {rows}",
        [time.time() + AHEAD_S, EARLIEST_S],
    )[0]


def check_order(file: Examined) -> Iterator[Finding]:
    """Find clocks that went back: rows of a run whose times fall while their ids rise."""
    told = []
    is_good = True
    for name, table in _timed(file):
        if table.rowid is None or "run_id" not in table.columns or name == "downloads":
            continue
        rows = file.scope(
            table, f"{table.column('run_id')} as run, {seconds(str(table.time))} as s"
        )
        back, most, at = file.ask(
            "select count(*), max(gap), position from (select position, lag(s) over "
            f"(partition by run order by position) - s as gap from {rows}) where gap > ?",
            [STEP_S],
        )[0]
        seen = file.looked_at(table)
        told.append(f"{name} {seen}")
        if back:
            is_good = False
            yield Finding(
                "order",
                "warning",
                f"{name}: time goes back {plural(back, 'time')} within a run in {seen}, by up to "
                f"{duration(most)} (id {at})",
                "let NTP slew the clock instead of setting it; or rows waited for a locked file: "
                "see recorder_status.first_error",
            )
    if is_good:
        listed = "; ".join(told) or "no rows with an order"
        yield good("order", f"no step back of over {STEP_S:g} s: {listed}")


def check_runs(file: Examined) -> Iterator[Finding]:
    """Find runs that end before they start, and runs that stopped without an end."""
    summary = file.real("run_summary")
    ended: dict[Any, Any] = {}
    backwards = []
    if summary and "run_id" in summary.columns:
        columns = [summary.column(name) for name in ("started_at", "finished_at")]
        for run, start, end in file.ask(
            f"select {summary.column('run_id')}, {', '.join(map(seconds, columns))} "
            f"from {summary.quoted}"
        ):
            ended[run] = end if end is not None else ended.get(run)
            if start is not None and end is not None and end < start:
                backwards.append((run, start - end))
    if backwards:
        run, by = max(backwards, key=lambda pair: pair[1])
        yield Finding(
            "runs",
            "bad",
            f"{plural(len(backwards), 'run')} "
            f"{'ends before it starts' if len(backwards) == 1 else 'end before they start'}, "
            f"{named(run)} by {duration(by)}",
            "set the crawler's clock (timedatectl: NTP active), and correct run_summary",
        )
    try:
        last, partly = _last_events(file)
    except TooLong:
        yield Finding(
            "runs",
            "unknown",
            f"finding each run's last event takes longer than {file.budget_s:g} s",
            "add the missing indexes, or doctor --deep",
        )
        return
    now = time.time()
    stopped = sorted(
        (at, str(run)) for run, at in last.items() if ended.get(run) is None and at < now - SILENT_S
    )
    if stopped:
        names = ", ".join(named(run) for _, run in stopped[-_NAMED:])
        yield Finding(
            "runs",
            "warning",
            f"{len(stopped):,} of {plural(len(last), 'run')} "
            f"{'has' if len(stopped) == 1 else 'have'} no end, and no event for over "
            f"{duration(SILENT_S)}: {names}, last event "
            f"{duration(now - stopped[-1][0])} ago",
            "the crawler was killed, or lost the file; a run ends when its open_run() block does",
        )
    if not backwards and not stopped:
        going = sum(ended.get(run) is None for run in last)
        more = f", {going:,} under way" if going else ""
        yield good("runs", f"{plural(len({*last, *ended}), 'run')}{more}{partly}")


def _last_events(file: Examined) -> tuple[dict[Any, float], str]:
    """Return each run's last time over all tables, and a note where only some rows were read."""
    last: dict[Any, float] = {}
    notes = []
    for name, table in _timed(file):
        if "run_id" not in table.columns or table.time is None:
            continue
        run, at = table.column("run_id"), table.time
        # the maximum as recorded, so that an index answers; text sorts after all numbers
        sql = "select run, {0} from (select run, max(at) as latest from {1} group by run)"
        rows = f"(select {run} as run, {at} as at from {table.quoted})"
        if file.limit(table) is not None and not _has_index(file, table):
            rows = file.scope(table, f"{run} as run, {at} as at")
            notes.append(f"; {name}: runs of the newest {NEWEST_ROWS:,} rows only")
        for one, moment_s in file.ask(sql.format(seconds("latest"), rows)):
            if one is not None and moment_s is not None:
                last[one] = max(moment_s, last.get(one, moment_s))
    return last, "".join(notes)


def _has_index(file: Examined, table: Table) -> bool:
    plan = file.ask(
        f"explain query plan select {table.column('run_id')}, max({table.time}) "
        f"from {table.quoted} group by 1"
    )
    return any("COVERING INDEX" in str(row[-1]) for row in plan)


def _timed(file: Examined) -> Iterator[tuple[str, Table]]:
    for name in _TIMED:
        table = file.real(name)
        if table is not None and table.time is not None:
            yield name, table


def named(run: object) -> str:
    """Return a run's id, short enough for a line."""
    text = str(run)
    return text if len(text) <= 60 else f"{text[:59]}…"


def moment(at: float | None) -> str:
    """Return Unix seconds as a date; the number itself beyond the years that have one."""
    try:
        return datetime.fromtimestamp(at or 0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at:g} s"
