"""Checks of the machine: room on its disks, and the versions of what works together."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from exporter.errors import TelemetryError
from exporter.findings import Finding, good, size
from exporter.paths import extensions, warehouse_dir

#: Free space below which a night's crawl may not fit, and below which writes fail soon.
LOW_SHARE: Final = 0.10
LOW_BYTES: Final = 10**9
FULL_SHARE: Final = 0.02


def check(paths: Sequence[str]) -> list[Finding]:
    """Return what is found about disks and versions.

    Args:
        paths: the telemetry files, whose disks are looked at beside the warehouse's.
    """
    return [*check_disks([*paths, str(warehouse_dir())]), *check_versions()]


def check_disks(paths: Sequence[str]) -> Iterator[Finding]:
    """Look at the free space of every disk that a path is on, each once."""
    seen: set[int] = set()
    for path in paths:
        place = Path(path)
        while not place.is_dir() and place != place.parent:
            place = place.parent
        try:
            device = os.stat(place).st_dev
            if device in seen:
                continue
            seen.add(device)
            usage = shutil.disk_usage(place)
        except OSError as error:
            found = f"{place}: {error.strerror}"
            yield Finding("disk space", "unknown", found, "see what df says of that folder")
            continue
        yield of_disk(str(place), usage.free, usage.total)


def of_disk(place: str, free: int, total: int) -> Finding:
    """Judge the free space, in bytes, of the disk that a folder is on."""
    share = free / total if total else 0.0
    found = f"{size(free)} of {size(total)} free ({share:.0%}) at {place}"
    if share >= LOW_SHARE and free >= LOW_BYTES:
        return good("disk space", found)
    return Finding(
        "disk space",
        "bad" if share < FULL_SHARE else "warning",
        found,
        "make room before the next crawl: docs/runbooks/storage.md",
    )


def check_versions() -> Iterator[Finding]:
    """Name the versions; DuckDB and its extensions must be the same one."""
    engine = _version("duckdb")
    names = [f"duckdb-extension-{name.replace('_', '-')}" for name in _extensions()]
    found = {name: _version(name) for name in (*names, "dbt-core", "dbt-duckdb")}
    missing = [name for name, one in found.items() if one is None]
    other = [name for name in names if found[name] not in (engine, None)]
    listed = ", ".join(f"{name} {one or 'missing'}" for name, one in found.items())
    text = (
        f"Python {platform.python_version()}, duckdb {engine}, {listed}, "
        f"SQLite {sqlite3.sqlite_version}"
    )
    if missing or other:
        wrong = ", ".join([*(f"{name} is missing" for name in missing),
                           *(f"{name} is for another duckdb" for name in other)])  # fmt: skip
        remedy = "pip install --upgrade docstokg-telemetry, which pins what fits together"
        yield Finding("versions", "bad", f"{wrong}: {text}", remedy)
    else:
        yield good("versions", text)


def _extensions() -> list[str]:
    try:
        return extensions()
    except TelemetryError:  # of a bad setting, which the check of the warehouse names
        return ["sqlite_scanner", "ducklake"]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
