"""The single-writer lock of the warehouse, freed by the system when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from exporter.access import check_writable
from exporter.errors import WarehouseError, one_line
from exporter.paths import catalog

if TYPE_CHECKING:
    import psycopg

#: The advisory lock that the writers of one PostgreSQL catalog agree on.
_KEY = 0x446F63546F4B47
#: Connections that hold it, by catalog: `run` holds it while dbt, in this process, takes it again.
_held: dict[str, psycopg.Connection] = {}


class Lock:
    """The single-writer lock of the warehouse, held until released or the process ends.

    A file beside the warehouse keeps out the writers of this machine; where the catalog is in
    PostgreSQL, an advisory lock there keeps out those of others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # a singleton, for the same reason as the connections above
        self._lock = FileLock(folder / ".lock", thread_local=False, is_singleton=True)

    def acquire(self, say: Callable[[str], None]) -> None:
        """Take the lock; wait, with a message, up to DOCSTOKG_LOCK_TIMEOUT_S (default 600) seconds.

        Raises:
            WarehouseError: another run still holds it at the limit, or this user cannot write.
        """
        check_writable(self._folder)
        limit = lock_timeout_s()
        kind, place = catalog().split(":", 1)
        for take in (self._take_file, partial(_take_advisory, place) if kind != "sqlite" else None):
            if take is None or take(0):
                continue
            say(f"another run is writing to the warehouse: waiting up to {limit:g} s")
            if not take(limit):
                raise WarehouseError(
                    f"another run has held the warehouse for over {limit:g} s: wait for it, "
                    "end it, or raise DOCSTOKG_LOCK_TIMEOUT_S"
                )

    def _take_file(self, limit_s: float) -> bool:
        try:
            self._lock.acquire(timeout=limit_s)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let the next writer in, however often this process has taken the lock."""
        if connection := _held.pop(catalog().split(":", 1)[1], None):
            connection.close()
        self._lock.release(force=True)  # dbt's plugin has no moment at which to give back its hold


def _take_advisory(place: str, limit_s: float) -> bool:
    """Take the advisory lock of a PostgreSQL catalog; return whether it was free in time."""
    if place in _held:
        return True
    try:
        import psycopg
    except ImportError:
        raise WarehouseError(
            "a catalog in PostgreSQL needs more: pip install 'docstokg-telemetry[shared]'"
        ) from None
    connection = None
    try:
        connection = psycopg.connect(place, autocommit=True)
        # 0 would wait for ever
        wait_ms = max(1, round(limit_s * 1000))
        connection.execute("select set_config('lock_timeout', %s, false)", [f"{wait_ms}ms"])
        connection.execute("select pg_advisory_lock(%s)", [_KEY])
    except psycopg.errors.LockNotAvailable:
        if connection is not None:
            connection.close()
        return False
    except psycopg.Error as error:
        raise WarehouseError(f"cannot lock the catalog in PostgreSQL: {one_line(error)}") from error
    _held[place] = connection
    return True


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
