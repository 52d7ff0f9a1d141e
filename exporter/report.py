"""The command that tells a run's story in one file: HTML for colleagues, Markdown for CI."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import UsageError
from exporter.options import DbElseWarehouse, Project, Run, Verbose, moment_of, named
from exporter.trends import By

if TYPE_CHECKING:
    from exporter.report_data import Asked, Report

EXAMPLE: Final = "Example: docstokg-telemetry report --out report.html --last 14"


class ReportFormat(StrEnum):
    """How a report is written."""

    html = "html"
    md = "md"


def report(
    db: DbElseWarehouse = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write, replaced where it is there; - for standard output, which is "
            "where Markdown goes by default.",
        ),
    ] = None,
    run: Run = "latest",
    last: Annotated[
        int,
        typer.Option("--last", min=1, max=200, help="How many runs (or days, weeks) to look back."),
    ] = 30,
    by: Annotated[By, typer.Option("--by", help="What a point of a trend is measured over.")] = (
        By.run
    ),
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="MOMENT",
            help="Tell it as it was at 2025-11-01 or 2025-11-01T12:00+02:00 (UTC where it has no "
            "offset); at the end of the run by default.",
        ),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="One HTML file, or Markdown for CI.")
    ] = ReportFormat.html,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Write a report: verdict, error budget, trends, what changed, and who explains it.

    Exit code 0: written, whatever it says; 1: written, and a file was skipped.
    """
    if out == "" or (out is None and report_format is ReportFormat.html):
        raise UsageError("name the file with --out report.html, or --out - for standard output")
    from exporter.report_data import Asked

    moment = None if as_of is None else moment_of(as_of)
    asked = Asked(run, last, by.value, moment)
    sources = named(db)
    if report_format is ReportFormat.md:
        from exporter.report_markdown import markdown

        found = _read(sources, asked, project_dir, verbose)
        text = markdown(found)
    else:
        from exporter.report_drawing import Drawing

        with Drawing() as drawing:
            found = _read(sources, asked, project_dir, verbose)
            from exporter.report_page import page

            text = page(found, drawing.draw)
    _write(text, out)
    # what the warehouse once skipped is told in the report; here only what this command was to read
    skipped = found.skipped if sources else []
    for skip in skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    raise typer.Exit(1 if skipped else 0)


def _read(names: list[str], asked: Asked, project_dir: Path | None, verbose: bool) -> Report:
    """Read the report from its files; from the warehouse where none is named."""
    from exporter import report_data
    from exporter.paths import project_dir as find_project

    project = find_project(project_dir)
    if not names:
        return report_data.from_warehouse(asked, project)
    from exporter.compiled import compiled_for

    compiled = compiled_for(project, verbose, names)
    return report_data.from_files(names, asked, compiled, project)


def _write(text: str, out: str | None) -> None:
    """Write the report in one step: who reads the old one meanwhile has all of it.

    Raises:
        UsageError: the file cannot be written; the old one is as it was.
    """
    if out is None or out == "-":
        sys.stdout.write(text)
        return
    part: Path | None = None
    try:
        target = Path(out).resolve()
        if target.exists() and not target.is_file():  # a pipe or a device: nothing to put in place
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{target.name[:100]}.", delete=False, encoding="utf-8"
        ) as file:
            part = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        part.replace(target)
    except OSError as error:
        if part is not None:
            with suppress(OSError):
                part.unlink()
        raise UsageError(
            f"cannot write {out}: {error.strerror}: name another file with --out"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
