"""The report's sections: what there is to see in words, a chart, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from exporter import report_causes as causes
from exporter import report_charts as charts
from exporter import report_charts_time as over_time
from exporter.budgets import is_known
from exporter.errors import printable
from exporter.findings import plural
from exporter.render import target
from exporter.render_budget import left, moment, needs, spending_hosts, spent, tally
from exporter.report_data import Report
from exporter.report_parts import NO_TABLE, TABLE_ROWS, Figure, Section, Table
from exporter.report_words import (
    MARK,
    before,
    change,
    explaining,
    explains,
    length,
    name,
    share,
    value,
    with_verdict,
)
from exporter.results import Row

#: How many hosts, runs, rows … are shown of those that there may be any number of.
_BUDGET_HOSTS: Final = 5


def sections(report: Report) -> list[Section]:
    """Return the sections, in the order of the questions that people ask."""
    return [make(report) for make in _SECTIONS]


def _budgets(report: Report) -> Section:
    found = report.budgets
    shown = found.counting + spending_hosts(found)[:_BUDGET_HOSTS]
    known = [b for b in shown if b["budget_remaining_ratio"] is not None]
    note = (
        "The budget of a ratio is counted in events: so many of the window may be bad. That of any "
        "other SLI is counted in hours, each judged by its own events; it is told once so many "
        "were judged that one may miss the target."
    )
    table = Table(
        ["SLO", "target#", "may be bad", "bad", "left#", "burn rates", "ran out (UTC)~"],
        [
            [
                name(b), target(b), f"{b['allowed_pct']:.5g} % of {b['window_days']:g} d",
                spent(b) if is_known(b) else needs(b), left(b), _burning(b),
                "" if b["ran_out_at"] is None else moment(b["ran_out_at"]),
            ]
            for b in shown
        ],
    )  # fmt: skip
    out = [name(b) for b in found.overspent]
    worst = f"; worst {', '.join(out[:4])}{' …' if len(out) > 4 else ''}" if out else ""
    bars = [(name(b), b["budget_remaining_ratio"], left(b)) for b in known]
    chart = charts.budgets(bars) if bars else None
    return Section(
        "budget", "Error budget", note, [Figure(f"{tally(found)}{worst}.", chart, table)]
    )


def _burning(budget: Row) -> str:
    """Return burn rates, the shortest window first."""
    rates = [r for r in budget["burn_rates"] if r["burn_rate"] is not None]
    return ", ".join(f"{r['burn_rate']:,.3g}× in {r['window_hours']:g} h" for r in rates) or "–"


def _trends(report: Report) -> Section:
    found = report.trends
    worst = sorted(found.series, key=lambda s: -sum(p["status"] == "fail" for p in s["points"]))
    note = f"By {found.by}, the latest on the right. " + (
        "A diamond missed the target, a circle met it; where the line breaks there is no data."
    )
    return Section("trends", "Trends", note, [_trend(s, found.by) for s in worst], is_grid=True)


def _trend(series: Row, by: str) -> Figure:
    from exporter.render_trends import gaps, met

    points = series["points"]
    latest = points[-1]
    told = value(latest["value"], series["unit"], series["target"])
    takeaway = f"Latest {told}, target {target(series)}"
    takeaway += f" met in {met(points)} {by}s." if _is_judged(points) else ": no data to judge."
    if missing := gaps(points, by):
        takeaway += f" {missing[:1].upper()}{missing[1:]}."
    table = Table(
        [by, "value#", "sample#", "verdict~"],
        [
            [
                printable(p["period"]), value(p["value"], series["unit"], series["target"]),
                "–" if p["sample_size"] is None else f"{p['sample_size']:,.0f}", MARK[p["status"]],
            ]
            for p in points
        ],
    )  # fmt: skip
    spec = over_time.trend(series) if any(p["value"] is not None for p in points) else None
    return Figure(takeaway, spec, table, name(series))


def _is_judged(points: Sequence[Row]) -> bool:
    return any(p["status"] in ("pass", "fail") for p in points)


def _changes(report: Report) -> Section:
    own = report.turned.slis
    members = [r for r in report.turned.members if r["verdict"] in ("worse", "better")]
    run = "The run"
    if report.turned.run_id != report.run["run_id"]:
        run = f"Run {printable(report.turned.run_id)}, since which an SLO is missed,"
    note = (
        f"{run} against {before(report)}, taken together. An interval that does not reach zero is "
        "more than chance would make it."
    )
    table = Table(
        ["SLI", "in the run#", "before#", "change~", "verdict~", "explained by"],
        [
            [
                name(r), value(r["value"], r["unit"]), value(r["baseline_value"], r["unit"]),
                change(r), MARK[r["verdict"]], _who(r),
            ]
            for r in [*own, *members][:TABLE_ROWS]
        ],
        is_cut=len(own) + len(members) > TABLE_ROWS,
    )  # fmt: skip
    worse = [r for r in own if r["verdict"] == "worse"]
    compared, lacking = with_verdict(own)
    drawn = [r for r in own if r["change_low"] is not None]
    takeaway = f"{len(worse)} of {plural(len(compared), 'SLI')} compared got worse" + (
        f": {', '.join(name(r) for r in worse)}." if worse else "."
    )
    if not compared:
        takeaway = "There is not enough data to compare."
    elif lacking:
        takeaway += f" {len(lacking)} of {len(own)} had not enough data to be compared."
    if not drawn:
        return Section("changes", "What changed, and who explains it", note,
                       [Figure(takeaway, None, table)])  # fmt: skip
    figures: list[Figure] = []
    for unit in dict.fromkeys(r["unit"] for r in drawn):
        rows = [r for r in drawn if r["unit"] == unit]
        words = takeaway if not figures else f"The same for SLIs in {unit}."
        told = "Squares had not enough data." if any(r in lacking for r in rows) else ""
        behind = table if not figures else NO_TABLE
        figures.append(Figure(words, charts.intervals(rows, unit), behind, "", told))
    for row in worse:
        explained = explaining(row)
        if explained and explained[0]["share_of_change"] is not None:
            figures.append(_explained(row, explained))
    return Section("changes", "What changed, and who explains it", note, figures)


def _explained(row: Row, explained: Sequence[Row]) -> Figure:
    first = explained[0]
    takeaway = f"{explains(first, f'the change of {name(row)}')}."
    table = Table(
        [str(first["dimension"]), "part of the change#", "rate now#", "rate before#"],
        [
            [
                printable(str(e["segment"])), share(e["share_of_change"]),
                value(e["rate_now_pct"], "%"), value(e["rate_before_pct"], "%"),
            ]
            for e in explained
        ],
    )  # fmt: skip
    return Figure(takeaway, charts.explained(explained), table, f"Who explains {name(row)}")


def _who(row: Row) -> str:
    others = "worse" if row["verdict"] == "better" else "better"
    return ", ".join(
        f"{printable(str(e['segment']))} ({share(e['share_of_change'], others)})"
        for e in explaining(row)
    )


def _runs(report: Report) -> Section:
    slis = {s["slo"]: (s["unit"], s["target"]) for s in report.slos if s["scope"] == "run"}
    table = Table(
        ["run", "verdict~", "start (UTC)~", "length#", "artifacts#", *(f"{slo}#" for slo in slis)],
        [
            [
                printable(r["run_id"]),
                MARK[r["verdict"]] + (f" ({r['slos_failed']})" if r["slos_failed"] else ""),
                "–" if r["started_at"] is None else moment(r["started_at"]),
                length(r["length_s"]) + ("" if r["is_finished"] else " …"), f"{r['artifacts']:,}",
                *(
                    ("✗ " if slo in (r["missed"] or ()) else "") + value(r[slo], *of)
                    for slo, of in slis.items()
                ),
            ]
            for r in reversed(report.runs)
        ],
    )  # fmt: skip
    passed = sum(bool(r["has_passed"]) for r in report.runs)
    takeaway = f"{passed} of {plural(len(report.runs), 'run')} missed no SLO."
    return Section("runs", "Runs compared", "", [Figure(takeaway, None, table)])


_SECTIONS: Final[tuple[Callable[[Report], Section], ...]] = (
    _budgets,
    _trends,
    _changes,
    _runs,
    causes.ttfp,
    causes.funnel,
    causes.heat,
    causes.breakers,
    causes.quality,
)
