"""Trends as text for people: a sparkline for each, gaps where there is no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exporter.errors import printable
from exporter.render import STATUS, amount, console_out, target, title
from exporter.results import Row

if TYPE_CHECKING:
    from rich.text import Text

    from exporter.trend_points import Trends

_BARS: Final = "▁▂▃▄▅▆▇█"
#: Stands in a sparkline where nothing was measured.
GAP: Final = "·"
_SCOPES: Final = {"run_role": "role ", "run_host": "host ", "run_resolver": "resolver "}
_GAPS_NAMED: Final = 6


def sparkline(values: Sequence[float | None]) -> str:
    """Return values as bars between their least and most; a gap where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return GAP * len(values)
    low, high = min(known), max(known)
    step = (high - low) / (len(_BARS) - 1)
    return "".join(
        GAP if value is None else _BARS[round((value - low) / step) if step else 3]
        for value in values
    )


def name_of(series: Row) -> str:
    """Return the name of an SLI, with what it is of but for whole runs."""
    if series["scope"] == "run":
        return title(series["slo"])
    return f"{title(series['slo'])} {_SCOPES[series['scope']]}{series['subject']}"


def met(points: Sequence[Row]) -> str:
    """Say in how many of the periods that were measured the target was met."""
    passed = sum(point["status"] == "pass" for point in points)
    judged = passed + sum(point["status"] == "fail" for point in points)
    measured = sum(point["value"] is not None for point in points)
    if judged:
        return f"{passed:,} of {judged:,}"
    return "no target" if measured else "no data"


def gaps(points: Sequence[Row], by: str) -> str:
    """Say in words which periods have no data; nothing where all have."""
    missing = [point["period"] for point in points if point["value"] is None]
    if not missing:
        return ""
    if len(missing) == len(points):
        return f"no data in any of the {len(points):,} {by}s"
    named = ", ".join(printable(name) for name in missing[:_GAPS_NAMED])
    more = f" and {len(missing) - _GAPS_NAMED:,} more" if len(missing) > _GAPS_NAMED else ""
    return f"{len(missing):,} of {len(points):,} {by}s without data: {named}{more}"


def print_trends(found: Trends) -> None:
    """Print a line for each SLI; of one alone also every value."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console_out()
    if not found.periods:
        out.print("no runs yet")
        return
    ends = [printable(found.periods[0]), printable(found.periods[-1])]
    span = ends[0] if len(found.periods) == 1 else f"{ends[0]} to {ends[1]}"
    count = f"{len(found.periods):,} {found.by}{'s' if len(found.periods) > 1 else ''}"
    out.print(Text.assemble((f"Trends by {found.by}", "bold"), f"  {span} ({count})"))
    out.print(Text(f"from {printable(found.source)}", style="dim"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("SLI", overflow="fold")
    table.add_column("trend", no_wrap=True)
    for name in ("least", "most", "latest", "target"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("latest is", no_wrap=True)
    table.add_column("met", justify="right", no_wrap=True)
    for one in found.series:
        values = [point["value"] for point in one["points"]]
        known = [value for value in values if value is not None]
        table.add_row(
            Text(printable(name_of(one))),
            Text(_fitted(values)),
            amount(min(known, default=None), one["unit"]),
            amount(max(known, default=None), one["unit"]),
            amount(values[-1], one["unit"], beside=one["target"]),
            target(one),
            _status(one["points"][-1]),
            met(one["points"]),
        )
    out.print(table)
    without = {gaps(one["points"], found.by): None for one in found.series}
    for text in filter(None, without):
        first = next(o for o in found.series if gaps(o["points"], found.by) == text)
        others = sum(gaps(one["points"], found.by) == text for one in found.series) - 1
        whose = name_of(first) + (f" and {others} more" if others else "")
        out.print(Text(f"{GAP} {printable(whose)}: {text}", style="dim"), soft_wrap=True)
    if len(found.series) == 1:
        _print_values(found.series[0], found.by)


def _fitted(values: Sequence[float | None]) -> str:
    """Return the sparkline of the latest values, as many as a terminal has room for."""
    room = max(8, console_out().width - 90)
    return ("…" if len(values) > room else "") + sparkline(values)[-room:]


def _status(point: Row) -> Text:
    from rich.text import Text

    text, style = STATUS.get(point["status"], ("– no target", "dim"))
    return Text(text, style=style)


def _print_values(series: Row, by: str) -> None:
    """Print every point of one series, the latest last."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in (by, "value", "sample", "verdict"):
        table.add_column(name, justify="right" if name in ("value", "sample") else "left")
    for point in series["points"]:
        sample = point["sample_size"]
        table.add_row(
            Text(printable(point["period"])),
            "no data"
            if point["value"] is None
            else amount(point["value"], series["unit"], beside=series["target"]),
            "–" if sample is None else f"{sample:,.0f}",
            _status(point),
        )
    console_out().print(table)
