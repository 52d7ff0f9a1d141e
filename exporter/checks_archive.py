"""What the doctor finds in archives, and of what a file says that it was archived: all of it whole.

DuckDB reads the file here: see `exporter.examine` for why nothing else may in this process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

from exporter import archived
from exporter.archive_notes import Note, notes_of
from exporter.archived import ArchiveDamaged
from exporter.errors import one_line
from exporter.findings import Finding, Report, good, plural
from exporter.raw_sql import ENGINE_ERRORS
from exporter.sources import attached

#: Runs of which the line tells by name.
_NAMED: Final = 3
_RESTORE: Final = "restore the run's folder from a copy of the archive"
_LEFT: Final = (
    "archive the file again, which takes its place where the file has all of its rows; "
    "else restore manifest.json from a copy of the archive"
)


def check_archives(
    connection: duckdb.DuckDBPyConnection, archives: Iterable[str], folders: Iterable[str]
) -> list[Report]:
    """Return a report for each archive, with a line for each run that is not whole.

    Args:
        connection: an empty database in memory.
        archives: archives that were named.
        folders: folders of archived runs, wherever they are.
    """
    by_archive: dict[str, list[str]] = {archive: [] for archive in archives}
    for folder in folders:
        by_archive.setdefault(os.path.dirname(folder), []).append(folder)
    return [
        Report(archive, list(_archive(connection, archive, found)))
        for archive, found in sorted(by_archive.items())
    ]


def check_archived_runs(
    connection: duckdb.DuckDBPyConnection, path: str, archives: Sequence[str], deep: bool
) -> Iterator[Finding]:
    """Look for the runs that a file says were archived, where it says so.

    Args:
        connection: a database in memory that reads SQLite files.
        path: the file.
        archives: archives that were named, which may have been moved since.
        deep: compare checksums, too.
    """
    try:
        with attached(connection, [(path, True)]) as probe:
            notes = notes_of(connection, probe.sources[0]) if probe.sources else []
    except (*ENGINE_ERRORS, OSError) as error:
        yield Finding("archived runs", "unknown", one_line(error), "see what is said of it above")
        return
    lost: dict[str, list[Note]] = {}
    faults = 0
    for note in notes:
        places = [place for place in (note.archive, *archives) if _has(place, note.run_id)]
        if not places:
            lost.setdefault(note.archive, []).append(note)
            continue
        fault = _fault(connection, _folder(places[0], note.run_id), deep)
        if fault is not None:
            faults += 1
            found = f"{note.run_id} in {places[0]}: {fault}"
            yield Finding("archived runs", "bad", found, _RESTORE)
    for archive, missing in lost.items():
        yield _missing(archive, missing)
    if not lost and not faults:
        of = f"{plural(len(notes), 'run')}, where the file says" if notes else "none noted"
        yield good("archived runs", of)


def _archive(
    connection: duckdb.DuckDBPyConnection, archive: str, folders: list[str]
) -> Iterator[Finding]:
    whole = 0
    for folder in folders:
        name = os.path.basename(folder)
        fault = _fault(connection, folder, deep=True)
        whole += fault is None
        if fault is not None:
            yield Finding("archive", "bad", f"{name}: {fault}", _RESTORE)
        elif strays := archived.strays(folder, archived.read(folder)):
            of = plural(len(strays), "Parquet file")
            found = f"{name}: {of} that its manifest does not name ({strays[0].name})"
            yield Finding("archive", "warning", found, _LEFT)
    unlisted = archived.unlisted_folders(archive)
    for folder in unlisted:
        of = plural(len(archived.strays(folder, None)), "Parquet file")
        found = f"{os.path.basename(folder)}: {of} and no manifest, so that nothing reads them"
        yield Finding("archive", "bad", found, _LEFT)
    if whole:
        others = "" if whole == len(folders) and not unlisted else "the other "
        of = f"{others}{plural(whole, 'run')}, whole by checksums and numbers of rows"
        yield good("archive", of)
    elif not folders and not unlisted:
        yield good("archive", "no runs")


def _fault(connection: duckdb.DuckDBPyConnection, folder: str, deep: bool) -> str | None:
    """Return what is not whole about an archived run; None where all is."""
    try:
        run = archived.read(folder)
        if deep:
            archived.check(folder, run)
        for table in run.tables.values():
            if table.file is not None:
                rows = _rows(connection, os.path.join(folder, table.file))
                if rows != table.rows:
                    return (
                        f"{table.file} has {plural(rows, 'row')}, and {table.rows:,} were archived"
                    )
    except ArchiveDamaged as damage:
        return str(damage)
    except (*ENGINE_ERRORS, OSError) as error:
        return one_line(error, 160)
    return None


def _rows(connection: duckdb.DuckDBPyConnection, file: str) -> int:
    sql = "select coalesce(sum(num_rows), 0) from parquet_file_metadata(?)"
    row = connection.execute(sql, [archived.as_pattern(file)]).fetchone()
    return int(row[0]) if row is not None else 0


def _folder(archive: str, run_id: str) -> str:
    return str(archived.folder_of(Path(archive), run_id))


def _has(archive: str, run_id: str) -> bool:
    """Tell whether an archive has the folder of a run, in whatever state."""
    return os.path.isdir(_folder(archive, run_id))


def _missing(archive: str, notes: list[Note]) -> Finding:
    """Tell of runs that are not in the archive which the file names."""
    names = ", ".join(note.run_id for note in notes[:_NAMED])
    more = f" and {len(notes) - _NAMED:,} more" if len(notes) > _NAMED else ""
    if os.path.isdir(archive):
        found = f"{archive} has no folder of {names}{more}, archived to it"
        return Finding("archived runs", "bad", found, f"{_RESTORE}, or name the one that has it: "
                       "doctor --db FILE --db DIR")  # fmt: skip
    found = f"{archive}, where {names}{more} went, is not there"
    remedy = "mount it, or restore it; if it was moved: doctor --db FILE --db DIR"
    return Finding("archived runs", "bad", found, remedy)
