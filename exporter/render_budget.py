"""Error budgets as text for people: a table, the worst first, and what it comes to in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from exporter.budgets import is_known
from exporter.errors import printable
from exporter.findings import plural
from exporter.render import console_out, target, title
from exporter.results import Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from exporter.budgets import Budgets

#: Hosts that have spent something are shown, the worst of them; and of all that ran out, so many
#: are told in a sentence of their own.
_HOSTS_SHOWN: Final = 10
_TOLD: Final = 5
#: What is said of a budget that is neither within nor overspent, or has no burn rate.
UNKNOWN: Final = {
    "too_few_slices": "too few slices", "too_few_events": "too few events", "no_data": "no data"
}  # fmt: skip
#: Columns that a narrow terminal does without, one step after the other; never of what it is told.
_LEFT_OUT: Final = (
    ("may be bad", "no data", "too few"),
    ("burn",),
    ("target",),
    ("counted", "bad"),
)
#: Columns of a text that is no terminal's: whole lines.
_PIPE_WIDTH: Final = 1000


def print_budgets(found: Budgets) -> None:
    """Print a line for each SLO, role and host that spent something, then what it comes to."""
    from rich.text import Text

    out = console_out()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    out.print(Text.assemble(("Error budgets", "bold"), "  ", _verdict(found)))
    runs = max((row["runs"] for row in found.budgets), default=0)
    at = f"at {moment(found.as_of)} UTC, of {plural(runs, 'run')}: "
    out.print(Text(at + tally(found), style="dim"))
    out.print(Text(f"from {printable(found.source)}", style="dim"), soft_wrap=True)
    hosts = [row for row in found.budgets if row["scope"] == "run_host"]
    spending = spending_hosts(found)[:_HOSTS_SHOWN]
    shown = [row for row in found.budgets if row["scope"] != "run_host" or row in spending]
    table, missing = _table(shown, out)
    out.print(table)
    if missing:
        told = f"not shown: {', '.join(missing)}: widen the terminal, or --output-format json"
        out.print(Text(told, style="dim"))
    if len(hosts) > len(spending):
        rest = f"{plural(len(hosts) - len(spending), 'more budget')} of single hosts"
        out.print(Text(f"{rest}: --output-format json", style="dim"))
    for line in closing(found):
        out.print(Text(line), soft_wrap=True)


def _verdict(found: Budgets) -> tuple[str, str]:
    """Return what the heading says, and its style."""
    if not found.is_good():
        return "OVERSPENT", "bold red"
    if found.overspent:
        return "OVERSPENT BY HOSTS", "bold yellow"
    if found.has_data:
        return "WITHIN", "bold green"
    states = {row["state"] for row in found.counting}
    return ("NO DATA" if states <= {"no_data"} else "TOO LITTLE DATA"), "bold yellow"


def tally(found: Budgets) -> str:
    """Say how many budgets there are of each state: in `budget` and in the report alike."""
    states = found.states
    few = states["too_few_slices"] + states["too_few_events"]
    told = f"{states['overspent']:,} of {plural(len(found.budgets), 'budget')} overspent"
    told += f", {states['within']:,} within"
    told += f", {few:,} with too little data" if few else ""
    return told + (f", {states['no_data']:,} without data" if states["no_data"] else "")


def spending_hosts(found: Budgets) -> list[Row]:
    """Return the budgets of hosts that have spent something, the worst first."""
    return [
        row
        for row in found.budgets
        if row["scope"] == "run_host" and (row["slices_bad"] or row["events_bad"])
    ]


def _table(shown: Sequence[Row], out: Console) -> tuple[Table, list[str]]:
    """Lay out budgets, on a narrow terminal without some columns; return their names, too."""
    wide = out.options.update(max_width=_PIPE_WIDTH)
    for number in range(len(_LEFT_OUT) + 1):
        fewer = [column for step in _LEFT_OUT[:number] for column in step]
        table = _laid_out(shown, fewer)
        if out.measure(table, options=wide).maximum <= out.width:
            break
    return table, fewer


def _laid_out(shown: Sequence[Row], fewer: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    rows = [_cells(row) for row in shown]
    kept = [name for name in (rows[0] if rows else ()) if not name.startswith(tuple(fewer))]
    for column in kept:
        is_text = column in ("SLO", "scope", "ran out (UTC)")
        table.add_column(column, justify="left" if is_text else "right",
                         no_wrap=column != "scope", overflow="fold")  # fmt: skip
    for cells in rows:
        table.add_row(*(cells[column] for column in kept))
    return table


def _cells(row: Row) -> dict[str, Text]:
    """Return what is shown of a budget, by column."""
    from rich.text import Text

    scope = " ".join(filter(None, (row["scope"].removeprefix("run_"), row["subject"])))
    style = {"overspent": "bold red", "within": "green"}.get(row["state"], "yellow")
    counted, bad, _ = counts(row)
    cells = {
        "SLO": title(row["slo"]),
        "scope": printable(scope),
        "target": target(row),
        "may be bad": f"{row['allowed_pct']:.5g} %/{row['window_days']:g} d",
        "counted": _counted(row, counted),
        "bad": _number(bad),
        "no data": f"{row['slices_no_data']:,}",
        "too few": f"{row['slices_too_few']:,}",
        "budget left": left(row),
    }
    for rate in row["burn_rates"]:
        told = "–" if rate["burn_rate"] is None else f"{rate['burn_rate']:,.3g}×"
        cells[f"burn {rate['window_hours']}h"] = told
    cells["ran out (UTC)"] = "" if row["ran_out_at"] is None else moment(row["ran_out_at"])
    styles = {"budget left": style}
    return {column: Text(text, style=styles.get(column, "")) for column, text in cells.items()}


def left(row: Row) -> str:
    """Return what is left of a budget: percent of it, below zero overspent; or why not known."""
    ratio = row["budget_remaining_ratio"]
    if ratio is None:
        return UNKNOWN.get(row["state"], "overspent")  # nothing may be bad, and something is
    return f"{100 * ratio:,.0f} %"


def counts(row: Row) -> tuple[float, float, float]:
    """Return how much a budget counted, how much of it is bad, and how much may be."""
    if row["counted_in"] == "events":
        return row["valid_events"] or 0, row["events_bad"] or 0, row["events_allowed"] or 0
    return row["slices_judged"], row["slices_bad"], row["slices_allowed"]


def _counted(row: Row, amount: float, adjective: str = "") -> str:
    """Return an amount of what a budget is counted in, as people say it: 1 hour, 20 artifacts."""
    things = str(row["sample"]).replace("_", " ") if row["counted_in"] == "events" else "hours"
    return f"{_number(amount)} {adjective}{things.removesuffix('s') if amount == 1 else things}"


def _number(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 or amount == int(amount) else f"{amount:,.3g}"


def moment(at: datetime) -> str:
    """Return a time to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"


def closing(found: Budgets) -> list[str]:
    """Say in words which budget ran out and when, or how much is left, and what is not known."""
    counting = found.counting
    out = [row for row in counting if row["state"] == "overspent"]
    lines = [_ran_out(row) for row in out[:_TOLD]]
    if len(out) > _TOLD:
        lines.append(f"{plural(len(out) - _TOLD, 'more budget')} ran out.")
    known = [row for row in counting if is_known(row)]
    if found.latest_hour_at is not None:
        end = found.latest_hour_at + timedelta(hours=1)
        lines.append(
            "No run lies in the window. The nearest hour that anything was recorded in is "
            f"{moment(found.latest_hour_at)} UTC: ask for then with --as-of {end:%Y-%m-%dT%H:%M}"
        )
    elif not known:
        lines.append(
            "No budget of runs or roles is known: no data is no good news. "
            "See docstokg-telemetry runs"
        )
    elif not out:
        lines.append(
            f"No budget of runs or roles ran out. The least is left of {name(known[0])}, "
            f"{left(known[0])}: {spent(known[0])}."
        )
    hosts = [row for row in found.overspent if row["scope"] == "run_host"]
    if hosts:
        what = "budget of a host" if len(hosts) == 1 else "budgets of hosts"
        lines.append(f"{len(hosts):,} {what} ran out; worst {name(hosts[0])}: {spent(hosts[0])}.")
    if found.latest_hour_at is None:
        lines += _not_known(counting)
    return lines


def _not_known(counting: Sequence[Row]) -> list[str]:
    """Say which budgets have too little data, and which none."""
    few = [row for row in counting if row["state"] in ("too_few_slices", "too_few_events")]
    missing = [name(row) for row in counting if row["state"] == "no_data"]
    lines = []
    if few:
        told = ", ".join(f"{name(row)} ({needs(row)})" for row in few)
        lines.append(f"Too little data for a budget of {told}: neither within nor overspent.")
    if missing:
        lines.append(f"No data on {', '.join(missing)}: nothing there is known to be good.")
    return lines


def needs(row: Row) -> str:
    """Say how much of what a budget needs was measured."""
    needed = row["smallest_sample"] if row["counted_in"] == "events" else row["slices_needed"] or 1
    judged = "" if row["counted_in"] == "events" else "judged "
    return f"{_number(counts(row)[0])} of the {_counted(row, needed, judged)} it needs"


def name(row: Row) -> str:
    """Return what a budget is of: the SLO, and its role or host."""
    return printable(" of ".join(filter(None, (title(row["slo"]), row["subject"]))))


def _ran_out(row: Row) -> str:
    at = moment(row["ran_out_at"])
    return f"{name(row)} has overspent its budget: {spent(row)}. It ran out at {at} UTC."


def spent(row: Row) -> str:
    """Say how much is bad of what the budget is counted in, and how much may be."""
    counted, bad, allowed = counts(row)
    if row["counted_in"] == "events":
        of = _counted(row, counted)
        return f"{_number(bad)} of {of} bad, where {_number(allowed)} may be"
    of = _counted(row, counted, "judged ")
    return f"{_number(bad)} of {of} missed the target, where {_number(allowed)} may"
