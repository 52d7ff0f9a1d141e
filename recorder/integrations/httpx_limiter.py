"""httpx transports that wait for a limiter.

transport = LimitedTransport(httpx.HTTPTransport(), limiter, role="metadata", timeout_s=30)
client = httpx.Client(transport=transport)
client.get(url, extensions={"telemetry": {"role": "artifact"}})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from recorder.events import Role
from recorder.integrations.buckets import StoreUnavailable
from recorder.integrations.pyrate import RecordedLimiter
from recorder.integrations.transports import holding_back, passing_on

LimitedRole = Role | Callable[[httpx.Request], Role | None] | None

#: How the recording transport marks a role that it derived, and the request did not name.
_DERIVED: Final = "role_was_derived"


class RateLimited(httpx.TransportError):
    """The limiter did not let a request through in time; it was not sent."""


class LimiterUnavailable(httpx.TransportError):
    """The store of the limits cannot be used now; the request was not sent."""


class LimitedTransport(httpx.BaseTransport):
    """Waits for the limiter of each request's host and role before it passes the request on.

    Args:
        inner: sends the requests.
        limiter: is asked for each, by its role in ``extensions={"telemetry": {"role": …}}``.
        role: that of requests that name none, or a function that tells it; needed when rates
            are given by role. The role that a recording transport is told does not count here:
            limits would differ with telemetry on and off.
        timeout_s: how long a request may wait, in seconds; -1 for as long as it takes.
        skip_head: let HEAD requests pass without asking.

    Requests that would have to wait longer raise ``RateLimited``, and ``LimiterUnavailable``
    when the limits are kept in a store that does not answer.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        limiter: RecordedLimiter,
        *,
        role: LimitedRole = None,
        timeout_s: float = -1,
        skip_head: bool = False,
    ) -> None:
        self._inner, self._limiter, self._role = inner, limiter, role
        self._timeout_s, self._skip_head = timeout_s, skip_head

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and pass the request on."""
        limiter, host = self._limiter, request.url.host
        with _asking(limiter, request):
            role, recorded = _roles(request, self._role)
            if self._skip_head and request.method == "HEAD":
                limiter.skip(host, recorded)
            elif not limiter.try_acquire(
                host, role, timeout_s=self._timeout_s, recorded_role=recorded
            ):
                raise _too_late(request)
        with passing_on(limiter.recorder, host):
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
        role: LimitedRole = None,
        timeout_s: float = -1,
        skip_head: bool = False,
    ) -> None:
        self._inner, self._limiter, self._role = inner, limiter, role
        self._timeout_s, self._skip_head = timeout_s, skip_head

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait, and pass the request on."""
        limiter, host = self._limiter, request.url.host
        with _asking(limiter, request):
            role, recorded = _roles(request, self._role)
            if self._skip_head and request.method == "HEAD":
                limiter.skip(host, recorded)
            elif not await limiter.try_acquire_async(
                host, role, timeout_s=self._timeout_s, recorded_role=recorded
            ):
                raise _too_late(request)
        with passing_on(limiter.recorder, host):
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


@contextmanager
def _asking(limiter: RecordedLimiter, request: httpx.Request) -> Iterator[None]:
    with holding_back(limiter.recorder, request.url.host):
        try:
            yield
        except StoreUnavailable as error:
            raise LimiterUnavailable(str(error), request=request) from None


def _too_late(request: httpx.Request) -> RateLimited:
    message = f"the rate limit of {request.url.host} allows no request in time"
    return RateLimited(message, request=request)


def _roles(request: httpx.Request, default: LimitedRole) -> tuple[Role | None, Role | None]:
    """Return the role to limit a request by, and the one to record."""
    given = request.extensions.get("telemetry")
    known: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    named: Role | None = known.get("role")
    role = None if known.get(_DERIVED) else named
    if role is None:
        role = default(request) if callable(default) else default
    return role, role if role is not None else named
