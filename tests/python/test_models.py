"""The models against an independent calculation in plain Python, on generated telemetry."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import direct, results

from .support import generated, strategies
from .support.lakes import Lake


@pytest.mark.slow
def test_generated_files_keep_promises_and_equal_plain_python(
    compiled: Path, tmp_path: Path
) -> None:
    """300 files in two builds, 12,000 with HYPOTHESIS_PROFILE=deep; the last file is alone."""
    for number in range(max(1, settings.default.max_examples // 25)):
        files = generated.generated(number)
        for name, some in (("many", files[:-1]), ("one", files[-1:])):
            assert generated.faults(compiled, tmp_path / f"{number}-{name}", some) == []


@pytest.mark.slow
@given(data=strategies.telemetry_files(), by_name=st.booleans())
def test_direct_equals_the_warehouse(
    compiled: Path, data: strategies.FileData, by_name: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = strategies.write_file(Path(folder) / "t.sqlite3", data)
        lake = Lake(compiled)
        with closing(lake.connection) as connection:
            lake.load([path])
            answers = (*results.SUMMARY_MODELS, results.SAMPLES_MODEL)
            lake.models.build(connection, answers)
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
