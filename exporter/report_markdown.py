"""The report as Markdown, for the summary of a CI job: what matters first, tables, sparklines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.findings import plural
from exporter.render import target
from exporter.render_trends import gaps, met, sparkline
from exporter.report_data import Report
from exporter.report_page import closing
from exporter.report_parts import Section, Table
from exporter.report_sections import sections
from exporter.report_words import MARK, cards, headline, name, subtitle, value

_STATE: Final = {"good": "✓", "bad": "✗", "unknown": "–"}
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+!|~@$-])")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: The section that sparklines stand for, and the one of which a job's summary says only what there
#: is to see: its table is a row for each host and hour.
_LEFT_OUT: Final = "trends"
_TOLD: Final = "hosts"
_ROWS: Final = 20


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, whatever is in it."""
    plain = "".join(_ENTITIES.get(c, c) for c in " ".join(text.split()))
    # a colon in front of // is what makes a link of a bare address
    return _SPECIAL.sub(r"\\\1", plain).replace("://", ":&#8203;//").replace("www.", "www&#46;")


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {escaped(headline(report))}"
    yield ""
    yield escaped(subtitle(report))
    yield ""
    rows = [[f"{_STATE[c.state]} {c.answer}", c.detail] for c in cards(report)]
    questions = [card.question for card in cards(report)]
    yield from _table(
        Table(["", "answer", "detail"], [[q, *row] for q, row in zip(questions, rows, strict=True)])
    )
    yield "## Trends"
    yield ""
    yield from _trends(report)
    for section in sections(report):
        if section.anchor != _LEFT_OUT:
            yield from _section(section)
    yield "## How each number is defined"
    yield ""
    for one in report.definitions:
        if one.is_sli:
            yield f"- **{escaped(one.name)}**: {escaped(one.text)}"
    yield ""
    yield escaped(closing(report))


def _trends(report: Report) -> Iterator[str]:
    found = report.trends
    rows = [
        [
            name(one), sparkline([p["value"] for p in one["points"]]),
            value(one["points"][-1]["value"], one["unit"], one["target"]), target(one),
            MARK[one["points"][-1]["status"]], met(one["points"]),
            gaps(one["points"], found.by) or "none",
        ]
        for one in found.series
    ]  # fmt: skip
    columns = ["SLI", f"by {found.by}", "latest#", "target#", "latest is", "met", "gaps"]
    yield from _table(Table(columns, rows))


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    yield ""
    if section.note and section.anchor != _TOLD:
        yield escaped(section.note)
        yield ""
    is_told = section.anchor == _TOLD
    for figure in section.figures:
        if figure.spec is not None and not figure.table.rows and not is_told:
            continue  # a caption of a chart whose numbers are in the table before
        yield escaped(figure.takeaway)
        yield ""
        if not is_told:
            yield from _table(figure.table)


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        return
    yield _row([escaped(column.rstrip("#~")) for column in table.columns])
    yield _row(["---:" if column.endswith("#") else "---" for column in table.columns])
    for row in table.rows[:_ROWS]:
        yield _row([escaped(cell) for cell in row])
    yield ""
    more = len(table.rows) - _ROWS
    if more > 0 or table.is_cut:
        yield (
            f"{plural(more, 'more row')}: see the report as HTML."
            if more > 0
            else "There are more rows."
        )
        yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
