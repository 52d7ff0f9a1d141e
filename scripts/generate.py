"""Large telemetry files for benchmarks: seeded, made inside SQLite, millions of events a minute.

``python -m scripts.generate --db big.sqlite3 --events 5000000 --runs 50``
"""

from __future__ import annotations

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from recorder import ensure_schema

#: When the first run of a file begins, Unix seconds.
START = 1_760_000_000
#: Seconds between two requests of a run.
_STEP_S = 0.05

# A number's digits are scrambled by multiplying with a prime modulo 2^31, which looks random
# enough for benchmarks and is the same on every machine.
_LUCK = "((({n} + {seed}) * 48271) % 2147483647)"

_NUMBERS = """
with recursive numbers (n) as (
    select :low union all select n + 1 from numbers where n + 1 < :high
)
"""

_HTTP = """
insert into http_events (run_id, ts, host, role, method, status, url_hash, from_cache, revalidated,
    stale, retry_count, rate_delay_ms, sample_weight, breaker_state, breaker_recorded, elapsed_ms)
select :run, :start + (n - :first) * :step, 'host-' || ({luck} % :hosts) || '.example',
    case {luck} % 10 when 0 then 'landing' when 1 then 'artifact' when 2 then 'artifact'
        else 'metadata' end,
    'GET', case when {luck} % 97 = 0 then 429 when {luck} % 211 = 0 then 503 else 200 end,
    printf('%016x%016x%016x%016x', n, {luck}, n * 7, {luck} * 3),
    ({luck} / 16) % 10 > 2, 0, 0, 0, ({luck} % 2000) / 10.0, 1, 'closed', 'success',
    ({luck} % 90000) / 100.0
from numbers
"""

_ATTEMPTS = """
insert into fallback_attempts (run_id, ts, work_id, artifact_id, tier, source, outcome, elapsed_ms)
select :run, :start + (n - :first) * :step, 'w' || (n / 20), 'a' || (n / 20), 'tier-' || (n % 3),
    'resolver-' || ({luck} % 5),
    case when n % 20 = 10 and {luck} % 11 > 0 then 'success' else 'no_pdf' end,
    ({luck} % 50000) / 100.0
from numbers where n % 10 = 0
"""

_DOWNLOADS = """
insert into downloads (run_id, ts, work_id, artifact_id, sha256, final_path, content_length,
    dedupe_action, elapsed_ms, metadata)
select :run, :start + (n - :first) * :step, 'w' || (n / 20), 'a' || (n / 20),
    case when {luck} % 11 > 0 then printf('%064x', n) end,
    case when {luck} % 11 > 0 then 'pdf/' || n end, {luck} % 1000000,
    case when {luck} % 13 = 0 then 'hardlink' else 'download' end, ({luck} % 50000) / 100.0,
    '{{"resolver_name": "resolver-' || ({luck} % 5) || '"}}'
from numbers where n % 20 = 10
"""

_RATE = """
insert into rate_events (run_id, ts, host, role, action, delay_ms)
select :run, :start + (n - :first) * :step, 'host-' || ({luck} % :hosts) || '.example', 'metadata',
    case when {luck} % 7 = 0 then 'block' else 'acquire' end, ({luck} % 2000) / 10.0
from numbers where n % 20 = 0
"""

_BREAKERS = """
insert into breaker_transitions (run_id, ts, host, scope, old_state, new_state)
select :run, :start + (n - :first) * :step, 'host-' || ({luck} % :hosts) || '.example', 'host',
    case (n / 10000) % 2 when 0 then 'closed' else 'open' end,
    case (n / 10000) % 2 when 0 then 'open' else 'closed' end
from numbers where n % 10000 = 0
"""


def generate(
    db: Path,
    events: int,
    runs: int,
    seed: int = 7,
    hosts: int = 20,
    first: int = 0,
    step: float = _STEP_S,
) -> None:
    """Write runs of telemetry, one after the other in time.

    Args:
        db: the file; made if it is not there, added to if it is.
        events: http_events in all; the other tables get their share.
        runs: how many runs they are spread over; the last one is left without an end.
        seed: another seed, other values.
        hosts: how many hosts are asked.
        first: number of the first run.
        step: seconds between two requests of a run; a sixth of a run passes between two runs.
    """
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        ensure_schema(connection)
        per_run = events // runs
        for number in range(first, first + runs):
            run = f"run-{number:05d}"
            start = START + number * per_run * step * 1.2
            _write(connection, run, start, number * per_run, per_run, seed, hosts, step)
            if number < first + runs - 1:
                connection.execute(
                    "insert or replace into run_summary (run_id, started_at, finished_at) "
                    "values (?, ?, ?)",
                    [run, start, start + per_run * step],
                )
        connection.execute("pragma wal_checkpoint(truncate)")


def append(db: Path, events: int, seed: int = 7, hosts: int = 20) -> None:
    """Add events to the file's last run, as a crawler does that is under way.

    Args:
        db: a file that `generate` made.
        events: http_events to add; the other tables get their share.
        seed: as for generate.
        hosts: as for generate.
    """
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        run, ts, number = connection.execute(
            "select run_id, ts, id from http_events order by id desc limit 1"
        ).fetchone()
        _write(connection, run, ts + _STEP_S, number, events, seed, hosts)


def _write(
    connection: sqlite3.Connection,
    run: str,
    start: float,
    low: int,
    count: int,
    seed: int,
    hosts: int,
    step: float = _STEP_S,
) -> None:
    luck = _LUCK.format(n="n", seed=seed)
    values = {
        "run": run,
        "start": start,
        "step": step,
        "low": low,
        "first": low,
        "high": low + count,
        "hosts": hosts,
    }
    connection.execute("begin")
    for insert in (_HTTP, _RATE, _BREAKERS, _ATTEMPTS, _DOWNLOADS):
        statement = insert.format(luck=luck).strip()
        into, select = statement.split("select ", 1)
        connection.execute(f"{into} {_NUMBERS} select {select}", values)
    connection.execute("commit")


def main() -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--append", action="store_true", help="add to the last run instead")
    chosen = parser.parse_args()
    if chosen.append:
        append(chosen.db, chosen.events, chosen.seed, chosen.hosts)
    else:
        generate(chosen.db, chosen.events, chosen.runs, chosen.seed, chosen.hosts)


if __name__ == "__main__":
    main()
