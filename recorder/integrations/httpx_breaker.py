"""httpx transports that ask a circuit breaker.

    limited = LimitedTransport(httpx.HTTPTransport(), limiter, timeout_s=30)
    client = httpx.Client(transport=BreakerTransport(limited, breakers))

The breaker goes around the limiter, so that nothing waits for a host that is refused anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx

from recorder.integrations.pybreaker import Attempt, Breakers
from recorder.integrations.transports import holding_back, is_unsent, note_safely, passing_on

#: Errors of our own side, which say nothing about the host: no request was sent, or a wrong one.
_OURS: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.PoolTimeout)


def is_failure(response: httpx.Response) -> bool:
    """Return whether a response says that the host is in trouble: 429 or 5xx."""
    return response.status_code == 429 or response.status_code >= 500


class BreakerTransport(httpx.BaseTransport):
    """Passes requests on unless the breaker of their host is open.

    A response that counts as a failure is returned all the same, and an exception is raised as it
    is, also by the request that opens the breaker. Refused requests raise
    ``pybreaker.CircuitBreakerError``. Errors after the headers, while a body is read, are not
    seen, and what a limiter further in raises does not count.

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


@contextmanager
def _attempt(breakers: Breakers, host: str) -> Iterator[Attempt]:
    recorder, attempt = breakers.recorder, breakers.attempt(host)
    try:
        with ExitStack() as stack:
            with holding_back(recorder, host):
                stack.enter_context(attempt)
            # Both, because a retry above may have noted the outcome of an earlier attempt.
            note_safely(recorder, host, breaker_state=attempt.state, breaker_recorded="none")
            try:
                with passing_on(recorder, host):
                    yield attempt
            except Exception as error:
                if is_unsent(error) or isinstance(error, _OURS):
                    attempt.ignore()
                raise
    finally:
        if attempt.state is not None:
            note_safely(recorder, host, breaker_recorded=attempt.outcome)
