"""The report's sections: what there is to see in words, a chart, and the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter import report_charts as charts
from exporter.errors import printable
from exporter.render import amount
from exporter.render_budget import left, moment
from exporter.report_data import Report
from exporter.report_svg import Spec
from exporter.report_words import (
    MARK,
    before,
    change,
    count,
    explaining,
    length,
    name,
    share,
    target,
    value,
)
from exporter.results import Row

#: How many hosts, runs, rows … are shown of those that there may be any number of.
_BUDGET_HOSTS: Final = 5
_TABLE_ROWS: Final = 500
_TIMELINE: Final = 300


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: names; one that ends in `#` is of numbers, in `~` of texts that stay in one line.
        rows: cells, as many as columns.
        is_cut: there were more rows.
    """

    columns: list[str]
    rows: list[list[str]]
    is_cut: bool = False


@dataclass(frozen=True)
class Figure:
    """What there is to see.

    Attributes:
        takeaway: it in words: the caption, and what is read aloud.
        spec: the chart; None where the table is all.
        table: every value of the chart.
        title: of the figure among others in its section; empty where it is alone.
    """

    takeaway: str
    spec: Spec | None
    table: Table
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        anchor: what a link in the page names.
        title: its heading.
        note: what is to be said before, or instead of, figures.
        figures: what there is to see.
        is_grid: the figures are small and stand side by side.
    """

    anchor: str
    title: str
    note: str
    figures: list[Figure] = field(default_factory=list)
    is_grid: bool = False


def sections(report: Report) -> list[Section]:
    """Return the sections, in the order of the questions that people ask."""
    return [make(report) for make in _SECTIONS]


def _budgets(report: Report) -> Section:
    found = report.budgets.budgets
    hosts = [b for b in found if b["scope"] == "run_host" and b["slices_bad"]][:_BUDGET_HOSTS]
    shown = [b for b in found if b["scope"] != "run_host"] + hosts
    judged = [b for b in shown if b["budget_remaining_ratio"] is not None]
    note = (
        "Each hour of a run is judged by its own events; the budget is the share of judged hours "
        "that may miss the target within the window."
    )
    table = Table(
        ["SLO", "target#", "window", "judged#", "bad#", "left#", "burn rates", "ran out (UTC)~"],
        [
            [
                name(b), target(b), f"{b['objective_pct']:g} % of {b['window_days']:g} d",
                f"{b['slices_judged']:,}", f"{b['slices_bad']:,}",
                left(b["budget_remaining_ratio"]), _burning(b),
                "" if b["ran_out_at"] is None else moment(b["ran_out_at"]),
            ]
            for b in shown
        ],
    )  # fmt: skip
    if not judged:
        return Section("budget", "Error budget", f"{note} No hour could be judged: no data.",
                       [Figure("No hour could be judged.", None, table)])  # fmt: skip
    out = [b for b in judged if b["ran_out_at"] is not None]
    takeaway = (
        f"{count(len(out), 'budget')} of {len(judged)} overspent: "
        f"{', '.join(name(b) for b in out[:4])}{' …' if len(out) > 4 else ''}."
        if out
        else f"None of {count(len(judged), 'budget')} is overspent."
    )
    bars = [
        (name(b), b["budget_remaining_ratio"], left(b["budget_remaining_ratio"])) for b in judged
    ]
    return Section("budget", "Error budget", note, [Figure(takeaway, charts.budgets(bars), table)])


def _burning(budget: Row) -> str:
    """Return burn rates, the shortest window first."""
    rates = [r for r in budget["burn_rates"] if r["burn_rate"] is not None]
    return (
        ", ".join(f"{r['burn_rate']:,.3g}× in {r['window_hours']:g} h" for r in rates) or "no data"
    )


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
    takeaway = f"Latest {value(latest['value'], series['unit'])}, target {target(series)}"
    takeaway += f" met in {met(points)} {by}s." if _is_judged(points) else ": no data to judge."
    if missing := gaps(points, by):
        takeaway += f" {missing[:1].upper()}{missing[1:]}."
    table = Table(
        [by, "value#", "sample#", "verdict~"],
        [
            [
                printable(p["period"]), value(p["value"], series["unit"]),
                "–" if p["sample_size"] is None else f"{p['sample_size']:,.0f}", MARK[p["status"]],
            ]
            for p in points
        ],
    )  # fmt: skip
    spec = charts.trend(series) if any(p["value"] is not None for p in points) else None
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
            for r in [*own, *members][:_TABLE_ROWS]
        ],
        is_cut=len(own) + len(members) > _TABLE_ROWS,
    )  # fmt: skip
    worse = [r for r in own if r["verdict"] == "worse"]
    compared = [r for r in own if r["change_low"] is not None]
    takeaway = f"{len(worse)} of {count(len(compared), 'SLI')} compared got worse" + (
        f": {', '.join(name(r) for r in worse)}." if worse else "."
    )
    if not compared:
        return Section("changes", "What changed, and who explains it", note,
                       [Figure("There is not enough data to compare.", None, table)])  # fmt: skip
    figures: list[Figure] = []
    for unit in dict.fromkeys(r["unit"] for r in compared):
        rows = [r for r in compared if r["unit"] == unit]
        words = takeaway if not figures else f"The same for SLIs in {unit}."
        figures.append(
            Figure(words, charts.intervals(rows, unit), table if not figures else _none())
        )
    for row in worse:
        explained = explaining(row)
        if explained and explained[0]["share_of_change"] is not None:
            figures.append(_explained(row, explained))
    return Section("changes", "What changed, and who explains it", note, figures)


def _none() -> Table:
    return Table([], [])


def _explained(row: Row, explained: Sequence[Row]) -> Figure:
    first = explained[0]
    takeaway = (
        f"{printable(str(first['segment']))} explains {share(first['share_of_change'])} of the "
        f"change of {name(row)}."
    )
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
    return ", ".join(
        f"{printable(str(e['segment']))} {share(e['share_of_change'])}" for e in explaining(row)
    )


def _runs(report: Report) -> Section:
    slis = {s["slo"]: s["unit"] for s in report.slos if s["scope"] == "run"}
    table = Table(
        ["run", "start (UTC)~", "length#", "artifacts#", *(f"{slo}#" for slo in slis), "verdict~"],
        [
            [
                printable(r["run_id"]), "–" if r["started_at"] is None else moment(r["started_at"]),
                length(r["length_s"]) + ("" if r["is_finished"] else " …"), f"{r['artifacts']:,}",
                *(value(r[slo], unit) for slo, unit in slis.items()),
                MARK["pass"] if r["has_passed"] else f"{MARK['fail']} ({r['slos_failed']})",
            ]
            for r in reversed(report.runs)
        ],
    )  # fmt: skip
    passed = sum(bool(r["has_passed"]) for r in report.runs)
    takeaway = f"{passed} of {count(len(report.runs), 'run')} missed no SLO."
    return Section("runs", "Runs compared", "", [Figure(takeaway, None, table)])


def _ttfp(report: Report) -> Section:
    rows, title = report.distribution, "Time to the first PDF"
    mine = [r for r in rows if r["side"] == "this run"]
    if not mine:
        return Section("ttfp", title, "No artifact of the run has a first success.")
    own = [s for s in report.slos if s["slo"].startswith("ttfp") and s["scope"] == "run"]
    told = ", ".join(f"{s['slo']} {value(s['value'], s['unit'])} (target {target(s)})" for s in own)
    by_place = {(r["side"], r["place"]): r for r in rows}
    table = Table(
        ["time", "this run#", "share#", "runs before#", "share#"],
        [
            [
                charts.edges(r), f"{r['artifacts']:,}", value(r["share_pct"], "%"),
                *_before(by_place.get(("runs before", r["place"]))),
            ]
            for r in mine
        ],
    )  # fmt: skip
    most = max(mine, key=lambda r: r["artifacts"])
    takeaway = f"Most artifacts ({value(most['share_pct'], '%')}): {charts.edges(most)}. {told}."
    return Section("ttfp", title, "",
                   [Figure(takeaway, charts.distribution(rows), table)])  # fmt: skip


def _before(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "no data", "no data"
    return f"{row['artifacts']:,}", value(row["share_pct"], "%")


def _funnel(report: Report) -> Section:
    rows = report.funnel
    if not rows:
        return Section("resolvers", "Resolver funnel", "The run recorded no attempts: no data.")
    best = max(rows, key=lambda r: r["artifacts_found"])
    takeaway = (
        f"{printable(best['resolver'])} finds most: {best['artifacts_found']:,} of the "
        f"{best['artifacts_tried']:,} artifacts it is asked for."
    )
    table = Table(
        ["resolver", "asked for#", "found first#", "found#", "passed on#", "attempts#"],
        [
            [
                printable(r["resolver"]), f"{r['artifacts_tried']:,}", f"{r['artifacts_found']:,}",
                amount(r["found_pct"], "%"), f"{r['artifacts_passed_on']:,}", f"{r['attempts']:,}",
            ]
            for r in rows[:_TABLE_ROWS]
        ],
        is_cut=len(rows) > _TABLE_ROWS,
    )  # fmt: skip
    note = "In the order in which they were asked; light: artifacts asked for, dark: found first."
    return Section("resolvers", "Resolver funnel", note,
                   [Figure(takeaway, charts.funnel(rows[:20]), table)])  # fmt: skip


def _heat(report: Report) -> Section:
    rows = report.heat
    if not rows:
        return Section("hosts", "Hosts over time", "No requests were recorded: no data.")
    hours = rows[0]["cell_hours"]
    cell = f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"
    note = (
        f"Each cell is {cell}; where a host was not asked there is none. Hosts with most trouble "
        "come first."
    )
    asked = [r for r in rows if r["network_requests"]]
    table = Table(
        ["host", "from (UTC)~", "network requests#", "429#", "429 %#", "errors#", "errors %#"],
        [
            [
                charts.host(r), charts.stamp(r["cell_at"], hours), f"{r['network_requests']:,.0f}",
                f"{r['http_429_requests']:,.0f}", amount(r["http_429_pct"], "%"),
                f"{r['errors']:,.0f}", amount(r["error_pct"], "%"),
            ]
            for r in asked[:_TABLE_ROWS]
        ],
        is_cut=len(asked) > _TABLE_ROWS,
    )  # fmt: skip
    figures: list[Figure] = []
    for measure, what, title in (
        ("http_429_pct", "429", "429, % of network requests"),
        ("error_pct", "5xx or no answer", "errors, % of network requests"),
    ):
        worst = max(asked, key=lambda r: r[measure] or 0.0, default=None)
        takeaway = f"No host answered {what}."
        if worst is not None and worst[measure]:
            takeaway = (
                f"Most {what}: {charts.host(worst)} with {amount(worst[measure], '%')} from "
                f"{charts.stamp(worst['cell_at'], hours)} on."
            )
        spec = charts.heat(rows, measure, title)
        figures.append(Figure(takeaway, spec, table if not figures else _none()))
    return Section("hosts", "Hosts over time: 429 and errors", note, figures)


def _breakers(report: Report) -> Section:
    rows = report.openings
    title = "Breakers"
    if not rows:
        watched = any(
            s["slo"] == "breaker_opens_per_hour" and s["value"] is not None for s in report.slos
        )
        note = "No breaker opened in the run." if watched else "No breaker was recorded: no data."
        return Section("breakers", title, note)
    by_host: dict[str, list[Row]] = {}
    for row in rows:
        by_host.setdefault(str(row["host"] or "unknown"), []).append(row)
    busiest = max(by_host, key=lambda h: len(by_host[h]))
    takeaway = (
        f"{count(len(rows), 'opening')} of {count(len(by_host), 'host')}; most often of "
        f"{printable(busiest)}, {count(len(by_host[busiest]), 'time')}."
    )
    until = report.run["last_event_at"] or report.as_of
    table = Table(
        ["host", "scope", "opened (UTC)~", "left open (UTC)~", "seconds#"],
        [
            [
                printable(str(r["host"] or "unknown")), str(r["scope"] or ""),
                f"{r['opened_at']:%Y-%m-%d %H:%M:%S}",
                "still open" if r["closed_at"] is None else f"{r['closed_at']:%Y-%m-%d %H:%M:%S}",
                "–" if r["seconds_open"] is None else f"{r['seconds_open']:,.1f}",
            ]
            for r in rows[:_TABLE_ROWS]
        ],
        is_cut=len(rows) > _TABLE_ROWS,
    )  # fmt: skip
    return Section("breakers", title, "When they were open in the run.",
                   [Figure(takeaway, charts.openings(rows[:_TIMELINE], until), table)])  # fmt: skip


def _quality(report: Report) -> Section:
    rejected = sum(q["amount"] for q in report.quality if q["kind"] == "row rejected")
    others = [q for q in report.quality if q["kind"] != "row rejected"]
    told = [f"{count(rejected, 'row')} could not be used"] + [
        f"{count(q['amount'], q['kind'])}" for q in others
    ]
    told.append(f"{count(len(report.skipped), 'file')} skipped")
    table = Table(
        ["what", "where", "why", "how many#"],
        [
            [q["kind"], printable(q["subject"]), printable(q["reason"]), f"{q['amount']:,}"]
            for q in report.quality
        ]
        + [["file skipped", printable(s.path), printable(s.reason), "1"] for s in report.skipped],
    )
    takeaway = f"{'; '.join(told)}."
    return Section("quality", "Data quality", "What was recorded and is not in these numbers.",
                   [Figure(takeaway, None, table)])  # fmt: skip


_SECTIONS: Final[tuple[Callable[[Report], Section], ...]] = (
    _budgets, _trends, _changes, _runs, _ttfp, _funnel, _heat, _breakers, _quality,
)  # fmt: skip


def figures(found: Sequence[Section]) -> Iterator[Figure]:
    """Return all figures, one after another."""
    for section in found:
        yield from section.figures
