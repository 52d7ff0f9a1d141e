"""Text for people: tables and colours where there is a terminal, plain text elsewhere."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, Any, Final, cast

from exporter.errors import printable
from exporter.findings import plural
from exporter.results import Row, Summary, iso
from recorder.spreadsheet import inert

#: What each status is called for people, and its style.
STATUS = {
    "pass": ("✓ pass", "green"),
    "fail": ("✗ fail", "bold red"),
    "no_data": ("– no data", "yellow"),
}
_HEADLINE: Final = {
    "pass": ("PASSED", "bold green"),
    "fail": ("FAILED", "bold red"),
    "no_data": ("NO DATA", "bold yellow"),
}
#: How comparators are told.
SIGN: Final = {">=": "≥", "<=": "≤"}
#: Digits that may be added to tell two values apart.
_MORE: Final = 12
#: Changes up to which there is none.
_NOISE: Final = 1e-9
#: From here on a number is told by its exponent.
_HUGE: Final = 1e15
#: The guide's time to first PDF begins when the first attempt ends.
_TTFP: Final = re.compile(r"ttfp_(wall_)?(p\d+)_ms")
_SCOPES = {"run": "run", "run_role": "role", "run_host": "host"}
_HOSTS_SHOWN = 5
_VERDICT_COLUMNS = ("SLO", "scope", "verdict", "value", "target", "distance", "sample")


def title(sli: str) -> str:
    """Return what an SLI is called for people, who name it as the JSON does everywhere else.

    Example:
        ``ttfp_wall_p95_ms`` is "time to first PDF p95", ``ttfp_p95_ms`` "between attempts p95".
    """
    found = _TTFP.fullmatch(sli)
    if not found:
        return sli
    return f"{'time to first PDF' if found[1] else 'between attempts'} {found[2]}"


def unique(columns: Sequence[str]) -> list[str]:
    """Return names none of which hides another: a, a gives a, a_1, as DuckDB names them."""
    names: list[str] = []
    for column in columns:
        name, number = column, 0
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: times as ISO-8601, NaN and infinities as null."""
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo is None else value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_csv(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], for_spreadsheets: bool = False
) -> None:
    """Print rows as CSV on stdout, NULL as nothing.

    Args:
        columns: their names.
        rows: their values.
        for_spreadsheets: text that a spreadsheet would run as a formula gets an apostrophe.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row in (columns, *([_csv(value) for value in row] for row in rows)):
        writer.writerow([inert(value) for value in row] if for_spreadsheets else row)


def _csv(value: Any) -> Any:
    """Return a value as CSV has it: NULL as nothing, structures as JSON, NaN by its name."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    simple = plain(value)
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, dict | list) else simple


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table on stdout; on a terminal that is too narrow, a line for each value.

    Any number of rows: laying out ten thousand with Rich takes a minute.
    """
    from rich.cells import cell_len, set_cell_size

    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(row[i][1] for row in cells) and bool(cells) for i in range(len(columns))]
    texts = [list(columns), *([text for text, _ in row] for row in cells)]
    widths = [max(cell_len(row[i]) for row in texts) for i in range(len(columns))]
    bold, plain_again = ("\x1b[1m", "\x1b[0m") if _has_colour() else ("", "")

    def line(row: Sequence[str]) -> str:
        fitted = (
            " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(fitted).rstrip()

    out = sys.stdout
    if out.isatty() and sum(widths) + 2 * len(widths) - 2 > console_out().width:
        names = max(map(cell_len, columns), default=0)
        for number, row in enumerate(texts[1:], 1):
            out.write(f"{bold}row {number}{plain_again}\n")
            for name, text in zip(columns, row, strict=True):
                out.write(f"  {set_cell_size(name, names)}  {text}\n")
        return
    out.write(f"{bold}{line(texts[0])}{plain_again}\n")
    out.write("  ".join("─" * width for width in widths) + "\n")
    out.writelines(line(row) + "\n" for row in texts[1:])


def _has_colour() -> bool:
    console = console_out()
    return bool(console.is_terminal and not console.no_color and console.color_system)


def print_summary(summary: Summary, source: str) -> None:
    """Print one run's verdicts: each SLO's value, target, distance and sample, worst first."""
    from rich.text import Text

    console = console_out()
    run = summary.run
    verdict = _HEADLINE[summary.verdict["verdict"]]
    console.print(
        Text.assemble(("Run ", "bold"), (printable(run["run_id"]), "bold cyan"), "  ", verdict)
    )
    console.print(Text(_when(run, summary.slis), style="dim"))
    console.print(Text(f"from {printable(source)}", style="dim"), soft_wrap=True)
    console.print()
    shown = [s for s in summary.slos if s["scope"] != "run_host" or s["status"] == "fail"]
    table = _verdicts(shown, _VERDICT_COLUMNS)
    for fewer in (_VERDICT_COLUMNS[:-1], _VERDICT_COLUMNS[:-2]):  # on a narrow terminal
        room = console.options.update(max_width=1000)
        if console.measure(table, options=room).maximum <= console.width:
            break
        table = _verdicts(shown, fewer)
    console.print(table)
    hosts_hidden = len(summary.slos) - len(shown)
    if hosts_hidden:
        rest = f"{plural(hosts_hidden, 'check')} of single hosts"
        console.print(Text(f"Passed or without data, so not shown: {rest}.", style="dim"))
    console.print(Text(_budget(summary.budget), style="dim"), soft_wrap=True)
    _print_worst_hosts(console, summary)
    from exporter.render_comparison import against_before

    told = against_before(summary.regressions, summary.passed)
    console.print(Text("\n".join(told)), soft_wrap=True)
    if summary.rejected_rows:
        console.print(
            Text(
                f"{plural(summary.rejected_rows, 'row')} of this run could not be used: "
                "select * from rejected_rows",
                style="yellow",
            )
        )


def _budget(row: Row | None) -> str:
    """Say what the run's own hours left of the error budget."""
    from exporter.render_budget import left, name, spent

    if row is None:
        return "Error budget of this run's hours: not known: it has too little data for any."
    return (
        f"Error budget of this run's hours: least is left of {name(row)}, {left(row)}: "
        f"{spent(row)}. Of all runs: docstokg-telemetry budget"
    )


def _verdicts(slos: Sequence[Row], columns: Sequence[str]) -> Any:
    """Lay out verdicts in as many of the columns as are asked for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in columns:
        left = name in ("SLO", "scope", "verdict")
        # names are the last to be cut
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "scope")
    for slo in slos:
        text, style = STATUS[slo["status"]]
        subject = f" {printable(slo['subject'])}" if slo["subject"] else ""
        cells = (
            title(slo["slo"]),
            Text(_SCOPES[slo["scope"]] + subject, overflow="fold"),
            Text(text, style=style),
            amount(slo["value"], slo["unit"], beside=slo["target"]),
            target(slo),
            Text(_distance(slo), style=style if slo["status"] == "fail" else ""),
            f"{slo['sample_size']:,.0f}",
        )
        table.add_row(*cells[: len(columns)])
    return table


def print_runs(rows: Sequence[Row]) -> None:
    """Print the list of runs, the latest last."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for name in ("run", "start (UTC)", "length", "artifacts", "yield", "verdict"):
        is_number = name in ("length", "artifacts", "yield")
        table.add_column(name, justify="right" if is_number else "left")
    for row in rows:
        text, style = STATUS[row["verdict"]]
        if row["verdict"] == "fail":
            text += f" ({row['slos_failed']})"
        table.add_row(
            Text(printable(row["run_id"])),
            _moment(row["started_at"]),
            _length(row["length_s"]) + ("" if row["is_finished"] else " …"),
            f"{row['artifacts']:,}",
            amount(row["yield_pct"], "%"),
            Text(text, style=style),
        )
    console_out().print(table)
    if any(not row["is_finished"] for row in rows):
        console_out().print(
            Text("… no end recorded: under way, or it stopped half-way", style="dim")
        )


def _print_worst_hosts(console: Any, summary: Summary) -> None:
    """Name the hosts with the most errors, where an SLO is missed."""
    if all(slo["status"] != "fail" for slo in summary.slos):
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    worst = [host for host in summary.hosts if host["errors_place"]][:_HOSTS_SHOWN]
    if not worst:
        return
    console.print()
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        title="Hosts with the most errors",
        title_justify="left",
    )
    names = ("host", "network requests", "429", "5xx", "exceptions", "retries", "latency p95")
    counted = (
        "network_requests", "http_429_requests", "http_5xx_requests", "exceptions", "retries"
    )  # fmt: skip
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left")
    for host in worst:
        counts = [f"{host[column]:,.0f}" for column in counted]
        table.add_row(Text(printable(host["host"])), *counts, amount(host["latency_p95_ms"], "ms"))
    console.print(table)


def console_out() -> Any:
    """Return where text for people goes."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    # a pipe gets whole lines: only a terminal has a width to keep to
    return Console(file=cast("IO[str]", _Trimmed()), highlight=False, width=200)


class _Trimmed(io.TextIOBase):
    """Standard output without the blanks that Rich fills lines up with."""

    def write(self, text: str) -> int:
        return sys.stdout.write(re.sub(" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        sys.stdout.flush()


def _cell(value: Any) -> tuple[str, bool]:
    """Return a value's text and whether it goes to the right."""
    if value is None:
        return "–", True
    if isinstance(value, bool):
        return str(value).lower(), False
    if isinstance(value, float):
        return f"{value:.15g}", True
    if isinstance(value, int | Decimal):
        return str(value), True
    if isinstance(value, datetime):
        return str(value), False
    return printable(str(value)), False


def amount(value: float | None, unit: str, beside: float | None = None) -> str:
    """Return a value with its unit, for people.

    Args:
        value: the value; None is no data.
        unit: its unit.
        beside: a value in the same unit, from which it is told apart, by more digits if need be.
    """
    if value is None:
        return "–"
    texts = [_rounded(value, unit, more) for more in range(_MORE)]
    if beside is not None and value != beside:
        for more, text in enumerate(texts):
            if _number(text) != _number(_rounded(beside, unit, more)):
                return f"{text} {unit}".rstrip()
    return f"{texts[0]} {unit}".rstrip()


def target(row: Row) -> str:
    """Return a target with its sign and unit, and all its digits; a dash where there is none."""
    value, unit = row["target"], row["unit"]
    if value is None:
        return "–"
    texts = [_rounded(value, unit, more) for more in range(_MORE)]
    text = next((text for text in texts if _number(text) == value), texts[-1])
    return f"{SIGN[row['comparator']]} {text} {unit}".rstrip()


def signed(value: float, unit: str) -> str:
    """Return a change with its sign; of percentages in points."""
    # no change but none is told as 0; what floating point leaves is none
    text = amount(abs(value), unit, beside=0.0) if abs(value) > _NOISE else amount(0.0, unit)
    if unit == "%":
        text = f"{text.removesuffix(' %')} points"
    return f"{'-' if value < 0 else '+'}{text}"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _rounded(value: float, unit: str, more: int) -> str:
    """Round a value as its unit is mostly told, to some more digits than that."""
    if abs(value) >= _HUGE:
        return f"{value:.{4 + more}g}"
    if unit == "%":
        return f"{value:,.{2 + more}f}"
    if unit == "ms":
        return f"{value:,.{more if abs(value) >= 100 else 1 + more}f}"
    if unit == "openings":  # divided among causes, but nobody ever saw half of one
        return f"{value:,.0f}"
    return f"{float(f'{value:.{4 + more}g}'):,.15g}"


def _distance(slo: Row) -> str:
    if slo["distance"] is None:
        return "–"
    if slo["distance"] == 0:
        return "exactly met"
    word = "to spare" if slo["distance"] > 0 else "over" if slo["comparator"] == "<=" else "short"
    unit = "points" if slo["unit"] == "%" else slo["unit"]
    text = amount(abs(slo["distance"]), slo["unit"], beside=0.0).removesuffix(slo["unit"]).strip()
    return f"{text} {unit} {word}"


def _moment(moment: datetime | None) -> str:
    return "–" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _when(run: Row, slis: Row) -> str:
    end = f"ended {_moment(run['finished_at'])}" if run["is_finished"] else "no end recorded yet"
    return (
        f"started {_moment(run['started_at'])} UTC, {end}, length {_length(run['length_s'])}; "
        f"{plural(round(slis['requests']), 'request')}, {plural(slis['artifacts'], 'artifact')}"
    )
