"""What a process of this package does first, and how it starts another."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = Path(__file__).resolve().parents[1]


def without_pandas() -> None:
    """Spare DuckDB's search, at every value that it takes, for a pandas that is not installed."""
    modules: dict[str, Any] = sys.modules
    if find_spec("pandas") is None:
        modules["pandas"] = None


def other(module: str) -> subprocess.Popen[str]:
    """Start a module of this package, to be asked on its stdin and heard on its stdout."""
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="ascii",  # JSON spells out the rest
        env=os.environ | {"PYTHONPATH": path},
    )
