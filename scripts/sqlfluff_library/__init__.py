"""What sqlfluff's templater needs of dbt to render the models: target and vars as they are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

_FILE = Path(__file__).resolve().parents[2] / "dbt_project.yml"
_PROJECT = yaml.safe_load(_FILE.read_text("utf-8"))

target = SimpleNamespace(name="lake")


def var(name: str, default: Any = None) -> Any:
    """Return a var of dbt_project.yml."""
    return _PROJECT["vars"].get(name, default)
