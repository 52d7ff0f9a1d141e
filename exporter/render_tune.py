"""Proposed targets as text for people: how runs did, what would change, and the diff."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from exporter.errors import printable
from exporter.findings import plural
from exporter.render import print_table
from exporter.results import Row

#: Runs left out that a line names; JSON has all.
_RUNS_NAMED: Final = 7
_BASELINE: Final = ("lowest", "p5", "p10", "p50", "p90", "p95", "highest")
_HEADINGS: Final = (
    "SLO",
    "scope",
    "unit",
    "runs",
    "no data",
    "values",
    "min",
    *_BASELINE[1:-1],
    "max",
)


def print_proposals(rows: Sequence[Row], runs: int, difference: str) -> None:
    """Print the distribution of each SLI, what is proposed and why, and the seed's diff.

    Args:
        rows: of slo_baselines and slo_proposals together.
        runs: over how many runs.
        difference: of the seed, as a unified diff.
    """
    out = sys.stdout
    share = rows[0]["share_pct"] if rows else 0
    of = f"{plural(runs, 'run')}"
    out.write(f"{of}; targets that {share:g} % of runs would meet\n\n")
    print_table(_HEADINGS, [_distribution(row) for row in rows])
    out.write("\n")
    out.writelines(f"{_told(row)}\n" for row in rows)
    if any(row["pulled_target"] is not None for row in rows):
        out.write(
            "\nRuns far worse than the usual run do not count (docs/tuning.md); --keep-all counts "
            "them, --without RUN leaves out others.\n"
        )
    if difference:
        out.write(f"\n{difference}")


def _distribution(row: Row) -> list[object]:
    values = [None if row[name] is None else float(f"{row[name]:.6g}") for name in _BASELINE]
    scope = " ".join(filter(None, (row["scope"], row["subject"])))
    counts = (row["runs"], row["runs_without_data"], row["observations"])
    return [row["slo"], scope, row["unit"], *counts, *values]


def _told(row: Row) -> str:
    """Say what is proposed for one target, what would have failed, and which runs pull it."""
    return f"{_proposed(row)}{_pulled(row)}"


def _pulled(row: Row) -> str:
    """Name the runs that are left out, where the target would be another one with them."""
    if row["pulled_target"] is None:
        return ""
    runs = row["runs_left_out"]
    names = ", ".join(printable(run) for run in runs[:_RUNS_NAMED])
    more = f" and {len(runs) - _RUNS_NAMED:,} more" if len(runs) > _RUNS_NAMED else ""
    return (
        f"\n  without {names}{more}, which would pull the target to "
        f"{row['comparator']} {_amount(row, 'pulled_target')}"
    )


def _proposed(row: Row) -> str:
    """Say what is proposed for one target, and what would have failed."""
    name = printable(" ".join(filter(None, (row["slo"], row["scope"], row["subject"]))))
    now = f"{name} {row['comparator']} {_amount(row, 'target')}"
    failing = f"{_failing(row, 'now')} would fail now"
    if row["proposal"] in ("pinned", "too_few", "too_loose"):
        why = row["proposal"].replace("_", " ")
        return f"{now}: {why}, no proposal: {row['reason']}; {failing}"
    if row["proposal"] == "kept":
        why = f" ({row['reason']})" if row["reason"] else ""
        return f"{now}: stays{why}; {failing}"
    then = f"{row['comparator']} {_amount(row, 'proposed_target')}"
    share = f"at {row['share_pct']:g} %"
    return (
        f"{now} → {then} ({row['proposal']}): {share}, {failing}, "
        f"{_failing(row, 'then', is_short=True)} with the proposal"
    )


def _failing(row: Row, when: str, is_short: bool = False) -> str:
    """Count the runs that fail; where a run has several values, of its hosts, these too."""
    runs, values = row[f"runs_failing_{when}"], row[f"failing_{when}"]
    text = f"{runs:,}" if is_short else f"{runs:,} of {plural(row['runs'], 'run')}"
    if row["observations"] == row["runs"]:
        return text
    return f"{text} ({values:,} of {plural(row['observations'], 'value')})"


def _amount(row: Row, name: str) -> str:
    return f"{row[name]:,.15g} {row['unit'] or ''}".rstrip()
