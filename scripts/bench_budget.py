"""Figures of error budgets: 28 days of runs in a warehouse, and the same straight from the file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from scripts.generate import START, generate

Note = Callable[[str, float, str, float, str], None]

_DAYS, _RUNS = 28, 56
#: Requests an hour: enough for each hour to be judged by each SLO.
_PER_HOUR = 600


def measure(folder: Path, note: Note) -> None:
    """Load four weeks of runs and ask for their budgets at the end.

    Args:
        folder: for the file; the warehouse is the one in use.
        note: keeps a figure and what it is compared with.
    """
    db, events = folder / "month.sqlite3", _DAYS * 24 * _PER_HOUR
    generate(db, events, _RUNS, step=_DAYS * 86_400 / events / 1.2)
    end = datetime.fromtimestamp(START + _DAYS * 86_400, UTC).isoformat()
    _tool("run", "--db", str(db))
    # DuckDB alone is what any answer costs
    bare = _best("-c", "import duckdb")
    lake = _best("-m", "exporter", "budget", "--as-of", end)
    note("budget of 28 days from the lake", lake, "import duckdb alone", bare, "≤ 0.6 s")
    file = _best("-m", "exporter", "budget", "--as-of", end, "--db", str(db))
    note("… straight from the file", file, "import duckdb alone", bare, "for information")


def _best(*arguments: str) -> float:
    """Return the least seconds of three tries, as whole processes."""
    return min(_timed(*arguments) for _ in range(3))


def _timed(*arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=False)
    took = time.perf_counter() - began
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return took


def _tool(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "exporter", *arguments], stdout=subprocess.DEVNULL, check=True
    )
