"""httpx transports that wait for a limiter, and that ask a circuit breaker.

    limited = LimitedTransport(httpx.HTTPTransport(), limiter, timeout_s=30)
    client = httpx.Client(transport=BreakerTransport(limited, breakers))
    client.get(url, extensions={"telemetry": {"role": "metadata"}})

The breaker goes around the limiter, so that nothing waits for a host that is refused anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from pybreaker import CircuitBreakerError

from recorder.events import Recorder, Role
from recorder.integrations.pybreaker import Attempt, Breakers
from recorder.integrations.pyrate import RecordedLimiter
from recorder.notes import note

#: Errors of our own side, which say nothing about the host: no request was sent, or a wrong one.
_OURS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.PoolTimeout)


class RateLimited(httpx.TransportError):
    """The limiter did not let a request through in time; it was not sent."""


def is_failure(response: httpx.Response) -> bool:
    """Return whether a response says that the host is in trouble: 429 or 5xx."""
    return response.status_code == 429 or response.status_code >= 500


class LimitedTransport(httpx.BaseTransport):
    """Waits for the limiter of each request's host and role before it passes the request on.

    Args:
        inner: sends the requests.
        limiter: is asked for each, by the role in ``extensions={"telemetry": {"role": …}}``.
        timeout_s: how long a request may wait, in seconds; -1 for as long as it takes.
        skip_head: let HEAD requests pass without asking.

    Requests that would have to wait longer raise ``RateLimited``.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        limiter: RecordedLimiter,
        *,
        timeout_s: float = -1,
        skip_head: bool = False,
    ) -> None:
        self._inner, self._limiter = inner, limiter
        self._timeout_s, self._skip_head = timeout_s, skip_head

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and pass the request on."""
        host, role = request.url.host, _role(request)
        if self._skip_head and request.method == "HEAD":
            self._limiter.skip(host, role)
        else:
            passed = self._limiter.try_acquire(host, role, timeout_s=self._timeout_s)
            _admit(self._limiter, request, passed)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncLimitedTransport(httpx.AsyncBaseTransport):
    """``LimitedTransport`` for ``httpx.AsyncClient``."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        limiter: RecordedLimiter,
        *,
        timeout_s: float = -1,
        skip_head: bool = False,
    ) -> None:
        self._inner, self._limiter = inner, limiter
        self._timeout_s, self._skip_head = timeout_s, skip_head

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and pass the request on."""
        host, role = request.url.host, _role(request)
        if self._skip_head and request.method == "HEAD":
            self._limiter.skip(host, role)
        else:
            passed = await self._limiter.try_acquire_async(host, role, timeout_s=self._timeout_s)
            _admit(self._limiter, request, passed)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class BreakerTransport(httpx.BaseTransport):
    """Passes requests on unless the breaker of their host is open.

    A response that counts as a failure is returned all the same, and an exception is raised as it
    is, also by the request that opens the breaker. Refused requests raise
    ``pybreaker.CircuitBreakerError``. Errors after the headers, while a body is read, are not seen.

    Args:
        inner: sends the requests.
        breakers: one for each host.
        is_failure: says which responses count as failures.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        breakers: Breakers,
        *,
        is_failure: Callable[[httpx.Response], bool] = is_failure,
    ) -> None:
        self._inner, self._breakers, self._is_failure = inner, breakers, is_failure

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the breaker, pass the request on, and tell the breaker what came of it."""
        with _attempt(self._breakers, request.url.host) as attempt:
            response = self._inner.handle_request(request)
            if self._is_failure(response):
                attempt.fail(f"status {response.status_code}")
            return response

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncBreakerTransport(httpx.AsyncBaseTransport):
    """``BreakerTransport`` for ``httpx.AsyncClient``.

    A shared store is asked within the event loop: that takes well under a millisecond, and at
    most a quarter of a second every five seconds while the store is down.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        breakers: Breakers,
        *,
        is_failure: Callable[[httpx.Response], bool] = is_failure,
    ) -> None:
        self._inner, self._breakers, self._is_failure = inner, breakers, is_failure

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the breaker, pass the request on, and tell the breaker what came of it."""
        with _attempt(self._breakers, request.url.host) as attempt:
            response = await self._inner.handle_async_request(request)
            if self._is_failure(response):
                attempt.fail(f"status {response.status_code}")
            return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


def _role(request: httpx.Request) -> Role | None:
    role: Role | None = (request.extensions.get("telemetry") or {}).get("role")
    return role


def _admit(limiter: RecordedLimiter, request: httpx.Request, passed: bool) -> None:
    host = request.url.host
    _note(limiter.recorder, host, refused=not passed)
    if not passed:
        raise RateLimited(f"the rate limit of {host} allows no request in time", request=request)


@contextmanager
def _attempt(breakers: Breakers, host: str) -> Iterator[Attempt]:
    recorder, attempt = breakers.recorder, breakers.attempt(host)
    try:
        with attempt:
            # All three, in case something was noted for an earlier request that got no row.
            _note(
                recorder, host,
                refused=False, breaker_state=attempt.state, breaker_recorded="none",
            )  # fmt: skip
            try:
                yield attempt
            except (RateLimited, *_OURS):
                attempt.ignore()
                raise
    except CircuitBreakerError:
        if attempt.state is None:
            _note(recorder, host, refused=True)
        raise
    finally:
        if attempt.state is not None:
            _note(recorder, host, breaker_recorded=attempt.outcome)


def _note(recorder: Recorder, host: str, **fields: Any) -> None:
    with suppress(Exception):
        if recorder.enabled:
            note(host, **fields)
