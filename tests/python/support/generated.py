"""Many generated files at a time, loaded together, against their promises and plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, Phase, given, seed, settings

from exporter import results

from . import oracle, verdicts
from .lakes import Lake
from .promises import broken
from .strategies import MAX_ROWS, FileData, RowData, telemetry_files, write_file
from .telemetry import FIELDS
from .values import text

#: Files drawn at a time, and how many shapes they have.
FILES, SHAPES = 300, 12
Figures = dict[tuple[Any, ...], Any]
SCOPES = {"run": "run", "role": "run_role", "host": "run_host"}
_TTFP = ("ttfp_p50_ms", "ttfp_p95_ms", "ttfp_p99_ms", "ttfp_wall_p50_ms", "ttfp_wall_p95_ms")
_OF_HOSTS = ("cache_hit_pct", "http_429_pct", "rate_delay_p95_ms", "breaker_opens",
             "breaker_opens_per_hour")  # fmt: skip
#: Marts that plain Python knows too: what names a row of a run, and the columns compared.
MARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run_slis": (
        (), ("yield_pct", *_TTFP, *_OF_HOSTS, "dedupe_saved_mb", "corruption_count"),
    ),
    "host_slis": (("host",), _OF_HOSTS),
    "role_slis": (("role",), ("rate_delay_p95_ms",)),
    "resolver_slis": (("resolver",), ("yield_pct", *_TTFP)),
    "day_slis": (("day",), ("yield_pct", *_TTFP, "cache_hit_pct", "http_429_pct")),
    "run_verdicts": ((), ("has_passed",)),
    "slo_verdicts": (("slo", "scope", "subject"), ("status",)),
}  # fmt: skip


def generated(number: int, files: int = FILES) -> list[FileData]:
    """Return so many files, the same ones for the same number.

    Files are of few shapes, that is, have tables and columns like one of them: those of one shape
    are read as one, which saves most of the time. Of every other shape all files share their runs,
    so that there are long runs, too.
    """
    drawn: list[FileData] = []

    @seed(number)
    @settings(
        max_examples=files, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(telemetry_files())
    def draw(data: FileData) -> None:
        drawn.append(data)

    draw()
    return [
        _shaped(data, like=drawn[(place % SHAPES + 1) * len(drawn) // SHAPES - 1], place=place)
        for place, data in enumerate(drawn)
    ]


def _shaped(data: FileData, like: FileData, place: int) -> FileData:
    """Give a file the tables and columns of another, and rename its runs and rows.

    Of summaries without a usable run, which nothing tells apart, only the first file's stay.
    """
    rows: dict[str, list[RowData]] = {table: [] for table in like.columns}
    for table, columns in like.columns.items():
        for row in data.rows.get(table, ()):
            run = row["run_id"]
            if text(run) is not None:
                name = f"{run}0{place if place % 2 else place % SHAPES}"
                run = int(name) if isinstance(run, int) else name
            elif "id" not in columns and place:
                continue
            moment = row.get("ts", row.get("timestamp"))
            named = {**row, "run_id": run, "ts": moment, "timestamp": moment}
            if isinstance(row_id := row.get("id"), int):
                named["id"] = row_id + place * 10 * MAX_ROWS
            rows[table].append({column: named.get(column) for column in columns})
    return replace(like, rows=rows)


def _written(folder: Path, files: Sequence[FileData]) -> list[Path]:
    """Write files, those of one shape as one."""
    folder.mkdir()
    shapes: dict[int, FileData] = {}
    for data in files:
        whole = shapes.setdefault(id(data.columns), replace(data, rows={t: [] for t in data.rows}))
        for table, rows in data.rows.items():
            whole.rows[table] += rows
    for whole in shapes.values():
        of_runs = {str(row["run_id"]): row for row in whole.rows.get("run_summary", ())}
        if of_runs:
            whole.rows["run_summary"] = [*of_runs.values()]
    return [
        write_file(folder / f"{place}.sqlite3", whole)
        for place, whole in enumerate(shapes.values())
    ]


def faults(compiled: Path, folder: Path, files: Sequence[FileData]) -> list[str]:
    """Load files, build all models over them, and return what is wrong.

    Where something is, half of them are looked at, and half of these, until both halves are sound;
    what is wrong is told of the last ones, which stay in the folder.
    """
    paths = _written(folder, files)
    found = _faults(compiled, paths)
    if found:
        middle = len(files) // 2
        for name, half in (("a", files[:middle]), ("b", files[middle:])):
            if half and middle and (less := faults(compiled, folder / name, half)):
                return less
    return [f"{folder}: {fault}" for fault in found]


def _faults(compiled: Path, paths: Sequence[Path]) -> list[str]:
    lake = Lake(compiled)
    try:
        lake.load(paths)
        lake.build()
        expected = _expected(paths)
        found = _found(lake.connection)
        wrong = [
            f"{key}: {found.get(key)} instead of {expected.get(key)}"
            for key in sorted({*expected, *found}, key=repr)
            if key not in expected or key not in found or not _near(found[key], expected[key])
        ]
        return broken(lake) + wrong
    except duckdb.Error as error:
        return [str(error)]
    finally:
        lake.connection.close()


def _near(found: object, expected: object) -> bool:
    """Compare two values, numbers to nine digits and times to a microsecond."""
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=2e-3)
    return found == expected


def _found(connection: duckdb.DuckDBPyConnection) -> Figures:
    """Return what the models make of the files, by what it is."""
    found: Figures = {}
    for table in FIELDS:
        (found[table, "rows"],) = _one(connection, f"select count(*) from lake.raw.{table}")
        (found[table, "rejected"],) = _one(
            connection,
            f"select count(*) from lake.marts.rejected_rows where table_name = '{table}'",
        )
    for mart, (keys, slis) in MARTS.items():
        for row in results.rows(connection, f"from lake.marts.{mart}"):
            group = tuple(row[key] for key in ("run_id", *keys))
            if group[2:] != ("run_host", None):  # of no host: there is none to judge
                found |= {(mart, *group, sli): row[sli] for sli in slis}
    return found


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    (row,) = connection.execute(sql).fetchall()
    return row


def _expected(paths: Sequence[Path]) -> Figures:
    """Return what plain Python makes of the files, by what it is."""
    rows: Counter[tuple[str, str]] = Counter()
    expected: Figures = {}
    for path in paths:
        telemetry = oracle.load(path)
        for table, counts in telemetry.counts.items():
            rows[table, "rows"] += counts.source
            rows[table, "rejected"] += len(counts.rejected)
        for run_id in telemetry.runs:
            groups = [("run_slis", (), oracle.run_slis(telemetry, run_id))]
            for mart in ("host_slis", "role_slis", "resolver_slis"):
                slis_of = getattr(oracle, mart)(telemetry, run_id)
                groups += [(mart, (group,), slis) for group, slis in slis_of.items()]
            of_days = oracle.day_slis(telemetry, run_id).items()
            groups += [("day_slis", (day,), slis) for (_, day), slis in of_days]
            judged = verdicts.verdicts(telemetry, run_id)
            groups.append(("run_verdicts", (), {"has_passed": judged.passed}))
            groups += [
                ("slo_verdicts", (v.slo, SCOPES[v.scope], v.subject), {"status": v.status})
                for v in judged.slos
            ]
            expected |= {
                (mart, run_id, *group, name): value
                for mart, group, slis in groups
                for name, value in slis.items()
            }
    return {**rows, **expected}
