"""Figures of an archive: events a second, memory, and how long a writer has to wait meanwhile."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from exporter.compiled import compiled
from exporter.paths import project_dir

Note = Callable[[str, float, str, float, str, str], None]

#: Writes to the file as a crawler does, and says how long its longest commit took.
_WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
longest = 0.0
print('ready', flush=True)
while True:
    began = time.monotonic()
    connection.execute('begin immediate')
    for _ in range(20):
        connection.execute("insert into http_events (run_id, ts) values ('busy', ?)", [time.time()])
    connection.execute('commit')
    longest = max(longest, time.monotonic() - began)
    print(longest, flush=True)
    time.sleep(0.05)
"""


def measure(db: Path, folder: Path, note: Note) -> None:
    """Archive all of a large file while another process writes to it, and look at it afterwards.

    Args:
        db: the telemetry; its runs are moved away.
        folder: for the archive, on the file system of the file.
        note: keeps a figure and what it is compared with.
    """
    out = folder / "archive"
    # once after an installation or an edit of a model; not what is measured
    compiled(project_dir(), lambda _: None)
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(db)], stdout=subprocess.PIPE, text=True
    )
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "archive", "--db", str(db), "--out", str(out),
             "--older-than", "14d", "--output-format", "json"],
            stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        took = time.perf_counter() - began
    finally:
        writer.kill()
        said, _ = writer.communicate()
    result = json.loads(done.stdout)
    longest = float(said.splitlines()[-1])
    went = result["files"][0]["archived"]
    rate = sum(run["rows"] for run in went) / took / 1000
    note("archive, thousand events a second", rate, "wanted", 100, "≥ 100", "k/s")
    note("… a writer's longest wait meanwhile", longest, "SQLite's default", 5, "≤ 5 s", "s")
    lock = result["files"][0]["longest_lock_s"]
    note("… its longest transaction", lock, "SQLite's default", 5, "for information", "s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    note("… peak memory of any process", peak, "limit", 800, "≤ 800 MiB", "MiB")
    parquet, before = sum(run["parquet_bytes"] for run in went), sum(run["bytes"] for run in went)
    note("… Parquet", parquet / 1e6, "in the file", before / 1e6, "for information", "MB")
