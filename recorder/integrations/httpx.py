"""Records every request of an httpx client.

    with open_run() as run, record(httpx.Client(), run.recorder) as client:
        client.get(url)

The recording transport goes around the cache, so that hits are seen, and around limiter and
breaker, whose notes it takes up. A transport that tries again by itself goes around it in turn,
since what is recorded is what passes through. Each hop of a redirect is a request of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import httpx

from recorder.events import HttpEvent, Recorder, Role
from recorder.headers import is_stale, retry_after_s
from recorder.notes import Noting
from recorder.run import open_run

__all__ = [
    "EXTENSION",
    "AsyncRecordedTransport",
    "RecordedTransport",
    "open_run",  # so that a downloader needs one import
    "record",
]

_log = logging.getLogger("recorder")

#: A request's extension: a mapping with fields of its own, such as ``role`` or ``retry_count``.
EXTENSION: Final = "telemetry"

WhichRole = Role | Callable[[httpx.Request], Role]

_DERIVED: Final = "role_was_derived"
#: How often a request came through: a transport above that tries again sends the same one.
_sent: Final[WeakKeyDictionary[httpx.Request, int]] = WeakKeyDictionary()


Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


def record(client: Client, recorder: Recorder, role: WhichRole = "metadata") -> Client:
    """Record what a client sends, with the proxies and TLS settings that it has; return it.

    A client that has a cache as its transport is recorded around it.

    Args:
        client: wrapped in place; left as it is when telemetry is off.
        recorder: takes a row for each request.
        role: what the requests are for, or how to tell; see `RecordedTransport`.
    """
    if recorder.enabled:
        # httpx has no public way to reach the transports that it made of a client's arguments.
        wrap: Any = (
            RecordedTransport if isinstance(client, httpx.Client) else AsyncRecordedTransport
        )
        if isinstance(client._transport, wrap):
            return client  # recorded already; twice would count each request twice
        client._transport = wrap(recorder, client._transport, role)
        for pattern, transport in client._mounts.items():
            if transport is not None:
                client._mounts[pattern] = wrap(recorder, transport, role)
    return client


class RecordedTransport(httpx.BaseTransport):
    """Records what passes through it into another transport."""

    def __init__(
        self,
        recorder: Recorder,
        inner: httpx.BaseTransport | None = None,
        role: WhichRole = "metadata",
    ) -> None:
        """Wrap a transport.

        Args:
            recorder: takes a row for each request.
            inner: sends the requests; a plain ``httpx.HTTPTransport`` when left out.
            role: what the requests are for, or how to tell; a request says otherwise with
                ``extensions={"telemetry": {"role": "artifact"}}``.
        """
        self._recorder, self._role = recorder, role
        self._inner = inner if inner is not None else httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and record it when its response has been read or closed."""
        if not self._recorder.enabled:
            return self._inner.handle_request(request)
        exchange = _Exchange(self._recorder, request, self._role)
        with exchange:
            response = self._inner.handle_request(request)
        exchange.answered(response)
        response.stream = _Recorded(cast(httpx.SyncByteStream, response.stream), exchange)
        return response

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the inner transport; the recorder stays open."""
        self._inner.close()


class AsyncRecordedTransport(httpx.AsyncBaseTransport):
    """Records what passes through it into another transport, for ``httpx.AsyncClient``."""

    def __init__(
        self,
        recorder: Recorder,
        inner: httpx.AsyncBaseTransport | None = None,
        role: WhichRole = "metadata",
    ) -> None:
        """Wrap a transport; the arguments are those of `RecordedTransport`."""
        self._recorder, self._role = recorder, role
        self._inner = inner if inner is not None else httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and record it when its response has been read or closed."""
        if not self._recorder.enabled:
            return await self._inner.handle_async_request(request)
        exchange = _Exchange(self._recorder, request, self._role)
        with exchange:
            response = await self._inner.handle_async_request(request)
        exchange.answered(response)
        response.stream = _AsyncRecorded(cast(httpx.AsyncByteStream, response.stream), exchange)
        return response

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close the inner transport; the recorder stays open."""
        await self._inner.aclose()


class _Exchange:
    """One request and what became of it; recorded once, when its end is known.

    Nothing here raises, whatever a server answers or a caller put into a request.
    """

    _is_open = False

    def __init__(self, recorder: Recorder, request: httpx.Request, role: WhichRole) -> None:
        self._recorder = recorder
        self._noting = Noting(request.url.host)
        self._row: dict[str, Any] = {}
        with _never_raising():
            self._row = _about(request, role)
        self._is_open = True
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        self._noting.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._noting.__exit__()
        if error is not None:
            self.ended(error)

    def answered(self, response: httpx.Response) -> None:
        """Note the head of the response."""
        with _never_raising():
            # What hishel's cache says; without a cache there is nothing to say.
            caching = response.extensions.get("caching")
            known = caching if isinstance(caching, Mapping) else {}
            self._row |= {
                "status": response.status_code,
                "from_cache": known.get("from_cache"),
                "revalidated": known.get("revalidated"),
                "stale": is_stale(response.headers) if known.get("from_cache") else None,
                "retry_after_s": retry_after_s(response.headers.get("Retry-After")),
            }
        if response.is_closed:  # a body that was there at once, as a transport of a test gives
            self.ended()

    def ended(self, error: BaseException | None = None) -> None:
        """Record the request, the first time this is called."""
        if not self._is_open:
            return
        self._is_open = False
        if not self._noting.was_sent:
            return  # a limiter or breaker stood in its way, and has recorded that
        with _never_raising():
            noted = self._noting.fields
            row = self._row | {name: noted[name] for name in noted.keys() - {"sent", "refused"}}
            if error is not None:
                row |= {"status": None, "error": type(error).__name__}
            waited_ms = row.get("rate_delay_ms") or 0.0
            row["elapsed_ms"] = max((time.perf_counter() - self._began) * 1000 - waited_ms, 0.0)
            self._recorder.http_event(**cast(Any, row))

    def __del__(self) -> None:
        # A response that nobody closed.
        self.ended()


def _about(request: httpx.Request, role: WhichRole) -> dict[str, Any]:
    """Return what the request itself says, and write back its role, for a limiter below."""
    given = request.extensions.get(EXTENSION)
    known = dict(given) if isinstance(given, Mapping) else {}
    if "role" not in known or _DERIVED in known:
        # Marked, since redirects inherit extensions.
        known |= {"role": _role(role, request), _DERIVED: True}
    request.extensions = {**request.extensions, EXTENSION: known}
    sent = _sent[request] = _sent.get(request, -1) + 1
    about: dict[str, Any] = {
        "host": request.url.host,
        "method": request.method,
        "url": str(request.url),
        "retry_count": sent,
    }
    return about | {name: known[name] for name in known.keys() & HttpEvent.__annotations__.keys()}


@contextmanager
def _never_raising() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.warning("telemetry: a request could not be recorded in full", exc_info=True)


class _Recorded(httpx.SyncByteStream):
    """A body that tells its exchange when it has been read or closed, or has failed."""

    def __init__(self, inner: httpx.SyncByteStream, exchange: _Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._inner
        except GeneratorExit:
            raise
        except BaseException as error:
            self._exchange.ended(error)
            raise
        self._exchange.ended()

    def close(self) -> None:
        self._inner.close()
        self._exchange.ended()


class _AsyncRecorded(httpx.AsyncByteStream):
    """A body that tells its exchange when it has been read or closed, or has failed."""

    def __init__(self, inner: httpx.AsyncByteStream, exchange: _Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self._exchange.ended(error)
            raise
        self._exchange.ended()

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._exchange.ended()


def _role(role: WhichRole, request: httpx.Request) -> Role:
    if not callable(role):
        return role
    try:
        return role(request)
    except Exception:  # telemetry must not stop a request
        _log.warning("telemetry: the function that tells a request's role failed", exc_info=True)
        return "metadata"
