"""Telemetry files: which ones are meant, which can be read, and what each holds."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import duckdb

from exporter import archived
from exporter.archived import ArchiveDamaged, ArchivedRun
from exporter.errors import one_line
from exporter.raw_schema import CAPABILITIES, TABLES
from exporter.raw_sql import ENGINE_ERRORS, TableShape, literal

#: What a file looks like from outside.
Look = tuple[int, ...]

_SUFFIXES = (".sqlite3", ".sqlite", ".db")
#: Tables, the columns of their primary key, and what becomes of their rowid.
_TABLES_SQL = """
select m.name,
    (select group_concat(lower(c.name)) from pragma_table_info(m.name) as c where c.pk <> 0)
        as keys,
    exists (select 1 from pragma_table_info(m.name) as c
        where c.pk <> 0 and lower(c.name) = 'id' and upper(c.type) = 'INTEGER') as is_integer,
    l.wr as without_rowid
from sqlite_master as m join pragma_table_list as l on l.schema = 'main' and l.name = m.name
where m.type = 'table'
""".replace("\n", " ")
_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """One readable telemetry file, attached to a DuckDB connection under `alias`; or one archived
    run, of which nothing is attached.

    Attributes:
        path: absolute path of the file, or of the run's folder.
        alias: the attached database's name in DuckDB.
        tables: shapes of the telemetry tables it has, or had before it was archived.
        file_id: what its rows are marked with: a digest of the path it was first loaded from.
        archived: what the manifest says of the archived run; None for a file.
    """

    path: str
    alias: str
    tables: dict[str, TableShape]
    file_id: str
    archived: ArchivedRun | None = None

    def capabilities(self) -> dict[str, bool]:
        """Tell which tables and columns that change the meaning of an SLI are there."""
        return {
            name: table in self.tables and (column is None or column in self.tables[table].columns)
            for name, (table, column) in CAPABILITIES.items()
        }


@dataclass
class Probe:
    """What a look at the named sources found."""

    sources: list[Source] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def expand(names: Iterable[str]) -> tuple[list[tuple[str, bool]], list[Skipped]]:
    """Turn files, directories and globs into files, and archives into the folders of their runs.

    Returns:
        Absolute paths, each once, with whether a person named the file itself (and so wants to
        hear when it holds no telemetry); and the names that match nothing.
    """
    found: dict[str, bool] = {}
    skipped = []
    for name in names:
        path = os.path.expanduser(name)
        if archived.is_archived_run(path):
            matches, named = [path], True
        elif os.path.isdir(path):
            inside, has_archive = _inside(path)
            if not inside and not has_archive:
                skipped.append(Skipped(name, f"folder holds no {', '.join(_SUFFIXES)} file"))
            matches, named = inside, False
        elif os.path.lexists(path) or not glob.has_magic(path):
            matches, named = [path], True
        else:
            matches, named = sorted(glob.glob(path, recursive=True)), False
            beside = ("-wal", "-shm", "-journal")
            archives = [m for m in matches if archived.is_archive(m)]
            matches = [m for m in matches if not m.endswith(beside) and not os.path.isdir(m)]
            matches += [folder for m in archives for folder in archived.run_folders(m)]
            if not matches and not archives:
                skipped.append(Skipped(name, "matches no file"))
        for match in matches:
            real = os.path.realpath(match)
            found[real] = found.get(real, False) or named
    return list(found.items()), skipped


def _inside(folder: str) -> tuple[list[str], bool]:
    """Return the files and archived runs in a folder, and whether there is an archive."""
    files: list[str] = []
    has_archive = False
    for parent, folders, names in os.walk(folder):
        if archived.is_archive(parent):
            has_archive = True
            files += archived.run_folders(parent)
            folders.clear()
            continue
        telemetry = [n for n in names if os.path.splitext(n)[1].lower() in _SUFFIXES]
        paths = [os.path.join(parent, name) for name in telemetry]
        files += [path for path in paths if not os.path.isdir(path)]
    return sorted(files), has_archive


def look(path: str) -> Look:
    """Return what a file looks like without opening it: it looks the same as long as it is.

    Returns:
        Device, inode, size and time of the file and of its WAL; empty for what is not there. A
        WAL of no bytes, such as a reader leaves behind, is no WAL. Of an archived run's folder,
        the manifest.
    """
    facts: list[int] = []
    for file in (path, f"{path}-wal", os.path.join(path, archived.MANIFEST)):
        with suppress(OSError):
            state = os.stat(file)
            if state.st_size > 0:
                facts += [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns]
    return tuple(facts)


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[tuple[str, bool]]
) -> Iterator[Probe]:
    """Probe and attach files read-only for the length of a with block.

    A missing, foreign, damaged or locked file ends up in `Probe.skipped` with its reason. Files
    are let go of at the end, so that a guest never holds its host's file open between loads.
    """
    probe = Probe()
    aliases: list[str] = []
    with tempfile.TemporaryDirectory(prefix="docstokg-") as aside:
        try:
            for number, (path, named) in enumerate(paths):
                alias = f"source_{number}"
                if os.path.isdir(path) and archived.is_archived_run(path):
                    try:
                        probe.sources.append(archived_source(path, alias))
                    except ArchiveDamaged as damage:
                        probe.skipped.append(Skipped(path, str(damage)))
                    continue
                reason = refusal(path)
                if reason is None:
                    try:
                        file = openable(path, Path(aside) / str(number))
                        connection.execute(
                            f"attach {literal(file)} as {alias} (type sqlite, read_only)"
                        )
                        aliases.append(alias)
                        if tables := _shapes(connection, alias):
                            probe.sources.append(Source(path, alias, tables, path_id(path)))
                        elif named:
                            reason = "holds none of the telemetry tables"
                    except (*ENGINE_ERRORS, OSError) as error:
                        reason = _reason(error)
                if reason is not None:
                    probe.skipped.append(Skipped(path, reason))
            yield probe
        finally:
            for alias in aliases:
                connection.execute(f"detach database if exists {alias}")


def archived_source(folder: str, alias: str = "") -> Source:
    """Return an archived run as a source.

    Raises:
        ArchiveDamaged: its folder is not what its manifest says.
    """
    run = archived.read(folder)
    return Source(folder, alias, run.shapes(), archived.file_id(folder), run)


def path_id(path: str, number: int = 0) -> str:
    """Return the file_id of the first file at a path, or of the number-th that replaced it."""
    suffix = f"\0{number}".encode() if number else b""
    return sha256(os.fsencode(path) + suffix).hexdigest()[:16]


def refusal(path: str) -> str | None:
    """Return why a file is not even worth opening, or None."""
    if not os.path.exists(path):
        return "no such file"
    if not os.path.isfile(path):
        return "not a regular file"
    try:
        with Path(path).open("rb") as file:
            head = file.read(100)
    except OSError as error:
        return error.strerror or str(error)
    if not head:
        return "empty file"
    if not head.startswith(_MAGIC):
        return "not a SQLite database"
    if head[56:60] in (b"\0\0\0\2", b"\0\0\0\3"):
        return "its text is UTF-16: copy it into a UTF-8 file (sqlite3 OLD .dump | sqlite3 NEW)"
    return None


def openable(path: str, aside: Path) -> str:
    """Return a path SQLite can open: a copy when a WAL file lies in a folder we cannot write to."""
    with Path(path).open("rb") as file:
        is_wal = file.read(20)[18:20] == b"\x02\x02"
    if not is_wal or os.access(os.path.dirname(path), os.W_OK) or os.path.exists(f"{path}-shm"):
        return path
    aside.mkdir()
    for suffix in ("", "-wal"):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, aside / f"copy.sqlite3{suffix}")
    return str(aside / "copy.sqlite3")


def _shapes(connection: duckdb.DuckDBPyConnection, alias: str) -> dict[str, TableShape]:
    # one question for all tables: each takes a few milliseconds
    listed = connection.execute("from sqlite_query(?, ?)", [alias, _TABLES_SQL]).fetchall()
    shapes = {}
    for name, key_names, is_integer, without_rowid in listed:
        if name.lower() not in TABLES:
            continue
        described = connection.execute(f"describe {alias}.{name}").fetchall()
        columns = {row[0].lower(): (row[0], row[1].lower()) for row in described}
        keys = tuple(key_names.split(",")) if key_names else ()
        shapes[name.lower()] = TableShape(
            name=name,
            columns=columns,
            keys=keys,
            id_is_rowid=keys == ("id",) and is_integer == "1" and without_rowid == "0",
            has_rowid=without_rowid == "0",
        )
    return shapes


def _reason(error: BaseException) -> str:
    text = str(error)  # all of it: the first lines may be the query
    if "locked" in text:
        return "locked by another program (its writer holds it exclusively): try again later"
    if "malformed" in text or "disk image" in text:
        return "damaged SQLite database (cut short or overwritten): restore it from a backup"
    if "not a database" in text or "encrypted" in text:
        return "not a SQLite database"
    return one_line(error, 160)


def reason_of(error: BaseException) -> str:
    """Return in a few words why reading a file failed."""
    return _reason(error)
