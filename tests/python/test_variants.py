"""Files of unusual make: each row is read, counted once, and told apart from its likes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import direct, load_plan, results, warehouse
from exporter.compiled import Models
from exporter.errors import TelemetryError
from exporter.loader import load
from exporter.raw_schema import as_key
from exporter.raw_sql import _value

T = 1_795_000_000
EVENTS = "run_id TEXT, ts REAL, host TEXT, role TEXT, status INTEGER, from_cache INTEGER"
DOWNLOADS = "run_id TEXT, ts REAL, artifact_id TEXT, sha256 TEXT, final_path TEXT"
MODELS = ("run_slis", "run_inventory")
SLIS = "from lake.marts.run_slis join lake.marts.run_inventory using (run_id)"
ID = "id INTEGER PRIMARY KEY AUTOINCREMENT"


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def events(connection: sqlite3.Connection, run: str, count: int, hits: int, at: int = T) -> None:
    """Add metadata requests of a run, the first `hits` of them from the cache."""
    connection.executemany(
        "insert into http_events (run_id, ts, host, role, status, from_cache) "
        "values (?, ?, 'h', 'metadata', 200, ?)",
        [(run, at + number, number < hits) for number in range(count)],
    )


def downloads(connection: sqlite3.Connection, run: str, names: list[str], good: int) -> None:
    """Add downloads of a run, the first `good` of them successes."""
    connection.executemany(
        "insert into downloads (run_id, ts, artifact_id, sha256, final_path) "
        "values (?, ?, ?, ?, ?)",
        [
            (run, T + n, name, *(("ab", "/p") if n < good else (None, None)))
            for n, name in enumerate(names)
        ],
    )


class Lake:
    """A warehouse in memory, loaded by the loader and built of the compiled models."""

    def __init__(self, compiled: Path) -> None:
        self._compiled = compiled
        self.connection = warehouse.connect(("sqlite_scanner",))
        self.connection.execute("attach ':memory:' as lake")
        self.notes: list[str] = []
        warehouse.ensure_schema(self.connection)

    def load(self, *paths: Path) -> tuple[int, int]:
        """Load files; return rows appended and rows changed."""
        report = load(self.connection, [str(path) for path in paths], lambda message: None)
        self.notes = report.notes
        return report.rows, report.changed

    def slis(self, run: str) -> dict[str, Any]:
        """Return a run's SLIs, and its start and end."""
        models = Models(self._compiled.read_text())
        models.build(self.connection, MODELS)
        (row,) = results.rows(self.connection, f"{SLIS} where run_id = ?", run)
        return row

    def count(self, table: str) -> int:
        row = self.connection.execute(f"select count(*) from lake.raw.{table}").fetchone()
        return int(row[0]) if row else 0


@pytest.fixture
def lake(compiled: Path) -> Iterator[Lake]:
    made = Lake(compiled)
    yield made
    made.connection.close()


def straight(compiled: Path, path: Path, run: str = "latest") -> dict[str, Any]:
    """Return a run's SLIs straight from files."""
    with direct.opened([str(path)], run, compiled, MODELS) as answer:
        (row,) = results.rows(answer.connection, SLIS)
    return row


def assert_same(compiled: Path, lake: Lake, path: Path, run: str) -> dict[str, Any]:
    """Return a run's SLIs, the same from the warehouse and straight from files."""
    found = straight(compiled, path, run)
    stored = lake.slis(run)
    for name in ("cache_hit_pct", "http_429_pct", "yield_pct", "corruption_count"):
        assert found[name] == pytest.approx(stored[name]), name
    assert found["finished_at"] == stored["finished_at"]
    return found


@pytest.mark.parametrize(
    "table",
    [
        f"create table http_events (id INTEGER PRIMARY KEY DESC, {EVENTS})",
        f"create table http_events (id TEXT, {EVENTS})",
        f"create table http_events ({EVENTS})",
        f"create table kept ({ID}, {EVENTS}); create view http_events as select * from kept",
        "create table http_events (key TEXT PRIMARY KEY default (hex(randomblob(8))), "
        f"{EVENTS}) without rowid",
    ],
    ids=["null ids", "text ids", "no ids", "view", "without rowid"],
)
def test_rows_that_no_id_tells_apart(
    compiled: Path, lake: Lake, tmp_path: Path, table: str
) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.executescript(table)
        if "view" in table:
            connection.execute(
                "create trigger t instead of insert on http_events begin insert into kept "
                "(run_id, ts, host, role, status, from_cache) values (new.run_id, new.ts, "
                "new.host, new.role, new.status, new.from_cache); end"
            )
        events(connection, "r", 50, 20)
        events(connection, "r", 1, 1)  # the first one once more, to the last value
    assert lake.load(path) == (51, 0)
    told = [note.split(" in ")[0] for note in lake.notes]
    assert told == ([] if "view" in table else ["51 rows of http_events"])
    assert lake.load(path) == (0, 0)
    assert lake.notes == []
    assert assert_same(compiled, lake, path, "r")["cache_hit_pct"] == pytest.approx(2100 / 51)


def test_generated_columns(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(
            f"create table http_events ({ID}, run_id TEXT, ts REAL, host TEXT, role TEXT, "
            "doc TEXT, status INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.s')) STORED, "
            "from_cache INTEGER GENERATED ALWAYS AS (json_extract(doc, '$.c')) VIRTUAL)"
        )
        connection.executemany(
            "insert into http_events (run_id, ts, host, role, doc) "
            "values ('r', ?, 'h', 'metadata', ?)",
            [
                (T + n, f'{{"s": {429 if n < 30 else 200}, "c": {int(n >= 60)}}}')
                for n in range(100)
            ],
        )
    lake.load(path)
    found = assert_same(compiled, lake, path, "r")
    assert (found["http_429_pct"], found["cache_hit_pct"]) == (50, 40)


def test_what_is_not_there_to_judge_by_is_no_data(
    compiled: Path, lake: Lake, tmp_path: Path
) -> None:
    """If a file lacks the column that an SLI needs, the SLI has no data: not 0, and not a pass."""
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.executescript(
            f"""
            create table http_events ({ID}, run_id TEXT, ts REAL, host TEXT, role TEXT);
            insert into http_events (run_id, ts, host, role) values ('r', {T}, 'h', 'metadata');
            create table downloads ({ID}, run_id TEXT, ts REAL, artifact_id TEXT, final_path TEXT);
            insert into downloads (run_id, ts, artifact_id, final_path)
                values ('r', {T}, 'a', '/p'), ('r', {T}, 'b', null);
            create table breaker_transitions ({ID}, run_id TEXT, ts REAL, host TEXT);
            insert into breaker_transitions (run_id, ts, host) values ('r', {T}, 'h');
            """
        )
    lake.load(path)
    found = assert_same(compiled, lake, path, "r")
    for name in (
        "yield_pct", "corruption_count", "artifacts_success", "cache_hit_pct", "http_429_pct",
        "breaker_opens", "breaker_opens_per_hour",
    ):  # fmt: skip
        assert found[name] is None, name
    assert (found["artifacts"], found["requests"]) == (2, 1)


def test_what_else_the_file_holds_is_in_nobodys_way(
    compiled: Path, lake: Lake, tmp_path: Path
) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.create_collation("LOCAL", lambda one, other: (one > other) - (one < other))
        connection.create_function("norm", 1, str.lower, deterministic=True)
        connection.execute(
            f"create table http_events ({ID}, "
            f"{EVENTS.replace('run_id TEXT', 'run_id TEXT COLLATE LOCAL')})"
        )
        connection.execute("create index i on http_events (run_id, ts)")
        connection.execute("create index j on http_events (norm(host))")
        events(connection, "r", 50, 10)
        connection.execute("pragma writable_schema = on")
        connection.execute(
            "insert into sqlite_master values ('table', 'v', 'v', 0, "
            "'CREATE VIRTUAL TABLE v USING no_such_module(x)')"
        )
    assert lake.load(path) == (50, 0)
    for run in ("latest", "r"):
        assert straight(compiled, path, run)["cache_hit_pct"] == 20


def test_runs_that_differ_by_case(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table http_events ({ID}, {EVENTS})".replace(
            "run_id TEXT", "run_id TEXT COLLATE NOCASE"))  # fmt: skip
        connection.execute("create index i on http_events (run_id, ts)")
        events(connection, "Nightly", 60, 60)
        events(connection, "nightly", 40, 0, at=T + 5000)
    lake.load(path)
    assert straight(compiled, path)["run_id"] == "nightly"
    assert assert_same(compiled, lake, path, "nightly")["cache_hit_pct"] == 0
    assert assert_same(compiled, lake, path, "Nightly")["cache_hit_pct"] == 100


@pytest.mark.parametrize(
    "run", ["C:/runs/1", "s3:/runs/1", "https://crawl.example/1?k=v", "nul\0run"]
)
def test_run_ids_that_are_told_otherwise(
    compiled: Path, lake: Lake, tmp_path: Path, run: str
) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table http_events ({ID}, {EVENTS})")
        connection.execute(
            "create table run_summary (run_id TEXT PRIMARY KEY, started_at REAL, finished_at REAL)"
        )
        events(connection, run, 10, 5)
        connection.execute("insert into run_summary values (?, ?, ?)", (run, T - 100, T + 100))
    (key,) = duckdb.execute(f"select {_value('key', '', 'told')} from (select ? as told)", [run]
                            ).fetchone() or ()  # fmt: skip
    assert as_key(run) == key
    lake.load(path)
    assert assert_same(compiled, lake, path, key)["finished_at"] is not None


def test_a_drive_is_no_scheme_of_a_url() -> None:
    for run in ("C:/runs/1", "d:\\/runs", "in C:/runs", "/mnt/c:/runs", "C:\\runs", "12:30", "a:"):
        assert as_key(run) == run
    for run in ("s3:/runs", "http:\\/\\/h", "see xC:/runs", "a-C:/runs", ":/", "é:/runs", "1:/"):
        assert as_key(run) == f"url-sha256:{sha256(run.encode()).hexdigest()}"


@given(st.text(st.sampled_from("Cz3+é :/\\\n"), max_size=8))
def test_a_key_is_the_same_in_sql(run: str) -> None:
    sql = f"select {_value('key', '', 'told')} from (select ? as told)"
    assert duckdb.execute(sql, [run]).fetchone() == (as_key(run),)


@pytest.mark.parametrize("index", ["", "create index by_run on http_events (run_id, ts)"])
def test_a_run_whose_rows_have_no_time(compiled: Path, tmp_path: Path, index: str) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.executescript(f"create table http_events ({ID}, {EVENTS}); {index}")
        events(connection, "r", 2, 1)
        connection.execute("insert into http_events (run_id, host) values ('r', 'h'), ('z', 'h')")
    assert straight(compiled, path)["run_id"] == "r"
    with (
        direct.opened([str(path)], "z", compiled, results.SUMMARY_MODELS) as answer,
        pytest.raises(TelemetryError, match=r"1 row of http_events is rejected"),
    ):
        results.summary(answer.connection, "z")


def test_files_of_two_workers_and_a_copy(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for worker, good in (("w1", 30), ("w2", 0)):
        with changing(folder / f"{worker}.sqlite3") as connection:
            connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
            connection.execute(f"create table http_events ({ID}, {EVENTS})")
            downloads(connection, "r", [f"{worker}-{n}" for n in range(30)], good)
            events(connection, "r", 10, good and 10, at=T + good)
    shutil.copy(folder / "w1.sqlite3", folder / "z-copy.sqlite3")
    assert lake.load(folder) == (80, 0)
    assert lake.load(folder) == (0, 0)
    found = assert_same(compiled, lake, folder, "r")
    assert (found["yield_pct"], found["cache_hit_pct"]) == (50, 50)


def test_large_files_of_two_workers_and_a_copy(
    compiled: Path, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan that reads large tables meets rows that the same load has read from another file."""
    monkeypatch.setattr(load_plan, "BULK_ROWS", 20)
    test_files_of_two_workers_and_a_copy(compiled, lake, tmp_path)


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
@pytest.mark.parametrize("loads", ["once", "copy first", "original first", "before and after"])
def test_a_copy_of_an_earlier_state(
    compiled: Path, lake: Lake, tmp_path: Path, name: str, loads: str
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    path, copy = folder / "t.sqlite3", folder / f"{name}.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
        downloads(connection, "r", [f"a{n}" for n in range(20)], 5)
    shutil.copy(path, copy)
    if loads == "before and after":
        assert lake.load(folder) == (20, 0)
    with changing(path) as connection:
        connection.execute("update downloads set sha256 = 'ab', final_path = '/p' where id <= 15")
        connection.execute("update downloads set ts = ts + 9, final_path = '/q' where id = 1")
    if loads in ("copy first", "original first"):
        lake.load(copy if loads == "copy first" else path)
    lake.load(folder)
    assert lake.load(folder) == (0, 0)
    assert lake.count("downloads") == 20
    assert assert_same(compiled, lake, folder, "r")["yield_pct"] == 75
    kept = lake.connection.execute("select ts from lake.raw.downloads where id = 1").fetchall()
    assert kept == [(T + 9,)]


def test_a_copy_of_a_state_that_was_half_done(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(4):  # whose file has which name, and so which digest, is no matter
        path, copy = folder / f"t{number}.sqlite3", folder / f"u{9 - number}.sqlite3"
        with changing(path) as connection:
            connection.execute(
                f"create table downloads ({ID}, {DOWNLOADS.replace('ts REAL', 'timestamp TEXT')})"
            )
            connection.executemany(
                "insert into downloads (run_id, timestamp, artifact_id, sha256) "
                "values (?, '2026-11-18T11:00:00Z', ?, 'ab')",
                [(f"r{number}", f"a{n}") for n in range(4)],
            )
        shutil.copy(path, copy)
    lake.load(folder)
    for number in range(4):
        with changing(folder / f"t{number}.sqlite3") as connection:
            connection.execute("update downloads set final_path = '/p' where id <= 3")
            connection.execute(
                "update downloads set sha256 = null, timestamp = '2026-11-18T12:00:00Z' "
                "where id = 4"
            )
    lake.load(folder)
    for number in range(4):
        found = assert_same(compiled, lake, folder, f"r{number}")
        assert (found["yield_pct"], found["corruption_count"]) == (75, 0)


def test_rows_updated_after_the_run_has_ended(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
        connection.execute(
            "create table run_summary (run_id TEXT PRIMARY KEY, started_at REAL, finished_at REAL)"
        )
        connection.execute("insert into run_summary values ('r', ?, ?)", (T, T + 60))
        downloads(connection, "r", [f"a{n}" for n in range(20)], 0)
    assert lake.load(path) == (21, 0)
    with changing(path) as connection:
        connection.execute("update downloads set sha256 = 'ab', final_path = '/p' where id <= 15")
    assert lake.load(path) == (0, 15)
    assert lake.load(path) == (0, 0)
    assert assert_same(compiled, lake, path, "r")["yield_pct"] == 75


def test_rows_far_apart_change(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
        connection.execute("begin")
        downloads(connection, "r", [f"a{n}" for n in range(10_000)], 0)
        connection.execute("commit")
    assert lake.load(path) == (10_000, 0)
    with changing(path) as connection:
        connection.execute("update downloads set sha256 = 'ab' where id in (1, 9999)")
    assert lake.load(path) == (0, 2)
    assert lake.count("downloads") == 10_000


def test_ids_that_are_given_out_again(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with changing(path) as connection:
        connection.execute(f"create table http_events (id INTEGER PRIMARY KEY, {EVENTS})")
        events(connection, "r", 50, 50)
    lake.load(path)
    with changing(path) as connection:
        connection.execute("delete from http_events where id > 40")
        events(connection, "r", 10, 0, at=T + 100)
    assert lake.load(path) == (0, 10)
    assert assert_same(compiled, lake, path, "r")["cache_hit_pct"] == 80
    with changing(path) as connection:  # of another run: what was recorded of the first one stays
        connection.execute("delete from http_events where id > 40")
        events(connection, "other", 10, 0, at=T + 200)
    assert lake.load(path) == (10, 0)
    assert lake.slis("r")["cache_hit_pct"] == 80
    assert lake.slis("other")["cache_hit_pct"] == 0
