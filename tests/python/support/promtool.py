"""Rule tests for promtool: series given minute by minute, alerts expected at times."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ..conftest import ROOT
from .services import need

RULES = ROOT / "monitoring" / "prometheus" / "rules"

Alert = dict[str, dict[str, str]]


def program(name: str) -> str:
    """Return the path of a program that tests need."""
    found = shutil.which(name)
    need(found, name)
    assert found is not None
    return found


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program that tests need."""
    return subprocess.run(
        [program(name), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def committed_rules(name: str) -> list[dict[str, Any]]:
    """Return the rules of a committed file."""
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def runbook_base() -> str:
    """Return the address of the runbooks, as alerts.yml sets it."""
    found: str = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text())["runbooks"]
    return found


def times(value: float | None, minutes: int) -> str:
    """Return ``minutes`` samples of one value; None is no series."""
    if value is None:
        return f"stale _x{minutes - 1}"
    return " ".join([f"{value:.10g}"] * minutes)


def rule_test(series: dict[str, str], alert: str, expected: dict[str, list[Alert]]) -> Any:
    """Return one test: series by selector, and by time the alerts expected to fire."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": time, "alertname": alert, "exp_alerts": alerts}
            for time, alerts in expected.items()
        ],
    }


def check(folder: Path, tests: list[Any], rules: Path = RULES) -> None:
    """Run tests with promtool; fails with its words."""
    path = folder / "test.yml"
    text = {
        "rule_files": [str(file) for file in sorted(rules.glob("*.yml"))],
        "evaluation_interval": "30s",
        # alerts after the recordings they use
        "group_eval_order": [
            f"docstokg-{name}" for name in ("recordings", "slos", "budgets", "telemetry")
        ],
        "tests": tests,
    }
    path.write_text(yaml.safe_dump(text, allow_unicode=True))
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
