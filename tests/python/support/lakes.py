"""Warehouses in memory: one refreshed by the very SQL that dbt runs, and the same built anew."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from exporter import touched, warehouse
from exporter.compiled import Models
from exporter.loader import LoadReport, load
from exporter.raw_sql import literal

#: Columns that say when and from where a row was loaded, which two warehouses may differ in.
_OF_LOADS = {"load_id", "file_id", "source_path"}
_WITHOUT_LOAD = """regexp_replace(raw_values, ',"file_id":[^,]*,"load_id":[0-9]+', '')"""
#: How the build that `RefreshedLake` takes its SQL from says which run it is about, and how a build
#: of any runs does.
_ONE, _ANY = (
    "run_id = 'run'::varchar",
    'run_id in (select touched_runs.run_id from "session"."main"."touched_runs")',
)

Rows = list[tuple[object, ...]]


class Lake:
    """A warehouse in memory.

    Attributes:
        connection: relations have the names they have in a real warehouse.
        models: the compiled models.
    """

    def __init__(self, compiled: Path) -> None:
        self.models = Models(compiled.read_text("utf-8"))
        self.connection = warehouse.connect(("sqlite_scanner",))
        self.connection.execute("attach ':memory:' as lake")
        warehouse.ensure_schema(self.connection)

    def load(self, paths: Sequence[Path]) -> LoadReport:
        """Load what is new in files."""
        return load(self.connection, [str(path) for path in paths], lambda message: None)

    def ask(self, variables: Mapping[str, str]) -> None:
        """Set variables of the session, which some models read."""
        ask(self.connection, variables)

    def build(self, kept: Container[str] = ()) -> None:
        """Build all models over all runs, as tables: each is then worked out once.

        Args:
            kept: models that are left as they are.
        """
        self.models.build(self.connection, self.models.seeds)
        graph = {name: model["depends_on"] for name, model in self.models.models.items()}
        for name in TopologicalSorter(graph).static_order():
            if name in graph and name not in kept:
                self._make(name)

    def _make(self, name: str) -> None:
        model = self.models.models[name]
        self.connection.execute(f"create schema if not exists lake.{model['schema']}")
        relation = f"lake.{model['schema']}.{name}"
        for kind in ("view", "table"):
            with suppress(duckdb.CatalogException):
                self.connection.execute(f"drop {kind} if exists {relation}")
        self.connection.execute(f"create table {relation} as {model['sql']}")

    def rows(self, model: str) -> Rows:
        """Return `rows` of a model."""
        return rows(self.connection, f"{self.models.models[model]['schema']}.{model}")


class RefreshedLake(Lake):
    """A warehouse whose stored models are refreshed for touched runs, as dbt refreshes them."""

    def __init__(self, compiled: Path, target: Path) -> None:
        """Build all models over nothing.

        Args:
            compiled: the compiled models.
            target: the target folder of an incremental build by dbt.
        """
        super().__init__(compiled)
        models = self.models.models
        graph = {name: model["depends_on"] for name, model in models.items()}
        self._refreshes: dict[str, str] = {}
        for name in TopologicalSorter(graph).static_order():
            if name in models:
                refresh = _sql(target, "run", name)
                models[name]["stored"] = "insert into" in refresh
                if models[name]["stored"]:
                    self._refreshes[name] = refresh.replace(_ONE, _ANY)
        self.models.build(self.connection, models)
        touched.make_room(self.connection)
        self._built_at = 0

    def refresh(self, paths: Sequence[Path]) -> None:
        """Load what is new in files and refresh the stored models."""
        report = self.load(paths)
        if report.load_id is None:
            return
        touched.touch(self.connection, self._built_at)
        for refresh in self._refreshes.values():
            self.connection.execute(refresh)
        self._built_at = report.load_id

    def read_all(self) -> None:
        """Turn the views into tables; the lake cannot be refreshed any more."""
        self.build(kept=self._refreshes)


def ask(connection: duckdb.DuckDBPyConnection, variables: Mapping[str, str]) -> None:
    """Set variables of a session."""
    for name, value in variables.items():
        connection.execute(f"set variable {name} = {literal(value)}")


def rows(connection: duckdb.DuckDBPyConnection, relation: str, where: str = "true") -> Rows:
    """Return a relation's rows, in an order of their own, without the columns of loads.

    Args:
        connection: a connection with the relation.
        relation: schema and name.
        where: a condition on the rows.
    """
    names = [
        name
        for name, *_ in connection.execute(f"describe lake.{relation}").fetchall()
        if name not in _OF_LOADS
    ]
    listed = ", ".join(f'"{name}"' for name in names)
    listed = listed.replace('"raw_values"', _WITHOUT_LOAD)
    found = connection.execute(f"select {listed} from lake.{relation} where {where}").fetchall()
    return sorted(found, key=_order)


def _sql(target: Path, kind: str, model: str) -> str:
    (path,) = (target / kind / "docstokg_telemetry" / "models").rglob(f"{model}.sql")
    return path.read_text("utf-8")


def _order(row: tuple[object, ...]) -> list[str]:
    """Return what rows are ordered by: numbers by few digits, for the last ones may differ."""
    return [f"{cell:.6g}" if isinstance(cell, float) else repr(cell) for cell in row]


def differences(expected: Rows, found: Rows) -> list[tuple[str, object]]:
    """Return rows of either that are not in the other; doubles may differ by 1e-9."""
    if len(expected) == len(found) and all(map(is_same, expected, found)):
        return []
    rest = list(found)
    missing: list[tuple[str, object]] = []
    for row in expected:
        twin = next((place for place, other in enumerate(rest) if is_same(row, other)), None)
        if twin is None:
            missing.append(("missing", row))
        else:
            del rest[twin]
    return missing + [("not expected", row) for row in rest]


def is_same(one: object, other: object) -> bool:
    """Tell whether two values are the same, their doubles within 1e-9, as sums have no order."""
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    return one == other
