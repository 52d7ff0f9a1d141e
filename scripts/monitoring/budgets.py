"""Alerts on how fast error budgets burn: several windows, several rates.

The method is that of the SRE Workbook (Beyer et al., 2018, chapter 5, "Alerting on SLOs"): an alert
wants a long window to have burnt enough to matter, and a short one to burn still.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

_METRIC = "docstokg_slo_burn_rate"


@dataclass(frozen=True)
class Pair:
    """One row of seeds/burn_rate_alerts.csv; ``burn_rate`` is its number as written there."""

    severity: str
    long_hours: int
    short_hours: int
    burn_rate: str

    @property
    def expr(self) -> str:
        """PromQL that keeps the SLOs that burn at the rate in both windows."""
        both = dict.fromkeys((self.long_hours, self.short_hours))
        return " and ignoring (window) ".join(
            f'{_METRIC}{{window="{hours}h"}} >= {self.burn_rate}' for hours in both
        )


def read_pairs(seed: Path) -> list[Pair]:
    """Read the seed, in its order."""
    with seed.open(newline="") as file:
        return [
            Pair(row["severity"], int(row["long_hours"]), int(row["short_hours"]), row["burn_rate"])
            for row in csv.DictReader(file)
        ]


def burning(pairs: list[Pair], severity: str) -> str:
    """Return PromQL for the SLOs that any pair of a severity is about, without the window.

    Raises:
        KeyError: the seed has no pair of that severity.
    """
    found = [f"({pair.expr})" for pair in pairs if pair.severity == severity]
    if not found:
        raise KeyError(f"the seed has no burn rate alert of severity {severity}")
    return f"max without (window) ({' or ignoring (window) '.join(found)})"
