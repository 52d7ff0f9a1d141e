"""One refresh of the exporter's samples, in a process of its own: collected, and rendered.

It reads a pickled `Request` from standard input and writes a pickled `Refreshed` to standard
output; both ends are this package.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from exporter.errors import TelemetryError, one_line
from exporter.exposition import Exposition
from exporter.process import without_pandas
from exporter.samples import Collected, Sample
from exporter.sources import Skipped

#: What names a series: the metric, and its labels.
Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Request:
    """What to collect.

    Attributes:
        names: files, folders and globs.
        run: a run id, or ``latest``.
        runs: how many of the latest runs.
        project: the analyst's own copy of the dbt project, if any.
        counters: what is served of counters now.
        memory: what the last refresh remembered.
    """

    names: tuple[str, ...]
    run: str
    runs: int
    project: Path | None
    counters: dict[Series, float]
    memory: bytes = b""


@dataclass(frozen=True)
class Refreshed:
    """What there is to serve.

    Attributes:
        exposition: the samples, rendered.
        runs: the runs, the latest first, each with the path of its file.
        latest: time of the last event of the latest run, Unix seconds; None if unknown.
        samples: how many samples there are.
        read: paths of the files that could be read.
        skipped: sources that could not be read.
        models: the digest of the models.
        counters: the values of counters.
        memory: for the next refresh; bytes, so that only a refresh spends time on it.
    """

    exposition: Exposition = field(default_factory=lambda: Exposition.of(()))
    runs: dict[str, str] = field(default_factory=dict)
    latest: float | None = None
    samples: int = 0
    read: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    models: str = ""
    counters: dict[Series, float] = field(default_factory=dict)
    memory: bytes = b""


def refresh(request: Request) -> Refreshed:
    """Collect and render samples.

    Raises:
        TelemetryError: no source could be read, the run is unknown, or a model failed.
    """
    from exporter import samples, warehouse
    from exporter.compiled import compiled as compiled_models
    from exporter.paths import project_dir

    project = project_dir(request.project)
    compiled = compiled_models(project, lambda message: None)
    collected = samples.collect(
        request.names,
        request.run,
        request.runs,
        compiled,
        warehouse.models_version(project),
        pickle.loads(request.memory) if request.memory else None,
    )
    return rendered(collected, request.counters)


def rendered(collected: Collected, counters: dict[Series, float]) -> Refreshed:
    """Render samples; a counter that was served higher keeps its value.

    Args:
        collected: the samples.
        counters: what was served of counters before.
    """
    samples = list(_never_down(collected.samples, counters))
    return Refreshed(
        exposition=Exposition.of(samples),
        runs=collected.runs,
        latest=collected.latest,
        samples=len(samples),
        read=tuple(collected.read),
        skipped=tuple(collected.skipped),
        models=collected.models,
        counters={_series(s): s.value for s in samples if s.type == "counter"},
        memory=pickle.dumps(collected.memory),
    )


def _never_down(samples: Iterable[Sample], before: dict[Series, float]) -> Iterable[Sample]:
    for sample in samples:
        if sample.type == "counter" and (served := before.get(_series(sample), 0)) > sample.value:
            sample = replace(sample, value=served)
        yield sample


def _series(sample: Sample) -> Series:
    return sample.name, tuple(sorted(sample.labels.items()))


def main() -> None:
    """Answer the request on standard input; an error is one line, and exit code 2."""
    without_pandas()
    try:
        answer = refresh(pickle.load(sys.stdin.buffer))
    except TelemetryError as error:
        sys.exit(_failed(str(error)))
    except Exception as error:  # the exporter tells it to a person, in one line
        sys.exit(_failed(f"unexpected {type(error).__name__}: {one_line(error)}"))
    pickle.dump(answer, sys.stdout.buffer)


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    from exporter.refresh import main as run  # so that what is pickled has its own module's name

    run()
