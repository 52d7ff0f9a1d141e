"""What a process of this package does first."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any


def without_pandas() -> None:
    """Spare DuckDB's search, at every value that it takes, for a pandas that is not installed."""
    modules: dict[str, Any] = sys.modules
    if find_spec("pandas") is None:
        modules["pandas"] = None
