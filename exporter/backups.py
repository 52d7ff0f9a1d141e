"""The backups in a store: which are complete, which is the newest, which can go."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Final

from exporter.backup_archive import DamagedError, Manifest
from exporter.backup_store import Store

_NAME: Final = re.compile(r"(.*)-(\d{8}T\d{6}Z)(?:-\d+)?\.sqlite3\.zst", re.DOTALL)
_STAMP: Final = "%Y%m%dT%H%M%SZ"
#: An upload this old is not under way any more.
_OLD: Final = timedelta(days=1)


@dataclass(frozen=True)
class Backup:
    """A complete backup: a manifest, and an archive of the size it says."""

    archive: str
    manifest: Manifest


@dataclass(frozen=True)
class Found:
    """What is in a store.

    Attributes:
        complete: the newest first.
        damaged: archives or manifests that belong to no complete backup, with the reason.
        orphans: archives without a manifest: killed before it was written, or under way.
    """

    complete: list[Backup]
    damaged: dict[str, str]
    orphans: list[str]


def source_of(db: PurePath) -> str:
    """Return the name by which the backups of a file know it: its own, as text."""
    return os.fsencode(db.name).decode(errors="replace")


def manifest_name(archive: str) -> str:
    """Return the name of an archive's manifest."""
    return f"{archive}.json"


def is_archive(name: str) -> bool:
    """Tell whether a file is named as an archive."""
    return _NAME.fullmatch(name) is not None


def is_newer(archive: str, other: str) -> bool:
    """Tell whether an archive is of the same file as another one, and not older."""
    ours, theirs = _NAME.fullmatch(archive), _NAME.fullmatch(other)
    return bool(ours and theirs and ours[1] == theirs[1] and ours[2] >= theirs[2])


def stem(source: str) -> str:
    """Return what the names of a source's archives begin with."""
    # 255 bytes are the most that a file's name may have
    return PurePath(source).stem.encode(errors="replace")[:200].decode(errors="ignore")


def names(source: str, made: datetime) -> Iterable[str]:
    """Return names for an archive, the best first; several backups may be made in a second."""
    stamp = made.strftime(_STAMP)
    yield f"{stem(source)}-{stamp}.sqlite3.zst"
    for number in range(2, 100):
        yield f"{stem(source)}-{stamp}-{number}.sqlite3.zst"


def find(store: Store) -> Found:
    """Look through a store."""
    # listed before the manifests are read: what is complete now is not taken for an orphan
    sizes = store.sizes()
    complete: list[Backup] = []
    damaged: dict[str, str] = {}
    for name in sizes:
        archive = name.removesuffix(".json")
        if archive == name or not is_archive(archive):
            continue
        try:
            manifest = Manifest.of(store.read(name))
        except FileNotFoundError:
            continue
        except DamagedError as error:
            damaged[archive] = str(error)
            continue
        wanted, size = manifest.sums.compressed_bytes, sizes.get(archive)
        if size is None:
            damaged[archive] = "its archive is gone"
        elif size != wanted:
            damaged[archive] = f"its archive has {size:,} bytes, not {wanted:,}"
        else:
            complete.append(Backup(archive, manifest))
    orphans = [n for n in sizes if is_archive(n) and manifest_name(n) not in sizes]
    return Found(
        sorted(complete, key=lambda b: (b.manifest.created_at, b.archive), reverse=True),
        damaged,
        orphans,
    )


def prune(store: Store, source: str, keep: int, is_alone: bool) -> int:
    """Delete the oldest complete backups of a source beyond some, and what killed ones left.

    Args:
        store: where they are.
        source: the file's name, as manifests say it.
        keep: how many complete ones stay.
        is_alone: nobody else writes there; without it an archive without a manifest may be one
            under way, until it is a day old.

    Returns:
        How many complete backups were deleted.
    """
    found = find(store)
    old = [backup for backup in found.complete if backup.manifest.source == source][keep:]
    for backup in old:
        # the manifest first: what is half deleted must not look like a backup
        store.delete(manifest_name(backup.archive))
        store.delete(backup.archive)
    now = datetime.now(UTC)
    for name in found.orphans:
        matched = _NAME.fullmatch(name)
        if matched and matched[1] == stem(source):
            age = now - datetime.strptime(matched[2], _STAMP).replace(tzinfo=UTC)
            still_alone = manifest_name(name) not in store.sizes()
            if (is_alone or age > _OLD) and still_alone:
                store.delete(name)
    return len(old)
