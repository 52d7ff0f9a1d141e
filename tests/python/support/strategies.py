"""Hypothesis strategies for whole telemetry files, good ones and dirty ones, and a writer for them.

``telemetry_files()`` draws a file as plain Python data; ``write_file`` makes the SQLite file.
Values come from small pools, so that ties, repeated artifacts and shared hosts are common and an
example shrinks towards the ordinary. What the contract gives no meaning is not drawn: blanks
around a name, numbers in hexadecimal or with underscores, ISO times in the basic format, a file
with both ts and timestamp, a JSON key given twice.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import strategies as st

from .values import BadText, Value

MAX_ROWS = 40
START = datetime(2025, 11, 23, 23, 20, tzinfo=UTC)  # 40 minutes before a day ends
START_S = int(START.timestamp())

# Columns that every file has, and columns that older files lack. The time column is apart.
GUARANTEED = {
    "http_events": ("run_id", "host", "role", "method", "status", "url_hash", "from_cache",
                    "rate_delay_ms", "elapsed_ms"),
    "rate_events": ("run_id", "host", "role", "action", "delay_ms"),
    "breaker_transitions": ("run_id", "host", "scope", "old_state", "new_state"),
    "fallback_attempts": ("run_id", "work_id", "artifact_id", "outcome"),
    "downloads": ("run_id", "artifact_id", "sha256"),
    "run_summary": ("run_id", "started_at", "finished_at", "artifacts_total", "artifacts_success",
                    "yield_pct", "ttfp_p50_ms", "ttfp_p95_ms", "cache_hit_pct",
                    "rate_delay_p95_ms", "http_429_ratio", "breaker_open_events",
                    "dedupe_saved_mb", "corruption_count"),
}  # fmt: skip
OPTIONAL = {
    "http_events": ("revalidated", "stale", "retry_count", "retry_after_s", "sample_weight",
                    "breaker_state", "breaker_recorded", "error"),
    "rate_events": ("max_delay_ms",),
    "breaker_transitions": ("reset_timeout_s", "details"),
    "fallback_attempts": ("tier", "source", "resolver_name", "host", "reason", "status",
                          "elapsed_ms", "metadata"),
    "downloads": ("work_id", "resolver_name", "final_path", "content_type", "content_length",
                  "dedupe_action", "elapsed_ms", "metadata"),
    "run_summary": (),
}  # fmt: skip
TABLES = tuple(GUARANTEED)

# --- pools: what an ordinary file holds --------------------------------------------------------

RUNS: tuple[Value, ...] = ("run-1", "run-2")
_OFFSETS_S: tuple[float, ...] = (
    0, 1, 1, 0.001, 0.25, 2, 5, 30.5, 1800, 2399.999, 2400, 3599.999, 3600, 3600.001, 7200, 90_000,
)  # fmt: skip
_HOSTS = ("a.example", "b.example", "web.archive.org", "c.example")
_ROLES = ("metadata", "metadata", "artifact", "landing", "Metadata", "ARTIFACT")
_STATES = ("open", "closed", "half_open", "OPEN", "CLOSED", "HALF-OPEN", "BreakerState.OPEN",
           "BreakerState.CLOSED", "CircuitHalfOpenState", "CircuitOpenState",
           "CircuitClosedState", "BreakerState.HALF_OPEN", "Half Open")  # fmt: skip
_RESOLVERS = ("unpaywall", "wayback", "doi")
_METADATA = ('{"resolver_name": "wayback"}', '{"resolver_name":"crossref","x":[1]}', "{}",
             '{"resolver_name": null}', '{"resolver_name": ""}', "[]")  # fmt: skip
_MS = (0, 1, 10, 250, 250.5, 2000, 12.25, 100)

_GOOD: dict[str, tuple[Value, ...]] = {
    "host": _HOSTS,
    "role": _ROLES,
    "method": ("GET", "HEAD"),
    "url_hash": ("ab" * 32, "cd" * 32),
    "status": (200, 429, 304, 503, None),
    "from_cache": (1, 0, None),
    "revalidated": (0, 1),
    "stale": (0, 1),
    "retry_count": (0, 1, 3),
    "retry_after_s": (None, 1, 60.5),
    "rate_delay_ms": (*_MS, None),
    "sample_weight": (1, None, 10, 2.5, 0, 0.1, 0.7, 1e308),
    "breaker_state": _STATES,
    "breaker_recorded": ("success", "failure", "none"),
    "elapsed_ms": (*_MS, None),
    "error": (None, "ReadTimeout"),
    "action": ("acquire", "block", "head_skip"),
    "delay_ms": (*_MS, None),
    "max_delay_ms": _MS,
    "scope": ("host", "resolver"),
    "old_state": ("closed", "half_open", *_STATES),
    "new_state": ("open", *_STATES),
    "reset_timeout_s": (30, 60.5, None),
    "details": (None, "{}"),
    "work_id": ("w1", "w2", "a1", None),
    "artifact_id": ("a1", "a2", "a3", "a4", "a5", None),
    "tier": ("direct", "fallback", None),
    "source": (*_RESOLVERS, None, None),
    "resolver_name": (*_RESOLVERS, None, None),
    "outcome": ("success", "success", "retryable", "nonretryable", "timeout", "skipped", "error",
                "no_pdf", "Success", " SUCCESS "),
    "reason": (None, "paywall"),
    "metadata": (*_METADATA, None),
    "sha256": ("ef" * 32, "01" * 32, None, ""),
    "final_path": ("/data/1.pdf", "/data/2.pdf", None, ""),
    "content_type": ("application/pdf", None),
    "content_length": (1_048_576, 1, 123_456_789, 0, None),
    "dedupe_action": ("hardlink", "download", "copy", "skipped", None),
    "artifacts_total": (10, 0, None),
    "artifacts_success": (9, 0, None),
    "yield_pct": (90.0, None),
    "ttfp_p50_ms": (*_MS, None),
    "ttfp_p95_ms": (*_MS, None),
    "cache_hit_pct": (60.0, None),
    "rate_delay_p95_ms": (*_MS, None),
    "http_429_ratio": (0.5, None),
    "breaker_open_events": (0, 3, None),
    "dedupe_saved_mb": (0.0, 12.5, None),
    "corruption_count": (0, 1, None),
}  # fmt: skip

# --- pools: what nothing forbids ---------------------------------------------------------------

_ALIEN: tuple[Value, ...] = (None, b"\x00\xff", BadText(b"\xff\xfe\xc3"))
_BAD_RUNS: tuple[Value, ...] = (*_ALIEN, "", "   ", "\t", b"run-1")
_ODD_RUNS: tuple[Value, ...] = ("Run-1", "run'1", "lauf-ü", 7, "7")
_BAD_TIMES: tuple[Value, ...] = (
    *_ALIEN, "", "abc", "yesterday", -1, 0, 946_684_799, 4_133_980_800, 1e11, 99_999_999_999, 1e300,
    math.inf, "inf", "nan", "2025-02-30T00:00:00Z", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z",
    "2025-13-01", b"2025-11-23T00:00:00Z", 946_684_799e6, 4_133_980_800e9, 1e15, 1e19, "20251123",
    "2025-11-23T25:00Z", "2025-11-23T24:00:01Z", "2025-11-23T00:61Z", "2025-11-23 UTC",
    "2025-11-23T00:00:00+24:00", "20251131T000000Z", "2025-1123T00:00",
)  # fmt: skip
_EDGE_TIMES: tuple[Value, ...] = (
    946_684_800, 4_133_980_799, 946_684_800_000, 4_133_980_799_999, "1999-12-31T23:30:00-01:00",
    "2000-01-01T00:00:00Z", "2100-12-31T23:59:59Z", f" {START_S}.5 ", 946_684_800 * 10**9,
    4_133_980_799 * 10**6, "2025-11-23t01:02:03,25z", "2025-11-23 01:02:60 UTC",
    "20251123T010203+01", "2025-11-23T24:00", "2025-11-23T01:02:03.123456789-00:00",
    "\t2025-11-23 01:02:03,123\v", 946_684_800.000001, 4_133_980_799.999999,
)  # fmt: skip
_DIRTY_TEXT: tuple[Value, ...] = (*_ALIEN, "", "x'; drop table downloads; --", "ünï", 5, "5")
_DIRTY_COUNTS: tuple[Value, ...] = (
    *_ALIEN, "", "abc", "12", " 12.5 ", "2.5", "-2.5", 0.5, "0.5", 2.5, -1, 2, "1e3", "1", "429",
    428.5, "428.5", "true", math.inf, "inf", "nan", 2**53 + 1, 2**63 - 1, -(2**63), 1e300,
    "9223372036854775808",
)  # fmt: skip
_DIRTY_FLAGS: tuple[Value, ...] = (
    *_DIRTY_COUNTS, "True", "yes", "T", "false", " NO\n", "f", "\vTRUE ", "y", "truth", "t rue",
)  # fmt: skip
_DIRTY_NUMBERS: tuple[Value, ...] = (
    *_ALIEN, "", "abc", "12", " 12.5 ", "-3.5", -1, -250.5, "1e3", math.inf, "inf", "-inf", "nan",
    1e15, 2**53, "1e400", -0.0, 5e-324, 1e-200, -1e-200, 1e200, 1e308, -1e308,
    "1.7976931348623157e308",
)  # fmt: skip
_DIRTY_STATES: tuple[Value, ...] = (*_ALIEN, "", "tripped", 1, "<State.OPEN: 'open'>")
_DIRTY_METADATA: tuple[Value, ...] = (
    *_ALIEN, "", "not json", '{"resolver_name": "x"', "null", '"wayback"', 5,
    '{"resolver_name": "\\u00fcber"}', '{"resolver_name": ["doi"]}', '{"source": "doi"}',
)  # fmt: skip

_COUNTS = ("status", "from_cache", "revalidated", "stale", "retry_count", "content_length",
           "artifacts_total", "artifacts_success", "breaker_open_events",
           "corruption_count")  # fmt: skip
_FLAGS = ("from_cache", "revalidated", "stale")
_NUMBERS = ("retry_after_s", "rate_delay_ms", "sample_weight", "elapsed_ms", "delay_ms",
            "max_delay_ms", "reset_timeout_s", "yield_pct", "ttfp_p50_ms", "ttfp_p95_ms",
            "cache_hit_pct", "rate_delay_p95_ms", "http_429_ratio", "dedupe_saved_mb")  # fmt: skip
_WORDS_ODD = {
    "host": ("A.Example.", " b.example", "WEB.archive.org", "c.example:443", "."),
    "role": ("mEtAdAtA", "bot"),
    "outcome": ("SUCCESS\n", "succeeded"),
    "dedupe_action": ("HARDLINK", "Copy", "symlink"),
    "artifact_id": (" ", "\t", "A1"),
    "work_id": (" ", "W1"),
}


def _dirty(column: str) -> tuple[Value, ...]:
    if column in _FLAGS:
        return _DIRTY_FLAGS
    if column in _COUNTS:
        return _DIRTY_COUNTS
    if column in _NUMBERS:
        return _DIRTY_NUMBERS
    if column in ("breaker_state", "old_state", "new_state"):
        return _DIRTY_STATES
    if column == "metadata":
        return _DIRTY_METADATA
    return (*_DIRTY_TEXT, *_WORDS_ODD.get(column, ()))


# --- files -------------------------------------------------------------------------------------

RowData = dict[str, Value]


@dataclass(frozen=True)
class FileData:
    """A telemetry file: the columns of each table it has, id first, and the rows.

    typed declares the columns as the recorder does, so that SQLite's type affinity works on the
    values; without it every value stays what it is. shout writes all names in upper case.
    """

    columns: dict[str, tuple[str, ...]]
    rows: dict[str, list[RowData]]
    typed: bool = True
    shout: bool = False


def _iso(moment: datetime, offset_hours: float | None) -> str:
    if offset_hours is None:
        return moment.isoformat().replace("+00:00", "Z")
    return moment.astimezone(timezone(timedelta(hours=offset_hours))).isoformat()


def _render_time(offset_s: float, style: str) -> Value:
    moment = START + timedelta(seconds=offset_s)
    milliseconds = round((START_S + offset_s) * 1000)
    match style:
        case "iso":
            return _iso(moment, None)
        case "iso_ahead":
            return _iso(moment, 5.5)
        case "iso_behind":
            return _iso(moment, -8)
        case "iso_space":
            return _iso(moment, None).replace("T", " ")
        case "ms":
            return milliseconds
        case "us":
            return milliseconds * 1_000
        case "ns":
            return milliseconds * 1_000_000
        case "iso_basic":
            return f"{moment:%Y%m%dT%H%M%S.%f}Z"
        case "logging":
            return f"{moment:%Y-%m-%d %H:%M:%S},{milliseconds % 1000:03d}"
        case "ms_text":
            return str(milliseconds)
        case "text":
            return str(START_S + offset_s)
        case _:
            return START_S + offset_s


_TIME_STYLES = ("s", "s", "iso", "iso_ahead", "iso_behind", "iso_space", "iso_basic", "logging",
                "ms", "us", "ns", "ms_text", "text")  # fmt: skip


def times(style: str, dirty: bool) -> st.SearchStrategy[Value]:
    """Draw a time near START; a dirty file mixes the styles and has times that are none."""
    if not dirty:
        return st.sampled_from([_render_time(offset, style) for offset in _OFFSETS_S])
    usable = [_render_time(o, s) for o in _OFFSETS_S[::3] for s in (style, *_TIME_STYLES)]
    return st.sampled_from([*usable, *_BAD_TIMES, *_EDGE_TIMES])


@st.composite
def telemetry_files(
    draw: st.DrawFn, runs: Sequence[Value] = RUNS, odd_runs: Sequence[Value] = _ODD_RUNS
) -> FileData:
    """Draw a telemetry file: half of them clean, any table or optional column may be missing.

    A file names the runs given, and, if it is dirty, odd_runs too: pass other ones, and no
    odd_runs, for files that must not share a run.
    """
    dirty = draw(st.booleans())
    style = draw(st.sampled_from(_TIME_STYLES))
    time_column = "timestamp" if style.startswith("iso") and draw(st.booleans()) else "ts"
    run_pool = st.sampled_from([*runs] * 8 + [*odd_runs, *_BAD_RUNS] if dirty else [*runs])
    columns: dict[str, tuple[str, ...]] = {}
    rows: dict[str, list[RowData]] = {}
    for table in TABLES:
        if draw(st.integers(0, 9)) == 9:
            continue
        columns[table] = _draw_columns(draw, table, time_column)
        rows[table] = _draw_rows(draw, columns[table], run_pool, times(style, dirty), dirty)
    return FileData(columns, rows, typed=draw(st.booleans()), shout=draw(st.integers(0, 9)) == 9)


def _draw_columns(draw: st.DrawFn, table: str, time_column: str) -> tuple[str, ...]:
    optional = OPTIONAL[table]
    is_older = draw(st.booleans())
    if optional and is_older:
        lacking = draw(st.sets(st.sampled_from(optional)))
        optional = tuple(column for column in optional if column not in lacking)
    if table == "run_summary":
        return (*GUARANTEED[table], *optional)
    has_time = table != "downloads" or draw(st.integers(0, 4)) < 4
    return ("id", *GUARANTEED[table], *optional, *([time_column] if has_time else []))


def row_of(
    columns: Sequence[str],
    run_pool: st.SearchStrategy[Value],
    time_pool: st.SearchStrategy[Value],
    dirty: bool,
) -> st.SearchStrategy[RowData]:
    """Draw a row of the columns, without its id."""
    cells: dict[str, st.SearchStrategy[Value]] = {}
    for column in columns:
        if column == "run_id":
            cells[column] = run_pool
        elif column in ("ts", "timestamp", "started_at", "finished_at"):
            cells[column] = time_pool
        elif column != "id":
            good = _GOOD[column]
            cells[column] = st.sampled_from(
                [*good * (2 + 24 // len(good)), *_dirty(column)] if dirty else good
            )
    return st.fixed_dictionaries(cells)


def _draw_rows(
    draw: st.DrawFn,
    columns: tuple[str, ...],
    run_pool: st.SearchStrategy[Value],
    time_pool: st.SearchStrategy[Value],
    dirty: bool,
) -> list[RowData]:
    is_summary = "id" not in columns
    rows = draw(
        st.lists(
            row_of(columns, run_pool, time_pool, dirty),
            max_size=4 if is_summary else MAX_ROWS,
            unique_by=(lambda row: str(row["run_id"])) if is_summary else None,
        )
    )
    if is_summary:
        return rows
    first = draw(st.sampled_from((1, 1, 7, 2**31, 2**53 + 1)))
    gap = draw(st.integers(1, 3))
    return [{"id": first + gap * place, **row} for place, row in enumerate(rows)]


def _declaration(column: str, typed: bool) -> str:
    if column == "id":
        return "integer primary key autoincrement"
    if not typed:
        return ""
    if column in _COUNTS:
        return "integer"
    return "real" if column in ("ts", *_NUMBERS) else "text"


def write_file(path: Path, data: FileData) -> Path:
    """Write the SQLite file, which must not exist yet, and return its path."""
    if path.exists():
        raise FileExistsError(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute("begin")
        for table, columns in data.columns.items():
            name, names = table, [*columns]
            if data.shout:
                name, names = table.upper(), [column.upper() for column in columns]
            declared = [
                f"{written} {_declaration(column, data.typed)}"
                for written, column in zip(names, columns, strict=True)
            ]
            if table == "run_summary":
                declared[0] = f"{names[0]} text primary key"
            connection.execute(f"create table {name} ({', '.join(declared)})")
            for row in data.rows[table]:
                cells = [row[column] for column in columns]
                places = ["cast(? as text)" if isinstance(c, BadText) else "?" for c in cells]
                connection.execute(
                    f"insert into {name} ({', '.join(names)}) values ({', '.join(places)})",
                    [cell.raw if isinstance(cell, BadText) else cell for cell in cells],
                )
        connection.execute("commit")
    return path
