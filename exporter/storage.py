"""The command that shows what telemetry takes on the disk, how it grows, and until when."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exporter import output
from exporter.errors import SourceError, UsageError, from_shown, shown
from exporter.options import Format, OutputFormat, Project, named
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.results import Row

EXAMPLE: Final = "Example: docstokg-telemetry storage --db manifest.sqlite3 --limit 500MB"
#: Age from which runs are archived, unless the reader says otherwise.
OLDER_THAN: Final = "14d"
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_OUTLOOKS: Final = {
    "reached": "reached",
    "no_data": "no data",
    "not_growing": "not at this rate",
    "not_in_a_century": "not in a hundred years",
}


@dataclass
class FileStorage:
    """What one telemetry file takes.

    Attributes:
        path: the file.
        bytes: of the file itself.
        wal_bytes: of its write-ahead log.
        free_bytes: of the file's, free for new rows.
        is_measured: bytes of tables are of their pages; else the file's, shared out by rows.
        limit_bytes: size that it should not exceed.
        is_over: file and log together are over the limit.
        tables: rows and bytes by table, indexes included; rows of telemetry tables only.
        runs: rows and bytes by run.
        days: rows and bytes by UTC day of the events.
        growth_bytes_per_day: by number of days looked at; None where there are no days to look at.
        limit_reached_on: when the limit is reached at that rate; None for never, or no data.
        outlook: the same in words.
        archivable_bytes: about what `archive` would free for new rows.
        archivable_runs: how many runs that are.
    """

    path: str
    bytes: int
    wal_bytes: int
    free_bytes: int
    is_measured: bool
    limit_bytes: int = 0
    is_over: bool = False
    tables: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    days: list[dict[str, Any]] = field(default_factory=list)
    growth_bytes_per_day: dict[str, float | None] = field(default_factory=dict)
    limit_reached_on: date | None = None
    outlook: str = "no data"
    archivable_bytes: int = 0
    archivable_runs: int = 0


@dataclass
class ArchiveStorage:
    """What one archive takes.

    Attributes:
        path: its folder.
        runs: how many there are.
        rows: of all tables.
        bytes: of all files.
        damaged: folders of runs that are not what their manifests say.
    """

    path: str
    runs: int = 0
    rows: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)


def storage(
    db: Annotated[
        list[str] | None,
        typer.Option("--db", metavar="FILE|DIR|GLOB", help="Telemetry files, and archives."),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            metavar="SIZE",
            help="Of one file: 2GB, 500MB, 1GiB; the project's file_limit_mb by default.",
        ),
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE|DATE", help="As archive takes it.")
    ] = OLDER_THAN,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
) -> None:
    """Show sizes by table, run and day, growth, and when a file reaches its limit."""
    from exporter.archive_plan import limit_of
    from exporter.storage_report import print_storage

    now, limit_bytes = datetime.now(UTC), None if limit is None else size_of(limit)
    before = limit_of(older_than, now)
    files, archives, failed = measure(
        named(db, required=True), limit_bytes, before, now, project_dir
    )
    for failure in failed:
        output.complain(f"skipped {failure}")
    answer = {
        "limit_bytes": files[0].limit_bytes if files else limit_bytes,
        "older_than": older_than,
        "warehouse_bytes": _warehouse_bytes(),
        "files": [asdict(file) for file in files],
        "archives": [asdict(archive) for archive in archives],
    }
    print_storage(answer, output_format)
    damaged = [f"{folder}: damaged, see doctor" for a in archives for folder in a.damaged]
    for damage in damaged:
        output.complain(damage)
    raise typer.Exit(1 if failed or damaged or any(file.is_over for file in files) else 0)


def size_of(text: str) -> int:
    """Return the bytes that a size names: 2GB, 500 MB, 1GiB, 1000000.

    Raises:
        UsageError: it names none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if not found or (found[3] and not found[2]) or not float(found[1]):
        raise UsageError(f"--limit {text!r} is no size: give 2GB, 500MB or 1GiB")
    return int(float(found[1]) * (_BINARY if found[3] else _UNITS)[found[2]])


def measure(
    names: Sequence[str], limit: int | None, before: datetime, now: datetime, project: Path | None
) -> tuple[list[FileStorage], list[ArchiveStorage], list[str]]:
    """Measure files and archives; return them, and what could not be.

    Args:
        names: files, folders and globs.
        limit: bytes that a file should not exceed; None for the project's.
        before: runs that ended before could be archived.
        now: the present.
        project: the analyst's own copy of the dbt project.

    Raises:
        SourceError: not one could be measured.
    """
    from exporter.compiled import compiled as compiled_models
    from exporter.paths import project_dir
    from exporter.sources import expand

    paths, skipped = expand(names)
    failed = [f"{skip.path}: {skip.reason}" for skip in skipped]
    files: list[FileStorage] = []
    with progress("measuring", verbose=False) as (say, step):
        compiled = compiled_models(project_dir(project), say).read_text("utf-8")
        for number, (path, _) in enumerate(paths):
            if not os.path.isdir(path):
                step(os.path.basename(path), number, len(paths))
                try:
                    files.append(_measure_file(path, limit, before, now, compiled))
                except SourceError as error:
                    failed.append(str(error))
    archives = _archives([path for path, _ in paths if os.path.isdir(path)])
    if failed and not files and not archives:
        raise SourceError(failed[0])
    return files, archives, failed


def _measure_file(
    path: str, limit: int | None, before: datetime, now: datetime, compiled: str
) -> FileStorage:
    from exporter.archive_plan import plan
    from exporter.archive_process import FileProcess
    from exporter.sources import openable
    from exporter.sqlite_reason import refusal

    if (reason := refusal(path)) is not None:
        raise SourceError(f"cannot read {path}: {reason}")
    with tempfile.TemporaryDirectory(prefix="docstokg-") as aside:
        opened = openable(path, Path(aside) / "copy")
        with FileProcess(path, write=False, opened=opened) as process:
            found = plan(path, before, compiled, process, by_day=True)
    wal = f"{path}-wal"
    wal_bytes = os.path.getsize(wal) if os.path.exists(wal) else 0
    size = os.path.getsize(path)
    storage = FileStorage(path, size, wal_bytes, found.free_bytes, found.is_measured)
    storage.tables = [
        {"table": name, "rows": found.table_rows.get(name), "bytes": used}
        for name, used in sorted(found.table_bytes.items(), key=lambda item: -item[1])
    ]
    storage.runs = [
        {"run_id": run_id, "rows": sum(rows.values()), "bytes": found.bytes_of(rows)}
        for run_id, rows in found.all_runs.items()
    ]
    storage.runs.sort(key=lambda run: (-run["bytes"], run["run_id"]))
    storage.days = [
        {"day": day, "rows": sum(rows.values()), "bytes": found.bytes_of(rows)}
        for day, rows in sorted(found.day_rows.items())
    ]
    storage.archivable_bytes = sum(run.bytes for run in found.runs)
    storage.archivable_runs = len(found.runs)
    seen = {
        "path": path,
        "bytes": size,
        "wal_bytes": wal_bytes,
        "free_bytes": found.free_bytes,
        "limit_asked": limit,
        "today": now.date(),
        "days": storage.days,
    }
    judged = judge([seen], compiled)[path]
    storage.limit_bytes = judged["limit_bytes"]
    storage.is_over = judged["size_status"] != "good"
    storage.growth_bytes_per_day = {
        str(rate["days"]): rate["bytes_per_day"] for rate in judged["growth"]
    }
    storage.limit_reached_on = judged["limit_reached_on"]
    storage.outlook = _outlook(judged)
    return storage


def judge(seen: Sequence[dict[str, Any]], compiled: str) -> dict[str, Row]:
    """Return what the models say of the sizes of files, by path.

    Args:
        seen: of each file path, bytes, wal_bytes, free_bytes, limit_asked (None for the
            project's), today, and days: each with day and bytes.
        compiled: content of the file with the compiled models.

    Returns:
        Rows of file_storage.
    """
    import duckdb

    from exporter.compiled import Models, prepare
    from exporter.results import rows

    told = [{**one, "path": shown(one["path"])} for one in seen]
    with duckdb.connect(":memory:") as connection:
        prepare(connection)
        Models(compiled).build(connection, ["file_storage"])
        connection.execute("set variable files_seen = ?", [json.dumps(told, default=str)])
        found = rows(connection, "select * from lake.diagnosis.file_storage")
    return {from_shown(row["path"]): row for row in found}


def _outlook(row: Row) -> str:
    """Say when the limit is reached."""
    if row["outlook"] == "dated":
        return f"on {row['limit_reached_on'].isoformat()}"
    return _OUTLOOKS[row["outlook"]]


def _archives(folders: Sequence[str]) -> list[ArchiveStorage]:
    from exporter import archived
    from exporter.archived import ArchiveDamaged

    found: dict[str, ArchiveStorage] = {}
    for folder in folders:
        archive = found.setdefault(os.path.dirname(folder), ArchiveStorage(os.path.dirname(folder)))
        archive.bytes += _tree_bytes(Path(folder))
        archive.runs += 1
        try:
            archive.rows += archived.read(folder).rows
        except ArchiveDamaged:
            archive.damaged.append(folder)
    return list(found.values())


def _warehouse_bytes() -> int | None:
    """Return the bytes of the warehouse's folder; None where there is none."""
    from exporter.paths import warehouse_dir

    folder = warehouse_dir()
    return _tree_bytes(folder) if (folder / "catalog.sqlite").exists() else None


def _tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
