"""A run's answers straight from its file: the compiled models over the rows of that run.

Nothing is stored and dbt is not imported, which is what lets an answer about a file never seen
come back in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from exporter import warehouse
from exporter.archive_notes import archives_of, note_of, notes_of
from exporter.compiled import Models, prepare
from exporter.direct_find import (
    BOUNDS_MODEL,
    Found,
    NoRunAtAll,
    NoSuchRun,
    RunsByModels,
    chosen,
    find,
    latest_runs,
    named_sources,
    runs_of_file,
)
from exporter.direct_read import raw_views, reading
from exporter.errors import ModelError, SourceError, one_line
from exporter.loader import CHUNK_FILES
from exporter.raw_schema import TELEMETRY
from exporter.raw_sql import ENGINE_ERRORS
from exporter.rejections import NO_ROWS, SEE_DOCTOR, why_none
from exporter.sources import Probe, Skipped, Source, attached, expand, reason_of, unreadable

#: So many runs are read by one scan, where they are at least one part in so many of all of them.
_MANY, _MANY_SHARE = 8, 16

#: Given a run and all runs of the sources, the latest first, returns those to read beside it.
Beside = Callable[[Found, Sequence[Found]], Sequence[Found]]


@dataclass(frozen=True)
class Direct:
    """An in-memory database in which the marts of one run can be read.

    Attributes:
        connection: relations have the names they have in the warehouse.
        run_id: the run they are about.
        path: the file it lives in, and how many more were read beside it.
        skipped: sources that could not be read.
    """

    connection: duckdb.DuckDBPyConnection
    run_id: str
    path: str
    skipped: list[Skipped]


@contextmanager
def opened(
    names: Sequence[str],
    run: str,
    compiled_models: Path,
    wanted: Sequence[str],
    beside: Beside | None = None,
    over: Sequence[str] = (),
    archives: bool = False,
) -> Iterator[Direct]:
    """Read one run out of the named sources and build the wanted models over it.

    Args:
        names: files, folders and globs.
        run: a run id, or ``latest``: the run whose events are the latest.
        compiled_models: the file that `exporter.compiled.compiled` returned.
        wanted: names of the models to build, with all that they need.
        beside: chooses runs whose rows are read too, to compare with; by default none.
        over: views to build over the wanted models, which read nothing else.
        archives: runs that the files say were archived are sources, too, to choose among.

    Raises:
        SourceError: not one source could be read, or they hold no run at all.
        NoSuchRun: the run is not in them.
        ModelError: a compiled model failed.
    """
    models = Models(compiled_models.read_text("utf-8"))
    paths, missing = expand([*names, *archives_of(names)] if archives else names)
    with attached_in_memory(paths) as (connection, probe):
        skipped = [*missing, *probe.skipped]
        if not probe.sources:
            raise SourceError(unreadable(names, skipped))
        by_models = partial(_runs_by_models, models)
        models.build(connection, [BOUNDS_MODEL])
        try:
            found, runs, is_whole = _found(
                connection, probe.sources, run, by_models, beside, skipped
            )
        except NoRunAtAll as error:
            why = why_none(connection, probe.sources, models)
            raise NoRunAtAll(f"{error}: {f'{why}; {SEE_DOCTOR}' if why else NO_ROWS}") from None
        with reading(connection, runs, models.raw_columns(wanted), is_whole) as underway:
            try:
                models.build(connection, [*wanted, *over], underway=underway)
            except ENGINE_ERRORS as error:
                where = named_sources(found.places)
                raise ModelError(f"a model failed on {where}: {one_line(error)}") from error
        places = [place for each in runs for place in each.places]
        yield Direct(connection, found.run_id, named_sources(places), skipped)


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
        compiled_models: the file that `exporter.compiled.compiled` returned.

    Returns:
        Last times (Unix seconds) by run by path, and the files that could not be read.
    """
    text = compiled_models.read_text("utf-8")
    runs: dict[str, dict[str, float]] = {}
    skipped: list[Skipped] = []
    for start in range(0, len(paths), CHUNK_FILES):
        with attached_in_memory(paths[start : start + CHUNK_FILES]) as (connection, probe):
            models = Models(text)  # which knows what one connection has
            models.build(connection, [BOUNDS_MODEL])
            by_models = partial(_runs_by_models, models)
            for source in probe.sources:
                try:
                    of_file = runs.setdefault(source.path, {})
                    for run, last in runs_of_file(connection, source, by_models).items():
                        of_file[run] = max(last, of_file.get(run, last))
                except ENGINE_ERRORS as error:
                    probe.skipped.append(Skipped(source.path, reason_of(error, source.path)))
            skipped += probe.skipped
    return runs, skipped


@contextmanager
def attached_in_memory(
    paths: Sequence[tuple[str, bool]],
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Probe]]:
    """Attach files to a database in memory."""
    connection = warehouse.connect(("sqlite_scanner",))
    try:
        prepare(connection)
        with attached(connection, paths) as probe:
            yield connection, probe
    finally:
        connection.close()


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
    uncounted = "stg_uncounted_rows"
    selects += f" union all select run_id, epoch(occurred_at) from lake.staging.{uncounted}"
    sql = f"select run_id, max(ts) from ({selects}) group by run_id"
    for typed in (True, False):
        raw_views(connection, [source], typed)
        try:
            with warehouse.one_thread(connection):
                # these tables hold this file's rows alone: a later answer must build its own
                models.again().build(connection, [*tables, uncounted])
                rows = connection.execute(sql).fetchall()
            break
        except ENGINE_ERRORS:
            if not typed:
                raise
    return {run_id: float("-inf") if ts is None else ts for run_id, ts in rows}


def hold(connection: duckdb.DuckDBPyConnection, schema: str, views: Sequence[str]) -> None:
    """Work out views once, where the models are in memory: what reads them finds tables.

    Args:
        connection: has the models; where they are in a warehouse, nothing is done.
        schema: the views' schema.
        views: their names, each before those that read it.
    """
    if connection.execute(
        "select 1 from duckdb_databases() where database_name = 'lake' and path is not null"
    ).fetchall():
        return
    for view in views:
        name = f'lake.{schema}."{view}"'
        with suppress(duckdb.CatalogException):  # it was held for another question before
            connection.execute(f'alter view {name} rename to "{view}_asked"')
        connection.execute(
            f'create or replace table {name} as select * from lake.{schema}."{view}_asked"'
        )
