"""A refreshed warehouse equals one built anew and the files, whatever became of the files."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from exporter import direct, results
from exporter.errors import TelemetryError

from .support import strategies
from .support.lakes import Lake, RefreshedLake, ask, differences, rows
from .support.strategies import GUARANTEED, OPTIONAL, START_S, FileData, RowData

#: What is asked of the views that depend on a question.
ASKED = {"as_of": "2025-12-01", "diagnosed_against": "baseline"}
#: The models that answers are read from without a warehouse, but for the one that counts rows of no
#: run, too, which no answer about runs reads.
DIRECT = sorted(
    {
        *results.SUMMARY_MODELS,
        results.SAMPLES_MODEL,
        *results.DIAGNOSIS_MODELS,
        *results.BUDGET_MODELS,
        results.SLICES_MODEL,
        *results.REGRESSION_MODELS,
        *results.TREND_MODELS,
        *results.REPORT_MODELS,
    }
    - {"data_quality"}
)
EVENTS = tuple(table for table in GUARANTEED if table != "run_summary")
COLUMNS = {
    table: (*(("id",) if table in EVENTS else ()), *GUARANTEED[table], *OPTIONAL[table])
    + (("ts",) if table in EVENTS else ())
    for table in GUARANTEED
}
#: A run of which each file has a part, as workers write it.
SHARED = "shared"
TIMES = st.sampled_from([START_S + offset for offset in (0, 1, 5, 2399.5, 3600, 90_000)])
UPDATED = ("sha256", "final_path", "content_length", "dedupe_action", "elapsed_ms", "metadata")


def row_of(table: str) -> st.SearchStrategy[RowData]:
    """Draw a row of a table, without id and run."""
    columns = [name for name in COLUMNS[table] if name != "run_id"]
    return strategies.row_of(columns, st.none(), TIMES, dirty=False)


#: A row of any table that events go to, with the table's name.
ROWS = st.sampled_from(EVENTS).flatmap(lambda table: st.tuples(st.just(table), row_of(table)))


def script(path: Path, sql: str, *values: object) -> None:
    """Run statements on a telemetry file, or one with values."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if values:
            connection.execute(sql, values)
        else:
            connection.executescript(sql)


def query(path: Path, sql: str) -> list[Any]:
    """Return the rows of a query on a telemetry file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def assert_same(found: dict[str, list[tuple[str, object]]]) -> None:
    """Fail, and name the models that differ, with some of their rows."""
    assert not any(found.values()), "\n".join(f"{m}: {d[:4]}" for m, d in found.items() if d)


def assert_as_built_anew(lake: RefreshedLake, compiled: Path, paths: list[Path]) -> Lake:
    """Compare every model of a warehouse with one built anew from the same files; return that."""
    anew = Lake(compiled)
    anew.load(paths)
    asked = {**ASKED, **diagnosed(lake)}
    for each in (lake, anew):
        each.ask(asked)
    lake.read_all()
    anew.build()
    # these go by the load, and by the file that a row was first seen in, of a file and its copy
    by_load = ("rejection_verdicts", "file_times")
    models = [m for m in anew.models.models if m not in by_load]
    assert_same({m: differences(anew.rows(m), lake.rows(m)) for m in models})
    return anew


def diagnosed(lake: Lake) -> dict[str, str]:
    """Return the question for the latest run."""
    with suppress(TelemetryError):
        return {"diagnosed_run": results.latest_run(lake.connection)}
    return {}


def assert_as_direct(anew: Lake, compiled: Path, paths: list[Path]) -> None:
    """Compare a warehouse with what the files answer by themselves, where they hold a run."""
    asked = diagnosed(anew)
    if not asked:
        return
    names = [str(path) for path in paths]
    everything = direct.opened(names, "latest", compiled, DIRECT, lambda run, known: [
        other for other in known if other.run_id != run.run_id
    ])  # fmt: skip
    with everything as found:
        assert found.run_id == asked["diagnosed_run"]
        ask(found.connection, {**ASKED, **asked})
        wrong = {}
        for model in DIRECT:
            relation = f"{anew.models.models[model]['schema']}.{model}"
            # a row without a run is of no answer about runs
            where = "trim(run_id) <> ''" if model == "rejected_rows" else "true"
            wrong[model] = differences(
                rows(anew.connection, relation, where), rows(found.connection, relation, where)
            )
    assert_same(wrong)


def test_rows_that_a_run_has_no_more_are_deleted(
    tmp_path: Path, compiled: Path, refreshed: Path
) -> None:
    db = tmp_path / "t.sqlite3"
    lake = RefreshedLake(compiled, refreshed)
    script(db, """
        create table downloads (id integer primary key, run_id, artifact_id, sha256, final_path);
        insert into downloads (run_id, artifact_id, sha256, final_path) values
            ('done', 'a1', 'ab', '/a1'), ('open', 'a1', 'ab', null), (null, 'a2', 'ab', '/a2');
    """)  # fmt: skip
    lake.refresh([db])
    assert [row[:2] for row in lake.rows("half_done_artifacts")] == [("open", "id:a1")]
    script(db, """
        update downloads set final_path = '/a1' where run_id = 'open';
        insert into downloads (run_id, artifact_id) values (null, 'a3'), ('later', 'a4');
    """)  # fmt: skip
    lake.refresh([db])
    assert lake.rows("half_done_artifacts") == []
    assert len(lake.rows("rejected_rows")) == 2
    assert_as_built_anew(lake, compiled, [db])


@pytest.mark.parametrize("events", [0, 3])
def test_a_file_that_moved_and_went_on_is_one_file(
    tmp_path: Path, compiled: Path, refreshed: Path, events: int
) -> None:
    db, moved = tmp_path / "t.sqlite3", tmp_path / "moved.sqlite3"
    script(db, """
        create table http_events (id integer primary key, run_id, ts);
        create table run_summary (run_id text primary key, started_at, finished_at);
        insert into run_summary values ('r', 1764000000, null);
    """)  # fmt: skip
    event = "insert into http_events (run_id, ts) values ('r', ?)"
    for number in range(events):
        script(db, event, 1_764_000_000 + number)
    lake = RefreshedLake(compiled, refreshed)
    lake.refresh([db])
    db.rename(moved)
    script(moved, "insert or replace into run_summary values ('r', 1764000000, ?)", 1_764_000_060)
    script(moved, event, 1_764_000_030)
    lake.refresh([moved])
    found = lake.connection.execute("select finished_at from lake.raw.run_summary").fetchall()
    assert found == [(1_764_000_060,)]
    assert_as_built_anew(lake, compiled, [moved])


@dataclass
class Live:
    """A file that a crawler writes.

    Attributes:
        path: where it lies now.
        runs: the runs it records, and what names no run.
        worker: names who writes it, of those who share a run.
        copied: there is a copy of it.
        loaded: a copy of it as it was when it was loaded, out of the loader's sight.
    """

    path: Path
    runs: tuple[str | None, ...]
    worker: str
    copied: bool = False
    loaded: Path | None = None


def step(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a method that is given a file, after which the files may be loaded."""

    def decorate(method: Callable[..., None]) -> Any:
        def run(self: Files, place: int, load: bool, **values: Any) -> None:
            method(self, self.files[place % len(self.files)], **values)
            if load:
                self.load()

        run.__name__ = method.__name__
        return rule(place=st.integers(0, 3), load=st.booleans(), **drawn)(run)

    return decorate


class Files(RuleBasedStateMachine):
    """What becomes of telemetry files, with a warehouse that is refreshed now and then."""

    def __init__(self, compiled: Path, refreshed: Path, folder: Path) -> None:
        super().__init__()
        self.compiled = compiled
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        for name in ("live", "before"):
            (self.folder / name).mkdir()
        self.lake = RefreshedLake(compiled, refreshed)
        self.files: list[Live] = []
        self.count = 0

    def name(self) -> Path:
        """Return a path in the folder that is loaded."""
        self.count += 1
        return self.folder / "live" / f"{self.count}.sqlite3"

    def make(self, path: Path) -> Live:
        """Make an empty file for runs that no file had."""
        strategies.write_file(path, FileData(COLUMNS, {table: [] for table in COLUMNS}))
        self.count += 1
        return Live(path, (f"{self.count}a", f"{self.count}b", SHARED, None, " "), f"{self.count}")

    def insert(self, file: Live, table: str, drawn: RowData, run: int) -> None:
        """Add a row, which no other worker of its run has."""
        row = {**drawn, "run_id": file.runs[run]}
        if row["run_id"] == SHARED and "work_id" in row:
            row["work_id"] = file.worker
        if "ts" in row:
            self.count += 1
            row["ts"] += self.count / 1024
        marks = ", ".join("?" for _ in row)
        script(file.path, f"insert or replace into {table} ({', '.join(row)}) values ({marks})",
               *row.values())  # fmt: skip

    def load(self) -> None:
        """Load the folder, and refresh."""
        self.lake.refresh([self.folder / "live"])
        for file in self.files:
            self.count += 1
            file.loaded = self.folder / "before" / f"{self.count}.kept"
            shutil.copy(file.path, file.loaded)

    @initialize()
    def begin(self) -> None:
        """Begin the first file."""
        self.files.append(self.make(self.name()))

    @rule()
    def begin_another(self) -> None:
        """Begin another file, unless there are enough."""
        if len(self.files) < 3:
            self.files.append(self.make(self.name()))

    @step(new=st.lists(st.tuples(ROWS, st.integers(0, 4)), min_size=1, max_size=4))
    def append(self, file: Live, new: list[tuple[tuple[str, RowData], int]]) -> None:
        """Record some events, after a run's end too."""
        for (table, row), run in new:
            self.insert(file, table, row, run)

    @step(row=ROWS, run=st.integers(0, 4))
    def grow(self, file: Live, row: tuple[str, RowData], run: int) -> None:
        """Record many events."""
        for _ in range(20):
            self.insert(file, *row, run)

    @step(row=row_of("downloads"), which=st.integers(0, 9))
    def update(self, file: Live, row: RowData, which: int) -> None:
        """Update a row of downloads."""
        if not file.copied:
            changes = ", ".join(f"{name} = ?" for name in UPDATED)
            script(file.path, f"update downloads set {changes} where id = (select id from downloads"
                   f" where run_id is not null order by id limit 1 offset {which:d})",
                   *(row[name] for name in UPDATED))  # fmt: skip

    @step(row=ROWS)
    def give_an_id_out_again(self, file: Live, row: tuple[str, RowData]) -> None:
        """Delete the last row of a table and record another of its run, which gets its id."""
        table, values = row
        last = query(file.path, f"select run_id from {table} order by id desc limit 1")
        if not file.copied and last and last[0][0] is not None:
            script(
                file.path,
                f"delete from {table} where id = (select max(id) from {table});"
                f"update sqlite_sequence set seq = seq - 1 where name = '{table}'",
            )
            self.insert(file, table, values, file.runs.index(last[0][0]))

    @step(row=row_of("run_summary"), run=st.integers(0, 2), ends=st.booleans())
    def end(self, file: Live, row: RowData, run: int, ends: bool) -> None:
        """Record a run's end, or that it goes on after all."""
        if not file.copied:
            self.insert(file, "run_summary", row if ends else {**row, "finished_at": None}, run)

    @step()
    def copy(self, file: Live) -> None:
        """Copy a file."""
        shutil.copy(file.path, self.name())
        file.copied = True

    @step()
    def move(self, file: Live) -> None:
        """Give a file another name."""
        file.path = file.path.rename(self.name())

    @step()
    def replace(self, file: Live) -> None:
        """Put a new file in a file's place; what was loaded of the old one stays loaded."""
        if not file.copied:
            if file.loaded:
                file.loaded.rename(file.loaded.with_suffix(".sqlite3"))
            file.path.unlink()
            self.files[self.files.index(file)] = self.make(file.path)

    def teardown(self) -> None:
        """Compare the warehouse with one built anew and with the files."""
        self.load()
        folders = [self.folder / "live", self.folder / "before"]
        anew = assert_as_built_anew(self.lake, self.compiled, folders)
        own = [file.path for file in self.files]
        assert_as_direct(anew, self.compiled, [*own, *folders[1].glob("*.sqlite3")])
        for lake in (anew, self.lake):
            lake.connection.close()
        shutil.rmtree(self.folder)


@pytest.mark.slow
def test_whatever_becomes_of_the_files(compiled: Path, refreshed: Path, tmp_path: Path) -> None:
    examples = max(1, settings().max_examples // 5)
    run_state_machine_as_test(
        lambda: Files(compiled, refreshed, tmp_path),
        settings=settings(max_examples=examples, stateful_step_count=15),
    )
