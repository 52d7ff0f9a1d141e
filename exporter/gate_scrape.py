"""A look at the exporter as Prometheus sees it: a scrape, series by series against the model."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
from prometheus_client.parser import text_string_to_metric_families

from exporter import results, web
from exporter.gate_commands import command, environment, sources
from exporter.gate_seen import Context

#: Seconds in which an exporter that is started here has to be ready.
_READY_S: Final = 120.0
#: The warehouse and a file may add the same numbers in another order.
_RELATIVE: Final = 1e-9

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count the series of a scrape that differ from metric_samples, or are in one of them only."""
    with _exporter(context) as (url, who):
        if url is None:
            return 1, True, who
        try:
            served = _series(web.get(url).decode("utf-8"))
        except web.NoAnswer as error:
            return 1, True, str(error)
        except ValueError as error:
            return 1, True, f"{who} is not in Prometheus' text format: {type(error).__name__}"
    told_as = sorted({dict(labels)["run_id"] for _, labels in served})
    if not told_as:
        return 1, True, f"{who} serves no run"
    runs = _runs(connection, told_as)
    strange = [run for run in runs if run not in context.runs]
    if strange:
        return None, False, f"{who} serves run {strange[0]!r}, which is none of those judged here"
    expected = _expected(connection, runs)
    differing = [
        name
        for name, labels in served.keys() | expected.keys()
        if not _agree(served.get((name, labels)), expected.get((name, labels)))
    ]
    told = f"{who}: {len(served):,} series of run {', '.join(runs)}"
    if not differing:
        return 0, True, f"{told}, all as in metric_samples"
    if live := _live(connection, runs):
        return None, False, f"{told}; {live} is under way, so that {len(differing):,} have moved on"
    return len(differing), True, f"{told}; {len(differing):,} differ, such as {min(differing)}"


@contextmanager
def _exporter(context: Context) -> Iterator[tuple[str | None, str]]:
    """Provide an exporter's address, starting one if none was named, and what to call it.

    Without an address, the second says why there is none.
    """
    if context.metrics_url is not None:
        yield context.metrics_url, web.place(context.metrics_url)
        return
    with tempfile.TemporaryDirectory(prefix="docstokg-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                command("serve", *sources(context), "--port", "0", "--build-every", "0"),
                env=environment(), stdout=said, stderr=said,
            )  # fmt: skip
        try:
            base = _ready(process, log)
            if base is None:
                last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no word"]
                yield None, f"the exporter did not become ready: {last[0][:160]}"
            else:
                yield f"{base}/metrics", "an exporter started for this"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path) -> str | None:
    """Wait until an exporter has samples; return its address, or None if it has none in time."""
    until = time.monotonic() + _READY_S
    base = None
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"listening on (https?://\S+)/", log.read_text(errors="replace"))
        base = found[1] if found else None
        if base is not None:
            try:
                web.get(f"{base}/readyz")
                return base
            except web.NoAnswer:
                pass
        time.sleep(0.1)
    return None


def _series(text: str) -> Series:
    """Return the series of runs in an exposition; what the exporter says of itself is left out."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "run_id" in sample.labels
    }


def _runs(connection: duckdb.DuckDBPyConnection, labels: list[str]) -> list[str]:
    """Return the runs that labels stand for: those of long names are cut."""
    rows = connection.execute(
        f"select distinct labels['run_id'], run_id from lake.marts.{results.SAMPLES_MODEL} "
        "where list_contains(?::varchar[], labels['run_id'])",
        [labels],
    ).fetchall()
    named = dict(rows)
    return [named.get(label, label) for label in labels]


def _expected(connection: duckdb.DuckDBPyConnection, runs: list[str]) -> Series:
    """Return the series that the model has of some runs; an empty label is none."""
    rows = results.rows(
        connection,
        f"select name, labels, value from lake.marts.{results.SAMPLES_MODEL} "
        "where list_contains(?::varchar[], run_id)",
        runs,
    )
    return {
        (row["name"], frozenset((k, v) for k, v in row["labels"].items() if v)): row["value"]
        for row in rows
    }


def _agree(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_RELATIVE)


def _live(connection: duckdb.DuckDBPyConnection, runs: list[str]) -> str | None:
    """Return a run that has no end yet; None if all have one."""
    row = connection.execute(
        "select min(run_id) from lake.marts.run_inventory "
        "where list_contains(?::varchar[], run_id) and not is_finished",
        [runs],
    ).fetchone()
    return row[0] if row else None
