"""One run, copied out of its file, becomes Parquet: read back, compared, and put in place whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

import duckdb

from exporter import __version__, archived
from exporter.archived import EXTRA, MANIFEST, ArchiveDamaged, ArchivedRun, Stored
from exporter.backup_store import sync_folder
from exporter.errors import SourceError, TelemetryError, one_line
from exporter.findings import plural
from exporter.raw_schema import APPEND_ONLY, CAPABILITIES, TABLES, UPSERTED, raw_columns
from exporter.raw_sql import (
    ENGINE_ERRORS,
    careful_sql,
    literal,
    typed_reader_fits,
    typed_sql,
    unknown_columns,
)
from exporter.sources import Source, attached, reason_of

#: Up to so many rows of a table are read once and kept in memory; more are read twice.
_ROWS_IN_MEMORY: Final = 300_000
#: How many rows, and the sum of their hashes.
Sums = tuple[int, str]


class NotArchived(Exception):
    """A run that stays in its file; the message says why, in a few words."""


@dataclass(frozen=True)
class Written:
    """A run that is in the archive, whole.

    Attributes:
        folder: where.
        run: its manifest.
        is_new: it was written now; else all of it was there already.
    """

    folder: Path
    run: ArchivedRun
    is_new: bool


class Writer:
    """Writes runs into one archive."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, archive: Path, work: Path) -> None:
        """Prepare it.

        Args:
            connection: an empty database in memory.
            archive: the archive's folder.
            work: a folder on the same file system, for what is under way.
        """
        self._connection, self._archive, self._work = connection, archive, work

    def write(
        self,
        run_id: str,
        copy: Path,
        rows: Mapping[str, int],
        source: str,
        last_event_at: float | None,
        noted: str | None = None,
    ) -> Written:
        """Write a run, with what the archive has of it. No Parquet of a run is lost by that.

        Args:
            run_id: the run.
            copy: a SQLite file with the run's rows.
            rows: how many, by table, as SQLite counted them.
            source: the file that they come from, for the manifest.
            last_event_at: time of their last event, Unix seconds.
            noted: the archive that has rows of the run already, as the file says.

        Raises:
            NotArchived: what the archive has of the run does not go with it.
            TelemetryError: the archive cannot be written.
            SourceError: the copy cannot be read.
        """
        # two threads take twice the processor time for what one does in the same time
        is_small = sum(rows.values()) <= _ROWS_IN_MEMORY
        self._connection.execute("set threads = 1" if is_small else "reset threads")
        folder = archived.folder_of(self._archive, run_id)
        before = self._before(folder)
        if before is None and noted is not None:
            # what is there would be overwritten, or be in two archives of which one is followed
            raise NotArchived(
                f"rows of it were archived to {noted} before, and are not in {self._archive}: "
                "name that archive, or restore the run's folder from a copy"
            )
        with attached(self._connection, [(str(copy), True)]) as probe:
            if not probe.sources:
                raise SourceError(f"cannot read the copy of run {run_id!r}: {probe.skipped[0]}")
            fresh = probe.sources[0]
            _check_capabilities(before, fresh)
            tables = {
                table: self._table(table, fresh, folder, before, rows.get(table, 0))
                for table in TABLES
                if table in fresh.tables or (before is not None and table in before.tables)
            }
        times = [last_event_at, before.last_event_at if before is not None else None]
        run = ArchivedRun(
            run_id=run_id,
            generation=before.generation + 1 if before is not None else 1,
            archived_at=datetime.now(UTC).isoformat(timespec="seconds"),
            last_event_at=max((t for t in times if t is not None), default=None),
            source=os.fsencode(source).decode(errors="replace"),
            tool_version=__version__,
            duckdb_version=duckdb.__version__,
            tables=tables,
        )
        if before is not None and _is_same(before, run):
            for table in tables.values():
                if table.file is not None:
                    (self._work / table.file).unlink()
            return Written(folder, before, is_new=False)
        strays = archived.strays(folder, before)
        for file in strays:
            self._check_stray(file, tables)
        return Written(folder, self._put(folder, run, before, strays), is_new=True)

    def _before(self, folder: Path) -> ArchivedRun | None:
        """Return what the archive has of the run; checked, since its rows will be relied on."""
        if not (folder / MANIFEST).exists():
            return None
        try:
            run = archived.read(folder)
            archived.check(folder, run)
        except ArchiveDamaged as damage:
            raise NotArchived(f"what was archived of it before is damaged: {damage}") from None
        return run

    def _table(
        self, table: str, fresh: Source, folder: Path, before: ArchivedRun | None, rows: int
    ) -> Stored:
        """Write a table to the work folder, read it back, and compare it with where it is from."""
        old = before.tables.get(table) if before is not None else None
        shape = fresh.tables.get(table)
        columns = list(shape.columns) if shape is not None else []
        extra = unknown_columns(table, shape) if shape is not None else []
        if old is not None:
            columns = list(dict.fromkeys([*columns, *old.columns]))
            extra = list(dict.fromkeys([*extra, *old.extra]))
        stored = Stored(columns, extra, 0)
        if not rows and (old is None or not old.rows):
            return stored
        try:
            select, sums = self._fresh(table, fresh, rows)
            if before is not None and old is not None and old.rows:
                archive = archived.select_sql(str(folder), before, table, with_extra=True)
                select = self._merged(table, select, archive)
                sums = self._sums(table, select)
            return self._written(table, select, sums, stored)
        except (*ENGINE_ERRORS, OSError) as error:
            raise TelemetryError(_cannot_write(self._archive, error)) from error
        finally:
            self._connection.execute("drop table if exists temp.fresh")

    def _fresh(self, table: str, fresh: Source, rows: int) -> tuple[str, Sums]:
        """Read a table of the copy, in memory unless it is large; return a select, and its sums.

        Raises:
            SourceError: it cannot be read, or other rows are read than were copied.
        """
        last: Exception = ValueError("no such table")
        for select in self._selects(table, fresh):
            try:
                if rows <= _ROWS_IN_MEMORY:
                    self._connection.execute(f"create or replace temp table fresh as {select}")
                    select = "select * from temp.fresh"
                sums = self._sums(table, select)
                break
            except duckdb.IOException:
                raise
            except ENGINE_ERRORS as error:
                last = error
        else:
            raise SourceError(f"cannot read {table} of the copy: {reason_of(last)}")
        if sums[0] != rows:
            raise SourceError(
                f"read {plural(sums[0], 'row')} of {table} where {rows:,} were copied"
            )
        return select, sums

    def _selects(self, table: str, fresh: Source) -> Iterator[str]:
        """Yield the ways to read the fresh rows, the fastest first."""
        shape = fresh.tables.get(table)
        if shape is None:
            yield _none_of(table)
            return
        extra = unknown_columns(table, shape)
        if not extra and typed_reader_fits(table, shape):
            yield f"select *, null::varchar as extra from ({typed_sql(table, shape, fresh.alias)})"
        careful = careful_sql(table, shape, fresh.alias, extra=extra)
        yield careful if extra else f"select *, null::varchar as extra from ({careful})"

    def _merged(self, table: str, fresh: str, old: str) -> str:
        """Return a select of fresh and archived rows, each once; the file's own go first.

        Raises:
            NotArchived: rows of the same name are not the same.
        """
        names = UPSERTED.get(table, ("id",))
        same = " and ".join(["true", *(f"new.{n} is not distinct from old.{n}" for n in names)])
        known = [c for c in _columns(table) if c not in ("id", "defect")]
        must_agree = (
            known
            if table in APPEND_ONLY
            else [c for c in ("artifact_id",) if c in known and table not in UPSERTED]
        )
        differs = " or ".join(["false", *(f"new.{c} is distinct from old.{c}" for c in must_agree)])
        clash = self._connection.execute(
            f"select new.id from ({fresh}) as new join ({old}) as old on {same} "
            f"where new.defect is null and old.defect is null and ({differs}) limit 1"
        ).fetchone()
        if clash is not None:
            raise NotArchived(
                f"another row {clash[0]} of {table} was archived of a run of this name: "
                "archive this file into another folder"
            )
        columns = ", ".join(_columns(table))
        return (
            f"with fresh as materialized ({fresh}), old as materialized ({old}) "
            f"select {columns} from fresh union all "
            f"select {columns} from old where defect is null and not exists "
            f"(select 1 from fresh as new where new.defect is null and {same}) union all "
            f"(select {columns} from old where defect is not null "
            f"except all select {columns} from fresh)"
        )

    def _written(self, table: str, select: str, sums: Sums, stored: Stored) -> Stored:
        """Write rows to a Parquet file; return its facts, or those of no rows.

        Raises:
            TelemetryError: the file does not hold what was written to it.
        """
        rows, row_hash = sums
        file = self._work / f"{table}.parquet"
        columns = _columns(table)
        self._connection.execute(
            f"copy (select {', '.join(columns)} from ({select})) to {literal(str(file))} "
            "(format parquet, compression zstd)"
        )
        back = f"from read_parquet({literal(str(file))}, hive_partitioning = false)"
        found = self._sums(table, f"select * {back}")
        if found != sums:
            raise TelemetryError(
                f"{file.name} holds {plural(found[0], 'row')} where {rows:,} were written, "
                "or other ones: nothing was deleted; run it again"
            )
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            checksum = file_digest(opened, "sha256").hexdigest()
        return replace(
            stored,
            rows=rows,
            row_hash=row_hash,
            file=file.name,
            bytes=file.stat().st_size,
            sha256=checksum,
            parquet_columns=list(columns),
        )

    def _sums(self, table: str, select: str) -> Sums:
        """Return how many rows there are, and the sum of their hashes, in any order."""
        row = self._connection.execute(
            f"select count(*), coalesce(sum(hash({', '.join(_columns(table))})::hugeint), 0)"
            f"::varchar from ({select})"
        ).fetchone()
        assert row is not None
        return int(row[0]), str(row[1])

    def _check_stray(self, file: Path, tables: Mapping[str, Stored]) -> None:
        """See that all of a file which no manifest names is in what was written now.

        It is what a kill left before the manifest was written; or the manifest was lost, and the
        rows may be nowhere else.

        Raises:
            NotArchived: it has other rows, or cannot be read.
        """
        table = archived.table_of(file.name)
        assert table is not None
        columns = ", ".join(_columns(table))
        at = literal(archived.as_pattern(file))
        # a release before may have written fewer columns
        here = (
            f"select {columns} from ({_none_of(table)} union all by name "
            f"(from read_parquet({at}, hive_partitioning = false)))"
        )
        stored = tables.get(table)
        written = f"select {columns} from ({_none_of(table)})"
        if stored is not None and stored.file is not None:
            new = literal(str(self._work / stored.file))
            written = f"select {columns} from read_parquet({new}, hive_partitioning = false)"
        try:
            if stored is not None and self._sums(table, here) == (stored.rows, stored.row_hash):
                return
            row = self._connection.execute(
                f"select count(*) from ({here} except all {written})"
            ).fetchone()
        except ENGINE_ERRORS as error:
            found = f"cannot be read ({reason_of(error)})"
        else:
            if row == (0,):
                return
            found = f"has {plural(row[0] if row else 0, 'row')} not in the file"
        raise NotArchived(
            f"no manifest names {file}, which {found}: restore its folder's manifest.json from a "
            "copy of the archive, or move the folder out of it"
        )

    def _put(
        self, folder: Path, run: ArchivedRun, before: ArchivedRun | None, strays: list[Path]
    ) -> ArchivedRun:
        """Put the files in place, then the manifest that names them, then remove the old ones."""
        tables = {
            name: replace(table, file=f"{name}-{run.generation}.parquet") if table.file else table
            for name, table in run.tables.items()
        }
        try:
            folder.mkdir(exist_ok=True)
            for name, table in tables.items():
                if table.file is not None:
                    os.replace(self._work / f"{name}.parquet", folder / table.file)
            run = replace(run, tables=tables)
            part = self._work / MANIFEST
            part.write_bytes(run.as_bytes())
            with part.open("rb") as opened:
                os.fsync(opened.fileno())
            sync_folder(folder)
            os.replace(part, folder / MANIFEST)
            sync_folder(folder)
            sync_folder(self._archive)
        except OSError as error:
            raise TelemetryError(_cannot_write(self._archive, error)) from None
        old = {*strays, *(folder / name for name in before.files())} if before else {*strays}
        for file in old - {folder / name for name in run.files()}:
            with suppress(OSError):
                file.unlink()
        return run


def _columns(table: str) -> dict[str, str]:
    """Return the columns of a table's Parquet file, and their types."""
    known = {c: t for c, t in raw_columns(table).items() if c not in ("file_id", "load_id")}
    return {**known, EXTRA: "varchar"}


def _none_of(table: str) -> str:
    """Return a select of no rows of a table."""
    columns = ", ".join(f"null::{t} as {c}" for c, t in _columns(table).items())
    return f"select {columns} where false"


def _check_capabilities(before: ArchivedRun | None, fresh: Source) -> None:
    """Refuse to mix rows of files that could not say the same.

    Raises:
        NotArchived: the file lacks what the one before had.
    """
    if before is None:
        return
    could = Source("", "", before.shapes(), "", before).capabilities()
    lost = [name for name in CAPABILITIES if could[name] and not fresh.capabilities()[name]]
    if lost:
        raise NotArchived(
            f"a run of this name was archived from a file with more columns ({lost[0]}): "
            "archive this file into another folder"
        )


def _is_same(before: ArchivedRun, run: ArchivedRun) -> bool:
    """Tell whether nothing would be different, but the generation."""

    def content(of: ArchivedRun) -> object:
        return of.duckdb_version, {
            name: (sorted(t.columns), t.rows, t.row_hash) for name, t in of.tables.items()
        }

    return content(before) == content(run)


def _cannot_write(archive: Path, error: BaseException) -> str:
    return f"cannot write to {archive}: {one_line(error, 200)}; nothing was deleted of this run"
