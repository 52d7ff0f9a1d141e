"""How large telemetry files are, and which tables and runs their rows are of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from exporter import direct
from exporter.compiled import Models
from exporter.errors import SourceError, UsageError
from exporter.loader import unreadable
from exporter.raw_sql import ENGINE_ERRORS
from exporter.results import Row, rows
from exporter.sources import Skipped, Source, expand, reason_of

_REMEDIES: Final = (
    "archive: move runs that ended more than 14 days ago to Parquet, and give their room back",
    "storage: see how fast the file grows, and when it reaches the limit",
)


@dataclass(frozen=True)
class File:
    """One telemetry file.

    Attributes:
        path: absolute path.
        size_bytes: the database.
        wal_bytes: its write-ahead log, which a reader that stays open keeps from shrinking.
        tables: rows of each table, the most first.
        runs: of each run its rows, and the bytes that are its part of them; the most first. Bytes
            are those of the database divided among all rows alike.
        limit_bytes: size above which it is to be archived.
    """

    path: str
    size_bytes: int
    wal_bytes: int
    tables: list[Row]
    runs: list[Row]
    limit_bytes: int

    @property
    def is_good(self) -> bool:
        """Tell whether the file is below the limit."""
        return self.size_bytes <= self.limit_bytes

    def as_json(self) -> Row:
        """Return the file for scripts."""
        return {
            "path": self.path,
            "size_bytes": self.size_bytes,
            "wal_bytes": self.wal_bytes,
            "limit_bytes": self.limit_bytes,
            "passed": self.is_good,
            "tables": self.tables,
            "runs": self.runs,
            "remedies": self.remedies(),
        }

    def remedies(self) -> list[str]:
        """Return what to do about the size; nothing for a file below the limit."""
        return [] if self.is_good else list(_REMEDIES)


@dataclass(frozen=True)
class Storage:
    """The files that were looked at, and those that could not be."""

    files: list[File]
    skipped: list[Skipped]
    limit_bytes: int

    @property
    def is_good(self) -> bool:
        """Tell whether every file is below the limit."""
        return all(file.is_good for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """Return the whole answer for scripts."""
        return {"passed": self.is_good, "files": [file.as_json() for file in self.files]}


def measure(names: Sequence[str], compiled: Path) -> Storage:
    """Measure telemetry files.

    Args:
        names: files, folders and globs; none for those that the warehouse was loaded from.
        compiled: the compiled models, whose seed remedy_limits has the limit.

    Raises:
        UsageError: no file is named, and the warehouse was loaded from none that is still there.
        SourceError: not one could be read.
    """
    names = names or _loaded_from()
    paths, skipped = expand(names)
    files: list[File] = []
    with direct.attached_in_memory(paths) as (connection, probe):
        Models(compiled.read_text("utf-8")).build(connection, ["remedy_limits"])
        found = rows(
            connection, "select highest from lake.marts.remedy_limits where setting = 'file_mb'"
        )
        limit = int(found[0]["highest"] * 10**6)
        skipped += probe.skipped
        for source in probe.sources:
            try:
                files.append(_file(connection, source, limit))
            except ENGINE_ERRORS as error:
                skipped.append(Skipped(source.path, reason_of(error)))
    if not files:
        raise SourceError(unreadable(names, skipped))
    return Storage(sorted(files, key=lambda file: -file.size_bytes), skipped, limit)


def _loaded_from() -> list[str]:
    from exporter.query import published

    with published() as connection:
        found = rows(connection, "select distinct source_path from lake.marts.run_inventory")
    paths = [row["source_path"] for row in found if row["source_path"]]
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        raise UsageError("no file that was loaded is still there: name one with --db FILE")
    return there


def _file(connection: duckdb.DuckDBPyConnection, source: Source, limit: int) -> File:
    counted = " union all ".join(
        f"select '{table}' as table_name, {shape.columns['run_id'][0]}::varchar as run_id, "
        f"count(*) as n from {source.alias}.{shape.name} group by all"
        for table, shape in source.tables.items()
        if "run_id" in shape.columns
    )
    size = os.stat(source.path).st_size
    wal = f"{source.path}-wal"
    tables, runs = [], []
    if counted:
        tables = rows(
            connection,
            f"select table_name, sum(n)::bigint as rows from ({counted}) group by all "
            "order by rows desc, table_name",
        )
        runs = rows(
            connection,
            "select run_id, sum(n)::bigint as rows, "
            "round(? * sum(n) / sum(sum(n)) over ())::bigint as bytes "
            f"from ({counted}) group by all order by rows desc, run_id",
            size,
        )
    wal_size = os.stat(wal).st_size if os.path.exists(wal) else 0
    return File(source.path, size, wal_size, tables, runs, limit)
