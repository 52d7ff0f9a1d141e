"""One run's answers straight from its file: the compiled models over the rows of that run.

Nothing is stored and dbt is not imported, which is what lets an answer about a file never seen
come back in a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from exporter import warehouse
from exporter.errors import ModelError, SourceError, TelemetryError, one_line
from exporter.loader import unreadable
from exporter.paths import warehouse_dir
from exporter.raw_schema import CAPABILITIES, TABLES, raw_columns
from exporter.raw_sql import (
    careful_sql,
    empty_sql,
    lean_sql,
    literal,
    typed_reader_fits,
    typed_sql,
)
from exporter.results import SUMMARY_MODELS
from exporter.sources import Skipped, Source, attached, expand, reason_of

#: A run that makes up at least one part in this many of a table is read by the typed scan.
_SHARE = 4
#: Tables whose rows have a time of their own; run_summary only names a run.
_TIMED = tuple(table for table in TABLES if table != "run_summary")

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
class Direct:
    """An in-memory database in which the marts of one run can be read.

    Attributes:
        connection: relations have the names they have in the warehouse.
        run_id: the run they are about.
        path: the file it lives in.
        skipped: sources that could not be read.
    """

    connection: duckdb.DuckDBPyConnection
    run_id: str
    path: str
    skipped: list[Skipped]


def compiled(project: Path, say: Callable[[str], None], verbose: bool = False) -> Path:
    """Return the file with the compiled models, having dbt write it if the models changed.

    The file lies in the warehouse folder (or, where that cannot be written, in the temporary
    folder) under the digest of the models, so that an edited model is compiled at its first use.

    Raises:
        ModelError: a model does not compile, or there is nowhere to write.
    """
    name = f"{warehouse.models_version(project)}.json"
    folders = [
        warehouse_dir() / "compiled",
        Path(tempfile.gettempdir()) / f"docstokg-{os.getuid()}",
    ]
    for folder in folders:
        if (folder / name).is_file() and (folder / name).stat().st_uid == os.getuid():
            return folder / name
    from exporter.runner import compile_models

    say("models are new or changed: compiling them (once)")
    text = _with_columns(compile_models(project, verbose))
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as part:
                part.write(text)
            os.replace(part.name, folder / name)
            return folder / name
        except OSError:
            continue
    raise ModelError(f"cannot write the compiled models to {folders[0]} nor to {folders[1]}")


@contextmanager
def opened(
    names: Sequence[str], run: str, compiled_models: Path, wanted: Iterable[str]
) -> Iterator[Direct]:
    """Read one run out of the named sources and build the wanted models over it.

    Args:
        names: files, folders and globs.
        run: a run id, or ``latest``: the run whose events are the latest.
        compiled_models: the file that `compiled` returned.
        wanted: names of the models to build, with all that they need.

    Raises:
        SourceError: not one source could be read, or they hold no run at all.
        NoSuchRun: the run is not in them.
        ModelError: a compiled model failed.
    """
    models = Models(compiled_models.read_text())
    connection = warehouse.connect(("sqlite_scanner",))
    try:
        _prepare(connection)
        paths, missing = expand(names)
        with attached(connection, paths) as probe:
            skipped = [*missing, *probe.skipped]
            if not probe.sources:
                raise SourceError(unreadable(names, skipped))
            source, run_id = _find(connection, probe.sources, run, models, skipped)
            _read(connection, source, run_id, models.columns)
        try:
            models.build(connection, wanted)
        except duckdb.Error as error:
            raise ModelError(f"a model failed on {source.path}: {one_line(error)}") from error
        yield Direct(connection, run_id, source.path, skipped)
    finally:
        connection.close()


def _with_columns(text: str) -> str:
    """Add to the compiled models which raw columns a summary reads, by asking DuckDB's planner."""
    content = json.loads(text)
    connection = duckdb.connect(":memory:")
    try:
        _prepare(connection)
        # the relations are empty: without this the planner would leave most of them out
        connection.execute("set disabled_optimizers = 'statistics_propagation,join_order'")
        for table in TABLES:
            columns = ", ".join(f"{name} {kind}" for name, kind in raw_columns(table).items())
            connection.execute(f"create table lake.raw.{table} ({columns})")
            connection.execute(f"insert into lake.raw.{table} (id) values (1)")
        Models(text).build(connection, SUMMARY_MODELS, only_views=True)
        used: dict[str, set[str]] = {table: set() for table in TABLES}
        for model in SUMMARY_MODELS:
            selected = "count(*)" if model == "rejected_rows" else "*"
            relation = f"lake.{_schema_of(content, model)}.{model}"
            plan = connection.execute(
                f"explain (format json) select {selected} from {relation}"
            ).fetchall()
            _collect(json.loads(plan[0][1]), used)
    finally:
        connection.close()
    content["columns"] = {table: sorted(columns) for table, columns in used.items()}
    return json.dumps(content)


def _schema_of(content: dict[str, Any], model: str) -> str:
    """Return the schema of a compiled model."""
    return next(str(m["schema"]) for m in content["models"] if m["name"] == model)


def _collect(plan: Any, used: dict[str, set[str]]) -> None:
    """Gather the columns that a plan's scans of raw relations read, filters included."""
    for node in plan:
        info = node.get("extra_info", {})
        name = str(info.get("Table", "")).rsplit(".", 1)[-1]
        if name in used and ".raw." in str(info.get("Table", "")):
            for key in ("Projections", "Filters"):
                told = info.get(key, [])
                text = " ".join(told) if isinstance(told, list) else str(told)
                used[name] |= {c for c in raw_columns(name) if re.search(rf"\b{c}\b", text)}
        _collect(node.get("children", []), used)


class Models:
    """The compiled models, in the order in which they build on one another."""

    def __init__(self, text: str) -> None:
        content: dict[str, list[dict[str, Any]]] = json.loads(text)
        self.models = {model["name"]: model for model in content["models"]}
        self.seeds = {seed["name"]: seed for seed in content["seeds"]}
        self.columns: dict[str, list[str]] = content.get("columns", {})  # type: ignore[assignment]
        self._built: set[str] = set()

    def build(
        self,
        connection: duckdb.DuckDBPyConnection,
        wanted: Iterable[str],
        only_views: bool = False,
    ) -> None:
        """Create the wanted models and, before them, what they select from."""
        for name in wanted:
            if name in self._built:
                continue
            self._built.add(name)
            if seed := self.seeds.get(name):
                self._seed(connection, seed)
                continue
            model = self.models[name]
            self.build(connection, model["depends_on"], only_views)
            kind = "table" if model["stored"] and not only_views else "view"
            relation = f"lake.{model['schema']}.{model['name']}"
            connection.execute(f"create schema if not exists lake.{model['schema']}")
            connection.execute(f"create or replace {kind} {relation} as {model['sql']}")

    @staticmethod
    def _seed(connection: duckdb.DuckDBPyConnection, seed: dict[str, Any]) -> None:
        import csv
        import io

        rows = list(csv.DictReader(io.StringIO(seed["csv"])))
        columns = ", ".join(f"{name} {seed['types'][name]}" for name in rows[0])
        relation = f"lake.{seed['schema']}.{seed['name']}"
        connection.execute(f"create schema if not exists lake.{seed['schema']}")
        connection.execute(f"create or replace table {relation} ({columns})")
        one = f"({', '.join('?' for _ in rows[0])})"
        connection.execute(
            f"insert into {relation} values {', '.join(one for _ in rows)}",
            [value or None for row in rows for value in row.values()],
        )


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    # small row groups, so that both cores work on the rows of one run
    connection.execute("attach ':memory:' as lake (row_group_size 16384)")
    connection.execute("create schema lake.raw")
    flags = ", ".join(f"{name} boolean" for name in CAPABILITIES)
    connection.execute(
        f"create table lake.raw.source_files (file_id varchar, path varchar, {flags})"
    )


def _find(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    run: str,
    models: Models,
    skipped: list[Skipped],
) -> tuple[Source, str]:
    """Return the file a run lives in and the run's id."""
    found: list[tuple[float, str, Source]] = []
    for source in sources:
        try:
            runs = _runs_by_index(connection, source)
            if runs is None:
                runs = _runs_by_models(connection, source, models)
            found += [(ts, run_id, source) for run_id, ts in runs.items()]
        except duckdb.Error as error:
            skipped.append(Skipped(source.path, one_line(error, 160)))
    if not found:
        raise SourceError(f"no run in {', '.join(source.path for source in sources[:3])}")
    candidates = found if run == "latest" else [entry for entry in found if entry[1] == run]
    if not candidates:
        latest = max(found, key=lambda entry: entry[:2])[1]
        raise NoSuchRun(
            f"run {run!r} is not in {', '.join(s.path for s in sources[:3])} "
            f"({len({entry[1] for entry in found})} runs; the latest is {latest!r})"
        )
    _, run_id, source = max(candidates, key=lambda entry: entry[:2])
    return source, run_id


def _runs_by_index(
    connection: duckdb.DuckDBPyConnection, source: Source
) -> dict[str, float] | None:
    """Return runs and their latest times where indexes make that cheap and times are plain."""
    latest: dict[str, float] = {}
    for table, shape in source.tables.items():
        run = shape.columns.get("run_id")
        if run is None:
            return None
        ts = shape.columns.get("ts")
        if table == "run_summary":
            sql = f"select hex({run[0]}) as run_id, typeof({run[0]}) as kind, 'null' as type, "
            sql += f"null as ts from {shape.name}"
        elif (
            ts is None or "timestamp" in shape.columns or not _has_index(connection, source, table)
        ):
            return None
        else:
            sql = _SKIP_SCAN.format(run=run[0], ts=ts[0], table=shape.name)
        rows = connection.execute(
            "select try(decode(unhex(run_id))), kind, type, try_cast(ts as double) "
            "from sqlite_query(?, ?)",
            [source.alias, sql],
        ).fetchall()
        for run_id, kind, type_, at in rows:
            plain = kind == "text" and run_id and run_id.strip() and ":/" not in run_id
            if not plain or type_ not in ("real", "integer", "null"):
                return None
            if at is not None and not 946684800 <= at < 4133980800:
                return None
            latest[run_id] = max(latest.get(run_id, float("-inf")), at or float("-inf"))
    return latest


def _has_index(connection: duckdb.DuckDBPyConnection, source: Source, table: str) -> bool:
    """Tell whether a table has an index on (run_id, ts)."""
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
    return any((columns or "").startswith("run_id,ts") for (columns,) in rows)


def _runs_by_models(
    connection: duckdb.DuckDBPyConnection, source: Source, models: Models
) -> dict[str, float]:
    """Return runs and their latest times as the staging models see them, over the whole file."""
    staging = [name for name in models.models if name.startswith("stg_")]
    tables = [name for name in staging if name.removeprefix("stg_") in TABLES]
    selects = " union all ".join(
        f"select run_id, {'null' if name == 'stg_run_summary' else 'ts'} as ts "
        f"from lake.staging.{name}"
        for name in tables
    )
    sql = f"select run_id, max(ts) from ({selects}) group by run_id"
    for reader in (typed_sql, careful_sql):
        for table in TABLES:
            _raw_view(connection, source, table, reader is typed_sql)
        try:
            models.build(connection, tables)
            rows = connection.execute(sql).fetchall()
            break
        except duckdb.Error:
            if reader is careful_sql:
                raise
    return {run_id: float("-inf") if ts is None else ts for run_id, ts in rows}


def _raw_view(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str, typed: bool
) -> None:
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


def _read(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    run_id: str,
    wanted: dict[str, list[str]],
) -> None:
    """Copy one run's rows into memory, as the raw relations, the cheapest way that works."""
    for table in TABLES:
        connection.execute(f"drop view if exists lake.raw.{table}")
        columns = ", ".join(raw_columns(table))
        for select in _selects(connection, source, table, run_id, wanted.get(table, [])):
            try:
                connection.execute(
                    f"create table lake.raw.{table} as select {columns} from (select *, "
                    f"{literal(source.file_id)} as file_id, 1::bigint as load_id from ({select}))"
                )
                break
            except duckdb.Error as error:
                last = error
        else:
            raise SourceError(f"cannot read {table} of {source.path}: {reason_of(last)}")
    marks = ", ".join("?" for _ in range(2 + len(CAPABILITIES)))
    connection.execute("delete from lake.raw.source_files")
    connection.execute(
        f"insert into lake.raw.source_files values ({marks})",
        [source.file_id, source.path, *source.capabilities().values()],
    )


def _selects(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    table: str,
    run_id: str,
    wanted: list[str],
) -> Iterator[str]:
    """Yield the ways to read one run's rows of a table, the fastest first."""
    shape = source.tables.get(table)
    if shape is None:
        yield empty_sql(table)
        return
    run = shape.columns.get("run_id")
    of_run = f"run_id = {literal(run_id)}"
    if run is not None and shape.id_is_rowid and not run_id.startswith("url-sha256:"):
        extent = _extent(connection, source, table, run_id)
        if extent is not None:
            low, high, rows, all_rows = extent
            if rows * _SHARE >= all_rows and typed_reader_fits(table, shape):
                yield f"select * from ({typed_sql(table, shape, source.alias)}) where {of_run}"
            name = shape.id_name
            where = f"{run[0]} = {literal(run_id)} and {name} between {low:d} and {high:d}"
            yield lean_sql(table, shape, source.alias, where, {*wanted, "run_id"})
            yield careful_sql(table, shape, source.alias, where)
    yield f"select * from ({careful_sql(table, shape, source.alias)}) where {of_run}"


def _extent(
    connection: duckdb.DuckDBPyConnection, source: Source, table: str, run_id: str
) -> tuple[int, int, int, int] | None:
    """Return (lowest id, highest id, rows) of a run and the rows of the table; None for no idea."""
    shape = source.tables[table]
    run, name = shape.columns["run_id"][0], shape.id_name
    edges = f"min({name}) as low, max({name}) as high, count(*) as n"
    everything = f"(select max({name}) - min({name}) + 1 from {shape.name})"
    try:
        if table not in _TIMED or _has_index(connection, source, table):
            sql = f"select {edges}, {everything} as n_all from {shape.name} where {run} = "
            row = connection.execute(
                "select columns(*)::bigint from sqlite_query(?, ?)",
                [source.alias, sql + literal(run_id)],
            ).fetchone()
        else:
            relation = f"{source.alias}.{shape.name}"
            row = connection.execute(
                f"select {edges}, (select max({name}) - min({name}) + 1 from {relation}) "
                f"from {relation} where {run} = ?",
                [run_id],
            ).fetchone()
    except duckdb.Error:
        return None
    return None if row is None or row[0] is None else row
