"""Promises of the data tests that legal telemetry must not break, else nothing is published."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from recorder import TelemetryWriter

from .support.lakes import Lake
from .support.promises import broken
from .support.runs import START


def test_rounding_and_underflow_break_no_promise(compiled: Path, tmp_path: Path) -> None:
    """100 * x / x exceeds 100 for the length of one run; the square of a weight is 0 in the other.

    In a third, parts of 0.1 add up to more than the whole.
    """
    db = tmp_path / "t.sqlite3"
    statuses = {
        "length": [(0, 429), (259278.792105, 429)],
        "weight": [(0, 200)],
        "sums": [(n, status) for n, status in enumerate([429] * 3 + [None] * 3)],
    }
    for run_id, requests in statuses.items():
        with TelemetryWriter(db, run_id) as telemetry:
            for after_s, status in requests:
                telemetry.http_event(
                    ts=START + after_s, host="a.example", role="metadata", status=status
                )
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("update http_events set sample_weight = 1e-200 where run_id = 'weight'")
        connection.execute("update http_events set sample_weight = 0.1 where run_id = 'sums'")
        connection.commit()
    lake = Lake(compiled)
    lake.load([db])
    lake.build()
    assert broken(lake) == []
