"""What a gate sees of files, commands and services: each fault is counted, none is passed over."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporter import gate_alerts, gate_commands, gate_files, gate_scrape, gate_seen, web
from exporter.errors import TelemetryError, UsageError
from exporter.gate_seen import Context

from .conftest import ROOT
from .support import promtool
from .support.exporter import eventually
from .support.services import free_port, server

CONTEXT = Context(
    names=[], runs_of={}, project_dir=None, deep=False, logs=[], metrics_url=None, parquet=None,
    expected=None, run_folders=None, rules=None, prometheus_url=None, grafana_url=None,
    runs=["r"],
)  # fmt: skip


@pytest.fixture
def marts() -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts that looks ask, with one run and two targets."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "attach ':memory:' as lake; create schema lake.marts;"
            "create table lake.marts.metric_samples as select 'r' as run_id, * from (values "
            "('docstokg_run_yield_pct', map {'run_id': 'r'}, 95.0), "
            "('docstokg_slo_value', map {'run_id': 'r', 'slo': 'yield_pct', 'subject': ''}, 95.0)"
            ") as samples (name, labels, value);"
            "create table lake.marts.run_inventory as select 'r' as run_id, true as is_finished, "
            "1 as http_events, 0 as rate_events, 0 as breaker_transitions, "
            "0 as fallback_attempts, 0 as downloads;"
            "insert into lake.marts.run_inventory values ('bare', true, 0, 0, 0, 0, 0);"
        )
        connection.execute(
            "create table lake.marts.slo_targets as "
            f"from read_csv('{ROOT / 'seeds/slo_targets.csv'}')"
        )
        yield connection


@contextmanager
def answering(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """Serve fixed answers by path on loopback; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path.partition("?")[0], (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


YIELD = 'docstokg_run_yield_pct{run_id="r"} 95.0\n'
VALUE = 'docstokg_slo_value{run_id="r",slo="yield_pct"} 95.0\n'


@pytest.mark.parametrize(
    ("served", "value", "is_complete", "evidence"),
    [
        (YIELD + VALUE + "docstokg_exporter_samples 2\n", 0, True, "all as in metric_samples"),
        (YIELD, 1, True, "1 differ, such as docstokg_slo_value"),
        (YIELD + VALUE.replace("95.0", "94"), 1, True, "1 differ, such as docstokg_slo_value"),
        (YIELD + VALUE + 'docstokg_more{run_id="r"} 1\n', 1, True, "such as docstokg_more"),
        ("docstokg_exporter_samples 0\n", 1, True, "serves no run"),
        ("<html>\n", 1, True, "not in Prometheus' text format"),
        (YIELD.replace('"r"', '"other"'), None, False, "serves run 'other', which is none of"),
    ],
)
def test_scrapes_are_compared_series_by_series(
    marts: duckdb.DuckDBPyConnection, served: str, value: int, is_complete: bool, evidence: str
) -> None:
    with answering({"/metrics": (200, served)}) as base:
        context = replace(CONTEXT, metrics_url=f"{base}/metrics")
        found = gate_scrape.scrape(context, marts)
    assert found[:2] == (value, is_complete) and evidence in found[2]


def test_a_live_run_moves_on_and_a_silent_exporter_fails(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute("update lake.marts.run_inventory set is_finished = false")
    with answering({"/metrics": (200, YIELD)}) as base:
        found = gate_scrape.scrape(replace(CONTEXT, metrics_url=f"{base}/metrics"), marts)
        assert found[:2] == (None, False) and "r is under way" in found[2]
        found = gate_scrape.scrape(replace(CONTEXT, metrics_url=f"{base}/nothing"), marts)
        assert found[:2] == (1, True) and found[2].endswith("answers 404")
    url = f"http://user:secret@127.0.0.1:{free_port()}/metrics"
    found = gate_scrape.scrape(replace(CONTEXT, metrics_url=url), marts)
    assert found[:2] == (1, True) and "does not answer" in found[2] and "secret" not in found[2]
    for wrong in ("file:///etc/passwd", "127.0.0.1:9108", "http://", "http://[x"):
        with pytest.raises(UsageError):
            web.get(wrong)


def test_an_exporter_that_cannot_start_fails(marts: duckdb.DuckDBPyConnection) -> None:
    context = replace(CONTEXT, names=["/nowhere"], project_dir=Path("/nowhere"))
    found = gate_scrape.scrape(context, marts)
    assert found[:2] == (1, True) and "did not become ready: error: /nowhere holds" in found[2]


def test_commands_that_fail_are_counted(marts: duckdb.DuckDBPyConnection) -> None:
    context = replace(CONTEXT, names=["gone"], project_dir=Path("/nowhere"))
    found = gate_commands.commands(context, marts)
    assert found[:2] == (3, True)
    assert found[2].startswith("summary error: /nowhere holds no dbt_project.yml")


def test_parquet_that_cannot_be_read_back_is_counted(
    marts: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter.export import Exported

    duckdb.sql("select 1 as a").write_parquet(str(tmp_path / "good.parquet"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    written = [Exported(n, tmp_path / f"{n}.parquet", 1) for n in ("good", "bad")]
    written.append(Exported("short", tmp_path / "good.parquet", 2))
    monkeypatch.setattr("exporter.export.export", lambda *_: written)
    value, is_complete, told = gate_commands.parquet(replace(CONTEXT, parquet=tmp_path), marts)
    assert (value, is_complete) == (2, True)
    assert "bad: " in told and "short: 1 row read of 2" in told


def test_lines_of_the_log_that_tell_of_trouble(
    marts: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    log = tmp_path / "crawl.log"
    trouble = (
        "telemetry is being dropped: database is locked",
        "ERROR sqlite3.OperationalError: database is locked",
        "12:00 recorder WARNING something at https://user:pw@host/?token=secret",
        "telemetry value cannot be stored: downloads.x: a list",
    )
    harmless = ("INFO telemetry on", "ERROR host down", "telemetry: 3 events", "recorder closed")
    log.write_text("\n".join([*trouble, *harmless]) + "\n")
    value, is_complete, told = gate_files.log_errors(replace(CONTEXT, logs=[log]), marts)
    assert (value, is_complete) == (len(trouble), True)
    assert told.startswith("4 of 8 lines: crawl.log line 1: telemetry is being dropped")
    assert told.endswith("and 1 more lines") and "secret" not in told
    log.write_text("\n".join(harmless))
    assert gate_files.log_errors(replace(CONTEXT, logs=[log]), marts)[:2] == (0, True)
    log.write_text("")
    assert gate_files.log_errors(replace(CONTEXT, logs=[log]), marts)[:2] == (0, False)
    with pytest.raises(TelemetryError, match="cannot read the log"):
        gate_files.log_errors(replace(CONTEXT, logs=[tmp_path / "none"]), marts)


def test_runs_that_should_have_telemetry(marts: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    def capture(**changes: Any) -> tuple[float | None, bool, str]:
        return gate_files.capture(replace(CONTEXT, **changes), marts)

    assert capture()[:2] == (None, False)
    ids = tmp_path / "ids"
    ids.write_text("r\n\nr\n")
    assert capture(expected=ids) == (0, True, "1 of 1 run has telemetry")
    ids.write_text("r\nbare\nnone\n")  # one only began: its events are missing
    assert capture(expected=ids)[:2] == (2, True)
    ids.write_text("\n")
    assert capture(expected=ids)[:2] == (None, False)
    with pytest.raises(TelemetryError, match="cannot read the list of runs"):
        capture(expected=tmp_path / "none")
    for folder in ("a", "b"):
        (tmp_path / "runs" / folder).mkdir(parents=True)
    db = tmp_path / "runs" / "a" / "manifest.sqlite3"
    db.touch()
    found = capture(run_folders=f"{tmp_path}/runs/*", runs_of={str(db): {"r"}})
    assert found[:2] == (1, True) and found[2].endswith("runs/b")
    both = {"run_folders": f"{tmp_path}/runs/*", "runs_of": {str(db): {"r"}}}
    assert capture(expected=ids, **both)[:2] == (1, False)  # the list is still empty
    for more in ({}, {"expected": ids}):
        with pytest.raises(UsageError, match="matches no folder"):
            capture(run_folders=f"{tmp_path}/none/*", **more)
    ids.write_text("r\n")
    found = capture(expected=ids, runs=["r", "bare"])
    assert found[:2] == (0, True)
    assert found[2].endswith("; not in the list: 1 of 2 runs judged (bare)")


def test_every_target_has_an_alert_of_its_number(
    marts: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promtool.program("promtool")
    value, is_complete, told = gate_alerts.alert_rules(CONTEXT, marts)
    assert (value, is_complete, told) == (
        0, True, "13 of 13 targets with an alert; promtool finds no fault",
    )  # fmt: skip
    # as after a target was changed, and the rules were not made anew
    marts.execute("update lake.marts.slo_targets set target = 99 where slo = 'yield_pct'")
    value, _, told = gate_alerts.alert_rules(CONTEXT, marts)
    assert value == 1 and "not yield_pct run" in told
    rules = tmp_path / "rules.yml"
    committed = promtool.RULES / "alerts.yml"
    rules.write_text(
        committed.read_text().replace(
            "(docstokg_run_yield_pct)[10m:]) < 85", "(yield pct)[10m:]) < 99"
        )
    )
    value, _, told = gate_alerts.alert_rules(replace(CONTEXT, rules=str(rules)), marts)
    assert value == 1 and "promtool: " in told  # its PromQL is none
    monkeypatch.setenv("PATH", "/nowhere")
    assert gate_alerts.alert_rules(CONTEXT, marts)[1] is False
    assert gate_alerts.alert_rules(replace(CONTEXT, rules="/nowhere/*"), marts)[0] is None
    rules.write_text("groups: 3")
    with pytest.raises(TelemetryError, match="no file of Prometheus rules"):
        gate_alerts.alert_rules(replace(CONTEXT, rules=str(rules)), marts)


def test_a_real_prometheus_is_asked(marts: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "prometheus.yml"

    def ask() -> tuple[float | None, bool, str]:
        context = replace(CONTEXT, prometheus_url=f"http://127.0.0.1:{port}/")
        return gate_alerts.alerts_loaded(context, marts)

    assert gate_alerts.alerts_loaded(CONTEXT, marts)[:2] == (None, False)
    assert ask()[:2] == (1, True)  # nobody listens
    with answering({"/metrics": (200, YIELD)}) as base:
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{promtool.RULES}/alerts.yml']\n"
            "scrape_configs: [{job_name: docstokg, static_configs: [{targets: "
            f"['{base.removeprefix('http://')}']}}]}}]\n"
        )
        program = promtool.program("prometheus")
        with server(
            port, program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ):  # fmt: skip
            value, is_complete, told = eventually(lambda: (a := ask())[1] and a[0] == 0 and a)
            assert told == ("13 of 13 targets with an alert that is evaluated; job docstokg: up")
            marts.execute("update lake.marts.slo_targets set target = 99 where slo = 'yield_pct'")
            value, _, told = ask()
            assert value == 1 and "not yield_pct run" in told
    with answering({"/api/v1/rules": (200, "[]")}) as base:
        found = gate_alerts.alerts_loaded(replace(CONTEXT, prometheus_url=base), marts)
        assert found[:2] == (1, True) and "does not answer as Prometheus does" in found[2]


def test_grafana_has_the_dashboard_and_data(marts: duckdb.DuckDBPyConnection) -> None:
    # its server is in no package index; these are the answers of its documented HTTP API
    series = {"data": {"result": [{"metric": {"run_id": "r"}, "value": [0, "95"]}]}}
    sources = [{"uid": "p", "type": "prometheus"}, {"uid": "x", "type": "loki"}]
    answers = {
        "/api/dashboards/uid/docstokg": (200, "{}"),
        "/api/datasources": (200, json.dumps(sources)),
        "/api/datasources/proxy/uid/p/api/v1/query": (200, json.dumps(series)),
    }

    def ask(**changed: tuple[int, str]) -> tuple[float | None, bool, str]:
        paths = {path: changed.get(path.split("/")[-1], answer) for path, answer in answers.items()}
        with answering(paths) as base:
            return gate_alerts.dashboards(replace(CONTEXT, grafana_url=base), marts)

    assert gate_alerts.dashboards(CONTEXT, marts)[:2] == (None, False)
    assert ask()[:2] == (0, True)
    assert ask(docstokg=(404, "")) == (1, True, "no dashboard docstokg")
    assert ask(docstokg=(401, ""))[:2] == (None, False)  # without a token nothing is known
    assert ask(docstokg=(500, ""))[:2] == (1, True)
    assert ask(datasources=(200, "[]"))[:2] == (1, True)
    assert ask(query=(200, '{"data": {"result": []}}'))[:2] == (1, True)
    assert ask(query=(200, "{}"))[:2] == (1, True)


def test_files_that_do_not_open_are_no_pass(
    marts: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (tmp_path / "text.sqlite3").write_text("not a database")
    context = replace(CONTEXT, names=[str(tmp_path / "text.sqlite3"), str(tmp_path / "gone")])
    value, _, told = gate_files.tables(context, marts)
    assert value == 12 and "not a SQLite database" in told and "no such file" in told
    assert gate_files.privacy(context, marts)[:2] == (0, False)


def test_each_criterion_is_measured_by_someone() -> None:
    """A criterion of the seed that nothing measures would be unmeasured for ever."""
    measured = set(gate_seen.LOOKS) | {
        row["criterion"] for row in _constants(ROOT / "models/marts/gate/gate_measurements.sql")
    }
    seed = duckdb.sql(f"select criterion from read_csv('{ROOT / 'seeds/gate_criteria.csv'}')")
    assert {name for (name,) in seed.fetchall()} <= measured


def _constants(model: Path) -> list[dict[str, str]]:
    lines = [line.strip() for line in model.read_text().splitlines()]
    return [{"criterion": x.split("'")[1]} for x in lines if x.endswith("' as criterion,")]
