"""The command that backs up a telemetry file while its writer works."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter.errors import SourceError, TelemetryError, UsageError, printable
from exporter.options import Format, OutputFormat
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.backup_archive import Manifest, Sums
    from exporter.backup_store import Store
    from exporter.sqlite_copy import Step
    from exporter.sqlite_file import Content

EXAMPLE: Final = (
    "Example: docstokg-telemetry backup --db manifest.sqlite3 --out s3://bucket/telemetry --keep 14"
)


@dataclass(frozen=True)
class Made:
    """A backup that was made.

    Attributes:
        archive: its name.
        manifest: what it holds.
        deleted: how many older ones were deleted.
        unchecked: indexes that could not be checked, each with the reason.
    """

    archive: str
    manifest: Manifest
    deleted: int
    unchecked: tuple[str, ...]


def backup(
    db: Annotated[
        Path,
        typer.Option(
            "--db",
            metavar="FILE",
            envvar="DOCSTOKG_TELEMETRY_DB_PATH",
            help="SQLite file to back up.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="DIR|URL", help="A folder for this file's backups, or s3://bucket/…"
        ),
    ],
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Keep so many of this file's backups; delete older."),
    ] = None,
    textfile: Annotated[
        Path | None,
        typer.Option("--textfile", help="Tell the node exporter when, in this file."),
    ] = None,
    output_format: Format = OutputFormat.text,
) -> None:
    """Back up a telemetry file, checked and compressed, while its writer works."""
    if not out:
        raise UsageError("--out is empty: name a folder or s3://bucket/…")
    if textfile is not None and not textfile.parent.is_dir():  # before the work, not after it
        raise UsageError(f"{textfile.parent} is no folder: --textfile names a file in one that is")
    from exporter.backup_store import store

    target = store(out)
    with progress("copying", verbose=False) as (_, step):
        made = create(db, target, keep, step)
    if textfile is not None:
        from exporter import exposition

        exposition.write_textfile(textfile, _metrics(made.manifest))
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(
            {"where": target.where, "archive": made.archive, "deleted": made.deleted}
            | {"unchecked": made.unchecked}
            | made.manifest.as_json()
        )
    else:
        typer.echo(printable(_closing_line(made, db, target)))
        for index in made.unchecked:
            typer.echo(printable(f"backed up, but not checked: {index}"))


def create(db: Path, target: Store, keep: int | None, step: Step) -> Made:
    """Make a backup.

    Args:
        db: the SQLite file.
        target: where it goes.
        keep: how many of this file's backups stay; None for all.
        step: told what is done.

    Raises:
        TelemetryError: it could not be made; nothing that looks like a backup is left.
    """
    from exporter import backups, sqlite_copy
    from exporter.backup_archive import Manifest
    from exporter.backup_store import Folder, failing
    from exporter.work_folder import clear, work_folder

    name = backups.source_of(db)
    is_folder = isinstance(target, Folder)
    parent = target.path if isinstance(target, Folder) else Path(tempfile.gettempdir())
    copy_name, packed_name, manifest_name = "copy.sqlite3", "archive.zst", "manifest.json"
    with sqlite_copy.source(db):
        pass  # looked at before a folder is made for its backups
    with work_folder(parent) as work:
        copy, packed = work / copy_name, work / packed_name
        _need_room(db, work)
        with sqlite_copy.source(db) as origin:
            made = datetime.now(UTC)
            expected = sqlite_copy.snapshot(origin, db, copy, step)
        with failing(f"write the backup of {db} to {parent}"):
            sums, content, unchecked = _check_and_pack(db, copy, packed, expected, step)
            copy.unlink()
            manifest = Manifest(name, made, sums, content)
            (work / manifest_name).write_bytes(manifest.as_bytes())
            for file in (packed, work / manifest_name):
                file.chmod(db.stat().st_mode & 0o666)
                _sync(file)
        with failing(f"put the backup of {db} into {target.where}"):
            step("storing", 0, 1)
            archive = _put(target, packed, backups.names(name, made))
            target.put(work / manifest_name, backups.manifest_name(archive))
        with failing(f"delete old backups in {target.where}, though the new one is good"):
            # in a folder, who is under way holds a work folder there; an upload cannot be seen
            is_alone = is_folder and not clear(parent, work)
            deleted = backups.prune(target, name, keep, is_alone) if keep is not None else 0
    return Made(archive, manifest, deleted, unchecked)


def _check_and_pack(
    db: Path, copy: Path, packed: Path, expected: dict[str, int] | None, step: Step
) -> tuple[Sums, Content, tuple[str, ...]]:
    """Check a copy while it is compressed: they take about as long, and a processor each.

    Raises:
        SourceError: the copy is damaged, as then the file is, or differs from its snapshot.
    """
    from exporter import sqlite_copy, sqlite_file
    from exporter.backup_archive import pack

    total = copy.stat().st_size
    connections: list[sqlite3.Connection] = []
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(sqlite_file.checked, copy, connections.append)

        def done(size: int) -> None:
            if check.done() and (damage := check.result().damage):
                raise sqlite_copy.damaged(db, damage)
            step(f"checking and compressing {db.name}", size, total)

        try:
            sums = pack(copy, packed, done)
            content = _contents(copy)
            if damage := check.result().damage:
                raise sqlite_copy.damaged(db, damage)
        except BaseException:
            if connections and not check.done():
                connections[0].interrupt()
            raise
    if content is None or expected not in (None, content.rows):
        raise SourceError(f"the copy of {db} has other rows than the file had: try again")
    return sums, content, check.result().unchecked


def _contents(copy: Path) -> Content | None:
    """Return what a copy holds; None where it is too damaged to tell."""
    from exporter.sqlite_file import contents

    try:
        return contents(copy)
    except sqlite3.DatabaseError:
        return None


def _put(target: Store, packed: Path, names: Iterable[str]) -> str:
    """Put an archive under the first name that is free; return the name."""
    there = target.sizes()
    for archive in names:
        if archive in there or f"{archive}.json" in there:
            continue
        try:
            target.put(packed, archive)
            return archive
        except FileExistsError:
            continue
    raise TelemetryError("too many backups were made in this second: try again")


def _need_room(db: Path, work: Path) -> None:
    """Refuse what cannot fit, rather than fill a disk that the crawler may be writing to."""
    needed, free = db.stat().st_size, shutil.disk_usage(work).free
    if free < needed:
        raise TelemetryError(
            f"cannot copy {db}: it needs {needed:,} bytes in {work.parent}, where {free:,} are "
            "free; free some disk space there"
        )


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _metrics(manifest: Manifest) -> bytes:
    from exporter import exposition, samples

    return exposition.text(
        [
            samples.gauge(
                "docstokg_backup_last_success_timestamp_seconds",
                "When the telemetry of the last good backup was copied, Unix time.",
                manifest.created_at.timestamp(),
                source=manifest.source,
            ),
            samples.gauge(
                "docstokg_backup_last_success_size_bytes",
                "Size of the last good backup, compressed.",
                manifest.sums.compressed_bytes,
                source=manifest.source,
            ),
        ]
    )


def _closing_line(made: Made, db: Path, target: Store) -> str:
    from exporter.restore import amounts

    sums = made.manifest.sums
    but = f" but for {len(made.unchecked)} {'index' if len(made.unchecked) == 1 else 'indexes'}"
    checked = f"checked{but if made.unchecked else ''}"
    line = (
        f"{db}: {amounts(made.manifest)}, {sums.sqlite_bytes:,} bytes as "
        f"{sums.compressed_bytes:,}, {checked}, in {target.where.rstrip('/')}/{made.archive}"
    )
    return f"{line}; {made.deleted:,} older deleted" if made.deleted else line
