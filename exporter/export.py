"""Parquet files of the raw tables and marts: complete or absent, and counted after writing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from exporter.errors import TelemetryError, one_line, shown
from exporter.findings import plural
from exporter.query import published
from exporter.raw_sql import literal


@dataclass(frozen=True)
class Exported:
    """One file written: the relation, where it went, and its rows as counted in the file."""

    name: str
    path: Path
    rows: int


def export(
    out: Path,
    runs_of: Mapping[str, Collection[str]] | None,
    progress: Callable[[str, int, int], None],
) -> list[Exported]:
    """Write every raw table and every mart as zstd Parquet, one file each.

    Args:
        out: the folder; made if it is not there.
        runs_of: files to keep to, and the runs they hold; None for all that is loaded.
        progress: takes (what was done, number of it, how many there are).

    Raises:
        TelemetryError: a file could not be written, or does not hold the rows it should.
        WarehouseError: nothing is published.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TelemetryError(
            f"cannot make the folder {out}: {error.strerror}; name another one with --out"
        ) from error
    with published() as connection:
        relations = _relations(connection)
        _choose(connection, runs_of or {})
        written = []
        for number, (schema, name) in enumerate(relations, 1):
            written.append(_write(connection, schema, name, out, runs_of is not None))
            progress(name, number, len(relations))
    return written


def _relations(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return (schema, name) of the raw tables some file has, and of the marts."""
    # one after the other: DuckDB's reader of the SQLite catalog does not bear two scans at once
    found: list[tuple[str, str]] = []
    for kind in ("view", "table"):
        found += connection.execute(
            f"select schema_name, {kind}_name from duckdb_{kind}s() "
            "where database_name = 'lake' and schema_name in ('telemetry', 'marts')"
        ).fetchall()
    return sorted(found, key=lambda relation: (relation[0] == "marts", relation[1]))


def _choose(connection: duckdb.DuckDBPyConnection, runs_of: Mapping[str, Collection[str]]) -> None:
    """Say which rows are meant: those of the files' runs, and what was rejected of the files.

    A copy of a file owns no rows of its own, so that its runs are what counts.
    """
    connection.execute("create temp table chosen_runs (run_id varchar)")
    connection.execute("create temp table chosen_files (file_id varchar)")
    runs = sorted({run for of_file in runs_of.values() for run in of_file})
    connection.execute("insert into chosen_runs select unnest(?::varchar[])", [runs])
    connection.execute(
        "insert into chosen_files select file_id from lake.raw.source_files "
        "where list_contains(?::varchar[], path)",
        [sorted(shown(path) for path in runs_of)],
    )


def _write(
    connection: duckdb.DuckDBPyConnection, schema: str, name: str, out: Path, only_chosen: bool
) -> Exported:
    relation = f"lake.{schema}.{name}"
    where = ""
    if only_chosen:
        columns = [row[0] for row in connection.execute(f"describe {relation}").fetchall()]
        chosen = [
            f"{column} in (from temp.chosen_{of})"
            for column, of in (("run_id", "runs"), ("file_id", "files"))
            if column in columns
        ]
        where = f"where {' or '.join(chosen)}" if chosen else ""
    if schema == "marts":  # small, and often a view: work it out once, not for each count
        connection.execute(f"create or replace temp table copied as from {relation} {where}")
        relation, where = "temp.copied", ""
    target = out / f"{name}.parquet"
    part = out / f".{name}.parquet.part"
    try:
        counted = connection.execute(
            f"copy (select * from {relation} {where}) to {literal(str(part))} "
            "(format parquet, compression zstd)"
        ).fetchone()
        expected = connection.execute(f"select count(*) from {relation} {where}").fetchone()
        found = connection.execute(
            f"select sum(num_rows)::bigint from parquet_file_metadata({literal(str(part))})"
        ).fetchone()
        rows = int((found or (0,))[0] or 0)
        if not (counted and expected and counted[0] == expected[0] == rows):
            raise TelemetryError(
                f"{target} would hold {plural(rows, 'row')} where {relation} has "
                f"{expected[0] if expected else '?'}: nothing was kept; run it again"
            )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except (duckdb.Error, OSError) as error:
        raise TelemetryError(
            f"cannot write {target}: {one_line(error, 200)}; name another folder with --out"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
    return Exported(name, target, rows)
