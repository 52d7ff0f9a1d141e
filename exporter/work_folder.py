"""Temporary folders that nothing outlives: what a killed process left, the next one removes."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

from exporter.errors import TelemetryError

_PREFIX: Final = ".docstokg-backup-"
_LOCK: Final = "lock"
#: Where the file system has no locks, a folder this old belongs to nobody.
_OLD_S: Final = 86_400


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for temporary files in another one, and remove it at the end.

    Its owner holds a lock in it, which the system frees when a process dies, so that what killed
    ones left can be told from what is in use; it is removed here as well. SIGTERM ends the block
    as Ctrl-C does.

    Raises:
        TelemetryError: it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        clear(parent)
        folder, lock = _make(parent)
    except OSError as error:
        raise TelemetryError(
            f"cannot write to {parent}: {error.strerror}; name a folder that can be written"
        ) from None
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield folder
    finally:
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear(parent: Path, own: Path | None = None) -> bool:
    """Remove the work folders of processes that are gone; return whether another is in use.

    Args:
        parent: where they are.
        own: one not to look at.
    """
    is_used = False
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder == own:
            continue
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            # killed while it made the folder, or making it right now
            is_used |= not _remove_old(folder, 60)
            continue
        except OSError:  # somebody else's
            is_used = True
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            is_used = True
        except OSError:
            is_used |= not _remove_old(folder, _OLD_S)
        finally:
            os.close(lock)
    return is_used


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(OSError):  # a file system without locks: age has to do
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / _LOCK).exists():  # else another process cleared it before it was locked
            return folder, lock
        os.close(lock)


def _remove_old(folder: Path, age_s: float) -> bool:
    with suppress(OSError):
        if time.time() - folder.lstat().st_mtime < age_s:
            return False
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
