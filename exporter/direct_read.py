"""The rows of one run out of its file, into memory, as the raw relations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

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
    connection: duckdb.DuckDBPyConnection, found: Found, wanted: Mapping[str, Collection[str]]
) -> Iterator[list[tuple[str, Future[None]]]]:
    """Have threads copy one run's rows into memory, as the raw relations, the cheapest way.

    Args:
        connection: has the file attached and ``lake.raw.source_files`` made.
        found: the run, and what the search learnt about it.
        wanted: per table the columns to read; the others are NULL.

    Yields:
        Pairs of a raw relation, which is there but still being filled, and the future that ends
        when one of its pieces is in; it raises SourceError where the file cannot be read. Leaving
        the block waits for all of them.
    """
    marks = ", ".join("?" for _ in range(2 + len(CAPABILITIES)))
    connection.execute("delete from lake.raw.source_files")
    for source in (found.source, *found.beside):
        connection.execute(
            f"insert into lake.raw.source_files values ({marks})",
            [source.file_id, source.path, *source.capabilities().values()],
        )
    if found.source.archived is not None or found.beside:
        for table in TABLES:
            _read_archived(connection, found, table, wanted.get(table, ()))
        yield []
        return
    given = {"file_id": literal(found.source.file_id), "load_id": "1"}
    with _Readers(connection, found) as readers:
        futures: list[tuple[str, Future[None]]] = []
        for table in TABLES:
            columns = _make_relation(connection, table, wanted.get(table, ()), given)
            for part in _parts(connection, found, table):
                futures.append((table, readers.submit(table, part, columns)))
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
    connection: duckdb.DuckDBPyConnection, found: Found, table: str, wanted: Collection[str]
) -> None:
    """Make the raw relation of a table of which rows are in archives; a file's rows go first."""
    needed = {"id", "defect", "file_id", *UPSERTED.get(table, ())}
    columns = _make_relation(connection, table, {*wanted, *needed}, {"load_id": "1"})
    of_file = [name for name in columns if name != "file_id"]
    if found.source.archived is None:
        for part in _parts(connection, found, table):
            _read_part(connection, found.source.alias, found, table, part, of_file)
        connection.execute(
            f"update lake.raw.{table}_rows set file_id = {literal(found.source.file_id)}"
        )
    names = UPSERTED.get(table, ("id",))
    same = " and ".join(["true", *(f"old.{n} is not distinct from new.{n}" for n in names)])
    for source in (found.source, *found.beside):
        run = source.archived
        if run is None or table not in run.tables:
            continue
        select = archived.select_sql(source.path, run, table)
        try:
            archived.check(source.path, run, [table])
            connection.execute(
                f"insert into lake.raw.{table}_rows by name select {', '.join(of_file)}, "
                f"{literal(source.file_id)} as file_id from ({select}) as new "
                f"where not exists (select 1 from lake.raw.{table}_rows as old "
                f"where {same} and old.defect is not distinct from new.defect)"
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
    """Two threads, each with a connection of its own to DuckDB and to the SQLite file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, found: Found) -> None:
        self._connection, self._found = connection, found
        self._pool = ThreadPoolExecutor(2)
        self._free: list[tuple[duckdb.DuckDBPyConnection, str]] = []

    def __enter__(self) -> _Readers:
        source = self._found.source
        file = self._connection.execute(
            "select path from duckdb_databases() where database_name = ?", [source.alias]
        ).fetchone()
        if file is None:
            raise SourceError(f"{source.path} is no longer attached")
        self._connection.execute(f"attach {literal(file[0])} as second (type sqlite, read_only)")
        for alias in (source.alias, "second"):
            cursor = self._connection.cursor()
            warehouse.configure_cursor(cursor)
            self._free.append((cursor, alias))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for cursor, _alias in self._free:
            cursor.close()
        self._connection.execute("detach second")

    def submit(self, table: str, part: Extent | None, columns: Sequence[str]) -> Future[None]:
        """Have one of the threads read the run's rows of one piece of a table."""

        def work() -> None:
            mine = self._free.pop()
            try:
                _read_part(*mine, self._found, table, part, columns)
            finally:
                self._free.append(mine)

        return self._pool.submit(work)


def _read_part(
    cursor: duckdb.DuckDBPyConnection,
    alias: str,
    found: Found,
    table: str,
    part: Extent | None,
    columns: Sequence[str],
) -> None:
    """Copy the run's rows of one piece of a table, the fastest way that its values bear."""
    last: Exception | None = None
    for select in _selects(alias, found, table, part, columns):
        try:
            cursor.execute(
                f"insert into lake.raw.{table}_rows by name "
                f"select {', '.join(columns)} from ({select})"
            )
            return
        except ENGINE_ERRORS as error:
            last = error
    if last is not None:
        raise SourceError(
            f"cannot read {table} of {found.source.path}: {reason_of(last)}"
        ) from last


def _selects(
    alias: str, found: Found, table: str, part: Extent | None, wanted: Collection[str]
) -> Iterator[str]:
    """Yield the ways to read one run's rows of a piece of a table, the fastest first."""
    shape = found.source.tables[table]
    of_run = f"run_id = {literal(found.run_id)}"
    columns = {*wanted, "run_id"}
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
