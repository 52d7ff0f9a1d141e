"""Alert and recording rules: they fire when and only when they should, and are up to date."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT
from .support import promtool
from .support.alert_cases import CASES, Case, target
from .support.promtool import Alert, committed_rules, rule_test, runbook_base, times

MONITORING = ROOT / "monitoring"
GENERATED = [
    "monitoring/prometheus/rules/alerts.yml",
    "monitoring/prometheus/rules/recording.yml",
    "monitoring/grafana/dashboards/docstokg.json",
]
BAD_FROM = 5


def firing(case: Case) -> list[Alert]:
    """Return what promtool expects of a case that fires."""
    return [
        {
            "exp_labels": {**case.labels, "severity": case.severity},
            "exp_annotations": {
                "summary": case.summary,
                "description": case.description,
                "runbook_url": f"{runbook_base()}{case.runbook}.md",
            },
        }
    ]


def generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the generator over a project."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.monitoring", "--root", root, *options],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the generator reads and writes."""
    root = tmp_path / "project"
    shutil.copytree(MONITORING, root / "monitoring")
    shutil.copytree(ROOT / "seeds", root / "seeds")
    return root


# -- alerts


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert} {case.subject}".strip())
def test_an_alert(case: Case, tmp_path: Path) -> None:
    bad_min = case.ends_min or case.wait_min + 3
    bad_until = BAD_FROM + bad_min
    course = {}
    for name, (good, bad) in case.series.items():
        after = bad if case.ends_min else good
        course[name] = f"{times(good, BAD_FROM)} {times(bad, bad_min)} {times(after, 3)}"
    well = {name: times(good, case.wait_min + 20) for name, (good, _) in case.series.items()}
    gone = {name: f"{values} stale" for name, values in well.items()}
    late = f"{case.wait_min + 10}m"
    without = firing(case) if case.fires_without_series else []
    tests = [
        rule_test(
            course,
            case.alert,
            {
                f"{BAD_FROM}m": [],
                f"{BAD_FROM + case.wait_min - 1}m30s": [],
                f"{BAD_FROM + case.wait_min}m": firing(case),
                f"{bad_until - 1}m": firing(case),
                f"{bad_until}m30s": [],
            },
        ),
        rule_test(well, case.alert, {late: []}),
        rule_test({}, case.alert, {late: without}),
        rule_test(gone, case.alert, {f"{case.wait_min + 20}m30s": []}),
    ]
    promtool.check(tmp_path, tests)


def test_every_rule_has_a_case() -> None:
    rules = {
        (rule["alert"], rule["labels"].get("subject", "")) for rule in committed_rules("alerts.yml")
    }
    assert rules == {(case.alert, case.subject) for case in CASES}
    assert len(committed_rules("alerts.yml")) == len(CASES)


def test_every_target_of_the_seed_has_an_alert() -> None:
    with (ROOT / "seeds" / "slo_targets.csv").open() as seed:
        wanted = [(row["slo"], row["scope"], row["subject"]) for row in csv.DictReader(seed)]
    labels = [rule["labels"] for rule in committed_rules("alerts.yml")]
    found = [(row["slo"], row["scope"], row.get("subject", "")) for row in labels if "slo" in row]
    assert found == wanted


def test_the_guides_alerts_are_as_the_guide_has_them() -> None:
    rules = {
        rule["alert"]: (rule["expr"], rule["for"], rule["labels"]["severity"])
        for rule in reversed(committed_rules("alerts.yml"))
    }
    # but for the run, which labels do not name
    assert rules["DocsToKGYieldLow"] == (
        "last_over_time(min without (run_id) (docstokg_run_yield_pct)[10m:]) < 85",
        "30m", "warning",
    )  # fmt: skip
    assert rules["DocsToKGTTFPHigh"] == (
        'last_over_time(max without (run_id) (docstokg_run_ttfp_ms{quantile="p95"})[10m:]) > 20000',
        "30m", "warning",
    )  # fmt: skip
    # one host has a target of its own
    assert rules["DocsToKGRateLimitRatio"] == (
        "last_over_time(max without (run_id)"
        ' (docstokg_host_http429_ratio{host!="web.archive.org"})[10m:]) > 2',
        "15m", "warning",
    )  # fmt: skip


def test_a_good_next_run_resolves_the_last_ones_alert(tmp_path: Path) -> None:
    series = {
        'docstokg_run_yield_pct{run_id="r"}': f"{times(10, 40)} stale",
        'docstokg_run_yield_pct{run_id="next"}': f"_x40 {times(99, 60)}",
    }
    (case,) = [case for case in CASES if case.alert == "DocsToKGYieldLow"]
    (alert,) = firing(case)
    said = {
        name: text.replace(f"{target('yield_pct', 'run') - 0.01:.2f}", "10.00")
        for name, text in alert["exp_annotations"].items()
    }
    expected: dict[str, list[Alert]] = {"39m": [alert | {"exp_annotations": said}], "40m30s": []}
    promtool.check(tmp_path, [rule_test(series, case.alert, expected)])


RUN_MIN = 25


def short_runs(case: Case, bad: set[int], empty_min: int = 0) -> dict[str, str]:
    """Return the series of six runs of 25 minutes each, of which some are as bad as a case has it.

    Args:
        case: it has the series of run r.
        bad: which of the runs are bad, the first being 0.
        empty_min: how long a run has no figures in its first minutes.
    """
    known = RUN_MIN - empty_min
    return {
        name.replace('run_id="r"', f'run_id="r{run}"'): (
            f"_x{RUN_MIN * run + empty_min} {times(values[run in bad], known)} stale"
        )
        for run in range(6)
        for name, values in case.series.items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert} {case.subject}".strip())
def test_many_short_bad_runs_are_one_alert(case: Case, tmp_path: Path) -> None:
    if not any('run_id="r"' in name for name in case.series) or case.alert == "DocsToKGNoRun":
        pytest.skip("it is about no run")

    def named(*runs: str) -> list[Alert]:
        (alert,) = firing(case)
        said = alert["exp_annotations"]
        told = said["description"].replace("Run r ", f"Run {' '.join(runs)} ")
        return [alert | {"exp_annotations": said | {"description": told}}]

    # a run of its own is over before the wait is; runs in their first ten minutes are told of with
    # those before them
    wait = case.wait_min
    assert wait <= RUN_MIN or wait == 30
    tests = [
        rule_test(
            short_runs(case, set(range(6))),
            case.alert,
            {
                f"{wait - 1}m30s": [],
                "20m": named("r0") if wait < 20 else [],
                "32m": named("r0", "r1"),
                "49m": named("r1"),
                "124m": named("r4"),
                "150m": named("r5"),
                "165m": [],
            },
        ),
        # the last figure holds while a new run has none
        rule_test(
            short_runs(case, set(range(6)), 8),
            case.alert,
            {"56m": named("r1"), "62m": named("r2")},
        ),
    ]
    if wait > RUN_MIN:
        # one bad run, or each second one, and good ones after it
        one = {f"{minute}m": [] for minute in (26, 30, 35, 60, 149)}
        tests.append(rule_test(short_runs(case, {0}), case.alert, one))
        tests.append(rule_test(short_runs(case, {0, 2, 4}), case.alert, one))
    promtool.check(tmp_path, tests)


def openings(tmp_path: Path, total: str, per_hour: str, expected: dict[str, float]) -> None:
    """Check the recorded openings of the last hour at times."""
    at = '{run_id="r",host="a.example"}'
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f"docstokg_breaker_open_events_total{at}", "values": total},
            {"series": f"docstokg_breaker_opens_per_hour{at}", "values": per_hour},
        ],
        "promql_expr_test": [
            {
                "expr": "run_host:docstokg_breaker_opens:last1h",
                "eval_time": time,
                "exp_samples": [
                    {"labels": f"run_host:docstokg_breaker_opens:last1h{at}", "value": value}
                ],
            }
            for time, value in expected.items()
        ],
    }
    promtool.check(tmp_path, [test])


def test_openings_before_the_first_scrape_count(tmp_path: Path) -> None:
    openings(tmp_path, times(13, 90), times(13, 90), {"0m": 13, "59m": 13, "61m": 0})


def test_openings_an_hour_before_the_first_scrape_do_not_raise_the_slos_figure(
    tmp_path: Path,
) -> None:
    openings(tmp_path, times(40, 90), times(9, 90), {"0m": 9, "59m": 9, "61m": 0})


def test_openings_are_counted_exactly(tmp_path: Path) -> None:
    openings(tmp_path, "0+1x120", times(60, 121), {"30m": 30, "60m": 60, "120m": 60})


def test_openings_before_a_gap_in_the_scrapes_are_not_counted_anew(tmp_path: Path) -> None:
    # 20 openings in 20 minutes, and no scrape for 12 minutes three hours later
    total = f"0+1x20 {times(20, 160)} {'_ ' * 12}{times(20, 80)}"
    openings(tmp_path, total, times(20, 273), {"20m": 20, "170m": 0, "195m": 0, "252m": 0})


def test_a_burn_rate_wants_both_windows_of_a_pair_and_data_in_both(tmp_path: Path) -> None:
    def rates(slo: str, **windows: float | None) -> dict[str, str]:
        return {
            f'docstokg_slo_burn_rate{{slo="{slo}",window="{window[1:]}"}}': times(value, 30)
            for window, value in windows.items()
        }

    series = {
        **rates("over", _1h=0, _6h=50, _2h=0, _24h=50, _72h=0.9),
        **rates("just_begun", _1h=13.43, _6h=5.59, _2h=20, _24h=2.79, _72h=0.93),
        # the crawler rests: the long windows still know the bad hour, the short have no data
        **rates("resting", _1h=None, _6h=50, _2h=None, _24h=50, _72h=50),
        **rates("at_the_edge", _1h=5.6, _6h=5.6, _2h=2.8, _24h=2.8, _72h=0.933),
    }

    def firing(slo: str, severity: str, name: str, value: str) -> Alert:
        (case,) = [case for case in CASES if case.alert == name]
        said = {"summary": case.summary, "description": case.description}
        old = {"DocsToKGBudgetBurnsFast": "50 times", "DocsToKGBudgetBurns": "0.95 times"}[name]
        return {
            "exp_labels": {"severity": severity, "slo": slo},
            "exp_annotations": {
                key: text.replace("yield_pct", slo).replace(old, f"{value} times")
                for key, text in said.items()
            }
            | {"runbook_url": f"{runbook_base()}budget.md"},
        }

    fast, slow = "DocsToKGBudgetBurnsFast", "DocsToKGBudgetBurns"
    page = [firing("at_the_edge", "critical", fast, "5.6")]
    ticket = [
        firing("resting", "warning", slow, "50"),
        firing("at_the_edge", "warning", slow, "2.8"),
    ]
    tests = [
        rule_test(series, fast, {"10m": page}),
        rule_test(series, slow, {"20m": ticket}),
    ]
    promtool.check(tmp_path, tests)


def test_subjects_of_any_characters_give_rules(project: Path) -> None:
    with (project / "seeds" / "slo_targets.csv").open("a") as seed:
        for host in ("🐙.example", "x{{y}}", 'q"\\.example'):
            quoted = host.replace('"', '""')
            seed.write(f'http_429_pct,run_host,"{quoted}",<=,5,%,network_requests\n')
    assert generate(project).returncode == 0
    rules = project / "monitoring" / "prometheus" / "rules" / "alerts.yml"
    done = promtool.run("promtool", "check", "rules", rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '{host="🐙.example"})[10m:]) > 5' in rules.read_text()


def test_an_slo_without_an_entry_has_an_alert(project: Path, tmp_path: Path) -> None:
    with (project / "seeds" / "slo_targets.csv").open("a") as seed:
        seed.write("ttfp_p99_ms,run,,<=,60000,ms\n")
        seed.write("cache_hit_pct,run_host,,>=,50,%\n")
        seed.write("cache_hit_pct,run_host,b.example,>=,20,%\n")
    assert generate(project).returncode == 0

    def said(slo: str, scope: str, who: str, value: str, target: str, **labels: str) -> Alert:
        sign, words = ("≥", "at least") if slo == "cache_hit_pct" else ("≤", "at most")
        return {
            "exp_labels": {
                "severity": "warning", "slo": slo, "scope": scope, **labels
            },
            "exp_annotations": {
                "summary": f"{who} {slo} {value} (target {sign} {target})",
                "description": f"The run misses this SLO. Run r has {value};"
                f" the target is {words} {target}.",
                "runbook_url": f"{runbook_base()}slo.md",
            },
        }  # fmt: skip

    def series(slo: str, scope: str, subject: str = "") -> str:
        return (
            f'docstokg_slo_value{{run_id="r",slo="{slo}",scope="{scope}",subject="{subject}"}}'
        ).replace(',subject=""', "")

    bad = {
        series("ttfp_p99_ms", "run"): times(61_000, 40),
        series("cache_hit_pct", "run_host", "a.example"): times(30, 40),
        series("cache_hit_pct", "run_host", "b.example"): times(19, 40),
    }
    good = {
        series("ttfp_p99_ms", "run"): times(60_000, 40),
        series("cache_hit_pct", "run_host", "a.example"): times(50, 40),
        series("cache_hit_pct", "run_host", "b.example"): times(20, 40),
    }
    expected = [
        said("ttfp_p99_ms", "run", "DocsToKG", "1m 1s", "60 s"),
        said("cache_hit_pct", "run_host", "a.example", "30.00 %", "50 %", subject="a.example"),
        said("cache_hit_pct", "run_host", "b.example", "19.00 %", "20 %", subject="b.example"),
    ]
    tests = [
        rule_test(bad, "DocsToKGSLOMissed", {"29m30s": [], "30m": expected}),
        rule_test(good, "DocsToKGSLOMissed", {"35m": []}),
        rule_test({}, "DocsToKGSLOMissed", {"35m": []}),
    ]
    rules = project / "monitoring" / "prometheus" / "rules"
    promtool.check(tmp_path, tests, rules)
    done = promtool.run("promtool", "check", "rules", *rules.glob("*.yml"))
    assert "duplicate" not in done.stdout, done.stdout


# -- generated files


def test_committed_files_are_what_the_seed_gives() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_changed_target_changes_the_files(project: Path) -> None:
    seed = project / "seeds" / "slo_targets.csv"
    seed.write_text(seed.read_text().replace("yield_pct,run,,>=,85", "yield_pct,run,,>=,99"))
    done = generate(project, "--check")
    assert done.returncode == 1
    differing = [GENERATED[0], GENERATED[2]]
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == differing
    assert generate(project).returncode == 0
    assert generate(project, "--check").returncode == 0
    for path in GENERATED:
        assert ((project / path).read_text() != (ROOT / path).read_text()) == (path in differing)
    assert "(docstokg_run_yield_pct)[10m:]) < 99" in (project / GENERATED[0]).read_text()


def test_a_missing_file_differs(project: Path) -> None:
    (project / GENERATED[1]).unlink()
    done = generate(project, "--check")
    assert done.returncode == 1
    assert done.stdout.startswith(GENERATED[1])


def test_promtool_accepts_the_rules() -> None:
    done = promtool.run("promtool", "check", "rules", *promtool.RULES.glob("*.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr
