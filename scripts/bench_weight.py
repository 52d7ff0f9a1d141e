"""Processor time and peak memory of whole processes.

The machines that run this are shared: seconds of the wall clock say little, processor seconds more,
and a ratio to something plain over the same file most.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exporter.paths import project_dir
from exporter.raw_schema import TABLES
from scripts.generate import generate

Note = Callable[..., None]
_BARE = """
import sys
from exporter import warehouse
from exporter.raw_sql import literal
connection = warehouse.connect()
warehouse.attach_writer(connection)
connection.execute("reset threads")
connection.execute(f"attach {literal(sys.argv[1])} as source (type sqlite, read_only)")
for table in sys.argv[2:]:
    connection.execute(f"create table lake.bare_{table} as from source.{table}")
"""
_APPENDED = 1_000


class Spent(NamedTuple):
    """What a process took: processor time (s) and memory at its peak (MiB)."""

    cpu_s: float
    peak_mib: float


def spent(*arguments: str, warehouse: Path) -> Spent:
    """Run Python as a process of its own, whatever it answers, and tell what it took."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"DOCSTOKG_WAREHOUSE": str(warehouse)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(arguments[:4])} ended with {process.returncode}")
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(folder: Path, events: int, note: Note) -> None:
    """Measure a file with this many events, and one with 100,000."""
    small, large = folder / "weight-small.sqlite3", folder / "weight-large.sqlite3"
    generate(small, 100_000, 1)
    generate(large, events, max(events // 100_000, 1), hosts=200)
    bare = spent("-c", _BARE, str(large), *TABLES, warehouse=folder / "bare")
    lakes = {small: folder / "lake-small", large: folder / "lake-large"}
    _tool("run", small, lakes[small])
    first = _tool("run", large, lakes[large])
    note("first run, processor time", first.cpu_s, "bare copy of the tables", bare.cpu_s, "≤ 4 ×")
    note(
        "first run, per million events", first.cpu_s / events * 1e6, "one second", 1, "≤ 8 s, flat"
    )
    note("first run, peak memory", first.peak_mib, "limit", _limit_mib() + 400, "≤ 1 ×", "MiB")
    least = {db: _refresh(db, lake) for db, lake in lakes.items()}
    note(
        f"refresh of {_APPENDED:,} events, on the large file", least[large],
        "on 100,000", least[small], "≤ 4 s, ≤ 1.15 ×",
    )  # fmt: skip
    idle = _median(lambda: _tool("run", large, lakes[large]))
    note("refresh that finds nothing", idle, "one second", 1, "≤ 0.8 s")
    _straight(small, folder / "unused", note)
    _parsed(folder, note)


def _straight(db: Path, unused: Path, note: Note) -> None:
    """Measure the commands that answer from a file."""
    plain = _median(lambda: spent("-m", "scripts.plain", str(db), "run-00000", warehouse=unused))
    summary = _median(lambda: _tool("summary", db, unused))
    note("summary of 100,000 events", summary, "plain sqlite3", plain, "≤ 0.6 s, ≤ 1.3 ×")
    for command in ("report --format md", "budget", "compare baseline latest", "trends"):
        taken = _median(partial(_tool, command, db, unused))
        note(
            f"{command.split()[0]} of 100,000 events", taken, "summary", summary, "for information"
        )


def _parsed(folder: Path, note: Note) -> None:
    """Measure dbt, and count what it has to do."""
    with tempfile.TemporaryDirectory(dir=folder) as target:
        arguments = ["parse", "--target", "direct", "--target-path", target]
        code = "import sys; from dbt.cli.main import dbtRunner; dbtRunner().invoke(sys.argv[1:])"
        taken = spent("-c", code, *arguments, warehouse=folder / "unused")
    note("dbt parse from nothing", taken.cpu_s, "one second", 1, "≤ 4 s")
    models = list((project_dir() / "models").rglob("*.sql"))
    stored = [m for m in models if "materialized='incremental'" in m.read_text("utf-8")]
    lines = sum(
        len(file.read_text("utf-8").splitlines())
        for file in [*models, *(project_dir() / "macros").rglob("*.sql")]
    )
    note("models", len(models), "of them stored", len(stored), "< 96, ≤ 12", "")
    note("lines of SQL", lines, "wanted", 6_500, "≤ 1 ×", "")


def _tool(command: str, db: Path, warehouse: Path) -> Spent:
    return spent("-m", "exporter", *command.split(), "--db", str(db), warehouse=warehouse)


def _refresh(db: Path, lake: Path) -> float:
    """Return the processor seconds of a refresh after new events, the median of three."""
    taken = []
    for _ in range(3):
        events = ("--append", "--db", str(db), "--events", str(_APPENDED))
        spent("-m", "scripts.generate", *events, warehouse=lake)
        taken.append(_tool("run", db, lake).cpu_s)
    return statistics.median(taken)


def _median(work: Callable[[], Spent]) -> float:
    return statistics.median(work().cpu_s for _ in range(3))


def _limit_mib() -> float:
    """Return DuckDB's memory limit here (MiB)."""
    from exporter import warehouse

    connection = warehouse.connect(())
    row = connection.execute("select current_setting('memory_limit')").fetchone()
    connection.close()
    number, unit = str(row[0] if row else "0 MiB").split()
    return float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024, "TiB": 1024**2}[unit]
