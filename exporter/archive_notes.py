"""What a telemetry file says of its runs that were archived: where they went, and when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from exporter import archived
from exporter.archived import ArchiveDamaged
from exporter.errors import SourceError
from exporter.raw_sql import ENGINE_ERRORS, literal
from exporter.sources import Source, archived_source

#: The table in the telemetry file; one row per run that was archived, whole or in part.
TABLE: Final = "archived_runs"


@dataclass(frozen=True)
class Note:
    """Where a run went.

    Attributes:
        run_id: the run.
        archive: the archive's folder.
        archived_at: when, ISO-8601 UTC.
    """

    run_id: str
    archive: str
    archived_at: str

    def source(self) -> Source:
        """Return the run in the archive.

        Raises:
            SourceError: it is not there, or damaged.
        """
        folder = archived.folder_of(Path(self.archive), self.run_id)
        try:
            return archived_source(str(folder))
        except ArchiveDamaged as damage:
            raise SourceError(
                f"run {self.run_id!r} was archived to {self.archive} ({self.archived_at}), "
                f"where it cannot be read: {damage}"
            ) from None


def notes_of(connection: duckdb.DuckDBPyConnection, source: Source) -> list[Note]:
    """Return where a file says that its runs went, by run; none where it says nothing."""
    try:
        rows = connection.execute(
            "select decode(unhex(run)), decode(unhex(archive)), archived_at "
            "from sqlite_query(?, ?) order by 1",
            [
                source.alias,
                "select hex(run_id) as run, hex(archive) as archive, archived_at "
                f"from {TABLE} where archive <> ''",
            ],
        ).fetchall()
    except ENGINE_ERRORS:  # nothing was ever archived from it
        return []
    return [Note(str(run), str(archive), str(at)) for run, archive, at in rows]


def archives_of(names: Sequence[str]) -> list[str]:
    """Return where the named files say that their runs went: folders of archived runs, in order.

    One that is not there is among them, so that whoever reads it says so; unless the run lies in an
    archive that is named, to which it may have been moved.
    """
    from exporter import warehouse
    from exporter.sources import attached, expand

    paths = expand(names)[0]
    files = [entry for entry in paths if not os.path.isdir(entry[0])]
    named = {os.path.basename(path) for path, _ in paths if archived.is_archived_run(path)}
    connection = warehouse.connect(("sqlite_scanner",))
    notes: list[Note] = []
    try:
        for entry in files:  # one that cannot be read is told of where it is loaded
            with attached(connection, [entry]) as probe:
                notes += [note for source in probe.sources for note in notes_of(connection, source)]
    finally:
        connection.close()
    folders = {archived.folder_of(Path(note.archive), note.run_id) for note in notes}
    return sorted(str(folder) for folder in folders if folder.name not in named)


def note_of(connection: duckdb.DuckDBPyConnection, source: Source, run_id: str) -> Note | None:
    """Return where a file says that a run went; None where it says nothing.

    Args:
        connection: has the file attached.
        source: the file; an archived run says nothing.
        run_id: the run.
    """
    if source.archived is not None:
        return None
    sql = (
        f"select hex(archive) as archive, archived_at from {TABLE} where run_id = {literal(run_id)}"
    )
    try:
        row = connection.execute(
            "select decode(unhex(archive)), archived_at from sqlite_query(?, ?)",
            [source.alias, sql],
        ).fetchone()
    except ENGINE_ERRORS:  # nothing was ever archived from it
        return None
    return Note(run_id, str(row[0]), str(row[1])) if row and row[0] else None
