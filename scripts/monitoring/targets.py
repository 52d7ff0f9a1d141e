"""The rows of the SLO seed, and how PromQL and people say them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

_MISSED = {">=": "<", "<=": ">"}
_WORST = {">=": "min", "<=": "max"}
_SIGN = {">=": "≥", "<=": "≤"}
_WORDS = {">=": "at least", "<=": "at most"}


@dataclass(frozen=True)
class Target:
    """One row of the seed; ``target`` is its number as written there."""

    slo: str
    scope: str
    subject: str
    comparator: str
    target: str
    unit: str

    @property
    def missed(self) -> str:
        """PromQL that follows a metric and keeps the series that miss the target."""
        return f"{_MISSED[self.comparator]} {self.target}"

    @property
    def worst(self) -> str:
        """PromQL that keeps the worst of several values."""
        return _WORST[self.comparator]

    @property
    def short(self) -> str:
        """The promise as people write it: ``≥ 85 %``."""
        return f"{_SIGN[self.comparator]} {self._human}"

    @property
    def spoken(self) -> str:
        """The promise as people say it: ``at least 85 %``."""
        return f"{_WORDS[self.comparator]} {self._human}"

    @property
    def _human(self) -> str:
        if self.unit == "ms" and float(self.target) >= 1000:
            return f"{float(self.target) / 1000:g} s"
        return f"{self.target} {self.unit}"


def read_targets(seed: Path) -> list[Target]:
    """Read the seed, in its order."""
    with seed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = Target.__dataclass_fields__
    return [Target(**{name: row[name] for name in names}) for row in rows]


def named_subjects(targets: list[Target], slo: str, scope: str) -> list[str]:
    """Return the roles or hosts that have a target of their own for an SLO."""
    return [t.subject for t in targets if (t.slo, t.scope) == (slo, scope) and t.subject]


def find_target(targets: list[Target], slo: str, scope: str, subject: str = "") -> Target:
    """Return the one row for an SLO, scope and subject; KeyError when the seed has none."""
    for target in targets:
        if (target.slo, target.scope, target.subject) == (slo, scope, subject):
            return target
    raise KeyError(f"the seed has no target for {slo}, {scope}, {subject or 'no subject'}")
