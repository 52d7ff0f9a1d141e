"""What an exception says about how an attempt ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from recorder.events import AttemptOutcome

_RETRYABLE: Final = frozenset({408, 425, 429})
#: Exceptions that mean that a breaker or limiter stood in the way.
_NOT_SENT: Final = frozenset({"CircuitBreakerError", "RateLimited", "LimiterUnavailable"})


def outcome_of(error: BaseException) -> tuple[AttemptOutcome, int | None]:
    """Return the outcome that an exception means, and the HTTP status that it carries, if any.

    By what HTTP clients' exceptions have in common, so that none of them has to be imported.
    """
    name = type(error).__name__
    if name in _NOT_SENT:
        return "skipped", None
    with suppress(Exception):  # an attribute may be a property that raises
        response = getattr(error, "response", None)
        for status in (
            getattr(response, "status_code", None),  # httpx, requests
            getattr(error, "status", None),  # aiohttp
            getattr(error, "code", None),  # urllib
        ):
            if isinstance(status, int) and 100 <= status <= 599:
                retryable = status in _RETRYABLE or status >= 500
                return "retryable" if retryable else "nonretryable", status
    return ("timeout" if isinstance(error, TimeoutError) or "Timeout" in name else "error"), None
