"""What a report is made of: sections of figures, each with the table behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exporter.report_svg import Spec

#: Rows that a table shows of those that there may be any number of.
TABLE_ROWS: Final = 500


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
        legend: what the chart's colours mean; said only where the chart is.
        narrow: the chart for a phone, where it is another one.
    """

    takeaway: str
    spec: Spec | None
    table: Table
    title: str = ""
    legend: str = ""
    narrow: Spec | None = None


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


#: Behind a chart whose numbers are in the table before it.
NO_TABLE: Final = Table([], [])
