"""The report's sections on what runs are made of: artifacts, resolvers, hosts, breakers, data."""

from __future__ import annotations

from typing import Final

from exporter import report_charts as charts
from exporter import report_charts_time as over_time
from exporter.errors import printable
from exporter.findings import plural
from exporter.render import amount, target
from exporter.report_data import Report
from exporter.report_parts import NO_TABLE, TABLE_ROWS, Figure, Section, Table
from exporter.report_words import name, value
from exporter.results import Row

_TIMELINE: Final = 300
_RESOLVERS: Final = 20


def ttfp(report: Report) -> Section:
    rows, title = report.distribution, "Time to the first PDF"
    mine = [r for r in rows if r["side"] == "this run"]
    if not mine:
        return Section("ttfp", title, "No artifact of the run has a first success.")
    own = [s for s in report.slos if s["slo"].startswith("ttfp") and s["scope"] == "run"]
    told = ", ".join(
        f"{name(s)} {value(s['value'], s['unit'], s['target'])} (target {target(s)})" for s in own
    )
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
    return Section("ttfp", title, "", [Figure(takeaway, charts.distribution(rows), table)])


def _before(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "no data", "no data"
    return f"{row['artifacts']:,}", value(row["share_pct"], "%")


def funnel(report: Report) -> Section:
    rows = report.funnel
    if not rows:
        return Section("resolvers", "Resolver funnel", "The run recorded no attempts: no data.")
    best = max(rows, key=lambda r: r["artifacts_found"])
    takeaway = (
        f"{printable(best['resolver'])} finds most: {best['artifacts_found']:,} of the "
        f"{plural(best['artifacts_tried'], 'artifact')} it is asked for."
    )
    table = Table(
        ["resolver", "asked for#", "found first#", "found#", "not found here#", "attempts#"],
        [
            [
                printable(r["resolver"]), f"{r['artifacts_tried']:,}", f"{r['artifacts_found']:,}",
                amount(r["found_pct"], "%"), f"{r['artifacts_not_found']:,}", f"{r['attempts']:,}",
            ]
            for r in rows[:TABLE_ROWS]
        ],
        is_cut=len(rows) > TABLE_ROWS,
    )  # fmt: skip
    note = (
        "In the order in which they were asked. Of what is not found here, the next one is asked, "
        "or it is given up."
    )
    legend = "Light: artifacts asked for; dark: found first."
    spec = charts.funnel(rows[:_RESOLVERS])
    return Section(
        "resolvers", "Resolver funnel", note, [Figure(takeaway, spec, table, "", legend)]
    )


def heat(report: Report) -> Section:
    rows = report.heat
    if not rows:
        return Section("hosts", "Hosts over time", "No requests were recorded: no data.")
    hours = rows[0]["cell_hours"]
    cell = f"{hours / 24:g} days" if hours > 24 else f"{hours:g} hours"
    one = {24: "day", 1: "hour"}.get(hours)
    note = (
        f"Each cell is {f'one {one}' if one else cell}; where a host was not asked there is none. "
        "Hosts with most trouble come first."
    )
    asked = [r for r in rows if r["network_requests"]]
    table = Table(
        ["host", "from (UTC)~", "network requests#", "429#", "429 %#", "errors#", "errors %#"],
        [
            [
                over_time.host(r), over_time.stamp(r["cell_at"], hours),
                f"{r['network_requests']:,.0f}",
                f"{r['http_429_requests']:,.0f}", amount(r["http_429_pct"], "%"),
                f"{r['errors']:,.0f}", amount(r["error_pct"], "%"),
            ]
            for r in asked[:TABLE_ROWS]
        ],
        is_cut=len(asked) > TABLE_ROWS,
    )  # fmt: skip
    figures: list[Figure] = []
    for measure, what, title in (
        ("http_429_pct", "429", "429, % of network requests"),
        ("error_pct", "5xx or no answer", "errors, % of network requests"),
    ):
        worst = max(asked, key=lambda r: r[measure] or 0.0, default=None)
        takeaway = f"No host answered {what}."
        if worst is not None and worst[measure]:
            since = over_time.stamp(worst["cell_at"], hours)
            when = f"on {since}" if hours == 24 else f"in the {one or cell} from {since}"
            takeaway = (
                f"Most {what}: {over_time.host(worst)} with {amount(worst[measure], '%')}, {when}."
            )
        spec = over_time.heat(rows, measure, title)
        narrow = over_time.heat(rows, measure, title, is_narrow=True)
        behind = table if not figures else NO_TABLE
        figures.append(Figure(takeaway, spec, behind, narrow=narrow))
    return Section("hosts", "Hosts over time: 429 and errors", note, figures)


def breakers(report: Report) -> Section:
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
        f"{plural(len(rows), 'opening')} of {plural(len(by_host), 'host')}; most often of "
        f"{printable(busiest)}, {plural(len(by_host[busiest]), 'time')}."
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
            for r in rows[:TABLE_ROWS]
        ],
        is_cut=len(rows) > TABLE_ROWS,
    )  # fmt: skip
    spec = over_time.openings(rows[:_TIMELINE], until)
    narrow = over_time.openings(rows[:_TIMELINE], until, is_narrow=True)
    figure = Figure(takeaway, spec, table, narrow=narrow)
    return Section("breakers", title, "When they were open in the run.", [figure])


def quality(report: Report) -> Section:
    rejected = sum(q["amount"] for q in report.quality if q["kind"] == "row rejected")
    others = [q for q in report.quality if q["kind"] != "row rejected"]
    told = [f"{plural(rejected, 'row')} could not be used"]
    for row in others:
        noun, _, what = row["kind"].partition(" ")
        told.append(f"{plural(row['amount'], noun)} {what}")
    told.append(f"{plural(len(report.skipped), 'file')} skipped")
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
