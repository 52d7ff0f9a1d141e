"""What telemetry takes on the disk, how it grows, and until when there is room."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from exporter.errors import UsageError
from exporter.findings import size
from exporter.storage import size_of

from .support.archives import script
from .support.runs import Tool, record
from .support.web import ask
from .test_backup import refused


def test_sizes() -> None:
    assert [size_of(t) for t in ("2GB", "500 mb", "1GiB", "1.5k", "10")] == [
        2_000_000_000, 500_000_000, 1 << 30, 1500, 10,
    ]  # fmt: skip
    for text in ("", "GB", "-1GB", "0", "1ib", "two"):
        with pytest.raises(UsageError):
            size_of(text)
    said = ["0 B", "999 B", "1 kB", "81.92 kB", "1.184 MB", "2 GB", "1.5 TB"]
    numbers = (0, 999, 1000, 81_920, 1_183_744, 2 * 10**9, 1.5e12)
    assert [size(number) for number in numbers] == said


def test_what_a_file_takes(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept"
    for ago in (2, 3, 20):
        record(db, f"run-{ago}", start=time.time() - ago * 86_400)
    before = db.read_bytes()
    assert tool("archive", "--db", db, "--out", out, "--older-than", "30d").returncode == 0
    done = tool("storage", "--db", db, "--db", out, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    assert file["bytes"] == len(before) and file["is_measured"] and not file["is_over"]
    tables = {table["table"]: table for table in file["tables"]}
    assert tables["http_events"]["rows"] == 120 and tables["rate_events"]["rows"] == 0
    assert sum(t["bytes"] for t in tables.values()) + file["free_bytes"] == file["bytes"]
    assert [run["rows"] for run in file["runs"]] == [102, 102, 102]
    assert sum(day["rows"] for day in file["days"]) == 3 * 100
    assert file["archivable_runs"] == 1
    assert file["archivable_bytes"] == file["runs"][0]["bytes"]
    done = tool("diagnose", "storage", "--db", db, "--output-format", "json")
    (diagnosed,) = json.loads(done.stdout)["files"]
    assert diagnosed["runs"] == file["runs"]
    assert diagnosed["limit_bytes"] == file["limit_bytes"] == 2 * 10**9
    week, month = file["growth_bytes_per_day"].values()
    assert week > month > 0
    left = (2_000_000_000 - file["bytes"]) / week
    assert file["outlook"] == ("not in a hundred years" if left > 36_500 else file["outlook"])
    assert ask(db, "select count(*) from http_events") == [(120,)]

    assert tool("archive", "--db", db, "--out", out).returncode == 0
    done = tool("storage", "--db", db, "--db", out, "--limit", "100kB")
    assert done.returncode == 1
    assert "over the limit of 100 kB" in done.stdout and "100 kB: " in done.stdout
    assert f"archive {out}: 1 run, 102 rows, " in done.stdout


def test_files_without_days_or_that_cannot_be_read(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    script(db, "create table http_events (id integer primary key autoincrement, run_id, ts)")
    done = tool("storage", "--db", db, "--output-format", "json")
    (file,) = json.loads(done.stdout)["files"]
    assert done.returncode == 0 and file["outlook"] == "no data"
    assert file["growth_bytes_per_day"] == {"7": None, "28": None}
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("insert into http_events (run_id, ts) values ('a', 1760000000)")
        connection.commit()
    done = tool("storage", "--db", db, "--db", "nowhere.sqlite3")
    assert done.returncode == 1
    assert (
        "2 GB: not at this rate" in done.stdout and "nowhere.sqlite3: no such file" in done.stderr
    )
    refused(tool("storage", "--db", "nowhere.sqlite3"), "no such file")
    refused(tool("storage", "--db", db, "--limit", "big"), "is no size")
