"""The wheel, away from the checkout; and every command that the README shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT
from .support.runs import START, Tool, record


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, made by the build backend, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", folder / "site", wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")

    def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
        environ |= {"PYTHONPATH": str(installed), "DOCSTOKG_WAREHOUSE": str(tmp_path / "wh")}
        return subprocess.run(
            [sys.executable, "-m", "exporter", *arguments],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = tool("summary", "--db", "t.sqlite3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Run run" in done.stdout
    done = tool("run", "--db", "t.sqlite3")
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    assert tool("query", "--query", "select yield_pct from run_slis").returncode == 0
    # an analyst's own copy, in which a target is changed
    shutil.copytree(installed / "exporter" / "_project", tmp_path / "mine")
    seed = tmp_path / "mine" / "seeds" / "slo_targets.csv"
    changed = seed.read_text().replace("yield_pct,run,,>=,85", "yield_pct,run,,>=,99")
    assert changed != seed.read_text()
    seed.write_text(changed)
    done = tool("summary", "--db", "t.sqlite3", "--project-dir", "mine")
    assert done.returncode == 1, done.stderr
    assert "99" in done.stdout
    assert tool("summary", "--db", "t.sqlite3").returncode == 0


def readme_commands() -> list[list[str]]:
    """Return the docstokg-telemetry commands of the README, as a shell would split them."""
    found = []
    text = (ROOT / "README.md").read_text()
    for line in re.findall(r"^\$ docstokg-telemetry (.+)$", text, re.MULTILINE):
        found.append(shlex.split(line))
    for cell in re.findall(
        r"^\| `((?:run|runs|summary|query|export|metrics)\b.*?)` \|", text, re.MULTILINE
    ):
        found.append(shlex.split(cell))
    return found


@pytest.mark.slow
def test_the_commands_of_the_readme(tool: Tool, tmp_path: Path) -> None:
    commands = readme_commands()
    named = {command[0] for command in commands}
    assert named == {"run", "runs", "summary", "query", "export", "metrics"}
    (tmp_path / "demo").mkdir()
    (tmp_path / "runs" / "a").mkdir(parents=True)
    db = tmp_path / "demo" / "telemetry.sqlite3"
    record(db, "healthy")
    record(db, "degraded", good=10, start=START + 1000)
    record(tmp_path / "runs" / "a" / "manifest.sqlite3", "other", start=START + 2000)
    assert tool("run", "--db", db).returncode == 0
    names = {"FILE": str(db), "DIR": "out"}
    for command in commands:
        done = tool(*(names.get(word, word) for word in command))
        fails = "degraded" in command or (command[0] == "summary" and "FILE" in command)
        assert done.returncode == (1 if fails else 0), (command, done.stderr)
        assert done.stdout or (tmp_path / command[-1]).read_text()


def test_the_targets_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / ".ci" / "run").read_text()
    targets = set(re.findall(r"(?:`|^\$? ?)make ([a-z]+)", text, re.MULTILINE))
    assert targets >= {"demo", "test", "lint"}
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
