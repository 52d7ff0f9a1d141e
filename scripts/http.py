"""The demo's HTTP stack: cache, limiter and breaker around httpx, every request recorded."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pybreaker
from hishel import SqliteStorage
from hishel.httpx import CacheTransport
from pyrate_limiter import Duration, Limiter, Rate
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from recorder import Recorder

#: Requests a second that the crawler allows itself at one host.
REQUESTS_PER_SECOND = 80
_FAIL_MAX, _RESET_S = 8, 1.0


class HostTrouble(Exception):
    """A host answered that it cannot serve now (429 or 5xx)."""

    def __init__(self, status: int, retry_after_s: float | None) -> None:
        super().__init__(f"status {status}")
        self.status, self.retry_after_s = status, retry_after_s


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


class _Limited(httpx.BaseTransport):
    """Waits for the host's limiter; below the cache, so that a cache hit waits for nothing."""

    def __init__(self, inner: httpx.BaseTransport, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self._limiters: dict[str, Limiter] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        with self._lock:
            limiter = self._limiters.setdefault(
                host, Limiter(Rate(REQUESTS_PER_SECOND, Duration.SECOND))
            )
        began = time.perf_counter()
        if not limiter.try_acquire(host, blocking=False):
            limiter.try_acquire(host)
        delay_ms = (time.perf_counter() - began) * 1000
        noted: dict[str, Any] = request.extensions["noted"]
        noted["rate_delay_ms"] = delay_ms
        self._recorder.rate_event(
            host=host,
            role=noted["role"],
            action="block" if delay_ms > 5 else "acquire",
            delay_ms=delay_ms,
        )
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, host: str, recorder: Recorder) -> None:
        self._host, self._recorder = host, recorder

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self._recorder.breaker_transition(
            host=self._host,
            scope="host",
            old_state=old_state.name if old_state else "closed",
            new_state=new_state.name,
            reset_timeout_s=cb.reset_timeout,
        )


class Web:
    """Fetches URLs for the demo's crawler.

    Args:
        port: where the publishers listen.
        cache: file of the HTTP cache.
        recorder: takes a row for every request, limiter decision and breaker transition.
    """

    def __init__(self, port: int, cache: Path, recorder: Recorder) -> None:
        self._recorder = recorder
        self._breakers: dict[str, pybreaker.CircuitBreaker] = {}
        self._lock = threading.Lock()
        limited = _Limited(_Loopback(port), recorder)
        storage = SqliteStorage(database_path=cache)
        self._client = httpx.Client(
            transport=CacheTransport(limited, storage=storage, rfc=True), timeout=5
        )

    def close(self) -> None:
        """Close connections and cache."""
        self._client.close()

    def get(self, url: str, role: str) -> httpx.Response:
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
                tries = attempt.retry_state.attempt_number - 1
                return self._breaker(httpx.URL(url).host).call(self._once, url, role, tries)
        raise AssertionError("unreachable: the last attempt raises")

    def _once(self, url: str, role: str, tries: int) -> httpx.Response:
        noted: dict[str, Any] = {"role": role}
        host, began = httpx.URL(url).host, time.perf_counter()
        row: Any = {"host": host, "role": role, "method": "GET", "retry_count": tries}
        row["breaker_state"] = self._breaker(host).current_state
        try:
            response = self._client.get(url, extensions={"noted": noted})
        except httpx.HTTPError as error:
            row |= {"error": type(error).__name__, "breaker_recorded": "failure"}
            raise
        else:
            caching = response.extensions.get("caching") or {}
            retry_after = response.headers.get("Retry-After")
            bad = response.status_code == 429 or response.status_code >= 500
            row |= {
                "status": response.status_code,
                "from_cache": int(bool(caching.get("from_cache"))),
                "revalidated": int(bool(caching.get("revalidated"))),
                "retry_after_s": float(retry_after) if retry_after else None,
                "breaker_recorded": "failure" if bad else "success",
            }
        finally:
            elapsed_ms = (time.perf_counter() - began) * 1000 - noted.get("rate_delay_ms", 0)
            row |= {"rate_delay_ms": noted.get("rate_delay_ms"), "elapsed_ms": elapsed_ms}
            self._recorder.http_event(url=url, **row)
        if bad:
            raise HostTrouble(response.status_code, row["retry_after_s"])
        return response

    def _breaker(self, host: str) -> pybreaker.CircuitBreaker:
        with self._lock:
            if host not in self._breakers:
                self._breakers[host] = pybreaker.CircuitBreaker(
                    fail_max=_FAIL_MAX,
                    reset_timeout=_RESET_S,
                    listeners=[_Listener(host, self._recorder)],
                )
            return self._breakers[host]


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after_s if isinstance(error, HostTrouble) else None
    return told if told is not None else 0.05 * 2**state.attempt_number
