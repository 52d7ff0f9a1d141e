"""Options that commands share, and what they stand for."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exporter.errors import UsageError
from exporter.raw_schema import as_key


class OutputFormat(StrEnum):
    """How an answer is written."""

    text = "text"
    json = "json"


Db = Annotated[
    list[str] | None,
    typer.Option(
        "--db",
        metavar="FILE|DIR|GLOB",
        help="Telemetry of the crawler; may be repeated; quote a glob. "
        "run, summary, metrics and serve take DOCSTOKG_TELEMETRY_DB_PATH when it is not given.",
    ),
]
DbElseWarehouse = Annotated[
    list[str] | None,
    typer.Option(
        "--db",
        metavar="FILE|DIR|GLOB",
        help="Telemetry of the crawler; may be repeated; quote a glob; without it, "
        "DOCSTOKG_TELEMETRY_DB_PATH, else the warehouse.",
    ),
]
Run = Annotated[str, typer.Option("--run", help="A run id, or latest.", callback=as_key)]
Project = Annotated[
    Path | None,
    typer.Option("--project-dir", help="Your own copy of the dbt project, to change models in."),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what dbt and DuckDB say, on stderr.")
]
Format = Annotated[OutputFormat, typer.Option("--output-format", help="text or json.")]


def named(db: list[str] | None, required: bool = False) -> list[str]:
    """Return the sources named by --db, else the one in the environment.

    Raises:
        UsageError: one has no name, or none is named though one is required.
    """
    if db and not all(db):
        raise UsageError("--db is empty: name a file, a folder or a quoted glob")
    told = os.environ.get("DOCSTOKG_TELEMETRY_DB_PATH")
    names = list(db) if db else [told] if told else []
    if required and not names:
        raise UsageError("name the telemetry with --db FILE, or set DOCSTOKG_TELEMETRY_DB_PATH")
    return names


def moment_of(text: str) -> datetime:
    """Return the moment that a person writes after --as-of, in UTC and without an offset.

    Raises:
        UsageError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise UsageError(
            f"--as-of {text!r} is no moment: write 2025-11-01 or 2025-11-01T12:00Z"
        ) from None
