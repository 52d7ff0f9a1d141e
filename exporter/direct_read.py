"""One run out of telemetry files, into memory: which file holds it, and its rows.

An index on run_id makes this cost what the run costs; without one, the file is scanned once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import duckdb

from exporter import warehouse
from exporter.errors import SourceError, TelemetryError, one_line
from exporter.raw_schema import CAPABILITIES, TABLES, raw_columns
from exporter.raw_sql import (
    ENGINE_ERRORS,
    careful_sql,
    empty_sql,
    lean_sql,
    literal,
    typed_reader_fits,
    typed_sql,
)
from exporter.sources import Skipped, Source, reason_of

#: Gives every run of a file with its latest time, as the staging models see them.
RunsByModels = Callable[[duckdb.DuckDBPyConnection, Source], dict[str, float]]

#: A run that makes up at least one part in this many of a table is read by the typed scan.
_SHARE = 4
#: From this many rows on, a range of ids is read in two halves, each by a connection of its own.
_SPLIT_ROWS = 20_000
#: Seconds since 1970 of the years 2000 and 2101: the times that staging accepts.
_YEARS = (946684800, 4133980800)
_NEVER = float("-inf")

# The runs of a table and their latest times by walking an index on (run_id, ts), run by run.
_SKIP_SCAN = """
with recursive runs (run_id) as (
    select min({run}) from {table}
    union all
    select (select min({run}) from {table} where {run} > runs.run_id)
    from runs where runs.run_id is not null
)
select hex(run_id) as run_id, typeof(run_id) as kind,
    (select typeof({ts}) from {table} where {run} = runs.run_id order by {ts} desc limit 1) as type,
    (select printf('%!.17g', {ts}) from {table} where {run} = runs.run_id
        order by {ts} desc limit 1) as ts
from runs where run_id is not null
"""


class NoSuchRun(TelemetryError):
    """The files do not hold the run that was asked for."""


@dataclass(frozen=True)
class Extent:
    """Where one run's rows lie in a table: lowest id, highest id, how many; and all rows."""

    low: int
    high: int
    rows: int
    table_rows: int


@dataclass
class Found:
    """A run, the file it lives in, and what the search learnt about its rows."""

    source: Source
    run_id: str
    latest: float = _NEVER
    extents: dict[str, Extent] = field(default_factory=dict)


def find(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    run: str,
    runs_by_models: RunsByModels,
    skipped: list[Skipped],
) -> Found:
    """Return the file that holds a run.

    Args:
        connection: has the sources attached.
        sources: the files to look into.
        run: a run id, or ``latest``: the run whose events are the latest.
        runs_by_models: the slow way to a file's runs, for files with odd run ids or times.
        skipped: takes the files that could not be read.

    Raises:
        SourceError: the files hold no run at all.
        NoSuchRun: the run is not in them.
    """
    if run != "latest":
        holders = [found for s in sources if (found := _holder(connection, s, run)) is not None]
        if len(holders) == 1:
            return holders[0]
    everything: list[Found] = []
    for source in sources:
        try:
            everything += _runs(connection, source, runs_by_models)
        except ENGINE_ERRORS as error:
            skipped.append(Skipped(source.path, one_line(error, 160)))
    names = ", ".join(source.path for source in sources[:3])
    if not everything:
        raise SourceError(f"no run in {names}")
    candidates = [found for found in everything if run in ("latest", found.run_id)]
    if not candidates:
        latest = max(everything, key=_when).run_id
        count = len({found.run_id for found in everything})
        raise NoSuchRun(f"run {run!r} is not in {names} ({count} runs; the latest is {latest!r})")
    return max(candidates, key=_when)


def read(
    connection: duckdb.DuckDBPyConnection,
    found: Found,
    wanted: dict[str, list[str]],
) -> None:
    """Copy one run's rows into memory, as the raw relations, the cheapest way that works.

    Args:
        connection: has the file attached and ``lake.raw.source_files`` made.
        found: what `find` returned.
        wanted: per table the columns to read; the others are NULL.

    Raises:
        SourceError: a table of the file cannot be read.
    """
    for table in TABLES:
        connection.execute(f"drop view if exists lake.raw.{table}")
    with _Readers(connection, found.source) as readers:
        work = [
            readers.submit(_read_table, found, table, part, wanted.get(table, []))
            for table in TABLES
            for part in _parts(connection, found, table)
        ]
        for done in work:
            done.result()
    source = found.source
    marks = ", ".join("?" for _ in range(2 + len(CAPABILITIES)))
    connection.execute("delete from lake.raw.source_files")
    connection.execute(
        f"insert into lake.raw.source_files values ({marks})",
        [source.file_id, source.path, *source.capabilities().values()],
    )


def runs_of_file(
    connection: duckdb.DuckDBPyConnection, source: Source, runs_by_models: RunsByModels
) -> list[str]:
    """Return the ids of the runs of a file."""
    return [found.run_id for found in _runs(connection, source, runs_by_models)]


def _when(found: Found) -> tuple[float, str]:
    return found.latest, found.run_id


def _holder(connection: duckdb.DuckDBPyConnection, source: Source, run: str) -> Found | None:
    """Return the run where the file has it under just that name; None where it takes more."""
    found = Found(source, run)
    for table in source.tables:
        if not _is_plain(source, table) or not source.tables[table].id_is_rowid:
            continue
        extent = _extent(connection, source, table, run)
        if extent is not None:
            found.extents[table] = extent
    return found if found.extents else None


def _runs(
    connection: duckdb.DuckDBPyConnection, source: Source, runs_by_models: RunsByModels
) -> list[Found]:
    """Return the runs of a file, with the latest time of each."""
    found: dict[str, Found] = {}
    for table in source.tables:
        rows = _runs_of_table(connection, source, table)
        if rows is None:
            runs = runs_by_models(connection, source)
            return [Found(source, run_id, ts) for run_id, ts in runs.items()]
        for run_id, latest, extent in rows:
            entry = found.setdefault(run_id, Found(source, run_id))
            entry.latest = max(entry.latest, latest)
            if extent is not None:
                entry.extents[table] = extent
    return list(found.values())


def _runs_of_table(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str
) -> list[tuple[str, float, Extent | None]] | None:
    """Return (run, latest time, extent) by index or by one scan; None where a name or time is odd.

    What staging makes of plain text and of numbers between the years 2000 and 2100 is known:
    nothing. Whatever else there is has to go through the models.
    """
    shape = source.tables[table]
    if not _is_plain(source, table):
        return None
    run = shape.columns["run_id"][0]
    ts, ts_type = shape.columns.get("ts", ("", ""))
    if table == "run_summary":
        sql = (
            f"select {run} as run_id, null, null, null, null, null from {source.alias}.{shape.name}"
        )
    elif ts_type not in ("double", "bigint") or "timestamp" in shape.columns:
        return None
    elif any(columns[:2] == ("run_id", "ts") for columns in _indexes(connection, source, table)):
        return _runs_by_index(connection, source, table)
    elif shape.id_is_rowid:
        key = shape.id_name
        sql = (
            f"select {run}, min({ts}), max({ts}), min({key}), max({key}), count(*) "
            f"from {source.alias}.{shape.name} where {run} is not null group by 1"
        )
    else:
        return None
    try:
        rows = connection.execute(sql).fetchall()
    except ENGINE_ERRORS:
        return None
    total = sum(row[5] or 0 for row in rows)
    runs: list[tuple[str, float, Extent | None]] = []
    for run_id, first, last, low, high, count in rows:
        if run_id is None:
            continue
        if _is_odd(run_id) or any(ts is not None and not _is_usual(ts) for ts in (first, last)):
            return None
        extent = None if low is None else Extent(low, high, count, total)
        runs.append((run_id, _NEVER if last is None else float(last), extent))
    return runs


def _runs_by_index(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str
) -> list[tuple[str, float, Extent | None]] | None:
    """Return a table's runs and their latest times by an index on (run_id, ts)."""
    shape = source.tables[table]
    sql = _SKIP_SCAN.format(
        run=shape.columns["run_id"][0], ts=shape.columns["ts"][0], table=shape.name
    )
    rows = connection.execute(
        "select try(decode(unhex(run_id))), kind, type, try_cast(ts as double) "
        "from sqlite_query(?, ?)",
        [source.alias, sql],
    ).fetchall()
    for run_id, kind, type_, ts in rows:
        if kind != "text" or _is_odd(run_id) or type_ not in ("real", "integer", "null"):
            return None
        if ts is not None and not _is_usual(ts):
            return None
    return [(run_id, _NEVER if ts is None else ts, None) for run_id, _, _, ts in rows]


def _is_plain(source: Source, table: str) -> bool:
    """Tell whether SQLite keeps the run ids of a table as text."""
    return source.tables[table].columns.get("run_id", ("", ""))[1] == "varchar"


def _is_odd(run_id: str | None) -> bool:
    """Tell whether staging would change a run id or reject it."""
    return not run_id or not run_id.strip() or any(x in run_id for x in (":/", ":\\/", "\0"))


def _is_usual(ts: float) -> bool:
    return _YEARS[0] <= ts < _YEARS[1]


def _indexes(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str
) -> list[tuple[str, ...]]:
    """Return the columns of each index of a table that covers all its rows."""
    name = source.tables[table].name
    rows = connection.execute(
        "select columns from sqlite_query(?, ?)",
        [
            source.alias,
            "select group_concat(lower(i.name)) as columns "
            f"from pragma_index_list({literal(name)}) as l, pragma_index_info(l.name) as i "
            "where l.partial = 0 group by l.name",
        ],
    ).fetchall()
    return [tuple((columns or "").split(",")) for (columns,) in rows]


def _extent(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str, run_id: str
) -> Extent | None:
    """Return where a run's rows lie in a table; None if there are none, or for no idea."""
    shape = source.tables[table]
    run, key = shape.columns["run_id"][0], shape.id_name
    edges = f"min({key}) as low, max({key}) as high, count(*) as n"
    # two subqueries: SQLite looks up a lone min or max, and reads the whole table for both
    ends = f"(select max({key}) from {{0}}) - (select min({key}) from {{0}}) + 1 as n_all"
    try:
        if any(columns[0] == "run_id" for columns in _indexes(connection, source, table)):
            sql = f"select {edges}, {ends.format(shape.name)} from {shape.name} where {run} = "
            row = connection.execute(
                "select columns(*)::bigint from sqlite_query(?, ?)",
                [source.alias, sql + literal(run_id)],
            ).fetchone()
        else:
            relation = f"{source.alias}.{shape.name}"
            row = connection.execute(
                f"select min({key}) filter (is_run), max({key}) filter (is_run), "
                f"count(*) filter (is_run), count(*) "
                f"from (select {key}, {run} = ? as is_run from {relation})",
                [run_id],
            ).fetchone()
    except ENGINE_ERRORS:
        return None
    return None if row is None or row[0] is None else Extent(*row)


def _parts(
    connection: duckdb.DuckDBPyConnection, found: Found, table: str
) -> Iterator[Extent | None]:
    """Make the raw relation of a table and yield the pieces in which to read the run's rows.

    A piece is a range of ids, or None for the whole table.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in raw_columns(table).items())
    connection.execute(f"create table lake.raw.{table} ({columns})")
    shape = found.source.tables.get(table)
    if shape is None:
        return
    extent = _known_extent(connection, found, table)
    if extent is None or extent.rows < _SPLIT_ROWS or _is_large_part(extent):
        yield extent
        return
    middle = (extent.low + extent.high) // 2
    yield Extent(extent.low, middle, extent.rows // 2, extent.table_rows)
    yield Extent(middle + 1, extent.high, extent.rows // 2, extent.table_rows)


def _known_extent(connection: duckdb.DuckDBPyConnection, found: Found, table: str) -> Extent | None:
    """Return where the run's rows lie in a table that ids say something about; None for no idea."""
    shape = found.source.tables[table]
    if not (_is_plain(found.source, table) and shape.id_is_rowid):
        return None
    if table not in found.extents:
        extent = _extent(connection, found.source, table, found.run_id)
        if extent is None:
            return None
        found.extents[table] = extent
    return found.extents[table]


def _is_large_part(extent: Extent) -> bool:
    return extent.rows * _SHARE >= extent.table_rows


class _Readers:
    """Two threads, each with a connection of its own to DuckDB and to the SQLite file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Source) -> None:
        self._connection, self._source = connection, source
        self._pool = ThreadPoolExecutor(2)
        self._free: list[tuple[duckdb.DuckDBPyConnection, str]] = []

    def __enter__(self) -> _Readers:
        file = self._connection.execute(
            "select path from duckdb_databases() where database_name = ?", [self._source.alias]
        ).fetchone()
        if file is None:
            raise SourceError(f"{self._source.path} is no longer attached")
        self._connection.execute(f"attach {literal(file[0])} as second (type sqlite, read_only)")
        for alias in (self._source.alias, "second"):
            cursor = self._connection.cursor()
            warehouse.configure_cursor(cursor)
            self._free.append((cursor, alias))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for cursor, _alias in self._free:
            cursor.close()
        self._connection.execute("detach second")

    def submit(self, work: Callable[..., None], *arguments: Any) -> Any:
        """Have one of the threads do some work with its cursor and alias."""

        def run() -> None:
            mine = self._free.pop()
            try:
                work(*mine, *arguments)
            finally:
                self._free.append(mine)

        return self._pool.submit(run)


def _read_table(
    cursor: duckdb.DuckDBPyConnection,
    alias: str,
    found: Found,
    table: str,
    part: Extent | None,
    wanted: Collection[str],
) -> None:
    """Copy the run's rows of one piece of a table."""
    last: Exception | None = None
    for select in _selects(alias, found, table, part, wanted):
        try:
            cursor.execute(
                f"insert into lake.raw.{table} by name select *, "
                f"{literal(found.source.file_id)} as file_id, 1::bigint as load_id from ({select})"
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
    if shape.keys == ("run_id",) and _is_plain(found.source, table):
        run = shape.columns["run_id"][0]
        yield lean_sql(table, shape, alias, f"{run} = {literal(found.run_id)}", columns)
    yield f"select * from ({careful_sql(table, shape, alias)}) where {of_run}"


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
