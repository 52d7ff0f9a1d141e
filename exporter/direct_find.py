"""Which file holds a run, and where in its tables the run's rows lie.

An index on run_id makes this cost what the run costs; without one, the file is scanned once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from exporter.errors import SourceError, TelemetryError
from exporter.findings import plural
from exporter.raw_schema import TELEMETRY, has_url
from exporter.raw_sql import COMPUTED, ENGINE_ERRORS, literal
from exporter.sources import Skipped, Source, reason_of

#: Gives every run of a file with its latest time, as the staging models see them.
RunsByModels = Callable[[duckdb.DuckDBPyConnection, Source], dict[str, float]]

#: Has the times that staging accepts; to be built before runs are looked for.
BOUNDS_MODEL = "int_time_bounds"
_NEVER = float("-inf")
#: Tables whose rows count though they have no time.
_UNTIMED = ("downloads", "run_summary")

# The runs of a table and their latest times by walking an index on (run_id, ts), run by run.
_SKIP_SCAN = """
with recursive runs (run_id) as (
    select min({run} collate binary) from {table}
    union all
    select (
        select min({run} collate binary) from {table} where {run} > runs.run_id collate binary
    )
    from runs where runs.run_id is not null
)
select hex(run_id) as run_id, typeof(run_id) as kind,
    (select typeof({ts}) from {table} where {run} = runs.run_id collate binary
        order by {ts} desc limit 1) as type,
    (select iif({ts} is null, null, printf('%!.17g', {ts})) from {table}
        where {run} = runs.run_id collate binary order by {ts} desc limit 1) as ts
from runs where run_id is not null
"""


class NoSuchRun(TelemetryError):
    """The files do not hold the run that was asked for.

    Attributes:
        beside: the run, found in them, that the missing one was to be compared with; None if it
            is the run itself that is missing.
    """

    beside: str | None = None


class NoRunAtAll(SourceError):
    """The files hold no run."""


@dataclass(frozen=True)
class Extent:
    """Where one run's rows lie in a table: lowest id, highest id, how many; and all rows."""

    low: int
    high: int
    rows: int
    table_rows: int


@dataclass
class Found:
    """A run, the file it lives in, and what the search learnt about its rows.

    Attributes:
        source: the first file that has it; an archived run only where no file has it.
        run_id: the run.
        latest: its latest time, Unix seconds.
        extents: where its rows lie in the source, by table.
        beside: the other files and archives that have rows of the run.
    """

    source: Source
    run_id: str
    latest: float = _NEVER
    extents: dict[str, Extent] = field(default_factory=dict)
    beside: list[Source] = field(default_factory=list)

    @property
    def places(self) -> list[Source]:
        """Return all files and archives that have rows of the run."""
        return [self.source, *self.beside]


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
        NoRunAtAll: the files hold no run.
        NoSuchRun: the run is not in them.
    """
    if run != "latest" and not is_changed(run):
        holders = [h for s in sources if (h := _holder(connection, s, run, runs_by_models))]
        if holders:
            return _together(holders)
    return chosen(latest_runs(connection, sources, runs_by_models, skipped), sources, run)


def chosen(everything: Sequence[Found], sources: Sequence[Source], run: str) -> Found:
    """Return the run that is meant, of those that `latest_runs` returned.

    Raises:
        NoSuchRun: it is not among them.
    """
    for found in everything:
        if run in ("latest", found.run_id):
            return found
    latest = f"; the latest is {everything[0].run_id!r}" if everything else ""
    runs = f"{plural(len(everything), 'run')}{latest}"
    raise NoSuchRun(f"run {run!r} is not in {named_sources(sources, 3)} ({runs})")


def _together(places: Sequence[Found]) -> Found:
    """Return one run that several files and archives have; a file goes before an archive."""
    first = min(places, key=lambda found: found.source.archived is not None)
    return replace(
        first,
        latest=max(found.latest for found in places),
        beside=[found.source for found in places if found is not first],
    )


def latest_runs(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    runs_by_models: RunsByModels,
    skipped: list[Skipped],
) -> list[Found]:
    """Return all runs, each once, the one whose events are the latest first; as in `find`."""
    everything: list[Found] = []
    for source in sources:
        try:
            everything += _runs(connection, source, runs_by_models)
        except ENGINE_ERRORS as error:
            skipped.append(Skipped(source.path, reason_of(error, source.path)))
    if not everything:
        raise NoRunAtAll(f"no run in {named_sources(sources, 3)}")
    by_run: dict[str, list[Found]] = {}
    for found in everything:
        by_run.setdefault(found.run_id, []).append(found)
    return sorted(map(_together, by_run.values()), key=_when, reverse=True)


def named_sources(sources: Sequence[Source], most: int = 1) -> str:
    """Name the first files of several, and say how many more there are."""
    paths = list(dict.fromkeys(source.path for source in sources))
    more = f" and {len(paths) - most:,} more" if len(paths) > most else ""
    return f"{', '.join(paths[:most])}{more}"


def runs_of_file(
    connection: duckdb.DuckDBPyConnection, source: Source, runs_by_models: RunsByModels
) -> dict[str, float]:
    """Return the runs of a file, each with its last time."""
    return {found.run_id: found.latest for found in _runs(connection, source, runs_by_models)}


def extent_of(
    connection: duckdb.DuckDBPyConnection, found: Found, source: Source, table: str
) -> Extent | None:
    """Return where the run's rows lie in a table that ids say something about; None for no idea."""
    if not (is_plain(source, table) and source.tables[table].id_is_rowid):
        return None
    if source is found.source and table in found.extents:
        return found.extents[table]
    extent = _measured(connection, source, table, found.run_id)
    if extent is not None and source is found.source:
        found.extents[table] = extent
    return extent


def is_plain(source: Source, table: str) -> bool:
    """Tell whether SQLite keeps the run ids of a table as text, in a column that a scan sees."""
    return source.tables[table].columns.get("run_id", ("", ""))[1] == "varchar"


def _is_text(source: Source, table: str) -> bool:
    """Tell whether a run is found in a table by its id, as text."""
    return source.tables[table].columns.get("run_id", ("", ""))[1] in ("varchar", COMPUTED)


def _when(found: Found) -> tuple[float, str]:
    return found.latest, found.run_id


def _holder(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    run: str,
    runs_by_models: RunsByModels,
) -> Found | None:
    """Return the run where the source has it; None where it has not."""
    if source.archived is not None:
        return _archived(source) if source.archived.run_id == run else None
    found = Found(source, run)
    is_there, is_sure = False, True
    for table, shape in source.tables.items():
        if not _is_text(source, table):
            is_sure = is_sure and "run_id" not in shape.columns
        elif shape.id_is_rowid and is_plain(source, table):
            extent = _measured(connection, source, table, run)
            if extent is not None:
                found.extents[table] = extent
        elif not is_there:
            is_there = _is_in(connection, source, table, run)
    if is_there or found.extents:
        return found
    if not is_sure and run in (runs := runs_by_models(connection, source)):
        return Found(source, run, runs[run])
    return None


def _is_in(connection: duckdb.DuckDBPyConnection, source: Source, table: str, run: str) -> bool:
    """Tell whether a table whose ids say nothing has a row of a run."""
    shape = source.tables[table]
    where = f"{shape.columns['run_id'][0]} = {literal(run)} collate binary"
    where += f" and ({shape.where})" if shape.where else ""
    sql = f"select 1 as one from {shape.name} where {where} limit 1"
    return bool(connection.execute("from sqlite_query(?, ?)", [source.alias, sql]).fetchall())


def _runs(
    connection: duckdb.DuckDBPyConnection, source: Source, runs_by_models: RunsByModels
) -> list[Found]:
    """Return the runs of a file, with the latest time of each."""
    if source.archived is not None:
        return [_archived(source)]
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


def _archived(source: Source) -> Found:
    run = source.archived
    assert run is not None
    return Found(source, run.run_id, _NEVER if run.last_event_at is None else run.last_event_at)


def _runs_of_table(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str
) -> list[tuple[str, float, Extent | None]] | None:
    """Return (run, latest time, extent) by index or by one scan; None where a name or time is odd.

    What staging makes of plain text and of usual times is known: nothing. Whatever else there is
    has to go through the models.
    """
    shape = source.tables[table]
    if table not in TELEMETRY:  # a recorder that recorded nothing makes no run
        return []
    if not is_plain(source, table):
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
    if not _are_usual(connection, [ts for row in rows for ts in row[1:3]]):
        return None
    total = sum(row[5] or 0 for row in rows)
    runs: list[tuple[str, float, Extent | None]] = []
    for run_id, _, last, low, high, count in rows:
        if run_id is None or (last is None and table not in _UNTIMED):
            continue
        if _is_odd(run_id):
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
    for run_id, kind, type_, _ in rows:
        if kind != "text" or _is_odd(run_id) or type_ not in ("real", "integer", "null"):
            return None
    if not _are_usual(connection, [row[3] for row in rows]):
        return None
    return [
        (run_id, _NEVER if ts is None else ts, None)
        for run_id, _, _, ts in rows
        if ts is not None or table in _UNTIMED
    ]


def _is_odd(run_id: str | None) -> bool:
    """Tell whether staging would change a run id or reject it."""
    return not run_id or not run_id.strip() or "\0" in run_id or has_url(run_id)


def is_changed(run: str) -> bool:
    """Tell whether a run id may stand for another one in its file: its hash, for one."""
    return run.startswith("url-sha256:") or "\ufffd" in run or _is_odd(run)


def _are_usual(connection: duckdb.DuckDBPyConnection, times: Sequence[float | None]) -> bool:
    """Tell whether all numbers are times in seconds that count; None is passed over."""
    found = connection.execute(
        "select bool_and(ts >= first_s and ts < end_s) "
        f"from lake.intermediate.{BOUNDS_MODEL}, (select unnest(?::double[]) as ts)",
        [times],
    ).fetchone()
    return found != (False,)


def _indexes(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str
) -> list[tuple[str, ...]]:
    """Return the columns of each index of a table that covers all its rows, byte by byte."""
    name = source.tables[table].name
    rows = connection.execute(
        "select columns from sqlite_query(?, ?)",
        [
            source.alias,
            "select group_concat(iif(i.coll = 'BINARY', lower(i.name), '')) as columns "
            f"from pragma_index_list({literal(name)}) as l, pragma_index_xinfo(l.name) as i "
            "where l.partial = 0 and i.key group by l.name",
        ],
    ).fetchall()
    return [tuple((columns or "").split(",")) for (columns,) in rows]


def _measured(
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
                [source.alias, f"{sql}{literal(run_id)} collate binary"],
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
