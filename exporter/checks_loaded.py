"""Checks of a file against what the warehouse has of it: rows not loaded yet, rows rejected.

DuckDB reads the file here: see `exporter.examine` for why nothing else may in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb

from exporter import warehouse
from exporter.checks_warehouse import Warehouse
from exporter.errors import TelemetryError, one_line
from exporter.findings import STATUSES, Finding, good, plural
from exporter.load_plan import Marks, SourceFailed
from exporter.raw_sql import ENGINE_ERRORS
from exporter.rejections import over_file
from exporter.results import Row, rows
from exporter.sources import Source, attached

#: Rows of a file of which the models' rule is tried at once: a second or two.
TRIED_ROWS: Final = 500_000
_VERDICTS: Final = (
    "select * from lake.marts.rejection_verdicts where table_name is not null "
    "and coalesce(list_contains(?, file_id), true) order by list_position(?, status), table_name"
)
_RUN: Final = "docstokg-telemetry run --db FILE"


def check_loaded(store: Warehouse, path: str, deep: bool) -> Iterator[Finding]:
    """Compare a file that can be read with what was loaded of it, and count rejected rows."""
    lake = store.lake
    connection = lake if lake is not None else warehouse.connect(("sqlite_scanner",))
    try:
        with attached(connection, [(path, True)]) as probe:
            if not probe.sources:
                reason = probe.skipped[0].reason if probe.skipped else "it cannot be read"
                for check in ("loaded", "rejected rows"):
                    yield Finding(check, "unknown", f"the loader skips this file: {reason}",
                                  "see what is bad about it above")  # fmt: skip
                return
            sources, new = probe.sources, None
            if lake is not None:
                marks = Marks(lake)
                sources = [marks.identify(source) for source in sources]
                new = _new_rows(lake, marks, sources)
            file_ids = [source.file_id for source in sources]
            yield _loaded(lake, file_ids, new)
            is_loaded = new is not None and not any(new.values())
            known = file_ids if is_loaded else None
            yield _rejected(connection, sources, known, deep, store.project)
    except (*ENGINE_ERRORS, SourceFailed, OSError) as error:
        for check in ("loaded", "rejected rows"):
            yield Finding(check, "unknown", one_line(error), f"see what {_RUN} says of it")
    finally:
        if lake is None:
            connection.close()


def _rejected(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Source],
    file_ids: Sequence[str] | None,
    deep: bool,
    project: Path | None,
) -> Finding:
    check = "rejected rows"
    try:
        found = None
        if file_ids is not None:
            with suppress(duckdb.CatalogException):  # models without verdicts built the warehouse
                found, where = _verdicts(connection, file_ids), "as loaded"
        if found is None:
            number = sum(_estimate(connection, source) for source in sources)
            if number > TRIED_ROWS and not deep:
                why = f"not loaded yet, and {number:,} rows are too many to try in a few seconds"
                return Finding(check, "unknown", why, f"{_RUN}; or doctor --deep")
            found = over_file(
                sources[0].path,
                project,
                ["rejection_verdicts"],
                lambda opened, _: _verdicts(opened),
            )
            where = "as they would be loaded"
    except (TelemetryError, *ENGINE_ERRORS) as error:
        return Finding(check, "unknown", one_line(error), f"see what {_RUN} says")
    return _judged(found, where)


def _verdicts(
    connection: duckdb.DuckDBPyConnection, file_ids: Sequence[str] | None = None
) -> list[Row]:
    """Return the verdicts on the tables of a file, or of the only one there is, the worst first."""
    return rows(connection, _VERDICTS, file_ids, list(STATUSES))


def _judged(found: list[Row], where: str) -> Finding:
    count, total = (sum(table[name] for table in found) for name in ("rejected", "row_count"))
    if not count:
        return good("rejected rows", f"none of {total:,}, {where}")
    told = [(-why["rejected"], table["table_name"], why["reason"])
            for table in found for why in table["reasons"]]  # fmt: skip
    listed = ", ".join(f"{table} {-number:,} ({reason})" for number, table, reason in sorted(told))
    return Finding(
        "rejected rows",
        found[0]["status"],
        f"{count:,} of {total:,}, {where}: {listed}",
        "docs/runbooks/data-quality.md: rejected rows",
    )


def _new_rows(
    lake: duckdb.DuckDBPyConnection, marks: Marks, sources: Sequence[Source]
) -> dict[str, int] | None:
    """Return by table how many rows are not loaded yet; None where nothing of the file is."""
    known = lake.execute(
        "select count(*) from lake.raw.source_files where list_contains(?, file_id)",
        [[source.file_id for source in sources]],
    ).fetchone()
    if not known or not known[0]:
        return None
    new: dict[str, int] = {}
    for source in sources:
        for table, shape in source.tables.items():
            plan = marks.plan(source, table)
            if plan is not None:
                new[shape.name.lower()] = plan.new_rows
    return new


def _loaded(
    lake: duckdb.DuckDBPyConnection | None, file_ids: Sequence[str], new: dict[str, int] | None
) -> Finding:
    if lake is None or new is None:
        why = "nothing is published" if lake is None else "the warehouse has no row of this file"
        return Finding("loaded", "warning", why, _RUN)
    ids = lake.execute(
        "select table_name, last_id from lake.meta.watermarks where list_contains(?, file_id) "
        "order by 1, 2",
        [file_ids],
    ).fetchall()
    upto = ", ".join(f"{table} {last:,}" for table, last in ids) or "its tables keep no ids"
    if waiting := {table: number for table, number in new.items() if number}:
        listed = ", ".join(f"{table} {number:,}" for table, number in waiting.items())
        return Finding(
            "loaded",
            "warning",
            f"{plural(sum(waiting.values()), 'row')} newer than what is published: {listed}; "
            f"loaded up to id: {upto}",
            _RUN,
        )
    return good("loaded", f"up to id: {upto}")


def _estimate(connection: duckdb.DuckDBPyConnection, source: Source) -> int:
    total = 0
    for shape in source.tables.values():
        sql = f"select count(*) as n from {shape.name}"
        row = connection.execute(
            "select try_cast(n as bigint) from sqlite_query(?, ?)", [source.alias, sql]
        ).fetchone()
        total += int(row[0] or 0) if row else 0
    return total
