"""Telemetry files: which ones are meant, which can be read, and what each holds."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import duckdb

from exporter import archived
from exporter.archived import ArchiveDamaged, ArchivedRun
from exporter.crawler_tables import (
    CRAWLER_TABLES,
    TELEMETRY_FAMILY,
    expressions,
    filled,
    own_columns,
)
from exporter.errors import SourceError, shown
from exporter.raw_schema import CAPABILITIES, TABLES
from exporter.raw_sql import COMPUTED, ENGINE_ERRORS, TableShape, literal
from exporter.sqlite_reason import refusal, trouble

#: What a file looks like from outside.
Look = tuple[int, ...]

_SUFFIXES = (".sqlite3", ".sqlite", ".db")
_NO_FILE = "correct --db, and quote a glob; or the crawler has made no file yet"
#: Columns of the tables and views that are read. The pragmas look at these alone: another table may
#: want a module that is not here. A primary key with an index of its own is no rowid. Where that
#: index does not end with the rowid, the table has none (WITHOUT ROWID).
_COLUMNS_SQL = """
select m.name, m.type, c.name as column_name, upper(c.type) as column_type, c.pk, c.hidden,
    exists (select 1 from pragma_index_list(m.name) as l where l.origin = 'pk') as has_pk_index,
    exists (select 1 from pragma_index_list(m.name) as l where l.origin = 'pk'
        and not exists (select 1 from pragma_index_xinfo(l.name) as x where x.cid = -1)
    ) as without_rowid, m.rootpage > 0 as is_stored
from sqlite_master as m join pragma_table_xinfo(m.name) as c
where m.type in ('table', 'view') and c.hidden <> 1 and lower(m.name) in ({names})
order by m.name, c.cid
""".replace("\n", " ").format(names=", ".join(literal(name) for name in (*TABLES, *CRAWLER_TABLES)))


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """Tables of one readable file, attached to a DuckDB connection under `alias`; or one archived
    run, of which nothing is attached.

    A file that holds tables of several families is as many sources.

    Attributes:
        path: absolute path of the file, or of the run's folder.
        alias: the attached database's name in DuckDB.
        tables: shapes of its tables by the contract's names; of an archived run those that it had.
        file_id: what its rows are marked with: a digest of the path it was first loaded from.
        archived: what the manifest says of the archived run; None for a file.
        family: the contract's own tables, or some of the crawler's.
    """

    path: str
    alias: str
    tables: dict[str, TableShape]
    file_id: str
    archived: ArchivedRun | None = None
    family: int = TELEMETRY_FAMILY

    def capabilities(self) -> dict[str, bool]:
        """Tell which columns that change the meaning of an SLI are there."""
        return {
            name: table in self.tables and column in self.tables[table].columns
            for name, (table, column) in CAPABILITIES.items()
        }

    def booked(self) -> dict[str, str | bool | int]:
        """Return the row of ``raw.source_files``."""
        return {
            "file_id": self.file_id,
            "path": shown(self.path),
            **self.capabilities(),
            "family": self.family,
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
            inside, has_archive, unread = _inside(path)
            skipped += unread
            if not inside and not has_archive and not unread:
                told = f"folder holds no {', '.join(_SUFFIXES)} file: {_NO_FILE}"
                skipped.append(Skipped(name, told))
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
                skipped.append(Skipped(name, f"matches no file: {_NO_FILE}"))
        for match in matches:
            real = os.path.realpath(match)
            if os.path.islink(match) and not os.path.lexists(real):
                told = f"a link to {real}, which is not there: correct --db, or mend the link"
                skipped.append(Skipped(match, told))
                continue
            found[real] = found.get(real, False) or named
    return list(found.items()), skipped


def unreadable(names: Sequence[str], skipped: Sequence[Skipped]) -> str:
    """Say in one line why not one of the named sources could be read."""
    if not skipped:
        return f"no telemetry in {', '.join(names)}: name a file that the crawler recorded"
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"cannot read {skipped[0].path}: {skipped[0].reason}{more}"


def must_be_there(names: Sequence[str]) -> None:
    """Look whether there is anything to read, without opening a file.

    Raises:
        SourceError: there is nothing.
    """
    paths, skipped = expand(names)
    refused = [
        Skipped(path, str(refusal(path)))
        for path, _ in paths
        if not os.path.isdir(path) and refusal(path) is not None
    ]
    if len(refused) == len(paths):
        raise SourceError(unreadable(names, [*skipped, *refused]))


def _inside(folder: str) -> tuple[list[str], bool, list[Skipped]]:
    """Find the files and archived runs in a folder and in those that it links to.

    Each real folder is listed once, and a link to a folder above the named one is not followed.

    Returns:
        The files; whether there is an archive; and the folders that could not be listed.
    """
    files: list[str] = []
    unread: list[Skipped] = []
    has_archive = False
    seen: set[tuple[int, int]] = set()
    top = os.path.join(os.path.realpath(folder), "")

    def note(error: OSError) -> None:
        why = (error.strerror or str(error)).lower()
        told = f"folder cannot be listed ({why}): let this user read it"
        unread.append(Skipped(str(error.filename), told))

    for parent, folders, names in os.walk(folder, onerror=note, followlinks=True):
        try:
            state = os.stat(parent)
        except OSError as error:  # it went meanwhile
            note(error)
            continue
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        if archived.is_archive(parent):
            has_archive = True
            files += archived.run_folders(parent)
            folders.clear()
            continue
        below = (os.path.join(parent, name) for name in folders)
        folders[:] = [
            os.path.basename(path)
            for path in below
            if not (
                os.path.islink(path) and top.startswith(os.path.join(os.path.realpath(path), ""))
            )
        ]
        telemetry = [n for n in names if os.path.splitext(n)[1].lower() in _SUFFIXES]
        files += [os.path.join(parent, name) for name in telemetry]
    return sorted(files), has_archive, unread


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
                        if shown(path) != path:
                            raise ArchiveDamaged("its path is not UTF-8: rename its folder")
                        probe.sources.append(archived_source(path, alias))
                    except ArchiveDamaged as damage:
                        probe.skipped.append(Skipped(path, str(damage)))
                    continue
                refused = refusal(path)
                reason = None if refused is None else str(refused)
                if reason is None:
                    try:
                        file = _utf8_name(openable(path, Path(aside) / str(number)), aside, number)
                        connection.execute(
                            f"attach {literal(file)} as {alias} (type sqlite, read_only)"
                        )
                        aliases.append(alias)
                        families = _families(connection, alias)
                        probe.sources += [
                            Source(path, alias, tables, path_id(path, family), family=family)
                            for family, tables in sorted(families.items())
                        ]
                        if named and not families:
                            reason = "holds none of the telemetry tables"
                    except (*ENGINE_ERRORS, OSError) as error:
                        reason = reason_of(error, path)
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


def path_id(path: str, family: int = TELEMETRY_FAMILY, number: int = 0) -> str:
    """Return the file_id of the first file at a path, or of the number-th that replaced it."""
    suffix = f"\0{number}" if number else ""
    suffix += f"\0family {family}" if family != TELEMETRY_FAMILY else ""
    return sha256(os.fsencode(path) + suffix.encode()).hexdigest()[:16]


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


def _utf8_name(path: str, aside: str, number: int) -> str:
    """Return a path that DuckDB takes: a link, which SQLite resolves, where a name is not UTF-8."""
    if shown(path) == path:
        return path
    link = os.path.join(aside, f"{number}.link")
    os.symlink(path, link)
    return link


def _families(
    connection: duckdb.DuckDBPyConnection, alias: str
) -> dict[int, dict[str, TableShape]]:
    """Return by family the shapes of a file's tables, by the contract's names."""
    # one question for all tables: each takes a few milliseconds
    listed = connection.execute("from sqlite_query(?, ?)", [alias, _COLUMNS_SQL]).fetchall()
    families: dict[int, dict[str, TableShape]] = {}
    for (name, kind), group in groupby(listed, key=lambda row: (row[0], row[1])):
        columns = list(group)
        shape = _shape(connection, alias, name, kind, columns)
        read = CRAWLER_TABLES.get(name.lower())
        if read is None:
            families.setdefault(TELEMETRY_FAMILY, {})[name.lower()] = shape
        elif set(read.needed) <= set(shape.columns):
            spelled = {column: told for column, (told, _) in shape.columns.items()}
            there = {column: (sql, COMPUTED) for column, sql in expressions(read, spelled).items()}
            if "id" in shape.columns:
                there["id"] = shape.columns["id"]
            families.setdefault(read.family, {})[read.table] = replace(
                shape,
                columns=there,
                kinds=read.kinds,
                where=filled(read.where, spelled),
                is_private=True,
            )
    return families


def _shape(
    connection: duckdb.DuckDBPyConnection,
    alias: str,
    name: str,
    kind: str,
    columns: Sequence[tuple[str, ...]],
) -> TableShape:
    """Return what a table of a file looks like, given the rows that `_COLUMNS_SQL` has of it."""
    described = connection.execute(f"describe {alias}.{name}").fetchall()
    types = {row[0].lower(): row[1].lower() for row in described}
    keys = [(row[2].lower(), row[3]) for row in columns if row[4] != "0"]
    has_pk_index, without_rowid, is_stored = (flag == "1" for flag in columns[0][6:])
    return TableShape(
        name=name,
        # DuckDB does not see the columns that SQLite generates
        columns={row[2].lower(): (row[2], types.get(row[2].lower(), COMPUTED)) for row in columns},
        keys=tuple(key for key, _ in keys),
        id_is_rowid=is_stored and keys == [("id", "INTEGER")] and not has_pk_index,
        has_rowid=kind == "table" and is_stored and not without_rowid,
    )


def own_name(sources: Iterable[Source], table: str, column: str) -> str:
    """Return what files themselves call a column of the contract; several names, where they do."""
    names = []
    for source in sources:
        shape = source.tables.get(table)
        if shape is None or column not in shape.columns:
            continue
        read = CRAWLER_TABLES.get(shape.name.lower())
        columns = own_columns(read, column) if read else [shape.columns[column][0]]
        names += [f"{shape.name}.{own}" for own in columns]
    return ", ".join(dict.fromkeys(names)) or f"{table}.{column}"


def reason_of(error: BaseException, path: str | None = None) -> str:
    """Return in a few words why reading a file failed, and what to do about it."""
    return str(trouble(error, path))
