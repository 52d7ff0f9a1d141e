"""The report's figures: how long it takes over a large warehouse, and the memory at its most."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: Takes what was measured, its value, what it is compared with, that value, the limit, the unit.
Note = Callable[[str, float, str, float, str, str], None]

#: Runs its arguments, and says how many seconds and KiB they took. Linux counts to a process what
#: the one that started it held until then; this one holds little, and the bench has built a lake.
_MEASURED: Final = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run([sys.executable, *sys.argv[1:]]).returncode
took = time.perf_counter() - began
print(json.dumps([code, took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


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
        report = ["-m", "exporter", "report", "--last", "30", "--out", str(out)]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *report], check=True, stdout=subprocess.PIPE
        )
        code, seconds, peak_kib = json.loads(done.stdout)
        if code:
            raise SystemExit(f"report ended with {code}")
        taken.append(seconds)
        peak_mib = max(peak_mib, peak_kib / 1024)
    note("report of 30 runs from the lake", min(taken), "one second", 1, "≤ 5 s", "s")
    note("peak memory of its largest process", peak_mib, "limit", 800, "≤ 800 MiB", "MiB")
    note("its size", out.stat().st_size / 1e6, "limit", 3, "≤ 3 MB", "MB")
