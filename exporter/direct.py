"""A run's answers straight from its file: the compiled models over the rows of that run.

Nothing is stored and dbt is not imported, which is what lets an answer about a file never seen
come back in a fraction of a second.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from exporter import warehouse
from exporter.archive_notes import note_of, notes_of
from exporter.direct_find import (
    Found,
    NoSuchRun,
    RunsByModels,
    chosen,
    find,
    latest_runs,
    runs_of_file,
)
from exporter.direct_read import raw_views, reading
from exporter.errors import ModelError, SourceError, one_line
from exporter.loader import CHUNK_FILES, unreadable
from exporter.paths import warehouse_dir
from exporter.raw_schema import CAPABILITIES, TABLES, TELEMETRY, raw_columns
from exporter.raw_sql import ENGINE_ERRORS
from exporter.results import (
    BUDGET_MODELS,
    DIAGNOSIS_MODELS,
    REGRESSION_MODELS,
    REPORT_MODELS,
    SAMPLES_MODEL,
    SLICES_MODEL,
    SUMMARY_MODELS,
    TREND_MODELS,
)
from exporter.sources import Probe, Skipped, Source, attached, expand, reason_of

#: Goes up when what is kept of the compiled models changes, so that older files are left alone.
_FORMAT = 7
#: So many runs are read by one scan, where they are at least one part in so many of all of them.
_MANY, _MANY_SHARE = 8, 16
#: What the names of raw relations begin with among the things that a model depends on.
_RAW = "raw."

#: Given a run and all runs of the sources, the latest first, returns those to read beside it.
Beside = Callable[[Found, Sequence[Found]], Sequence[Found]]


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
    name = f"{warehouse.models_version(project)}.{_FORMAT}.json"
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
    names: Sequence[str],
    run: str,
    compiled_models: Path,
    wanted: Sequence[str],
    beside: Beside | None = None,
    over: Sequence[str] = (),
) -> Iterator[Direct]:
    """Read one run out of the named sources and build the wanted models over it.

    Args:
        names: files, folders and globs.
        run: a run id, or ``latest``: the run whose events are the latest.
        compiled_models: the file that `compiled` returned.
        wanted: names of the models to build, with all that they need.
        beside: chooses runs whose rows are read too, to compare with; by default none.
        over: views to build over the wanted models, which read nothing else.

    Raises:
        SourceError: not one source could be read, or they hold no run at all.
        NoSuchRun: the run is not in them.
        ModelError: a compiled model failed.
    """
    models = Models(compiled_models.read_text())
    paths, missing = expand(names)
    with attached_in_memory(paths) as (connection, probe):
        skipped = [*missing, *probe.skipped]
        if not probe.sources:
            raise SourceError(unreadable(names, skipped))
        by_models = partial(_runs_by_models, models)
        found, runs, is_whole = _found(connection, probe.sources, run, by_models, beside, skipped)
        with reading(connection, runs, models.raw_columns(wanted), is_whole) as underway:
            try:
                models.build(connection, [*wanted, *over], underway=underway)
            except ENGINE_ERRORS as error:
                where = found.source.path
                raise ModelError(f"a model failed on {where}: {one_line(error)}") from error
        yield Direct(connection, found.run_id, found.source.path, skipped)


def _found(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    run: str,
    by_models: RunsByModels,
    beside: Beside | None,
    skipped: list[Skipped],
) -> tuple[Found, list[Found], bool]:
    """Find a run, also where the files say that it was archived, and those to be read with it.

    Returns:
        The run; it and those to be read with it; and whether these are so many of all there are
        that one scan of each file is cheaper than looking for the rows of each.
    """
    known: list[Found] = []
    try:
        if beside is None:
            found = find(connection, sources, run, by_models, skipped)
        else:
            known = latest_runs(connection, sources, by_models, skipped)
            found = chosen(known, sources, run)
    except (NoSuchRun, SourceError) as missing:
        if isinstance(missing, NoSuchRun) and skipped:
            missing = NoSuchRun(f"{missing}; not read: {skipped[0].path}: {skipped[0].reason}")
        try:
            source = _noted(connection, sources, run)
        except SourceError as unread:
            raise NoSuchRun(str(unread)) from missing
        if source is None or source.archived is None:
            raise missing from None
        found = Found(source, source.archived.run_id, _last_event_at(source))
    runs = [found]
    if beside is not None:
        runs += _beside(connection, sources, found, known, beside)
    for each in runs:
        note = note_of(connection, each.source, each.run_id)
        if note is not None and not each.beside:
            each.beside.append(note.source())  # the file has but a part of the run
    return found, runs, len(runs) >= _MANY and len(runs) * _MANY_SHARE >= len(known)


def _beside(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    found: Found,
    known: Sequence[Found],
    beside: Beside,
) -> Sequence[Found]:
    """Choose what is read beside a run; among archived runs where the files have nothing to offer.

    Raises:
        NoSuchRun: a run was named that is in neither.
    """
    with suppress(NoSuchRun):
        if others := beside(found, known):
            return others
    in_files = {run.run_id for run in known}
    archived = []
    for note in (note for source in sources for note in notes_of(connection, source)):
        with suppress(SourceError):  # gone, so that it cannot be compared with
            if note.run_id not in in_files:
                source = note.source()
                archived.append(Found(source, note.run_id, _last_event_at(source)))
    latest_first = sorted(archived, key=lambda run: (run.latest, run.run_id), reverse=True)
    return beside(found, [*known, *latest_first])


def _noted(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], run: str
) -> Source | None:
    """Return a run where the files say that it went; None where they say nothing.

    Raises:
        SourceError: it is not there, or damaged.
    """
    if run != "latest":
        noted = [note for s in sources if (note := note_of(connection, s, run)) is not None]
        return noted[0].source() if noted else None
    runs = [note.source() for s in sources for note in notes_of(connection, s)]
    return max(runs, key=_last_event_at, default=None)


def _last_event_at(source: Source) -> float:
    last = source.archived.last_event_at if source.archived is not None else None
    return float("-inf") if last is None else last


def runs_of(
    paths: Sequence[tuple[str, bool]], compiled_models: Path
) -> tuple[dict[str, dict[str, float]], list[Skipped]]:
    """Return the runs of each file that can be read, each run with its last time.

    Args:
        paths: files, as `exporter.sources.expand` returns them.
        compiled_models: the file that `compiled` returned.

    Returns:
        Last times (Unix seconds) by run by path, and the files that could not be read.
    """
    models = Models(compiled_models.read_text())
    by_models = partial(_runs_by_models, models)
    runs: dict[str, dict[str, float]] = {}
    skipped: list[Skipped] = []
    for start in range(0, len(paths), CHUNK_FILES):
        with attached_in_memory(paths[start : start + CHUNK_FILES]) as (connection, probe):
            for source in probe.sources:
                try:
                    runs[source.path] = runs_of_file(connection, source, by_models)
                except ENGINE_ERRORS as error:
                    probe.skipped.append(Skipped(source.path, reason_of(error)))
            skipped += probe.skipped
    return runs, skipped


@contextmanager
def attached_in_memory(
    paths: Sequence[tuple[str, bool]],
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Probe]]:
    """Attach files to a database in memory."""
    connection = warehouse.connect(("sqlite_scanner",))
    try:
        _prepare(connection)
        with attached(connection, paths) as probe:
            yield connection, probe
    finally:
        connection.close()


def _with_columns(text: str) -> str:
    """Add to the compiled models the raw columns that each answer reads, by asking DuckDB."""
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
        answers = dict.fromkeys(
            (
                *SUMMARY_MODELS,
                SAMPLES_MODEL,
                *DIAGNOSIS_MODELS,
                *BUDGET_MODELS,
                SLICES_MODEL,
                *REGRESSION_MODELS,
                *TREND_MODELS,
                *REPORT_MODELS,
            )
        )
        Models(text).build(connection, answers, only_views=True)
        content["columns"] = {}
        for model in answers:
            used: dict[str, set[str]] = {table: set() for table in TABLES}
            selected = "count(*)" if model == "rejected_rows" else "*"
            relation = f"lake.{_schema_of(content, model)}.{model}"
            plan = connection.execute(
                f"explain (format json) select {selected} from {relation}"
            ).fetchall()
            _collect(json.loads(plan[0][1]), used)
            content["columns"][model] = {table: sorted(found) for table, found in used.items()}
    finally:
        connection.close()
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
        content: dict[str, Any] = json.loads(text)
        self.models = {model["name"]: model for model in content["models"]}
        self.seeds = {seed["name"]: seed for seed in content["seeds"]}
        self._columns: dict[str, dict[str, list[str]]] = content.get("columns", {})
        self._built: set[str] = set()

    def raw_columns(self, wanted: Iterable[str]) -> dict[str, set[str]]:
        """Return which columns of the raw tables the wanted models read."""
        used: dict[str, set[str]] = {table: set() for table in TABLES}
        for model in wanted:
            for table, columns in self._columns[model].items():
                used[table].update(columns)
        return used

    def seed_values(self, seed: str, column: str) -> list[str]:
        """Return a column of a seed, as its file has it."""
        rows = csv.DictReader(io.StringIO(self.seeds[seed]["csv"]))
        return [row[column] for row in rows]

    def build(
        self,
        connection: duckdb.DuckDBPyConnection,
        wanted: Iterable[str],
        only_views: bool = False,
        underway: Iterable[tuple[str, Future[None]]] = (),
        given: Iterable[str] = (),
    ) -> None:
        """Create the wanted models and, before them, what they select from, two at a time.

        Args:
            connection: has the raw relations.
            wanted: names of models; those that were built before are left alone.
            only_views: make no tables, so that the planner sees down to the raw relations.
            underway: raw relations that are still being filled, each with the future that ends
                when a piece of it is in; what selects from one waits for it.
            given: names of models that the connection has already.
        """
        self._built.update(given)
        order = [name for name in self._order(wanted) if name not in self._built]
        schemas = {(self.seeds.get(name) or self.models[name])["schema"] for name in order}
        for schema in sorted(schemas):
            connection.execute(f"create schema if not exists lake.{schema}")
        running = {future: f"{_RAW}{table}" for table, future in underway}
        with ThreadPoolExecutor(2) as pool:
            while order or running:
                waiting = {*order, *running.values()}
                for name in [n for n in order if waiting.isdisjoint(self._needs(n))]:
                    cursor = connection.cursor()
                    warehouse.configure_cursor(cursor)
                    running[pool.submit(self._make, name, cursor, only_views)] = name
                    order.remove(name)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    self._built.add(running.pop(future))

    def _parents(self, name: str) -> list[str]:
        """Return what a relation selects from: models, seeds and raw relations."""
        return self.models[name]["depends_on"] if name in self.models else []

    def _needs(self, name: str) -> set[str]:
        """Return what has to be ready before a relation can be made.

        A table needs the rows below it, a view only what it names.
        """
        parents = set(self._parents(name))
        if name in self.models and not self.models[name]["stored"]:
            return {parent for parent in parents if not parent.startswith(_RAW)}
        return parents.union(*(self._below(parent) for parent in parents))

    def _below(self, name: str) -> set[str]:
        """Return what a view reads when it is read; nothing for a table."""
        if name not in self.models or self.models[name]["stored"]:
            return set()
        parents = set(self._parents(name))
        return parents.union(*(self._below(parent) for parent in parents))

    def _order(self, wanted: Iterable[str]) -> list[str]:
        """Return the wanted models and all they select from, each after what it selects from."""
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in order or name in self._built or name.startswith(_RAW):
                return
            for parent in self._parents(name):
                visit(parent)
            order[name] = None

        for name in wanted:
            visit(name)
        return list(order)

    def _make(self, name: str, cursor: duckdb.DuckDBPyConnection, only_views: bool) -> None:
        if seed := self.seeds.get(name):
            self._seed(cursor, seed)
            return
        model = self.models[name]
        kind = "table" if model["stored"] and not only_views else "view"
        relation = f"lake.{model['schema']}.{model['name']}"
        cursor.execute(f"create or replace {kind} {relation} as {model['sql']}")

    @staticmethod
    def _seed(connection: duckdb.DuckDBPyConnection, seed: dict[str, Any]) -> None:
        rows = list(csv.DictReader(io.StringIO(seed["csv"])))
        columns = ", ".join(f"{name} {seed['types'][name]}" for name in rows[0])
        relation = f"lake.{seed['schema']}.{seed['name']}"
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


def _runs_by_models(
    models: Models, connection: duckdb.DuckDBPyConnection, source: Source
) -> dict[str, float]:
    """Return runs and their latest times as the staging models see them, over the whole file."""
    tables = [f"stg_{table}" for table in TELEMETRY]
    selects = " union all ".join(
        f"select run_id, {'null' if name == 'stg_run_summary' else 'ts'} as ts "
        f"from lake.staging.{name}"
        for name in tables
    )
    sql = f"select run_id, max(ts) from ({selects}) group by run_id"
    for typed in (True, False):
        raw_views(connection, source, typed)
        try:
            models.build(connection, tables)
            rows = connection.execute(sql).fetchall()
            break
        except ENGINE_ERRORS:
            if not typed:
                raise
    return {run_id: float("-inf") if ts is None else ts for run_id, ts in rows}
