"""Telemetry to archive, and what is where: in files, in archives, in a warehouse's raw rows."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from .runs import Tool

#: Loads sources into a warehouse, or into none, and prints a digest of its raw rows by table.
_LAKE = """
import json, sys
from exporter import warehouse
from exporter.loader import load
from exporter.raw_schema import TABLES, UPSERTED, raw_columns
connection = warehouse.connect()
warehouse.attach_writer(connection)
names = json.loads(sys.argv[1])
report = load(connection, names, lambda message: None) if names else None
found = {}
for table in TABLES:
    unnamed = {'file_id', 'load_id', *(['id'] if table in UPSERTED else [])}
    columns = ', '.join(c for c in raw_columns(table) if c not in unnamed)
    sums = f'count(*), coalesce(sum(hash({columns})::hugeint), 0)::varchar'
    found[table] = connection.execute(f'select {sums} from lake.raw.{table}').fetchone()
print(json.dumps([found, report and report.rows, report and [s.path for s in report.skipped]]))
"""

DIRTY = """
create table http_events (id integer primary key autoincrement, run_id text, timestamp text,
    host text, role text, method, status, from_cache, rate_delay_ms, "odd ""column" text, note);
create table fallback_attempts (id integer primary key autoincrement, run_id text, ts,
    artifact_id text, outcome text, metadata text, elapsed_ms);
create table downloads (id integer primary key autoincrement, run_id text, artifact_id text,
    sha256 text, content_length, resolver_name text);
create table run_summary (run_id text primary key, started_at text, finished_at text);
create table notes (text);
insert into notes values ('mine');
"""


class Lake:
    """A warehouse's raw rows, loaded and digested in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, *names: object) -> tuple[dict[str, list[object]], int, list[str]]:
        """Load sources; return the digests by table, how many rows were new, what was skipped."""
        done = subprocess.run(
            [sys.executable, "-c", _LAKE, json.dumps([str(name) for name in names])],
            env=os.environ | {"DOCSTOKG_WAREHOUSE": str(self.folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found, rows, skipped = json.loads(done.stdout.splitlines()[-1])
        return found, rows, skipped


def slis(tool: Tool, run: str, *names: object) -> dict[str, object]:
    """Return a run's summary, straight from sources."""
    arguments = [word for name in names for word in ("--db", name)]
    done = tool("summary", *arguments, "--run", run, "--output-format", "json")
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def script(db: Path, sql: str) -> None:
    """Run statements on a file."""
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(sql)


def dirty(db: Path, run: str = "dirty", start: int = 1_760_000_000) -> None:
    """Make a file of odd types, ISO times, missing columns and tables, and unknown columns."""
    script(db, DIRTY)
    with closing(sqlite3.connect(db)) as connection:
        for n in range(60):
            moment = f"2025-10-09T08:{n % 60:02}:00+02:00" if n % 7 else n
            connection.execute(
                "insert into http_events (run_id, timestamp, host, role, status, from_cache, "
                'rate_delay_ms, "odd ""column", note) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
                [run, moment, f"h{n % 3}", "metadata", 429 if n % 5 == 0 else "200",
                 n % 2 if n % 11 else "abc", "1.5" if n % 4 else b"\xff\x00",
                 None if n % 3 else "x",
                 f"see https://u:t0psecret@h/{n}" if n % 9 == 0 else n],
            )  # fmt: skip
            ts = start + n if n % 6 else (start + n) * 1000
            connection.execute(
                "insert into fallback_attempts (run_id, ts, artifact_id, outcome, metadata) "
                "values (?, ?, ?, ?, ?)",
                [run, ts, f"a{n // 2}", "success" if n % 2 else "no_pdf",
                 json.dumps({"resolver_name": "arxiv", "url": "https://t0psecret.example/x"})],
            )  # fmt: skip
            connection.execute(
                "insert into downloads (run_id, artifact_id, sha256, content_length, "
                "resolver_name) values (?, ?, ?, ?, 'unpaywall')",
                [run, f"a{n}", "ab" * 32 if n % 3 else None, n if n % 8 else "many"],
            )
        connection.execute("insert into downloads (run_id, artifact_id) values ('  ', 'lost')")
        connection.execute("insert into downloads (artifact_id) values ('lost too')")
        connection.execute(
            "insert into run_summary values (?, '2025-10-09T06:00:00Z', '2025-10-09T07:00:00Z')",
            [run],
        )
        connection.commit()
