"""Who holds the warehouse's lock, told without touching it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True)
class LockHolder:
    """A process that holds the lock; its name is that of its program."""

    pid: int
    name: str


def holder(folder: Path) -> LockHolder | str | None:
    """Return who holds the lock of the warehouse in a folder.

    Taking it for a look would make a writer that starts at this moment wait, so the kernel's own
    list is read.

    Returns:
        The holder; None when it is free; or a text that says why it cannot be told.
    """
    try:
        state = os.stat(folder / ".lock")
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"its lock file cannot be looked at: {error.strerror}"
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return "this system does not list its locks"
    place = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 708 08:01:3675 0 EOF; those that wait have an arrow before
        words = line.split()
        if place in words and "->" not in words:
            pid = int(words[words.index(place) - 1])
            return LockHolder(pid, _name(pid))
    return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "of another user or container"
