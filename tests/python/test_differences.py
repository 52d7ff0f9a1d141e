"""docs/differences.md: the guide's SQL as the page has it and our summary give its numbers."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from .conftest import ROOT
from .support.runs import Tool

_ANSWERS = re.compile(r"^\| (none|[\d.]+) \| `(\w+)` (none|[\d.]+) \|$", re.MULTILINE)
_SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def told(value: float | None) -> str:
    """Return a figure as the page has it."""
    return "none" if value is None else f"{value:.2f}"


def test_the_page_tells_the_numbers_of_the_guide_and_ours(tool: Tool, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "differences.md").read_text()
    setup, *queries = _SQL.findall(page)
    answers = _ANSWERS.findall(page)
    assert len(queries) == len(answers) > 8
    db = tmp_path / "t.sqlite3"
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(setup)
        connection.commit()
        firsts = [connection.execute(query).fetchone() for query in queries]
    guide = [told(row and row[0]) for row in firsts]
    done = tool("summary", "--db", db, "--run", "r1", "--output-format", "json")
    ours = json.loads(done.stdout)
    assert answers == [
        (number, name, told(ours[name]))
        for number, (_, name, _) in zip(guide, answers, strict=True)
    ]
    assert tool("summary", "--db", db, "--run", "typo").returncode == 2
