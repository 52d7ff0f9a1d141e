"""Error budgets as text for people: a table, the worst first, and what it comes to in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from exporter.errors import printable
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
#: What is said where nothing was measured.
NO_DATA: Final = "no data"
#: Columns that a narrow terminal does without, one step after the other; never of what it is told.
_LEFT_OUT: Final = (
    ("objective", "no data", "too few"), ("of events",), ("burn",), ("target",), ("judged", "bad"),
)  # fmt: skip
#: Columns of a text that is no terminal's: whole lines.
_PIPE_WIDTH: Final = 1000


def print_budgets(found: Budgets) -> None:
    """Print a line for each SLO, role and host that spent something, then what it comes to."""
    from rich.text import Text

    out = console_out()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    verdict = ("OVERSPENT", "bold red") if not found.is_good() else ("WITHIN", "bold green")
    if not found.has_data:
        verdict = ("NO DATA", "bold yellow")
    out.print(Text.assemble(("Error budgets", "bold"), "  ", verdict))
    runs = max((row["runs"] for row in found.budgets), default=0)
    told = f"at {moment(found.as_of)} UTC, of {runs:,} run{'' if runs == 1 else 's'}"
    out.print(Text(told, style="dim"))
    out.print(Text(f"from {printable(found.source)}", style="dim"), soft_wrap=True)
    hosts = [row for row in found.budgets if row["scope"] == "run_host"]
    spending = [row for row in hosts if row["slices_bad"]][:_HOSTS_SHOWN]
    shown = [row for row in found.budgets if row["scope"] != "run_host" or row in spending]
    table, missing = _table(shown, out)
    out.print(table)
    if missing:
        told = f"not shown: {', '.join(missing)}: widen the terminal, or --output-format json"
        out.print(Text(told, style="dim"))
    if len(hosts) > len(spending):
        rest = f"{len(hosts) - len(spending):,} more budgets of single hosts: --output-format json"
        out.print(Text(rest, style="dim"))
    for line in closing(found):
        out.print(Text(line), soft_wrap=True)


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
    ratio, events = row["budget_remaining_ratio"], row["event_budget_remaining_ratio"]
    style = "yellow" if ratio is None else "green" if row["ran_out_at"] is None else "bold red"
    cells = {
        "SLO": title(row["slo"]),
        "scope": printable(scope),
        "target": target(row),
        "objective": f"{row['objective_pct']:g} %/{row['window_days']:g} d",
        "judged": f"{row['slices_judged']:,}",
        "bad": f"{row['slices_bad']:,}",
        "no data": f"{row['slices_no_data']:,}",
        "too few": f"{row['slices_too_few']:,}",
        "budget left": left(ratio),
        # an SLI that is no ratio has no budget of events
        "of events": "" if row["valid_events"] is None else left(events),
    }
    for rate in row["burn_rates"]:
        told = NO_DATA if rate["burn_rate"] is None else f"{rate['burn_rate']:,.3g}×"
        cells[f"burn {rate['window_hours']}h"] = told
    cells["ran out (UTC)"] = "" if row["ran_out_at"] is None else moment(row["ran_out_at"])
    styles = {"budget left": style}
    return {column: Text(text, style=styles.get(column, "")) for column, text in cells.items()}


def left(ratio: float | None) -> str:
    """Return what is left of a budget: percent of it; below zero it is overspent."""
    return NO_DATA if ratio is None else f"{100 * ratio:,.0f} %"


def moment(at: datetime) -> str:
    """Return a time to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"


def closing(found: Budgets) -> list[str]:
    """Say in words which budget ran out and when, or how much is left, and what has no data."""
    counting = [row for row in found.budgets if row["scope"] != "run_host"]
    out = [row for row in counting if row["ran_out_at"] is not None]
    lines = [_ran_out(row) for row in out[:_TOLD]]
    if len(out) > _TOLD:
        lines.append(f"{len(out) - _TOLD} more budgets ran out.")
    judged = [row for row in counting if row["slices_judged"]]
    if found.latest_hour_at is not None:
        end = found.latest_hour_at + timedelta(hours=1)
        lines.append(
            "No run lies in the window. The nearest hour that anything was recorded in is "
            f"{moment(found.latest_hour_at)} UTC: ask for then with --as-of {end:%Y-%m-%dT%H:%M}"
        )
    elif not judged:
        lines.append(
            "No hour could be judged: no data is no good news. See docstokg-telemetry runs"
        )
    elif not out:
        ratio = left(judged[0]["budget_remaining_ratio"])
        lines.append(
            f"No budget ran out. The least is left of {name(judged[0])}, {ratio}: "
            f"{spent(judged[0])}."
        )
    hosts = [row for row in found.overspent if row["scope"] == "run_host"]
    if hosts:
        what = "budget of a host" if len(hosts) == 1 else "budgets of hosts"
        lines.append(f"{len(hosts):,} {what} ran out; worst {name(hosts[0])}: {spent(hosts[0])}.")
    missing = [name(row) for row in counting if not row["slices_judged"]]
    if missing and judged:
        lines.append(f"No data on {', '.join(missing)}: nothing there is known to be good.")
    return lines


def name(row: Row) -> str:
    """Return what a budget is of: the SLO, and its role or host."""
    return printable(" of ".join(filter(None, (title(row["slo"]), row["subject"]))))


def _ran_out(row: Row) -> str:
    at = moment(row["ran_out_at"])
    return f"{name(row)} has overspent its budget: {spent(row)}. It ran out at {at} UTC."


def spent(row: Row) -> str:
    """Say how many hours missed the target, and how many may."""
    return (
        f"{row['slices_bad']:,} of {row['slices_judged']:,} judged hours missed the target, "
        f"where {row['slices_allowed']:,.3g} may"
    )
