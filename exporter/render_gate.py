"""The checklist of a rollout phase as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.errors import printable
from exporter.findings import plural
from exporter.render import console_out
from exporter.results import Row

_SHOWN: Final = {
    "passed": ("✓ passed", "green"),
    "failed": ("✗ failed", "bold red"),
    "not_measured": ("? not measured", "yellow"),
}


def print_checklist(
    phase: str, verdicts: Sequence[Row], runs: int, days: int | None, has_passed: bool
) -> None:
    """Print a line for each criterion: status, value and bound, evidence, and what to do.

    Args:
        phase: its name.
        verdicts: rows of gate_verdicts, in their order.
        runs: how many runs they are about.
        days: only runs of the last days; None for all of the files.
        has_passed: whether the phase has.
    """
    from rich.text import Text

    out = console_out()
    verdict = ("PASSED", "bold green") if has_passed else ("NOT PASSED", "bold red")
    out.print(Text.assemble(("Gate ", "bold"), (phase, "bold cyan"), "  ", verdict))
    window = f" of the last {plural(days, 'day')}" if days else ""
    out.print(Text(f"{plural(runs, 'run')}{window}\n", style="dim"))
    out.print(_table(verdicts))
    counts = [sum(v["status"] == status for v in verdicts) for status in _SHOWN]
    out.print(Text("\n{} passed, {} failed, {} not measured".format(*counts)))


def _table(verdicts: Sequence[Row]) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=16)
    table.add_column(overflow="fold")
    for row in verdicts:
        word, style = _SHOWN[row["status"]]
        text = Text(row["title"])
        text.append(f"\n{_value(row)}")
        if row["evidence"]:
            text.append(f": {printable(row['evidence'])}")
        if row["status"] != "passed":
            optional = "" if row["is_required"] else "optional; "
            text.append(f"\n→ {optional}{row['remedy']}", style="dim")
        table.add_row(Text(f"  {word}", style=style), text)
    return table


def _value(row: Row) -> str:
    """Say what was measured and what is needed."""
    value = "–" if row["value"] is None else f"{row['value']:,.4g}"
    unit = row["unit"]
    measured = f"{value} {unit}" if unit.startswith("%") else f"{unit}: {value}"
    return f"{measured} (needs {row['comparator']} {row['threshold']:g})"
