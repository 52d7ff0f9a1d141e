"""One run's SLIs by plain sqlite3, as a yardstick for the benchmarks: usual values only.

``python -m scripts.plain FILE RUN``. Nothing is checked, cleaned or judged, and no other answer
depends on this: the definitions are the models'.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

_COUNTED = """
select 100.0 * sum(from_cache = 1 and role = 'metadata') / sum(role = 'metadata'),
    100.0 * sum(status = 429 and from_cache is not 1) / sum(from_cache is not 1)
from http_events where run_id = :run
"""
_HOSTS = """
select host, 100.0 * sum(status = 429 and from_cache is not 1) / sum(from_cache is not 1)
from http_events where run_id = :run group by host
"""
_DELAYS = """
select role, rate_delay_ms from http_events
where run_id = :run and rate_delay_ms is not null order by role, rate_delay_ms
"""
_TTFP = """
select (min(case when outcome = 'success' then ts end) - min(ts)) * 1000 as ttfp
from fallback_attempts where run_id = :run group by coalesce(artifact_id, work_id)
having ttfp is not null order by ttfp
"""
_DOWNLOADS = """
select 100.0 * sum(good) / count(*), sum(half), sum(saved) / 1048576.0 from (
    select max(sha256 <> '' and final_path <> '') as good,
        max((coalesce(sha256, '') = '') <> (coalesce(final_path, '') = '')) as half,
        sum(content_length * (dedupe_action in ('hardlink', 'copy', 'skipped'))) as saved
    from downloads where run_id = :run group by artifact_id
)
"""
_OPENINGS = """
select host, ts from breaker_transitions where run_id = :run
and lower(new_state) = 'open' and lower(old_state) <> 'open' order by host, ts
"""


def percentile(values: list[float], share: float) -> float | None:
    """Return a percentile of sorted values, interpolated."""
    if not values:
        return None
    position = share * (len(values) - 1)
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)


def slis(path: str, run: str) -> dict[str, object]:
    """Compute a run's SLIs."""
    found: dict[str, object] = {}
    with closing(sqlite3.connect(path)) as connection:

        def rows(sql: str) -> list[tuple[object, ...]]:
            return connection.execute(sql, {"run": run}).fetchall()

        (found["cache_hit_pct"], found["http_429_pct"]) = rows(_COUNTED)[0]
        found["hosts"] = {host: ratio for host, ratio in rows(_HOSTS)}
        delays: dict[object, list[float]] = {}
        for role, delay in rows(_DELAYS):
            delays.setdefault(role, []).append(float(str(delay)))
        found["rate_delay_p95_ms"] = {r: percentile(d, 0.95) for r, d in delays.items()}
        ttfp = [float(str(value)) for (value,) in rows(_TTFP)]
        found["ttfp_ms"] = [percentile(ttfp, share) for share in (0.5, 0.95, 0.99)]
        yield_pct, half, saved = rows(_DOWNLOADS)[0]
        found |= {"yield_pct": yield_pct, "corruption_count": half, "dedupe_saved_mb": saved}
        openings: dict[object, list[float]] = {}
        for host, ts in rows(_OPENINGS):
            openings.setdefault(host, []).append(float(str(ts)))
        found["breaker_opens_per_hour"] = max(
            (sum(t <= u < t + 3600 for u in times) for times in openings.values() for t in times),
            default=0,
        )
    return found


if __name__ == "__main__":
    print(slis(*sys.argv[1:3]))
