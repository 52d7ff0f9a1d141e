"""A comparison of runs as text for people: what changed, how sure that is, and who explains it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from exporter.errors import printable
from exporter.findings import plural
from exporter.render import amount, print_table, signed
from exporter.results import Row

if TYPE_CHECKING:
    from exporter.comparison import Comparison

_SHOWN: Final = 3
_MEMBERS_SHOWN: Final = 10
_SUBJECTS: Final = {"run_role": "role ", "run_host": "host ", "run_resolver": "resolver "}
_COLUMNS: Final = ("SLI", "verdict", "before", "now", "change", "interval")


def print_comparison(found: Comparison) -> None:
    """Print each SLI with both values, the difference and its interval; then what explains it."""
    typer.echo(f"Run {printable(found.run_id)} against {_against(found)}")
    typer.echo(f"from {printable(found.source)}\n")
    print_table(_COLUMNS, [_cells(sli) for sli in found.slis])
    for sli in found.slis:
        if sli["verdict"] in ("worse", "better") and not sli["explanations"]:
            typer.echo(
                f"\n{named(sli)} is {sli['verdict']}, and nobody is known to explain it: neither "
                "what is beyond its target nor its mean changed that way"
            )
        if sli["explanations"]:
            typer.echo(f"\n{named(sli)} is {sli['verdict']}, by {_dimension(sli)}:")
            for row in _told(sli["explanations"]):
                typer.echo(f"  {_explanation(row)}")
    _print_members(found.members)
    level = next((sli["confidence_pct"] for sli in found.slis), None)
    if level is not None:
        typer.echo(f"\nEach interval is at {level:g} %: docs/regressions.md")
    typer.echo("Whether a run meets its targets, new or not: docstokg-telemetry summary")


def named(sli: Row) -> str:
    """Name an SLI with whose it is."""
    subject = f" {_SUBJECTS[sli['scope']]}{printable(sli['subject'])}" if sli["subject"] else ""
    return f"{sli['slo']}{subject}"


def verdict(sli: Row) -> str:
    """Say in a few words what became of an SLI: ``worse yield_pct 84.1 % (was 92.3 %, …)``."""
    value, before = (amount(sli[name], sli["unit"]) for name in ("value", "baseline_value"))
    return (
        f"{sli['verdict']} {named(sli)} {value} (was {before}, "
        f"{signed(sli['change'], sli['unit'])}, {interval(sli)})"
    )


def against_before(rows: Sequence[Row] | None, has_passed: bool) -> list[str]:
    """Say which SLIs changed against the runs before, or that none did.

    Args:
        rows: of regressions, of one run and its roles; None where they are not known.
        has_passed: whether the run meets its targets: one that does not may be as bad as ever.
    """
    if rows is None:
        return ["Not held against the runs before it: docstokg-telemetry compare does that."]
    before = max((len(row["baseline_run_ids"]) for row in rows), default=0)
    if before == 0:
        return ["No run had ended before it to hold it against."]
    judged = [row for row in rows if row["verdict"] != "not_enough_data"]
    told = f"Against the {before} runs before" if before > 1 else "Against the run before"
    changed = [row for row in judged if row["verdict"] != "same"]
    lines = [f"{told}: {verdict(row)}" for row in changed]
    if not judged:
        return [f"{told}: not enough data"]
    if not any(row["verdict"] == "worse" for row in changed):
        as_ever = "" if has_passed else "; as before, it need not be good: it misses targets"
        lines.append(
            f"{told}: nothing is worse, of {plural(len(judged), 'SLI')} with enough data{as_ever}"
        )
    return lines


def _against(found: Comparison) -> str:
    names = [printable(name) for name in found.baselines]
    if len(names) == 1:
        return names[0]
    if not names:
        return "no run: none had ended before it"
    return f"the {len(names)} runs before it: {', '.join(names)}"


def _cells(sli: Row) -> list[object]:
    change = "–" if sli["change"] is None else signed(sli["change"], sli["unit"])
    word = sli["verdict"].replace("_", " ")
    return [
        named(sli),
        f"{word}: {sli['missing']}" if sli["missing"] else word,
        amount(sli["baseline_value"], sli["unit"]),
        amount(sli["value"], sli["unit"]),
        change,
        interval(sli),
    ]


def interval(sli: Row) -> str:
    """Return the interval of a change, with signs and unit; a dash where it has none."""
    if sli["change_low"] is None:
        return "–"
    return f"{_bare(sli['change_low'], sli['unit'])} to {signed(sli['change_high'], sli['unit'])}"


def _bare(value: float, unit: str) -> str:
    return signed(value, unit).rsplit(" ", 1)[0]


def _dimension(sli: Row) -> str:
    first = sli["explanations"][0]
    what = "" if first["measure"] is None else f" ({first['measure']})"
    return f"{first['dimension']}{what}"


def _told(explanations: Sequence[Row]) -> list[Row]:
    """Choose what explains most of a change, and what made up for most of it."""
    explaining = [row for row in explanations if not row["is_offsetting"]]
    return explaining[:_SHOWN] + [row for row in explanations if row["is_offsetting"]][-1:]


def _explanation(row: Row) -> str:
    """Say how much of a change one segment explains, or made up for."""
    share = row["share_of_change"]
    part = "" if share is None else f", {100 * share:.0f} % of the change"
    if row["is_offsetting"] and share is not None:
        part = f", made up for {-100 * share:.0f} % of the change"
    text = f"{printable(row['segment'])}: {signed(row['contribution'], row['unit'])}{part}"
    if row["amount_now"] is not None and row["amount_before"] is not None:
        now, before = (amount(row[name], row["unit"]) for name in ("amount_now", "amount_before"))
        return f"{text} ({now} each time, before {before})"
    for name, word in (("rate", ""), ("share", "of all ")):
        now, before = row[f"{name}_now_pct"], row[f"{name}_before_pct"]
        if now is not None and before is not None:
            return f"{text} ({word}{now:.1f} %, before {before:.1f} %)"
    return text


def _print_members(members: Sequence[Row]) -> None:
    """List hosts and resolvers that changed, and count the others."""
    changed = [row for row in members if row["verdict"] in ("worse", "better")]
    changed.sort(key=lambda row: (row["verdict"] != "worse", -row["sample_size"]))
    if changed:
        typer.echo("\nHosts and resolvers that changed:")
        print_table(_COLUMNS, [_cells(row) for row in changed[:_MEMBERS_SHOWN]])
        if len(changed) > _MEMBERS_SHOWN:
            typer.echo(f"and {len(changed) - _MEMBERS_SHOWN:,} more: --output-format json")
    same = sum(row["verdict"] == "same" for row in members)
    unknown = sum(row["verdict"] == "not_enough_data" for row in members)
    if members:
        typer.echo(
            f"\n{same:,} other figures of hosts and resolvers are the same; of {unknown:,} there "
            "is not enough data."
        )
