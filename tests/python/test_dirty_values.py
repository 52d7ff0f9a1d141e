"""Values that do not fit: read by every reader alike, told where they are many."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from exporter import direct, results, samples
from exporter.compiled import Models
from exporter.crawler_tables import CRAWLER_TABLES
from exporter.errors import TelemetryError
from exporter.raw_sql import careful_sql, lean_sql, typed_reader_fits, typed_sql

from .support.runs import Tool

START = 1_795_000_000
FLAGS = {
    "true": 1, " YES\n": 1, "t": 1, "1": 1, 1: 1, "False": 0, "no": 0, "F": 0, 0: 0,
    "y": None, "truth": None, "": None, None: None,
}  # fmt: skip


def file_of(path: Path, declared: str, rows: Sequence[tuple[object, ...]]) -> Path:
    """Write http_events of (run_id, ts, status, from_cache), as declared."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"create table http_events (id integer primary key autoincrement, {declared}, "
            "role default 'metadata', host default 'h.example')"
        )
        connection.executemany(
            "insert into http_events (run_id, ts, status, from_cache) values (?, ?, ?, ?)", rows
        )
        connection.commit()
    return path


UNTYPED = "run_id, ts, status, from_cache"
TYPED = "run_id text, ts real, status integer, from_cache integer"


@pytest.mark.parametrize("declared", [UNTYPED, TYPED])
def test_flags_are_read_alike_by_every_reader(tmp_path: Path, declared: str) -> None:
    path = file_of(tmp_path / "f.db", declared, [("r", START, 200, flag) for flag in FLAGS])
    with direct.attached_in_memory([(str(path), True)]) as (connection, probe):
        (source,) = probe.sources
        shape = source.tables["http_events"]
        wanted = {"run_id", "from_cache", "misfits"}
        readers = [
            careful_sql("http_events", shape, source.alias),
            lean_sql("http_events", shape, source.alias, "true", wanted),
        ]
        for sql in readers:
            found = connection.execute(f"select from_cache from ({sql}) order by id").fetchall()
            assert [value for (value,) in found] == list(FLAGS.values())
            ((misfits,),) = connection.execute(
                f"select string_agg(misfits, ' ' order by id) from ({sql})"
            ).fetchall()
            assert misfits == " ".join(
                f'[{{"column":"from_cache","value":"{value}"}}]' for value in ("y", "truth", "")
            )


def test_flags_of_a_clean_file_are_scanned(tmp_path: Path) -> None:
    path = file_of(tmp_path / "f.db", TYPED, [("r", START, 200, flag) for flag in ("1", None, 0)])
    with direct.attached_in_memory([(str(path), True)]) as (connection, probe):
        shape = probe.sources[0].tables["http_events"]
        columns = {"host", "role"}
        shape = replace(shape, columns={k: v for k, v in shape.columns.items() if k not in columns})
        assert typed_reader_fits("http_events", shape)
        sql = typed_sql("http_events", shape, probe.sources[0].alias)
        found = connection.execute(f"select from_cache, misfits from ({sql}) order by id")
        assert found.fetchall() == [(1, None), (None, None), (0, None)]


def test_a_summary_names_columns_whose_values_do_not_fit(tmp_path: Path, compiled: Path) -> None:
    rows = [("r", START + i, "OK" if i < 2 else 200, "ja" if i else "nein") for i in range(200)]
    path = file_of(tmp_path / "f.db", UNTYPED, [*rows, ("r2", START, 200, 1)])
    with direct.opened([str(path)], "r", compiled, results.SUMMARY_MODELS) as found:
        columns = results.summary(found.connection, "r").misfit_values
    assert columns == [
        {"table_name": "http_events", "column_name": "from_cache", "misfits": 200,
         "row_count": 200, "misfit_pct": 100.0, "is_notable": True, "example": "ja"},
        {"table_name": "http_events", "column_name": "status", "misfits": 2,
         "row_count": 200, "misfit_pct": 1.0, "is_notable": True, "example": "OK"},
    ]  # fmt: skip
    with direct.opened([str(path)], "r2", compiled, results.SUMMARY_MODELS) as found:
        assert results.summary(found.connection, "r2").misfit_values == []


@pytest.mark.parametrize(
    ("run_id", "ts", "why"),
    [
        ("r", "gestern", "no usable time (such as 'gestern');"),
        ("r", None, "no usable time;"),
        (" ", START, "no usable run_id (such as ' ');"),
        ("r", 5, "no usable time (such as '5.0');"),
    ],
)
def test_a_file_all_of_whose_rows_are_rejected_says_so(
    tmp_path: Path, compiled: Path, run_id: str, ts: object, why: str
) -> None:
    path = file_of(tmp_path / "f.db", UNTYPED, [(run_id, ts, 200, 1)] * 3)
    said = f"no run in {path}: 3 rows of http_events are rejected, with {why}"
    with (
        pytest.raises(TelemetryError) as told,
        direct.opened([str(path)], "latest", compiled, results.SUMMARY_MODELS),
    ):
        pass
    assert str(told.value).startswith(said)
    with pytest.raises(TelemetryError) as told:
        samples.collect([str(path)], "latest", 1, compiled, "models")
    assert str(told.value).startswith(said)


@pytest.mark.parametrize("index", ["select 1", "create index i on http_events (run_id, ts)"])
@pytest.mark.parametrize(
    ("ts", "latest", "looks"),
    [
        (946684799.5, None, 1),
        (946684800.0, 946684800, 0),
        (4133980799.5, 4133980799.5, 0),
        (4133980800.0, None, 1),
        (946684800000.0, 946684800, 1),  # milliseconds
    ],
)
def test_runs_are_found_by_the_times_that_staging_takes(
    tmp_path: Path,
    compiled: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: str,
    ts: float,
    latest: float | None,
    looks: int,
) -> None:
    path = file_of(tmp_path / "f.db", TYPED, [("r", ts, 200, 0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(index)
    by_models, asked = direct._runs_by_models, []
    monkeypatch.setattr(
        direct, "_runs_by_models", lambda *given: asked.append(1) or by_models(*given)
    )
    runs, skipped = direct.runs_of([(str(path), True)], compiled)
    assert runs == {str(path): {} if latest is None else {"r": latest}}
    assert (len(asked), skipped) == (looks, [])


def test_the_crawlers_own_tables_are_read_by_the_same_first_time(compiled: Path) -> None:
    bounds = Models(compiled.read_text("utf-8")).models["int_time_bounds"]["sql"]
    first, end = duckdb.sql(bounds).fetchall()[0]
    assert (first, end) == (
        datetime(2000, 1, 1, tzinfo=UTC).timestamp(),
        datetime(2101, 1, 1, tzinfo=UTC).timestamp(),
    )
    assert f">= {first:.0f} " in CRAWLER_TABLES["breaker_events"].columns["ts"][0]


@pytest.mark.slow
def test_a_load_that_rejects_half_of_a_files_new_rows_names_it(tool: Tool, tmp_path: Path) -> None:
    rows = [("r", START, 200, 0), ("r", "gestern", 200, 0), (" ", START, 200, 0), ("r", None, 1, 1)]
    path = file_of(tmp_path / "f.db", UNTYPED, [*rows, *rows[:2]])
    done = tool("run", "--db", path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"{path}: 4 of 6 new rows rejected, with no usable time (such as 'gestern'); "
        "see which and what to do: docstokg-telemetry doctor --db FILE",
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "insert into http_events (run_id, ts, status, from_cache) values (?, ?, ?, ?)",
            [*[rows[0]] * 2, rows[1]],
        )
        connection.commit()
    done = tool("run", "--db", path)  # of the new ones fewer than half
    assert (done.returncode, "rejected, with" in done.stderr) == (0, False)
