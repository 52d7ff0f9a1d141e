"""How a limiter or breaker on a request's way tells the recorded request what it did.

Rate limiters and circuit breakers sit below or around an HTTP client, and the one row of a
request has columns for both. They note what they know here, for the host they know; the
transport that records the request reads it. Notes follow the thread or task, as context
variables do, so nothing has to be handed through the layers between.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final, Self

Notes = dict[str, Any]


class _Ahead:
    """What was noted for the next request to a host; taken once, whichever task takes it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.fields: Notes = {}


_under_way: Final[ContextVar[Noting | None]] = ContextVar("request_under_way", default=None)
#: Tasks and threads that are started in between get this very object, so that only one takes it.
_ahead: Final[ContextVar[_Ahead | None]] = ContextVar("noted_ahead", default=None)


def note(host: str, **fields: Any) -> None:
    """Add fields to the row of the request under way to this host, or else of the next one.

    The fields are those of ``HttpEvent``, and two that only concern a request under way:
    ``sent=True``, which says that it went out, and ``refused=True``, which says that a limiter or
    breaker stood in its way; what was refused and never sent gets no row.
    """
    noting = _under_way.get()
    if noting is not None and noting.host == host:
        noting.fields.update(fields)
        return
    kept = {name: value for name, value in fields.items() if name not in {"sent", "refused"}}
    if kept:
        ahead = _ahead.get()
        if ahead is None or ahead.host != host:
            ahead = _Ahead(host)
            _ahead.set(ahead)
        ahead.fields.update(kept)


class Noting:
    """Collects what is noted while a request to a host is under way: a context manager.

    Attributes:
        host: the host that the request goes to.
        fields: what was noted so far, including what was noted ahead for this host.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.fields: Notes = {}
        self._before: Noting | None = None

    def __enter__(self) -> Self:
        ahead = _ahead.get()
        if ahead is not None:
            # What was noted for another host belongs to a request that never came.
            if ahead.host == self.host:
                self.fields.update(ahead.fields)
            ahead.fields.clear()
        self._before = _under_way.get()
        _under_way.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        # Not by a token: an abandoned request may be closed in another context than its own.
        if _under_way.get() is self:
            _under_way.set(self._before)

    @property
    def was_sent(self) -> bool:
        """Whether the request went out, as far as anything noted says."""
        return bool(self.fields.get("sent")) or not self.fields.get("refused")
