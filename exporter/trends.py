"""The command that shows how SLIs went, run by run, day by day or week by week."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from exporter import output
from exporter.errors import UsageError
from exporter.options import DbElseWarehouse, Format, OutputFormat, Project, Verbose, named


class By(StrEnum):
    """What one point of a trend is measured over."""

    run = "run"
    day = "day"
    week = "week"


EXAMPLE: Final = (
    "Example: docstokg-telemetry trends --by week --sli yield_pct --sli http_429_pct --last 8"
)


def trends(
    db: DbElseWarehouse = None,
    by: Annotated[
        By, typer.Option("--by", help="What a point is measured over; weeks are of ISO 8601, UTC.")
    ] = By.run,
    sli: Annotated[
        list[str] | None,
        typer.Option(
            "--sli",
            metavar="NAME",
            help="An SLI, such as yield_pct; may be repeated; those with a target by default. One "
            "alone is shown with all its values.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Of one host.")] = None,
    resolver: Annotated[str | None, typer.Option("--resolver", help="Of one resolver.")] = None,
    last: Annotated[
        int, typer.Option("--last", min=1, max=1000, help="How many runs, days or weeks.")
    ] = 30,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Show each SLI by run, day or week, with its target and whether it was met."""
    if host is not None and resolver is not None:
        raise UsageError("give --host or --resolver, not both")
    from exporter import trend_points as reading

    names = named(db)
    wanted = reading.Wanted(by.value, last, tuple(sli or ()), host, resolver)
    if names:
        from exporter.compiled import compiled_for

        compiled = compiled_for(project_dir, verbose, names)
        found = reading.from_files(names, wanted, compiled)
    else:
        found = reading.from_warehouse(wanted)
    for skip in found.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(found.as_json())
    else:
        from exporter.render_trends import print_trends

        print_trends(found)
    raise typer.Exit(1 if found.skipped else 0)
