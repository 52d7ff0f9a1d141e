"""Cells that a spreadsheet shows and does not run."""

from __future__ import annotations

import re
from typing import Final, TypeVar

T = TypeVar("T")

_RUN: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert(value: T) -> T | str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe goes before text.

    Numbers stay as they are, as text too.

    Example:
        ``=1+1`` becomes ``'=1+1``; ``-5`` stays ``-5``.
    """
    if isinstance(value, str) and value.startswith(_RUN) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
