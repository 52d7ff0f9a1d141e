"""The warehouse: a DuckLake of raw rows and marts, one writer, readers on published snapshots."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from exporter import __version__
from exporter.access import check_readable
from exporter.errors import UsageError, WarehouseError, one_line
from exporter.paths import catalog, data_path, extension_path, extensions, warehouse_dir
from exporter.raw_sql import literal
from exporter.warehouse_schema import FORMAT, ensure_schema, newer

#: Rows that DuckDB gives to one thread at a time; a table of fewer is read by one anyway.
_ROW_GROUP = 122_880
#: The author of the commits that publish; the last one in the catalog is what readers attach at.
_PUBLISHER = "docstokg-telemetry publish"
_LAST_PUBLICATION = (
    "select snapshot_id, commit_extra_info from {changes} "
    f"where author = '{_PUBLISHER}' order by snapshot_id desc limit 1"
)


@dataclass(frozen=True)
class Publication:
    """The newest state that readers see.

    Attributes:
        snapshot_id: DuckLake snapshot to attach at.
        load_id: the last load that all marts contain.
        models_version: digest of the models, macros and seeds that built the marts.
        format: of the warehouse, as the release knew it that published.
        release: which that was.
        schemas: those that hold models and seeds.
    """

    snapshot_id: int
    load_id: int
    models_version: str
    format: int = 1
    release: str = "0.1.0"
    schemas: Sequence[str] = ("diagnosis", "intermediate", "marts", "staging", "telemetry")


def configure(connection: duckdb.DuckDBPyConnection, chosen: Sequence[str] | None = None) -> None:
    """Load extensions from their wheels and make a connection behave alike everywhere.

    Args:
        connection: a new connection.
        chosen: the extensions; None for all that the warehouse needs.
    """
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    loaded = extensions() if chosen is None else chosen
    for extension in loaded:
        connection.execute(f"load {literal(str(extension_path(extension)))}")
    if "httpfs" in loaded and os.environ.get("DUCKDB_S3_ENDPOINT"):
        # a server that is not Amazon's seldom has a host name for each bucket
        connection.execute("set global s3_url_style = 'path'")
    if "ducklake" in loaded:
        # Until `_attach` knows how much is stored. Handing tiny pieces of work to a second thread
        # costs more than they do: a build of little took half as much CPU time again.
        connection.execute("set threads = 1")
    connection.execute("set preserve_insertion_order = false")
    _limit_memory(connection)
    # what does not fit goes here, and not into whatever folder a person is in
    spill = os.path.join(tempfile.gettempdir(), f"docstokg-spill-{os.getuid()}-{os.getpid()}")
    connection.execute("set temp_directory = ?", [spill])
    configure_cursor(connection)


def _limit_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Set how much memory DuckDB takes before it spills: DOCSTOKG_MEMORY_LIMIT, or a quarter.

    A quarter leaves room for the crawler and for Python beside it. DuckDB's own default is 80 % of
    what the machine, or the process's control group, has.

    Raises:
        UsageError: DOCSTOKG_MEMORY_LIMIT is no size.
    """
    limit = os.environ.get("DOCSTOKG_MEMORY_LIMIT", "").strip()
    if not limit:
        row = connection.execute("select current_setting('memory_limit')").fetchone()
        number, unit = str(row[0] if row else "").split()
        limit = f"{float(number) * 0.25 / 0.8:.3f}{unit}"
    try:
        if not limit[0].isdigit():  # DuckDB takes "none" and "-1" for no limit
            raise duckdb.ParserException(limit)
        connection.execute("set memory_limit = ?", [limit])
    except duckdb.ParserException:
        raise UsageError(
            f"DOCSTOKG_MEMORY_LIMIT={limit} is no size: give a number and a unit, such as 2GB"
        ) from None


def configure_cursor(cursor: duckdb.DuckDBPyConnection) -> None:
    """Set what a cursor does not take over from its connection."""
    cursor.execute("set TimeZone = 'UTC'")


def connect(chosen: Sequence[str] | None = None) -> duckdb.DuckDBPyConnection:
    """Return a configured in-memory connection, with the extensions that `configure` takes."""
    # Checking the signature of a 35 MB extension takes 0.1 s, at every start. They come from the
    # same pinned wheels as DuckDB itself, which nothing checks again at every start either.
    connection = duckdb.connect(":memory:", config={"allow_unsigned_extensions": "true"})
    configure(connection, chosen)
    return connection


def models_version(project: Path) -> str:
    """Return a digest of all that decides what a mart says.

    Returns:
        Two digests, of the models and macros and of the seeds, joined by a hyphen.
    """
    code = [project / "dbt_project.yml"]
    for folder in ("models", "macros"):
        code += [f for f in (project / folder).rglob("*") if f.suffix in (".sql", ".yml")]
    seeds = [f for f in (project / "seeds").rglob("*") if f.suffix in (".csv", ".yml")]
    return f"{_digest(project, code)}-{_digest(project, seeds)}"


def _digest(project: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(project)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@contextmanager
def writing() -> Iterator[None]:
    """Turn DuckDB's errors within a with block into the one a person sees.

    Raises:
        WarehouseError: the warehouse could not be opened, read or written.
    """
    try:
        yield
    except duckdb.Error as error:
        text = str(error).lower()
        full = any(words in text for words in ("no space left", "disk full", "disk is full"))
        remedy = "free some disk space and run again" if full else "check its folder and run again"
        raise WarehouseError(
            f"cannot write to the warehouse {warehouse_dir()}: {one_line(error, 200)}; {remedy} "
            "(the last published state is still there)"
        ) from error


def attach_writer(connection: duckdb.DuckDBPyConnection) -> None:
    """Attach the newest state for writing; make what this release needs and the lake lacks.

    Raises:
        WarehouseError: a later release has written to it.
    """
    warehouse_dir().mkdir(parents=True, exist_ok=True)
    _attach(connection)
    _refuse_newer(last_publication(connection))
    ensure_schema(connection)


def _attach(connection: duckdb.DuckDBPyConnection, *options: str) -> None:
    """Attach the lake, wherever its data lies now, and take a thread a core if it holds much."""
    place = f"data_path {literal(data_path())}, override_data_path true"
    # a table that may have rows in the catalog is read by loading the whole lake as it was when
    # that table was made, 0.03 s a table; and what was put there goes to files soon anyway
    place += ", data_inlining_row_limit 0"
    connection.execute(
        f"attach {literal(f'ducklake:{catalog()}')} as lake ({', '.join([*options, place])})"
    )
    row = connection.execute(
        "select max(record_count) from __ducklake_metadata_lake.ducklake_table_stats"
    ).fetchone()
    if row and (row[0] or 0) > _ROW_GROUP:
        connection.execute("reset threads")


def last_publication(cursor: duckdb.DuckDBPyConnection) -> Publication | None:
    """Return the newest publication in the attached lake, or None before the first."""
    changes = "__ducklake_metadata_lake.ducklake_snapshot_changes"
    return _publication(cursor.execute(_LAST_PUBLICATION.format(changes=changes)).fetchone())


def _publication(row: tuple[Any, ...] | None) -> Publication | None:
    if row is None:
        return None
    said = json.loads(row[1])
    told = {name: said[name] for name in ("format", "release", "schemas") if name in said}
    return Publication(int(row[0]), said["load_id"], said["models_version"], **told)


def _refuse_newer(published: Publication | None) -> None:
    if published is not None and published.format > FORMAT:
        raise newer(f"{published.release}, format {published.format}; known up to {FORMAT}")


def attach_published(connection: duckdb.DuckDBPyConnection) -> Publication:
    """Attach the published snapshot read-only as ``lake``.

    Raises:
        WarehouseError: there is no warehouse, nothing was published yet, or it cannot be read.
    """
    check_readable()
    nothing = (
        f"nothing is published in the warehouse {warehouse_dir()}: "
        "load telemetry first with: docstokg-telemetry run --db FILE"
    )
    kind, place = catalog().split(":", 1)
    if kind == "sqlite" and not Path(place).is_file():
        raise WarehouseError(nothing)
    try:
        try:
            published = _look_up(connection)
        except duckdb.Error as error:
            if "readonly database" not in str(error):
                raise
            _roll_back(connection)
            published = _look_up(connection)
        if published is None:
            raise WarehouseError(nothing)
        _refuse_newer(published)
        _attach(connection, "read_only", f"snapshot_version {published.snapshot_id:d}")
    except duckdb.Error as error:
        if "ducklake_snapshot_changes" in str(error):  # no table yet: no run has written much
            raise WarehouseError(nothing) from error
        raise unreadable(error) from error
    return published


def unreadable(error: duckdb.Error) -> WarehouseError:
    """Return the one error for a person of what DuckDB says when it cannot read."""
    return WarehouseError(f"cannot read the warehouse {warehouse_dir()}: {one_line(error)}")


def _look_up(connection: duckdb.DuckDBPyConnection) -> Publication | None:
    """Read the newest publication off the catalog: loading a whole lake for it takes 0.1 s."""
    kind = _attach_catalog(connection, "read_only")
    try:
        sql = _LAST_PUBLICATION.format(changes="ducklake_snapshot_changes")
        row = connection.execute(f"from {kind}_query('catalog', ?)", [sql]).fetchone()
    finally:
        connection.execute("detach catalog")
    return _publication(row)


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Undo the half transaction of a writer that was killed while it wrote to the catalog.

    SQLite does so by itself when a connection that may write reads the file, and makes one that
    may only read wait for it in vain.
    """
    _attach_catalog(connection, "read_write")
    connection.execute("select count(*) from duckdb_tables() where database_name = 'catalog'")
    connection.execute("detach catalog")


def _attach_catalog(connection: duckdb.DuckDBPyConnection, mode: str) -> str:
    """Attach the database that holds the catalog, as ``catalog``; return its kind."""
    kind, place = catalog().split(":", 1)
    connection.execute(f"attach {literal(place)} as catalog (type {kind}, {mode})")
    return kind


def publish(cursor: duckdb.DuckDBPyConnection, version: str, schemas: Sequence[str]) -> Publication:
    """Record the newest snapshot as the one readers see.

    Args:
        cursor: a connection with the lake attached for writing, under the lock.
        version: the digest of the models.
        schemas: those that hold models and seeds.
    """
    row = cursor.execute("select coalesce(max(load_id), 0) from lake.meta.loads").fetchone()
    said = {"load_id": row[0] if row else 0, "models_version": version}
    by = {"format": FORMAT, "release": __version__, "schemas": list(schemas)}
    cursor.execute("begin")
    cursor.execute(
        "call ducklake_set_commit_message('lake', ?, 'results published', extra_info => ?)",
        [_PUBLISHER, json.dumps(said | by)],
    )
    cursor.execute(
        "insert into lake.meta.publications (published_at, load_id, models_version) "
        "values (now(), ?, ?)",
        [*said.values()],
    )
    cursor.execute("commit")
    published = last_publication(cursor)
    if published is None:
        raise WarehouseError("the publication just written cannot be read back")
    return published


@contextmanager
def one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Work with one thread within a with block: where one statement scans several SQLite tables.

    DuckDB's reader of SQLite may share a handle among the scans of one statement or transaction,
    and cannot bear two threads there: once in a thousand times the process dies of a broken heap
    (https://github.com/duckdb/duckdb-sqlite/issues/176).
    """
    threads = connection.execute("select current_setting('threads')").fetchone()
    connection.execute("set threads = 1")
    try:
        yield
    finally:
        connection.execute(f"set threads = {threads[0] if threads else 1:d}")


def say(message: str) -> None:
    """Tell a person something on stderr."""
    print(message, file=sys.stderr, flush=True)
