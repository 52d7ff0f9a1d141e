"""Regressions: intervals against published ones, how often verdicts err, and what compare says."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import duckdb
import pytest

from exporter import comparison, diagnosis, results, warehouse
from exporter.compiled import Models
from exporter.errors import TelemetryError, UsageError
from exporter.loader import load
from scripts import regression_power as made_up

from .support import crawls
from .support.crawls import DEGRADED, GOOD
from .support.runs import START, Tool

DAY = 86_400
LEVEL = 5.0


@pytest.fixture(scope="module")
def judge(compiled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in which the models of regressions lie over tables of made-up runs."""
    with made_up.judged_by(compiled) as connection:
        yield connection


def intervals(
    judge: duckdb.DuckDBPyConnection, now: tuple[int, int], before: tuple[int, int]
) -> results.Row:
    """Return the row of two yields, each of successes and artifacts."""
    made_up.yields(judge, [now], [[before]])
    (row,) = results.rows(judge, "select * from lake.marts.regression_ratios")
    return row


@pytest.mark.parametrize(
    ("now", "before", "low", "high"),
    [  # Newcombe 1998 (Stat. Med. 17: 873), table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_differences_lie_where_newcombe_has_them(
    judge: duckdb.DuckDBPyConnection,
    now: tuple[int, int],
    before: tuple[int, int],
    low: float,
    high: float,
) -> None:
    row = intervals(judge, now, before)
    half = (1 / now[1] + 1 / before[1]) / 2  # of an event, which the model adds on each side
    assert row["change_low"] / 100 == pytest.approx(low - half, abs=5e-5)
    assert row["change_high"] / 100 == pytest.approx(min(high + half, 1), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [  # Newcombe 1998 (Stat. Med. 17: 857), table I, method 3
        ((81, 263), 0.2553, 0.3662),
        ((15, 148), 0.0624, 0.1605),
        ((0, 20), 0.0, 0.1611),
        ((1, 29), 0.0061, 0.1718),
        ((20, 20), 1 - 0.1611, 1.0),
    ],
)
def test_one_ratio_lies_where_wilson_has_it(
    judge: duckdb.DuckDBPyConnection, counts: tuple[int, int], low: float, high: float
) -> None:
    row = intervals(judge, counts, (1, 2))
    assert row["value_low"] / 100 == pytest.approx(low, abs=5e-5)
    assert row["value_high"] / 100 == pytest.approx(high, abs=5e-5)
    if counts[0] in (0, counts[1]):
        assert row["value_low" if counts[0] == 0 else "value_high"] == row["value"]


def test_the_level_is_asked_for(judge: duckdb.DuckDBPyConnection) -> None:
    usual = intervals(judge, (81, 263), (1, 2))
    try:
        for level, z in ((90, 1.6448536), (99, 2.5758293), (99.9, 3.2905267)):
            judge.execute(f"set variable regression_confidence_pct = {level}")
            row = intervals(judge, (81, 263), (1, 2))
            p, n = 81 / 263, 263  # Wilson's bounds solve (p - b)^2 = z^2 b (1 - b) / n
            for bound in (row["value_low"] / 100, row["value_high"] / 100):
                assert abs(p - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n))
            assert (row["value_high"] > usual["value_high"]) == (level > 95)
    finally:
        judge.execute("reset variable regression_confidence_pct")


def test_ranks_miss_no_more_often_than_they_may(judge: duckdb.DuckDBPyConnection) -> None:
    made_up.clear(judge)
    sizes = [*range(1, 130), 200, 300, 381, 1000]
    for size in sizes:  # the n-th observation is n
        judge.execute(
            "insert into lake.intermediate.int_percentile_values "
            f"select '{size}', 'run', null, 'ttfp_ms', {min(size, 500)}, "
            f"list(range) from range(1, {min(size, 500)} + 1)"
        )
        judge.execute(
            f"insert into lake.intermediate.int_sli_amounts select '{size}', 'run', 'run', null, "
            "unnest(['ttfp_p50_ms', 'ttfp_p95_ms']), 1"
        )
        judge.execute(f"insert into lake.intermediate.int_chosen_runs values ('{size}')")
    found = results.rows(judge, "select * from lake.marts.regression_percentiles")
    assert len(found) == 2 * len(sizes)
    for row in found:
        size, p = int(row["sample_size"]), {"ttfp_p50_ms": 0.5, "ttfp_p95_ms": 0.95}[row["slo"]]
        if row["value_low"] is None:
            assert max(p, 1 - p) ** size > 0.025, row
            continue
        below = [math.comb(size, k) * p**k * (1 - p) ** (size - k) for k in range(size + 1)]
        low, high = int(row["value_low"]), int(row["value_high"])
        assert sum(below[:low]) <= 0.025, row  # fewer than `low` lie below the quantile
        assert sum(below[high:]) <= 0.025, row  # `high` or more do


@pytest.mark.parametrize(("size", "runs"), [(50, 1), (100, 1), (300, 1), (300, 5)])
def test_ratios_of_one_distribution_alarm_no_more_often_than_the_level(
    judge: duckdb.DuckDBPyConnection, size: int, runs: int
) -> None:
    luck = Random(size + runs)
    for rate in (0.5, 0.85, 0.98):
        drawn = made_up.even(luck, 4_000, (size, size), (rate, rate), runs)
        found = made_up.yields(judge, *drawn)
        assert 100 * (found["worse"] + found["better"]) <= LEVEL, (rate, found)


@pytest.mark.parametrize("sizes", [(100, 300), (300, 300)])
def test_percentiles_of_one_distribution_alarm_no_more_often_than_the_level(
    judge: duckdb.DuckDBPyConnection, sizes: tuple[int, int]
) -> None:
    for slo, found in made_up.ttfp(judge, 600, sizes).items():
        assert 100 * (found["worse"] + found["better"]) <= LEVEL, (slo, found)
        assert found["same"] > 0.9, "there is a verdict"


def test_what_300_artifacts_can_show(judge: duckdb.DuckDBPyConnection) -> None:
    luck = Random(300)
    found = {
        drop: made_up.yields(
            judge, *made_up.even(luck, 2_000, (300, 300), (0.92 - drop / 100, 0.92), 5)
        )["worse"]
        for drop in (3, 8)
    }
    assert found[3] < 0.5 and found[8] > 0.8, found


def test_runs_that_differ_anyway_are_no_regressions(judge: duckdb.DuckDBPyConnection) -> None:
    """A yield that moves by 3 points from run to run is not worse because it moved."""
    alone = made_up.yields(judge, *made_up.uneven(Random(1), 1_000, 1000, 0.9, 0.03, 1))
    among = made_up.yields(judge, *made_up.uneven(Random(1), 1_000, 1000, 0.9, 0.03, 5))
    assert alone["worse"] > 0.2, "two runs cannot tell"
    assert among["worse"] < 0.08, among


@contextmanager
def loaded(compiled: Path, *paths: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load files and build what a comparison reads over all their runs, in memory."""
    with closing(warehouse.connect(("sqlite_scanner",))) as connection:
        connection.execute("attach ':memory:' as lake")
        warehouse.ensure_schema(connection)
        load(connection, [str(path) for path in paths], lambda message: None)
        models = (*results.REGRESSION_MODELS, *results.DIAGNOSIS_MODELS, *diagnosis.VIEWS)
        Models(compiled.read_text()).build(
            connection, [*models, comparison.VIEW, "slo_measurements", "resolver_slis"]
        )
        yield connection


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good crawls, and one in which a resolver fails."""
    path = tmp_path_factory.mktemp("crawled") / "t.sqlite3"
    good = replace(GOOD, artifacts=300)
    for number in range(3):
        crawls.write(path, f"good{number}", good, START + number * DAY, seed=number)
    bad = replace(DEGRADED["a resolver fails"][0], artifacts=300)
    crawls.write(path, "bad", bad, START + 3 * DAY, seed=9)
    return path


def rounded(found: comparison.Comparison) -> object:
    """Everything that is said, but for where it was read; numbers to nine digits."""
    return json.loads(
        json.dumps({**found.as_json(), "source": None}, default=str),
        parse_float=lambda text: float(f"{float(text):.9g}"),
    )


def test_files_and_warehouse_say_the_same(crawled: Path, compiled: Path) -> None:
    names = [str(crawled)]
    with loaded(compiled, crawled) as connection:
        for old, new, against in (
            ("baseline", "bad", ["good0", "good1", "good2"]),
            ("good2", "bad", ["good2"]),
            ("bad", "good0", ["bad"]),
            ("baseline", "good0", []),
        ):
            ours = comparison.from_files(names, old, new, compiled)
            theirs = comparison.compare(connection, old, new, "the warehouse")
            assert ours.baselines == theirs.baselines == against
            assert rounded(ours) == rounded(theirs)
        connection.execute("reset variable diagnosed_run")
        connection.execute("reset variable diagnosed_against")
        connection.execute("reset variable diagnosed_baselines")
        connection.execute("reset variable chosen_runs")
        others = connection.execute(
            "select r.slo, r.subject, r.value, m.amount from lake.marts.regressions as r "
            "join lake.marts.slo_measurements as m on r.run_id = m.run_id and r.scope = m.scope "
            "and r.subject is not distinct from m.subject and r.slo = m.measure "
            "where r.slo <> 'corruption_count' and abs(r.value - m.amount) > 1e-9"
        ).fetchall()
        assert others == [], "a figure is not the SLI it is named after"
        # asked here, not by a test at each build, which would work out all runs again
        broken = connection.execute(
            "select * from lake.marts.regressions where (verdict = 'not_enough_data') <> "
            "(missing is not null) or not (value >= value_low - 1e-9 and value <= value_high + 1e-9"
            " and change between change_low - 1e-9 and change_high + 1e-9 and dispersion >= 1 "
            "and effective_size <= sample_size + 1e-9) or list_contains(baseline_run_ids, run_id)"
        ).fetchall()
        assert broken == []
        twice = connection.execute(
            "select run_id, scope, subject, slo from lake.marts.regressions "
            "group by all having count(*) > 1"
        ).fetchall()
        assert twice == []
        row = connection.execute(
            "select count(*), count(distinct run_id) from lake.marts.regressions"
        ).fetchone()
        assert row is not None and row[0] > 60 and row[1] == 4


def test_a_planted_regression_is_found_and_explained(crawled: Path, compiled: Path) -> None:
    found = comparison.from_files([str(crawled)], "baseline", "latest", compiled)
    assert (found.run_id, found.is_worse) == ("bad", True)
    (sli,) = (row for row in found.slis if row["slo"] == "yield_pct")
    assert sli["verdict"] == "worse" and sli["change_high"] < 0
    first = sli["explanations"][0]
    assert (first["segment"], first["place"]) == ("unpaywall", 1)
    assert first["contribution"] < sli["change"], "others made up for part of it"
    assert any(row["is_offsetting"] for row in sli["explanations"])
    total = sum(row["contribution"] for row in sli["explanations"])
    assert total == pytest.approx(first["measure_change"]) == pytest.approx(sli["change"])
    assert {row["verdict"] for row in found.slis if row["slo"] == "cache_hit_pct"} == {"same"}
    first_of_all = comparison.from_files([str(crawled)], "baseline", "good0", compiled)
    assert {row["verdict"] for row in first_of_all.slis} == {"not_enough_data"}
    assert {row["missing"] for row in first_of_all.slis} == {"no run before it"}
    good = comparison.from_files([str(crawled)], "good0", "good1", compiled)
    assert not good.is_worse


def test_who_made_slower_what_still_meets_its_target(tmp_path: Path, compiled: Path) -> None:
    path = tmp_path / "t.sqlite3"
    good = replace(GOOD, artifacts=300)
    slow = replace(
        good.with_resolver("openalex", latency_s=2.0), delay_ms={"meta-a.example.org": 75.0}
    )
    crawls.write(path, "before", good, START, seed=1)
    crawls.write(path, "slow", slow, START + DAY, seed=2)
    found = comparison.from_files([str(path)], "before", "slow", compiled)
    for slo, target, unit, who in (
        ("ttfp_p95_ms", 20_000, "ms", "openalex"),
        ("rate_delay_p95_ms", 250, "ms", "meta-a.example.org"),
    ):
        (sli,) = (row for row in found.slis if row["slo"] == slo and row["verdict"] == "worse")
        assert sli["baseline_value"] < sli["value"] < target
        first = sli["explanations"][0]
        assert (first["segment"], first["unit"], first["place"]) == (who, unit, 1)
        assert first["measure"].startswith("mean ")
        assert first["share_of_change"] > 0.5
        total = sum(row["contribution"] for row in sli["explanations"])
        assert total == pytest.approx(first["measure_change"]) and total > 0
    with closing(sqlite3.connect(path)) as connection:
        ((now_ms, before_ms),) = connection.execute(
            "with t as (select 1000 * (min(case when outcome = 'success' then ts end) - min(ts)) "
            "as ms, run_id from fallback_attempts group by run_id, artifact_id) "
            "select avg(ms) filter (where run_id = 'slow'), "
            "avg(ms) filter (where run_id = 'before') from t"
        )
    (p95,) = (row for row in found.slis if row["slo"] == "ttfp_p95_ms")
    assert p95["explanations"][0]["measure_change"] == pytest.approx(now_ms - before_ms)


def test_runs_that_cannot_be_compared(crawled: Path, compiled: Path) -> None:
    names = [str(crawled)]
    with pytest.raises(TelemetryError, match=r"'nope' is unknown .* there are 'bad', 'good2'"):
        comparison.from_files(names, "nope", "bad", compiled)
    with pytest.raises(TelemetryError, match=r"'nope' is not in .* the latest is 'bad'"):
        comparison.from_files(names, "bad", "nope", compiled)
    for old, new in (("bad", "bad"), ("latest", "bad"), ("bad", "latest"), ("latest", "latest")):
        with pytest.raises(UsageError, match="both runs are 'bad'"):
            comparison.from_files(names, old, new, compiled)


def test_the_command(crawled: Path, tool: Tool) -> None:
    done = tool("compare", "good2", "latest", "--db", crawled)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Run bad against good2" in done.stdout
    assert "yield_pct is worse, by resolver (artifacts stored):" in done.stdout
    assert "\n  unpaywall: -" in done.stdout
    told = tool("compare", "good2", "bad", "--db", crawled, "--fail-on", "worse",
                "--output-format", "json")  # fmt: skip
    answer = json.loads(told.stdout)
    assert (told.returncode, answer["is_worse"], answer["against"]) == (1, True, "good2")
    assert {"value", "baseline_value", "change", "change_low", "change_high", "verdict",
            "explanations"} <= set(answer["slis"][0])  # fmt: skip
    again = tool("compare", "bad", "bad", "--db", crawled)
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (2, "", 1)
    assert "both runs are 'bad'" in again.stderr
