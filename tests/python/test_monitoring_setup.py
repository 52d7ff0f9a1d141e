"""What of monitoring/ is copied to a machine: the tools that use it accept it, and it works."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import ROOT
from .support import promtool
from .support.services import free_port, server

MONITORING = ROOT / "monitoring"


def test_promtool_accepts_the_configuration() -> None:
    done = promtool.run("promtool", "check", "config", MONITORING / "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


def test_amtool_accepts_the_configuration() -> None:
    done = promtool.run("amtool", "check-config", MONITORING / "alertmanager/alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_alerts_are_routed_by_severity(severity: str) -> None:
    config = MONITORING / "alertmanager/alertmanager.yml"
    done = promtool.run(
        "amtool", "config", "routes", "test", f"--config.file={config}",
        "alertname=DocsToKGYieldLow", f"severity={severity}",
    )  # fmt: skip
    assert done.stdout.strip() == f"docstokg-{severity}", done.stderr


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """Run Alertmanager with our configuration; yield its address."""
    port = free_port()
    command = [
        promtool.program("prometheus-alertmanager"),
        "--cluster.listen-address=",
        f"--config.file={MONITORING / 'alertmanager/alertmanager.yml'}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with server(port, *command):
        yield f"http://127.0.0.1:{port}"


def inhibited(address: str) -> set[str]:
    """Return which alerts Alertmanager keeps quiet for the sake of others: name and instance."""
    with urllib.request.urlopen(f"{address}/api/v2/alerts?inhibited=true&active=false") as answer:
        found = [alert["labels"] for alert in json.load(answer)]
    return {f"{labels['alertname']} {labels.get('instance', '')}".strip() for labels in found}


LOW = {"alertname": "DocsToKGYieldLow", "slo": "yield_pct", "instance": "x:9108"}
ABSENT = {"alertname": "DocsToKGMetricsAbsent"}
DOWN, STALE, FAILING = (
    {"alertname": f"DocsToKG{name}", "instance": "x:9108"}
    for name in ("ExporterDown", "DataStale", "RefreshFailing")
)
OTHER = {"instance": "y:9108"}


@pytest.mark.parametrize(
    ("others", "quiet"),
    [
        ([DOWN], {"DocsToKGYieldLow x:9108"}),
        ([STALE], {"DocsToKGYieldLow x:9108"}),
        ([ABSENT], {"DocsToKGYieldLow x:9108"}),
        ([DOWN, ABSENT], {"DocsToKGYieldLow x:9108", "DocsToKGMetricsAbsent"}),
        # neither a failed refresh nor another exporter says anything about this one's figures
        ([FAILING, LOW | OTHER, DOWN | OTHER], {"DocsToKGYieldLow y:9108"}),
    ],
)
def test_alerts_that_explain_others_keep_them_quiet(
    others: list[dict[str, str]], quiet: set[str], tmp_path: Path
) -> None:
    body = json.dumps([{"labels": labels} for labels in (LOW, *others)]).encode()
    with alertmanager(tmp_path) as address:
        urllib.request.urlopen(
            urllib.request.Request(
                f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"}
            )
        ).close()
        until = time.monotonic() + 5
        while inhibited(address) != quiet and time.monotonic() < until:
            time.sleep(0.05)
        assert inhibited(address) == quiet


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "docstokg-exporter.service"
    text = (MONITORING / "systemd" / unit.name).read_text()
    installed = Path(sys.executable).parent / "docstokg-telemetry"
    unit.write_text(text.replace("/opt/docstokg-telemetry/.venv/bin/docstokg-telemetry",
                                 str(installed)))  # fmt: skip
    done = promtool.run("systemd-analyze", "verify", unit)
    assert (done.returncode, unit.name in done.stderr) == (0, False), done.stderr
    # 15 is 1.5 of systemd's "exposure level", which goes to 10.0
    done = promtool.run("systemd-analyze", "security", "--offline=yes", "--threshold=15", unit)
    assert done.returncode == 0, done.stdout[-500:]


def test_the_unit_has_every_variable_it_uses() -> None:
    unit = (MONITORING / "systemd/docstokg-exporter.service").read_text()
    settings = (MONITORING / "systemd/docstokg-exporter.env").read_text()
    (command,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    used = set(re.findall(r"\$\{?([A-Z_]+)\}?", command)) | {"DOCSTOKG_WAREHOUSE"}
    assert used == set(re.findall("^([A-Z_]+)=", settings, re.MULTILINE))
    # the unit's StateDirectory
    assert "\nDOCSTOKG_WAREHOUSE=/var/lib/docstokg-exporter\n" in settings
