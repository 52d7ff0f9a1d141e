"""What a gate sees of things that no model knows: files, commands, services.

A look gives a number, which the model gate_verdicts holds against the threshold of the seed
gate_criteria; nothing is judged here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import duckdb

from exporter.errors import shown
from exporter.findings import Report


@dataclass(frozen=True)
class Seen:
    """What one look found.

    Attributes:
        criterion: as in gate_criteria.
        value: in the unit of gate_criteria, mostly a number of faults; None for not measured.
        is_complete: all that should be looked at was.
        evidence: the figures behind the value, in words; no values of the telemetry.
    """

    criterion: str
    value: float | None
    is_complete: bool
    evidence: str


@dataclass
class Context:
    """What there is to look at: what the command was told, and what is found out once.

    Attributes:
        names: files, folders and globs of telemetry.
        runs_of: the runs of each file that can be read.
        project_dir: the analyst's own copy of the dbt project.
        deep: look at every row, however long it takes.
        runs: the runs that are judged, the latest first.
    """

    names: list[str]
    runs_of: dict[str, set[str]]
    project_dir: Path | None
    deep: bool
    logs: Sequence[Path]
    metrics_url: str | None
    parquet: Path | None
    expected: Path | None
    run_folders: str | None
    rules: str | None
    prometheus_url: str | None
    grafana_url: str | None
    runs: list[str] = field(default_factory=list)

    @cached_property
    def examined(self) -> list[Report]:
        """Return what the doctor finds about each file."""
        from exporter.gate_files import examine

        return examine(self)


Look = Callable[[Context, duckdb.DuckDBPyConnection], tuple[float | None, bool, str]]


def _look(module: str, function: str) -> Look:
    """Return a look whose module is imported when it is taken."""

    def take(
        context: Context, connection: duckdb.DuckDBPyConnection
    ) -> tuple[float | None, bool, str]:
        from importlib import import_module

        found: tuple[float | None, bool, str] = getattr(
            import_module(f"exporter.{module}"), function
        )(context, connection)
        return found

    return take


#: How criteria are looked at; those that are not here are measured by the model gate_measurements.
LOOKS: Final[dict[str, Look]] = {
    "tables": _look("gate_files", "tables"),
    "privacy": _look("gate_files", "privacy"),
    "log_errors": _look("gate_files", "log_errors"),
    "capture": _look("gate_files", "capture"),
    "commands": _look("gate_commands", "commands"),
    "parquet": _look("gate_commands", "parquet"),
    "scrape": _look("gate_scrape", "scrape"),
    "alert_rules": _look("gate_alerts", "alert_rules"),
    "alerts_loaded": _look("gate_alerts", "alerts_loaded"),
    "dashboards": _look("gate_alerts", "dashboards"),
}


def look(criterion: str, context: Context, connection: duckdb.DuckDBPyConnection) -> Seen:
    """Take the look that a criterion asks for."""
    return Seen(criterion, *LOOKS[criterion](context, connection))


def as_json(seen: Sequence[Seen]) -> str:
    """Return what was seen as the model gate_verdicts reads it."""
    rows = [
        {name: shown(v) if isinstance(v, str) else v for name, v in asdict(one).items()}
        for one in seen
    ]
    return json.dumps(rows)
