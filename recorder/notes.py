"""How a limiter or breaker on a request's way tells the recorded request what it did.

Rate limiters and circuit breakers sit below or around an HTTP client, and the one row of a
request has columns for both. They note what they know here, for the host they know; the
transport that records the request reads it. Notes follow the thread or task, as context
variables do, so nothing has to be handed through the layers between.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Final, Self

Notes = dict[str, Any]


#: Seconds after which what was noted ahead belongs to a request that never came.
_PATIENCE_S: Final = 5.0


class _Ahead:
    """What was noted for the next request to a host; taken once, whichever task takes it."""

    def __init__(self, host: str, fields: Notes) -> None:
        self.host = host
        self._fields = fields
        self._until = time.monotonic() + _PATIENCE_S

    def take(self, host: str) -> Notes:
        """Return the fields, if they are for this host, and forget them."""
        fields, self._fields = self._fields, {}
        return fields if host == self.host and time.monotonic() < self._until else {}


_under_way: Final[ContextVar[Noting | None]] = ContextVar("request_under_way", default=None)
#: Tasks and threads that are started in between get this very object, so that only one takes it.
_ahead: Final[ContextVar[_Ahead | None]] = ContextVar("noted_ahead", default=None)


def note(host: str, **fields: Any) -> None:
    """Add fields, those of ``HttpEvent``, to the row of the request under way to this host.

    Where there is none, they are kept for the next one: a limiter may be asked before a client is.
    """
    if not note_under_way(host, **fields):
        ahead = _ahead.get()
        before = ahead.take(host) if ahead is not None else {}
        _ahead.set(_Ahead(host, before | fields))


def note_under_way(host: str, **fields: Any) -> bool:
    """Add fields to the row of the request under way to this host; False if there is none.

    Besides those of ``HttpEvent``: ``sent=True`` says that it went out, and ``refused=True`` that
    a limiter or breaker stood in its way; what was refused and never sent gets no row.
    """
    noting = _under_way.get()
    if noting is None or noting.host != host:
        return False
    noting.fields.update(fields)
    return True


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
            self.fields.update(ahead.take(self.host))
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
