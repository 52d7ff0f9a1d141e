"""The compiled models: kept beside the warehouse, and built over whatever rows there are."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from copy import copy
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import duckdb

from exporter import warehouse
from exporter.errors import ModelError
from exporter.paths import project_dir as find_project
from exporter.paths import warehouse_dir
from exporter.progress import progress
from exporter.raw_schema import TABLES, raw_columns
from exporter.results import (
    BUDGET_MODELS,
    DIAGNOSIS_MODELS,
    REGRESSION_MODELS,
    REPORT_MODELS,
    SAMPLES_MODEL,
    SLICES_MODEL,
    SUMMARY_MODELS,
    TREND_MODELS,
)
from exporter.sources import must_be_there
from exporter.warehouse_schema import source_file_columns

#: The installation's own compiled models, made when it is built.
_AHEAD: Final = Path(__file__).resolve().parent / "_compiled"
#: Goes up when the layout of the compiled models' file changes: older files are left alone.
_FORMAT = 10
#: The models that answers are read from.
_ANSWERS: Final = tuple(
    dict.fromkeys(
        (
            *SUMMARY_MODELS,
            SAMPLES_MODEL,
            *DIAGNOSIS_MODELS,
            *BUDGET_MODELS,
            SLICES_MODEL,
            *REGRESSION_MODELS,
            *TREND_MODELS,
            *REPORT_MODELS,
        )
    )
)
#: What the names of raw relations begin with among the things that a model depends on.
_RAW = "raw."


def compiled_for(project: Path | None, verbose: bool, names: Sequence[str] = ()) -> Path:
    """Return `compiled` of the project that a person named, or of their own, showing progress.

    Args:
        project: a folder, or None for the installation's own.
        verbose: show what dbt says.
        names: what is to be read, which is looked for before anything is compiled.

    Raises:
        SourceError: none of the names leads to a file that could be read.
        UsageError: the folder holds no dbt project.
        ModelError: a model does not compile, or there is nowhere to write.
    """
    with progress("compiling", verbose) as (say, _):
        return compiled(find_project(project), say, verbose, names)


def compiled(
    project: Path, say: Callable[[str], None], verbose: bool = False, names: Sequence[str] = ()
) -> Path:
    """Return the file with the compiled models, having dbt write it if the models changed.

    The installation brings the file of its own models. That of others lies in the warehouse folder
    (or, where that cannot be written, in the temporary folder) under the digest of the models, so
    that an edited model is compiled at its first use.

    Raises:
        ModelError: a model does not compile, or there is nowhere to write.
    """
    name = _file_name(project)
    if (_AHEAD / name).is_file():
        return _AHEAD / name
    folders = [
        warehouse_dir() / "compiled",
        Path(tempfile.gettempdir()) / f"docstokg-{os.getuid()}",
    ]
    for folder in folders:
        with suppress(OSError):  # of another user, who lets nobody look
            if (folder / name).stat().st_uid == os.getuid():
                return folder / name
    from exporter.runner import compile_models

    if names:
        must_be_there(names)
    say("models are new or changed: compiling them (once)")
    text = _with_columns(compile_models(project, verbose))
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(folder / name, text)
            return folder / name
        except OSError:
            continue
    raise ModelError(
        f"cannot write the compiled models to {folders[0]} nor to {folders[1]}: "
        "set DOCSTOKG_WAREHOUSE to a folder of your own"
    )


def _file_name(project: Path) -> str:
    # the answers and the raw columns may change while the models do not
    asked = sha256(repr((_FORMAT, _ANSWERS, TABLES)).encode()).hexdigest()[:8]
    return f"{warehouse.models_version(project)}.{asked}.json"


def _compile_ahead() -> None:
    """Compile this installation's own models, unless they are; run when it is built."""
    from exporter.runner import compile_models

    project = find_project()
    file = _AHEAD / _file_name(project)
    if file.is_file():
        return
    text = _with_columns(compile_models(project))
    _AHEAD.mkdir(exist_ok=True)
    _write(file, text)
    file.chmod(0o644)  # whoever installed it, all may read it
    for other in _AHEAD.iterdir():
        if other != file:
            other.unlink()


def _write(file: Path, text: str) -> None:
    """Write a file in one step."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as part:
        part.write(text)
    os.replace(part.name, file)


def _with_columns(text: str) -> str:
    """Check the seeds, and add the raw columns that each answer reads, by asking DuckDB.

    Raises:
        ModelError: a cell of a seed names what does not exist.
    """
    content = json.loads(text)
    connection = duckdb.connect(":memory:")
    try:
        prepare(connection)
        # the relations have one row or none: the planner would drop most of them otherwise
        connection.execute("set disabled_optimizers = 'statistics_propagation,join_order'")
        for table in TABLES:
            columns = ", ".join(f"{name} {kind}" for name, kind in raw_columns(table).items())
            connection.execute(f"create table lake.raw.{table} ({columns})")
            connection.execute(f"insert into lake.raw.{table} (id) values (1)")
        checks = [test for test in content["tests"] if test["when_compiled"]]
        tested = {name for check in checks for name in check["depends_on"]}
        Models(text).build(connection, [*_ANSWERS, *tested], all_stored=True)
        for check in checks:
            if broken := connection.execute(check["sql"]).fetchone():
                raise ModelError(broken[0])
        lineage = _Lineage(connection, Models(text))
        content["columns"] = {answer: lineage.raw_columns(answer) for answer in _ANSWERS}
    finally:
        connection.close()
    return json.dumps(content)


class _Lineage:
    """Which columns of the raw relations an answer reads, model by model, as DuckDB plans each."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, models: Models) -> None:
        self._connection, self._models = connection, models
        self._read: dict[tuple[str, frozenset[str]], dict[str, set[str]]] = {}
        self._names: dict[str, list[str]] = {}
        for relation, column in connection.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns() "
            "where database_name = 'lake'"
        ).fetchall():
            self._names.setdefault(relation, []).append(column)

    def raw_columns(self, answer: str) -> dict[str, list[str]]:
        """Return the columns that an answer reads of each raw relation."""
        whole = [] if answer == "rejected_rows" else self._names[self._models.relation(answer)]
        wanted = {self._models.relation(answer): set(whole)}
        for name in reversed(self._models.order([answer])):
            relation = self._models.relation(name)
            if name in self._models.models and relation in wanted:
                columns = frozenset(wanted[relation])
                if (name, columns) not in self._read:
                    self._read[name, columns] = self._plan(name, columns)
                for parent, read in self._read[name, columns].items():
                    wanted.setdefault(parent, set()).update(read)
        return {table: sorted(wanted.get(f"raw.{table}", ())) for table in TABLES}

    def _plan(self, name: str, columns: frozenset[str]) -> dict[str, set[str]]:
        selected = ", ".join(sorted(columns)) or "count(*)"
        plan = self._connection.execute(
            f"explain (format json) select {selected} from ({self._models.models[name]['sql']})"
        ).fetchall()
        found: dict[str, set[str]] = {}
        self._collect(json.loads(plan[0][1]), found)
        return found

    def _collect(self, plan: Any, found: dict[str, set[str]]) -> None:
        """Gather the columns that a plan's scans read, filters included."""
        for node in plan:
            info = node.get("extra_info", {})
            relation = str(info.get("Table", "")).removeprefix("lake.")
            if relation in self._names:
                read = found.setdefault(relation, set())
                for key in ("Projections", "Filters"):
                    told = info.get(key, [])
                    text = " ".join(told) if isinstance(told, list) else str(told)
                    read |= {c for c in self._names[relation] if re.search(rf"\b{c}\b", text)}
            self._collect(node.get("children", []), found)


class Models:
    """The compiled models, in the order in which they build on one another."""

    def __init__(self, text: str) -> None:
        content: dict[str, Any] = json.loads(text)
        self.models = {model["name"]: model for model in content["models"]}
        self.seeds = {seed["name"]: seed for seed in content["seeds"]}
        self.tests = {test["name"]: str(test["sql"]) for test in content["tests"]}
        self._columns: dict[str, dict[str, list[str]]] = content.get("columns", {})
        self._built: set[str] = set()

    def again(self) -> Models:
        """Return the same models with none of them marked as built."""
        fresh = copy(self)
        fresh._built = set()
        return fresh

    def raw_columns(self, wanted: Iterable[str]) -> dict[str, set[str]]:
        """Return which columns of the raw tables the wanted models read."""
        used: dict[str, set[str]] = {table: set() for table in TABLES}
        for model in wanted:
            for table, columns in self._columns[model].items():
                used[table].update(columns)
        return used

    def seed_values(self, seed: str, column: str) -> list[str]:
        """Return a column of a seed, as its file has it."""
        rows = csv.DictReader(io.StringIO(self.seeds[seed]["csv"]))
        return [row[column] for row in rows]

    def build(
        self,
        connection: duckdb.DuckDBPyConnection,
        wanted: Iterable[str],
        all_stored: bool = False,
        underway: Iterable[tuple[str, Future[None]]] = (),
        given: Iterable[str] = (),
    ) -> None:
        """Create the wanted models and, before them, what they select from, two at a time.

        Args:
            connection: has the raw relations.
            wanted: names of models; those that were built before are left alone.
            all_stored: make tables only, no view.
            underway: raw relations that are still being filled, each with the future that ends
                when a piece of it is in; what selects from one waits for it.
            given: names of models that the connection has already.
        """
        self._built.update(given)
        order = [name for name in self.order(wanted) if name not in self._built]
        schemas = {(self.seeds.get(name) or self.models[name])["schema"] for name in order}
        for schema in sorted(schemas):
            connection.execute(f"create schema if not exists lake.{schema}")
        running = {future: f"{_RAW}{table}" for table, future in underway}
        with ThreadPoolExecutor(2) as pool:
            while order or running:
                waiting = {*order, *running.values()}
                for name in [n for n in order if waiting.isdisjoint(self._needs(n))]:
                    cursor = connection.cursor()
                    warehouse.configure_cursor(cursor)
                    running[pool.submit(self._make, name, cursor, all_stored)] = name
                    order.remove(name)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    self._built.add(running.pop(future))

    def relation(self, name: str) -> str:
        """Return the schema and name of a model or seed."""
        return f"{(self.seeds.get(name) or self.models[name])['schema']}.{name}"

    def _parents(self, name: str) -> list[str]:
        """Return what a relation selects from: models, seeds and raw relations."""
        return self.models[name]["depends_on"] if name in self.models else []

    def _needs(self, name: str) -> set[str]:
        """Return what has to be ready before a relation can be made.

        A table needs the rows below it, a view only what it names.
        """
        parents = set(self._parents(name))
        if name in self.models and not self.models[name]["stored"]:
            return {parent for parent in parents if not parent.startswith(_RAW)}
        return parents.union(*(self._below(parent) for parent in parents))

    def _below(self, name: str) -> set[str]:
        """Return what a view reads when it is read; nothing for a table."""
        if name not in self.models or self.models[name]["stored"]:
            return set()
        parents = set(self._parents(name))
        return parents.union(*(self._below(parent) for parent in parents))

    def order(self, wanted: Iterable[str]) -> list[str]:
        """Return the wanted models and all they select from, each after what it selects from."""
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in order or name in self._built or name.startswith(_RAW):
                return
            for parent in self._parents(name):
                visit(parent)
            order[name] = None

        for name in wanted:
            visit(name)
        return list(order)

    def _make(self, name: str, cursor: duckdb.DuckDBPyConnection, all_stored: bool) -> None:
        if seed := self.seeds.get(name):
            self._seed(cursor, seed)
            return
        model = self.models[name]
        kind = "table" if model["stored"] or all_stored else "view"
        cursor.execute(f"create or replace {kind} lake.{self.relation(name)} as {model['sql']}")

    @staticmethod
    def _seed(connection: duckdb.DuckDBPyConnection, seed: dict[str, Any]) -> None:
        rows = list(csv.DictReader(io.StringIO(seed["csv"])))
        columns = ", ".join(f"{name} {seed['types'][name]}" for name in rows[0])
        relation = f"lake.{seed['schema']}.{seed['name']}"
        connection.execute(f"create or replace table {relation} ({columns})")
        one = f"({', '.join('?' for _ in rows[0])})"
        cells = [value or None for row in rows for value in row.values()]
        try:
            connection.execute(
                f"insert into {relation} values {', '.join(one for _ in rows)}", cells
            )
        except duckdb.ConversionException:
            raise ModelError(_unfit(connection, seed, rows)) from None


def _unfit(
    connection: duckdb.DuckDBPyConnection, seed: dict[str, Any], rows: list[dict[str, str]]
) -> str:
    """Say which cell of a seed is not of its column's type."""
    for row in rows:
        for name, value in row.items():
            kind = seed["types"][name]
            fits = connection.execute(f"select try_cast(? as {kind}) is not null", [value or None])
            if value and fits.fetchone() != (True,):
                told = " ".join(filter(None, list(row.values())[:3]))
                return f"seeds/{seed['name']}.csv, row {told}: {name} {value!r} is no {kind}"
    return f"seeds/{seed['name']}.csv cannot be read"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make an empty database in memory one in which models can be built."""
    # small row groups, so that both cores work on the rows of one run
    connection.execute("attach ':memory:' as lake (row_group_size 16384)")
    connection.execute("create schema lake.raw")
    columns = ", ".join(f"{name} {kind}" for name, kind in source_file_columns().items())
    connection.execute(f"create table lake.raw.source_files ({columns})")


if __name__ == "__main__":
    _compile_ahead()
