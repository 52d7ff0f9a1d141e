"""The command that brings a backup back, whole and checked, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import TelemetryError, UsageError, printable
from exporter.findings import plural
from exporter.options import Format, OutputFormat
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.backup_archive import Manifest
    from exporter.backup_store import Store
    from exporter.backups import Backup
    from exporter.sqlite_copy import Step

EXAMPLE: Final = (
    "Example: docstokg-telemetry restore --from s3://bucket/telemetry --db manifest.sqlite3 --force"
)


def restore(
    origin: Annotated[
        str,
        typer.Option(
            "--from", metavar="FILE|DIR|URL", help="A backup, or where they are: the newest there."
        ),
    ],
    db: Annotated[Path, typer.Option("--db", metavar="FILE", help="SQLite file to restore.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file that is there, unless it is in use.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="Of several files' backups: this file's."),
    ] = None,
    output_format: Format = OutputFormat.text,
) -> None:
    """Restore a telemetry file from a backup, after checking all of it."""
    from exporter.backup_store import failing
    from exporter.backups import source_of
    from exporter.put_in_place import refuse_existing

    target = Path(os.path.realpath(db))
    if target.is_dir():
        raise UsageError(f"{db} is a folder: name the SQLite file to restore with --db")
    refuse_existing(target, db, force)
    place, name = _split(origin)
    with progress("looking", verbose=False) as (_, step):
        with failing(f"read the backups in {place.where}"):
            asked = source or source_of(target)
            chosen, is_newest = _choose(place, name, asked, source is not None)
        unpack_into(place, chosen, target, db, force, step)
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(
            {"db": str(db), "where": place.where, "archive": chosen.archive}
            | chosen.manifest.as_json()
        )
    else:
        made = f"{chosen.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC"
        typer.echo(
            printable(
                f"{db}: {amounts(chosen.manifest)}, of {made}, checked, from "
                f"{place.where.rstrip('/')}/{chosen.archive}"
            )
        )

    raise typer.Exit(0 if is_newest else 1)


def amounts(manifest: Manifest) -> str:
    """Return how many runs and rows a backup holds, for people."""
    runs, rows = manifest.content.runs, sum(manifest.content.rows.values())
    return f"{plural(runs, 'run')}, {plural(rows, 'row')}"


def unpack_into(
    place: Store, chosen: Backup, target: Path, shown: Path, force: bool, step: Step
) -> None:
    """Unpack a backup beside the file, check it, and put it in the file's place in one step.

    Args:
        place: where the backup is.
        chosen: the backup.
        target: the file, not a link to it.
        shown: the file's name as the person gave it.
        force: whether a file that is there is replaced.
        step: told what is done.

    Raises:
        TelemetryError: the backup is damaged, the file is there or in use, or cannot be written.
            What was there is as it was.
    """
    from exporter import sqlite_file
    from exporter.backup_archive import DamagedError, unpack
    from exporter.backup_store import failing
    from exporter.put_in_place import put_in_place
    from exporter.work_folder import work_folder

    what = f"{place.where.rstrip('/')}/{chosen.archive}"
    total = chosen.manifest.sums.sqlite_bytes
    with work_folder(target.parent) as work:
        copy = work / "copy.sqlite3"
        with failing(f"restore {what} to {shown}"):
            try:
                with place.open(chosen.archive) as packed:
                    unpack(
                        packed, copy, chosen.manifest.sums,
                        lambda size: step("unpacking", size, total),
                    )  # fmt: skip
                step("checking", total, total)
                damage = sqlite_file.checked(copy, lambda _connection: None).damage
                if damage:
                    raise DamagedError(damage)
                # of its content the rows: how runs are counted may change with the version
                if sqlite_file.contents(copy).rows != chosen.manifest.content.rows:
                    raise DamagedError("its rows are not those of its manifest")
            except DamagedError as error:
                raise DamagedError(
                    f"{what} is damaged ({error}): name another backup with --from"
                ) from None
            put_in_place(copy, target, shown, force)


def _split(origin: str) -> tuple[Store, str | None]:
    """Return the store that --from names, and the archive in it if it names one."""
    from exporter.backup_store import is_url, store
    from exporter.backups import is_archive

    if not origin:
        raise UsageError("--from is empty: name a backup, a folder or s3://bucket/…")
    folder, slash, last = origin.rstrip("/").rpartition("/")
    last = last.removesuffix(".json")
    names_one = is_archive(last) if is_url(origin) else not Path(origin).is_dir()
    if not names_one:
        return store(origin), None
    if not is_url(origin) and not Path(origin).exists():
        raise UsageError(f"{origin} does not exist: name a backup, or the folder of backups")
    return store((folder or "/") if slash else "."), last


def _choose(place: Store, name: str | None, source: str, is_told: bool) -> tuple[Backup, bool]:
    """Return the backup that is meant, and whether none that is newer had to be passed over.

    Raises:
        TelemetryError: there is none, it is not complete, or it is not clear which.
    """
    from exporter.backup_archive import Manifest
    from exporter.backups import Backup, find, is_newer, manifest_name

    if name is not None:
        try:
            written = place.read(manifest_name(name))
        except FileNotFoundError:
            raise TelemetryError(
                f"{name} has no manifest, {manifest_name(name)}: it is no complete backup; "
                "name another one"
            ) from None
        try:
            return Backup(name, Manifest.of(written)), True
        except TelemetryError as error:
            raise TelemetryError(f"{name}: {error}: name another backup") from None
    found = find(place)
    sources = sorted({backup.manifest.source for backup in found.complete})
    of_source = [backup for backup in found.complete if backup.manifest.source == source]
    for archive, reason in found.damaged.items():
        output.complain(f"skipped {archive}: {reason}")
    if of_source or (len(sources) == 1 and not is_told):
        chosen = (of_source or found.complete)[0]
        return chosen, not any(is_newer(archive, chosen.archive) for archive in found.damaged)
    if not sources:
        raise TelemetryError(f"{place.where} holds no complete backup: name another place")
    known = ", ".join(sources[:5])
    raise UsageError(f"{place.where} holds backups of {known}: name one of them with --source")
