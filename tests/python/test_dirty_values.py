"""Values that do not fit: read by every reader alike, told where they are many."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import direct, results, samples
from exporter.errors import TelemetryError
from exporter.raw_sql import careful_sql, lean_sql, typed_reader_fits, typed_sql

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
