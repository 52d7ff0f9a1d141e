"""Looks at telemetry files, the crawler's log, and the runs that should have telemetry."""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from exporter.doctor import Examiner
from exporter.errors import TelemetryError, UsageError
from exporter.findings import STATUSES, Finding, Report, plural
from exporter.gate_seen import Context
from exporter.raw_schema import TELEMETRY
from exporter.sources import expand, openable
from exporter.sqlite_reason import refusal
from recorder.privacy import Privacy

#: Most findings and names that evidence repeats.
_SHOWN: Final = 3
_LINE_LENGTH: Final = 120
#: What the recorder says when it is in trouble, and others of it: the guide greps for telemetry,
#: and watches for locked files.
_TROUBLE: Final = re.compile(
    r"telemetry (is being dropped|lost \d|value cannot be stored|file was removed)"
    r"|database is locked"
    r"|\b(warning|error|critical|exception)\b.*\b(telemetry|recorder)\b"
    r"|\b(telemetry|recorder)\b.*\b(warning|error|critical|exception|failed)\b",
    re.IGNORECASE,
)


def examine(context: Context) -> list[Report]:
    """Return what the doctor finds about each file; the first finding says whether it opened."""
    paths, missing = expand(context.names)
    reports = [Report(skip.path, [_closed(skip.reason)]) for skip in missing]
    with tempfile.TemporaryDirectory(prefix="docstokg-") as aside, Examiner() as examiner:
        for number, (path, _) in enumerate(paths):
            try:
                if reason := refusal(path):
                    findings = [_closed(reason.what)]
                else:
                    opened = openable(path, Path(aside) / str(number))
                    findings = examiner.examine(path, opened, context.deep)
            except OSError as error:
                findings = [_closed(error.strerror or str(error))]
            reports.append(Report(path, findings))
    return reports


def _closed(reason: str) -> Finding:
    return Finding("file", "bad", reason, "see docstokg-telemetry doctor")


def _found(context: Context, check: str) -> Iterator[tuple[str, Finding]]:
    """Return each file's findings of one check, worst first.

    Of a file that did not open there is that; of a check that was not made, that it is unknown.
    """
    found = []
    for report in context.examined:
        about = [finding for finding in report.findings if finding.check == check]
        unopened = [f for f in report.findings if f.check == "file" and f.status != "good"]
        for finding in about or unopened or [Finding(check, "unknown", "not examined", "-")]:
            found.append((Path(str(report.file)).name, finding))
    return iter(sorted(found, key=lambda pair: STATUSES.index(pair[1].status)))


def tables(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count the telemetry tables that files lack; of a file that cannot be read, all."""
    lacking = 0
    is_complete = True
    told = []
    for name, finding in _found(context, "tables"):
        is_complete &= finding.status != "unknown"
        if finding.status in ("bad", "warning"):
            # one finding for each that is missing, or one for all of them
            lacking += 1 if finding.status == "warning" else len(TELEMETRY)
        told.append(f"{name}: {finding.found}")
    return lacking, is_complete and bool(told), _some(told, "files")


def privacy(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count columns of telemetry that hold a URL or credential; other tables are only named."""
    bad, told = 0, []
    is_complete = True
    for name, finding in _found(context, "privacy"):
        if finding.check == "privacy" and finding.status == "bad":
            bad += 1
        is_complete &= finding.check == "privacy" and finding.status != "unknown"
        told.append(f"{name}: {finding.found}")
    return bad, is_complete and bool(told), _some(told, "findings")


def log_errors(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count the lines of the crawler's log that tell of trouble with telemetry."""
    if not context.logs:
        return None, False, "no log was named"
    lines, trouble, told = 0, 0, []
    is_complete = True
    for path in context.logs:
        before = lines
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                for number, line in enumerate(file, 1):
                    lines += 1
                    if _TROUBLE.search(line):
                        trouble += 1
                        shown = Privacy().text(line.strip()[:_LINE_LENGTH])
                        told.append(f"{path.name} line {number:,}: {shown}")
        except OSError as error:
            raise TelemetryError(f"cannot read the log {path}: {error.strerror}") from error
        is_complete &= lines > before
    empty = "" if is_complete else "; a log that is empty says nothing"
    found = f"{trouble:,} of {plural(lines, 'line')}{empty}"
    return trouble, is_complete, f"{found}: {_some(told, 'lines')}" if told else found


def capture(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count runs that were started and have no telemetry.

    Raises:
        TelemetryError: the list of runs cannot be read, or there is no run folder of that name.
    """
    if context.expected is None and context.run_folders is None:
        return None, False, "no list of runs and no run folder was named"
    with_events = _with_events(connection)
    ids = [] if context.expected is None else _expected(context.expected)
    named = [] if context.run_folders is None else folders(context.run_folders)
    lacking = [run for run in ids if run not in with_events]
    lacking += [folder for folder in named if not _has_telemetry(folder, context, with_events)]
    known = len(ids) + len(named)
    verb = "has" if known == 1 else "have"
    told = [f"{known - len(lacking):,} of {plural(known, 'run')} {verb} telemetry"]
    if lacking:
        told.append(f"without: {_some(lacking, 'runs')}")
    if context.expected is not None and not ids:
        told.append("the list of runs is empty")
    elif unlisted := [run for run in context.runs if ids and run not in ids]:
        told.append(
            f"not in the list: {len(unlisted):,} of {plural(len(context.runs), 'run')} judged "
            f"({_some(unlisted, 'runs')})"
        )
    is_complete = context.expected is None or bool(ids)
    return len(lacking) if known else None, is_complete, "; ".join(told)


def folders(pattern: str) -> list[str]:
    """Return the run folders that a glob names.

    Raises:
        UsageError: there is none.
    """
    found = [f for f in sorted(glob.glob(os.path.expanduser(pattern))) if Path(f).is_dir()]
    if not found:
        raise UsageError(f"--run-folders {pattern!r} matches no folder: mend the glob")
    return found


def _with_events(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the runs that more is known of than that they began."""
    rows = connection.execute(
        "select run_id from lake.marts.run_inventory where http_events + rate_events + "
        "breaker_transitions + fallback_attempts + downloads > 0"
    ).fetchall()
    return {str(run) for (run,) in rows}


def _expected(path: Path) -> list[str]:
    """Return the run ids of a file, each once."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise TelemetryError(f"cannot read the list of runs {path}: {reason}") from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _has_telemetry(folder: str, context: Context, with_events: set[str]) -> bool:
    """Tell whether a folder holds a named file with a run that has events."""
    return any(
        not with_events.isdisjoint(context.runs_of.get(path, ())) for path, _ in expand([folder])[0]
    )


def _some(told: list[str], what: str) -> str:
    """Return the first of several facts, and how many more there are."""
    text = "; ".join(told[:_SHOWN])
    return text if len(told) <= _SHOWN else f"{text}; and {len(told) - _SHOWN:,} more {what}"
