"""The demo's HTTP stack: cache, limiter and breaker around httpx, every request recorded."""

from __future__ import annotations

from pathlib import Path

import httpx
from hishel import SqliteStorage
from hishel.httpx import CacheTransport
from pyrate_limiter import Rate
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from recorder import Recorder
from recorder.events import Role
from recorder.headers import retry_after_s
from recorder.integrations.httpx import RecordedTransport
from recorder.integrations.httpx_breaker import BreakerTransport, is_failure
from recorder.integrations.httpx_limiter import LimitedTransport
from recorder.integrations.pybreaker import Breakers
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.stores import open_limiter
from recorder.settings import breaker_store

#: Rate limit for one host: so many requests in a window of so many milliseconds. The crawler has
#: fewer workers than that, so no request waits longer than one window.
REQUESTS, WINDOW_MS = 16, 200
_FAIL_MAX, _RESET_S = 8, 1.0


class HostTrouble(httpx.HTTPStatusError):
    """A host answered that it cannot serve now (429 or 5xx)."""

    def __init__(self, response: httpx.Response) -> None:
        message = f"status {response.status_code}"
        super().__init__(message, request=response.request, response=response)


class _Loopback(httpx.BaseTransport):
    """Sends every request to the demo's publishers, whatever host it names."""

    def __init__(self, port: int) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._inner, self._port = httpx.HTTPTransport(limits=limits), port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        local = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return self._inner.handle_request(
            httpx.Request(
                request.method, local, headers=request.headers, extensions=request.extensions
            )
        )

    def close(self) -> None:
        self._inner.close()


class Web:
    """Fetches URLs for the demo's crawler.

    Args:
        port: where the publishers listen.
        cache: file of the HTTP cache.
        recorder: takes a row for every request, limiter decision and breaker transition.
    """

    def __init__(self, port: int, cache: Path, recorder: Recorder) -> None:
        rates = [Rate(REQUESTS, WINDOW_MS)]
        self._limiter = RecordedLimiter(open_limiter(rates), recorder)
        self._breakers = Breakers(
            recorder, fail_max=_FAIL_MAX, reset_timeout_s=_RESET_S, store=breaker_store()
        )
        # From the wire outwards: what is refused does not wait, and a cache hit asks nobody.
        limited = LimitedTransport(_Loopback(port), self._limiter)
        guarded = BreakerTransport(limited, self._breakers)
        cached = CacheTransport(guarded, storage=SqliteStorage(database_path=cache), rfc=True)
        self._client = httpx.Client(transport=RecordedTransport(recorder, cached), timeout=5)

    def close(self) -> None:
        """Close connections, cache, and the stores of limiter and breakers."""
        self._client.close()
        self._limiter.close()
        self._breakers.close()

    def get(self, url: str, role: Role) -> httpx.Response:
        """Fetch a URL, trying again up to three times while the host is in trouble.

        Raises:
            HostTrouble: it still is.
            pybreaker.CircuitBreakerError: its breaker is open.
            httpx.HTTPError: the connection failed.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(HostTrouble),
            stop=stop_after_attempt(3),
            wait=_wait,
            reraise=True,
        )
        for attempt in retrying:
            with attempt:
                about = {"role": role, "retry_count": attempt.retry_state.attempt_number - 1}
                response = self._client.get(url, extensions={"telemetry": about})
                if is_failure(response):
                    raise HostTrouble(response)
                return response
        raise AssertionError("unreachable: the last attempt raises")


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    header = error.response.headers.get("Retry-After") if isinstance(error, HostTrouble) else None
    told = retry_after_s(header)
    return told if told is not None else 0.05 * 2**state.attempt_number
