"""The report's charts as Vega-Lite: what is drawn, and how; the numbers come from the marts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.errors import printable
from exporter.render import amount
from exporter.report_svg import Spec, values
from exporter.report_words import name
from exporter.results import Row

#: Height of a row of names, and widths of a plot beside names, of one by itself, and of one that
#: fills a phone (CSS pixels).
ROW: Final = 24
PLOT: Final = 210
WIDE_PLOT: Final = 330
NARROW_PLOT: Final = 250
#: What a target or budget is: met or not.
STATES: Final = ("pass", "fail", "no_target")
_VERDICTS: Final = ("worse", "better", "same", "not_enough_data")
_NAME_LIMIT: Final = 28
#: … of an SLO with whom it is of.
_SLO_LIMIT: Final = 40


def short(name: str, limit: int = _NAME_LIMIT) -> str:
    """Return a name that fits beside a chart: of one that is too long, its start and its end."""
    text = printable(name)
    start = limit // 2
    return text if len(text) <= limit else f"{text[:start]}…{text[start + 1 - limit :]}"


def by_state(field: str, states: Sequence[str]) -> Spec:
    """Tell states apart by colour and by shape."""
    shapes = {"pass": "circle", "fail": "diamond", "no_target": "square", "worse": "diamond",
              "better": "triangle-up", "same": "circle", "not_enough_data": "square"}  # fmt: skip
    colours = {"pass": "var(--good)", "fail": "var(--bad)", "no_target": "var(--soft)",
               "worse": "var(--bad)", "better": "var(--good)", "same": "var(--soft)",
               "not_enough_data": "var(--unknown)"}  # fmt: skip
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


def names(limit: int = _NAME_LIMIT) -> Spec:
    """Return a row for each name, in the order of the data.

    Names are whole in the data, and only their labels are shortened: what begins alike must not
    become one row.
    """
    return {"field": "name", "type": "nominal", "sort": None, "axis": name_axis(limit)}


def name_axis(limit: int = _NAME_LIMIT) -> Spec:
    """Return an axis whose labels are names, shortened as `short` does it."""
    start = limit // 2
    shortened = f"slice(datum.value, 0, {start}) + '…' + slice(datum.value, {start + 1 - limit})"
    return {
        "title": None,
        "labelLimit": 260,
        "labelExpr": f"length(datum.value) > {limit} ? {shortened} : datum.value",
    }


def budgets(rows: Sequence[tuple[str, float, str]]) -> Spec:
    """Draw what is left of budgets: bars to the left of nothing are overspent.

    Args:
        rows: name, the ratio that is left, and how it is told.
    """
    bars = [
        {
            "name": whose, "left": max(-1.0, ratio) * 100, "label": told,
            "state": "pass" if ratio >= 0 else "fail", "zero": 0,
        }
        for whose, ratio, told in rows
    ]  # fmt: skip
    y = names(_SLO_LIMIT)
    x = {
        "field": "left", "type": "quantitative", "scale": {"domain": [-100, 130]},
        "axis": {"title": ["% of the error budget left;", "overspent ends at the edge"],
                 "values": [-100, -50, 0, 50, 100]},
    }  # fmt: skip
    colour = by_state("state", STATES)["color"]
    return {
        "width": PLOT, "height": {"step": ROW}, "data": values(bars),
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
            "name": name(r),
            "low": r["change_low"], "high": r["change_high"], "change": r["change"],
            "verdict": r["verdict"],
        }
        for r in rows
    ]  # fmt: skip
    y = names(_SLO_LIMIT)
    title = f"change against the runs before ({'points' if unit == '%' else unit})"
    state = by_state("verdict", _VERDICTS)
    return {
        "width": PLOT, "height": {"step": ROW}, "data": values(shown),
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
        {"name": printable(str(r["segment"])), "share": 100 * r["share_of_change"]}
        for r in rows
        if r["share_of_change"] is not None
    ]
    y = names()
    x = {"field": "share", "type": "quantitative", "axis": {"title": "% of the change explained"}}
    return {
        "width": PLOT, "height": {"step": ROW}, "data": values(bars),
        "mark": {"type": "bar", "height": 13, "color": "var(--bad)"}, "encoding": {"x": x, "y": y},
    }  # fmt: skip


def edges(row: Row) -> str:
    """Return what a bin of times holds, in words."""
    if row["up_to_ms"] is None:
        return f"> {_seconds(row['above_ms'])}"
    return f"≤ {_seconds(row['up_to_ms'])}"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:g} s"


def distribution(rows: Sequence[Row]) -> Spec:
    """Draw how long artifacts took: this run as bars, the runs before as marks.

    Args:
        rows: of ttfp_distribution, those to draw.
    """
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
        "legend": {"title": None, "symbolType": "square", "symbolOpacity": 1},
    }  # fmt: skip
    return {
        "width": WIDE_PLOT, "height": 150, "data": values(shown),
        "layer": [
            {
                "transform": [{"filter": "datum.side == 'this run'"}],
                "mark": {"type": "bar"}, "encoding": {"x": x, "y": y, "color": colour},
            },
            {
                "transform": [{"filter": "datum.side != 'this run'"}],
                "mark": {"type": "tick", "thickness": 2.5, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour},
            },
        ],
    }  # fmt: skip


def funnel(rows: Sequence[Row]) -> Spec:
    """Draw for each resolver the artifacts it was asked for, and those it found."""
    bars = [
        {
            "name": printable(str(r["resolver"])), "tried": r["artifacts_tried"],
            "found": r["artifacts_found"],
            "label": f"{r['artifacts_found']:,} of {r['artifacts_tried']:,}"
            f" ({amount(r['found_pct'], '%')})",
        }
        for r in rows
    ]  # fmt: skip
    most = max((r["artifacts_tried"] for r in rows), default=1)
    y = names()

    def x(field: str) -> Spec:
        return {
            "field": field, "type": "quantitative", "scale": {"domain": [0, most * 1.4]},
            "axis": {"title": "artifacts", "tickCount": 5, "format": "~s"},
        }  # fmt: skip

    return {
        "width": PLOT, "height": {"step": ROW}, "data": values(bars),
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
