"""A check of what is in a file and is not read: a misspelt column looks like any other of these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exporter.crawler_tables import CRAWLER_TABLES
from exporter.examined import Examined
from exporter.findings import Finding, good, plural
from exporter.raw_schema import TABLES

#: Names that are listed of each kind.
_LISTED: Final = 12
#: Columns that are read though no raw relation has them; tables of ours that are no telemetry.
_COLUMNS: Final = frozenset({"id", "timestamp"})
_TABLES: Final = frozenset({"recorder_schema", *CRAWLER_TABLES})


def check_ignored(file: Examined) -> Iterator[Finding]:
    """Name the tables, and the columns of telemetry tables, that nothing reads."""
    told = []
    for name, table in sorted(file.tables.items()):
        if name in TABLES:
            unread = [c for c in table.columns if c not in TABLES[name] and c not in _COLUMNS]
            if unread:
                told.append(f"{plural(len(unread), 'column')} of {name} ({_listed(unread)})")
    others = [
        table.name for name, table in sorted(file.tables.items())
        if name not in TABLES and name not in _TABLES
    ]  # fmt: skip
    if others:
        told.append(f"{plural(len(others), 'table')} ({_listed(others)})")
    if told:
        yield Finding(
            "ignored",
            "warning",
            f"not read: {'; '.join(told)}",
            "nothing, where the crawler keeps them for itself; rename one that is misspelt",
        )
    else:
        yield good("ignored", "nothing: every table and column is read")


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
