"""The report's figures: how long it takes over a large warehouse, and the memory at its most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: Takes what was measured, its value, what it is compared with, that value, the limit, the unit.
Note = Callable[[str, float, str, float, str, str], None]


def measure(folder: Path, note: Note) -> None:
    """Take the figures of a report over the runs of the warehouse that is set.

    Args:
        folder: where the report is written.
        note: keeps a figure.
    """
    out = folder / "report.html"
    taken = []
    peak_mib = 0.0
    for _ in range(3):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "report", "--last", "30", "--out", str(out)]
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        taken.append(time.perf_counter() - started)
        if process.returncode:
            raise SystemExit(f"report ended with {process.returncode}")
        peak_mib = max(peak_mib, usage.ru_maxrss / 1024)
    note("report of 30 runs from the lake", min(taken), "one second", 1, "≤ 5 s", "s")
    note("its peak memory", peak_mib, "limit", 800, "≤ 800 MiB", "MiB")
    note("its size", out.stat().st_size / 1e6, "limit", 3, "≤ 3 MB", "MB")
