"""The command that moves old runs out of telemetry files into Parquet."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from exporter import output
from exporter.errors import UsageError
from exporter.options import Format, OutputFormat, Project, named

EXAMPLE: Final = (
    "Example: docstokg-telemetry archive --db manifest.sqlite3 --out /archive/telemetry "
    "--older-than 14d --dry-run"
)


def archive(
    db: Annotated[
        list[str] | None,
        typer.Option("--db", metavar="FILE|DIR|GLOB", help="SQLite files to take old runs out of."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The archive's folder.")
    ] = None,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="AGE|DATE", help="Runs that ended before: 14d, 36h, 2026-01-31."
        ),
    ] = "14d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go and what would stay, and why.")
    ] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Then make the file smaller; writers wait for it.")
    ] = False,
    incremental_vacuum: Annotated[
        bool,
        typer.Option("--incremental-vacuum", help="The same in steps, where the file allows it."),
    ] = False,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
) -> None:
    """Move runs that ended long ago from telemetry files to Parquet, checked before they go."""
    from exporter.archive_move import Wishes, move
    from exporter.archive_plan import limit_of
    from exporter.archive_report import print_result

    if vacuum and incremental_vacuum:
        raise UsageError("--vacuum and --incremental-vacuum are two ways to the same: choose one")
    if out is None or not str(out):
        raise UsageError("name the archive's folder with --out DIR")
    names = named(db, required=True)
    limit = limit_of(older_than, datetime.now(UTC))
    way = "whole" if vacuum else "steps" if incremental_vacuum else ""
    wishes = Wishes(Path(os.path.realpath(out)), limit, dry_run, way)
    results, failed = move(names, wishes, project_dir)
    for failure in failed:
        output.complain(f"skipped {failure}")
    print_result(results, wishes, output_format)
    unfinished = failed or any(result.left or result.problem for result in results)
    raise typer.Exit(1 if unfinished else 0)
