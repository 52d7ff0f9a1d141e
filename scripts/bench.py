"""Benchmarks, each beside plain sqlite3 or bare DuckDB in the same run. Run by ``make bench``.

Figures move with the machine; the ratios are what to look at. Whole processes are timed as a
person meets them, best of three.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from exporter import raw_schema, runner, warehouse
from exporter.paths import project_dir
from exporter.raw_sql import literal
from scripts import (
    bench_archive,
    bench_backup,
    bench_budget,
    bench_files,
    bench_recorder,
    bench_report,
    bench_serve,
    bench_weight,
)
from scripts.generate import generate

_TABLES = tuple(raw_schema.TABLES)


def main() -> None:
    """Generate the files, measure, and print a table on stderr and JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="size of the large file")
    parser.add_argument("--idle", type=int, default=1_000, help="refreshes with nothing new")
    parser.add_argument("--polls", type=int, default=2_000, help="polls of the exporter's soak")
    parser.add_argument("--files", type=int, default=10_000, help="generated files")
    parser.add_argument(
        "--only",
        choices=(
            "core",
            "weight",
            "serve",
            "recorder",
            "backup",
            "archive",
            "budget",
            "report",
            "files",
        ),
        help="some of the figures; files, a quarter of an hour, by hand only",
    )
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docstokg-bench-") as name:
        bench = Bench(Path(name), wanted.events, wanted.idle)
        if wanted.only == "files":
            bench_files.measure(bench.folder, wanted.files, bench.note)
        if wanted.only in {None, "recorder"}:
            bench_recorder.measure(bench.folder, bench.note)
        if wanted.only in {None, "budget"}:
            use(bench.folder / "month")
            bench_budget.measure(bench.folder, bench.note)
        if wanted.only in {None, "weight"}:
            bench_weight.measure(bench.folder, wanted.events, bench.note)
        if wanted.only not in {"recorder", "budget", "files", "weight"}:
            bench.generate()
        if wanted.only in {None, "backup"}:
            bench_backup.measure(bench.large, bench.folder, bench.note)
        if wanted.only in {None, "core"}:
            bench.core()
        if wanted.only in {None, "serve"}:
            bench.exporter(wanted.polls)
        if wanted.only in {None, "report"}:
            use(bench.folder / "warehouse-report")
            build(bench.large)
            bench_report.measure(bench.folder, bench.note)
        if wanted.only in {None, "archive"}:  # last: the file is nearly empty afterwards
            use(bench.folder / "unused")
            bench_archive.measure(bench.large, bench.folder, bench.note)
        figures = bench.figures
    print(json.dumps(figures, indent=2, ensure_ascii=False))


class Bench:
    """The figures, taken one after another in one folder."""

    def __init__(self, folder: Path, large_events: int, idle: int) -> None:
        self.folder, self.idle = folder, idle
        self.small, self.large = folder / "small.sqlite3", folder / "large.sqlite3"
        self.events = large_events
        self.figures: list[dict[str, Any]] = []

    def generate(self) -> None:
        """Make the files that the figures are taken on."""
        generate(self.small, 100_000, 1)
        generate(self.large, self.events, max(self.events // 100_000, 1), hosts=200)

    def exporter(self, polls: int) -> None:
        """Take the exporter's figures."""
        use(self.folder / "unused")
        tool("summary", "--db", str(self.small))  # compiles the models, once
        bench_serve.measure(self.large, append, polls, self.note)

    def core(self) -> None:
        """Take the figures of loading, building and answering."""
        use(self.folder / "unused")
        tool("summary", "--db", str(self.small))  # compiles the models, once
        self.summaries()
        self.first_load()
        self.refreshes()
        self.queries()
        self.exports()
        self.idle_refreshes()
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children) / 1024
        self.note("peak memory of any process", peak, "limit", 800, "≤ 800 MiB", "MiB")

    def note(
        self, what: str, value: float, against: str, other: float, limit: str, unit: str = "s"
    ) -> None:
        """Keep a figure and the one it is compared with, and show both."""
        self.figures.append(
            {
                "what": what,
                "value": round(value, 3),
                "unit": unit,
                "against": against,
                "other": round(other, 3),
                "ratio": round(value / other, 2) if other else None,
                "wanted": limit,
            }
        )
        print(
            f"{what:44} {value:8.3f} {unit:4} {against:38} {other:8.3f} "
            f"ratio {value / other if other else 0:6.2f}  wanted {limit}",
            file=sys.stderr,
            flush=True,
        )

    def summaries(self) -> None:
        """Time `summary` of a file never loaded, beside plain sqlite3 and the interpreter."""
        for label, db, limit in (("100 k", self.small, "≤ 0.6 s"), ("large", self.large, "≤ 1 s")):
            run = last_run(db)
            plain = best(partial(in_child, "-m", "scripts.plain", str(db), run))
            ours = best(partial(tool, "summary", "--db", str(db)))
            self.note(f"summary, {label}", ours, "plain sqlite3, the same SLIs", plain, limit)
            named = best(partial(tool, "summary", "--db", str(db), "--run", run))
            self.note(
                f"summary, {label}, --run", named, "import duckdb alone", bare_import(), limit
            )

    def first_load(self) -> None:
        """Time the loading of all six tables, beside a bare copy of the same into a DuckLake."""
        bare = bare_copy(self.large, self.folder / "bare")
        use(self.folder / "warehouse-large")
        ours = timed(partial(raw_load, self.large))
        self.note("first load of the raw rows", ours, "bare copy, same tables", bare, "≤ 1.67 ×")
        use(self.folder / "warehouse-small")
        raw_load(self.small)

    def refreshes(self) -> None:
        """Time refreshes after 1,000 new requests, in this process, three of each."""
        least = {}
        for db in (self.small, self.large):
            use(self.folder / f"warehouse-{db.stem}")
            whole = timed(partial(build, db))
            self.note(f"models and tests, {db.stem}", whole, "one second", 1, "for information")
            taken = []
            for _ in range(4):  # the first one warms dbt's caches
                append(db)
                taken.append(timed(partial(build, db)))
            least[db] = min(taken[1:])
        self.note(
            "refresh, 1,000 new on large", least[self.large],
            "the same on 100 k", least[self.small], "≤ 1.3 ×",
        )  # fmt: skip

    def queries(self) -> None:
        """Time `query` on a mart, alone and while a run is under way."""
        ask = partial(tool, "query", "--query", "from run_slis")
        self.note("query on a mart", best(ask), "import duckdb alone", bare_import(), "≤ 0.8 s")
        append(self.large)
        run = subprocess.Popen(
            [sys.executable, "-m", "exporter", "run", "--db", str(self.large)],
            stdout=subprocess.DEVNULL,
        )
        taken = []
        while run.poll() is None:
            taken.append(timed(ask))
        self.note(
            f"query during a run, median of {len(taken)}", statistics.median(taken),
            "import duckdb alone", bare_import(), "≤ 0.8 s",
        )  # fmt: skip

    def exports(self) -> None:
        """Time `export` of everything, beside a bare COPY of the six attached tables."""
        bare = bare_parquet(self.large, self.folder)
        ours = timed(partial(tool, "export", "--out", str(self.folder / "out")))
        self.note("Parquet export, with the marts", ours, "bare COPY, raw tables", bare, "≤ 1 ×")

    def idle_refreshes(self) -> None:
        """Refresh with nothing new, many times: the warehouse's bytes before and after."""
        folder = self.folder / "warehouse-small"
        use(folder)
        build(self.small)
        before = size(folder)
        taken = [timed(partial(build, self.small)) for _ in range(self.idle)]
        each = statistics.median(taken)
        self.note("refresh with nothing new", each, "one second", 1, "for information")
        self.note(
            f"warehouse after {self.idle} of them", size(folder), "before", before, "= 1 ×", "B"
        )


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def use(folder: Path) -> None:
    """Make a folder the warehouse of this process and its children."""
    os.environ["DOCSTOKG_WAREHOUSE"] = str(folder)


def tool(*arguments: str) -> None:
    """Run the command line as a whole process."""
    subprocess.run(
        [sys.executable, "-m", "exporter", *arguments], stdout=subprocess.DEVNULL, check=False
    )


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best(work: Callable[[], object]) -> float:
    """Return the least seconds of three tries."""
    return min(timed(work) for _ in range(3))


def in_child(*arguments: str) -> None:
    """Run Python: its sqlite3 must not share a process and a file with DuckDB's."""
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def bare_import() -> float:
    """Return the seconds that Python takes to start and import DuckDB."""
    return best(partial(in_child, "-c", "import duckdb"))


def append(db: Path) -> None:
    """Add 1,000 requests and what goes with them."""
    in_child("-m", "scripts.generate", "--append", "--db", str(db), "--events", "1000")


def last_run(db: Path) -> str:
    """Return the file's last run."""
    code = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1])"
        ".execute('select max(run_id) from http_events').fetchone()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(db)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def bare_copy(db: Path, folder: Path) -> float:
    """Return the seconds of copying the six tables into a DuckLake with nothing done to them."""
    use(folder)
    connection = warehouse.connect()
    warehouse.attach_writer(connection)
    connection.execute("reset threads")
    connection.execute(f"attach {literal(str(db))} as source (type sqlite, read_only)")

    def copy() -> None:
        for table in _TABLES:
            connection.execute(f"create table lake.bare_{table} as from source.{table}")

    seconds = timed(copy)
    connection.close()
    return seconds


def bare_parquet(db: Path, folder: Path) -> float:
    """Return the seconds of writing the six tables to Parquet straight from the attached file."""
    connection = warehouse.connect()
    connection.execute("reset threads")
    connection.execute(f"attach {literal(str(db))} as source (type sqlite, read_only)")

    def copy() -> None:
        for table in _TABLES:
            target = literal(str(folder / f"bare-{table}.parquet"))
            connection.execute(
                f"copy source.{table} to {target} (format parquet, compression zstd)"
            )

    seconds = timed(copy)
    connection.close()
    return seconds


def raw_load(db: Path) -> None:
    """Load a file's rows without building any model."""
    from exporter.loader import load

    connection = warehouse.connect()
    warehouse.attach_writer(connection)
    load(connection, [str(db)], lambda message: None)
    connection.close()


def build(db: Path) -> None:
    """Do what `run` does, in this process."""
    runner.build([str(db)], project_dir(), lambda message: None, lambda what, number, total: None)


if __name__ == "__main__":
    main()
