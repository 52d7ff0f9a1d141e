"""Slices of error budgets, kept from refresh to refresh, and what Prometheus is told of them.

A budget is of all runs of four weeks. Reading them all again whenever the latest one goes on would
cost what they all cost: so the slices of each run are kept, as Parquet in memory, and budgets are
asked for over these.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from exporter import direct
from exporter.budgets import window_start
from exporter.compiled import Models
from exporter.direct_find import Found
from exporter.loader import CHUNK_FILES
from exporter.raw_sql import literal
from exporter.results import BUDGET_SAMPLES_MODEL, SLICES_MODEL

#: The files that have rows of one run.
Paths = tuple[str, ...]
#: The paths of a run's files, the run's last time (Unix seconds), and its slices as Parquet.
Kept = tuple[Paths, float, bytes]


def of_run(connection: duckdb.DuckDBPyConnection, run: str) -> bytes:
    """Return the slices of a run that the connection has them of, as Parquet."""
    with tempfile.TemporaryDirectory(prefix="docstokg-") as folder:
        path = Path(folder) / "slices.parquet"
        connection.execute(
            f"copy (select * from lake.marts.{SLICES_MODEL} where run_id = {literal(run)}) "
            f"to {literal(str(path))} (format parquet)"
        )
        return path.read_bytes()


def of_others(
    runs: Mapping[str, Paths],
    files: Mapping[str, Mapping[str, float]],
    before: Mapping[str, Kept],
    compiled: Path,
) -> dict[str, Kept]:
    """Return the slices of runs that budgets are of, besides those that are followed.

    A run that went no further since it was read is not read again.

    Args:
        runs: the paths of each run's files.
        files: runs by file, each with its last time, Unix seconds.
        before: what was returned the last time.
        compiled: the compiled models.

    Raises:
        TelemetryError: a file could not be read, or a model failed.
    """
    since = window_start(compiled, None)
    ends = {run: max(files[path][run] for path in paths) for run, paths in runs.items()}
    last = {run: end for run, end in ends.items() if end >= since}
    found = {
        run: before[run]
        for run in last
        if run in before and before[run][:2] == (runs[run], last[run])
    }
    read = of_runs({run: runs[run] for run in last if run not in found}, compiled)
    return found | {run: (runs[run], last[run], content) for run, content in read.items()}


def of_runs(runs: Mapping[str, Paths], compiled: Path) -> dict[str, bytes]:
    """Read the slices of runs straight from their files.

    Args:
        runs: the paths of each run's files.
        compiled: the compiled models.

    Returns:
        The slices by run, as Parquet.

    Raises:
        TelemetryError: a file could not be read, or a model failed.
    """
    found: dict[str, bytes] = {}
    waiting = sorted(runs, key=runs.__getitem__)
    while waiting:
        wanted, chunk = set[str](), set[str]()
        while waiting and (not wanted or len(chunk.union(runs[waiting[0]])) <= CHUNK_FILES):
            wanted.add(waiting[0])
            chunk.update(runs[waiting.pop(0)])

        def beside(first: Found, known: Sequence[Found], wanted: set[str] = wanted) -> list[Found]:
            return [o for o in known if o.run_id in wanted and o.run_id != first.run_id]

        with direct.opened(sorted(chunk), min(wanted), compiled, [SLICES_MODEL], beside) as opened:
            found |= {run: of_run(opened.connection, run) for run in wanted}
    return found


@contextmanager
def budgets_over(slices: Sequence[bytes], compiled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Build what is told of budgets over slices that were kept.

    Args:
        slices: those of at least one run, as Parquet.
        compiled: the compiled models.
    """
    models = Models(compiled.read_text("utf-8"))
    with (
        tempfile.TemporaryDirectory(prefix="docstokg-") as folder,
        direct.attached_in_memory([]) as (connection, _),
    ):
        for number, kept in enumerate(slices):
            (Path(folder) / f"{number}.parquet").write_bytes(kept)
        connection.execute("create schema lake.marts")
        connection.execute(
            f"create table lake.marts.{SLICES_MODEL} as "
            f"select * from read_parquet({literal(folder + '/*.parquet')})"
        )
        models.build(connection, [BUDGET_SAMPLES_MODEL], given=[SLICES_MODEL])
        yield connection
