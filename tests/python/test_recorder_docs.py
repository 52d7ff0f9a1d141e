"""The downloader of the docs, before and after it records, as a reader would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import settings

from .conftest import ROOT
from .support.runs import Tool
from .support.web import ask, web

TEXT = (ROOT / "docs" / "recorder.md").read_text()
PLAIN, RECORDED, LAYERS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with web() as address:
        yield address


def download(code: str, folder: Path, site: str, **extra: str) -> str:
    """Run a downloader of twelve works, of which the test's server lacks some."""
    folder.mkdir()
    program = folder / "downloader.py"
    program.write_text(
        code.replace("https://cdn.publisher.example/pdf/{}", f"{site}/publisher/{{}}").replace(
            "https://web.archive.org/pdf/{}", f"{site}/archive/{{}}"
        )
    )
    assert site in program.read_text()
    # In both, in the archive alone, in neither.
    works = [*(f"both-{n}" for n in range(8)), "archive-1", "archive-2", "archive-3", "none-1"]
    (folder / "works.txt").write_text("\n".join(works))
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    done = subprocess.run(
        [sys.executable, "downloader.py", "works.txt", "papers/"],
        cwd=folder, env=environ | extra, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert len(list((folder / "papers").glob("*.pdf"))) == 11
    return done.stdout


def test_four_lines_are_added() -> None:
    plain, recorded = ([line.strip() for line in code.splitlines()] for code in (PLAIN, RECORDED))
    assert len(plain) == 40
    new = [line for line in recorded if line not in plain]
    gone = [line for line in plain if line not in recorded]
    assert len(gone) == 1
    assert len(new) == 4 + len(gone)
    assert len(recorded) == len(plain) + 4


def test_the_downloader_is_recorded_rightly(tool: Tool, tmp_path: Path, site: str) -> None:
    on = {
        "DOCSTOKG_ENABLE_TELEMETRY": "1",
        "DOCSTOKG_TELEMETRY_DB_PATH": str(tmp_path / "manifest.sqlite3"),
    }
    said = [
        download(PLAIN, tmp_path / "plain", site),
        download(RECORDED, tmp_path / "off", site),
        download(RECORDED, tmp_path / "on", site, **on),
    ]
    assert said == ["11 of 12 works\n"] * 3
    path = tmp_path / "manifest.sqlite3"
    assert ask(path, "select status, count(*) from http_events group by 1") == [(200, 11), (404, 5)]
    done = tool("summary", "--db", path, "--output-format", "json")
    summary = json.loads(done.stdout)
    assert summary["yield_pct"] == pytest.approx(100 * 11 / 12)
    assert summary["http_429_pct"] == 0
    assert summary["corruption_count"] == 0
    assert summary["ttfp_p50_ms"] == 0  # the first attempt of most works succeeded
    assert summary["ttfp_p95_ms"] > 0
    assert summary["cache_hit_pct"] is None
    assert done.returncode == 0
    assert summary["passed"]


def test_the_layers_of_the_docs_work(tmp_path: Path, site: str) -> None:
    program = tmp_path / "layers.py"
    program.write_text(
        "import httpx\nfrom recorder.integrations.httpx import open_run, record\n"
        f"run = open_run('run')\n{LAYERS}\n"
        f"for _ in range(3):\n    assert client.get('{site}/a').status_code == 200\n"
        "run.recorder.close()\n"
    )
    on = {
        "DOCSTOKG_ENABLE_TELEMETRY": "1",
        "DOCSTOKG_TELEMETRY_DB_PATH": str(tmp_path / "t.sqlite3"),
        "DOCSTOKG_RATE_BACKEND": f"sqlite:{tmp_path}/limits.sqlite",
        "DOCSTOKG_BREAKER_COOLDOWN_STORE": f"sqlite:{tmp_path}/breakers.sqlite",
    }
    subprocess.run(
        [sys.executable, program], env=os.environ | on, check=True, timeout=60, cwd=tmp_path
    )
    found = "select breaker_state, breaker_recorded, rate_delay_ms >= 0 from http_events"
    assert ask(tmp_path / "t.sqlite3", found) == [("closed", "success", 1)] * 3
    assert ask(tmp_path / "t.sqlite3", "select count(*) from rate_events") == [(3,)]


def test_every_variable_is_explained() -> None:
    names = {
        value
        for name, value in vars(settings).items()
        if name.endswith("_VARIABLE") and isinstance(value, str)
    }
    assert len(names) == 11
    for name in names:
        assert f"| `{name}` |" in TEXT
