"""Figures of backup and restore, beside a plain copy of the same file, put on the disk as well."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str, float, str, float, str, str], None]


def measure(db: Path, folder: Path, note: Note) -> None:
    """Back up a large file and restore it, three times each.

    Args:
        db: the telemetry.
        folder: for the backups, on the file system of the file.
        note: keeps a figure and what it is compared with.
    """
    copies, backups, restores = [], [], []
    for number in range(3):
        copies.append(_copy(db, folder / "copy"))
        out, back = folder / f"backup-{number}", folder / "back.sqlite3"
        backups.append(_tool("backup", "--db", db, "--out", out))
        restores.append(_tool("restore", "--from", out, "--db", back))
        shutil.rmtree(out)
        back.unlink()
    plain = min(copies)
    note("backup, checked and compressed", min(backups), "plain copy, synced", plain, "≤ 2 ×", "s")
    bare, guide = _copy(db, folder / "copy", is_synced=False), _tar(db, folder / "copy.tar.gz")
    note("the same", min(backups), "plain copy, not synced", bare, "for information", "s")
    note("the same", min(backups), "tar -czf, as the guide has it", guide, "for information", "s")
    note("… of it the copy alone", _snapshot(db, folder), "plain copy, synced", plain, "≤ 2 ×", "s")
    note("restore, checked", min(restores), "plain copy, synced", plain, "for information", "s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    note("backup and restore, peak memory", peak, "limit", 800, "≤ 800 MiB", "MiB")


def _copy(db: Path, copy: Path, is_synced: bool = True) -> float:
    began = time.perf_counter()
    shutil.copyfile(db, copy)
    if is_synced:
        with copy.open("rb") as file:
            os.fsync(file.fileno())
    took = time.perf_counter() - began
    copy.unlink()
    return took


def _tar(db: Path, archive: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["tar", "-czf", archive, "-C", db.parent, db.name], check=True)
    took = time.perf_counter() - began
    archive.unlink()
    return took


def _snapshot(db: Path, folder: Path) -> float:
    code = (
        "import sys; from pathlib import Path; from exporter import sqlite_copy\n"
        "db, copy = map(Path, sys.argv[1:])\n"
        "with sqlite_copy.source(db) as origin:\n"
        "    sqlite_copy.snapshot(origin, db, copy, lambda what, done, total: None)"
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(db), str(folder / "snapshot")], check=True)
    took = time.perf_counter() - began
    (folder / "snapshot").unlink()
    return took


def _tool(*arguments: object) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "exporter", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began
