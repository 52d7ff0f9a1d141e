"""How far each file has been loaded, and how the rest of each table is to be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import duckdb

from exporter import archived
from exporter.archived import ArchiveDamaged, ArchivedRun
from exporter.errors import from_shown
from exporter.raw_schema import APPEND_ONLY, CAPABILITIES, TABLES, UPSERTED
from exporter.raw_sql import (
    ENGINE_ERRORS,
    TableShape,
    careful_sql,
    typed_reader_fits,
    typed_sql,
)
from exporter.sources import Source, path_id

#: From this many new rows on, a table is read by the typed scan instead of row by row.
BULK_ROWS = 200_000
#: The same for an archived run, many of which may be loaded at once.
_BULK_ARCHIVED_ROWS = 20_000
#: Ids of one block of downloads. A row may change at any time, and a block that did is read again.
BLOCK_IDS = 4_096


class SourceFailed(Exception):
    """Reading one table of one file failed.

    Attributes:
        source: the file.
        table: the contract's name of the table.
        typed: it was the typed scan that failed, so the careful reader is worth a try.
        error: what DuckDB said.
    """

    def __init__(self, source: Source, table: str, typed: bool, error: Exception) -> None:
        super().__init__(str(error))
        self.source, self.table, self.typed, self.error = source, table, typed, error


@dataclass(frozen=True)
class Mark:
    """The last row of a table that was loaded: its id and a digest of what never changes in it."""

    last_id: int
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """How to read what is new in one table of one file.

    Attributes:
        source: the file, attached.
        table: the contract's name of the table.
        after: read rows with a higher id than this; None reads all of them.
        high: the mark to leave behind; None where ids cannot be trusted or there are no rows.
        new_rows: about how many rows that is, going by the ids.
        moved: the mark differs from the one of the last load.
        first: nothing of the table was ever loaded from this file.
        blocks: digest of each block of ids, of a table whose rows may change.
        changed: lowest and highest id of the blocks up to `after` that changed since the last load.
    """

    source: Source
    table: str
    after: int | None = None
    high: Mark | None = None
    new_rows: int = 0
    moved: bool = False
    first: bool = False
    blocks: Mapping[int, str] = field(default_factory=dict)
    changed: Sequence[tuple[int, int]] = ()

    @property
    def shape(self) -> TableShape:
        """Return what the file's own table looks like."""
        return self.source.tables[self.table]

    @property
    def bulk(self) -> bool:
        """Tell whether the typed scan pays: much is new, and nothing of it has been loaded."""
        if self.source.archived is not None:
            return self.moved and self.table in APPEND_ONLY and self.new_rows >= _BULK_ARCHIVED_ROWS
        return (
            self.first
            and self.new_rows >= BULK_ROWS
            and (self.table in APPEND_ONLY or self.table == "downloads")
            and typed_reader_fits(self.table, self.shape)
        )

    @property
    def idle(self) -> bool:
        """Tell whether there is certainly nothing to read."""
        if self.source.archived is not None:  # never changes, but as a whole
            return not self.moved
        has_new = self.after is None or self.new_rows > 0
        return self.shape.id_is_rowid and not has_new and not self.changed

    @property
    def rereads(self) -> bool:
        """Tell whether rows are read that may be in the warehouse already, as they were."""
        again = self.after is None and not self.first
        return again or bool(self.changed) or self.source.archived is not None


class Marks:
    """The marks of all files, as the warehouse has them."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._marks = {
            (file_id, table): Mark(last_id, fingerprint)
            for file_id, table, last_id, fingerprint in cursor.execute(
                "select file_id, table_name, last_id, fingerprint from lake.meta.watermarks"
            ).fetchall()
        }
        self._blocks: dict[tuple[str, str], dict[int, str]] = {}
        with suppress(duckdb.CatalogException):  # what an earlier release published has none
            for file_id, table, block, digest in cursor.execute(
                "select file_id, table_name, block, digest from lake.meta.blocks"
            ).fetchall():
                self._blocks.setdefault((file_id, table), {})[block] = digest
        known = cursor.execute("from lake.raw.source_files")
        names = [column[0] for column in known.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in known.fetchall()]
        self._paths: dict[str, str] = {row["file_id"]: row["path"] for row in rows}
        # what an earlier release published has no families
        self._families = {row["file_id"]: row.get("family") or 0 for row in rows}
        self._at: dict[str, list[str]] = {}
        for file_id, path in self._paths.items():
            self._at.setdefault(path, []).append(file_id)
        self._capabilities = {
            row["file_id"]: {name: row.get(name) for name in CAPABILITIES} for row in rows
        }
        self._gone: list[str] | None = None

    def identify(self, source: Source) -> Source:
        """Return the source under the file_id it was loaded as before, if there is one.

        A file that was renamed keeps its rows' owner, so that later updates reach them; a copy
        (its original is still there) is a file of its own, and adds nothing. Another file at a
        known path is told by lacking what the one before had, or by having more and none of its
        rows: what a file cannot say must not change what was loaded from its predecessor.
        """
        for file_id in self._at.get(source.path, ()):  # also one that was moved here before
            if self._families[file_id] == source.family and self._is_same(source, file_id):
                return replace(source, file_id=file_id)
        if source.file_id in self._paths:
            number, file_id = 0, source.file_id
            while file_id in self._paths:
                if self._is_same(source, file_id):
                    return replace(source, file_id=file_id)
                number += 1
                file_id = path_id(source.path, source.family, number)
            return replace(source, file_id=file_id)
        if self._gone is None:  # asked once: each file may have thousands of predecessors
            self._gone = [
                f for f, path in self._paths.items() if not os.path.exists(from_shown(path))
            ]
            self._upserted = self._read_upserted() if self._gone else {}
        for file_id in self._gone:
            if self._families[file_id] == source.family and self._goes_on(source, file_id):
                self._paths[file_id] = source.path
                self._gone.remove(file_id)
                return replace(source, file_id=file_id)
        return source

    def _read_upserted(self) -> dict[str, dict[str, set[str]]]:
        """Return the runs of each file's tables whose rows are written anew, under another id."""
        found: dict[str, dict[str, set[str]]] = {}
        for table in UPSERTED:
            for file_id, runs in self._cursor.execute(
                f"select file_id, list(distinct run_id) from lake.raw.{table} "
                "where not starts_with(file_id, ?) group by file_id",
                [archived.FILE_ID_PREFIX],
            ).fetchall():
                found.setdefault(file_id, {})[table] = set(runs)
        return found

    def _goes_on(self, source: Source, file_id: str) -> bool:
        """Tell whether a file has all that was loaded from another, which had something."""
        marked = [t for t in source.tables if (file_id, t) in self._marks]
        upserted = self._upserted.get(file_id, {})
        if source.archived is None:
            marked = [table for table in marked if table not in UPSERTED]
        else:  # which never changes
            upserted = {}
        return (
            bool(marked or upserted)
            and all(self._continues(source, table, file_id) for table in marked)
            and all(runs <= self._runs(source, table) for table, runs in upserted.items())
        )

    def _runs(self, source: Source, table: str) -> set[str]:
        if table not in source.tables:
            return set()
        rows = careful_sql(table, source.tables[table], source.alias)
        found = self._cursor.execute(f"select distinct run_id from ({rows})").fetchall()
        return {run for (run,) in found}

    def _is_same(self, source: Source, file_id: str) -> bool:
        before, now = self._capabilities[file_id], source.capabilities()
        if before == now:
            return True
        if any(before[name] and not now[name] for name in CAPABILITIES):
            return False
        tables = [t for t in source.tables if (file_id, t) in self._marks]
        return not tables or any(self._continues(source, t, file_id) for t in tables)

    def plan(self, source: Source, table: str, careful: bool = True) -> Plan | None:
        """Find out what is new in a table; None when the file has no such table.

        Args:
            source: the file, as `identify` returned it.
            table: the contract's name of the table.
            careful: its values do not bear the typed scan, or that is not known.

        Raises:
            SourceFailed: the file could not be read.
        """
        shape = source.tables.get(table)
        if shape is None:
            return None
        if source.archived is not None:
            return self._plan_archived(source, source.archived, table)
        if not shape.id_is_rowid:
            return Plan(source, table)
        try:
            low, high = self._edges(source, table)
            if low is None or high is None:
                return Plan(source, table)
            known = self._marks.get((source.file_id, table))
            after = known.last_id if known and self._continues(source, table) else None
            mark = Mark(high, self._fingerprint(source, table, high))
        except ENGINE_ERRORS as error:
            raise SourceFailed(source, table, typed=False, error=error) from error
        blocks = {} if table in APPEND_ONLY else self._digests(source, table, careful)
        start = low - 1 if after is None else after
        before = self._blocks.get((source.file_id, table), {})
        return Plan(
            source,
            table,
            after,
            mark,
            max(high - start, 0),
            mark != known or blocks != before,
            first=known is None,
            blocks=blocks,
            changed=[
                (block * BLOCK_IDS, min((block + 1) * BLOCK_IDS - 1, after))
                for block, digest in blocks.items()
                if after is not None and block * BLOCK_IDS <= after and before.get(block) != digest
            ],
        )

    def _plan_archived(self, source: Source, run: ArchivedRun, table: str) -> Plan:
        known = self._marks.get((source.file_id, table))
        mark = Mark(run.tables[table].rows, _archived_fingerprint(run, table))
        if mark != known:
            try:
                archived.check(source.path, run, [table])
            except ArchiveDamaged as damage:
                raise SourceFailed(source, table, typed=False, error=damage) from damage
        return Plan(source, table, None, mark, mark.last_id, mark != known, first=known is None)

    def _continues(self, source: Source, table: str, file_id: str | None = None) -> bool:
        mark = self._marks[file_id or source.file_id, table]
        if source.archived is not None:
            return mark.fingerprint == _archived_fingerprint(source.archived, table)
        if not source.tables[table].id_is_rowid:
            return False
        return self._fingerprint(source, table, mark.last_id) == mark.fingerprint

    def _digests(self, source: Source, table: str, careful: bool) -> dict[int, str]:
        """Return a digest of each block of a table's ids, by one scan of the table."""
        shape = source.tables[table]
        typed = not careful and typed_reader_fits(table, shape)
        select = (
            typed_sql(table, shape, source.alias, TABLES[table])
            if typed
            else careful_sql(table, shape, source.alias)
        )
        try:
            found = self._cursor.execute(
                f"select id // {BLOCK_IDS:d}, bit_xor(hash(recorded))::varchar "
                f"from ({select}) as recorded group by all"
            ).fetchall()
        except ENGINE_ERRORS as error:
            raise SourceFailed(source, table, typed, error) from error
        return dict(found)

    def _edges(self, source: Source, table: str) -> tuple[int | None, int | None]:
        shape = source.tables[table]
        key = shape.id_name
        row = self._cursor.execute(
            "select try_cast(low as bigint), try_cast(high as bigint) from sqlite_query(?, ?)",
            # two subqueries: SQLite looks up a lone min or max, and reads the table for both
            [
                source.alias,
                f"select (select min({key}) from {shape.name}) as low, "
                f"(select max({key}) from {shape.name}) as high",
            ],
        ).fetchone()
        return row if row else (None, None)

    def _fingerprint(self, source: Source, table: str, row_id: int) -> str:
        """Return a digest of a row, '' when it is gone; downloads keep only run and artifact."""
        shape = source.tables[table]
        names = [n for n in TABLES[table] if table in APPEND_ONLY or n in ("run_id", "artifact_id")]
        parts = [
            f"coalesce(typeof({c}) || hex({c}), '')"
            for c in (shape.columns[n][0] for n in [*names, "timestamp"] if n in shape.columns)
        ]
        row = self._cursor.execute(
            "select sha256(mark) from sqlite_query(?, ?)",
            [
                source.alias,
                f"select {' || '.join(parts) or 'null'} as mark from {shape.name} "
                f"where {shape.id_name} = {row_id:d}",
            ],
        ).fetchone()
        return str(row[0]) if row else ""


def _archived_fingerprint(run: ArchivedRun, table: str) -> str:
    """Return what tells one state of an archived table from another, also one without rows."""
    return f"{run.run_id}\0{run.tables[table].sha256}"
