"""Looks at our own commands: they run for real, into a folder that is gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from exporter.errors import one_line
from exporter.findings import plural
from exporter.gate_seen import Context
from exporter.progress import progress
from exporter.raw_sql import literal

_PACKAGES: Final = Path(__file__).resolve().parents[1]
_MESSAGE_LENGTH: Final = 160


def command(*arguments: str) -> list[str]:
    """Return the words that run one of our commands with this interpreter."""
    return [sys.executable, "-m", "exporter", *arguments]


def environment() -> dict[str, str]:
    """Return an environment in which this interpreter finds this package."""
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


def sources(context: Context) -> list[str]:
    """Return the options that name the telemetry and the project."""
    options = [word for name in context.names for word in ("--db", name)]
    return [*options, *(["--project-dir", str(context.project_dir)] if context.project_dir else [])]


def commands(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count which of summary, query and export do not work on the files."""
    with tempfile.TemporaryDirectory(prefix="docstokg-") as folder:
        tried = {
            "summary": ["--output-format", "json"],
            "query": ["--format", "json", "--query", "select count(*) as runs from run_inventory"],
            "export": ["--out", folder],
        }
        told = []
        failed = 0
        for name, options in tried.items():
            done = subprocess.run(
                command(name, *sources(context), *options),
                env=environment(), capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
            works = done.returncode in (0, 1) and _answers(name, done.stdout, Path(folder))
            failed += not works
            said = done.stderr.strip().splitlines()[-1:] or ["no answer"]
            told.append(f"{name} {'works' if works else said[0][:_MESSAGE_LENGTH]}")
    return failed, True, "; ".join(told)


def _answers(name: str, stdout: str, folder: Path) -> bool:
    """Tell whether a command has answered what it was asked."""
    if name == "export":
        return any(folder.glob("*.parquet"))
    try:
        answer = json.loads(stdout)
    except ValueError:
        return False
    return bool(answer["run_id"]) if name == "summary" else bool(answer[0]["runs"])


def parquet(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count Parquet files that cannot be read back, or hold other rows than the warehouse."""
    from exporter.export import export

    with _folder(context.parquet) as out, progress("writing", verbose=False) as (_, step):
        written = export(out, context.runs_of, step)
        wrong = []
        with duckdb.connect(":memory:") as reader:
            for file in written:
                try:
                    # reads every value, not only the number of rows at the file's end
                    row = reader.execute(
                        "select count(*), max(hash(found)) from "
                        f"read_parquet({literal(str(file.path))}) as found"
                    ).fetchone()
                    rows = row[0] if row else None
                except duckdb.Error as error:
                    wrong.append(f"{file.name}: {one_line(error, _MESSAGE_LENGTH)}")
                    continue
                if rows != file.rows:
                    wrong.append(f"{file.name}: {plural(rows or 0, 'row')} read of {file.rows:,}")
    total = sum(file.rows for file in written)
    where = f" in {out}" if context.parquet else ""
    told = f"{plural(len(written), 'table')}, {plural(total, 'row')} written and read back{where}"
    return len(wrong), bool(written), "; ".join([told, *wrong[:3]])


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """Provide the folder that a person named, or one that is gone afterwards."""
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="docstokg-") as folder:
        yield Path(folder)
