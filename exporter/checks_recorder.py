"""Checks of what the recorders of a file say about themselves, as the models judge it.

DuckDB reads the file here: see `exporter.examine` for why nothing else may in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from exporter.checks_time import named
from exporter.errors import TelemetryError, one_line
from exporter.findings import STATUSES, Finding, are, good, plural
from exporter.raw_sql import ENGINE_ERRORS
from exporter.rejections import over_file
from exporter.results import Row, rows
from recorder.privacy import Privacy

_MODEL: Final = "recorder_verdicts"
_ERROR_LENGTH: Final = 120
_NO_RECORDER: Final = "no recorder_status: the file was not written by our recorder"


def check_recorders(path: str, project: Path | None) -> Iterator[Finding]:
    """Judge what recording cost and lost, run by run, by the models over the file."""
    try:
        runs = over_file(path, project, [_MODEL], _ask)
    except (TelemetryError, *ENGINE_ERRORS) as error:
        for check in ("recorder", "overhead"):
            yield Finding(check, "unknown", one_line(error), "see what summary --db FILE says")
        return
    yield from _losses(runs)
    yield _overhead(runs)


def _ask(connection: duckdb.DuckDBPyConnection, _sources: object) -> list[Row]:
    return rows(connection, f"select * from lake.marts.{_MODEL} order by run_id")


def _losses(runs: list[Row]) -> Iterator[Finding]:
    """Tell events that recorders dropped, and values that they could not store."""
    if not runs:
        why = f"{_NO_RECORDER}, so nothing says whether events were lost"
        remedy = "compare the crawler's own log with the number of rows, or use the recorder"
        yield Finding("recorder", "unknown", why, remedy)
        return
    writers, events, dropped, damaged = (
        sum(run[name] or 0 for run in runs)
        for name in ("writers", "events", "events_dropped", "values_damaged")
    )
    status = min((run["loss_status"] for run in runs), key=STATUSES.index)
    error = next((run["first_error"] for run in runs if run["first_error"]), None)
    error = error and Privacy().text(str(error)[:_ERROR_LENGTH])
    said = f"; first error: {error}" if error else ""
    if dropped:
        yield Finding(
            "recorder",
            status,
            f"{dropped:,} of {plural(events, 'event')} dropped by "
            f"{plural(writers, 'writer')}{said}",
            "make room, end what locks the file, and give the crawler's user the right to write; "
            "figures of those runs lack the dropped events",
        )
    if damaged:
        yield Finding(
            "recorder",
            "warning",
            f"{plural(damaged, 'value')} that fitted no column {are(damaged)} NULL{said}",
            "the crawler's log names each column once: 'telemetry value cannot be stored'",
        )
    if error and not dropped and not damaged:
        yield Finding(
            "recorder",
            status,
            f"nothing was lost, but a writer met an error: {error}",
            "look for its cause before events are lost",
        )
    if status == "good":
        yield good(
            "recorder", f"{plural(events, 'event')} of {plural(writers, 'writer')}, none dropped"
        )
    elif status == "unknown" and not (dropped or damaged or error):
        mute = [run["run_id"] for run in runs if run["loss_status"] == status]
        why = (
            f"what was lost of {plural(len(mute), 'run')} is not recorded, such as {named(mute[0])}"
        )
        yield Finding("recorder", "unknown", why, "record with this version of the recorder")


def _overhead(runs: list[Row]) -> Finding:
    """Tell the run of which recording took the largest share."""
    measured = [run for run in runs if run["overhead_pct"] is not None]
    if not measured:
        lengths = [run["recorded_s"] for run in runs if run["recorded_s"] is not None]
        why = (
            f"{_NO_RECORDER}, which measures itself"
            if not runs
            else f"no run recorded for long enough (the longest: {max(lengths, default=0):.1f} s)"
        )
        return Finding("overhead", "unknown", why, "record a crawl of some minutes, and ask again")
    worst = max(measured, key=lambda run: (run["overhead_pct"], run["run_id"]))
    found = (
        f"recording takes {worst['overhead_pct']:.2f} % of run {named(worst['run_id'])}, the most "
        f"of all runs: {worst['call_pct']:.2f} % in calls, {worst['writer_pct']:.2f} % of "
        f"processor time in the writer; the limit is {worst['overhead_limit_pct']:g} %"
    )
    if worst["overhead_status"] == "good":
        return good("overhead", found)
    return Finding(
        "overhead",
        worst["overhead_status"],
        found,
        "sample cache hits (DOCSTOKG_TELEMETRY_SAMPLE_CACHE_HITS=0.1), and leave JSONL and CSV out",
    )
