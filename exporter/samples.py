"""Samples for Prometheus: rows of the models of metrics, and what the exporter says of itself.

No metric of a run is named here: the models' rows say what each is called, means and is worth.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from prometheus_client.metrics_core import Metric

from exporter import __version__, direct, results, slices
from exporter.direct_find import NoSuchRun
from exporter.errors import SourceError, TelemetryError
from exporter.findings import plural
from exporter.query import published
from exporter.rejections import NO_ROWS, SEE_DOCTOR, why_none_of
from exporter.slices import Paths
from exporter.sources import Look, Skipped, expand, look, unreadable


@dataclass(frozen=True)
class Sample:
    """One sample: a row of metric_samples or budget_samples.

    Attributes:
        name: the metric's name.
        type: gauge, counter or untyped.
        help: what it tells, and its unit.
        labels: label values by name; an empty value is no label.
        value: in the unit that help names.
    """

    name: str
    type: str
    help: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Memory:
    """What a collection learnt: a file that looks as it did holds what it held.

    Attributes:
        models: the digest of the models that gave the samples.
        runs: by path, how the file looked and its runs with their last times.
        samples: by run, the paths of its files, how these looked, the samples and the slices.
        slices: by run whose samples are not wanted, the paths of its files, the run's last time,
            and its slices of error budgets.
    """

    models: str = ""
    runs: dict[str, tuple[Look, dict[str, float]]] = field(default_factory=dict)
    samples: dict[str, tuple[Paths, list[Look], list[Sample], bytes]] = field(default_factory=dict)
    slices: dict[str, slices.Kept] = field(default_factory=dict)


@dataclass(frozen=True)
class Collected:
    """The samples of some runs, and where they come from.

    Attributes:
        runs: the runs, the latest first, each with the path of its file; empty for the warehouse.
        latest: time of the last event of the latest run, Unix seconds; None if unknown.
        samples: their samples.
        read: paths of the files that could be read; none where the warehouse answered.
        skipped: sources that could not be read.
        models: the digest of the models that gave the samples.
        memory: makes the next collection cheaper.
    """

    runs: dict[str, str]
    latest: float | None
    samples: list[Sample]
    read: list[str]
    skipped: list[Skipped]
    models: str
    memory: Memory = field(default_factory=Memory)

    def as_json(self) -> dict[str, Any]:
        """Return them metric by metric, for scripts."""
        metrics: dict[str, dict[str, Any]] = {}
        for sample in self.samples:
            metric = metrics.setdefault(
                sample.name,
                {"name": sample.name, "type": sample.type, "help": sample.help, "samples": []},
            )
            metric["samples"].append({"labels": sample.labels, "value": sample.value})
        return {
            "runs": list(self.runs),
            "models": self.models,
            "read": self.read,
            "skipped": [asdict(skip) for skip in self.skipped],
            "metrics": list(metrics.values()),
        }


def collect(
    names: Sequence[str],
    run: str,
    count: int,
    compiled: Path,
    models: str,
    memory: Memory | None = None,
) -> Collected:
    """Collect the samples of runs straight from their files.

    Args:
        names: files, folders and globs; none for the warehouse.
        run: a run id, or ``latest`` for the `count` latest runs.
        count: how many runs, from 1 up.
        compiled: the file with the compiled models.
        models: their digest.
        memory: of the last collection, whose files need not be opened again unless they changed.

    Raises:
        TelemetryError: no source could be read, the run is unknown, or a model failed.
    """
    if not names:
        return _from_warehouse(run, count, models)
    before = memory if memory and memory.models == models else Memory()
    paths, skipped = expand(names)
    looks = {path: look(path) for path, _ in paths}
    kept = {
        path: before.runs[path][1]
        for path in looks
        if path in before.runs and before.runs[path][0] == looks[path]
    }
    opened, damaged = direct.runs_of([entry for entry in paths if entry[0] not in kept], compiled)
    files = kept | opened
    skipped += damaged
    if not files:
        raise SourceError(unreadable(names, skipped))
    wanted = _choose(files, run, count)
    if not wanted:
        return _not_in_files(files, run, models, compiled)
    after = Memory(models, {path: (looks[path], runs) for path, runs in files.items()})
    for run_id, of_run in wanted.items():
        known, seen = before.samples.get(run_id), [looks[path] for path in of_run]
        if known is None or known[:2] != (of_run, seen):
            known = (of_run, seen, *_of_run(of_run, run_id, compiled))
        after.samples[run_id] = known
    others = {r: p for r, p in _choose(files, "latest", None).items() if r not in wanted}
    after.slices.update(slices.of_others(others, files, before.slices, compiled))
    budgets = _of_budgets(after, compiled)
    return Collected(
        runs={run_id: of_run[0] for run_id, of_run in wanted.items()},
        latest=max(files[of_run[0]][run_id] for run_id, of_run in wanted.items()),
        samples=[s for run_id in wanted for s in after.samples[run_id][2]] + budgets,
        read=sorted(files),
        skipped=skipped,
        models=models,
        memory=after,
    )


def _choose(files: dict[str, dict[str, float]], run: str, count: int | None) -> dict[str, Paths]:
    """Return the wanted runs, the latest first, each with its files, the latest of them first.

    Args:
        files: runs and their last times by file.
        run: a run id, or ``latest``.
        count: with ``latest``, how many; None for all.
    """
    everything = sorted(
        ((latest, run_id, path) for path, runs in files.items() for run_id, latest in runs.items()),
        reverse=True,
    )
    chosen: dict[str, Paths] = {}
    for _latest, run_id, path in everything:
        if run in ("latest", run_id):
            chosen[run_id] = (*chosen.get(run_id, ()), path)
    return dict(list(chosen.items())[: count if run == "latest" else 1])


def _not_in_files(
    files: dict[str, dict[str, float]], run: str, models: str, compiled: Path
) -> Collected:
    """Collect from the warehouse a run that no file has any more.

    Raises:
        SourceError: the files hold no run at all.
        NoSuchRun: the warehouse does not have the run either.
    """
    names = ", ".join(list(files)[:3])
    if run == "latest":
        why = why_none_of([(path, True) for path in list(files)[:3]], compiled)
        raise SourceError(f"no run in {names}: {f'{why}; {SEE_DOCTOR}' if why else NO_ROWS}")
    try:
        return _from_warehouse(run, 1, models)
    except TelemetryError:
        count = len({run_id for runs in files.values() for run_id in runs})
        raise NoSuchRun(
            f"run {run!r} is neither in {names} ({plural(count, 'run')}) nor in the warehouse"
        ) from None


def _of_run(paths: Paths, run: str, compiled: Path) -> tuple[list[Sample], bytes]:
    wanted = [results.SAMPLES_MODEL, results.SLICES_MODEL]
    with direct.opened(paths, run, compiled, wanted) as found:
        return _rows(found.connection, [run]), slices.of_run(found.connection, run)


def _of_budgets(memory: Memory, compiled: Path) -> list[Sample]:
    """Return the samples of error budgets now, over the slices that are remembered."""
    kept = [known[3] for known in memory.samples.values()]
    kept += [known[2] for known in memory.slices.values()]
    with slices.budgets_over(kept, compiled) as connection:
        return _budget_rows(connection)


def _from_warehouse(run: str, count: int, models: str) -> Collected:
    with published() as connection:
        if run == "latest":
            known = [row["run_id"] for row in reversed(results.runs(connection))][:count]
            runs = known or [results.latest_run(connection)]
        else:
            results.summary(connection, run)  # raises where the run is unknown
            runs = [run]
        samples = _rows(connection, runs)
        with suppress(duckdb.CatalogException):  # the models that built it had no budgets yet
            samples += _budget_rows(connection)
        return Collected(dict.fromkeys(runs, ""), None, samples, [], [], models)


def _rows(connection: duckdb.DuckDBPyConnection, runs: Sequence[str]) -> list[Sample]:
    """Return the samples of some runs, as the model gives them."""
    marks = ", ".join("?" for _ in runs)
    rows = results.rows(
        connection,
        f"select name, type, help, labels, value from lake.marts.{results.SAMPLES_MODEL} "
        f"where run_id in ({marks}) order by name, labels",
        *runs,
    )
    return [Sample(**row) for row in rows]


def _budget_rows(connection: duckdb.DuckDBPyConnection) -> list[Sample]:
    rows = results.rows(
        connection,
        "select name, type, help, labels, value "
        f"from lake.marts.{results.BUDGET_SAMPLES_MODEL} order by name, labels",
    )
    return [Sample(**row) for row in rows]


def families(samples: Iterable[Sample]) -> list[Metric]:
    """Group samples into the metric families of an exposition.

    Raises:
        ValueError: a name is not one that Prometheus takes.
    """
    found: dict[str, Metric] = {}
    for sample in samples:
        metric = found.get(sample.name)
        if metric is None:
            # the library puts _total behind the name of a counter's family by itself
            family = sample.name.removesuffix("_total") if sample.type == "counter" else sample.name
            metric = found[sample.name] = Metric(family, sample.help, sample.type)
        labels = {name: value for name, value in sample.labels.items() if value}
        metric.add_sample(sample.name, labels, sample.value)
    return list(found.values())


def gauge(name: str, help_: str, value: float, **labels: str) -> Sample:
    """Return a sample of a gauge."""
    return Sample(name, "gauge", help_, labels, value)


@cache
def build_info(models: str) -> Sample:
    """Return the sample that tells which versions answer."""
    return gauge(
        "docstokg_exporter_build_info",
        "1; the versions of the exporter, its models, DuckDB and Python.",
        1,
        version=__version__,
        models=models,
        duckdb=duckdb.__version__,
        python=platform.python_version(),
    )


def about(models: str, read: int, skipped: int, samples: int) -> list[Sample]:
    """Return what the exporter says of where samples come from.

    Args:
        models: the digest of the models.
        read: how many files were read.
        skipped: how many sources could not be.
        samples: how many samples of runs there are.
    """
    files = "docstokg_exporter_source_files"
    told = "Telemetry files that could be read, and sources that could not."
    return [
        build_info(models),
        gauge(files, told, read, state="read"),
        gauge(files, told, skipped, state="skipped"),
        gauge("docstokg_exporter_samples", "Samples of runs.", samples),
    ]


def refreshed(ended: float) -> Sample:
    """Return the sample that tells when the samples were collected, Unix seconds."""
    return gauge(
        "docstokg_exporter_last_refresh_timestamp_seconds",
        "When the last refresh of the samples ended, Unix time.",
        ended,
    )
