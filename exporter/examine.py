"""The doctor's other process: it reads telemetry files with Python's own SQLite.

DuckDB brings a copy of the SQLite library of its own, and two copies in one process drop each
other's locks on a file. So this process never loads DuckDB, and the doctor itself never opens a
file with ``sqlite3``. One request a line on stdin, one answer a line on stdout, both JSON.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final

from exporter import checks_file, checks_ignored, checks_privacy, checks_tables
from exporter.errors import one_line
from exporter.examined import Examined, TooLong
from exporter.findings import Finding
from exporter.sqlite_reason import trouble

Check = Callable[[Examined], Iterator[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "format": checks_file.check_format,
    "wal": checks_file.check_wal,
    "free pages": checks_file.check_free_pages,
    "tables": checks_tables.check_tables,
    "columns": checks_tables.check_columns,
    "ignored": checks_ignored.check_ignored,
    "indexes": checks_tables.check_indexes,
    "ids": checks_tables.check_ids,
    "schema version": checks_file.check_schema_version,
    "privacy": checks_privacy.check_privacy,
}


def examine(path: str, opened: str, deep: bool) -> list[Finding]:
    """Return what the checks of one file find.

    Args:
        path: the file, as a person knows it.
        opened: the file to open: itself, or a copy of it.
        deep: look at everything, however long it takes.
    """
    try:
        file = Examined(path, opened, deep)
    except (sqlite3.Error, TooLong, OSError) as error:
        return [Finding("file", "bad", *_trouble(error, path))]
    try:
        # it takes as long as all others together, and leaves Python to them
        with ThreadPoolExecutor(1) as pool:
            integrity = pool.submit(_made, "integrity", checks_file.check_integrity, file)
            findings = [f for name, check in CHECKS.items() for f in _made(name, check, file)]
            findings += integrity.result()
    finally:
        file.close()
    how = "read-only" if path == opened else "read-only, as a copy: its folder cannot be written"
    return [Finding("file", "good", f"opened {how}"), *findings]


def _made(name: str, check: Check, file: Examined) -> list[Finding]:
    """Make one check; a file on which it fails is not good by that."""
    findings: list[Finding] = []
    try:
        findings.extend(check(file))
    except TooLong:
        found = f"takes longer than {file.budget_s:g} s, the limit on a file in use"
        findings.append(Finding(name, "unknown", found, "doctor --deep, between two runs"))
    except (sqlite3.Error, OSError) as error:
        findings.append(Finding(name, "unknown", *_trouble(error, file.path)))
    except Exception as error:  # what no file should do; the other checks go on
        found = f"the check failed: {type(error).__name__}: {one_line(error, 120)}"
        findings.append(Finding(name, "unknown", found, "please report it, with the file's schema"))
    return findings


def _trouble(error: BaseException, path: str) -> tuple[str, str]:
    """Return why SQLite cannot read a file, and what to do."""
    if isinstance(error, TooLong):
        error = sqlite3.OperationalError("database is locked")
    found = trouble(error, path)
    return found.what, found.remedy


def main() -> None:
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        findings = examine(asked["path"], asked["opened"], asked["deep"])
        print(json.dumps([asdict(finding) for finding in findings]), flush=True)


if __name__ == "__main__":
    main()
