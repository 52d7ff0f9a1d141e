"""The single-writer lock of the warehouse, freed by the system when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from exporter.errors import WarehouseError


class Lock:
    """The single-writer lock beside the warehouse, held until released or the process ends."""

    def __init__(self, folder: Path) -> None:
        # a singleton: `run` holds it while dbt, in the same process, takes it once more
        self._lock = FileLock(folder / ".lock", thread_local=False, is_singleton=True)

    def acquire(self, say: Callable[[str], None]) -> None:
        """Take the lock; wait, with a message, up to DOCSTOKG_LOCK_TIMEOUT_S (default 600) seconds.

        Raises:
            WarehouseError: another run still holds it at the limit.
        """
        with suppress(Timeout):
            self._lock.acquire(timeout=0)
            return
        limit = lock_timeout_s()
        say(f"another run is writing to the warehouse: waiting up to {limit:g} s")
        try:
            self._lock.acquire(timeout=limit)
        except Timeout:
            raise WarehouseError(
                f"another run has held the warehouse for over {limit:g} s: wait for it, end it, "
                "or raise DOCSTOKG_LOCK_TIMEOUT_S"
            ) from None

    def release(self) -> None:
        """Let the next writer in, however often this process has taken the lock."""
        self._lock.release(force=True)  # dbt's plugin has no moment at which to give back its hold


def lock_timeout_s() -> float:
    """Return the seconds to wait for another writer.

    Raises:
        WarehouseError: DOCSTOKG_LOCK_TIMEOUT_S is not a number of seconds.
    """
    text = os.environ.get("DOCSTOKG_LOCK_TIMEOUT_S", "600")
    with suppress(ValueError):
        if (value := float(text)) >= 0:
            return value
    raise WarehouseError(f"DOCSTOKG_LOCK_TIMEOUT_S={text!r} is not a number of seconds")
