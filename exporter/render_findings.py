"""What the doctor found, as text for people: bad first, what is good in one line."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.errors import printable
from exporter.findings import STATUSES, Finding, Report, Status, counted, plural
from exporter.render import console_out

_SHOWN: dict[Status, tuple[str, str]] = {
    "bad": ("✗ bad", "bold red"),
    "warning": ("! warning", "yellow"),
    "unknown": ("? unknown", "magenta"),
    "good": ("✓ good", "green"),
}


def print_reports(reports: Sequence[Report], verbose: bool) -> None:
    """Print a table of findings for each file, then for the warehouse and the machine.

    Args:
        reports: what was found.
        verbose: show what is good as lines of their own.
    """
    from rich.text import Text

    out = console_out()
    for report in reports:
        title = printable(report.file) if report.file is not None else "warehouse and machine"
        out.print(Text(title, style="bold"), soft_wrap=True)
        shown = [f for f in report.worst_first() if verbose or f.status != "good"]
        if shown:
            out.print(_table(shown))
        if names := [f.check for f in report.findings if f.status == "good"]:
            # a check may be good of one table and not of another
            listed = ", ".join(dict.fromkeys(names))
            if not verbose:
                out.print(Text(f"  ✓ good     {listed}", style="green"), soft_wrap=True)
        out.print()
    counts = counted(reports)
    told = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES)
    files = sum(report.file is not None for report in reports)
    out.print(Text(f"{told}; {plural(files, 'file')}"))


def _table(findings: Sequence[Finding]) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(no_wrap=True, min_width=14)
    table.add_column(overflow="fold")
    for finding in findings:
        word, style = _SHOWN[finding.status]
        text = Text(printable(finding.found))
        if finding.remedy:
            text.append(f"\n→ {printable(finding.remedy)}", style="dim")
        table.add_row(Text(f"  {word}", style=style), finding.check, text)
    return table
