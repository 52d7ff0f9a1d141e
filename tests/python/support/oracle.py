"""Every SLI of section 2 of the contract, computed the slow and obvious way.

Written from the contract alone, to be compared with the SQL. An SLI with nothing to measure is
None. A group without a name (host, role or resolver NULL) is ``unknown``. Percentages run from 0
to 100, times are milliseconds, a day is a UTC date.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from .telemetry import EVENT_TABLES, Row, Telemetry, load
from .values import utc_day

__all__ = [
    "Slis", "Telemetry", "day_slis", "host_slis", "load", "percentile", "resolver_slis",
    "role_slis", "run_slis",
]  # fmt: skip

Slis = dict[str, float | int | None]
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

UNKNOWN = "unknown"
MEBIBYTE = 1_048_576
HOUR_US = 3_600 * 1_000_000
SAVING_ACTIONS = ("hardlink", "copy", "skipped")


# --- per run, and per group of a run ---------------------------------------------------------


def run_slis(telemetry: Telemetry, run_id: str) -> Slis:
    """Return every run-level SLI under its contract name. Raises KeyError for an unknown run."""
    _must_know(telemetry, run_id)
    requests = telemetry.of("http_events", run_id)
    return {
        "yield_pct": _yield_pct(_artifacts(telemetry, run_id)),
        **_ttfp_slis(_first_successes(telemetry, run_id)),
        "cache_hit_pct": _cache_hit_pct(requests),
        "http_429_pct": _http_429_pct(requests),
        "rate_delay_p95_ms": _rate_delay_p95_ms(_of_role(requests, "metadata")),
        **_breaker_slis(telemetry, run_id, telemetry.of("breaker_transitions", run_id)),
        "dedupe_saved_mb": _dedupe_saved_mb(telemetry, run_id),
        "corruption_count": _corruption_count(telemetry, run_id),
    }


def host_slis(telemetry: Telemetry, run_id: str) -> dict[str, Slis]:
    """Return the SLIs marked H for each host of the run's http_events or breaker_transitions.

    rate_delay_p95_ms is over all roles of the host. A host that no breaker reports opened no
    breaker: 0, if the file has the table.
    """
    _must_know(telemetry, run_id)
    requests = _grouped(telemetry.of("http_events", run_id), _host)
    transitions = _grouped(telemetry.of("breaker_transitions", run_id), _host)
    return {
        host: {
            "cache_hit_pct": _cache_hit_pct(requests[host]),
            "http_429_pct": _http_429_pct(requests[host]),
            "rate_delay_p95_ms": _rate_delay_p95_ms(requests[host]),
            **_breaker_slis(telemetry, run_id, transitions[host]),
        }
        for host in sorted({*requests, *transitions})
    }


def role_slis(telemetry: Telemetry, run_id: str) -> dict[str, Slis]:
    """Return the SLIs marked R for each role, in lower case, of the run's http_events."""
    _must_know(telemetry, run_id)
    requests = _grouped(
        telemetry.of("http_events", run_id), lambda row: row.text("role") or UNKNOWN
    )
    return {role: {"rate_delay_p95_ms": _rate_delay_p95_ms(requests[role])} for role in requests}


def resolver_slis(telemetry: Telemetry, run_id: str) -> dict[str, Slis]:
    """Return the SLIs marked V for each resolver that has an artifact or a first success.

    In downloads, an artifact is of the resolver of its first succeeding row by id, or, if none
    succeeded, of its last row by id.
    """
    _must_know(telemetry, run_id)
    artifacts = _grouped(_artifacts(telemetry, run_id), lambda artifact: artifact.resolver)
    firsts = _grouped(_first_successes(telemetry, run_id), lambda first: first.success.resolver)
    return {
        resolver: {
            "yield_pct": _yield_pct(artifacts[resolver]),
            **_ttfp_slis(firsts[resolver]),
        }
        for resolver in sorted({*artifacts, *firsts})
    }


def day_slis(telemetry: Telemetry, run_id: str) -> dict[tuple[str, date | None], Slis]:
    """Return the SLIs marked D of one run, for each UTC day that has something to measure.

    Requests are of the day they happened; TTFP is of the day of the artifact's first attempt;
    yield is of the day of the artifact's first timed downloads row, else of the run's earliest
    event in any table, else of the day None.
    """
    _must_know(telemetry, run_id)
    requests = _grouped(telemetry.of("http_events", run_id), lambda row: _day(row.ts_us))
    firsts = _grouped(_first_successes(telemetry, run_id), lambda first: _day(first.attempt.ts_us))
    event_times = [
        row.ts_us
        for table in EVENT_TABLES
        for row in telemetry.of(table, run_id)
        if row.ts_us is not None
    ]
    run_day = _day(min(event_times, default=None))
    artifacts = _grouped(
        _artifacts(telemetry, run_id), lambda artifact: _day(artifact.first_us) or run_day
    )
    return {
        (run_id, day): {
            "yield_pct": _yield_pct(artifacts[day]),
            **_ttfp_slis(firsts[day]),
            "cache_hit_pct": _cache_hit_pct(requests[day]),
            "http_429_pct": _http_429_pct(requests[day]),
        }
        for day in {*requests, *firsts, *artifacts}
    }


def percentile(values: Iterable[float], fraction: float) -> float | None:
    """Return the continuous percentile, as PERCENTILE_CONT: linear between the two neighbours."""
    in_order = sorted(values)
    if not in_order:
        return None
    place = fraction * (len(in_order) - 1)
    below = math.floor(place)
    above = min(below + 1, len(in_order) - 1)
    part = place - below
    return in_order[below] * (1 - part) + in_order[above] * part  # no difference to overflow


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> defaultdict[Key, list[Item]]:
    groups: defaultdict[Key, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _host(row: Row) -> str:
    return row.text("host") or UNKNOWN


def _day(moment_us: int | None) -> date | None:
    return utc_day(moment_us) if moment_us is not None else None


def _must_know(telemetry: Telemetry, run_id: str) -> None:
    if run_id not in telemetry.runs:
        raise KeyError(f"no loaded row names the run {run_id!r}")


# --- http_events -----------------------------------------------------------------------------


def _cache_hit_pct(requests: Sequence[Row]) -> float | None:
    metadata = _of_role(requests, "metadata")
    return _weighted_pct(metadata, lambda row: row.number("from_cache") == 1)


def _http_429_pct(requests: Sequence[Row]) -> float | None:
    """A request is of the network unless from_cache is 1, so NULL and 2 are of the network."""
    network = [row for row in requests if row.number("from_cache") != 1]
    return _weighted_pct(network, lambda row: row.number("status") == 429)


def _rate_delay_p95_ms(requests: Sequence[Row]) -> float | None:
    """Each row with a delay counts once: percentiles take no sample weights."""
    return percentile([d for r in requests if (d := r.number("rate_delay_ms")) is not None], 0.95)


def _of_role(requests: Iterable[Row], role: str) -> list[Row]:
    return [row for row in requests if row.text("role") == role]


def _weight(row: Row) -> float:
    """How many requests a row stands for: 1 unless it says a number above 0, up to a million."""
    weight = row.number("sample_weight")
    return weight if weight is not None and 0 < weight <= 1e6 else 1


def _weighted_pct(rows: Sequence[Row], counts: Callable[[Row], bool]) -> float | None:
    whole = math.fsum(_weight(row) for row in rows)
    return 100 * math.fsum(_weight(row) for row in rows if counts(row)) / whole if rows else None


# --- fallback_attempts -----------------------------------------------------------------------


@dataclass(frozen=True)
class _First:
    """An artifact's first attempt and its first success, which may be the same row."""

    attempt: Row
    success: Row

    @property
    def ttfp_ms(self) -> float:
        return ((self.success.ts_us or 0) - (self.attempt.ts_us or 0)) / 1000

    @property
    def ttfp_wall_ms(self) -> float:
        """From when the first attempt began: attempts are logged when they end."""
        return self.ttfp_ms + (self.attempt.number("elapsed_ms") or 0)


def _first_successes(telemetry: Telemetry, run_id: str) -> list[_First]:
    """First is by time, and by id among attempts of the same time."""
    artifacts = _grouped(
        telemetry.of("fallback_attempts", run_id),
        lambda row: row.text("artifact_id") or row.text("work_id"),
    )
    artifacts.pop(None, None)
    found = []
    for attempts in artifacts.values():
        in_time = sorted(attempts, key=lambda row: (row.ts_us or 0, row.id))
        successes = [row for row in in_time if row.text("outcome") == "success"]
        if successes:
            found.append(_First(in_time[0], successes[0]))
    return found


def _ttfp_slis(firsts: Sequence[_First]) -> Slis:
    ttfp = [first.ttfp_ms for first in firsts]
    wall = [first.ttfp_wall_ms for first in firsts]
    return {
        "ttfp_p50_ms": percentile(ttfp, 0.50),
        "ttfp_p95_ms": percentile(ttfp, 0.95),
        "ttfp_p99_ms": percentile(ttfp, 0.99),
        "ttfp_wall_p50_ms": percentile(wall, 0.50),
        "ttfp_wall_p95_ms": percentile(wall, 0.95),
    }


# --- breaker_transitions ---------------------------------------------------------------------


def _breaker_slis(telemetry: Telemetry, run_id: str, transitions: Iterable[Row]) -> Slis:
    """Openings, and the most of them that one host had within an hour.

    None where the run's file has no breaker_transitions; 0 where it has, and nothing opened. A
    state that is unknown is not open. Every scope counts. The hour is half open, [t, t + 3600 s):
    two openings 3,600 s apart are not within one.
    """
    if not telemetry.has_table(run_id, "breaker_transitions"):
        return {"breaker_opens": None, "breaker_opens_per_hour": None}
    openings = [
        row
        for row in transitions
        if row.text("new_state") == "open" and row.text("old_state") != "open"
    ]
    worst = 0
    for of_host in _grouped(openings, _host).values():
        times = [row.ts_us or 0 for row in of_host]
        within = (sum(start <= t < start + HOUR_US for t in times) for start in times)
        worst = max(worst, *within)
    return {"breaker_opens": len(openings), "breaker_opens_per_hour": worst}


# --- downloads -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Artifact:
    """The downloads rows of one artifact, in order of id."""

    rows: list[Row]
    by_sha256_alone: bool

    def _succeeds(self, row: Row) -> bool:
        has_path = self.by_sha256_alone or row.text("final_path") is not None
        return has_path and row.text("sha256") is not None

    @property
    def succeeded(self) -> bool:
        return any(self._succeeds(row) for row in self.rows)

    @property
    def is_corrupt(self) -> bool:
        return any(
            (row.text("sha256") is None) != (row.text("final_path") is None) for row in self.rows
        )

    @property
    def resolver(self) -> str:
        succeeding = [row for row in self.rows if self._succeeds(row)]
        return succeeding[0].resolver if succeeding else self.rows[-1].resolver

    @property
    def first_us(self) -> int | None:
        return min((row.ts_us for row in self.rows if row.ts_us is not None), default=None)


def _artifacts(telemetry: Telemetry, run_id: str) -> list[_Artifact]:
    """Return the run's artifacts; a downloads row without artifact_id is an artifact of its own."""
    grouped = _grouped(
        telemetry.of("downloads", run_id), lambda row: row.text("artifact_id") or row.id
    )
    by_sha256_alone = not telemetry.has_column(run_id, "downloads", "final_path")
    return [_Artifact(rows, by_sha256_alone) for rows in grouped.values()]


def _yield_pct(artifacts: Sequence[_Artifact]) -> float | None:
    if not artifacts:
        return None
    return 100 * sum(artifact.succeeded for artifact in artifacts) / len(artifacts)


def _corruption_count(telemetry: Telemetry, run_id: str) -> int | None:
    """None where the file has no final_path, or the run no downloads."""
    artifacts = _artifacts(telemetry, run_id)
    if not artifacts or artifacts[0].by_sha256_alone:
        return None
    return sum(artifact.is_corrupt for artifact in artifacts)


def _dedupe_saved_mb(telemetry: Telemetry, run_id: str) -> float | None:
    """None where the file lacks either column, or the run has no downloads."""
    rows = telemetry.of("downloads", run_id)
    columns = ("content_length", "dedupe_action")
    if not rows or not all(telemetry.has_column(run_id, "downloads", c) for c in columns):
        return None
    saved = [row for row in rows if row.text("dedupe_action") in SAVING_ACTIONS]
    return sum(int(row.number("content_length") or 0) for row in saved) / MEBIBYTE
