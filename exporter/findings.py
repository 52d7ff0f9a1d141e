"""What the doctor finds: one check's status, what was found in numbers, and the remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from exporter.errors import shown

Status = Literal["bad", "warning", "unknown", "good"]

#: Worst first: the order in which a person wants to read them.
STATUSES: Final[tuple[Status, ...]] = ("bad", "warning", "unknown", "good")

#: Checks of each file, in the order in which they are made.
FILE_CHECKS: Final = (
    "file",
    "format",
    "wal",
    "free pages",
    "tables",
    "columns",
    "ignored",
    "indexes",
    "ids",
    "schema version",
    "privacy",
    "integrity",
    "size",
    "times",
    "order",
    "runs",
    "values",
    "recorder",
    "overhead",
    "loaded",
    "rejected rows",
    "archived runs",
)
#: Checks made once, whatever the files.
SHARED_CHECKS: Final = ("warehouse", "lock", "models", "disk space", "versions")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: one of the names above.
        status: unknown where it cannot be told, which is never passed as good.
        found: in numbers, and where.
        remedy: what to do; empty only when good.
    """

    check: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """The findings about one subject.

    Attributes:
        file: path of the telemetry file; None for the warehouse and the machine.
        findings: one for each check that could be made.
    """

    file: str | None
    findings: list[Finding]

    def worst_first(self) -> list[Finding]:
        """Return the findings, bad first; within a status in the order of the checks."""
        return sorted(self.findings, key=lambda finding: STATUSES.index(finding.status))


def good(check: str, found: str) -> Finding:
    """Return a finding that needs no remedy."""
    return Finding(check, "good", found)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some statuses; good for none."""
    return min(statuses, key=STATUSES.index, default="good")


def counted(reports: Iterable[Report]) -> dict[str, int]:
    """Count findings by status, worst first, those that do not occur as 0."""
    counts = Counter(f.status for report in reports for f in report.findings)
    return {status: counts[status] for status in STATUSES}


def as_json(reports: list[Report]) -> dict[str, Any]:
    """Return the whole answer as JSON has it; text that is not Unicode is spelled out."""
    rows = [
        {key: _unicode(value) for key, value in ({"file": r.file} | asdict(f)).items()}
        for r in reports
        for f in r.worst_first()
    ]
    rows.sort(key=lambda row: STATUSES.index(row["status"]))
    status = worst(f.status for r in reports for f in r.findings)
    return {"status": status, "counts": counted(reports), "findings": rows}


def from_json(row: Mapping[str, Any]) -> Finding:
    """Return a finding that came from another process."""
    return Finding(row["check"], row["status"], row["found"], row["remedy"])


def plural(number: int, word: str) -> str:
    """Return a count with its noun, such as ``1 row``, ``2,000 rows`` or ``3 days``."""
    if number == 1:
        return f"1 {word}"
    return f"{number:,} {re.sub('(?<![aeiou])y$', 'ie', word)}s"


def are(number: int) -> str:
    """Return the verb of a count: 1 row is, 2 rows are."""
    return "is" if number == 1 else "are"


def size(number: float) -> str:
    """Return bytes as people read them: ``1.25 GB``, of a thousand MB."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{number / scale:.4g} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """Return a length of time for people, in its largest fitting unit."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _unicode(value: Any) -> Any:
    return shown(value) if isinstance(value, str) else value
