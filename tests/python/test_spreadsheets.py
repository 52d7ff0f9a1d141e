"""CSV keeps every value; what is meant for a spreadsheet has no cell that one runs."""

from __future__ import annotations

import pytest

from exporter.render import print_csv
from recorder.rows import Row
from recorder.schema import COLUMNS
from recorder.spreadsheet import inert
from recorder.text_sink import Csv

_CELLS = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)", "+1+1": "'+1+1", "-1-1": "'-1-1", "@SUM(1)": "'@SUM(1)",
    "\t=1": "'\t=1", "\r=1": "'\r=1", "-": "'-", "+1e": "'+1e",
    "-5": "-5", "+1.5e3": "+1.5e3", "-.5": "-.5", "a=1": "a=1", "'=1": "'=1", "": "",
}  # fmt: skip


def test_text_is_guarded_and_numbers_are_not() -> None:
    assert {cell: inert(cell) for cell in _CELLS} == _CELLS
    assert [inert(value) for value in (-5, -0.5, True, None)] == [-5, -0.5, True, None]


def test_query_keeps_values_unless_they_are_for_a_spreadsheet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("=1", -5, -0.5, None)]
    print_csv(["@name", "a", "b", "c"], rows)
    assert capsys.readouterr().out == "@name,a,b,c\n=1,-5,-0.5,\n"
    print_csv(["@name", "a", "b", "c"], rows, for_spreadsheets=True)
    assert capsys.readouterr().out == "'@name,a,b,c\n'=1,-5,-0.5,\n"


def test_the_recorders_csv_too() -> None:
    names = COLUMNS["fallback_attempts"]
    values = tuple({"artifact_id": "=1+1", "elapsed_ms": -5.0}.get(name) for name in names)
    row = Row("fallback_attempts", values)
    assert "=1+1" in Csv().line(row, "w", 1).split(",")
    cells = Csv(for_spreadsheets=True).line(row, "w", 1).split(",")
    assert "'=1+1" in cells and "-5.0" in cells
