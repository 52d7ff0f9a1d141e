"""Each cell of a seed that names something is looked up, and a wrong one told with its row."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from exporter.compiled import Models, prepare
from exporter.diagnose import Topic
from exporter.raw_schema import TABLES, raw_columns


@pytest.fixture(scope="module")
def check(compiled: Path) -> tuple[duckdb.DuckDBPyConnection, str]:
    """Seeds and models over no rows at all, and the query that finds wrong cells."""
    text = compiled.read_text()
    checks = [test for test in json.loads(text)["tests"] if test["when_compiled"]]
    (check,) = (test for test in checks if test["name"] == "assert_seeds_name_what_exists")
    connection = duckdb.connect(":memory:")
    prepare(connection)
    for table in TABLES:
        columns = ", ".join(f"{name} {kind}" for name, kind in raw_columns(table).items())
        connection.execute(f"create table lake.raw.{table} ({columns})")
    Models(text).build(connection, check["depends_on"], all_stored=True)
    return connection, check["sql"]


@pytest.mark.parametrize(
    ("seed", "change", "row", "told"),
    [
        ("slo_targets", "slo = 'yield_pc'", "yield_pc run",
         'slo "yield_pc" is no SLI or count of a run; nearest: yield_pct'),
        ("slo_targets", "scope = 'runs'", "yield_pct runs",
         'scope "runs" is no scope of an SLO; nearest: run'),
        ("slo_targets", "comparator = '=>'", "yield_pct run",
         'comparator "=>" is no comparator of an SLO; nearest: <='),
        ("slo_targets", "unit = 'pct'", "yield_pct run", 'unit "pct" should be "%"'),
        ("burn_rate_alerts", "severity = 'Page'", "1 1",
         'severity "Page" is no severity; nearest: page'),
        ("pinned_slos", "slo = 'corruption'", "corruption",
         'slo "corruption" is no SLI or count; nearest: corruption_count'),
        ("sli_tolerances", "recorded_as = 'yield'", "yield_pct",
         'recorded_as "yield" is no number of run_summary; nearest: yield_pct'),
        ("gate_criteria", "criterion = 'table'", "pilot table",
         'criterion "table" is no criterion; nearest: tables'),
        ("gate_criteria", "phase = 'pilots'", "pilots tables",
         'phase "pilots" is no phase; nearest: pilot'),
        ("diagnosis_measures", "dimension = 'hosts'", "yield_pct run",
         'dimension "hosts" is no dimension; nearest: host'),
        ("diagnosis_measures", "topic = 'yields'", "yield_pct run",
         'topic "yields" is no topic of diagnose; nearest: yield'),
        ("remedy_limits", "unit = 'rps'", "rps_lower",
         'setting "rps_lower in rps" is no known setting; nearest: rps_lower in requests/s'),
        ("remedy_limits", "direction = 'down'", "rps_lower", None),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_with_its_row(
    check: tuple[duckdb.DuckDBPyConnection, str], seed: str, change: str, row: str, told: str | None
) -> None:
    connection, sql = check
    connection.execute("begin")
    try:
        connection.execute(
            f"update lake.marts.{seed} set {change} "
            f"where rowid = (select min(rowid) from lake.marts.{seed})"
        )
        found = [message for (message,) in connection.execute(sql).fetchall()]
    finally:
        connection.execute("rollback")
    assert found == ([f"seeds/{seed}.csv, row {row}: {told}"] if told else [])


@pytest.mark.parametrize(
    ("subject", "scope", "told"),
    [
        ("Web.Archive.org.", "run_host", 'subject "Web.Archive.org." should be "web.archive.org"'),
        ("artefact", "run_role", 'subject "artefact" is no role; nearest: artifact'),
    ],
)
def test_a_subject_is_a_role_or_a_host_as_stored(
    check: tuple[duckdb.DuckDBPyConnection, str], subject: str, scope: str, told: str
) -> None:
    connection, sql = check
    connection.execute("begin")
    try:
        connection.execute(
            "update lake.marts.slo_targets set subject = ? "
            "where scope = ? and subject in ('web.archive.org', 'artifact')",
            [subject, scope],
        )
        ((message,),) = connection.execute(sql).fetchall()
    finally:
        connection.execute("rollback")
    assert message.endswith(told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("objective_pct = 100", None),
        ("objective_pct = 0", "objective_pct 0.0 cannot be: 50 to 100"),
        ("objective_pct = null", "objective_pct (empty) cannot be: 50 to 100"),
        ("objective_pct = -1", "objective_pct -1.0 cannot be: 50 to 100"),
        ("objective_pct = 100.5", "objective_pct 100.5 cannot be: 50 to 100"),
        ("objective_pct = 'nan'", "objective_pct nan cannot be: 50 to 100"),
        ("target = 101", "target 101.0 cannot be: 0 to 100"),
        ("target = 'inf', unit = 'ms'", "target inf cannot be: 0 or more"),
        ("window_days = 0", "window_days 0.0 cannot be: more than 0, and at most 3660"),
        ("smallest_sample = null", "smallest_sample (empty) cannot be: 0 or more"),
    ],
)
def test_a_number_that_cannot_be_is_told_with_its_row(
    check: tuple[duckdb.DuckDBPyConnection, str], compiled: Path, change: str, told: str | None
) -> None:
    connection, _ = check
    sql = Models(compiled.read_text()).tests["assert_targets_are_possible"]
    connection.execute("begin")
    try:
        connection.execute(f"update lake.marts.slo_targets set {change} where slo = 'yield_pct'")
        found = [message for (message,) in connection.execute(sql).fetchall()]
    finally:
        connection.execute("rollback")
    assert found == ([f"seeds/slo_targets.csv, row yield_pct run: {told}"] if told else [])


def test_the_words_are_those_of_the_code(check: tuple[duckdb.DuckDBPyConnection, str]) -> None:
    for topic in set(Topic) - {Topic.storage}:
        assert f"'{topic.value}'" in check[1]
