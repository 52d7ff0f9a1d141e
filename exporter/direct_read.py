"""The rows of a run, or of several, out of their files, into memory, as the raw relations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import duckdb

from exporter import archived, warehouse
from exporter.archived import ArchiveDamaged
from exporter.direct_find import Extent, Found, extent_of
from exporter.errors import SourceError
from exporter.load_table import merge, rows_sql
from exporter.raw_schema import TABLES, raw_columns
from exporter.raw_sql import (
    ENGINE_ERRORS,
    careful_sql,
    empty_sql,
    lean_sql,
    literal,
    typed_reader_fits,
    typed_sql,
)
from exporter.sources import Source, reason_of
from exporter.warehouse_schema import source_file_columns

#: A run that makes up at least one part in this many of a table is read by the typed scan.
_SHARE = 4
#: From this many rows on, a range of ids is read in two halves, each by a connection of its own.
_SPLIT_ROWS = 20_000


@contextmanager
def reading(
    connection: duckdb.DuckDBPyConnection,
    runs: Sequence[Found],
    wanted: Mapping[str, Collection[str]],
    is_whole: bool = False,
) -> Iterator[list[tuple[str, Future[None]]]]:
    """Have threads copy the rows of runs into memory, as the raw relations, the cheapest way.

    Args:
        connection: has the files attached and ``lake.raw.source_files`` made.
        runs: the runs, each once, and what the search learnt about them.
        wanted: per table the columns to read; the others are NULL.
        is_whole: the runs are so many that each file is read once for all of them.

    Yields:
        Pairs of a raw relation, which is there but still being filled, and the future that ends
        when one of its pieces is in; it raises SourceError where the file cannot be read. Leaving
        the block waits for all of them.
    """
    sources = list({s.file_id: s for found in runs for s in found.places}.values())
    columns = list(source_file_columns())
    marks = ", ".join("?" for _ in columns)
    connection.execute("delete from lake.raw.source_files")
    for source in sources:
        connection.execute(
            f"insert into lake.raw.source_files ({', '.join(columns)}) values ({marks})",
            [source.booked()[name] for name in columns],
        )
    with _Readers(connection, [s for s in sources if s.archived is None]) as readers:
        futures: list[tuple[str, Future[None]]] = []
        for table in TABLES:
            of_table = [[s for s in found.places if table in s.tables] for found in runs]
            if any(len(group) > 1 or any(s.archived for s in group) for group in of_table):
                _merge(connection, runs, table)
                continue
            holders = {s.file_id: s for group in of_table for s in group}
            given = {"load_id": "1"}
            if len(holders) == 1:  # the usual case: no need to keep it row by row
                given["file_id"] = literal(*holders)
            names = _make_relation(connection, table, {*wanted.get(table, ()), "file_id"}, given)
            for source in holders.values():
                of_source = [f for f, group in zip(runs, of_table, strict=True) if source in group]
                if is_whole or _are_large_part(connection, of_source, source, table):
                    ids = [found.run_id for found in of_source]
                    selects = partial(_selects_of_many, source, ids, table, columns=names)
                    futures.append((table, readers.submit(source, table, selects, names)))
                    continue
                for found in of_source:
                    for part in _parts(connection, found, source, table):
                        selects = partial(
                            _selects, source, found.run_id, table, part, columns=names
                        )
                        futures.append((table, readers.submit(source, table, selects, names)))
        yield futures


def raw_views(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    typed: bool,
    newest: int | None = None,
) -> None:
    """Present files as the raw relations, by the typed scan or value by value.

    Args:
        connection: has the files attached.
        sources: the files.
        typed: by the typed scan, where the columns' types allow it.
        newest: how many ids of each table to read, the highest, where ids are rowids; None for all.
    """
    columns = ", ".join(source_file_columns())
    connection.execute("delete from lake.raw.source_files")
    for source in sources:
        connection.execute(
            f"insert into lake.raw.source_files ({columns}) "
            f"values ({', '.join('?' for _ in source.booked())})",
            [*source.booked().values()],
        )
    for table in TABLES:
        selects = []
        for source in sources:
            shape = source.tables.get(table)
            if shape is None:
                continue
            if newest is not None and shape.id_is_rowid:
                last = f"(select max({shape.id_name}) from {shape.name})"
                where = f"{shape.id_name} > {last} - {newest:d}"
                select = careful_sql(table, shape, source.alias, where)
            elif typed and typed_reader_fits(table, shape):
                select = typed_sql(table, shape, source.alias)
            else:
                select = careful_sql(table, shape, source.alias)
            selects.append(_marked(select, source))
        connection.execute(
            f"create or replace view lake.raw.{table} as "
            + (" union all by name ".join(selects) or _marked(empty_sql(table), None))
        )


def _marked(select: str, source: Source | None) -> str:
    """Return a select with the columns that say where rows come from."""
    file_id = literal(source.file_id) if source is not None else "null::varchar"
    return f"select *, {file_id} as file_id, 1::bigint as load_id from ({select})"


def _merge(connection: duckdb.DuckDBPyConnection, runs: Sequence[Found], table: str) -> None:
    """Make the raw relation of a table of which several files or archives have rows of a run.

    Which rows are the same is what the loader says.
    """
    kinds = ", ".join(f"{name} {kind}" for name, kind in raw_columns(table).items())
    connection.execute(f"drop view if exists lake.raw.{table}")
    connection.execute(f"create or replace table lake.raw.{table} ({kinds})")
    connection.execute(f"create or replace temp table new_{table} ({kinds})")
    ids: dict[str, tuple[Source, list[str]]] = {}
    for found in runs:
        for source in found.places:
            if table in source.tables:
                ids.setdefault(source.file_id, (source, []))[1].append(found.run_id)
    for source, of_source in ids.values():
        try:
            if source.archived is not None:
                archived.check(source.path, source.archived, [table])
            of_runs = f"run_id in ({', '.join(map(literal, of_source))})"
            connection.execute(
                f"insert into new_{table} by name "
                f"{_marked(rows_sql(source, table), source)} where {of_runs}"
            )
        except (*ENGINE_ERRORS, ArchiveDamaged) as error:
            raise SourceError(
                f"cannot read {table} of {source.path}: {reason_of(error, source.path)}"
            ) from error
    merge(connection, table, rereads=False)
    connection.execute(f"drop table new_{table}")


def _make_relation(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    wanted: Collection[str],
    given: Mapping[str, str],
) -> list[str]:
    """Make the raw relation of a table, over a narrow table of the columns to be read."""
    kinds = raw_columns(table)
    columns = [name for name in kinds if name in wanted and name not in given] or ["id"]
    stored = ", ".join(f"{name} {kinds[name]}" for name in columns)
    shown = ", ".join(
        name if name in columns else f"{given.get(name, 'null')}::{kind} as {name}"
        for name, kind in kinds.items()
    )
    connection.execute(f"drop view if exists lake.raw.{table}")
    connection.execute(f"create table lake.raw.{table}_rows ({stored})")
    connection.execute(f"create view lake.raw.{table} as select {shown} from lake.raw.{table}_rows")
    return columns


def _parts(
    connection: duckdb.DuckDBPyConnection, found: Found, source: Source, table: str
) -> Iterator[Extent | None]:
    """Yield the pieces in which to read a table's rows: ranges of ids, or None for the whole."""
    extent = extent_of(connection, found, source, table)
    if extent is None or extent.rows < _SPLIT_ROWS or _is_large_part(extent):
        yield extent
        return
    middle = (extent.low + extent.high) // 2
    yield Extent(extent.low, middle, extent.rows // 2, extent.table_rows)
    yield Extent(middle + 1, extent.high, extent.rows // 2, extent.table_rows)


def _are_large_part(
    connection: duckdb.DuckDBPyConnection, runs: Sequence[Found], source: Source, table: str
) -> bool:
    """Tell whether several runs are so much of a table that one scan reads them faster."""
    if len(runs) < 2 or not typed_reader_fits(table, source.tables[table]):
        return False
    extents = [extent_of(connection, found, source, table) for found in runs]
    known = [extent for extent in extents if extent is not None]
    rows = sum(extent.rows for extent in known)
    return len(known) == len(runs) and rows * _SHARE >= known[0].table_rows


def _is_large_part(extent: Extent) -> bool:
    return extent.rows * _SHARE >= extent.table_rows


class _Readers:
    """Two threads, each with a connection of its own to DuckDB and to the SQLite files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> None:
        self._connection, self._sources = connection, sources
        self._pool = ThreadPoolExecutor(2)
        self._free: list[tuple[duckdb.DuckDBPyConnection, str]] = []

    def __enter__(self) -> _Readers:
        self._aliases = sorted({source.alias for source in self._sources})
        for alias in self._aliases:
            file = self._connection.execute(
                "select path from duckdb_databases() where database_name = ?", [alias]
            ).fetchone()
            if file is None:
                raise SourceError(f"{alias} is no longer attached")
            self._connection.execute(
                f"attach {literal(file[0])} as second_{alias} (type sqlite, read_only)"
            )
        for prefix in ("", "second_"):
            cursor = self._connection.cursor()
            warehouse.configure_cursor(cursor)
            self._free.append((cursor, prefix))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for cursor, _prefix in self._free:
            cursor.close()
        for alias in self._aliases:
            self._connection.execute(f"detach second_{alias}")

    def submit(
        self,
        source: Source,
        table: str,
        selects: Callable[[str], Iterator[str]],
        columns: Sequence[str],
    ) -> Future[None]:
        """Have one of the threads read a piece of a table.

        Args:
            source: the file.
            table: the table.
            selects: gives the ways to read the piece, of the file attached by a name.
            columns: what to read.
        """

        def work() -> None:
            cursor, prefix = mine = self._free.pop()
            try:
                _read_part(cursor, source, table, selects(f"{prefix}{source.alias}"), columns)
            finally:
                self._free.append(mine)

        return self._pool.submit(work)


def _read_part(
    cursor: duckdb.DuckDBPyConnection,
    source: Source,
    table: str,
    selects: Iterator[str],
    columns: Sequence[str],
) -> None:
    """Copy the rows of one piece of a table, the fastest way that its values bear."""
    last: Exception | None = None
    shown = ", ".join(
        f"{literal(source.file_id)} as file_id" if name == "file_id" else name for name in columns
    )
    for select in selects:
        try:
            cursor.execute(
                f"insert into lake.raw.{table}_rows by name select {shown} from ({select})"
            )
            return
        except ENGINE_ERRORS as error:
            last = error
    if last is not None:
        raise SourceError(
            f"cannot read {table} of {source.path}: {reason_of(last, source.path)}"
        ) from last


def _selects_of_many(
    source: Source, runs: Sequence[str], table: str, alias: str, columns: Collection[str]
) -> Iterator[str]:
    """Yield the ways to read the rows of many runs of a table at once, the fastest first."""
    shape = source.tables.get(table)
    if shape is None:
        return
    of_runs = f"run_id in ({', '.join(map(literal, runs))})"
    if typed_reader_fits(table, shape):
        selected = typed_sql(table, shape, alias, {*columns, "run_id"})
        yield f"select * from ({selected}) where {of_runs}"
    yield f"select * from ({careful_sql(table, shape, alias)}) where {of_runs}"


def _selects(
    source: Source,
    run_id: str,
    table: str,
    part: Extent | None,
    alias: str,
    columns: Collection[str],
) -> Iterator[str]:
    """Yield the ways to read one run's rows of a piece of a table, the fastest first."""
    shape = source.tables[table]
    of_run = f"run_id = {literal(run_id)}"
    columns = {*columns, "run_id"}
    if part is not None:
        if _is_large_part(part) and typed_reader_fits(table, shape):
            yield f"select * from ({typed_sql(table, shape, alias, columns)}) where {of_run}"
        where = f"{shape.columns['run_id'][0]} = {literal(run_id)} collate binary"
        where += f" and {shape.id_name} between {part.low:d} and {part.high:d}"
        if "misfits" not in columns:  # the quick reader does not keep all that does not fit
            yield lean_sql(table, shape, alias, where, columns)
        yield careful_sql(table, shape, alias, where)
        return
    yield f"select * from ({careful_sql(table, shape, alias)}) where {of_run}"
