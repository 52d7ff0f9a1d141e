"""Small runs recorded on real files, and what is in a file and in the warehouse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from recorder import TelemetryWriter

Tool = Callable[..., "subprocess.CompletedProcess[str]"]
START = 1_760_000_000.0


def within_an_hour(at: float) -> float:
    """Return when to begin a small run at or shortly before a time, so that no hour ends in it.

    Its artifacts are too few to be judged, where two hours of error budgets share them.
    """
    return at - max(0.0, at % 3600 + 30 - 3600)


def record(
    path: Path, run_id: str, artifacts: int = 20, good: int = 19, start: float = START
) -> None:
    """Record a small run through the recorder: one metadata and one artifact request each."""
    with TelemetryWriter(path, run_id) as telemetry:
        for number in range(artifacts):
            ts = start + number
            hit = number % 10 > 2
            telemetry.http_event(
                ts=ts, host="api.example.org", role="metadata", status=200, from_cache=hit,
                url=f"https://api.example.org/works/{number}?token=secret",
                rate_delay_ms=float(number), elapsed_ms=20.0,
            )  # fmt: skip
            telemetry.http_event(
                ts=ts, host="cdn.example.org", role="artifact", status=200, from_cache=False,
                rate_delay_ms=float(number), elapsed_ms=50.0,
            )  # fmt: skip
            ok = number < good
            telemetry.fallback_attempt(
                ts=ts, outcome="retryable", artifact_id=f"a{number}", source="crossref"
            )
            telemetry.fallback_attempt(
                ts=ts + 0.5, outcome="success" if ok else "no_pdf", artifact_id=f"a{number}",
                source="arxiv",
            )  # fmt: skip
            telemetry.download(
                ts=ts + 0.6, artifact_id=f"a{number}", sha256="ab" * 32 if ok else None,
                final_path=f"{number}.pdf" if ok else None, content_length=1_048_576,
                dedupe_action="hardlink" if number % 2 else "download",
            )  # fmt: skip
        telemetry.run_summary(started_at=start, finished_at=start + artifacts)


def counts(path: Path) -> dict[str, int]:
    """Count a file's rows by table, in a process of its own: SQLite locks are per process."""
    code = (
        "import sqlite3, sys, json; c = sqlite3.connect(sys.argv[1]); print(json.dumps({t: "
        "c.execute(f'select count(*) from {t}').fetchone()[0] for t in ('http_events', "
        "'rate_events', 'breaker_transitions', 'fallback_attempts', 'downloads')}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def loaded_counts(tool: Tool) -> dict[str, int]:
    """Count the warehouse's rows by raw table; fails if a row is there twice."""
    tables = ("http_events", "rate_events", "breaker_transitions", "fallback_attempts", "downloads")
    done = tool(
        "query", "--format", "json", "--query",
        " union all ".join(
            f"select '{table}' as name, count(*) as n, count(distinct (run_id, id)) as u "
            f"from {table}" for table in tables
        ),
    )  # fmt: skip
    rows = json.loads(done.stdout)
    assert all(row["n"] == row["u"] for row in rows), rows
    return {row["name"]: row["n"] for row in rows}
