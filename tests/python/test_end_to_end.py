"""From a real crawl that goes bad to an alert at a webhook, on Prometheus and Alertmanager."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.python.conftest import ROOT
from tests.python.support import promtool
from tests.python.support.exporter import Exporter, eventually, serving
from tests.python.support.services import free_port, server

MONITORING = ROOT / "monitoring"


class Webhook:
    """Receives what Alertmanager sends."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        received = self.alerts

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def got(self, status: str, name: str, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts of a name that came with a status and labels."""
        wanted = {"alertname": name, **labels}.items()
        return [a for a in self.alerts if a["status"] == status and wanted <= a["labels"].items()]


def quick(text: str) -> str:
    """Let a configuration wait seconds where it waits minutes."""
    return re.sub(
        r"\b(for|group_wait|group_interval|scrape_interval|evaluation_interval): \d+[smh]",
        r"\1: 1s",
        text,
    )


@contextmanager
def program(name: str, *arguments: str) -> Iterator[str]:
    """Run a server of Prometheus' kind; yield its address."""
    port = free_port()
    address = f"--web.listen-address=127.0.0.1:{port}"
    with server(port, promtool.program(name), address, *arguments):
        yield f"http://127.0.0.1:{port}"


def ask(prometheus: str, expression: str) -> list[Any]:
    """Return what Prometheus answers to an expression."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}") as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


def measured(expression: str) -> str:
    """Return what an alert's expression compares, without what it is compared with."""
    if found := re.fullmatch(r"absent\((.*)\)", expression):
        return found[1]
    expression = expression.split(" unless ")[0]
    return re.sub(r"\s*(<|>|==)\s*[\d.]+$", "", expression)


def expressions() -> list[str]:
    """Return every expression of the rules and of the dashboard, as Grafana would send it."""
    rules = [
        measured(rule["expr"])
        for name in ("alerts.yml", "recording.yml")
        for rule in promtool.committed_rules(name)
        if "docstokg_backup_" not in rule["expr"]  # told by the node exporter, of another command
    ]
    dashboard = json.loads((MONITORING / "grafana/dashboards/docstokg.json").read_text())
    panels = [target["expr"] for p in dashboard["panels"] for target in p.get("targets", [])]
    assert len(panels) > 15
    for variable, value in (
        ("$run_id", ".+"),
        ("$__range", "1h"),
        ("$__rate_interval", "1m"),
        ("$__interval", "15s"),
    ):
        panels = [expr.replace(variable, value) for expr in panels]
    return [*rules, *panels]


@pytest.mark.slow
def test_a_crawl_that_degrades_raises_an_alert_and_a_good_one_ends_it(
    ready: Path, tmp_path: Path
) -> None:
    db, webhook = tmp_path / "t.sqlite3", Webhook()

    def crawl(profile: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.crawl", "--db", str(db), "--profile", profile,
             "--out", str(tmp_path / profile), "--run-id", profile, "--artifacts", "150"],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    with ExitStack() as stack:
        exporter = stack.enter_context(
            serving(tmp_path, "--db", db, "--poll", "0.5", "--build-every", "5")
        )
        manager = stack.enter_context(
            program(
                "prometheus-alertmanager", "--cluster.listen-address=",
                f"--config.file={alertmanager_config(tmp_path, webhook)}",
                f"--storage.path={tmp_path / 'alertmanager'}",
            )
        )  # fmt: skip
        prometheus = stack.enter_context(
            program(
                "prometheus",
                f"--config.file={prometheus_config(tmp_path, exporter, manager)}",
                f"--storage.tsdb.path={tmp_path / 'prometheus'}",
            )
        )  # fmt: skip

        bad = crawl("degraded")
        eventually(lambda: webhook.got("firing", "DocsToKGYieldLow"), 120)
        (alert, *_) = webhook.got("firing", "DocsToKGYieldLow")
        assert "Run degraded has" in alert["annotations"]["description"]
        assert re.fullmatch(
            r"DocsToKG yield \d\d?\.\d\d % \(target ≥ 85 %\)", alert["annotations"]["summary"]
        )
        assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/yield.md")
        assert bad.wait(120) == 0
        eventually(lambda: webhook.got("firing", "DocsToKGRateLimitRatio"), 60)
        assert not webhook.got("firing", "DocsToKGCorruption")
        assert not webhook.got("firing", "DocsToKGExporterDown")

        eventually(lambda: exporter.value("docstokg_warehouse_build_success") == 1, 240)
        # what asks for a rate wants two scrapes
        burns = [one for one in expressions() if "docstokg_slo_burn_rate" in one]
        others = [one for one in expressions() if one not in burns]
        assert not eventually_answered(prometheus, others), "no data for these"
        # a crawl of seconds has no burn rate, and pages nobody about a budget of 28 days
        assert burns and not any(ask(prometheus, one) for one in burns)

        assert crawl("healthy").wait(120) == 0
        eventually(lambda: webhook.got("resolved", "DocsToKGYieldLow"), 60)
        # the error budget that it spent stays spent, and has alerts of its own
        firing = 'ALERTS{alertstate="firing",alertname="DocsToKGYieldLow"}'
        eventually(lambda: not ask(prometheus, firing), 30)
        told = [a["annotations"]["description"] for a in webhook.got("firing", "DocsToKGYieldLow")]
        assert not any("healthy" in text for text in told)


def eventually_answered(prometheus: str, asked: list[str]) -> list[str]:
    """Return which expressions have no data after a while."""
    silent = asked

    def ask_again() -> bool:
        nonlocal silent
        silent = [expression for expression in silent if not ask(prometheus, expression)]
        return not silent

    try:
        eventually(ask_again, 30)
    except AssertionError:
        return silent
    return []


def alertmanager_config(folder: Path, webhook: Webhook) -> Path:
    """Write the committed configuration, with the webhook as the receiver and no waiting."""
    text = quick((MONITORING / "alertmanager/alertmanager.yml").read_text())
    path = folder / "alertmanager.yml"
    path.write_text(text.replace("127.0.0.1:9119", f"127.0.0.1:{webhook.port}"))
    return path


def prometheus_config(folder: Path, exporter: Exporter, manager: str) -> Path:
    """Write the committed configuration and rules, with our addresses and no waiting."""
    (folder / "rules").mkdir()
    for rules in (MONITORING / "prometheus" / "rules").glob("*.yml"):
        (folder / "rules" / rules.name).write_text(quick(rules.read_text()))
    config = yaml.safe_load(quick((MONITORING / "prometheus/prometheus.yml").read_text()))
    for addresses, address in (
        (config["scrape_configs"][0]["static_configs"][0], exporter.url),
        (config["alerting"]["alertmanagers"][0]["static_configs"][0], manager),
    ):
        addresses["targets"] = [address.removeprefix("http://")]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path
