"""The report's charts as Vega-Lite: what is drawn, and how; the numbers come from the marts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from exporter.errors import printable
from exporter.render import amount
from exporter.report_svg import Spec, values
from exporter.report_words import target
from exporter.results import Row

#: Widths that a column, and the whole of a page, have room for (CSS pixels).
_COLUMN, _PAGE = 290, 660
_ROW: Final = 24
_STATES: Final = ("pass", "fail", "no_target")
_VERDICTS: Final = ("worse", "better", "same")
#: Up to where a share has which name and shade (%): 2 and 5 are the targets of http_429_pct.
_SHADES: Final = ((0.0, "none"), (2.0, "≤ 2 %"), (5.0, "≤ 5 %"), (10.0, "≤ 10 %"),
                  (25.0, "≤ 25 %"), (float("inf"), "> 25 %"))  # fmt: skip
_NAME_LIMIT: Final = 28
_MANY_CELLS: Final = 200


def short(name: str, limit: int = _NAME_LIMIT) -> str:
    """Return a name that fits beside a chart; its end is what tells hosts apart least."""
    text = printable(name)
    return text if len(text) <= limit else text[: limit - 1] + "…"


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
        "axis": {"title": series["unit"] or None, "tickCount": 4, "format": "~s"},
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
            "encoding": {"x": x, "y": y} | _by_state("status", _STATES),
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


def _by_state(field: str, states: Sequence[str]) -> Spec:
    """Tell states apart by colour and by shape."""
    shapes = {"pass": "circle", "fail": "diamond", "no_target": "square", "worse": "diamond",
              "better": "triangle-up", "same": "circle"}  # fmt: skip
    colours = {"pass": "var(--good)", "fail": "var(--bad)", "no_target": "var(--soft)",
               "worse": "var(--bad)", "better": "var(--good)", "same": "var(--soft)"}  # fmt: skip
    return {
        "color": {
            "field": field, "legend": None,
            "scale": {"domain": list(states), "range": [colours[s] for s in states]},
        },
        "shape": {
            "field": field, "legend": None,
            "scale": {"domain": list(states), "range": [shapes[s] for s in states]},
        },
    }  # fmt: skip


def _when(point: Row) -> str:
    """Return the date of a period, or the name of a week."""
    at: datetime | None = point["period_at"]
    if point["grain"] == "week" or at is None:
        return short(str(point["period"]), 12)
    return f"{at:%Y-%m-%d}"


def _names() -> Spec:
    """Return a row for each name, in the order of the data."""
    axis = {"title": None, "labelLimit": 260}
    return {"field": "name", "type": "nominal", "sort": None, "axis": axis}


def budgets(rows: Sequence[tuple[str, float, str]]) -> Spec:
    """Draw what is left of budgets: bars to the left of nothing are overspent.

    Args:
        rows: name, the ratio that is left, and how it is told.
    """
    bars = [
        {
            "name": short(name, 34), "left": max(-1.0, ratio) * 100, "label": told,
            "state": "pass" if ratio >= 0 else "fail", "zero": 0,
        }
        for name, ratio, told in rows
    ]  # fmt: skip
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "labelLimit": 260},
    }
    x = {
        "field": "left", "type": "quantitative", "scale": {"domain": [-100, 130]},
        "axis": {"title": "% of the error budget left; overspent ends at the edge",
                 "values": [-100, -50, 0, 50, 100]},
    }  # fmt: skip
    colour = _by_state("state", _STATES)["color"]
    return {
        "width": 260, "height": {"step": _ROW}, "data": values(bars),
        "layer": [
            {"mark": {"type": "bar", "height": 13}, "encoding": {"x": x, "y": y, "color": colour}},
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {
                    "x": {"field": "left", "type": "quantitative"} | {"scale": x["scale"]},
                    "y": y, "text": {"field": "label"},
                },
                "transform": [{"calculate": "max(datum.left, 0)", "as": "left"}],
            },
        ],
    }  # fmt: skip


def intervals(rows: Sequence[Row], unit: str) -> Spec:
    """Draw changes with their intervals: those that do not cross zero are no chance."""
    shown = [
        {
            "name": short(f"{r['slo']} {r['subject'] or ''}".strip(), 34),
            "low": r["change_low"], "high": r["change_high"], "change": r["change"],
            "verdict": r["verdict"],
        }
        for r in rows
    ]  # fmt: skip
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "labelLimit": 260},
    }
    title = f"change against the runs before ({'points' if unit == '%' else unit})"
    state = _by_state("verdict", _VERDICTS)
    return {
        "width": 260, "height": {"step": _ROW}, "data": values(shown),
        "layer": [
            {
                "data": values([{"zero": 0}]),
                "mark": {"type": "rule", "strokeDash": [3, 3]},
                "encoding": {"x": {"field": "zero", "type": "quantitative", "title": title}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 3},
                "encoding": {
                    "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y,
                    "color": state["color"],
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": {"field": "change", "type": "quantitative"}, "y": y} | state,
            },
        ],
    }  # fmt: skip


def explained(rows: Sequence[Row]) -> Spec:
    """Draw which part of a change each host or resolver explains."""
    bars = [
        {"name": short(str(r["segment"])), "share": 100 * r["share_of_change"]}
        for r in rows
        if r["share_of_change"] is not None
    ]
    y = _names()
    x = {"field": "share", "type": "quantitative", "axis": {"title": "% of the change explained"}}
    return {
        "width": 260, "height": {"step": _ROW}, "data": values(bars),
        "mark": {"type": "bar", "height": 13, "color": "var(--bad)"}, "encoding": {"x": x, "y": y},
    }  # fmt: skip


def edges(row: Row) -> str:
    """Return what a bin of times holds, in words."""
    if row["above_ms"] is None:
        return "first try"
    if row["up_to_ms"] is None:
        return f"> {_seconds(row['above_ms'])}"
    return f"≤ {_seconds(row['up_to_ms'])}"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:g} s"


def distribution(rows: Sequence[Row]) -> Spec:
    """Draw how long artifacts took: this run as bars, the runs before as marks."""
    bins = list(dict.fromkeys(edges(row) for row in sorted(rows, key=lambda r: r["place"])))
    shown = [{"bin": edges(r), "share": r["share_pct"], "side": r["side"]} for r in rows]
    x = {
        "field": "bin", "type": "ordinal", "scale": {"domain": bins},
        "axis": {"title": "time to the first PDF", "labelAngle": -40},
    }  # fmt: skip
    y = {"field": "share", "type": "quantitative", "axis": {"title": "% of artifacts"}}
    colour = {
        "field": "side", "type": "nominal",
        "scale": {"domain": ["this run", "runs before"], "range": ["var(--main)", "var(--ink)"]},
        "legend": {"title": None, "symbolType": "square"},
    }  # fmt: skip
    return {
        "width": 440, "height": 180, "data": values(shown),
        "layer": [
            {
                "transform": [{"filter": "datum.side == 'this run'"}],
                "mark": {"type": "bar"}, "encoding": {"x": x, "y": y, "color": colour},
            },
            {
                "transform": [{"filter": "datum.side != 'this run'"}],
                "mark": {"type": "tick", "thickness": 2.5},
                "encoding": {"x": x, "y": y, "color": colour},
            },
        ],
    }  # fmt: skip


def funnel(rows: Sequence[Row]) -> Spec:
    """Draw for each resolver the artifacts it was asked for, and those it found."""
    bars = [
        {
            "name": short(str(r["resolver"])), "tried": r["artifacts_tried"],
            "found": r["artifacts_found"],
            "label": f"{r['artifacts_found']:,} of {r['artifacts_tried']:,}"
            f" ({amount(r['found_pct'], '%')})",
        }
        for r in rows
    ]  # fmt: skip
    most = max((r["artifacts_tried"] for r in rows), default=1)
    y = _names()

    def x(field: str) -> Spec:
        return {
            "field": field, "type": "quantitative", "scale": {"domain": [0, most * 1.4]},
            "axis": {"title": "artifacts", "tickCount": 5, "format": "~s"},
        }  # fmt: skip

    return {
        "width": 340, "height": {"step": _ROW}, "data": values(bars),
        "layer": [
            {
                "mark": {"type": "bar", "height": 15, "color": "var(--pale)"},
                "encoding": {"x": x("tried"), "y": y},
            },
            {
                "mark": {"type": "bar", "height": 15, "color": "var(--main)"},
                "encoding": {"x": x("found"), "y": y},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {"x": x("tried"), "y": y, "text": {"field": "label"}},
            },
        ],
    }  # fmt: skip


def heat(rows: Sequence[Row], measure: str, title: str) -> Spec:
    """Draw a share by host and time; where a host was not asked there is nothing.

    Args:
        rows: of host_heat.
        measure: http_429_pct or error_pct.
        title: of the legend.
    """
    cells = times(rows)
    hosts = list(dict.fromkeys(host(r) for r in sorted(rows, key=lambda r: r["place"])))
    shown = [
        {
            "host": host(r),
            "at": stamp(r["cell_at"], r["cell_hours"]),
            "shade": next(name for most, name in _SHADES if r[measure] <= most),
        }
        for r in rows
        if r[measure] is not None
    ]
    wide = min(22.0, max(8.0, (_PAGE - 200) / max(len(cells), 1)))
    return {
        "width": {"step": wide}, "height": {"step": 20}, "data": values(shown),
        "mark": {"type": "rect", "stroke": "var(--page)", "strokeWidth": 1},
        "encoding": {
            "x": {
                "field": "at", "type": "ordinal", "scale": {"domain": cells},
                "axis": {
                    "title": None, "labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 14,
                    "labelExpr": "slice(datum.value, 5)", "ticks": False,
                },
            },
            "y": {
                "field": "host", "type": "ordinal", "scale": {"domain": hosts},
                "axis": {"title": None, "ticks": False},
            },
            "color": {
                "field": "shade", "type": "ordinal",
                "scale": {"domain": [name for _, name in _SHADES],
                          "range": [f"var(--h{step})" for step in range(len(_SHADES))]},
                "legend": {"title": title, "symbolType": "square", "symbolStrokeWidth": 0},
            },
        },
    }  # fmt: skip


def host(row: Row) -> str:
    """Return the host of a row of host_heat, in words where it is all others."""
    return "all other hosts" if row["host"] is None else short(str(row["host"]))


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


def openings(rows: Sequence[Row], until: datetime) -> Spec:
    """Draw when breakers were open.

    Args:
        rows: of breaker_intervals.
        until: to when one that is still open is drawn.
    """
    shown = [
        {
            "host": short(str(r["host"] or "unknown")),
            "from": f"{r['opened_at'].isoformat()}Z",
            "to": f"{(r['closed_at'] or max(until, r['opened_at'])).isoformat()}Z",
        }
        for r in rows
    ]  # fmt: skip
    time = {"type": "temporal", "scale": {"type": "utc"}}
    y = {"field": "host", "type": "nominal", "sort": None, "axis": {"title": None}}
    axis = {"title": "UTC", "format": "%H:%M", "tickCount": 6}
    return {
        "width": 440, "height": {"step": _ROW}, "data": values(shown),
        "layer": [
            {
                "mark": {"type": "bar", "height": 14, "color": "var(--bad)"},
                "encoding": {"x": {"field": "from", "axis": axis} | time,
                             "x2": {"field": "to"}, "y": y},
            },
            {
                "mark": {"type": "tick", "thickness": 1.5, "size": 18, "color": "var(--ink)"},
                "encoding": {"x": {"field": "from"} | time, "y": y},
            },
        ],
    }  # fmt: skip
