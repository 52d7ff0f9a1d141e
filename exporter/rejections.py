"""Rows that the models reject: told of runs, files and loads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import duckdb

from exporter.direct_read import raw_views
from exporter.errors import SourceError
from exporter.findings import are, plural
from exporter.raw_sql import ENGINE_ERRORS
from exporter.sources import Source

if TYPE_CHECKING:
    from exporter.compiled import Models

_MODEL: Final = "stg_rejected_rows"
#: What to do about rows that are rejected.
SEE_DOCTOR: Final = "see which and what to do: docstokg-telemetry doctor --db FILE"
#: The remedy where files have no run and no rejected row either.
NO_ROWS: Final = "wait for the crawler's first rows, or name the file that it records into"
#: Characters of a recorded value that are shown.
_LONGEST: Final = 40
Answer = TypeVar("Answer")


def over_file(
    path: str,
    project: Path | None,
    wanted: Sequence[str],
    ask: Callable[[duckdb.DuckDBPyConnection, Sequence[Source]], Answer],
    newest: int | None = None,
) -> Answer:
    """Ask models over a file, nothing loaded.

    Args:
        path: the file.
        project: the analyst's own copy of the dbt project.
        wanted: names of the models that are built.
        ask: what to ask them, given the connection and what was read.
        newest: how many ids of each table to look at, the highest; None for all rows.

    Raises:
        TelemetryError: the models do not compile, or the file cannot be read.
        duckdb.Error: the file cannot be read.
    """
    from exporter import direct
    from exporter.compiled import Models, compiled
    from exporter.paths import project_dir
    from exporter.warehouse import one_thread

    models = Models(compiled(project_dir(project), _say).read_text("utf-8"))
    with (
        direct.attached_in_memory([(path, True)]) as (connection, probe),
        one_thread(connection),
    ):
        if not probe.sources:
            raise SourceError(probe.skipped[0].reason)
        for typed in (True, False):
            raw_views(connection, probe.sources, typed, newest)
            try:
                models.build(connection, wanted)
                return ask(connection, probe.sources)
            except ENGINE_ERRORS:
                # a value of another type than its column's: value by value, then
                if not typed:
                    raise
    raise AssertionError


def why_none(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], models: Models
) -> str:
    """Say why files have no run: how many rows are rejected, and why; nothing where none is."""
    raw_views(connection, sources, typed=False)
    models.build(connection, [_MODEL])
    return of_relation(connection, f"lake.staging.{_MODEL}")


def why_none_of(paths: Sequence[tuple[str, bool]], compiled_models: Path) -> str:
    """Say the same of files that are not attached yet."""
    from exporter import direct
    from exporter.compiled import Models

    models = Models(compiled_models.read_text("utf-8"))
    with direct.attached_in_memory(paths) as (connection, probe):
        return why_none(connection, probe.sources, models)


def of_relation(
    connection: duckdb.DuckDBPyConnection, relation: str, run_id: str | None = None
) -> str:
    """Say how many rows are rejected and why, of a run or of all; nothing where none is."""
    found = connection.execute(
        "select table_name, reason, count(*), min(recorded), sum(count(*)) over () "
        f"from {relation} where $run is null or run_id = $run "
        "group by table_name, reason order by 3 desc, 1, 2 limit 1",
        {"run": run_id},
    ).fetchone()
    if found is None:
        return ""
    table, reason, count, recorded, rows = found
    such = "" if recorded is None else f" (such as {short(recorded)})"
    rest = f", {rows - count:,} for other reasons or in other tables" if rows > count else ""
    return f"{plural(count, 'row')} of {table} {are(count)} rejected, with {reason}{such}{rest}"


def mostly_rejected(lake: duckdb.DuckDBPyConnection, load_id: int) -> list[str]:
    """Say of each file of whose rows a load rejected most, how many and why."""
    found = lake.execute(
        "select path, rejected, row_count, reasons[1].reason, reasons[1].example "
        "from lake.marts.rejection_verdicts join lake.raw.source_files using (file_id) "
        "where rejection_verdicts.load_id = ? and is_mostly_rejected order by path",
        [load_id],
    ).fetchall()
    return [
        f"{path}: {rejected:,} of {plural(rows, 'new row')} rejected, with {reason}"
        f"{'' if example is None else f' (such as {short(example)})'}"
        for path, rejected, rows, reason, example in found
    ]


def short(recorded: str) -> str:
    """Return a recorded value as a message shows it."""
    return repr(recorded if len(recorded) <= _LONGEST else f"{recorded[: _LONGEST - 1]}…")


def _say(message: str) -> None:
    print(message, file=sys.stderr)
