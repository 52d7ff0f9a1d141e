"""A new SLI is one declaration, one row of the seed and one doc entry, and is found everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorder import TelemetryWriter

from .conftest import ROOT, Tool
from .support import promtool
from .test_hostile import copy_of_project
from .test_monitoring import Alert, generate, rule_test, runbook_base, times

START = 1_790_000_000
#: What an analyst writes, as README.md, "Analysts", has it.
DECLARED = """
    - name: redirect_pct
      data_type: double
      description: "{{ doc('redirect_pct') }}"
      meta:
        fact: requests
        bad: status between 300 and 399
        sample: network_requests
        by: {host: true, day: true}
        help: Network requests answered 3xx, percent.
    - name: latency_p95_ms
      data_type: double
      description: "{{ doc('latency_p95_ms') }}"
      meta:
        fact: requests
        column: network_elapsed_ms
        quantile: 0.95
        by: {host: true, day: true}
        help: Time that network requests take, 95th percentile, ms.
"""
TARGETS = "redirect_pct,run,,<=,5,%,99,28,20\nlatency_p95_ms,run,,<=,30,ms,99,28,20\n"
DOCS = """
{% docs redirect_pct %}Network requests answered 3xx in 100 (%).{% enddocs %}

{% docs latency_p95_ms %}95th percentile of the time that network requests take (ms).{% enddocs %}
"""
RUNS = ("before", "now")


def added(tmp_path: Path) -> Path:
    """Return a copy of the project with the two SLIs."""
    project = copy_of_project(tmp_path)
    shutil.copytree(ROOT / "monitoring", project / "monitoring")
    file = project / "dbt_project.yml"
    text = file.read_text()
    assert text.count("\n  slis:\n") == 1
    file.write_text(text.replace("\n  slis:\n", f"\n  slis:{DECLARED}"))
    with (project / "seeds" / "slo_targets.csv").open("a") as seed:
        seed.write(TARGETS)
    with (project / "models" / "docs.md").open("a") as docs:
        docs.write(DOCS)
    return project


def recorded(db: Path) -> None:
    """Record two runs: a fast one without redirects; one of 40 requests of 45 ms, 12 redirected."""
    for number, run in enumerate(RUNS):
        with TelemetryWriter(db, run) as telemetry:
            for i in range(40):
                telemetry.http_event(
                    ts=START + 7200 * number + i,
                    host=("b.example", "a.example")[i % 2],
                    role="artifact",
                    status=302 if number and i < 24 and i % 2 else 200,
                    from_cache=False,
                    elapsed_ms=45.0 if number else 5.0,
                )
            telemetry.run_summary(
                started_at=START + 7200 * number, finished_at=START + 7200 * number + 41
            )


@pytest.mark.slow
def test_three_edits_add_a_ratio_and_a_percentile(tool: Tool, tmp_path: Path) -> None:
    project, db = added(tmp_path), tmp_path / "t.sqlite3"
    recorded(db)
    done = tool("run", "--db", db, "--project-dir", project)
    assert done.returncode == 0, done.stderr

    def answer(*arguments: object, code: int = 0) -> Any:
        done = tool(*arguments, "--output-format", "json", "--project-dir", project)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def query(sql: str) -> list[dict[str, Any]]:
        done = tool("query", "--query", sql, "--format", "json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    # SLIs and verdict: warehouse and file give the same answer
    told = answer("summary", code=1)
    assert (told["redirect_pct"], told["latency_p95_ms"]) == (30, 45)
    slos = {slo["slo"]: slo for slo in told["slos"]}
    assert [slos[name]["status"] for name in ("redirect_pct", "latency_p95_ms")] == ["fail"] * 2
    straight = answer("summary", "--db", db, code=1)
    assert {k: straight[k] for k in ("redirect_pct", "slos")} == {
        k: told[k] for k in ("redirect_pct", "slos")
    }
    hosts = query(
        "select host, redirect_pct, latency_p95_ms from host_slis where run_id = 'now' order by 1"
    )
    assert [tuple(row.values()) for row in hosts] == [("a.example", 60, 45), ("b.example", 0, 45)]
    days = query("select run_id, redirect_pct, latency_p95_ms from day_slis order by 1")
    assert [tuple(row.values()) for row in days] == [("before", 0, 5), ("now", 30, 45)]
    # budget: 12 of 80 requests bad, where 4 may be
    done = tool(
        "budget", "--as-of", "2026-09-22", "--output-format", "json", "--project-dir", project
    )
    budgets = {row["slo"]: row for row in json.loads(done.stdout)["budgets"]}
    assert (budgets["redirect_pct"]["events_bad"], budgets["redirect_pct"]["events_allowed"]) == (
        12,
        4,
    )
    assert budgets["latency_p95_ms"]["counted_in"] == "slices"
    # regression, trend, report
    compared = {row["slo"]: row for row in answer("compare", "before", "now")["slis"]}
    assert compared["redirect_pct"]["verdict"] == "worse"
    assert compared["latency_p95_ms"]["sample_size"] == 40
    trends = answer("trends", "--sli", "redirect_pct", "--sli", "latency_p95_ms")["series"]
    values = {t["slo"]: [point["value"] for point in t["points"]] for t in trends}
    assert values == {"redirect_pct": [0, 30], "latency_p95_ms": [5, 45]}
    done = tool("report", "--format", "md", "--project-dir", project)
    assert done.returncode == 0, done.stderr
    plain = done.stdout.replace("\\", "")
    assert "redirect_pct" in plain
    assert "Network requests answered 3xx in 100 (%)." in plain  # its definition
    # metrics, with help
    samples = {
        (row["name"], row["help"]): row["value"]
        for row in query("select * from metric_samples where labels['run_id'] = 'now'")
    }
    assert samples["docstokg_run_redirect_pct", "Network requests answered 3xx, percent."] == 30
    assert {
        value for (name, _), value in samples.items() if name == "docstokg_run_latency_p95_ms"
    } == {45}
    # who explains it
    symptoms = {s["slo"]: s for s in answer("diagnose", "slo", code=1)["symptoms"]}
    (cause,) = symptoms["redirect_pct"]["causes"]
    assert (cause["segment"], cause["contribution"]) == ("a.example", 30)
    assert cause["sentence"] == (
        "network requests answered 3xx: a.example has 60.0 % of its 20 (0.0 % before)"
    )
    parts = symptoms["redirect_pct"]["contributions"]
    assert sum(p["contribution"] for p in parts if p["dimension"] == "role") == 30
    slow = {c["segment"]: c["contribution"] for c in symptoms["latency_p95_ms"]["causes"]}
    assert slow == {"a.example": 50, "b.example": 50}
    # docs: the columns of a mart, with type and words
    nodes = json.loads(tool_manifest(project, tmp_path))["nodes"]
    column = nodes["model.docstokg_telemetry.host_slis"]["columns"]["redirect_pct"]
    assert (column["data_type"], column["description"]) == (
        "double", "Network requests answered 3xx in 100 (%)."
    )  # fmt: skip


def tool_manifest(project: Path, tmp_path: Path) -> str:
    """Return the manifest of dbt, as dbt docs reads it."""
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "parse", "--target", "direct",
         "--project-dir", project, "--profiles-dir", project, "--target-path", tmp_path / "target"],
        env=os.environ | {"DOCSTOKG_WAREHOUSE": str(tmp_path / "unused")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return (tmp_path / "target" / "manifest.json").read_text()


@pytest.mark.slow
def test_a_new_column_is_read_by_four_edits(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    shutil.copytree(
        ROOT / "exporter", project / "exporter", ignore=shutil.ignore_patterns("_compiled")
    )
    for file, mark, added_line in (
        ("exporter/raw_schema.py", '"elapsed_ms": "double",', '"received_kb": "double",'),
        ("models/raw_views/http_events.sql", "elapsed_ms,", "received_kb,"),
        ("models/staging/stg_http_events.sql", "elapsed_ms,", "received_kb,"),
        ("models/intermediate/facts/int_requests.sql", "rate_delay_ms,", "received_kb,"),
    ):
        path = project / file
        path.write_text(path.read_text().replace(mark, f"{mark}\n        {added_line}", 1))
    large = DECLARED[: DECLARED.index("    - name: latency")].replace("redirect_pct", "large_pct")
    large = large.replace("status between 300 and 399", "received_kb > 100")
    declarations = project / "dbt_project.yml"
    text = declarations.read_text()
    declarations.write_text(text.replace("\n  slis:\n", f"\n  slis:{large}", 1))
    with (project / "models" / "docs.md").open("a") as docs:
        docs.write("{% docs large_pct %}Requests of more than 100 kB in 100 (%).{% enddocs %}")
    db = tmp_path / "t.sqlite3"
    recorded(db)
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])"
    column = (
        "alter table http_events add column received_kb;"
        "update http_events set received_kb = iif(id % 4 = 0, '250.5', 10);"
    )
    subprocess.run([sys.executable, "-c", script, db, column], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "summary", "--db", db, "--output-format", "json"],
        cwd=project, env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["large_pct"] == 25


def test_the_alert_of_a_new_sli_fires(tmp_path: Path) -> None:
    project = added(tmp_path)
    done = generate(project)
    assert done.returncode == 0, done.stderr
    series = 'docstokg_slo_value{run_id="r",slo="redirect_pct",scope="run"}'
    expected: Alert = {
        "exp_labels": {"severity": "warning", "slo": "redirect_pct", "scope": "run"},
        "exp_annotations": {
            "summary": "DocsToKG redirect_pct 6.00 % (target ≤ 5 %)",
            "description": "The run misses this SLO. Run r has 6.00 %; the target is at most 5 %.",
            "runbook_url": f"{runbook_base()}slo.md",
        },
    }
    tests = [
        rule_test({series: times(6, 40)}, "DocsToKGSLOMissed", {"29m30s": [], "30m": [expected]}),
        rule_test({series: times(5, 40)}, "DocsToKGSLOMissed", {"35m": []}),
        rule_test({}, "DocsToKGSLOMissed", {"35m": []}),
    ]
    promtool.check(tmp_path, tests, project / "monitoring" / "prometheus" / "rules")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("sample: network_requests", "sample: network_request",
         'redirect_pct: its fact requests has no sample "network_request" in sli_samples'),
        ("quantile: 0.95", "quantil: 0.95", "latency_p95_ms: quantil is none of fact, good, bad"),
        ("by: {host: true, day: true}", "by: {hosts: true}",
         "redirect_pct: by and parts are of host, role, day"),
    ],
)  # fmt: skip
def test_a_typing_error_is_told(
    tool: Tool, tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    project = added(tmp_path)
    file = project / "dbt_project.yml"
    file.write_text(file.read_text().replace(right, wrong, 1))
    recorded(tmp_path / "t.sqlite3")
    done = tool("summary", "--db", tmp_path / "t.sqlite3", "--project-dir", project)
    assert done.returncode == 2
    assert f"dbt_project.yml, slis: {told}" in done.stderr.splitlines()[-1]
