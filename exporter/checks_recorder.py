"""Checks of what the recorders of a file say about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exporter.checks_time import named
from exporter.examined import Examined, Table
from exporter.findings import Finding, good, plural
from recorder.privacy import Privacy
from recorder.schema import STATUS_TABLE

#: Share of a run's time that its own threads spend in recorder calls: the guide's criterion for
#: the pilot, and what a healthy recorder stays below.
OVERHEAD_BAD: Final = 0.05
OVERHEAD_GOOD: Final = 0.01
#: Shorter runs are mostly the opening of the file, in seconds.
SHORTEST_S: Final = 10.0
#: Share of events whose loss falsifies figures.
DROPPED_BAD: Final = 0.01
_ERROR_LENGTH: Final = 120
_NO_RECORDER: Final = "no recorder_status: the file was not written by our recorder"


def check_recorder(file: Examined) -> Iterator[Finding]:
    """Find events that recorders dropped, and values that they could not store."""
    table = file.real(STATUS_TABLE)
    if table is None:
        yield Finding(
            "recorder",
            "unknown",
            f"{_NO_RECORDER}, so nothing says whether events were lost",
            "compare the crawler's own log with the number of rows, or use the recorder",
        )
        return
    sums = (f"total({_number(table, name)})" for name in ("events", "dropped", "damaged_values"))
    writers, events, dropped, damaged = file.ask(
        f"select count(*), {', '.join(sums)} from {table.quoted}"
    )[0]
    error = _first_error(file, table)
    said = f"; first error: {error}" if error else ""
    if dropped:
        yield Finding(
            "recorder",
            "bad" if dropped > DROPPED_BAD * max(events, 1) else "warning",
            f"{dropped:,.0f} of {events:,.0f} events were dropped by {plural(writers, 'writer')}"
            f"{said}",
            "make room, end what locks the file, and give the crawler's user the right to write; "
            "figures of those runs lack the dropped events",
        )
    if damaged:
        yield Finding(
            "recorder",
            "warning",
            f"{damaged:,.0f} values fitted no column and are NULL{said}",
            "the crawler's log names each column once: 'telemetry value cannot be stored'",
        )
    if error and not dropped and not damaged:
        yield Finding(
            "recorder",
            "warning",
            f"nothing was lost, but a writer met an error: {error}",
            "look for its cause before events are lost",
        )
    if not (dropped or damaged or error):
        yield good("recorder", f"{events:,.0f} events of {plural(writers, 'writer')}, none dropped")


def _first_error(file: Examined, table: Table) -> str:
    column = table.column("first_error")
    found = file.ask(f"select {column} from {table.quoted} where {column} <> '' limit 1")
    return Privacy().text(str(found[0][0])[:_ERROR_LENGTH]) if found else ""


def check_overhead(file: Examined) -> Iterator[Finding]:
    """Compare the time that calls of the recorder took with how long its runs were."""
    table = file.real(STATUS_TABLE)
    rows = []
    if table is not None:
        start, end, call = (_number(table, name) for name in ("started_at", "updated_at", "call_s"))
        rows = file.ask(
            f"select {table.column('run_id')} as run, total({call}), total({end} - {start}) "
            f"from {table.quoted} where {call} is not null and {end} > {start} group by 1"
        )
    longest = max((length for _, _, length in rows), default=0.0)
    if longest < SHORTEST_S:
        why = (
            f"{_NO_RECORDER}, which measures itself"
            if table is None
            else f"no run recorded for {SHORTEST_S:g} s or more (the longest: {longest:.1f} s)"
        )
        yield Finding("overhead", "unknown", why, "record a crawl of some minutes, and ask again")
        return
    share, run = max(
        (call / length, str(run)) for run, call, length in rows if length >= SHORTEST_S
    )
    found = (
        f"recorder calls take {share:.2%} of run {named(run)}, the most of all runs; the guide "
        f"wants under {OVERHEAD_BAD:.0%}"
    )
    if share < OVERHEAD_GOOD:
        yield good("overhead", found)
    else:
        yield Finding(
            "overhead",
            "bad" if share >= OVERHEAD_BAD else "warning",
            found,
            "sample cache hits (DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS=0.1), and leave JSONL and "
            "CSV out",
        )


def _number(table: Table, name: str) -> str:
    """Return a column where it holds a number; NULL where it does not, or is missing."""
    column = table.column(name)
    return f"iif(typeof({column}) in ('integer', 'real'), {column}, null)"
