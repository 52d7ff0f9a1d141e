"""A recorder that keeps what it is told in a list."""

from __future__ import annotations

from typing import Any

from recorder.null import NullRecorder


class Recorded(NullRecorder):
    """Keeps every event as its kind and its fields.

    Args:
        enabled: whether it says that events are kept; it keeps them all the same.
        broken: whether it raises instead, as no recorder should.
    """

    def __init__(self, *, enabled: bool = True, broken: bool = False) -> None:
        self._enabled, self._broken = enabled, broken
        self.events: list[tuple[str, dict[str, Any]]] = []

    @property
    def enabled(self) -> bool:  # type: ignore[override]
        """Whether events are kept."""
        return self._enabled

    def http_event(self, **fields: Any) -> None:
        """Keep a request."""
        self._keep("http", fields)

    def rate_event(self, **fields: Any) -> None:
        """Keep a decision of a limiter."""
        self._keep("rate", fields)

    def breaker_transition(self, **fields: Any) -> None:
        """Keep a change of state of a breaker."""
        self._keep("breaker", fields)

    def transitions(self) -> list[tuple[str, str]]:
        """Return the old and new state of every transition."""
        return [(f["old_state"], f["new_state"]) for kind, f in self.events if kind == "breaker"]

    def actions(self) -> list[str]:
        """Return the action of every decision."""
        return [fields["action"] for kind, fields in self.events if kind == "rate"]

    def requests(self) -> list[tuple[int | None, str | None]]:
        """Return the status and the error of every request."""
        return [(f["status"], f.get("error")) for kind, f in self.events if kind == "http"]

    def _keep(self, kind: str, fields: dict[str, Any]) -> None:
        if self._broken:
            raise RuntimeError("a recorder that is broken")
        self.events.append((kind, fields))
