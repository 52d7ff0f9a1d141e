"""Sampling of cache hits that leaves every count exact: one row stands for many like it."""

from __future__ import annotations

import time
from typing import Any, Final

from recorder.rows import Event

#: Seconds that hits wait at most before a row stands for them.
_PATIENCE_S: Final = 60.0


class CacheHits:
    """Lets through one cache hit of several, with the weight of those it stands for.

    Not by chance: a row is due when the hits of its host, role, method and status since the last
    row add up to one over the share, and its ``sample_weight`` is their number. What is left
    over comes out with `left`. So weighted counts of requests and hits are exact, not estimates,
    for a run and for each of its hosts; only the times and latencies of hits are a sample.

    Errors, requests over the network and revalidations are never sampled.

    Args:
        share: of the hits that get a row of their own, 0 < share ≤ 1.
    """

    def __init__(self, share: float) -> None:
        self._every = 1 / share
        self._waiting: dict[tuple[Any, ...], tuple[Event, float]] = {}

    def take(self, event: Event) -> Event | None:
        """Return the event to record for this one, if one is due."""
        if self._every <= 1 or event.table != "http_events":
            return event
        try:
            return self._take(event) if _is_plain_hit(event.fields) else event
        except Exception:  # a value of a strange kind: whoever makes a row of it says so
            return event

    def _take(self, event: Event) -> Event | None:
        fields = event.fields
        group = tuple(map(fields.get, ("host", "role", "method", "status")))
        first, weight = self._waiting.get(group, (event, 0.0))
        weight += _weight(fields)
        if weight + 1e-9 >= self._every:
            self._waiting.pop(group, None)
            return _weighing(event, weight)
        # The first one stays, since its time says how long the group has waited.
        self._waiting[group] = (first, weight)
        return None

    def left(self, patience_s: float = _PATIENCE_S) -> list[Event]:
        """Return events for the hits that have waited longer than patience_s seconds."""
        limit = time.time() - patience_s
        due = [group for group, (event, _) in self._waiting.items() if event.ts <= limit]
        return [_weighing(*self._waiting.pop(group)) for group in due]


def _is_plain_hit(fields: dict[str, Any]) -> bool:
    status = fields.get("status")
    return (
        bool(fields.get("from_cache"))
        and not fields.get("revalidated")
        and fields.get("error") is None
        and isinstance(status, int)
        and status < 400
    )


def _weight(fields: dict[str, Any]) -> float:
    weight = fields.get("sample_weight")
    return float(weight) if isinstance(weight, int | float) and weight > 0 else 1.0


def _weighing(event: Event, weight: float) -> Event:
    return event._replace(fields={**event.fields, "sample_weight": weight})
