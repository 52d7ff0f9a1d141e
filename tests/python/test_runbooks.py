"""docs/: a runbook for every alert, with commands that work on the models."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.query import published

from .conftest import ROOT
from .support.promtool import committed_rules, runbook_base
from .support.runs import Tool, record


def test_every_alert_has_its_runbook() -> None:
    for rule in committed_rules("alerts.yml"):
        url = rule["annotations"]["runbook_url"]
        page = ROOT / "docs" / "runbooks" / url.removeprefix(runbook_base())
        assert page.is_file(), url
        assert rule["alert"] in page.read_text(), f"{page} does not name {rule['alert']}"


def runbook_commands(page: Path) -> list[list[str]]:
    """Return the commands of a page's bash blocks; blocks of sh are for the machine, not for us."""
    blocks = re.findall("^ *```bash\n(.*?)```", page.read_text(), re.MULTILINE | re.DOTALL)
    words = shlex.split(" ".join(blocks).replace("$RUN", "r").replace("$HOST", "cdn.example.org"))
    starts = [place for place, word in enumerate(words) if word == "docstokg-telemetry"]
    return [words[a + 1 : b] for a, b in pairwise([*starts, len(words)])]


def test_the_commands_of_the_runbooks(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "t.sqlite3", "r", good=10)
    assert tool("run", "--db", tmp_path / "t.sqlite3").returncode == 0
    monkeypatch.setenv("DOCSTOKG_WAREHOUSE", str(tmp_path / "warehouse"))
    pages = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
    commands = [command for page in pages for command in runbook_commands(page)]
    assert len(commands) > 20
    with published() as connection:
        for command in commands:
            if command[0] == "query":
                assert command[1] == "--query"
                assert len(command) == 3
                connection.execute(command[2]).fetchall()
    for command in commands:
        if command[0] != "query":
            done = tool(*command)
            # the run that is shown misses its yield, as runs with a runbook do
            fails = command[0] == "summary" or command[:2] in (
                ["diagnose", "yield"], ["diagnose", "--run"],
            )  # fmt: skip
            assert done.returncode == int(fails), (command, done.stderr)
            assert done.stdout


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), (page, link)
