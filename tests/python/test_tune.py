"""docstokg-telemetry tune: targets from history, proposed as a diff, written only when told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from exporter import chosen_runs, seed
from exporter.errors import TelemetryError, UsageError

from .support.runs import START, Tool, record
from .test_hostile import asked, copy_of_project

GOOD = (20, 20, 19, 19, 18, 18, 17, 17, 16, 10)  # of 20: yields of 100 down to 50 %


def project_of(tmp_path: Path) -> Path:
    """Return a project of one's own, the same as ours, whose seed can be written."""
    project = copy_of_project(tmp_path)
    changed = project / "models" / "marts" / "runs" / "run_summary.sql"
    changed.write_text(changed.read_text().removesuffix("-- changed\n"))
    return project


@pytest.mark.slow
def test_targets_are_proposed_and_written(tool: Tool, tmp_path: Path) -> None:
    db, project = tmp_path / "t.sqlite3", project_of(tmp_path)
    for number, good in enumerate(GOOD):
        record(db, f"run{number}", good=good, start=START + 3600 * number)
    targets = project / "seeds" / "slo_targets.csv"
    before = targets.read_bytes()
    told = tool("tune", "--db", db, "--output-format", "json")
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert answer["runs"] == [f"run{number}" for number in range(9, -1, -1)]
    rows = {(row["slo"], row["scope"], row["subject"]): row for row in answer["targets"]}
    found = rows["yield_pct", "run", None]
    # nearest rank: the 5th percentile of ten is the lowest, the 10th too, the 90th the ninth
    names = ("runs", "lowest", "p5", "p10", "p50", "p90", "highest")
    assert [found[name] for name in names] == [10, 50.0, 50.0, 50.0, 90.0, 100.0, 100.0]
    names = ("proposal", "proposed_target", "failing_now", "failing_then")
    assert [found[name] for name in names] == ["looser", 80.0, 2, 1]
    assert rows["corruption_count", "run", None]["proposal"] == "pinned"
    assert rows["http_429_pct", "run_host", "web.archive.org"]["proposal"] == "too_few"
    assert rows["http_429_pct", "run_host", None]["observations"] == 20  # ten runs, two hosts each
    assert rows["http_429_pct", "run_host", None]["proposal"] == "kept"
    for row in answer["targets"]:  # the share is of runs, whatever the values of their hosts
        if row["proposed_target"] is not None:
            assert row["runs_failing_then"] <= 0.1 * row["runs"], row["slo"]
    assert targets.read_bytes() == before and not answer["is_written"]

    few = tool("tune", "--project-dir", project, "--runs", "9")
    assert "yield_pct run >= 85 %: too few, no proposal: 9 of at least 10" in few.stdout
    assert "@@" not in few.stdout
    fewer = tool("tune", "--project-dir", project, "--without", "run9,run3", "--without", "run0")
    assert fewer.stdout.startswith("7 runs; ")
    wrong = tool("tune", "--project-dir", project, "--without", "nosuch")
    assert (wrong.returncode, wrong.stdout) == (2, "") and "'nosuch' is unknown" in wrong.stderr

    done = tool("tune", "--project-dir", project, "--share", "50", "--write")
    assert done.returncode == 0, done.stderr
    assert (
        "yield_pct run >= 85 % → >= 90 % (tighter): at 50 %, 2 of 10 runs would fail now, "
        "4 with the proposal\n" in done.stdout
    )
    assert "next, docstokg-telemetry run" in done.stderr and "make monitoring" in done.stderr
    assert "\n-yield_pct,run,,>=,85,%,99,28,20\n" in done.stdout
    assert "\n+yield_pct,run,,>=,90,%,99,28,20\n" in done.stdout
    lines = list(zip(before.splitlines(), targets.read_bytes().splitlines(), strict=True))
    changed = {new.split(b",")[0]: float(new.split(b",")[4]) for old, new in lines if old != new}
    assert changed[b"yield_pct"] == 90 and b"corruption_count" not in changed

    stale = tool("tune", "--project-dir", project)
    assert (stale.returncode, stale.stdout) == (2, "")
    assert "models or targets have changed since the warehouse was built" in stale.stderr

    # nothing is new but the targets: past runs are judged by them all the same
    assert tool("run", "--db", db, "--project-dir", project).returncode == 0
    sql = (
        "select target, count(*) as runs, count(*) filter (status = 'fail') as failed "
        "from slo_verdicts where slo = 'yield_pct' group by all"
    )
    assert asked(tool, sql) == [{"target": 90.0, "runs": 10, "failed": 4}]


@pytest.mark.parametrize(
    "words",
    [
        ("--share", "0"),
        ("--share", "101"),
        ("--share", "nan"),
        ("--share", "0.00001"),
        ("--share", "99.99999"),
        ("--output-format", "xml"),
        (),
    ],
)
def test_what_cannot_be_done_is_one_line(tool: Tool, words: tuple[str, ...]) -> None:
    done = tool("tune", *words)  # the last: nothing is published
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


SEED = (
    "\ufeffslo,scope,subject,comparator,target,unit,sample\r\n"
    "# of the first quarter\r\n"
    '"yield_pct",run,,>=,"85",%,"a, b"\r\n'
    "\r\n"
    'http_429_pct,run_host,"odd "" host, and\na line",<=,2,%,network_requests\r\n'
    "http_429_pct,run_host,,<=, 2.0,%,network_requests"
)


def test_all_but_the_targets_stays_byte_for_byte() -> None:
    odd = ("http_429_pct", "run_host", 'odd " host, and\na line')
    new = seed.with_targets(
        SEED, {("yield_pct", "run", ""): 84.5, odd: 3.0, ("http_429_pct", "run_host", ""): 20_000}
    )
    expected = (
        SEED.replace('"85"', '"84.5"').replace("<=,2,%", "<=,3,%").replace("<=, 2.0,", "<=,20000,")
    )
    assert new == expected
    assert seed.with_targets(SEED, {}) == SEED
    told = seed.diff(SEED, new, "seeds/slo_targets.csv")
    assert told.startswith("--- a/seeds/slo_targets.csv\n+++ b/seeds/slo_targets.csv\n@@")
    assert '-"yield_pct",run,,>=,"85",%,"a, b"\r\n' in told
    assert told.endswith("\\ No newline at end of file\n")
    assert seed.diff(SEED, SEED, "x") == ""


def test_a_seed_that_is_not_understood_is_not_changed(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="no column target"):
        seed.with_targets("slo,scope,subject\n", {})
    with pytest.raises(TelemetryError, match="by itself: yield_pct run"):
        seed.with_targets("slo,scope,subject,target\n", {("yield_pct", "run", ""): 1.0})
    (tmp_path / "latin.csv").write_bytes(b"slo\xe4")
    with pytest.raises(TelemetryError, match="not UTF-8"):
        seed.read(tmp_path / "latin.csv")
    with pytest.raises(TelemetryError, match="cannot read the targets"):
        seed.read(tmp_path / "none.csv")


def test_a_seed_is_written_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seed.csv"
    path.write_text("old\n")
    path.chmod(0o640)
    seed.write(path, "new\r\n")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new\r\n", 0o640)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TelemetryError, match="cannot write .*No space left.*--project-dir"):
        seed.write(path, "newer\n")
    assert [file.name for file in tmp_path.iterdir()] == ["seed.csv"]
    assert path.read_bytes() == b"new\r\n"


@pytest.fixture
def marts() -> Iterator[duckdb.DuckDBPyConnection]:
    """An inventory of four runs, a day apart, one of them without a time."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("attach ':memory:' as lake; create schema lake.marts")
        connection.execute(
            "create table lake.marts.run_inventory (run_id varchar, last_event_at timestamp)"
        )
        now = datetime.now(UTC).replace(tzinfo=None)
        for number, run in enumerate(["today", "a,b", "30"]):
            moment = now - timedelta(days=number, minutes=1)
            connection.execute("insert into lake.marts.run_inventory values (?, ?)", [run, moment])
        connection.execute("insert into lake.marts.run_inventory values ('timeless', null)")
        yield connection


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], ["today", "a,b", "30", "timeless"]),
        (["2"], ["today", "a,b"]),
        (["since:36h"], ["today", "a,b"]),
        (["since 1d"], ["today"]),
        (["since:2000-01-01"], ["today", "a,b", "30"]),
        (["since:2000-01-01T00:00:00+02:00"], ["today", "a,b", "30"]),
        (["since:0d"], []),
        (["a,b"], ["a,b"]),  # a run of that name is meant before two others are
        (["timeless,today"], ["today", "timeless"]),
        (["timeless", "1"], ["today", "timeless"]),
    ],
)
def test_how_runs_are_named(
    marts: duckdb.DuckDBPyConnection, words: list[str], chosen: list[str]
) -> None:
    assert chosen_runs.choose(marts, words, None) == chosen
    assert marts.execute("select getvariable('chosen_runs')").fetchone() == (chosen,)


def test_runs_that_are_not_there(marts: duckdb.DuckDBPyConnection) -> None:
    assert chosen_runs.choose(marts, ["3"], {"30", "timeless"}) == ["30", "timeless"]
    assert chosen_runs.latest(marts, None).startswith("the latest of those there are is 'today', ")
    assert chosen_runs.latest(marts, None).endswith(" UTC")
    assert "'timeless', whose last event was at a time" in chosen_runs.latest(marts, {"timeless"})
    assert chosen_runs.latest(marts, set()).startswith("there is none")
    for words in (["nope"], ["today,nope"], ["since:soon"], ["since:99999999999999d4"]):
        with pytest.raises(UsageError):
            chosen_runs.choose(marts, words, None)
    with pytest.raises(UsageError, match="'today' is unknown"):
        chosen_runs.choose(marts, ["today"], {"30"})
