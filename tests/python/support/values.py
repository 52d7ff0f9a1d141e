"""One value of a telemetry file, as SQLite holds it, turned into what the contract says it means.

SQLite lets any value into any column, so every function takes any value and answers None for one
that does not fit. Nothing here knows about tables.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

WHITESPACE = " \t\n\v\f\r"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST_US = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
END_US = (datetime(2101, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
# Microseconds in one of what a number counts, by the number above which it counts it.
UNITS_US = ((1e17, Decimal("0.001")), (1e14, Decimal(1)), (1e11, Decimal(1_000)))

_FLAGS = {"true": 1, "yes": 1, "t": 1, "false": 0, "no": 0, "f": 0}

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?"
    r" ?(?:Z|(?:UTC|GMT)?([+-]\d\d(?::?\d\d)?)?))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class BadText:
    """A TEXT value whose bytes are not UTF-8."""

    raw: bytes


Value = None | int | float | str | bytes | BadText


def decode(raw: bytes) -> str | BadText:
    """Return a TEXT value; the connection's text_factory, which SQLite does not call for blobs."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return BadText(raw)


def filled(value: Value) -> str | None:
    """Return text that is not empty; a number counts as its text, a blob is None."""
    if value is None or isinstance(value, bytes | BadText):
        return None
    return str(value) or None


def text(value: Value) -> str | None:
    """Return text that is not blank, untrimmed and with its case kept: identifiers are opaque."""
    found = filled(value)
    return found if found is not None and found.strip(WHITESPACE) else None


def word(value: Value) -> str | None:
    """Return a word of a closed vocabulary (role, outcome, action), trimmed and lower-case."""
    found = text(value)
    return found.strip(WHITESPACE).lower() if found is not None else None


def host(value: Value) -> str | None:
    """Return a host's name in lower case, without final dots."""
    return (word(value) or "").rstrip(".") or None


def state(value: Value) -> str | None:
    """Return a breaker state: ``closed``, ``open`` or ``half_open``; None for any other text."""
    found = word(value) or ""
    if "half" in found:
        return "half_open"
    if "open" in found:
        return "open"
    return "closed" if "closed" in found else None


def real(value: Value) -> float | None:
    """Return a finite number; text may hold decimal notation with ASCII blanks around it."""
    if isinstance(value, str):
        value = value.strip(WHITESPACE)
        if not NUMBER.fullmatch(value):
            return None
    elif not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def integer(value: Value) -> int | None:
    """Return a 64-bit integer; a fraction is rounded half away from zero, as 2.5 to 3.

    That is how DuckDB casts the text '2.5'; it casts the DOUBLE 2.5 to 2 (half to even), so a
    cast by way of DOUBLE is not the same.
    """
    number = real(value)
    if number is None or value is None or isinstance(value, bytes | BadText):
        return None
    if abs(number) < 0.25:  # spares Decimal an exponent it cannot hold
        return 0
    exact = Decimal(value.strip(WHITESPACE) if isinstance(value, str) else value)
    whole = int(exact.to_integral_value(rounding=ROUND_HALF_UP))
    return whole if -(2**63) <= whole < 2**63 else None


def flag(value: Value) -> int | None:
    """Return 0 or 1 of a word for it, else the integer."""
    if (
        isinstance(value, str)
        and (found := _FLAGS.get(value.strip(WHITESPACE).lower())) is not None
    ):
        return found
    return integer(value)


def time_us(value: Value) -> int | None:
    """Return a time as Unix microseconds, if it lies in the years 2000 to 2100.

    A number, or text that holds one, is seconds, milliseconds above 1e11, microseconds above 1e14,
    nanoseconds above 1e17. Other text is ISO 8601, down to the date alone; without an offset it is
    UTC.
    """
    number = real(value)
    if number is not None:
        unit = next((unit for above, unit in UNITS_US if number > above), Decimal(1_000_000))
        found = round(Decimal(number) * unit)
    elif isinstance(value, str):
        moment = _iso(value.strip(WHITESPACE))
        if moment is None:
            return None
        found = moment
    else:
        return None
    return found if FIRST_US <= found < END_US else None


def _iso(value: str) -> int | None:
    match = ISO.fullmatch(value)
    if match is None or re.match(r"\d{4}(-\d{4}|\d\d-)", value):
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    is_over = hour == "24" and not int(f"{minute or 0}{second or 0}{fraction or 0}")
    is_leap = second == "60"
    try:
        moment = datetime(
            int(year), int(month), int(day), 0 if is_over else int(hour or 0), int(minute or 0),
            59 if is_leap else int(second or 0), int((fraction or "")[:6].ljust(6, "0")),
            _zone(offset or "Z"),
        )  # fmt: skip
    except ValueError:
        return None
    moment += timedelta(days=is_over, seconds=is_leap)
    return (moment - EPOCH) // MICROSECOND


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-ahead if offset[0] == "-" else ahead)


def utc_day(moment_us: int) -> date:
    """Return the UTC day of a time in Unix microseconds."""
    return (EPOCH + timedelta(microseconds=moment_us)).date()


def resolver_in(metadata: str | None) -> str | None:
    """Return ``$.resolver_name`` of a JSON text, if the text is JSON and the name a string."""
    try:
        found = json.loads(metadata or "")
    except (ValueError, RecursionError):
        return None
    name = found.get("resolver_name") if isinstance(found, dict) else None
    return text(name) if isinstance(name, str) else None
