"""What HTTP headers say that telemetry keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it says nothing usable.

    It is a number of seconds or a date (RFC 9110, 10.2.3); a date that has passed means 0.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max((at - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None


def is_stale(headers: Mapping[str, str]) -> bool | None:
    """Tell whether a cached response is older than it says it may be (RFC 9111, 4.2)."""
    try:
        age = float(headers["Age"])
        control = headers["Cache-Control"].lower().replace(" ", "").split(",")
        limits = dict(part.split("=", 1) for part in control if "=" in part)
        return age > float(limits.get("s-maxage", limits["max-age"]))
    except (KeyError, ValueError):
        return None
