"""The sentences of a report: what its numbers come to, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exporter.budgets import is_known
from exporter.errors import printable
from exporter.findings import plural
from exporter.render import amount, signed, target, title
from exporter.render_budget import left, moment, spent, tally
from exporter.render_comparison import interval
from exporter.report_data import OF_RUNS, Report
from exporter.results import Row

#: How a value stands, beyond its colour: read aloud, printed in black and white.
MARK: Final = {
    "pass": "✓ met", "fail": "✗ missed", "no_data": "– no data", "no_target": "no target",
    "worse": "▼ worse", "better": "▲ better", "same": "= same",
    "not_enough_data": "– not enough data",
}  # fmt: skip
_OF: Final = {"run_role": "role", "run_host": "host", "run_resolver": "resolver"}
_EXPLAINED: Final = 3
_OTHERS: Final = 3
#: A part above this is more than the whole: not by rounding alone.
_WHOLE: Final = 1 + 1e-9


@dataclass(frozen=True)
class Card:
    """One of the answers on the first screen.

    Attributes:
        question: what is asked.
        answer: in few words.
        detail: what it rests on.
        state: good, bad or unknown.
    """

    question: str
    answer: str
    detail: str
    state: str


def name(row: Row) -> str:
    """Return an SLI's name, with the role, host or resolver it is of."""
    if row["scope"] == "run" or row["subject"] is None:
        return title(row["slo"])
    of = _OF.get(row["scope"], row["scope"])
    return f"{title(row['slo'])} of {of} {printable(row['subject'])}"


def value(number: float | None, unit: str, beside: float | None = None) -> str:
    """Return a value with its unit, told from the one beside it; in words where there is none."""
    return "no data" if number is None else amount(number, unit, beside)


def change(row: Row) -> str:
    """Return a change with its sign and its interval; in words where it is unknown."""
    if row["change"] is None:
        return str(row["missing"] or "no data")
    told = signed(row["change"], row["unit"])
    if row["change_low"] is None:
        return told
    return f"{told} ({row['confidence_pct']:g} %: {interval(row)})"


def cards(report: Report) -> list[Card]:
    """Return the answers of the first screen: health, worst SLO, budget, what changed."""
    return [_health(report), _worst(report), _budget(report), _changed(report)]


def headline(report: Report) -> str:
    """Say in one sentence how the run did."""
    run = printable(str(report.run["run_id"]))
    failed, without = report.verdict["slos_failed"], report.verdict["slos_without_data"]
    judged = failed + report.verdict["slos_passed"]
    if not judged:
        return f"Run {run} has no data to be judged by."
    missed = f"misses {failed} of {plural(judged, 'SLO')}" if failed else (
        f"meets {'its only SLO' if judged == 1 else f'all {judged} SLOs'}"
    )  # fmt: skip
    unknown = f"; {without} more without data" if without else ""
    return f"Run {run} {missed}{unknown}."


def _health(report: Report) -> Card:
    failing = [s for s in report.slos if s["status"] == "fail" and s["scope"] != "run_host"]
    hosts = sum(s["status"] == "fail" for s in report.slos) - len(failing)
    judged = report.verdict["slos_failed"] + report.verdict["slos_passed"]
    aside = f"{plural(hosts, 'SLO')} of single hosts missed." if hosts else ""
    if not judged:
        return Card("Is it healthy?", "Not known", "No SLO of the run has data.", "unknown")
    if report.verdict["slos_failed"]:
        told = "; ".join(name(s) for s in failing[:3])
        more = f" and {len(failing) - 3} more" if len(failing) > 3 else ""
        return Card("Is it healthy?", "No", f"Missed: {told}{more}. {aside}".strip(), "bad")
    without = report.verdict["slos_without_data"]
    detail = f"{'The only SLO' if judged == 1 else f'All {judged} SLOs'} with data met."
    if without:
        detail += f" {plural(without, 'SLO')} without data."
    return Card("Is it healthy?", "Yes", f"{detail} {aside}".strip(), "good")


def _worst(report: Report) -> Card:
    """Name the SLO that is worst: missed by most, or met with least to spare."""
    question = "Which SLO is worst?"
    worst = next((s for s in report.slos if s["place"] == 1), None)
    if worst is None:
        return Card(question, "None has data", "Nothing was measured that has a target.", "unknown")
    state = "bad" if worst["status"] == "fail" else "good"
    detail = (
        f"{amount(worst['value'], worst['unit'], beside=worst['target'])}, target {target(worst)}"
    )
    return Card(question, name(worst), f"{detail}: {MARK[worst['status']]}.", state)


def _budget(report: Report) -> Card:
    question = "How much error budget is left?"
    known = [row for row in report.budgets.counting if is_known(row)]
    counts = f" {tally(report.budgets)}."
    if not known:
        return Card(question, "Not known", f"There is too little data.{counts}", "unknown")
    least = known[0]
    detail = f"{name(least)}: {spent(least)}."
    if least["state"] == "within":
        return Card(question, f"{left(least)} at least", detail + counts, "good")
    detail += f" It ran out {moment(least['ran_out_at'])} UTC."
    return Card(question, "None: overspent", detail + counts, "bad")


def _changed(report: Report) -> Card:
    question = "What got worse, and who explains it?"
    own = report.turned.slis
    worse = [row for row in own if row["verdict"] == "worse"]
    compared, lacking = with_verdict(own)
    if not worse and (not compared or len(lacking) > len(compared)):
        return Card(question, "Not known", _incomparable(report, compared, lacking), "unknown")
    lack = f" {_lack(lacking, own)}." if lacking else ""
    if not worse:
        detail = f"{plural(len(compared), 'SLI')} compared with {before(report)}."
        told = f"{detail}{_better(compared)}{_others(report)}{lack}"
        return Card(question, "Nothing", told, "good")
    missed = {(s["slo"], s["scope"], s["subject"]): s["runs_missed"] for s in report.streaks}
    # what is missed too matters more than what has only changed
    worse.sort(key=lambda r: (r["slo"], r["scope"], r["subject"]) not in missed)
    told = " ".join(_blamed(row) for row in worse[:2])
    more = f" {len(worse) - 2} more got worse." if len(worse) > 2 else ""
    answer = _culprit(worse) or ", ".join(name(row) for row in worse[:2])
    return Card(question, answer, f"{_since(report)}{told}{more}{_others(report)}{lack}", "bad")


def with_verdict(slis: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Part SLIs into those that could be compared, and those that had not enough data."""
    lacking = [row for row in slis if row["verdict"] == "not_enough_data"]
    return [row for row in slis if row["verdict"] != "not_enough_data"], lacking


def _incomparable(report: Report, compared: Sequence[Row], lacking: Sequence[Row]) -> str:
    """Say why it is not known what got worse, where too little could be compared."""
    if not report.turned.baselines:
        return f"Not enough data: {before(report)}."
    if not lacking:
        return "Not enough data: nothing to compare."
    reasons = [str(row["missing"]) for row in lacking if row["missing"]]
    most_first = sorted(set(reasons), key=lambda reason: (-reasons.count(reason), reason))
    told = "; ".join(f"{reasons.count(reason)}: {reason}" for reason in most_first)
    return f"{_lack(lacking, [*compared, *lacking])} ({told}).{_better(compared)}"


def _lack(lacking: Sequence[Row], own: Sequence[Row]) -> str:
    return f"{len(lacking)} of {plural(len(own), 'SLI')} had not enough data to be compared"


def _better(compared: Sequence[Row]) -> str:
    better = [name(row) for row in compared if row["verdict"] == "better"]
    return f" Better: {', '.join(better[:3])}." if better else ""


def _since(report: Report) -> str:
    """Say in which run it got worse, if that is an earlier one than the report is about."""
    if report.turned.run_id == report.run["run_id"]:
        return ""
    runs = max(
        s["runs_missed"] for s in report.streaks if s["since_run_id"] == report.turned.run_id
    )
    return f"Since run {printable(report.turned.run_id)}, for {plural(runs, 'run')}: "


def _others(report: Report) -> str:
    """Say what is missed since another run than the one whose changes are told."""
    others = [
        f"{name(s)} since {printable(s['since_run_id'])}"
        for s in report.streaks
        if s["scope"] in OF_RUNS and s["was_met_before"]
        and s["since_run_id"] != report.turned.run_id
    ]  # fmt: skip
    more = " …" if len(others) > _OTHERS else ""
    return f" Also missed: {', '.join(others[:_OTHERS])}{more}." if others else ""


def _culprit(worse: Sequence[Row]) -> str:
    """Return who explains most of the first change that anyone explains; or that many do."""
    for row in worse:
        explained = explaining(row)
        if explained:
            first = explained[0]
            if first["is_one_of_many"]:
                return f"Many: no {first['dimension']} explains much"
            return printable(str(first["segment"]))
    return ""


def _blamed(row: Row) -> str:
    """Say how far an SLI got worse, and who explains it."""
    was = amount(row["baseline_value"], row["unit"])
    text = f"{name(row)}: {was} → {amount(row['value'], row['unit'])}"
    explained = explaining(row)
    if explained and explained[0]["share_of_change"] is not None:
        first = explained[0]
        text += f"; {explains(first)}"
    return f"{text}."


def explaining(row: Row) -> list[Row]:
    """Return who explains the change of an SLI, most first."""
    rows = [part for part in row.get("explanations", ()) if not part["is_offsetting"]]
    return rows[:_EXPLAINED]


def explains(explained: Row, of: str = "") -> str:
    """Say which part of a change a host or resolver explains, where that is known.

    Args:
        explained: the explanation.
        of: what changed, where the words before do not say it.
    """
    told = f"{printable(str(explained['segment']))} explains"
    part = explained["share_of_change"]
    if part > _WHOLE:
        return f"{told} more than all of {of or 'it'}; others got better"
    return f"{told} {share(part)}" + (f" of {of}" if of else "")


def share(part: float | None, others: str = "better") -> str:
    """Return a part of a change in percent; in words where others made up for some of it.

    Args:
        part: of the whole change, which is 1; None where it is unknown.
        others: what others got where the part is more than the whole.
    """
    if part is None:
        return "–"
    return f"more than all of it; others got {others}" if part > _WHOLE else f"{100 * part:,.0f} %"


def before(report: Report) -> str:
    """Say what a run is held against."""
    ids = report.turned.baselines
    return plural(len(ids), "run") + " before it" if ids else "no run before it"


def subtitle(report: Report) -> str:
    """Say when the run was and what the report looks back on."""
    started: datetime | None = report.run["started_at"]
    began = "at an unknown time" if started is None else f"{moment(started)} UTC"
    state = "" if report.run["is_finished"] else ", no end recorded"
    runs = plural(len(report.runs), "run")
    return (
        f"Started {began}{state}; {plural(round(report.run['requests']), 'request')}, "
        f"{plural(report.run['artifacts'], 'artifact')}. Looks back on {runs}, as of "
        f"{moment(report.as_of)} UTC."
    )


def length(seconds: float | None) -> str:
    """Return how long a run took."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
