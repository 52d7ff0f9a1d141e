"""What this user may read and write of a warehouse, told before it is tried."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exporter.errors import WarehouseError
from exporter.paths import catalog, data_path

#: The subfolder that every user can do without: see `exporter.compiled`.
_OPTIONAL: Final = "compiled"
_REMEDY: Final = "set DOCSTOKG_WAREHOUSE to a folder of your own, or have this one opened to you"


def why_not_writable(folder: Path) -> str | None:
    """Return why this user cannot write the warehouse in a folder, which may be missing."""
    place = folder
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        return f"{place} is not a folder"
    for path in [place] if place != folder else _written(folder):
        # what a writer removed meanwhile is no hindrance
        if not os.access(path, _needed(path)) and os.path.lexists(path):
            return f"{path} {_of(path)} and cannot be written by this user"
    return None


def check_writable(folder: Path) -> None:
    """Make the warehouse's folder, and refuse one that belongs to somebody else.

    Raises:
        WarehouseError: this user cannot write it.
    """
    why = why_not_writable(folder)
    try:
        if why is None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{folder} cannot be made: {error.strerror}"
    if why is not None:
        raise WarehouseError(f"cannot write to the warehouse: {why}: {_REMEDY}")


def check_readable() -> None:
    """Refuse a warehouse that this user cannot read; a missing one passes.

    Raises:
        WarehouseError: it cannot be read.
    """
    kind, place = catalog().split(":", 1)
    places = [Path(place)] if kind == "sqlite" else []
    if "://" not in data_path():
        places.append(Path(data_path()))
    for why in filter(None, map(_why_not_readable, places)):
        raise WarehouseError(f"cannot read the warehouse: {why}: {_REMEDY}")


def _written(folder: Path) -> Iterator[Path]:
    """Yield what a writer writes: all folders, the catalog, the lock, and dbt's own files."""
    data = data_path()
    roots = [folder, *([Path(data)] if "://" not in data else [])]
    for root in roots:
        yield root
        for place, folders, files in os.walk(root):
            if place == str(folder):
                folders[:] = [name for name in folders if name != _OPTIONAL]
            yield from (Path(place, name) for name in folders)
            if place == str(folder) or Path(place).is_relative_to(folder / "dbt"):
                yield from (Path(place, name) for name in files)


def _why_not_readable(place: Path) -> str | None:
    for path in (*reversed(place.parents), place):
        if not os.path.lexists(path):
            return None
        if path != place and not path.is_dir():
            return f"{path} is not a folder"
        if not os.access(path, os.R_OK if path == place else os.X_OK):
            return f"{path} {_of(path)} and cannot be read by this user"
    return None


def _needed(path: Path) -> int:
    return os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)


def _of(path: Path) -> str:
    """Say whose a file is."""
    owner = path.stat().st_uid
    try:
        return f"belongs to {pwd.getpwuid(owner).pw_name}"
    except KeyError:
        return f"belongs to user {owner}"
