"""Loading: what is new in telemetry files goes into the raw relations, all of it or none of it.

One transaction holds the rows, how far each file has been read and which runs were touched, so
that a load killed at any moment leaves nothing, and run again adds exactly what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import duckdb

from exporter.archived import MANIFEST, ArchiveDamaged
from exporter.errors import SourceError, shown
from exporter.load_plan import Marks, Plan, SourceFailed
from exporter.load_table import append_bulk, merge_small, rows_sql, without_ids
from exporter.raw_schema import TABLES
from exporter.raw_sql import ENGINE_ERRORS, literal
from exporter.sources import Skipped, Source, attached, expand, reason_of, unreadable
from exporter.warehouse_schema import source_file_columns

#: Files of one transaction: each holds a few descriptors, and 1,024 is a usual limit.
CHUNK_FILES = 150
#: Bytes of telemetry that one thread reads as soon as several do.
SMALL_BYTES = 1 << 24

Say = Callable[[str], None]


@dataclass
class LoadReport:
    """What one load did.

    Attributes:
        load_id: number of the load; None when there was nothing new and nothing was written.
        files: files read.
        appended: new rows per table.
        changed: rows of downloads and run_summary that were updated in their file.
        skipped: files that could not be read, with the reason.
        notes: what a person should know of the rows that were read.
    """

    load_id: int | None = None
    files: int = 0
    appended: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Return the number of new rows over all tables."""
        return sum(self.appended.values())


def load(cursor: duckdb.DuckDBPyConnection, names: Sequence[str], say: Say) -> LoadReport:
    """Load what is new in the named files, folders and globs into ``lake.raw``.

    Args:
        cursor: a connection with the lake attached for writing, under the warehouse's lock.
        names: what a person gave with ``--db``.
        say: takes progress messages.

    Raises:
        SourceError: not one source could be read.
        duckdb.Error: the warehouse could not be written (a full disk, for example).
    """
    paths, missing = expand(names)
    # archived runs first: a file that still holds a row, or holds it again, knows it better
    paths.sort(key=lambda entry: not os.path.isdir(entry[0]))
    report = LoadReport(skipped=list(missing))
    if _size(paths) > SMALL_BYTES:
        cursor.execute("reset threads")
    for start in range(0, len(paths), CHUNK_FILES):
        with attached(cursor, paths[start : start + CHUNK_FILES]) as probe:
            report.skipped += probe.skipped
            _Chunk(cursor, list(probe.sources), report, say).load()
    if not report.files:
        raise SourceError(unreadable(names, report.skipped))
    return report


def _size(paths: Sequence[tuple[str, bool]]) -> int:
    """Return how many bytes files have, their WALs, and those of archived runs, included."""
    total = 0
    for path, _ in paths:
        inside = os.path.exists(os.path.join(path, MANIFEST))
        with suppress(OSError):
            files = [entry.path for entry in os.scandir(path)] if inside else [path, f"{path}-wal"]
            total += sum(os.path.getsize(file) for file in files)
    return total


class _Chunk:
    """The files of one transaction."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sources: list[Source],
        report: LoadReport,
        say: Say,
    ) -> None:
        self.cursor, self.sources, self.report, self.say = cursor, sources, report, say
        self.careful: set[tuple[str, str]] = set()
        self.one_by_one = len(sources) == 1

    def load(self) -> None:
        """Load the chunk, leaving out the sources that fail, until it goes through."""
        while self.sources:
            self.cursor.execute("begin")
            try:
                self._transaction()
                self.cursor.execute("commit")
                return
            except SourceFailed as failure:
                self.cursor.execute("rollback")
                self._learn(failure)
            except BaseException:
                with suppress(duckdb.Error):
                    self.cursor.execute("rollback")
                raise

    def _learn(self, failure: SourceFailed) -> None:
        """Change how the next try reads: value by value, file by file, without the bad file."""
        if failure.typed:
            self.careful.add((failure.source.alias, failure.table))
        elif not self.one_by_one:
            self.one_by_one = True
        elif not self._cannot_be_read(failure):
            raise failure.error
        else:
            bad = failure.source.alias
            self.sources = [source for source in self.sources if source.alias != bad]
            self.report.skipped.append(
                Skipped(failure.source.path, reason_of(failure.error, failure.source.path))
            )

    def _cannot_be_read(self, failure: SourceFailed) -> bool:
        """Tell a file that cannot be read from a warehouse that cannot be written."""
        if isinstance(failure.error, ArchiveDamaged):
            return True
        sql = rows_sql(failure.source, failure.table)
        try:
            self.cursor.execute(f"select count(*), max(misfits) from ({sql})").fetchall()
        except ENGINE_ERRORS:
            return True
        return False

    def _transaction(self) -> None:
        marks = Marks(self.cursor)
        sources = [marks.identify(source) for source in self.sources]
        plans = {
            table: [
                plan
                for s in sources
                if (plan := marks.plan(s, table, (s.alias, table) in self.careful)) is not None
            ]
            for table in TABLES
        }
        row = self.cursor.execute("select coalesce(max(load_id), 0) + 1 from lake.meta.loads")
        load_id = int((row.fetchone() or (1,))[0])
        appended, changed = dict.fromkeys(TABLES, 0), 0
        new_files, other_files = self._book_sources(sources)
        for table in TABLES:
            added, updated = self._table(table, plans[table], load_id)
            appended[table] += added
            changed += updated
        moved = [plan for group in plans.values() for plan in group if plan.moved]
        if new_files or other_files or moved or changed or any(appended.values()):
            self._book(load_id, moved, sum(appended.values()), changed, other_files)
            self.report.load_id = load_id
        self.report.notes += without_ids(self.cursor, sources, load_id)
        self.report.files += len({source.path for source in sources})
        self.report.changed += changed
        for table, rows in appended.items():
            self.report.appended[table] = self.report.appended.get(table, 0) + rows

    def _table(self, table: str, plans: list[Plan], load_id: int) -> tuple[int, int]:
        appended, changed, small = 0, 0, []
        for plan in plans:
            if plan.bulk and (plan.source.alias, table) not in self.careful:
                self.say(f"reading {table} from {plan.source.path}")
                appended += append_bulk(self.cursor, plan, load_id)
            elif not plan.idle:
                small.append(plan)
        for group in [[plan] for plan in small] if self.one_by_one else [small]:
            if group:
                added, updated = merge_small(self.cursor, table, group, load_id)
                appended, changed = appended + added, changed + updated
        return appended, changed

    def _book_sources(self, sources: list[Source]) -> tuple[list[str], list[str]]:
        """Keep what each file is and can say; return the new ones and those that differ."""
        columns = list(source_file_columns())
        known = {
            row[0]: row
            for row in self.cursor.execute(
                f"select {', '.join(columns)} from lake.raw.source_files"
            ).fetchall()
        }
        rows = [tuple(source.booked()[name] for name in columns) for source in sources]
        different = [row for row in rows if known.get(row[0]) != row]
        for row in different:
            self.cursor.execute("delete from lake.raw.source_files where file_id = ?", [row[0]])
            marks = ", ".join("?" for _ in columns)
            self.cursor.execute(
                f"insert into lake.raw.source_files ({', '.join(columns)}) values ({marks})",
                list(row),
            )
        file_ids = [str(row[0]) for row in different]
        return [f for f in file_ids if f not in known], [f for f in file_ids if f in known]

    def _book(
        self,
        load_id: int,
        moved: list[Plan],
        appended: int,
        changed: int,
        other_files: list[str],
    ) -> None:
        """Write how far each file has been read, and which runs were touched."""
        execute = self.cursor.execute
        columns = "file_id, table_name, last_id, fingerprint"
        execute(
            "create or replace temp table moved_marks as "
            f"select {columns} from lake.meta.watermarks limit 0"
        )
        for plan in moved:
            if plan.high is not None:
                execute(
                    "insert into moved_marks values (?, ?, ?, ?)",
                    [plan.source.file_id, plan.table, plan.high.last_id, plan.high.fingerprint],
                )
        execute(
            "delete from lake.meta.watermarks as old using moved_marks as new "
            "where old.file_id = new.file_id and old.table_name = new.table_name"
        )
        execute("insert into lake.meta.watermarks by name from moved_marks")
        execute("drop table moved_marks")
        self._book_blocks(moved)
        # what a file can say has changed, or where it lies: its runs are to be looked at again
        of_files = "".join(f" or file_id = {literal(file_id)}" for file_id in other_files)
        touched = " union ".join(
            f"select run_id from lake.raw.{table} where load_id = {load_id:d}{of_files}"
            for table in TABLES
        )
        execute(
            "insert into lake.meta.load_runs by name "
            f"select {load_id:d} as load_id, run_id from ({touched})"
        )
        for skip in self.report.skipped:
            execute(
                "insert into lake.meta.load_skips (load_id, path, reason) values (?, ?, ?)",
                [load_id, shown(skip.path), shown(skip.reason)],
            )
        execute(
            "insert into lake.meta.loads (load_id, loaded_at, files_read, files_skipped, "
            "rows_appended, rows_changed) values (?, now(), ?, ?, ?, ?)",
            [load_id, len(self.sources), len(self.report.skipped), appended, changed],
        )

    def _book_blocks(self, moved: list[Plan]) -> None:
        """Write the digests of the blocks of tables whose rows may change."""
        blocks = [
            (plan.source.file_id, plan.table, block, digest)
            for plan in moved
            for block, digest in plan.blocks.items()
        ]
        if not blocks:
            return
        kinds = ("varchar", "varchar", "bigint", "varchar")
        columns = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
        self.cursor.execute(
            "create or replace temp table moved_blocks (file_id, table_name, block, digest) as "
            f"select {columns}",
            [list(column) for column in zip(*blocks, strict=True)],
        )
        self.cursor.execute(
            "delete from lake.meta.blocks as old where exists (select 1 from moved_blocks as new "
            "where old.file_id = new.file_id and old.table_name = new.table_name)"
        )
        self.cursor.execute("insert into lake.meta.blocks by name from moved_blocks")
        self.cursor.execute("drop table moved_blocks")
