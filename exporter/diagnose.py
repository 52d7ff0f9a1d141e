"""The command that says why a run misses its SLOs, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import TelemetryError, UsageError
from exporter.options import DbElseWarehouse, Format, OutputFormat, Project, Run, Verbose, named
from exporter.raw_schema import as_key

if TYPE_CHECKING:
    from exporter.diagnosis import Diagnosis
    from exporter.sources import Skipped

EXAMPLE: Final = (
    "Example: docstokg-telemetry diagnose yield --db manifest.sqlite3 --run latest "
    "--against last-week"
)


class Topic(StrEnum):
    """What may be wrong; each has a runbook of its name."""

    yield_ = "yield"
    ttfp = "ttfp"
    breaker = "breaker"
    rate_limit = "rate-limit"
    cache = "cache"
    corruption = "corruption"
    slo = "slo"
    storage = "storage"


def diagnose(
    topic: Annotated[
        Topic | None,
        typer.Argument(help="What to look at; without it, every SLO that the run misses."),
    ] = None,
    db: DbElseWarehouse = None,
    run: Run = "latest",
    against: Annotated[
        str,
        typer.Option(
            "--against",
            metavar="RUN|last-week",
            help="What to compare with: a run, or the runs that ended in the week before it; "
            "by default the run before it.",
            callback=as_key,
        ),
    ] = "previous",
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Say what is wrong with a run, which resolver, host or breaker explains it, and the remedy.

    Exit code 0: no SLO that was looked at is missed; 1: one is.
    """
    if not against:
        raise UsageError("--against is empty: name a run, or last-week")
    names = named(db)
    if topic is Topic.storage:
        raise typer.Exit(_storage(names, output_format, project_dir))
    found = _diagnose(names, run, against, topic and topic.value, project_dir, verbose)
    _complain(found.skipped)
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(found.as_json())
    else:
        from exporter.render_diagnosis import print_diagnosis

        print_diagnosis(found)
    raise typer.Exit(0 if found.is_good else 1)


def _diagnose(
    names: list[str],
    run: str,
    against: str,
    topic: str | None,
    project_dir: Path | None,
    verbose: bool,
) -> Diagnosis:
    """Diagnose a run from its file; from the warehouse if no file is named or has it."""
    from exporter import diagnosis
    from exporter.direct_find import NoSuchRun

    if not names:
        return diagnosis.from_warehouse(run, against, topic)
    from exporter.compiled import compiled_for

    compiled = compiled_for(project_dir, verbose, names)
    try:
        return diagnosis.from_files(names, run, against, topic, compiled)
    except NoSuchRun as missing:
        try:  # what the file calls its latest run need not be the warehouse's
            return diagnosis.from_warehouse(missing.beside or run, against, topic)
        except TelemetryError:
            raise missing from None


def _storage(names: list[str], output_format: OutputFormat, project_dir: Path | None) -> int:
    """Say how large the files are and what grows in them; return the exit code."""
    from exporter import diagnose_storage

    found = diagnose_storage.measure(names, project_dir)
    for skipped in found.skipped:
        output.complain(f"skipped {skipped}")
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(found.as_json())
    else:
        from exporter.render_diagnosis import print_storage

        print_storage(found)
    return 0 if found.is_good else 1


def _complain(skipped: Sequence[Skipped]) -> None:
    for skip in skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
