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
    """Return how many slices of a budget were judged and bad, what is left, and when it ran out."""
    names = ("slices_judged", "slices_bad", "budget_remaining_ratio", "ran_out_at")
    return tuple(row[name] for name in names)


def test_the_command(tool: Tool, month: Path) -> None:
    asked = ("budget", "--db", month, "--as-of", f"{END:%Y-%m-%dT%H:%M}+00:00")
    done = tool(*asked)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Error budgets  OVERSPENT"
    assert lines[1] == "at 2025-10-09 18:00 UTC, of 10 runs"
    numbers = "10 1 0 0 -900 % 57 % 0× 0× 0× 10× 10× 2025-10-09 11:00"
    assert " ".join(lines[6].split()) == f"yield_pct run ≥ 85.00 % 99 %/28 d {numbers}"
    assert (
        "yield_pct has overspent its budget: 1 of 10 judged hours missed the target, where 0.1 may."
        " It ran out at 2025-10-09 11:00 UTC."
    ) in lines
    assert lines[-1].startswith("No data on cache_hit_pct, http_429_pct")
    assert "no data" in next(line for line in lines if "cache_hit_pct" in line)

    done = tool(*asked, "--target", "yield_pct=50", "--output-format", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["overspent"], answer["has_data"]) == (0, False, True)
    assert (answer["as_of"], answer["source"]) == ("2025-10-09T18:00:00Z", str(month))
    (row,) = [row for row in answer["budgets"] if row["slo"] == "yield_pct"]
    assert (row["target"], row["budget_remaining_ratio"], row["ran_out_at"]) == (50.0, 1.0, None)
    assert row["burn_rates"][0] == {
        "window_hours": 1, "slices_judged": 1, "slices_bad": 0, "burn_rate": 0.0
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
    assert "No hour could be judged: no data is no good news" in done.stdout


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
    found = read(month, compiled, FIRST + timedelta(hours=3))
    assert told(found["yield_pct"]) == (3, 0, 1.0, None)
    found = read(month, compiled, FIRST + timedelta(hours=3, minutes=1))
    assert told(found["yield_pct"]) == (4, 1, -24.0, FIRST + timedelta(hours=3))
    # 28 days later the bad hour leaves the window, when none of it is within
    found = read(month, compiled, FIRST + timedelta(days=28, hours=3, minutes=59))
    assert told(found["yield_pct"]) == (7, 1, 1 - 1 / 0.07, FIRST + timedelta(hours=3))
    found = read(month, compiled, FIRST + timedelta(days=28, hours=4))
    assert told(found["yield_pct"]) == (6, 0, 1.0, None)
    # of 200 artifacts 13 failed, and 15 % may
    found = read(month, compiled, END, yield_pct=90)
    assert told(found["yield_pct"]) == (10, 2, -19.0, FIRST + timedelta(hours=2))
    row = found["yield_pct"]
    assert (row["valid_events"], row["events_bad"], row["events_allowed"]) == (200, 13, 20)
    # 20 of 26 requests went to the network, too few for an hour to be judged; of roles both have
    # a row though only one was delayed enough to count, and an SLI that is no ratio has no events
    row = found["http_429_pct"]
    assert told(row) == (0, 0, None, None) and row["slices_too_few"] == 10
    assert told(found["rate_delay_p95_ms artifact"]) == (10, 0, 1.0, None)
    assert found["rate_delay_p95_ms artifact"]["event_budget_remaining_ratio"] is None
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
        assert len(ours.budgets) > 8 and ours.overspent


def test_a_summary_says_what_its_run_left(tool: Tool, month: Path) -> None:
    done = tool("summary", "--db", month, "--run", "r3")
    assert (
        "Error budget of this run's hours: least is left of yield_pct, -9,900 %: 1 of 1 judged "
        "hours missed the target, where 0.01 may. Of all runs: docstokg-telemetry budget\n"
    ) in done.stdout
    done = tool("summary", "--db", month, "--run", "r2", "--output-format", "json")
    found = json.loads(done.stdout)["error_budget"]
    assert found["as_of"].startswith("2025-10-09T10:53:")
    assert (found["slices_judged"], found["budget_remaining_ratio"]) == (1, 1.0)


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
    assert found["error_budget_remaining_ratio yield_pct"] == 1 - 1 / 0.02
    assert found["burn_rate yield_pct 72h"] == 50
    assert found["burn_rate yield_pct 6h"] == 0
    assert "burn_rate yield_pct 2h" not in found  # nobody crawled: no data is no series
    assert "error_budget_remaining_ratio http_429_pct" not in found
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
    assert of_budgets(second)["burn_rate yield_pct 1h"] == 100
    assert of_budgets(second)["error_budget_remaining_ratio yield_pct"] == 1 - 2 / 0.03
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
