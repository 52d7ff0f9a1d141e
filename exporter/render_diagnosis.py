"""A diagnosis as text for people: symptom, causes, evidence, remedies, in any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from exporter.errors import printable
from exporter.findings import size
from exporter.render import STATUS, amount, signed, target, title
from exporter.results import Row

if TYPE_CHECKING:
    from exporter.diagnose_storage import Storage
    from exporter.diagnosis import Diagnosis

_CAUSES_SHOWN = 3
_RUNS_SHOWN = 5
_DIMENSIONS_SHOWN = 3
_SCOPES = {"run_role": "role ", "run_host": "host "}


def print_diagnosis(found: Diagnosis) -> None:
    """Print what is wrong with a run, the run's SLOs first, and what to do."""
    with _printing() as out:
        _print_run(out, found)


def _print_run(out: Any, found: Diagnosis) -> None:
    from rich.text import Text

    verdict = ("OK", "bold green") if found.is_good else ("FAILED", "bold red")
    out.print(
        Text.assemble(("Run ", "bold"), (printable(found.run_id), "bold cyan"), "  ", verdict)
    )
    out.print(Text(f"from {printable(found.source)}; {_against(found)}", style="dim"))
    if found.no_data:
        out.print(Text(f"no data: {printable(', '.join(found.no_data))}", style="yellow"))
    if not found.symptoms:
        out.print(Text("no SLO of this run is missed: nothing to diagnose", style="green"))
    said: set[str] = set()
    for symptom in found.symptoms:
        out.print()
        _print_symptom(out, symptom, said)


@contextmanager
def _printing() -> Iterator[Any]:
    """Give a console, and print what was printed to it without the blanks that fill up lines."""
    from rich.console import Console

    out = Console(highlight=False)  # to a pipe, 80 columns: these are sentences, not rows
    with out.capture() as captured:
        yield out
    typer.echo("\n".join(line.rstrip(" ") for line in captured.get().splitlines()))


def _against(found: Diagnosis) -> str:
    names = [printable(row["run_id"]) for row in found.baselines]
    if len(names) == 1:
        how = ", the run before it" if found.against == "previous" else ""
        return f"compared with {names[0]}{how}"
    if names:
        more = f" and {len(names) - _RUNS_SHOWN} more" if len(names) > _RUNS_SHOWN else ""
        return f"compared with {len(names)} runs: {', '.join(names[:_RUNS_SHOWN])}{more}"
    if found.against == "last-week":
        return "no run ended in the week before it: held against the targets"
    return "no earlier run to compare with: held against the targets"


def _print_symptom(out: Any, symptom: Row, said: set[str]) -> None:
    """Print one SLO; remedies that were said for another are not repeated."""
    from rich.text import Text

    word, style = STATUS[symptom["status"]]
    subject = f" {_SCOPES.get(symptom['scope'], '')}{symptom['subject']}"
    name = title(symptom["slo"]) + (printable(subject) if symptom["subject"] else "")
    out.print(Text.assemble((name, "bold"), "  ", (word, style)))
    out.print(_indented(_values(symptom)))
    if symptom["compared_with"] == "nothing":
        return
    if symptom["topic"] is None:
        out.print(_indented("nothing says how to take it apart: see seeds/diagnosis_measures.csv"))
        return
    if symptom["compared_with"] != "runs" or symptom["unit"] != symptom["measure_unit"]:
        out.print(_indented(_measure(symptom)))
    causes = symptom["causes"][:_CAUSES_SHOWN]
    if not causes:
        out.print(_indented("no part of it got worse"))
    if causes:
        _heading(out, f"Causes, by {symptom['dimension']}")
        out.print(_table([*(_cause(symptom, cause) for cause in causes), *_rest(symptom, causes)]))
    for line in _other_dimensions(symptom):
        out.print(_indented(line, 4))
    if symptom["evidence"] and causes:
        first = causes[0]["segment"]
        _heading(out, f"Evidence for {printable(first)}")
        rows = [row for row in symptom["evidence"] if row["segment"] == first and row["rows_now"]]
        out.print(_table([_evidence(row) for row in rows]))
    remedies = [text for row in symptom["remedies"] if (text := _remedy(row)) not in said]
    said.update(remedies)
    if remedies:
        _heading(out, "Remedies")
        out.print(_table([("→", text) for text in remedies]))
    elif symptom["remedies"]:
        out.print(_indented("Remedies: as above"))


def _values(symptom: Row) -> str:
    """Say the value, the target and the value before."""
    unit = symptom["unit"]
    value = "no data"
    if symptom["value"] is not None:
        value = amount(symptom["value"], unit, beside=symptom["target"])
    text = f"{value}, target {target(symptom)}"
    if symptom["value_before"] is None or symptom["value"] is None:
        return f"{text}; no value to compare with"
    before = amount(symptom["value_before"], unit)
    return f"{text}; {before} before: {_signed(symptom['change'], unit)}"


def _measure(symptom: Row) -> str:
    unit = symptom["measure_unit"]
    versus = {
        "runs": f"against {_or_none(symptom['measure_before'], unit)} before",
        "target": f"against {amount(symptom['measure_target'], unit)} that meet the target",
    }[symptom["compared_with"]]
    to_target = symptom["compared_with"] == "target"
    beside = symptom["measure_target" if to_target else "measure_before"]
    return (
        f"{symptom['measure']}: {amount(symptom['measure_now'], unit, beside)} {versus}, "
        f"{_signed(symptom['measure_change'], unit)}"
    )


def _or_none(value: float | None, unit: str) -> str:
    return "nothing" if value is None else amount(value, unit)


def _signed(value: float, unit: str) -> str:
    return signed(value, unit).replace("-", "−")


def _cause(symptom: Row, cause: Row) -> tuple[str, str]:
    part = cause["share_of_change"]
    explained = "" if part is None else f": {part:.0%} of the change"
    if part is not None and part > 1 + 1e-9:
        explained = f": more than the whole change, {_offset(symptom)}"
    return (
        _signed(cause["contribution"], symptom["measure_unit"]),
        f"{cause['sentence']}{explained}",
    )


def _rest(symptom: Row, causes: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield what the parts that are not shown add up to, so that a reader's sum comes out."""
    parts = [row for row in symptom["contributions"] if row["dimension"] == symptom["dimension"]]
    rest = sum(row["contribution"] for row in parts) - sum(row["contribution"] for row in causes)
    others = len(parts) - len(causes)
    if others > 0 and abs(rest) > 1e-9:
        what = f"{others:,} other parts together" if others > 1 else "the other part"
        if any(row["part"] == "allowance" for row in parts):
            what += ", what the target allows among them"
        yield _signed(rest, symptom["measure_unit"]), what


def _offset(symptom: Row) -> str:
    """Say what a cause that explains more than the whole change is set off by."""
    if symptom["compared_with"] == "runs":
        return "as other parts got better"
    allowed = [row for row in symptom["contributions"] if row["part"] == "allowance"]
    for row in allowed:
        if row["dimension"] == symptom["dimension"]:
            allowance = amount(abs(row["contribution"]), symptom["measure_unit"])
            return f"of which the target allows {allowance}"
    return "as other parts do better than the target"


def _other_dimensions(symptom: Row) -> list[str]:
    """Tell the same change by its other dimensions, a line each."""
    by: dict[str, list[str]] = {}
    for row in symptom["contributions"]:
        if row["dimension"] != symptom["dimension"] and row["worsening"] > 1e-9:
            text = f"{row['segment']} {_signed(row['contribution'], symptom['measure_unit'])}"
            by.setdefault(row["dimension"], []).append(text)
    return [
        f"by {dimension.replace('_', ' ')}: {'; '.join(texts[:_DIMENSIONS_SHOWN])}"
        for dimension, texts in sorted(by.items())
    ]


def _evidence(row: Row) -> tuple[str, str]:
    before = "" if row["rows_before"] is None else f" ({row['rows_before']:,.0f} before)"
    took = "" if row["elapsed_p50_ms"] is None else f", {amount(row['elapsed_p50_ms'], 'ms')} each"
    example = "" if row["example"] is None else f", such as {row['example']}"
    return f"{row['rows_now']:,.0f} ×", f"{row['what']}{before}{took}{example}"


def _remedy(row: Row) -> str:
    value = ""
    if row["proposed"] is not None:
        limits = f"{row['lowest']:g} to {row['highest']:g}"
        edge = ", at its bound" if row["is_bounded"] else ""
        value = f": {row['setting']} = {row['proposed']:g} {row['unit']} ({limits}{edge})"
    elif row["proposed_text"] is not None:
        value = f": {row['proposed_text']}"
    return f"{row['remedy']} ({row['applies_to']}){value}. Why: {row['reason']}."


def _heading(out: Any, text: str) -> None:
    from rich.text import Text

    out.print(Text(f"  {text}", style="bold"))


def _indented(text: str, by: int = 2) -> Any:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(printable(text)), (0, 0, 0, by), expand=False)


def _table(lines: Sequence[tuple[str, str]]) -> Any:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in lines:
        table.add_row(left, Text(printable(right)))
    return Padding(table, (0, 0, 0, 4), expand=False)


def print_storage(found: Storage) -> None:
    """Print how large files are, which tables and runs fill them, and what to do."""
    with _printing() as out:
        _print_files(out, found)


def _print_files(out: Any, found: Storage) -> None:
    from rich.text import Text

    from exporter.diagnose_storage import remedies, tables

    for number, file in enumerate(found.files):
        if number:
            out.print()
        word, style = STATUS["fail" if file.is_over else "pass"]
        out.print(
            Text.assemble((printable(file.path), "bold"), "  ", (word, style)), soft_wrap=True
        )
        sizes = (file.bytes, file.limit_bytes, file.wal_bytes)
        out.print(_indented("{}, limit {}; WAL {}".format(*map(size, sizes))))
        _heading(out, "Rows by table")
        out.print(_table([(f"{row['rows']:,}", row["table"]) for row in tables(file)]))
        _heading(out, "Largest runs")
        out.print(
            _table(
                [
                    (f"{row['rows']:,}", f"{row['run_id']}, about {size(row['bytes'])}")
                    for row in file.runs[:_RUNS_SHOWN]
                ]
            )
        )
        for remedy in remedies(file):
            out.print(_indented(f"→ {remedy}"))
