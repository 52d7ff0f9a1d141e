"""How a limiter or breaker on a request's way tells the recorded request what it did.

Rate limiters and circuit breakers sit below or around an HTTP client, and the one row of a
request has columns for both. They note what they know here, for the host they know; the
transport that records the request reads it. Notes follow the thread or task, as context
variables do, so nothing has to be handed through the layers between.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, Final, Self

Notes = dict[str, Any]

_under_way: Final[ContextVar[Noting | None]] = ContextVar("request_under_way", default=None)
#: What was noted for the next request, by host.
_ahead: Final[ContextVar[tuple[str, Notes] | None]] = ContextVar("noted_ahead", default=None)


def note(host: str, **fields: Any) -> None:
    """Add fields to the row of the request under way to this host, or else of the next one.

    The fields are those of ``HttpEvent``, and ``refused=True``, which says that the request was
    never sent and gets no row.
    """
    noting = _under_way.get()
    if noting is not None and noting.host == host:
        noting.fields.update(fields)
        return
    ahead = _ahead.get()
    known = ahead[1] if ahead is not None and ahead[0] == host else {}
    _ahead.set((host, known | fields))


class Noting:
    """Collects what is noted while a request to a host is under way: a context manager.

    Attributes:
        host: the host that the request goes to.
        fields: what was noted so far, including what was noted ahead for this host.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.fields: Notes = {}
        self._token: Token[Noting | None] | None = None

    def __enter__(self) -> Self:
        ahead = _ahead.get()
        if ahead is not None:
            # What was noted for another host belongs to a request that never came.
            if ahead[0] == self.host:
                self.fields.update(ahead[1])
            _ahead.set(None)
        self._token = _under_way.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        _under_way.reset(self._token)
