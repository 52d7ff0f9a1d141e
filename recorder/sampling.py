"""Sampling of cache hits that leaves every count exact: one row stands for many like it."""

from __future__ import annotations

from typing import Any, Final

from recorder.rows import Event

_HOUR_S: Final = 3600.0


class CacheHits:
    """Lets through one cache hit of several, with the weight of those it stands for.

    Not by chance: a row is due when the hits of its host, role, method, status and hour since the
    last row add up to one over the share, and its ``sample_weight`` is their number. What is left
    over comes out with `left`, at every flush. So weighted counts of requests and hits are exact,
    not estimates, for a run, for each of its hosts and hours; only the times and latencies of hits
    are a sample.

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

    def left(self) -> list[Event]:
        """Return events for the hits that no row stands for yet."""
        left = [_weighing(*waiting) for waiting in self._waiting.values()]
        self._waiting.clear()
        return left

    def _take(self, event: Event) -> Event | None:
        fields = event.fields
        ts = fields.get("ts")
        hour = (event.ts if ts is None else float(ts)) // _HOUR_S
        group: tuple[Any, ...] = (
            hour,
            *(fields.get(name) for name in ("host", "role", "method", "status")),
        )
        before = self._waiting.get(group)
        weight = _weight(fields) + (before[1] if before else 0.0)
        if weight + 1e-9 >= self._every:
            self._waiting.pop(group, None)
            return _weighing(event, weight)
        self._waiting[group] = (event, weight)
        return None


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
