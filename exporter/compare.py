"""The command that says what changed between two runs, by how much, and who explains it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import TelemetryError
from exporter.options import DbElseWarehouse, Format, OutputFormat, Project, Verbose, named
from exporter.raw_schema import as_key

if TYPE_CHECKING:
    from exporter.comparison import Comparison

EXAMPLE: Final = (
    "Example: docstokg-telemetry compare baseline latest --db 'runs/*/manifest.sqlite3'"
)


class FailOn(StrEnum):
    """What makes the exit code 1."""

    worse = "worse"


def compare(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD",
            help="The run to compare with: a run id, latest, or baseline for the runs that had "
            "ended before NEW.",
            callback=as_key,
        ),
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A run id, or latest.", callback=as_key)
    ],
    db: DbElseWarehouse = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            "--fail-on", help="Exit code 1 if an SLI of the run, or of one of its roles, is worse."
        ),
    ] = None,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Say which SLIs of a run are worse or better than in another, beyond chance, and why."""
    found = _compare(named(db), old, new, project_dir, verbose)
    for skip in found.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(found.as_json())
    else:
        from exporter.render_comparison import print_comparison

        print_comparison(found)
    raise typer.Exit(1 if fail_on is FailOn.worse and found.is_worse else 0)


def _compare(
    names: list[str], old: str, new: str, project_dir: Path | None, verbose: bool
) -> Comparison:
    """Compare runs from their files; from the warehouse if no file is named or has them."""
    from exporter import comparison
    from exporter.compiled import compiled_for
    from exporter.direct_find import NoSuchRun

    if not names:
        return comparison.from_warehouse(old, new, project_dir)
    compiled = compiled_for(project_dir, verbose, names)
    try:
        return comparison.from_files(names, old, new, compiled)
    except NoSuchRun as missing:
        try:
            return comparison.from_warehouse(old, new, project_dir)
        except TelemetryError:
            raise missing from None
