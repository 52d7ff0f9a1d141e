"""Remembers in the SQLite file which records of which writer were loaded into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Final

#: As ranges, which no two of touch: all that one writer wrote is most often one of them.
TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS jsonl_loaded "
    "(writer TEXT, first INTEGER, last INTEGER, PRIMARY KEY (writer, first))"
)
#: What a record may have as its number. No recorder comes near the end, and a sum of such ends
#: over millions of writers still is an integer of SQLite's.
NUMBERS: Final = range(1, 10**12)


def add(connection: sqlite3.Connection, writer: str, numbers: Collection[int]) -> set[int]:
    """Note the numbers of a writer's records; return those that were not there.

    Only the ranges near them are read and written, so that the time does not grow with what was
    loaded before, whatever order numbers come in.
    """
    new = set(numbers)
    for first, last in _ranges(sorted(new)):
        near = _near(connection, writer, first, last)
        for known_first, known_last in near:
            new.difference_update(range(max(first, known_first), min(last, known_last) + 1))
        whole = (min([first, *(r[0] for r in near)]), max([last, *(r[1] for r in near)]))
        if near == [whole]:
            continue
        connection.executemany(
            "DELETE FROM jsonl_loaded WHERE writer = ? AND first = ?",
            [(writer, known_first) for known_first, _ in near],
        )
        connection.execute("INSERT INTO jsonl_loaded VALUES (?, ?, ?)", (writer, *whole))
    return new


def missing(connection: sqlite3.Connection) -> int:
    """Return how many records that writers counted were not loaded."""
    (count,) = connection.execute(
        "SELECT coalesce(sum(last_of_all - loaded), 0) FROM (SELECT max(last) AS last_of_all, "
        "sum(last - first + 1) AS loaded FROM jsonl_loaded GROUP BY writer)"
    ).fetchone()
    return int(count)


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Group sorted numbers into ranges."""
    first = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[first], numbers[at - 1]
            first = at


def _near(
    connection: sqlite3.Connection, writer: str, first: int, last: int
) -> list[tuple[int, int]]:
    """Return the stored ranges that overlap or touch this one."""
    found = []
    # From the end: as ranges do not overlap, the first that ends too early is the last to look at.
    for known in connection.execute(
        "SELECT first, last FROM jsonl_loaded WHERE writer = ? AND first <= ? ORDER BY first DESC",
        (writer, last + 1),
    ):
        if known[1] < first - 1:
            break
        found.append(known)
    return found
