"""monitoring/alerts.yml: what the seed does not say, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class SloAlert:
    """How the targets of one SLO and scope become alerts."""

    alert: str
    metric: str
    wait: str
    severity: str
    runbook: str
    title: str
    meaning: str
    subject_label: str
    yellow: float = 0


@dataclass(frozen=True)
class TelemetryAlert:
    """An alert about telemetry itself, whole."""

    alert: str
    expr: str
    wait: str
    severity: str
    runbook: str
    summary: str
    description: str


@dataclass(frozen=True)
class BudgetAlert:
    """An alert about error budgets, but for what the seed of burn rates says."""

    alert: str
    burning: str
    wait: str
    severity: str
    runbook: str
    summary: str
    description: str


@dataclass(frozen=True)
class Recording:
    """A series that Prometheus keeps."""

    record: str
    expr: str


@dataclass(frozen=True)
class Settings:
    """The whole file."""

    runbooks: str
    units: dict[str, str]
    slos: dict[tuple[str, str], SloAlert]
    other_slos: dict[str, Any]
    budgets: list[BudgetAlert]
    telemetry: list[TelemetryAlert]
    recordings: list[Recording]

    def slo_alert(self, slo: str, scope: str) -> SloAlert:
        """Return the entry for an SLO and scope, or the one for SLOs without an entry."""
        if (slo, scope) in self.slos:
            return self.slos[slo, scope]
        row = dict(self.other_slos)
        metric = f'{row.pop("metric")}{{slo="{slo}",scope="{scope}"}}'
        meaning = "The run misses this SLO."
        return SloAlert(**row, metric=metric, title=slo, meaning=meaning, subject_label="subject")

    def value(self, unit: str) -> str:
        """Return the template that writes an alert's value in human terms."""
        return self.units.get(unit, f"{{{{ $value | humanize }}}} {unit}")


def read_settings(path: Path) -> Settings:
    """Read the file; TypeError names a key that is unknown or missing."""
    raw = yaml.safe_load(path.read_text())
    slos = {(row.pop("slo"), row.pop("scope")): row for row in map(_with_wait, raw.pop("slos"))}
    return Settings(
        slos={
            # the metrics name a role "role" and a host "host"
            key: SloAlert(**row, subject_label=key[1].removeprefix("run_"))
            for key, row in slos.items()
        },
        budgets=[BudgetAlert(**_with_wait(row)) for row in raw.pop("budgets")],
        telemetry=[TelemetryAlert(**_with_wait(row)) for row in raw.pop("telemetry")],
        recordings=[Recording(**row) for row in raw.pop("recordings")],
        other_slos=_with_wait(raw.pop("other_slos")),
        **raw,
    )


def _with_wait(row: dict[str, Any]) -> dict[str, Any]:
    # "for" is a word of Python
    return {"wait" if key == "for" else key: value for key, value in row.items()}
