"""Telemetry files by size, as `storage` measures and judges them, with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from exporter.archive_plan import limit_of
from exporter.errors import UsageError, from_shown
from exporter.results import Row, rows
from exporter.storage import OLDER_THAN, FileStorage
from exporter.storage import measure as measure_files

_REMEDIES: Final = (
    "archive: move runs that ended more than 14 days ago to Parquet, and give their room back",
    "storage: see how fast the file grows, and when it reaches the limit",
)


@dataclass(frozen=True)
class Storage:
    """The files that were looked at, the largest first, and those that could not be."""

    files: list[FileStorage]
    skipped: list[str]

    @property
    def is_good(self) -> bool:
        """Tell whether every file is below its limit."""
        return not any(file.is_over for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """Return the whole answer for scripts."""
        return {"passed": self.is_good, "files": [_as_json(file) for file in self.files]}


def remedies(file: FileStorage) -> list[str]:
    """Return what to do about the size; nothing for a file below the limit."""
    return list(_REMEDIES) if file.is_over else []


def tables(file: FileStorage) -> list[Row]:
    """Return rows of each telemetry table, the most first."""
    counted = [table for table in file.tables if table["rows"] is not None]
    return sorted(counted, key=lambda table: (-table["rows"], table["table"]))


def _as_json(file: FileStorage) -> Row:
    return {
        "path": file.path,
        "size_bytes": file.bytes,
        "wal_bytes": file.wal_bytes,
        "limit_bytes": file.limit_bytes,
        "passed": not file.is_over,
        "tables": [{"table_name": t["table"], "rows": t["rows"]} for t in tables(file)],
        "runs": file.runs,
        "remedies": remedies(file),
    }


def measure(names: Sequence[str], project: Path | None) -> Storage:
    """Measure telemetry files.

    Args:
        names: files, folders and globs; none for those that the warehouse was loaded from.
        project: the analyst's own copy of the dbt project.

    Raises:
        UsageError: no file is named, and the warehouse was loaded from none that is still there.
        SourceError: not one could be read.
    """
    now = datetime.now(UTC)
    before = limit_of(OLDER_THAN, now)
    files, _, skipped = measure_files(names or _loaded_from(), None, before, now, project)
    return Storage(sorted(files, key=lambda file: -file.bytes), skipped)


def _loaded_from() -> list[str]:
    from exporter.query import published

    with published() as connection:
        found = rows(connection, "select distinct source_path from lake.marts.run_inventory")
    paths = [from_shown(row["source_path"]) for row in found if row["source_path"]]
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        raise UsageError("no file that was loaded is still there: name one with --db FILE")
    return there
