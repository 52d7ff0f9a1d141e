"""docstokg-telemetry gate: a good phase passes; what fails is named; unmeasured never passes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .support.runs import Tool, record, within_an_hour
from .test_hostile import make

#: What the recorder would say of a crawl of some minutes.
LONG = "update recorder_status set updated_at = started_at + 100, call_s = 0.5, writer_cpu_s = 0.5;"
#: What the pipeline would have written of the runs that `record` makes.
FIGURES = (
    "update run_summary set yield_pct = 95, ttfp_p50_ms = 500, ttfp_p95_ms = 500, "
    "cache_hit_pct = 70, rate_delay_p95_ms = 18, http_429_ratio = 0, breaker_open_events = 0, "
    "dedupe_saved_mb = 10, corruption_count = 0;"
)


def gate(tool: Tool, phase: str, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command; return its exit code and the criteria by name."""
    done = tool("gate", phase, "--db", "t.sqlite3", *arguments, "--output-format", "json")
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert answer["passed"] == (done.returncode == 0)
    return done.returncode, {row["criterion"]: row for row in answer["criteria"]}


def statuses(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return status by criterion."""
    return {name: row["status"] for name, row in found.items()}


@pytest.mark.slow
def test_phases_pass_fail_and_say_what_nobody_measured(
    tool: Tool, tmp_path: Path, ready: Path
) -> None:
    db = tmp_path / "t.sqlite3"
    runs = [f"run{number:02}" for number in range(20)]
    for number, run in enumerate(runs):
        # one run in twenty misses its yield
        start = within_an_hour(time.time() - 86_400 * (2 + number))
        record(db, run, good=10 if run == "run07" else 19, start=start)
    make(db, LONG + FIGURES)
    code, found = gate(tool, "pilot")
    assert statuses(found) == {
        "tables": "passed",
        "recorder_errors": "passed",
        "log_errors": "not_measured",  # which is optional
        "overhead": "passed",
        "privacy": "passed",
        "commands": "passed",
    }
    assert code == 0
    assert found["overhead"]["value"] == pytest.approx(1.0)
    assert "0.50 % of the time in calls on the crawler's threads" in found["overhead"]["evidence"]

    code, found = gate(tool, "ramp", "--parquet", "kept")
    assert statuses(found) == {
        "enough_runs": "passed",
        "sli_alignment": "failed",
        "slo_surprises": "passed",
        "scrape": "passed",
        "parquet": "passed",
    }
    assert code == 1
    # the pipeline said that the odd run was like the others
    assert found["sli_alignment"]["evidence"] == (
        "figures compared: 180 of 180, runs 20 of 20; "
        "such as yield_pct of run run07: 95 written, 50 measured"
    )
    assert found["slo_surprises"]["evidence"] == "yield_pct fails most, in 1 of 20 runs"
    assert "all as in metric_samples" in found["scrape"]["evidence"]
    rows = duckdb.sql(f"select count(*) from '{tmp_path}/kept/http_events.parquet'").fetchone()
    assert rows == (800,)

    (tmp_path / "started").write_text("\n".join([*runs, "never-recorded"]))
    code, found = gate(tool, "production", "--expected", "started")
    assert statuses(found) == {
        "capture": "failed",
        "enough_runs": "passed",
        "recorder_errors": "passed",
        "slo_violations": "failed",
        "alert_rules": "passed",
        "alerts_loaded": "not_measured",
        "dashboards": "not_measured",
    }
    assert code == 1 and all(row["remedy"] for row in found.values())
    assert found["capture"]["remedy"].startswith("see why those runs recorded nothing")
    assert found["alerts_loaded"]["remedy"].startswith("name the Prometheus")
    assert found["capture"]["evidence"] == "20 of 21 runs have telemetry; without: never-recorded"
    assert found["slo_violations"]["value"] == 5  # runs of one length
    # no run of the last day: nothing is said of them, and nothing passes by that
    code, found = gate(tool, "production", "--days", "1")
    assert code == 1
    del found["alert_rules"]  # which is no matter of runs
    assert {name for name, row in found.items() if row["status"] != "not_measured"} == {
        "enough_runs"
    }
    assert (found["enough_runs"]["status"], found["enough_runs"]["value"]) == ("failed", 0)
    text = tool("gate", "production", "--db", "t.sqlite3", "--db", "gone.sqlite3")
    assert text.returncode == 1 and "skipped" in text.stderr
    assert "Gate production  NOT PASSED\n20 runs of the last 28 days\n" in text.stdout
    assert text.stdout.endswith("\n3 passed, 1 failed, 3 not measured\n")
    assert "? not measured  Grafana has the dashboard and data for it" in text.stdout
    assert "→ name the Prometheus: --prometheus-url" in text.stdout

    make(
        db,
        "update recorder_status set dropped = 3, call_s = 20, first_error = 'disk full' "
        "where run_id = 'run03'; drop table rate_events;"
        "update downloads set final_path = 'https://user:pw@host/x?token=secret' where id = 1;",
    )
    (tmp_path / "crawl.log").write_text(
        "INFO crawl began\nWARNING:recorder:telemetry lost 3 of 101 events\n"
    )
    code, found = gate(tool, "pilot", "--log", "crawl.log")
    assert code == 1
    assert statuses(found) == {
        name: "passed" if name == "commands" else "failed" for name in statuses(found)
    }
    assert found["recorder_errors"]["value"] == 4  # three dropped, one error
    assert found["overhead"]["value"] == pytest.approx(20.5)
    assert (found["tables"]["value"], found["privacy"]["value"]) == (1, 1)
    assert found["log_errors"]["evidence"].startswith("1 of 2 lines: crawl.log line 2")
    assert "secret" not in json.dumps(found)


def test_what_cannot_be_done_is_one_line(tool: Tool, tmp_path: Path) -> None:
    for words in (
        ("pilot",),
        ("nowhere", "--db", "t.sqlite3"),
        ("pilot", "--db", "t.sqlite3", "--output-format", "xml"),
        ("pilot", "--db", "gone.sqlite3"),
    ):
        done = tool("gate", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
