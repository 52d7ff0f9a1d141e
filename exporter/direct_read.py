"""The rows of a run, or of several, out of their files, into memory, as the raw relations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import duckdb

from exporter import archived, warehouse
from exporter.archived import ArchiveDamaged
from exporter.direct_find import Extent, Found, extent_of, is_plain
from exporter.errors import SourceError
from exporter.raw_schema import CAPABILITIES, TABLES, UPSERTED, raw_columns
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
    sources = list({s.file_id: s for found in runs for s in (found.source, *found.beside)}.values())
    columns = ["file_id", "path", *CAPABILITIES]
    marks = ", ".join("?" for _ in columns)
    connection.execute("delete from lake.raw.source_files")
    for source in sources:
        connection.execute(
            f"insert into lake.raw.source_files ({', '.join(columns)}) values ({marks})",
            [source.file_id, source.path, *source.capabilities().values()],
        )
    if any(source.archived is not None for source in sources):
        for table in TABLES:
            _read_archived(connection, runs, table, wanted.get(table, ()))
        yield []
        return
    given = {"load_id": "1"}
    if len(sources) == 1:  # the usual case: no need to keep it row by row
        given["file_id"] = literal(sources[0].file_id)
    with _Readers(connection, sources) as readers:
        futures: list[tuple[str, Future[None]]] = []
        for table in TABLES:
            columns = _make_relation(connection, table, {*wanted.get(table, ()), "file_id"}, given)
            if is_whole:
                for source in sources:
                    ids = [f.run_id for f in runs if f.source.file_id == source.file_id]
                    selects = partial(_selects_of_many, source, ids, table, columns=columns)
                    futures.append((table, readers.submit(source, table, selects, columns)))
                continue
            for found in runs:
                for part in _parts(connection, found, table):
                    selects = partial(_selects, found, table, part, columns=columns)
                    futures.append((table, readers.submit(found.source, table, selects, columns)))
        yield futures


def raw_views(connection: duckdb.DuckDBPyConnection, source: Source, typed: bool) -> None:
    """Present a whole file as the raw relations, by the typed scan or value by value."""
    for table in TABLES:
        shape = source.tables.get(table)
        if shape is None:
            select = empty_sql(table)
        elif typed and typed_reader_fits(table, shape):
            select = typed_sql(table, shape, source.alias)
        else:
            select = careful_sql(table, shape, source.alias)
        connection.execute(
            f"create or replace view lake.raw.{table} as "
            f"select *, {literal(source.file_id)} as file_id, 1::bigint as load_id from ({select})"
        )


def _read_archived(
    connection: duckdb.DuckDBPyConnection,
    runs: Sequence[Found],
    table: str,
    wanted: Collection[str],
) -> None:
    """Make the raw relation of a table of which rows are in archives; a file's rows go first."""
    names = UPSERTED.get(table, ("id",))
    needed = {"run_id", "defect", "file_id", *names}
    columns = _make_relation(connection, table, {*wanted, *needed}, {"load_id": "1"})
    for found in runs:
        if found.source.archived is None:
            for part in _parts(connection, found, table):
                selects = _selects(found, table, part, found.source.alias, columns)
                _read_part(connection, found.source, table, selects, columns)
    of_file = ", ".join(name for name in columns if name != "file_id")
    same = " and ".join(
        f"old.{name} is not distinct from new.{name}" for name in ("run_id", *names, "defect")
    )
    for source in (source for found in runs for source in (found.source, *found.beside)):
        run = source.archived
        if run is None or table not in run.tables:
            continue
        select = archived.select_sql(source.path, run, table)
        try:
            archived.check(source.path, run, [table])
            connection.execute(
                f"insert into lake.raw.{table}_rows by name select {of_file}, "
                f"{literal(source.file_id)} as file_id from ({select}) as new "
                f"where not exists (select 1 from lake.raw.{table}_rows as old "
                f"where {same})"
            )
        except (*ENGINE_ERRORS, ArchiveDamaged) as error:
            raise SourceError(
                f"cannot read {table} of {source.path}: {reason_of(error)}"
            ) from error


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
    connection: duckdb.DuckDBPyConnection, found: Found, table: str
) -> Iterator[Extent | None]:
    """Yield the pieces in which to read a table's rows: ranges of ids, or None for the whole."""
    shape = found.source.tables.get(table)
    if shape is None:
        return
    extent = extent_of(connection, found, table)
    if extent is None or extent.rows < _SPLIT_ROWS or _is_large_part(extent):
        yield extent
        return
    middle = (extent.low + extent.high) // 2
    yield Extent(extent.low, middle, extent.rows // 2, extent.table_rows)
    yield Extent(middle + 1, extent.high, extent.rows // 2, extent.table_rows)


def _is_large_part(extent: Extent) -> bool:
    return extent.rows * _SHARE >= extent.table_rows


class _Readers:
    """Two threads, each with a connection of its own to DuckDB and to the SQLite files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> None:
        self._connection, self._sources = connection, sources
        self._pool = ThreadPoolExecutor(2)
        self._free: list[tuple[duckdb.DuckDBPyConnection, str]] = []

    def __enter__(self) -> _Readers:
        for source in self._sources:
            file = self._connection.execute(
                "select path from duckdb_databases() where database_name = ?", [source.alias]
            ).fetchone()
            if file is None:
                raise SourceError(f"{source.path} is no longer attached")
            self._connection.execute(
                f"attach {literal(file[0])} as second_{source.alias} (type sqlite, read_only)"
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
        for source in self._sources:
            self._connection.execute(f"detach second_{source.alias}")

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
        raise SourceError(f"cannot read {table} of {source.path}: {reason_of(last)}") from last


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
    found: Found, table: str, part: Extent | None, alias: str, columns: Collection[str]
) -> Iterator[str]:
    """Yield the ways to read one run's rows of a piece of a table, the fastest first."""
    shape = found.source.tables[table]
    of_run = f"run_id = {literal(found.run_id)}"
    columns = {*columns, "run_id"}
    if part is not None:
        if _is_large_part(part) and typed_reader_fits(table, shape):
            yield f"select * from ({typed_sql(table, shape, alias, columns)}) where {of_run}"
        run = shape.columns["run_id"][0]
        where = f"{run} = {literal(found.run_id)}"
        where += f" and {shape.id_name} between {part.low:d} and {part.high:d}"
        yield lean_sql(table, shape, alias, where, columns)
        yield careful_sql(table, shape, alias, where)
        return
    if shape.keys == ("run_id",) and is_plain(found.source, table):
        run = shape.columns["run_id"][0]
        yield lean_sql(table, shape, alias, f"{run} = {literal(found.run_id)}", columns)
    yield f"select * from ({careful_sql(table, shape, alias)}) where {of_run}"
