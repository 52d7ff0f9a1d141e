"""How many rows of a file the models reject: as loaded, or as the same rule would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from exporter.direct_read import raw_views
from exporter.errors import SourceError
from exporter.raw_schema import TABLES
from exporter.raw_sql import ENGINE_ERRORS

_MODEL: Final = "stg_rejected_rows"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Rejected:
    """Rows of one file.

    Attributes:
        rejected: number of rows by table and reason.
        rows: number of rows, rejected or not, by table.
    """

    rejected: dict[tuple[str, str], int]
    rows: dict[str, int]


def rejected_in_warehouse(lake: duckdb.DuckDBPyConnection, file_id: str) -> Rejected:
    """Count what the published warehouse has of a file.

    Raises:
        duckdb.Error: it cannot be read.
    """
    found = lake.execute(
        "select table_name, reason, count(*) from lake.marts.rejected_rows "
        "where file_id = ? group by all",
        [file_id],
    ).fetchall()
    rows = {}
    for table in TABLES:
        row = lake.execute(
            f"select count(*) from lake.raw.{table} where file_id = ?", [file_id]
        ).fetchone()
        rows[table] = int(row[0]) if row else 0
    return Rejected({(table, reason): number for table, reason, number in found}, rows)


def rejected_in_file(path: str, project: Path | None) -> Rejected:
    """Count by the models' own rule over the file, nothing loaded.

    Raises:
        TelemetryError: the models do not compile, or the file cannot be read.
        duckdb.Error: the file cannot be read.
    """
    return over_file(path, project, [_MODEL], _counted)


def over_file(
    path: str,
    project: Path | None,
    wanted: Sequence[str],
    ask: Callable[[duckdb.DuckDBPyConnection], Answer],
) -> Answer:
    """Ask models over a whole file, nothing loaded.

    Args:
        path: the file.
        project: the analyst's own copy of the dbt project.
        wanted: names of the models that are built.
        ask: what to ask them.

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
            raw_views(connection, probe.sources, typed)
            try:
                models.build(connection, wanted)
                return ask(connection)
            except ENGINE_ERRORS:
                # a value of another type than its column's: value by value, then
                if not typed:
                    raise
    raise AssertionError


def _counted(connection: duckdb.DuckDBPyConnection) -> Rejected:
    rejected = connection.execute(
        f"select table_name, reason, count(*) from lake.staging.{_MODEL} group by all"
    ).fetchall()
    rows = {}
    for table in TABLES:
        row = connection.execute(f"select count(*) from lake.raw.{table}").fetchone()
        rows[table] = int(row[0]) if row else 0
    return Rejected({(table, reason): number for table, reason, number in rejected}, rows)


def _say(message: str) -> None:
    print(message, file=sys.stderr)
