"""Checks of a telemetry file as a whole: what it is, how large, and whether it is sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from exporter.examined import Examined, TooLong
from exporter.findings import Finding, good, plural, size
from exporter.sqlite_file import check
from exporter.sqlite_reason import DAMAGED
from recorder.schema import SCHEMA_VERSION, STATUS_TABLE

#: A log is 4 MB when SQLite checkpoints it as it usually does, after 1,000 pages. One of 16 times
#: that has not been for long, and one of 1 GB slows every reader.
WAL_BYTES: Final = 64 * 10**6
WAL_BAD_BYTES: Final = 10**9
#: Room that VACUUM would give back: worth an interruption from this share and this size on.
FREE_SHARE: Final = 0.25
FREE_BYTES: Final = 64 * 10**6


def check_format(file: Examined) -> Iterator[Finding]:
    """Say what kind of SQLite file it is; a rollback journal makes readers and writer wait."""
    page = int(file.ask("pragma page_size")[0][0])
    mode = str(file.ask("pragma journal_mode")[0][0])
    found = f"SQLite, journal mode {mode}, pages of {page:,} bytes"
    if file.is_wal:
        yield good("format", found)
    else:
        yield Finding(
            "format",
            "warning",
            f"{found}: readers and the crawler make each other wait",
            "between two runs: sqlite3 FILE 'pragma journal_mode=wal' (recorders do)",
        )


def check_wal(file: Examined) -> Iterator[Finding]:
    """Find a write-ahead log that nothing brings back into the file."""
    try:
        number = os.path.getsize(f"{file.path}-wal")
    except FileNotFoundError:
        number = 0
    if number <= WAL_BYTES:
        yield good("wal", f"{size(number)} of write-ahead log")
    else:
        yield Finding(
            "wal",
            "bad" if number > WAL_BAD_BYTES else "warning",
            f"{size(number)} of write-ahead log, usual are 4 MB: a reader keeps the file open, or "
            "the crawler was killed while it was large, so that no checkpoint empties it",
            "end the reader (fuser -v FILE), then: sqlite3 FILE 'pragma wal_checkpoint(truncate)'",
        )


def check_free_pages(file: Examined) -> Iterator[Finding]:
    """Find room that deleted rows left in the file."""
    free, pages, page = (
        int(file.ask(f"pragma {name}")[0][0])
        for name in ("freelist_count", "page_count", "page_size")
    )
    share = free / pages if pages else 0.0
    found = f"{size(free * page)} free in {plural(free, 'page')}, {share:.0%} of the file"
    if share > FREE_SHARE and free * page > FREE_BYTES:
        remedy = "between two runs, with as much disk space free: sqlite3 FILE vacuum"
        yield Finding("free pages", "warning", found, remedy)
    else:
        yield good("free pages", found)


def check_integrity(file: Examined) -> Iterator[Finding]:
    """Let SQLite look for damage, on a connection of its own because it takes the longest."""
    name = "integrity_check" if file.deep else "quick_check"
    try:
        found = check(name, file.beside)
    except TooLong:
        yield Finding(
            "integrity",
            "unknown",
            f"not looked for damage: {name} takes longer than {file.budget_s:g} s, the limit on a "
            "file in use",
            "doctor --deep, which has no limit; backup, which checks its copy, tells as well",
        )
        return
    for index in found.unchecked:
        yield good("integrity", f"{name}: not checked: {index}")
    if found.damage is None:
        yield good("integrity", f"{name}: ok")
    else:
        yield Finding("integrity", "bad", f"{name} finds damage: {found.damage[:200]}", DAMAGED)


def check_schema_version(file: Examined) -> Iterator[Finding]:
    """Find telemetry that a newer recorder wrote."""
    if file.real("recorder_schema") is None:
        by = "an early recorder" if file.real(STATUS_TABLE) else "another program"
        yield good("schema version", f"none: written by {by}; columns are read by their names")
        return
    (version,) = file.ask("select max(version) from recorder_schema")[0]
    if not isinstance(version, int):
        yield Finding(
            "schema version",
            "warning",
            "recorder_schema holds no number, so recorders take the file for an old one",
            f"let the recorder that wrote it open it, which sets version {SCHEMA_VERSION}",
        )
    elif version > SCHEMA_VERSION:
        yield Finding(
            "schema version",
            "warning",
            f"version {version}, this program knows {SCHEMA_VERSION}: columns it does not know "
            "are not read, and its recorder does not write here",
            "pip install --upgrade docstokg-telemetry",
        )
    else:
        yield good("schema version", f"version {version} of {SCHEMA_VERSION}")
