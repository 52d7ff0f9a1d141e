"""Archive folders, read: what each archived run holds, and its rows as the raw relations.

A run's folder holds Parquet files and, written last, the manifest that names them: a file that
the manifest does not name is not there yet, or any more.
"""

from __future__ import annotations

import glob
import json
import os
import re
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from exporter.raw_schema import TABLES, raw_columns
from exporter.raw_sql import TableShape, literal

#: Marks a folder as an archive.
MARKER: Final = "archive.json"
MANIFEST: Final = "manifest.json"
#: Goes up when an older version could not read what is written any more.
FORMAT: Final = 1
#: What the file_ids of archived runs begin with: a file that still holds a row goes before them.
FILE_ID_PREFIX: Final = "archive-"
_FOLDER: Final = "run_id="
_FILE: Final = re.compile(r"([a-z_]+)-\d+\.parquet")
#: Bytes of a folder's name; file systems take 255.
_LONGEST: Final = 200
#: The columns of archived tables that are not of the raw relation: what only the file knew of.
EXTRA: Final = "extra"


class ArchiveDamaged(Exception):
    """A run's folder is not what its manifest says; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Stored:
    """One table of an archived run.

    Attributes:
        columns: the columns that the table had in the telemetry file, in lower case.
        extra: those of them that are kept as JSON, because the contract does not know them.
        rows: how many there are.
        row_hash: sum of the hashes of the rows, in any order, by DuckDB's hash().
        file: name of the Parquet file; None where there are no rows.
        bytes: its size.
        sha256: its checksum.
        parquet_columns: the columns of the Parquet file.
    """

    columns: list[str]
    extra: list[str]
    rows: int
    row_hash: str = "0"
    file: str | None = None
    bytes: int = 0
    sha256: str = ""
    parquet_columns: list[str] | None = None


@dataclass(frozen=True)
class ArchivedRun:
    """What the manifest of an archived run says.

    Attributes:
        run_id: the run.
        generation: goes up each time that rows are added.
        archived_at: when, ISO-8601 UTC.
        last_event_at: time of its last event, Unix seconds; None where no event has a time.
        source: the telemetry file it was in.
        tool_version: of this package.
        duckdb_version: of the engine, whose hash() it was.
        tables: the telemetry tables that the file had, those without a row of the run as well.
    """

    run_id: str
    generation: int
    archived_at: str
    last_event_at: float | None
    source: str
    tool_version: str
    duckdb_version: str
    tables: dict[str, Stored]

    @property
    def rows(self) -> int:
        """Return the rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def size(self) -> int:
        """Return the bytes of all Parquet files."""
        return sum(table.bytes for table in self.tables.values())

    def as_bytes(self) -> bytes:
        """Return it as the manifest's JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()

    def shapes(self) -> dict[str, TableShape]:
        """Return what the tables looked like in their file, as far as it matters to an SLI."""
        return {
            name: TableShape(name, {c: (c, "") for c in table.columns}, (), False, False)
            for name, table in self.tables.items()
        }

    def files(self) -> set[str]:
        """Return the names of the Parquet files."""
        return {table.file for table in self.tables.values() if table.file is not None}


def is_archive(folder: str | Path) -> bool:
    """Tell whether a folder is an archive."""
    return os.path.isfile(os.path.join(folder, MARKER))


def is_archived_run(folder: str | Path) -> bool:
    """Tell whether a folder is that of one archived run."""
    name = os.path.basename(folder)
    return name.startswith(_FOLDER) and os.path.isfile(os.path.join(folder, MANIFEST))


def run_folders(archive: str | Path) -> list[str]:
    """Return the folders of an archive's runs, in order of name."""
    return sorted(entry.path for entry in os.scandir(archive) if is_archived_run(entry.path))


def unlisted_folders(archive: str | Path) -> list[str]:
    """Return the folders of an archive that hold a run's Parquet and no manifest, in order."""
    return sorted(
        entry.path
        for entry in os.scandir(archive)
        if entry.name.startswith(_FOLDER)
        and not is_archived_run(entry.path)
        and strays(entry.path, None)
    )


def as_pattern(file: str | Path) -> str:
    """Return a pattern that matches one file alone, for DuckDB, which takes names for patterns."""
    return glob.escape(str(file))


def table_of(file: str) -> str | None:
    """Return the table that a file of a run's folder is of; None where it is none of ours."""
    found = _FILE.fullmatch(file)
    return found[1] if found and found[1] in TABLES else None


def strays(folder: str | Path, run: ArchivedRun | None) -> list[Path]:
    """Return the Parquet files in a run's folder which its manifest, if any, does not name."""
    named = run.files() if run is not None else set()
    files = sorted(Path(folder).glob("*.parquet"))
    return [file for file in files if table_of(file.name) and file.name not in named]


def file_id(folder: str) -> str:
    """Return what the rows of a run's folder are marked with."""
    return f"{FILE_ID_PREFIX}{sha256(os.fsencode(folder)).hexdigest()[:16]}"


def read(folder: str | Path) -> ArchivedRun:
    """Read the manifest of a run's folder, and look whether its files are there.

    Raises:
        ArchiveDamaged: it cannot be read, or names files that are not there or not whole.
    """
    try:
        said: dict[str, Any] = json.loads((Path(folder) / MANIFEST).read_bytes())
        if said.pop("format") != FORMAT:
            raise ArchiveDamaged("archived by a newer version: update this one")
        tables = {name: Stored(**table) for name, table in said.pop("tables").items()}
        run = ArchivedRun(**said, tables=tables)
    except OSError as error:
        raise ArchiveDamaged(f"its manifest cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ArchiveDamaged("its manifest is damaged: restore the folder from a copy") from None
    for table in run.tables.values():
        if table.file is not None:
            _check_size(Path(folder) / table.file, table)
    return run


def _check_size(file: Path, table: Stored) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise ArchiveDamaged(f"{file.name}: {error.strerror}") from None
    if size != table.bytes:
        raise ArchiveDamaged(
            f"{file.name} has {size:,} bytes and not {table.bytes:,}: restore it from a copy"
        )


def check(folder: str | Path, run: ArchivedRun, tables: list[str] | None = None) -> None:
    """Compare the checksums of a run's files with its manifest.

    Args:
        folder: the run's.
        run: its manifest.
        tables: only these.

    Raises:
        ArchiveDamaged: a file is not the one that was written.
    """
    for name, table in run.tables.items():
        if table.file is not None and (tables is None or name in tables):
            try:
                with (Path(folder) / table.file).open("rb") as file:
                    found = file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ArchiveDamaged(f"{table.file}: {error.strerror}") from None
            if found != table.sha256:
                raise ArchiveDamaged(
                    f"the checksum of {table.file} is wrong: restore it from a copy"
                )


def select_sql(folder: str, run: ArchivedRun, table: str, with_extra: bool = False) -> str:
    """Return a select of the raw columns (without file_id and load_id) of an archived table.

    Args:
        folder: the run's.
        run: its manifest.
        table: the contract's name of the table.
        with_extra: with what is kept beyond the contract, too.
    """
    stored = run.tables[table]
    known = stored.parquet_columns or []
    wanted = {c: t for c, t in raw_columns(table).items() if c not in ("file_id", "load_id")}
    if with_extra:
        wanted[EXTRA] = "varchar"
    columns = ", ".join(c if c in known else f"null::{t} as {c}" for c, t in wanted.items())
    if stored.file is None:
        return f"select {columns} where false"
    file = literal(as_pattern(os.path.join(folder, stored.file)))
    return f"select {columns} from read_parquet({file}, hive_partitioning = false)"


def folder_of(archive: Path, run_id: str) -> Path:
    """Return the folder of a run: readable, and never that of another run.

    Characters that mean something in a path are escaped as in Hive partitions; a long name is cut
    and told apart by a digest, and so is one that a file system without case gives to another run.
    """
    name = f"{_FOLDER}{quote(run_id, safe='')}"
    cut = f"{name[: _LONGEST - 20]}~{sha256(run_id.encode()).hexdigest()[:16]}"
    if len(name) > _LONGEST:
        return archive / cut
    try:
        taken = json.loads((archive / name / MANIFEST).read_bytes()).get("run_id")
    except (OSError, ValueError, AttributeError):
        return archive / name
    return archive / (name if taken == run_id else cut)
