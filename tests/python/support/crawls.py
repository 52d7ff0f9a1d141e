"""Crawls of several hundred artifacts, good ones and such as went wrong in one known way.

A small model of a crawler: resolvers that are asked one after the other, their hosts, a cache, a
limiter and breakers. A seed gives the same rows each time, another one the noise of another day.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from recorder import ensure_schema

from .runs import START

Row = tuple[object, ...]
COLUMNS = {
    "http_events": "run_id, ts, host, role, method, status, url_hash, from_cache, revalidated, "
    "retry_count, retry_after_s, rate_delay_ms, elapsed_ms, error",
    "rate_events": "run_id, ts, host, role, action, delay_ms",
    "breaker_transitions": "run_id, ts, host, scope, old_state, new_state, reset_timeout_s",
    "fallback_attempts": "run_id, ts, work_id, artifact_id, tier, source, host, outcome, reason, "
    "status, elapsed_ms",
    "downloads": "run_id, ts, work_id, artifact_id, metadata, sha256, final_path, "
    "content_length, dedupe_action",
    "run_summary": "run_id, started_at, finished_at",
}
FAIL_MAX = 5


@dataclass(frozen=True)
class Resolver:
    """How a resolver does when it is asked.

    Attributes:
        tier: its group.
        success: part of the artifacts that it delivers.
        latency_s: median time of an attempt.
        timeouts: part of its attempts that time out, after 10 s.
        http_429: part of its host's answers that are 429, which are retried.
        http_5xx: part that are 503, which are failures.
    """

    tier: str
    success: float
    latency_s: float = 0.4
    timeouts: float = 0.01
    http_429: float = 0.003
    http_5xx: float = 0.01

    @staticmethod
    def host(name: str) -> str:
        """Return the host that a resolver asks."""
        return f"{name}.example.org"


@dataclass(frozen=True)
class Crawl:
    """What a crawl is like; a good one by default.

    Attributes:
        artifacts: how many.
        scraped: part of the artifacts that only the resolver ``scrape`` knows.
        resolvers: the others, in the order in which they are asked.
        cached: part of the metadata requests that the cache answers, by host.
        delay_ms: mean wait in the limiter, by host.
    """

    artifacts: int = 600
    scraped: float = 0.04
    resolvers: Mapping[str, Resolver] = field(
        default_factory=lambda: {
            "unpaywall": Resolver("open", 0.62),
            "openalex": Resolver("open", 0.55),
            "crossref": Resolver("publisher", 0.5),
            "arxiv": Resolver("preprint", 0.3),
        }
    )
    scrape: Resolver = Resolver("scrape", 0.35, latency_s=0.8)
    cached: Mapping[str, float] = field(
        default_factory=lambda: {
            "meta-a.example.org": 0.74,
            "meta-b.example.org": 0.7,
            "meta-c.example.org": 0.76,
        }
    )
    delay_ms: Mapping[str, float] = field(default_factory=dict)

    def with_resolver(self, name: str, **changes: Any) -> Crawl:
        """Return the crawl with one resolver doing otherwise."""
        changed = replace(self.resolvers[name], **changes)
        return replace(self, resolvers={**self.resolvers, name: changed})


GOOD = Crawl()
#: Each way to go wrong, with the SLO it fails, whom that is about, and the cause to be named.
DEGRADED: dict[str, tuple[Crawl, str, str | None, str]] = {
    "a resolver fails": (
        GOOD.with_resolver("unpaywall", success=0.0, http_5xx=0.9),
        "yield_pct", None, "unpaywall",
    ),
    "a host answers 429": (
        GOOD.with_resolver("openalex", http_429=0.25),
        "http_429_pct", None, "openalex.example.org",
    ),
    "a host answers 5xx": (
        GOOD.with_resolver("crossref", success=0.35, http_5xx=0.8),
        "breaker_opens_per_hour", "crossref.example.org", "5xx",
    ),
    "a resolver is slow": (
        GOOD.with_resolver("openalex", latency_s=24.0), "ttfp_p95_ms", None, "openalex",
    ),
    "a host's cache is cold": (
        replace(GOOD, cached={**GOOD.cached, "meta-b.example.org": 0.05}),
        "cache_hit_pct", None, "meta-b.example.org",
    ),
    "the limiter is too strict": (
        replace(GOOD, delay_ms={"crossref.example.org": 6_000.0}),
        "rate_delay_p95_ms", "artifact", "crossref.example.org",
    ),
    "a bad resolver gets more": (replace(GOOD, scraped=0.4), "yield_pct", None, "scrape"),
    "a resolver times out": (
        GOOD.with_resolver("openalex", success=0.05, timeouts=0.9), "yield_pct", None, "openalex",
    ),
}  # fmt: skip


class _Recording:
    """The rows of one crawl, as they come to be."""

    def __init__(self, crawl: Crawl, run_id: str, start: float, seed: int) -> None:
        self.crawl, self.run_id, self.now = crawl, run_id, start
        self.luck = Random(seed)
        self.rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        self._failures: dict[str, int] = {}
        self._open_until: dict[str, float] = {}

    def add(self, table: str, ts: float, *values: object) -> None:
        self.rows[table].append((self.run_id, ts, *values))

    def artifact(self, number: int) -> None:
        """Look one artifact up, and ask resolvers for it until one delivers."""
        for host, cached in self.crawl.cached.items():
            self._metadata(host, cached, number)
        chain: Iterable[tuple[str, Resolver]] = self.crawl.resolvers.items()
        if self.luck.random() < self.crawl.scraped:
            chain = [("scrape", self.crawl.scrape)]
        ts, delivered = self.now, ""
        for name, resolver in chain:
            ts, outcome = self._attempt(ts, number, name, resolver)
            if outcome == "success":
                delivered = name
                break
        self.add(
            "downloads", ts + 0.1, f"w{number}", f"a{number}",
            json.dumps({"resolver_name": delivered or name}),
            "ab" * 32 if delivered else None, f"{number}.pdf" if delivered else None, 1 << 20,
            "download",
        )  # fmt: skip
        self.now += 1.0

    def _delay(self, ts: float, host: str, role: str) -> float:
        usual = 40.0 if role == "metadata" else 200.0
        delay = self.luck.expovariate(1 / self.crawl.delay_ms.get(host, usual))
        self.add("rate_events", ts, host, role, "block" if delay > 900 else "acquire", delay)
        return delay

    def _metadata(self, host: str, cached: float, number: int) -> None:
        hit = self.luck.random() < cached
        digest = sha256(f"{host}{number % 150}".encode()).hexdigest()
        delay = min(self._delay(self.now, host, "metadata"), 240.0)
        self.add(
            "http_events", self.now, host, "metadata", "GET", 200, digest, int(hit), 0, 0, None,
            delay, 3.0 if hit else self.luck.uniform(40, 90), None,
        )  # fmt: skip

    def _attempt(self, ts: float, number: int, name: str, resolver: Resolver) -> tuple[float, str]:
        """Record one attempt and its request; return when it ended, and how."""
        host = resolver.host(name)
        if ts < self._open_until.get(host, 0.0):
            self._record_attempt(ts + 0.001, number, name, resolver, "skipped", "breaker_open")
            return ts + 0.001, "skipped"
        if host in self._open_until and self._failures[host] >= FAIL_MAX:
            self.add("breaker_transitions", ts, host, "host", "open", "half_open", 20.0)
        seconds = self.luck.lognormvariate(0, 0.3) * resolver.latency_s
        chance, status, outcome, reason, error = self.luck.random(), 200, "no_pdf", None, None
        if chance < resolver.timeouts:
            seconds, status, outcome, error = 10.0, None, "timeout", "ReadTimeout"
        elif chance < resolver.timeouts + resolver.http_5xx:
            status, outcome, reason = 503, "error", "server_error"
        elif chance > 1 - resolver.success:
            outcome = "success"
        ts += seconds
        if self.luck.random() < resolver.http_429:
            self._request(ts - 0.2, host, number, 429, None, 0.1)
            ts += 0.5
        self._request(ts, host, number, status, error, seconds)
        self._breaker(ts, host, failed=status is None or status >= 500)
        self._record_attempt(ts, number, name, resolver, outcome, reason, status, seconds)
        return ts, outcome

    def _request(
        self, ts: float, host: str, number: int, status: int | None, error: str | None, took: float
    ) -> None:
        self.add(
            "http_events", ts, host, "artifact", "GET", status,
            sha256(f"{host}{number}".encode()).hexdigest(), 0, 0, 0, 4.0 if status == 429 else None,
            self._delay(ts, host, "artifact"), 1000 * took, error,
        )  # fmt: skip

    def _breaker(self, ts: float, host: str, failed: bool) -> None:
        before = self._failures.get(host, 0)
        is_half_open = host in self._open_until and before >= FAIL_MAX
        self._failures[host] = before + 1 if failed else 0
        if failed and (is_half_open or before + 1 == FAIL_MAX):
            old = "half_open" if is_half_open else "closed"
            self.add("breaker_transitions", ts, host, "host", old, "open", 20.0)
            self._open_until[host] = ts + 20.0
        elif is_half_open and not failed:
            self.add("breaker_transitions", ts, host, "host", "half_open", "closed", 20.0)

    def _record_attempt(
        self, ts: float, number: int, name: str, resolver: Resolver, outcome: str,
        reason: str | None, status: int | None = None, seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self.add(
            "fallback_attempts", ts, f"w{number}", f"a{number}", resolver.tier, name,
            resolver.host(name), outcome, reason, status, 1000 * seconds,
        )  # fmt: skip


def write(
    path: Path, run_id: str, crawl: Crawl = GOOD, start: float = START, seed: int = 1
) -> None:
    """Add a crawl to a telemetry file, which is made if it is not there."""
    recording = _Recording(crawl, run_id, start, seed)
    for number in range(crawl.artifacts):
        recording.artifact(number)
    recording.rows["run_summary"].append((run_id, start, recording.now))
    with closing(sqlite3.connect(path)) as connection, connection:
        ensure_schema(connection)
        for table, columns in COLUMNS.items():
            marks = ", ".join("?" for _ in columns.split(","))
            connection.executemany(
                f"insert into {table} ({columns}) values ({marks})", recording.rows[table]
            )
