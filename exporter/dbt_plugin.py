"""The dbt-duckdb plugin that makes a bare ``dbt build`` lock, load, build, publish and clean up.

dbt-duckdb calls `Plugin.configure_connection` where dbt connects, before it attaches the
warehouse, and `Plugin.store` from the macros load_telemetry and publish_results.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from dbt_common.exceptions import DbtRuntimeError

from exporter import housekeeping, touched, warehouse
from exporter.errors import TelemetryError
from exporter.loader import LoadReport, load
from exporter.lock import Lock
from exporter.paths import warehouse_dir


@dataclass
class Invocation:
    """What the caller of dbt asks of the plugin, and what the plugin has to say afterwards.

    Attributes:
        names: sources to load; None takes them from DOCSTOKG_TELEMETRY_DB_PATH.
        say: takes messages for people.
        report: what the load did, once it has run.
        published: whether the results were published; None until that was decided.
        planted: the seeds are as their files say, though dbt did not build them.
        loaded: the load has been done already, by the caller.
    """

    names: Sequence[str] | None = None
    say: Callable[[str], None] = warehouse.say
    report: LoadReport | None = None
    published: bool | None = None
    planted: bool = False
    failure: TelemetryError | None = field(default=None, repr=False)


#: The connection that dbt holds, for `disconnect`.
_connected: list[duckdb.DuckDBPyConnection] = []


def disconnect() -> None:
    """Let go of the warehouse after an invocation; dbt would take it for the next one's too."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    while _connected:
        _connected.pop().close()
    DuckDBConnectionManager.close_all_connections()


#: The invocation under way: dbt makes the plugin itself, so `run` leaves its wishes here.
current = Invocation()


class Plugin(BasePlugin):
    """Connects dbt to the warehouse."""

    _connection: duckdb.DuckDBPyConnection

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Load the extensions, take the warehouse's lock, and make room for the session's facts."""
        folder = warehouse_dir()
        with _reported():
            self._lock = Lock(folder)
            self._lock.acquire(current.say)
            warehouse.configure(conn)
            warehouse.attach_writer(conn)
        touched.make_room(conn)
        self._connection = conn
        _connected.append(conn)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Set what a cursor does not take over from its connection."""
        warehouse.configure_cursor(cursor)

    def store(self, target_config: TargetConfig) -> None:
        """Carry out the step that a macro asks for: prepare, load or publish."""
        wishes: dict[str, Any] = target_config.config
        cursor = self._connection.cursor()
        warehouse.configure_cursor(cursor)
        with _reported():
            version = warehouse.models_version(Path(wishes["project"]))
            if wishes["step"] == "publish":
                _publish(cursor, version, wishes["outcomes"], wishes["needed"])
                return
            if wishes["step"] == "load":
                _load(cursor)
                current.planted = _plant(cursor, version, Path(wishes["project"]), wishes["seeds"])
            _touch(cursor, version)


def _load(cursor: duckdb.DuckDBPyConnection) -> None:
    if current.report is not None:
        return
    names = current.names
    if names is None:
        named = os.environ.get("DOCSTOKG_TELEMETRY_DB_PATH")
        names = [named] if named else []
    if not names:
        current.say("no source named (DOCSTOKG_TELEMETRY_DB_PATH): building on what is loaded")
        return
    current.report = load(cursor, names, current.say)
    for skip in current.report.skipped:
        current.say(f"skipped {skip.path}: {skip.reason}")


def _plant(
    cursor: duckdb.DuckDBPyConnection, version: str, project: Path, seeds: list[dict[str, Any]]
) -> bool:
    """Make the seeds that `dbt run` leaves to `dbt seed`; return whether they are current now."""
    published = warehouse.last_publication(cursor)
    if published is None or published.models_version.split("-")[-1] != version.split("-")[-1]:
        for seed in seeds:
            columns = ", ".join(
                f"cast(nullif({name}, '') as {kind}) as {name}"
                for name, kind in seed["types"].items()
            )
            cursor.execute(f"create schema if not exists lake.{seed['schema']}")
            cursor.execute(
                f"create or replace table lake.{seed['schema']}.{seed['name']} as "
                f"select {columns} from read_csv(?, header = true, all_varchar = true)",
                [str(project / seed["path"])],
            )
    return bool(seeds)


def _touch(cursor: duckdb.DuckDBPyConnection, version: str) -> None:
    """Name the runs whose marts are out of date, and what has to be built anew: where models or
    seeds have changed, their columns may be others too.
    """
    published = warehouse.last_publication(cursor)
    before = published.models_version.split("-") if published is not None else ["", ""]
    changed = [
        kind
        for kind, old, new in zip(("model", "seed"), before, version.split("-"), strict=True)
        if old != new
    ]
    after = published.load_id if published is not None and not changed else -1
    touched.touch(cursor, after, changed)


def _publish(
    cursor: duckdb.DuckDBPyConnection,
    version: str,
    outcomes: dict[str, str],
    needed: Sequence[dict[str, Any]],
) -> None:
    """Publish when everything that had to be built was built and nothing failed."""
    current.published = False
    bad = [name for name, status in outcomes.items() if status in ("error", "fail", "skipped")]
    if bad:
        names = ", ".join(name.split(".", 2)[-1] for name in bad[:3])
        current.say(f"not published: {len(bad)} failed or skipped ({names})")
        return
    before = warehouse.last_publication(cursor)
    models, seeds = version.split("-")
    same_models = before is not None and before.models_version.split("-")[0] == models
    same_seeds = before is not None and before.models_version.split("-")[-1] == seeds
    missing = [
        node["id"]
        for node in needed
        if node["id"] not in outcomes
        and not ((same_seeds or current.planted) if node["id"].startswith("seed.") else same_models)
        or node["is_stored"]
        and node["id"] not in outcomes
    ]
    if missing:
        names = ", ".join(name.split(".")[2] for name in missing[:3])
        current.say(f"not published: {len(missing)} nodes were not built ({names}): run dbt build")
        return
    relations = {(node["schema"], node["name"]) for node in needed}
    schemas = {schema for schema, _ in relations}
    if before is not None and not same_models:
        housekeeping.drop_stale(cursor, schemas.union(before.schemas), relations)
    warehouse.publish(cursor, version, sorted(schemas))
    housekeeping.clean_up(cursor)
    current.published = True


class _reported:
    """Hand errors a person can act on to dbt as its own kind, and keep them for the caller."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, duckdb.Error):
            error = TelemetryError(str(error))
        if isinstance(error, TelemetryError):
            current.failure = error
            raise DbtRuntimeError(str(error)) from error
