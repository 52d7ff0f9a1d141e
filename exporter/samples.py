"""Samples for Prometheus: rows of the model metric_samples, and what the exporter says of itself.

No metric of a run is named here: the model's rows say what each is called, means and is worth.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from prometheus_client.metrics_core import Metric

from exporter import __version__, direct, results
from exporter.direct_find import NoSuchRun
from exporter.errors import TelemetryError
from exporter.query import published
from exporter.sources import Skipped


@dataclass(frozen=True)
class Sample:
    """One sample: a row of metric_samples.

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
class Collected:
    """The samples of some runs, and where they come from.

    Attributes:
        runs: the runs, the latest first.
        samples: their samples.
        read: paths of the files that could be read; none where the warehouse answered.
        skipped: sources that could not be read.
        models: the digest of the models that gave the samples.
    """

    runs: list[str]
    samples: list[Sample]
    read: list[str]
    skipped: list[Skipped]
    models: str

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
            "runs": self.runs,
            "models": self.models,
            "read": self.read,
            "skipped": [asdict(skip) for skip in self.skipped],
            "metrics": list(metrics.values()),
        }


def collect(names: Sequence[str], run: str, count: int, compiled: Path, models: str) -> Collected:
    """Collect the samples of runs straight from their files.

    Of several runs only the latest is computed anew; the others are taken from the warehouse where
    it has seen all of their events.

    Args:
        names: files, folders and globs; none for the warehouse alone.
        run: a run id, or ``latest`` for the `count` latest runs.
        count: how many runs, from 1 up.
        compiled: the file with the compiled models.
        models: their digest.

    Raises:
        TelemetryError: no source could be read, the run is unknown, or a model failed.
    """
    if not names:
        return _from_warehouse(run, count, models)
    first = _of_run(names, run, compiled, models)
    if run != "latest" or count == 1:
        return first
    others = direct.latest_of(names, count, compiled)
    kept = _stored([entry for entry in others if entry[0] not in first.runs])
    runs, samples = list(first.runs), list(first.samples)
    for run_id, _latest in others:
        if run_id not in runs:
            runs.append(run_id)
            samples += kept.get(run_id) or _of_run(names, run_id, compiled, models).samples
    return Collected(runs, samples, first.read, first.skipped, models)


def _of_run(names: Sequence[str], run: str, compiled: Path, models: str) -> Collected:
    """Collect one run's samples from its file, or from the warehouse if no file has it any more."""
    try:
        with direct.opened(names, run, compiled, [results.SAMPLES_MODEL]) as found:
            rows = _rows(found.connection, [found.run_id])
            return Collected([found.run_id], rows, found.read, found.skipped, models)
    except NoSuchRun as missing:
        try:
            return _from_warehouse(run, 1, models)
        except TelemetryError:
            raise missing from None


def _from_warehouse(run: str, count: int, models: str) -> Collected:
    with published() as connection:
        if run == "latest":
            known = [row["run_id"] for row in reversed(results.runs(connection))][:count]
            runs = known or [results.latest_run(connection)]
        else:
            results.summary(connection, run)  # raises where the run is unknown
            runs = [run]
        return Collected(runs, _rows(connection, runs), [], [], models)


def _stored(wanted: Sequence[tuple[str, float]]) -> dict[str, list[Sample]]:
    """Return the samples of runs that the warehouse knows up to the given time of their events."""
    try:
        with published() as connection:
            rows = connection.execute(
                "select run_id, epoch(last_event_at) from lake.marts.run_inventory"
            ).fetchall()
            known = {run_id: latest for run_id, latest in rows if latest is not None}
            runs = [r for r, ts in wanted if r in known and abs(known[r] - ts) < 1e-3]
            samples: dict[str, list[Sample]] = {}
            for sample in _rows(connection, runs) if runs else []:
                samples.setdefault(sample.labels["run_id"], []).append(sample)
            return samples
    except (TelemetryError, duckdb.Error):
        return {}


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
