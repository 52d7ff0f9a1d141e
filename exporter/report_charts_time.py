"""The report's charts over time as Vega-Lite: trends, hosts, breakers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Final

from exporter.errors import printable
from exporter.render import target
from exporter.report_charts import (
    NARROW_PLOT,
    ROW,
    STATES,
    WIDE_PLOT,
    by_state,
    name_axis,
    names,
    short,
)
from exporter.report_svg import Spec, values
from exporter.results import Row

#: Width that a column has room for (CSS pixels).
_COLUMN: Final = 290
#: Names of the levels of each share that host_heat grades, lowest first.
_LEVELS: Final = {
    "http_429_pct": ("none", "within target", "≤ 2 × target", "≤ 5 × target", "≤ 10 × target",
                     "> 10 × target"),
    "error_pct": ("none", "≤ 2 %", "≤ 5 %", "≤ 10 %", "≤ 25 %", "> 25 %"),
}  # fmt: skip
_MANY_CELLS: Final = 200
#: Height of a row with its name above it (CSS pixels), letters that there is room for, and how wide
#: a letter of a label is (CSS pixels).
_NARROW_ROW: Final = 36
_NARROW_NAME: Final = 42
_LETTER: Final = 6.2
#: Times within less than this are told apart by their seconds.
_SHORT: Final = timedelta(minutes=10)


def trend(series: Row) -> Spec:
    """Draw one SLI over its periods: a line that breaks where there is no data, and its target."""
    points = series["points"]
    runs = groupby(enumerate(points), key=lambda pair: pair[1]["value"] is None)
    rows = [
        {"x": x, "y": point["value"], "status": point["status"], "piece": piece}
        for piece, (is_gap, group) in enumerate(runs)
        if not is_gap
        for x, point in group
    ]
    last = max(len(points) - 1, 1)
    x = {
        "field": "x", "type": "quantitative", "axis": None,
        "scale": {"domain": [-0.02 * last, 1.02 * last], "nice": False},
    }  # fmt: skip
    y = {
        "field": "y", "type": "quantitative", "scale": {"zero": False, "nice": True},
        "axis": {"title": series["unit"] or None, "tickCount": 4, "format": ",~f"},
    }  # fmt: skip
    ends = [
        {"x": place, "label": _when(points[place]), "align": align}
        for place, align in ((0, "left"), (len(points) - 1, "right"))
        if points and (place or len(points) > 1 or align == "left")
    ]
    layers: list[Spec] = [
        {
            "data": values(rows),
            "mark": {"type": "line", "color": "var(--soft)", "strokeWidth": 1.2},
            "encoding": {"x": x, "y": y, "detail": {"field": "piece"}},
        },
        {
            "data": values(rows),
            "mark": {"type": "point", "filled": True, "size": 42, "opacity": 1},
            "encoding": {"x": x, "y": y} | by_state("status", STATES),
        },
    ]
    if series["target"] is not None:
        layers += _target_line(series)
    layers += [
        {
            "data": values([end]),
            "mark": {
                "type": "text", "align": end["align"], "color": "var(--soft)", "baseline": "top",
                "dy": 5,
            },
            "encoding": {"x": x, "y": {"value": 110}, "text": {"field": "label"}},
        }
        for end in ends
    ]  # fmt: skip
    return {"width": _COLUMN - 50, "height": 110, "layer": layers}


def _target_line(series: Row) -> list[Spec]:
    line = values([{"y": series["target"], "label": f"target {target(series)}"}])
    y = {"field": "y", "type": "quantitative"}
    return [
        {
            "data": line,
            "mark": {"type": "rule", "strokeDash": [5, 3], "color": "var(--target)"},
            "encoding": {"y": y},
        },
        {
            "data": line,
            "mark": {
                "type": "text", "align": "left", "dx": 2, "dy": -7,
                "fontSize": 10, "color": "var(--target)",
            },
            "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "label"}},
        },
    ]  # fmt: skip


def _when(point: Row) -> str:
    """Return the date of a period, or the name of a week."""
    at: datetime | None = point["period_at"]
    if point["grain"] == "week" or at is None:
        return short(str(point["period"]), 12)
    return f"{at:%Y-%m-%d}"


def heat(rows: Sequence[Row], measure: str, title: str, is_narrow: bool = False) -> Spec:
    """Draw a share by host and time; where a host was not asked there is nothing.

    Args:
        rows: of host_heat.
        measure: http_429_pct or error_pct.
        title: of the legend.
        is_narrow: draw it for a phone.
    """
    cells = times(rows)
    shades = list(_LEVELS[measure])
    hosts = list(dict.fromkeys(host(r) for r in sorted(rows, key=lambda r: r["place"])))
    shown = [
        {
            "name": host(r),
            "at": stamp(r["cell_at"], r["cell_hours"]),
            "shade": shades[r[f"{measure.removesuffix('_pct')}_level"]],
        }
        for r in rows
        if r[measure] is not None
    ]
    room = (NARROW_PLOT if is_narrow else WIDE_PLOT) / max(len(cells), 1)
    step = min(18.0, room if is_narrow else max(6.0, room))
    x = {
        "field": "at", "type": "ordinal", "scale": {"domain": cells},
        "axis": {
            "title": None, "labelAngle": 0, "labelExpr": "slice(datum.value, 5)", "ticks": False,
            "values": cells[:: _cells_per_label(cells, step)],
        },
    }  # fmt: skip
    y = {
        "field": "name", "type": "ordinal", "scale": {"domain": hosts},
        "axis": None if is_narrow else name_axis() | {"ticks": False},
    }  # fmt: skip
    legend = {"title": title, "symbolType": "square", "symbolStrokeWidth": 0}
    cell: Spec = {
        "mark": {
            "type": "rect", "stroke": "var(--page)", "strokeWidth": min(1.0, step / 6),
        },
        "encoding": {
            "x": x, "y": y,
            "color": {
                "field": "shade", "type": "ordinal",
                "scale": {"domain": shades,
                          "range": [f"var(--h{number})" for number in range(len(shades))]},
                "legend": legend | ({"columns": 3} if is_narrow else {}),
            },
        },
    }  # fmt: skip
    size = {"width": {"step": step}, "height": {"step": 20}, "data": values(shown)}
    if not is_narrow:
        return size | cell
    cell["mark"] |= {"height": {"band": 0.45}, "yOffset": _NARROW_ROW / 4}
    return size | {"height": {"step": _NARROW_ROW}, "layer": [cell, _above(hosts, y)]}


def _above(hosts: Sequence[str], y: Spec) -> Spec:
    """Name each host above its row: on a phone there is no room beside it."""
    return {
        "data": values([{"name": host, "label": short(host, _NARROW_NAME)} for host in hosts]),
        "mark": {"type": "text", "align": "left", "baseline": "middle", "dy": -_NARROW_ROW / 4},
        "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "label"}},
    }


def _cells_per_label(cells: Sequence[str], step: float) -> int:
    """Return how many cells one label of a time needs, so that labels stay apart."""
    longest = max((len(cell) - len("2025-") for cell in cells), default=0)
    return max(1, ceil((longest * _LETTER + 14) / step))


def host(row: Row) -> str:
    """Return the host of a row of host_heat, in words where it is all others."""
    return "all other hosts" if row["host"] is None else printable(str(row["host"]))


def stamp(at: datetime, hours: int) -> str:
    """Return when a cell begins, no finer than it is long."""
    return f"{at:%Y-%m-%d}" if hours >= 24 else f"{at:%Y-%m-%d %H}h"


def times(rows: Sequence[Row]) -> list[str]:
    """Return all cells from the first to the last, the empty ones between them too."""
    if not rows:
        return []
    hours = rows[0]["cell_hours"]
    moments = sorted({row["cell_at"] for row in rows})
    step = timedelta(hours=hours)
    if (moments[-1] - moments[0]) / step <= _MANY_CELLS:
        between = range(int((moments[-1] - moments[0]) / step) + 1)
        moments = [moments[0] + step * number for number in between]
    return [stamp(moment, hours) for moment in moments]


def openings(rows: Sequence[Row], until: datetime, is_narrow: bool = False) -> Spec:
    """Draw when breakers were open.

    Args:
        rows: of breaker_intervals.
        until: to when one that is still open is drawn.
        is_narrow: draw it for a phone.
    """
    shown = [
        {
            "name": printable(str(r["host"] or "unknown")),
            "from": f"{r['opened_at'].isoformat()}Z",
            "to": f"{(r['closed_at'] or max(until, r['opened_at'])).isoformat()}Z",
        }
        for r in rows
    ]  # fmt: skip
    moments = sorted(row[end] for row in shown for end in ("from", "to"))
    length = datetime.fromisoformat(moments[-1]) - datetime.fromisoformat(moments[0])
    precise = "%H:%M" if length >= _SHORT else "%H:%M:%S"
    time = {"type": "temporal", "scale": {"type": "utc"}}
    y = names() | ({"axis": None} if is_narrow else {})
    ticks = 6 if length >= _SHORT and not is_narrow else 4
    axis = {"title": "UTC", "format": precise, "tickCount": ticks}
    below = {"yOffset": _NARROW_ROW / 4} if is_narrow else {}
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "height": 14, "color": "var(--bad)"} | below,
            "encoding": {"x": {"field": "from", "axis": axis} | time,
                         "x2": {"field": "to"}, "y": y},
        },
        {
            "mark": {"type": "tick", "thickness": 1.5, "size": 18, "color": "var(--ink)"} | below,
            "encoding": {"x": {"field": "from"} | time, "y": y},
        },
    ]  # fmt: skip
    if is_narrow:
        layers.append(_above(list(dict.fromkeys(row["name"] for row in shown)), y))
    return {
        "width": NARROW_PLOT if is_narrow else WIDE_PLOT,
        "height": {"step": _NARROW_ROW if is_narrow else ROW},
        "data": values(shown),
        "layer": layers,
    }
