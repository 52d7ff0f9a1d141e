"""Write a small ``manifest.sqlite3`` or ``manifest.jsonl`` as the crawler's own sinks lay it out.

python -m scripts.crawler_manifest --db runs/example/manifest.sqlite3
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

#: The tables of its schema version 8.
SCHEMA: Final = """
create table manifests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_id TEXT,
    schema_version INTEGER, work_id TEXT, title TEXT, publication_year INTEGER, resolver TEXT,
    url TEXT, canonical_url TEXT, original_url TEXT, path TEXT, path_mtime_ns INTEGER,
    classification TEXT, content_type TEXT, reason TEXT, reason_detail TEXT, html_paths TEXT,
    sha256 TEXT, content_length INTEGER, etag TEXT, last_modified TEXT, extracted_text_path TEXT,
    dry_run INTEGER
);
create table attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_id TEXT, work_id TEXT,
    resolver_name TEXT, resolver_order INTEGER, url TEXT, canonical_url TEXT, original_url TEXT,
    status TEXT, http_status INTEGER, content_type TEXT,
    elapsed_ms REAL, resolver_wall_time_ms REAL, reason TEXT, reason_detail TEXT, metadata TEXT,
    sha256 TEXT, content_length INTEGER, dry_run INTEGER, retry_after REAL,
    breaker_host_state TEXT, breaker_resolver_state TEXT, breaker_open_remaining_ms INTEGER,
    breaker_recorded TEXT
);
create table fallback_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_id TEXT, work_id TEXT,
    artifact_id TEXT, tier TEXT, source TEXT, outcome TEXT, reason TEXT, elapsed_ms INTEGER,
    status INTEGER, host TEXT, payload TEXT
);
create table breaker_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_id TEXT, event_type TEXT,
    host TEXT, scope TEXT, resolver TEXT, payload TEXT
);
create table summaries (run_id TEXT PRIMARY KEY, timestamp TEXT NOT NULL, payload TEXT NOT NULL);
pragma user_version = 8;
"""
#: When the first work was looked for (Unix seconds): 2026-03-02 08:00 UTC.
BEGIN: Final = 1_772_438_400.0
_RESOLVERS: Final = {
    "unpaywall": "https://api.unpaywall.example/v2/10.1/{}?email=me@example.org",
    "arxiv": "https://export.arxiv.example/pdf/{}v1",
    "landing": "https://publisher.example/article/{}",
}


#: By table what its records are called in JSONL.
_RECORD_TYPES: Final = {
    "manifests": "manifest",
    "attempts": "attempt",
    "fallback_events": "fallback_attempt",
    "breaker_events": "breaker_event",
    "summaries": "summary",
}


def main() -> None:
    """Write the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, help="the SQLite file to write")
    parser.add_argument("--jsonl", type=Path, help="the JSONL to write, as its JSONL sink does")
    parser.add_argument("--works", type=int, default=40, help="works looked for")
    parser.add_argument("--run", default="manifest-run", help="id of the run")
    arguments = parser.parse_args()
    if not (arguments.db or arguments.jsonl):
        parser.error("name a file with --db, --jsonl or both")
    for path, write_file in ((arguments.db, write), (arguments.jsonl, write_jsonl)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, arguments.run, arguments.works)


def write(path: Path, run_id: str, works: int) -> None:
    """Add a run to a SQLite file.

    Args:
        path: the file, made where it is missing.
        run_id: the run.
        works: works looked for; every fifth is not found, every tenth is skipped.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        if not connection.execute("select 1 from sqlite_master").fetchall():
            connection.executescript(SCHEMA)
        connection.execute("begin")
        for table, values in records(run_id, works):
            if table in {"fallback_events", "breaker_events"}:
                values["payload"] = {**values.pop("payload", {}), **values}
            texts = [json.dumps(v) if isinstance(v, dict) else v for v in values.values()]
            names, marks = ", ".join(values), ", ".join("?" for _ in values)
            connection.execute(f"insert into {table} ({names}) values ({marks})", texts)
        connection.execute("commit")


def write_jsonl(path: Path, run_id: str, works: int) -> None:
    """Add the same run to JSONL: a payload's fields are fields of the record."""
    with path.open("a", encoding="utf-8") as file:
        for table, values in records(run_id, works):
            record = {"record_type": _RECORD_TYPES[table], **values.pop("payload", {}), **values}
            file.write(json.dumps(record, sort_keys=True) + "\n")


def records(run_id: str, works: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the rows of a run, as table and values: three resolvers, one behind a breaker."""
    chance = random.Random(1)
    saved, at = 0, BEGIN
    for number in range(works):
        at += 2.0
        for table, values in _work(f"W{number:05}", number, at, chance):
            saved += table == "manifests" and values["path"] is not None
            yield table, {"run_id": run_id, **values}
    for seconds, old, new in ((10, "Closed", "Open"), (40, "Open", "HalfOpen")):
        yield _row(
            "breaker_events",
            timestamp=_iso(BEGIN + seconds),
            run_id=run_id,
            event_type="breaker_state_change",
            host="publisher.example",
            scope="host",
            payload={
                "old": f"<pybreaker.Circuit{old}State object at 0x7f00aa>",
                "new": f"<pybreaker.Circuit{new}State object at 0x7f00ab>",
                "reset_timeout_s": 30,
                "ts": BEGIN + seconds,
            },
        )
    yield _row(
        "breaker_events",
        timestamp=_iso(BEGIN + 5),
        run_id=run_id,
        event_type="breaker_before_call",
        host="publisher.example",
        scope="host",
    )
    yield _row(
        "summaries",
        run_id=run_id,
        timestamp=_iso(at + 5),
        payload={"run_id": run_id, "processed": works, "saved": saved},
    )


def _work(
    work: str, number: int, at: float, chance: random.Random
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Look for a work with one resolver after the other."""
    is_skipped, is_found = number % 10 == 9, number % 5 != 4
    found_by = number % len(_RESOLVERS) if is_found else len(_RESOLVERS)
    resolver = ""
    for order, (resolver, url) in enumerate(_RESOLVERS.items()):
        if is_skipped:
            break
        is_last = order == found_by
        elapsed_ms = chance.uniform(80, 900)
        at += elapsed_ms / 1e3
        yield _row(
            "attempts",
            timestamp=_iso(at),
            work_id=work,
            resolver_name=resolver,
            resolver_order=order,
            url=url.format(work),
            status="pdf" if is_last else chance.choice(["miss", "http_error"]),
            http_status=200 if is_last else chance.choice([404, 503]),
            elapsed_ms=elapsed_ms,
            metadata={"title": f"A study of {work}"},
        )
        if is_last:
            break
    yield _row(
        "manifests",
        timestamp=_iso(at + 0.1),
        schema_version=8,
        work_id=work,
        title=f"A study of {work}",
        resolver=resolver or None,
        url=_RESOLVERS["landing"].format(work),
        path=f"/data/pdf/{work}.pdf" if is_found else None,
        classification="skipped" if is_skipped else "pdf" if is_found else "miss",
        reason="already_downloaded" if is_skipped else None,
        sha256=sha256(work.encode()).hexdigest() if is_found else None,
        content_length=20_000 + number if is_found else None,
        dry_run=False,
    )


def _row(table: str, **values: Any) -> tuple[str, dict[str, Any]]:
    return table, values


def _iso(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


if __name__ == "__main__":
    main()
