"""The errors a person sees: one line each, saying what is wrong, where, and what to do."""

from __future__ import annotations

import re


class TelemetryError(Exception):
    """Something could not be done; the message is the one line shown on stderr (exit code 2)."""


class UsageError(TelemetryError):
    """The command's words or settings do not fit together."""


class SourceError(TelemetryError):
    """No source of telemetry could be read."""


class WarehouseError(TelemetryError):
    """The warehouse is missing, busy, full or damaged."""


class ModelError(TelemetryError):
    """dbt could not compile or build a model."""


class QueryError(TelemetryError):
    """A person's SQL was refused or failed."""


def printable(text: str) -> str:
    """Return text whose control characters are spelled out: it must not move a cursor."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    )


def shown(path: str) -> str:
    """Return a path as UTF-8 text; bytes of it that are none are spelled out, as ``\\udce9``."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def from_shown(path: str) -> str:
    """Return the path that `shown` made text of."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda byte: chr(0xDC00 | int(byte[1], 16)), path)


def one_line(error: BaseException, limit: int = 300) -> str:
    """Return the first meaningful line of an error's message, at most `limit` characters.

    Passwords of connection strings, which the engine repeats in its errors, are left out.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    text = re.sub(r"(password=)('[^']*'|[^\s\"]*)|(://[^\s:@/]*:)[^\s@/]*@", r"\1\3…", text)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text + more_memory(text)


def more_memory(text: str) -> str:
    """Return the remedy if an engine's error says that it ran out of memory; else an empty text."""
    if "out of memory" not in text.lower():
        return ""
    return "; allow more with DOCSTOKG_MEMORY_LIMIT (by default a quarter of the memory)"
