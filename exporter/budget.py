"""The command that says how much error budget is left, how fast it burns, and when it ran out."""

from __future__ import annotations

import math
from datetime import datetime
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import UsageError
from exporter.options import (
    DbElseWarehouse,
    Format,
    OutputFormat,
    Project,
    Verbose,
    moment_of,
    named,
)

if TYPE_CHECKING:
    from exporter.budgets import Budgets

EXAMPLE: Final = (
    "Example: docstokg-telemetry budget --db 'runs/*/manifest.sqlite3' "
    "--as-of 2025-11-01 --target yield_pct=90"
)


def budget(
    db: DbElseWarehouse = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="MOMENT",
            help="The end of the window: 2025-11-01 or 2025-11-01T12:00+02:00, UTC where it has "
            "no offset; now by default.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="SLO=NUMBER",
            help="What if the target were another one, for all that the SLO judges; may be "
            "repeated; nothing is changed.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Let single hosts, and missing data, count as well.")
    ] = False,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Show the error budget of each SLO: what is left, how fast it burns, when it ran out.

    Exit code 0: no budget of runs or roles is overspent; 1: one is.
    """
    moment = None if as_of is None else moment_of(as_of)
    asked = list(map(_target, target or []))
    targets = dict(asked)
    if len(targets) < len(asked):
        raise UsageError("--target: an SLO has two targets: give it once")
    found = _read(named(db), moment, targets, project_dir, verbose)
    for skip in found.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(found.as_json())
    else:
        from exporter.render_budget import print_budgets

        print_budgets(found)
    raise typer.Exit(0 if found.is_good(strict) else 1)


def _read(
    names: list[str],
    as_of: datetime | None,
    targets: dict[str, float],
    project_dir: Path | None,
    verbose: bool,
) -> Budgets:
    """Read the budgets from the named files; from the warehouse if none is named."""
    from exporter import budgets

    # what prints takes 0.05 s to load: that passes while DuckDB works
    Thread(target=import_module, args=("exporter.render_budget",), daemon=True).start()
    if not names:
        return budgets.from_warehouse(as_of, targets)
    from exporter.compiled import compiled_for

    compiled = compiled_for(project_dir, verbose, names)
    return budgets.from_files(names, as_of, targets, compiled)


def _target(text: str) -> tuple[str, float]:
    """Return the SLO and the number of ``yield_pct=90``."""
    slo, _, number = text.partition("=")
    try:
        value = float(number) if "_" not in number else math.nan  # 1_0 is a slip, not 10
    except ValueError:
        value = math.nan
    if not slo.strip() or not math.isfinite(value):
        raise UsageError(f"--target {text!r} is no target: write SLO=NUMBER, such as yield_pct=90")
    return slo.strip(), value
