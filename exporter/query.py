"""A person's SQL over the published snapshot, in a sandbox.

The sandbox has three walls. The statement must be one SELECT, and the only table functions in it
those that make rows out of nothing; the lake is attached read-only; and DuckDB's own access to
files, network, extensions and settings is off for good. The first wall is there because an
extension's table function (``sqlite_scan``) opens files without asking DuckDB.
"""

from __future__ import annotations

import json
import os
import re
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from exporter import warehouse
from exporter.errors import QueryError, WarehouseError, one_line
from exporter.paths import data_path, project_dir, warehouse_dir
from exporter.raw_sql import literal

#: Where a bare name is looked up, first match wins: marts, then the raw tables by their names.
SEARCH_PATH = ("marts", "telemetry", "staging", "intermediate")
#: Memory that a query may take on top of what the process has at its start.
MEMORY_BYTES = 2 << 30
_ABOUT_CATALOGS = re.compile(
    r"information_schema|pg_catalog|duckdb_|sqlite_|\b(show|describe|summarize)\b", re.IGNORECASE
)
_LIKE = re.compile(r'Did you mean "([^"]+)"')
_STATM = Path("/proc/self/statm")
_TOO_LONG = "the query took longer than {:g} s: narrow it, or raise --timeout"
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "repeat", "repeat_row"})


@dataclass(frozen=True)
class Result:
    """Rows of a query.

    Attributes:
        columns: names, in order.
        rows: one tuple a row.
        is_cut: there were more rows than the limit.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]
    is_cut: bool


@contextmanager
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published snapshot, read-only, with the names people use.

    Raises:
        WarehouseError: nothing is published, it cannot be read, or lacks what is asked for because
            other models made it.
    """
    connection = warehouse.connect()
    try:
        warehouse.attach_published(connection)
        use_names(connection)
        yield connection
    except duckdb.IOException as error:
        raise warehouse.unreadable(error) from error
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        published = warehouse.last_publication(connection)
        if published and published.models_version == warehouse.models_version(project_dir()):
            raise
        raise WarehouseError(
            f"the warehouse {warehouse_dir()} was built by other models than these: "
            "bring it up to date with: docstokg-telemetry run --db FILE"
        ) from error
    finally:
        connection.close()


def use_names(connection: duckdb.DuckDBPyConnection) -> None:
    """Let bare names mean marts first, then the raw tables by their own names."""
    schemas = connection.execute(
        "select distinct schema_name from duckdb_schemas() where database_name = 'lake'"
    ).fetchall()
    present = {name for (name,) in schemas}
    path = ",".join(f"lake.{schema}" for schema in SEARCH_PATH if schema in present)
    connection.execute(f"set search_path = {literal(path)}")


def run_query(sql: str, limit: int, timeout_s: float) -> Result:
    """Run one SELECT over raw tables and models in the sandbox.

    Args:
        sql: the statement.
        limit: most rows to return.
        timeout_s: seconds after which it is stopped.

    Raises:
        QueryError: it is not one SELECT, uses what the sandbox forbids, fails or takes too long.
        WarehouseError: nothing is published.
    """
    with published() as connection:
        _check(connection, sql)
        if _ABOUT_CATALOGS.search(sql):
            # two scans of the catalog at once can crash DuckDB's reader of SQLite, which holds it
            # (https://github.com/duckdb/duckdb-sqlite/issues/176)
            connection.execute("set threads = 1")
        _lock_down(connection)
        timer = threading.Timer(timeout_s, connection.interrupt)
        timer.start()
        try:
            cursor = connection.execute(sql)
            columns = [column[0] for column in cursor.description or []]
            rows = cursor.fetchmany(limit + 1)
        except duckdb.InterruptException:
            raise QueryError(_TOO_LONG.format(timeout_s)) from None
        except duckdb.Error as error:
            raise QueryError(f"the query failed: {one_line(error)}{_remedy(error)}") from error
        finally:
            timer.cancel()
    return Result(columns, rows[:limit], len(rows) > limit)


def _remedy(error: duckdb.Error) -> str:
    """Say what to do about a name that is not known."""
    if isinstance(error, duckdb.CatalogException):
        like = _LIKE.search(str(error))
        meant = f" did you mean {like[1]}?" if like else ""
        return f"{meant}; all tables: docstokg-telemetry query --query 'show all tables'"
    if isinstance(error, duckdb.BinderException):
        return "; columns of a table: docstokg-telemetry query --query 'describe TABLE'"
    return ""


@contextmanager
def limited(timeout_s: float) -> Iterator[None]:
    """Hold this whole process to its limits, for what an interrupt cannot stop half-way.

    DuckDB looks for interrupts, and counts memory, between chunks of rows; one call of a function
    can take minutes or gigabytes inside a chunk.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if _STATM.exists():  # Linux; elsewhere only DuckDB's own limit holds
        pages = int(_STATM.read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        stricter = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min([most, *stricter]), hard))

    def end() -> None:
        warehouse.say(f"error: {_TOO_LONG.format(timeout_s)}")
        os._exit(2)

    timer = threading.Timer(timeout_s + 1, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except MemoryError:
        raise QueryError(
            f"the query needs more than {MEMORY_BYTES >> 20:,} MiB of memory: narrow it"
        ) from None
    finally:
        timer.cancel()
        if _STATM.exists():
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"set allowed_directories = [{literal(data_path())}]")
    connection.execute("set python_enable_replacements = false")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse all but one SELECT that reads relations and makes rows out of nothing."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(f"the query is not SQL that DuckDB reads: {one_line(error)}") from error
    if len(statements) != 1:
        raise QueryError(f"give one SELECT, not {len(statements)} statements")
    answer = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(answer[0]) if answer else {"error": True}
    if tree.get("error"):
        word = statements[0].query.split(maxsplit=1)[0]
        raise QueryError(f"only SELECT is allowed here, and this is {word.upper()[:20]}")
    for name in _table_functions(tree):
        if name.lower() not in _TABLE_FUNCTIONS:
            raise QueryError(
                f"table function {name} is not allowed here: query the models and raw tables "
                "(show them with: docstokg-telemetry query --query 'show tables')"
            )


def _table_functions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION":
            yield str(node.get("function", {}).get("function_name", "?"))
        for value in node.values():
            yield from _table_functions(value)
    elif isinstance(node, list):
        for value in node:
            yield from _table_functions(value)
