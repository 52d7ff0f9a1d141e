"""The recorder's figures: what it costs a crawl, and how much it can take."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from recorder import Settings, TelemetryWriter, ensure_schema, schema

Note = Callable[..., None]

_EVENT: Final[dict[str, Any]] = {
    "host": "api.example.org",
    "role": "metadata",
    "status": 200,
    "from_cache": False,
    "revalidated": False,
    "retry_count": 0,
    "rate_delay_ms": 0.25,
    "breaker_state": "closed",
    "breaker_recorded": "success",
    "elapsed_ms": 41.5,
}


def measure(folder: Path, note: Note, events: int = 200_000, pairs: int = 11) -> None:
    """Take the figures.

    Args:
        folder: where files may go.
        note: takes a figure, what it is compared with, and what was wanted.
        events: how many are recorded for the figures of speed.
        pairs: crawls without and with telemetry, in turns, for its share of a crawl's time.
    """
    call_s, written_s = _one_process(folder / "one.sqlite3", events)
    plain_s = _plain(folder / "plain.sqlite3", events)
    note("recorder, a call", call_s * 1e6, "limit", 10, "< 10 µs", "µs")
    note("recorder, events a second", events / written_s, "plain sqlite3, executemany",
         events / plain_s, "≥ 20,000", "/s")  # fmt: skip
    for count in (1, 4):
        seconds, stored = _processes(folder / f"{count}.sqlite3", count, events // count)
        if stored != events // count * count:
            raise AssertionError(f"{count} processes stored {stored} of {events} events")
        note(f"recorder, {count} processes", events / seconds, "events that are missing", 0,
             "0 missing", "/s")  # fmt: skip
    overhead(folder, note, pairs)


def overhead(folder: Path, note: Note, pairs: int) -> None:
    """Compare crawls of the demo with telemetry on and off, in turns."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(pairs):
        # First one, then the other, in turns, so that neither always has the warmer machine.
        for is_on in (pair % 2 == 0, pair % 2 == 1):
            seconds[is_on].append(_crawl(folder / f"crawl-{pair}-{is_on}", is_on))
    on, off = (statistics.median(seconds[key]) for key in (True, False))
    note("crawl of the demo, telemetry on", on, "the same, off", off, "< 1.01 ×")
    ratios = [one / other for one, other in zip(seconds[True], seconds[False], strict=True)]
    note("the same, median of the pairs' ratios", statistics.median(ratios), "best against best",
         min(seconds[True]) / min(seconds[False]), "< 1.01", "×")  # fmt: skip
    share = _own_share(folder / f"crawl-{pairs - 1}-True" / "t.sqlite3")
    note("of it the crawler's threads, measured by the recorder", share * 100, "limit", 1, "< 1 %",
         "%")  # fmt: skip


def _one_process(path: Path, events: int) -> tuple[float, float]:
    """Record events as fast as they go; return seconds a call and seconds for all of them."""
    recorder = TelemetryWriter(path, "bench")
    recorder.flush()
    began, called = time.perf_counter(), 0.0
    for start in range(0, events, 1_000):
        before = time.perf_counter()
        for number in range(start, start + 1_000):
            recorder.http_event(url=f"https://api.example.org/works/{number}?b=2&a=1", **_EVENT)
        called += time.perf_counter() - before
        while recorder.backlog > 20_000:  # as fast as it writes, and no faster
            time.sleep(0.005)
    recorder.close(600)
    took = time.perf_counter() - began
    if recorder.dropped:
        raise AssertionError(f"{recorder.dropped} events were dropped")
    return called / events, took


def _plain(path: Path, events: int) -> float:
    """Insert the same number of finished rows with sqlite3 alone."""
    names = schema.COLUMNS["http_events"]
    row = {"run_id": "bench", "ts": 1.8e9, "method": "GET", "url_hash": "ab" * 32} | _EVENT
    values = tuple(map(row.get, names))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.enable_wal(connection)
        connection.execute("pragma synchronous = normal")
        ensure_schema(connection)
        began = time.perf_counter()
        marks = ", ".join("?" * len(names))
        for _ in range(0, events, 5_000):
            connection.execute("begin immediate")
            connection.executemany(
                f"insert into http_events ({', '.join(names)}) values ({marks})", [values] * 5_000
            )
            connection.execute("commit")
        return time.perf_counter() - began


def _processes(path: Path, count: int, events: int) -> tuple[float, int]:
    """Let several processes record at once; return the seconds and how many rows there are."""
    began = time.perf_counter()
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "scripts.bench_recorder",
                str(path),
                f"run-{number}",
                str(events),
            ]
        )
        for number in range(count)
    ]
    if any(worker.wait() for worker in workers):
        raise AssertionError("a recording process failed")
    seconds = time.perf_counter() - began
    with closing(sqlite3.connect(path)) as connection:
        (stored,) = connection.execute(
            "select count(*) from (select distinct run_id, url_hash from http_events)"
        ).fetchone()
    return seconds, int(stored)


def _crawl(out: Path, is_on: bool) -> float:
    out.mkdir()
    command = [sys.executable, "-m", "scripts.crawl", "--db", str(out / "t.sqlite3")]
    command += ["--out", str(out / "pdf"), "--profile", "healthy", "--run-id", "bench"]
    if not is_on:
        command.append("--no-telemetry")
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _own_share(path: Path) -> float:
    """Return the share of the run's time that calls took on the crawler's threads."""
    with closing(sqlite3.connect(path)) as connection:
        (share,) = connection.execute(
            "select sum(call_s) / (max(updated_at) - min(started_at)) from recorder_status"
        ).fetchone()
    return float(share)


def _work(path: str, run_id: str, events: int) -> None:
    recorder = TelemetryWriter(Settings(enabled=True, db_path=Path(path)), run_id)
    for number in range(events):
        recorder.http_event(url=f"https://api.example.org/works/{number}?b=2&a=1", **_EVENT)
        while number % 1_000 == 0 and recorder.backlog > 20_000:
            time.sleep(0.005)
    recorder.close(600)
    if recorder.dropped:
        raise SystemExit(f"{recorder.dropped} events were dropped")


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
