"""Benchmarks, each beside plain sqlite3 or bare DuckDB in the same run. Run by ``make bench``.

Figures move with the machine; the ratios are what to look at. Whole processes are timed as a
person meets them, best of three.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from exporter import runner, warehouse
from exporter.paths import project_dir
from exporter.raw_sql import literal
from scripts.generate import generate

_PLAIN_SQL = """
select host, 100.0 * sum(status = 429) / count(*) from http_events
where run_id = ? and from_cache is not 1 group by host
"""


def main() -> None:
    """Generate the files, measure, and print a table on stderr and JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="size of the large file")
    large_events: int = parser.parse_args().events
    figures: list[dict[str, Any]] = []

    def note(what: str, seconds: float, against: str, other: float, limit: str) -> None:
        figures.append(
            {
                "what": what,
                "seconds": round(seconds, 3),
                "against": against,
                "other_seconds": round(other, 3),
                "ratio": round(seconds / other, 2),
                "wanted": limit,
            }
        )
        print(f"{what}: {seconds:.3f} s, {against} {other:.3f} s ({limit})", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="docstokg-bench-") as name:
        folder = Path(name)
        small, large = folder / "small.sqlite3", folder / "large.sqlite3"
        generate(small, 100_000, 1)
        generate(large, large_events, max(large_events // 100_000, 1))
        use(folder / "unused")
        tool("summary", "--db", str(small))  # compiles the models, once
        for label, db, limit in (("100 k", small, "≤ 0.6 s"), ("large", large, "≤ 1.0 s")):
            run = last_run(db)
            plain = best(lambda db=db, run=run: plain_ratio(db, run))  # type: ignore[misc]
            ours = best(lambda db=db: tool("summary", "--db", str(db)))  # type: ignore[misc]
            note(f"summary, {label}", ours, "sqlite3, one SLI alone", plain, limit)

        bare = bare_copy(large, folder / "bare")
        refresh: dict[str, float] = {}
        for label, db in (("100 k", small), ("large", large)):
            use(folder / f"warehouse-{db.stem}")
            loaded = timed(lambda db=db: raw_load(db))  # type: ignore[misc]
            if db is large:
                note("first load, raw rows", loaded, "bare copy", bare, "speed ≥ 60 %")
            whole = timed(lambda db=db: build(db))  # type: ignore[misc]
            note(f"models and tests after it, {label}", whole, "bare copy", bare, "for information")
            append_in_child(db)
            build(db)  # warms dbt's caches of this process
            append_in_child(db)
            refresh[label] = timed(lambda db=db: build(db))  # type: ignore[misc]
        note("refresh, 1,000 new, large", refresh["large"], "on 100 k", refresh["100 k"], "≤ 1.3 ×")
        asked = best(lambda: tool("query", "--query", "from run_slis"))
        note("query on a mart", asked, "python -c pass", best(nothing), "≤ 0.8 s")
        out = folder / "out"
        exported = timed(lambda: tool("export", "--out", str(out)))
        note("Parquet export", exported, "bare COPY", bare_parquet(large, folder), "not slower")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory of loads and builds: {peak:.0f} MiB (≤ 800)", file=sys.stderr)
    print(json.dumps({"figures": figures, "peak_mib": round(peak)}, indent=2, ensure_ascii=False))


def use(folder: Path) -> None:
    """Make a folder the warehouse of this process and its children."""
    os.environ["DOCSTOKG_WAREHOUSE"] = str(folder)


def tool(*arguments: str) -> None:
    """Run the command line as a whole process."""
    subprocess.run(
        [sys.executable, "-m", "exporter", *arguments], stdout=subprocess.DEVNULL, check=False
    )


def nothing() -> None:
    """Start Python and end it."""
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best(work: Callable[[], object]) -> float:
    """Return the least seconds of three tries."""
    return min(timed(work) for _ in range(3))


def in_child(code: str, *arguments: str) -> None:
    """Use Python's sqlite3 in another process than DuckDB's: their locks do not get along."""
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def append_in_child(db: Path) -> None:
    """Add 1,000 requests and what goes with them."""
    code = "import sys, pathlib, scripts.generate as g; g.append(pathlib.Path(sys.argv[1]), 1000)"
    in_child(code, str(db))


def last_run(db: Path) -> str:
    """Return the file's last run."""
    with closing(sqlite3.connect(db)) as connection:
        row = connection.execute("select max(run_id) from http_events").fetchone()
    return str(row[0])


def plain_ratio(db: Path, run: str) -> None:
    """Compute one SLI of one run with plain sqlite3, in a process of its own."""
    code = (
        "import sqlite3, sys; a = sys.argv; sqlite3.connect(a[1]).execute(a[2], a[3:]).fetchall()"
    )
    in_child(code, str(db), _PLAIN_SQL, run)


def bare_copy(db: Path, folder: Path) -> float:
    """Return the seconds of copying http_events into a DuckLake with nothing done to it."""
    use(folder)
    connection = warehouse.connect()
    warehouse.attach_writer(connection)
    connection.execute(f"attach {literal(str(db))} as source (type sqlite, read_only)")
    seconds = timed(lambda: connection.execute("create table lake.bare as from source.http_events"))
    connection.close()
    return seconds


def bare_parquet(db: Path, folder: Path) -> float:
    """Return the seconds of writing http_events to Parquet straight from the attached file."""
    connection = warehouse.connect()
    connection.execute(f"attach {literal(str(db))} as source (type sqlite, read_only)")
    target = literal(str(folder / "bare.parquet"))
    seconds = timed(
        lambda: connection.execute(
            f"copy source.http_events to {target} (format parquet, compression zstd)"
        )
    )
    connection.close()
    return seconds


def raw_load(db: Path) -> None:
    """Load a file's rows without building any model."""
    from exporter.loader import load

    connection = warehouse.connect()
    warehouse.attach_writer(connection)
    warehouse.ensure_schema(connection)
    load(connection, [str(db)], lambda message: None)
    connection.close()


def build(db: Path) -> None:
    """Do what `run` does, in this process."""
    runner.build([str(db)], project_dir(), lambda message: None, lambda what, number, total: None)


if __name__ == "__main__":
    main()
