"""Checks of the warehouse: its folder, what is published, its lock, its models.

It reads with DuckDB: see `exporter.examine` for why nothing else may.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from exporter import warehouse
from exporter.access import why_not_writable
from exporter.errors import TelemetryError, one_line
from exporter.findings import Finding, duration, good
from exporter.lock_holder import LockHolder, holder
from exporter.paths import catalog, data_path, project_dir, warehouse_dir
from exporter.query import published
from exporter.raw_sql import ENGINE_ERRORS

_RUN: Final = "docstokg-telemetry run --db FILE"


class Warehouse:
    """The published state, open as long as files are compared with it.

    Attributes:
        lake: what is published, read-only; None where nothing is, or nothing can be read.
        project: the analyst's own copy of the dbt project.
    """

    def __init__(self, project: Path | None) -> None:
        self.project = project
        self._opened: Any = None
        self.lake: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Let go of the warehouse."""
        if self._opened is not None:
            self._opened.__exit__(None, None, None)

    def check(self) -> Iterator[Finding]:
        """Look at folder, published snapshot, lock and models."""
        yield self._check_state()
        yield self._check_lock()
        yield self._check_models()

    def _check_state(self) -> Finding:
        try:
            folder, where = warehouse_dir(), catalog()
            place = (
                str(folder)
                if where.startswith("sqlite:")
                else f"catalog in PostgreSQL, data at {data_path()}"
            )
            if (problem := why_not_writable(folder)) is not None:
                return Finding("warehouse", "bad", f"{folder}: {problem}",
                               "let this user write it, or set DOCSTOKG_WAREHOUSE")  # fmt: skip
            opened = published()
            self.lake = opened.__enter__()
            self._opened = opened
        except TelemetryError as error:
            is_new = "nothing is published" in str(error)
            remedy = _RUN if is_new else "docs/runbooks/exporter.md: data is stale, builds fail"
            found = f"nothing is published in {folder}" if is_new else str(error)
            return Finding("warehouse", "warning" if is_new else "bad", found, remedy)
        try:
            row = self.lake.execute(
                "select published_at, load_id from lake.meta.publications "
                "order by published_at desc limit 1"
            ).fetchone()
            snapshot = self.lake.execute(
                "select id from ducklake_current_snapshot('lake')"
            ).fetchone()
        except ENGINE_ERRORS as error:
            self.lake = None
            return Finding("warehouse", "bad", f"{place}: {one_line(error)}",
                           "docs/runbooks/exporter.md: data is stale, builds fail")  # fmt: skip
        age = (datetime.now(UTC) - row[0]).total_seconds() if row else 0.0
        number = snapshot[0] if snapshot else "?"
        load = row[1] if row else "?"
        return good(
            "warehouse",
            f"{place}: snapshot {number} published {duration(age)} ago, with load {load}",
        )

    @staticmethod
    def _check_lock() -> Finding:
        held: LockHolder | str | None
        try:
            held = holder(warehouse_dir())
            elsewhere = not catalog().startswith("sqlite:")
        except TelemetryError as error:
            return Finding("lock", "unknown", str(error), "correct that setting")
        if isinstance(held, str):
            return Finding("lock", "unknown", held, "fuser -v WAREHOUSE/.lock")
        if held is not None:
            return Finding(
                "lock",
                "warning",
                f"held by process {held.pid} ({held.name}): what it loads is not published yet",
                "wait for it; if it hangs, end it: readers keep what was published",
            )
        if elsewhere:
            found = "free here; writers of other machines hold theirs in PostgreSQL"
            remedy = "ask it: select * from pg_locks where locktype = 'advisory'"
            return Finding("lock", "unknown", found, remedy)
        return good("lock", "free")

    def _check_models(self) -> Finding:
        try:
            current = warehouse.models_version(project_dir(self.project))
        except (TelemetryError, OSError) as error:
            return Finding("models", "unknown", one_line(error), "reinstall, or --project-dir")
        if self.lake is None:
            return Finding("models", "unknown", "nothing is published to compare with", _RUN)
        row = self.lake.execute(
            "select models_version from lake.meta.publications order by published_at desc limit 1"
        ).fetchone()
        built = row[0] if row else None
        if built == current:
            return good("models", f"version {current}, of which all marts are built")
        parts = [
            what
            for what, a, b in zip(
                ("models", "targets"), str(built).split("-"), current.split("-"), strict=False
            )
            if a != b
        ]
        return Finding(
            "models",
            "warning",
            f"{' and '.join(parts)} changed since the marts were built: version {current} now, "
            f"{built} published",
            f"{_RUN} builds all runs anew",
        )
