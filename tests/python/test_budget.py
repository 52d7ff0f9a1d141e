"""Error budgets: over hand-made hours, at any moment, for any target, from files and warehouse."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporter import budgets, direct, follow, results, samples, slices, warehouse
from exporter.compiled import Models
from exporter.errors import UsageError
from exporter.loader import load

from .support.runs import START, Tool, record, within_an_hour

#: Artifacts saved of 20, hour by hour: 85 % is met exactly, 50 % is missed.
GOOD = (20, 20, 17, 10, 20, 20, 20, 20, 20, 20)
#: 2025-10-09 08:00, in the middle of which the first run is.
FIRST = datetime(2025, 10, 9, 8)
END = FIRST + timedelta(hours=len(GOOD))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a run in each hour."""
    db = tmp_path_factory.mktemp("month") / "t.sqlite3"
    for number, good in enumerate(GOOD):
        record(db, f"r{number}", good=good, start=START + 3600 * number)
    return db


def read(db: Path, compiled: Path, as_of: datetime, **targets: float) -> dict[str, Any]:
    """Return the budgets of the file by SLO, those of hosts left out."""
    found = budgets.from_files([str(db)], as_of, targets, compiled)
    return {
        " ".join(filter(None, (row["slo"], row["subject"]))): row
        for row in found.budgets
        if row["scope"] != "run_host"
    }


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return how many slices were judged and bad, what is left of the budget, when it ran out."""
    names = ("slices_judged", "slices_bad", "budget_remaining_ratio", "ran_out_at")
    return tuple(row[name] for name in names)


def spent(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the events of a budget, how many are bad and may be, and when it ran out."""
    names = ("valid_events", "events_bad", "events_allowed", "ran_out_at")
    return tuple(row[name] for name in names)


def test_the_command(tool: Tool, month: Path) -> None:
    asked = ("budget", "--db", month, "--as-of", f"{END:%Y-%m-%dT%H:%M}+00:00")
    done = tool(*asked)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Error budgets  WITHIN"
    states = "0 of 15 budgets overspent, 5 within, 9 with too little data, 1 without data"
    assert lines[1] == f"at 2025-10-09 18:00 UTC, of 10 runs: {states}"
    (row,) = (" ".join(line.split()) for line in lines if "yield_pct  " in line)
    assert row == "yield_pct run ≥ 85.00 % 15 %/28 d 200 artifacts 13 0 0 57 % – – – – –"
    assert (
        "No budget of runs or roles ran out. The least is left of cache_hit_pct, 25 %: "
        "60 of 200 metadata requests bad, where 80 may be."
    ) in lines
    assert "between attempts p50 (8 of the 100 judged hours it needs)" in lines[-1]

    done = tool(*asked, "--target", "yield_pct=95", "--output-format", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["overspent"], answer["has_data"]) == (1, True, True)
    assert (answer["as_of"], answer["source"]) == ("2025-10-09T18:00:00Z", str(month))
    row = answer["budgets"][0]
    assert (row["slo"], row["target"], row["state"]) == ("yield_pct", 95.0, "overspent")
    assert row["budget_remaining_ratio"] == pytest.approx(1 - 13 / 10)
    assert row["ran_out_at"] == "2025-10-09T11:00:00Z"
    assert row["burn_rates"][0] == {
        "window_hours": 1, "slices_judged": 1, "slices_bad": 0, "burn_rate": None
    }  # fmt: skip

    for words, said in (("yield_pct=101", "%, 0 to 100"), ("ttfp_p50_ms=-1", "ms, 0 or more")):
        done = tool(*asked, "--target", words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: --target {words} cannot be: {said}\n"

    # before anything was recorded: no data is neither good nor bad, and not good where that counts
    done = tool("budget", "--db", month, "--as-of", "2025-10-01", "--strict")
    assert done.returncode == 1
    assert done.stdout.startswith("Error budgets  NO DATA\n")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("No run lies in the window. The nearest hour")
    assert last.endswith(f"with --as-of {FIRST + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    assert all(line == line.rstrip() for line in done.stdout.splitlines())

    record(month.parent / "few.sqlite3", "few", artifacts=0)
    done = tool("budget", "--db", month.parent / "few.sqlite3", "--as-of", "2025-10-10")
    assert (done.returncode, done.stdout.count("NO DATA")) == (0, 1)
    assert "No budget of runs or roles is known: no data is no good news" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--as-of", "yesterday"), "--as-of 'yesterday' is no moment: write 2025-11-01 or"),
        (("--as-of", "0001-01-01T00:00+10:00"), "is no moment"),
        (("--target", "yield_pct"), "--target 'yield_pct' is no target: write SLO=NUMBER"),
        (("--target", "=3"), "is no target"),
        (("--target", "yield_pct=nan"), "is no target"),
        (("--target", "yield_pct=9", "--target", "yield_pct=8"), "give it once"),
        (("--db", "none.sqlite3"), "none.sqlite3"),
        ((), "nothing is published"),
    ],
)
def test_what_cannot_be_done_is_one_line(tool: Tool, words: tuple[str, ...], said: str) -> None:
    done = tool("budget", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr


def test_moments_and_targets(compiled: Path, month: Path) -> None:
    # met exactly is good; the hour that begins with the moment is not in it, the one before is
    row = read(month, compiled, FIRST + timedelta(hours=3))["yield_pct"]
    assert told(row) == (3, 0, pytest.approx(1 - 3 / 9), None) and spent(row) == (60, 3, 9, None)
    row = read(month, compiled, FIRST + timedelta(hours=3, minutes=1))["yield_pct"]
    assert told(row)[:2] == (4, 1) and spent(row) == (80, 13, 12, FIRST + timedelta(hours=3))
    # 28 days later the bad hour leaves the window, when none of it is within
    row = read(month, compiled, FIRST + timedelta(days=28, hours=3, minutes=59))["yield_pct"]
    assert told(row)[:2] == (7, 1) and spent(row) == (140, 10, 21, None)
    row = read(month, compiled, FIRST + timedelta(days=28, hours=4))["yield_pct"]
    assert told(row) == (6, 0, 1.0, None) and spent(row) == (120, 0, 18, None)
    found = read(month, compiled, END, yield_pct=95)
    assert told(found["yield_pct"])[:2] == (10, 2)
    assert spent(found["yield_pct"]) == (200, 13, 10, FIRST + timedelta(hours=3))
    # 26 requests an hour went to the network, too few for it to be judged: they count as events.
    # Both roles have a row; ten judged hours are too few for a budget of time
    row = found["http_429_pct"]
    assert told(row) == (0, 0, 1.0, None) and row["slices_too_few"] == 10
    row = found["rate_delay_p95_ms artifact"]
    assert told(row) == (10, 0, None, None) and row["state"] == "too_few_slices"
    assert row["event_budget_remaining_ratio"] is None
    with pytest.raises(UsageError, match="there is no SLO 'yield', only breaker_opens_per_hour, "):
        read(month, compiled, END, **{"yield": 3})


@contextmanager
def loaded(db: Path, compiled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Load a file, and build the models of budgets over it as a warehouse has them."""
    connection = warehouse.connect(("sqlite_scanner",))
    connection.execute("attach ':memory:' as lake")
    warehouse.ensure_schema(connection)
    load(connection, [str(db)], lambda message: None)
    Models(compiled.read_text()).build(
        connection, [*results.BUDGET_MODELS, results.BUDGET_SAMPLES_MODEL]
    )
    try:
        yield connection
    finally:
        connection.close()


def test_files_and_warehouse_say_the_same(compiled: Path, month: Path) -> None:
    for as_of, targets in ((END, {}), (END - timedelta(minutes=90), {"yield_pct": 90.0})):
        ours = budgets.from_files([str(month)], as_of, targets, compiled)
        with loaded(month, compiled) as connection:
            theirs = budgets.read(connection, as_of, targets, str(month))
        assert ours == theirs
        assert len(ours.budgets) > 8 and ours.has_data


def test_a_summary_says_what_its_run_left(tool: Tool, month: Path) -> None:
    done = tool("summary", "--db", month, "--run", "r3")
    assert (
        "Error budget of this run's hours: least is left of yield_pct, -233 %: 10 of 20 artifacts "
        "bad, where 3 may be. Of all runs: docstokg-telemetry budget\n"
    ) in done.stdout
    done = tool("summary", "--db", month, "--run", "r2", "--output-format", "json")
    found = json.loads(done.stdout)["error_budget"]
    assert found["as_of"].startswith("2025-10-09T10:53:")
    assert (found["valid_events"], found["events_bad"], found["state"]) == (20, 3, "within")


def test_a_run_is_told_the_same_from_file_and_warehouse(compiled: Path, month: Path) -> None:
    with loaded(month, compiled) as connection:
        Models(compiled.read_text()).build(connection, results.SUMMARY_MODELS)
        theirs = results.summary(connection, "r3")
        # what was asked of one run is forgotten
        assert connection.execute(
            "select count(distinct run_id) from lake.marts.slo_slice_verdicts"
        ).fetchone() == (10,)
    with direct.opened([str(month)], "r3", compiled, results.SUMMARY_MODELS) as found:
        ours = results.summary(found.connection, "r3")
    assert ours.as_json() == theirs.as_json()
    assert ours.budget and ours.budget["slices_judged"] == 1


def of_budgets(collected: samples.Collected) -> dict[str, float]:
    """Return the samples of budgets, by name and labels."""
    return {
        f"{sample.name.removeprefix('docstokg_slo_')} {' '.join(sample.labels.values())}": (
            sample.value
        )
        for sample in collected.samples
        if "budget" in sample.name or "burn" in sample.name
    }


def test_the_metrics(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = tmp_path / "t.sqlite3"
    now = time.time()
    for number, hours in enumerate((28 * 24 + 2, 30, 5)):  # the first is out of the window
        start = within_an_hour(now - 3600 * hours)
        record(db, f"r{number}", good=10 if number < 2 else 20, start=start)

    def collect(memory: samples.Memory | None = None) -> samples.Collected:
        return samples.collect([str(db)], "latest", 1, compiled, "models", memory)

    first = collect()
    found = of_budgets(first)
    assert found["error_budget_remaining_ratio yield_pct"] == pytest.approx(1 - 10 / 6)
    assert found["error_budget_overspent yield_pct"] == 1
    # two hours say nothing about four weeks: nothing burns, and no budget of time is told
    assert not any("burn_rate" in name or "ttfp" in name for name in found)
    assert set(first.memory.slices) == {"r1"}
    assert all(set(sample.labels) <= {"slo", "window"} for sample in first.samples[-3:])

    # a run that went no further is not read again, whatever else is written to its file
    record(db, "r3", good=10, start=within_an_hour(now - 60))
    again: list[str] = []
    read_runs = slices.of_runs
    monkeypatch.setattr(
        slices, "of_runs", lambda runs, file: again.extend(runs) or read_runs(runs, file)
    )
    second = collect(first.memory)
    assert again == ["r2"]  # the latest no longer, and so read for the last time
    assert of_budgets(second)["error_budget_remaining_ratio yield_pct"] == pytest.approx(1 - 20 / 9)
    again.clear()
    third = collect(second.memory)
    assert not again and of_budgets(third) == of_budgets(second)


async def polled(follower: follow.Follower) -> bool:
    """Tell whether a look at the sources has them read."""
    before = follower._refresh.successes + follower._refresh.failures
    await follower._poll()
    return follower._refresh.successes + follower._refresh.failures > before


def test_the_exporter_asks_anew_each_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from exporter.refresh import Refreshed

    record(tmp_path / "t.sqlite3", "r")
    follower = follow.Follower(follow.Settings((str(tmp_path),), build_every=0))

    async def refreshed() -> Refreshed:
        return Refreshed()

    monkeypatch.setattr(follower, "_refreshed", refreshed)
    now = START
    monkeypatch.setattr(follow.time, "time", lambda: now)
    assert asyncio.run(polled(follower))
    now += 60
    assert not asyncio.run(polled(follower))
    now += 3600
    assert asyncio.run(polled(follower))
    assert not asyncio.run(polled(follower))
