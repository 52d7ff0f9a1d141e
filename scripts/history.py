"""A month of telemetry with a story in it: in its last week a host begins to answer 429.

``python -m scripts.history --db month.sqlite3`` writes a run a day from the same seed, so the same
month each time. One host asks to be called less from the last week on: more 429, breakers that
open, fewer PDFs. A day without a run, rows that no model can use and a recorder that dropped events
are there too, as they are in the field.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from recorder import ensure_schema

_DAY_S: Final = 86_400
#: Resolvers in the order in which they are asked, each with its host and what it finds (of 1).
_RESOLVERS: Final = (
    ("unpaywall", "cdn.publisher.example", 0.62),
    ("crossref", "api.crossref.example", 0.45),
    ("landing_page", "www.publisher.example", 0.40),
    ("wayback", "web.archive.org", 0.50),
)
_TROUBLED: Final = "cdn.publisher.example"
_HEALTHY_429, _TROUBLED_429 = 0.006, 0.45
#: Numbers of the days without a run.
_FREE_DAYS: Final = (9, 10)


@dataclass
class Run:
    """The rows of one run, by table."""

    run_id: str
    now: float
    luck: random.Random
    is_troubled: bool
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, **columns: Any) -> None:
        """Add a row at the present moment."""
        row = {"run_id": self.run_id, "ts": round(self.now, 3)} | columns
        self.tables.setdefault(table, []).append(row)

    def request(self, host: str, role: str, what: str) -> int | None:
        """Ask a host once; return the status, None where the call raised."""
        share = _TROUBLED_429 if self.is_troubled and host == _TROUBLED else _HEALTHY_429
        draw = self.luck.random()
        status = 429 if draw < share else 503 if draw < share + 0.004 else 200
        lost = self.luck.random() < 0.002
        took = self.luck.lognormvariate(5.3, 0.6)
        self.now += took / 1000
        self.add(
            "http_events", host=host, role=role, method="GET", status=None if lost else status,
            url_hash=sha256(what.encode()).hexdigest(), elapsed_ms=round(took, 1),
            from_cache=int(role == "metadata" and self.luck.random() < 0.68),
            rate_delay_ms=round(self.luck.expovariate(1 / 60), 1), breaker_state="closed",
            error="ConnectTimeout" if lost else None, retry_after_s=30 if status == 429 else None,
        )  # fmt: skip
        return None if lost else status


def generate(
    db: Path,
    start: datetime,
    days: int = 28,
    bad_days: int = 7,
    artifacts: int = 240,
    seed: int = 7,
) -> None:
    """Write the month.

    Args:
        db: the file; made if it is not there.
        start: the first day, UTC.
        days: how many days, each with one run but for two without.
        bad_days: how many of the last ones the host is in trouble.
        artifacts: artifacts of a run.
        seed: another seed, other values.
    """
    with closing(sqlite3.connect(db)) as connection, connection:
        ensure_schema(connection)
        for run in _runs(start, days, bad_days, artifacts, seed):
            for table, rows in run.tables.items():
                names = list(rows[0])
                marks = ", ".join(f":{name}" for name in names)
                connection.executemany(
                    f"insert into {table} ({', '.join(names)}) values ({marks})", rows
                )


def _runs(start: datetime, days: int, bad_days: int, artifacts: int, seed: int) -> Iterator[Run]:
    for number in range(days):
        if number in _FREE_DAYS:
            continue
        began = start.replace(tzinfo=UTC).timestamp() + number * _DAY_S + 6 * 3600
        day = datetime.fromtimestamp(began, UTC)
        luck = random.Random(seed * 1000 + number)
        run = Run(f"{day:%Y-%m-%d}-nightly", began, luck, number >= days - bad_days)
        for artifact in range(artifacts):
            _artifact(run, f"W{number:02d}{artifact:04d}")
            run.now += luck.expovariate(1 / 8)
        if run.is_troubled:
            _breaker(run, began)
        _imperfect(run, number)
        run.tables["run_summary"] = [
            {"run_id": run.run_id, "started_at": began, "finished_at": round(run.now, 3)}
        ]
        yield run


def _artifact(run: Run, name: str) -> None:
    """Look for one artifact with one resolver after the other."""
    run.request("api.openalex.example", "metadata", name)
    found = None
    for resolver, host, chance in _RESOLVERS:
        statuses = [run.request(host, "artifact", name + resolver)]
        if statuses[-1] == 429:
            run.now += run.luck.uniform(2, 6)
            statuses.append(run.request(host, "artifact", name + resolver))
        is_refused = statuses[-1] != 200
        is_found = not is_refused and run.luck.random() < chance + 0.25
        run.add(
            "fallback_attempts", work_id=name, artifact_id=f"{name}.pdf", tier="direct",
            source=resolver, host=host, elapsed_ms=round(run.luck.lognormvariate(5.5, 0.5), 1),
            outcome="success" if is_found else "retryable" if is_refused else "no_pdf",
            reason="http_429" if statuses[-1] == 429 else None, status=statuses[-1],
        )  # fmt: skip
        if is_found:
            found = resolver
            break
        run.now += run.luck.uniform(0.2, 1.5)
        if is_refused and run.is_troubled:
            break  # the crawler gives an artifact up that it was told to come back for
    run.add(
        "downloads", work_id=name, artifact_id=f"{name}.pdf", dedupe_action="download",
        sha256=sha256(name.encode()).hexdigest() if found else None,
        final_path=f"pdf/{name}.pdf" if found else None,
        content_length=run.luck.randrange(80_000, 2_000_000) if found else None,
        elapsed_ms=round(run.luck.lognormvariate(6, 0.5), 1),
        metadata=f'{{"resolver_name": "{resolver}"}}',
    )  # fmt: skip


def _breaker(run: Run, began: float) -> None:
    """Have the troubled host's breaker open now and then."""
    ended = run.now
    run.now = began + 120
    while run.now < ended - 120:
        for old, new, wait in (("closed", "open", 60), ("open", "half_open", 5),
                               ("half_open", "closed", 240)):  # fmt: skip
            run.add("breaker_transitions", host=_TROUBLED, scope="host", old_state=old,
                    new_state=new, reset_timeout_s=60)  # fmt: skip
            run.now += wait * run.luck.uniform(0.7, 2)
    run.now = ended


def _imperfect(run: Run, number: int) -> None:
    """Add what no model can use, and what a recorder says of itself."""
    if number % 9 == 4:
        run.tables["rate_events"] = [
            {"run_id": run.run_id, "ts": "yesterday", "host": _TROUBLED, "role": "metadata",
             "action": "acquire", "delay_ms": 1}
        ]  # fmt: skip


def main() -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--start", type=datetime.fromisoformat, default=datetime(2025, 10, 27))
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--bad-days", type=int, default=7)
    parser.add_argument("--artifacts", type=int, default=240)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    generate(chosen.db, chosen.start, chosen.days, chosen.bad_days, chosen.artifacts, chosen.seed)


if __name__ == "__main__":
    main()
