"""A new SQLite file in the place of an old one, and nothing of the old one left beside it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exporter.backup_store import sync_folder
from exporter.errors import TelemetryError, UsageError
from exporter.sqlite_file import opened

#: SQLite's locks are on these bytes (PENDING_BYTE and the 511 after it in its source).
_LOCK_BYTES: Final = (512, 0x40000000)


def put_in_place(copy: Path, target: Path, shown: Path, force: bool) -> None:
    """Put a file, which is on the disk already, in another one's place in one step.

    Args:
        copy: the new file, on the same file system.
        target: its place, not a link to it.
        shown: the place as the person named it.
        force: whether a file that is there is replaced.

    Raises:
        TelemetryError: a file is there, or in use; it is as it was.
        OSError: the folder cannot be written.
    """
    with _to_oneself(target, shown, force):
        _like_before(copy, target)
        # Gone before the file is: applied to another one, a log would destroy it. What was in it
        # is in the file by now, unless that is too damaged to be of use.
        for end in ("-wal", "-shm", "-journal"):
            Path(f"{target}{end}").unlink(missing_ok=True)
        sync_folder(target.parent)
        _place(copy, target, shown, force)
        sync_folder(target.parent)


def refuse_existing(target: Path, shown: Path, force: bool) -> None:
    if force:
        return
    if os.path.lexists(target):
        raise UsageError(f"{shown} exists: replace it with --force, or name another file")
    for end in ("-wal", "-journal"):
        with suppress(OSError):
            if Path(f"{target}{end}").stat().st_size:
                raise UsageError(
                    f"{shown}{end} is there, of a file that is gone: remove it with --force, "
                    "or name another file"
                )


@contextmanager
def _to_oneself(target: Path, shown: Path, force: bool) -> Iterator[None]:
    """Keep others from opening the file that is there while it is replaced.

    Raises:
        TelemetryError: another process has it open.
    """
    refuse_existing(target, shown, force)
    if not target.exists():
        yield
        return
    busy = TelemetryError(
        f"{shown} is in use: stop what has it open (fuser -v {shown}), then try again"
    )
    if not _settle(target):
        raise busy
    # SQLite's own lock, taken without SQLite: it may not be able to open the file any more
    with target.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_LOCK_BYTES)
        except (BlockingIOError, PermissionError):
            raise busy from None
        yield


def _like_before(copy: Path, target: Path) -> None:
    """Give the new file the permissions and the owner of the one it replaces."""
    mask = os.umask(0)
    os.umask(mask)
    copy.chmod(0o666 & ~mask)
    if target.exists():
        before = target.stat()
        with suppress(PermissionError):  # its owner, who is not root, keeps it anyhow
            os.chown(copy, before.st_uid, before.st_gid)
        copy.chmod(before.st_mode & 0o777)


def _place(copy: Path, target: Path, shown: Path, force: bool) -> None:
    if force:
        os.replace(copy, target)
        return
    try:
        os.link(copy, target)  # unlike a rename, never over a file that came meanwhile
    except FileExistsError:
        refuse_existing(target, shown, force)
    except OSError:  # a file system without links
        refuse_existing(target, shown, force)
        os.replace(copy, target)


def _settle(path: Path) -> bool:
    """Bring the log of a file into it, and undo what was left half done; return whether it is free.

    A file too damaged for that is left as it is, and free.
    """
    with suppress(sqlite3.DatabaseError), opened(path, "mode=rw", 1.0) as connection:
        try:
            # asked for before the first access, this wants the file for itself: an idle writer's
            # shared lock is enough to be told that the file is in use
            connection.execute("pragma locking_mode = exclusive")
            connection.execute("begin exclusive")
            connection.execute("rollback")
            connection.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.OperationalError as error:
            return "locked" not in str(error)
    return True
