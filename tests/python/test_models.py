"""The models against an independent calculation in plain Python, on generated telemetry."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import direct, results, warehouse
from exporter.compiled import Models
from exporter.loader import load

from .support import oracle, strategies, verdicts

MARTS = ("run_slis", "host_slis", "role_slis", "resolver_slis", "day_slis", "run_verdicts")
SCOPES = {"run": "run", "role": "run_role", "host": "run_host"}
KEYS = {
    "host_slis": ("host",),
    "role_slis": ("role",),
    "resolver_slis": ("resolver",),
    "day_slis": ("run_id", "day"),
}


@contextmanager
def loaded(compiled: Path, *paths: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load files and build the marts over them, in memory."""
    connection = warehouse.connect(("sqlite_scanner",))
    connection.execute("attach ':memory:' as lake")
    warehouse.ensure_schema(connection)
    load(connection, [str(path) for path in paths], lambda message: None)
    models = Models(compiled.read_text())
    models.build(connection, [*MARTS, "slo_verdicts", "rejected_rows"])
    try:
        yield connection
    finally:
        connection.close()


def near(found: object, expected: object) -> bool:
    """Compare two values, numbers to nine digits and times to a microsecond."""
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=2e-3)
    return found == expected


def assert_same(
    connection: duckdb.DuckDBPyConnection, telemetry: oracle.Telemetry, run_id: str
) -> None:
    (run,) = results.rows(connection, "select * from lake.marts.run_slis where run_id = ?", run_id)
    for name, expected in oracle.run_slis(telemetry, run_id).items():
        assert near(run[name], expected), (run_id, name, run[name], expected)
    for mart, keys in KEYS.items():
        expected_groups = getattr(oracle, mart)(telemetry, run_id)
        found = {
            row[keys[0]] if len(keys) == 1 else tuple(row[key] for key in keys): row
            for row in results.rows(
                connection, f"select * from lake.marts.{mart} where run_id = ?", run_id
            )
        }
        assert set(found) == set(expected_groups), (mart, run_id)
        for group, slis in expected_groups.items():
            for name, expected in slis.items():
                value = found[group][name]
                assert near(value, expected), (mart, group, name, value, expected)


@pytest.mark.slow
@given(data=strategies.telemetry_files())
def test_marts_equal_plain_python(compiled: Path, data: strategies.FileData) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = strategies.write_file(Path(folder) / "t.sqlite3", data)
        telemetry = oracle.load(path)
        with loaded(compiled, path) as connection:
            runs = {
                run
                for (run,) in connection.execute(
                    "select run_id from lake.marts.run_slis"
                ).fetchall()
            }
            assert runs == set(telemetry.runs)
            for table, counts in telemetry.counts.items():
                row = connection.execute(f"select count(*) from lake.raw.{table}").fetchone()
                assert row == (counts.source,), table
                row = connection.execute(
                    "select count(*) from lake.marts.rejected_rows where table_name = ?", [table]
                ).fetchone()
                assert row == (len(counts.rejected),), table
            for run_id in runs:
                assert_same(connection, telemetry, run_id)
                judged = verdicts.verdicts(telemetry, run_id)
                (row2,) = results.rows(
                    connection, "select * from lake.marts.run_verdicts where run_id = ?", run_id
                )
                assert row2["has_passed"] == judged.passed
                statuses = {
                    (v["slo"], v["scope"], v["subject"]): v["status"]
                    for v in results.rows(
                        connection, "select * from lake.marts.slo_verdicts where run_id = ?", run_id
                    )
                }
                for verdict in judged.slos:
                    key = (verdict.slo, SCOPES[verdict.scope], verdict.subject)
                    assert statuses[key] == verdict.status, key


@pytest.mark.slow
@given(data=strategies.telemetry_files(), by_name=st.booleans())
def test_direct_equals_the_warehouse(
    compiled: Path, data: strategies.FileData, by_name: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = strategies.write_file(Path(folder) / "t.sqlite3", data)
        with loaded(compiled, path) as connection:
            models = Models(compiled.read_text())
            answers = (*results.SUMMARY_MODELS, results.SAMPLES_MODEL)
            models.build(connection, answers)
            runs = [
                str(run)
                for (run,) in connection.execute(
                    "select run_id from lake.marts.run_inventory"
                ).fetchall()
            ]
            for run_id in runs if by_name else ["latest"] if runs else []:
                with direct.opened([str(path)], run_id, compiled, answers) as found:
                    ours = results.summary(found.connection, found.run_id)
                    samples = rows_of(found.connection, found.run_id)
                    asked = results.latest_run(connection) if run_id == "latest" else run_id
                    assert found.run_id == asked
                theirs = results.summary(connection, found.run_id)
                assert ours.as_json() == theirs.as_json()
                assert ours.hosts == theirs.hosts
                assert ours.verdict == theirs.verdict
                assert samples == rows_of(connection, found.run_id)


def rows_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[dict[str, Any]]:
    """Return the samples of a run."""
    return results.rows(
        connection,
        "select * from lake.marts.metric_samples where run_id = ? order by name, labels",
        run_id,
    )
