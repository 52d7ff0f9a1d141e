"""The check for URLs, query strings and credentials in any text of any table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from exporter.checks_tables import describe
from exporter.examined import Examined, Table, quoted
from exporter.findings import Finding, good
from exporter.raw_schema import TABLES
from recorder.privacy import TEXT_LIMIT, Privacy
from recorder.schema import STATUS_TABLE

#: Newest rows of each table that are looked at without --deep: about 20 µs for a text.
NEWEST_ROWS: Final = 5_000
#: Rows read at once, so that no read of a busy file is long.
_PAGE_ROWS: Final = 5_000
#: Bytes of one value that are looked at; the recorder keeps 20,000 characters at most.
_VALUE_BYTES: Final = 80_000
#: Words that cleaning puts in a value's place.
_MARKS: Final = ("[url]", "[hidden]")
_NAMES: Final = frozenset(
    {"run_id", "work_id", "artifact_id", "source", "resolver_name", "final_path"}
)
#: Columns of hashes, which name nothing and hold neither.
_HASHES: Final = frozenset({"url_hash", "sha256"})
_OURS: Final = frozenset({*TABLES, STATUS_TABLE})


def check_privacy(file: Examined) -> Iterator[Finding]:
    """Clean every text as the recorder would; what that changes should not be in the file.

    The value itself is never shown. In tables that are not telemetry it is a warning only: they
    may be another program's, and hold URLs on purpose.
    """
    looks = Looks()
    is_good = True
    told = []
    for name, table in file.tables.items():
        if table.kind != "table" or not table.columns:
            continue
        told.append(
            f"{name} {describe(file.rows(table), file.is_whole(table, NEWEST_ROWS), NEWEST_ROWS)}"
        )
        counts: dict[str, int] = defaultdict(int)
        first: dict[str, Any] = {}
        for position, values in _texts(file, table):
            for column, value in values:
                if looks.is_suspicious(name, column, value):
                    counts[column] += 1
                    first.setdefault(column, position)
        for column, count in counts.items():
            is_good = False
            row = "" if first[column] is None else f", for example in row {first[column]}"
            yield Finding(
                "privacy",
                "bad" if name in _OURS else "warning",
                f"{table.name}.{table.columns[column]}: {count:,} of {told[-1].partition(' ')[2]} "
                f"hold a URL, query string or credential{row}",
                "record through the recorder, which keeps hashes; then replace the values: UPDATE, "
                "VACUUM, checkpoint, and what was copied or loaded of them"
                if name in _OURS
                else "not telemetry: keep it in a file of its own, or share this one with care",
            )
    if is_good:
        yield good("privacy", f"no URL, query string or credential: {'; '.join(told)}")


def _texts(file: Examined, table: Table) -> Iterator[tuple[Any, list[tuple[str, str]]]]:
    """Return the texts of the rows to look at, each with its column, newest first."""
    names = list(table.columns)
    sent = ", ".join(
        # as bytes: SQLite's functions on text end at a NUL
        f"iif(typeof({quoted(c)}) in ('text', 'blob'), "
        f"substr(cast({quoted(c)} as blob), 1, {_VALUE_BYTES:d}), null)"
        for c in table.columns.values()
    )
    for row in _rows(file, table, sent):
        values = [
            (name, value.decode("utf-8", "replace"))
            for name, value in zip(names, row[1:], strict=True)
            if value
        ]
        yield row[0], values


def _rows(file: Examined, table: Table, columns: str) -> Iterator[tuple[Any, ...]]:
    sql = f"select {table.rowid or 'null'}, {columns} from {table.quoted}"
    if table.rowid is None:
        yield from file.ask(sql if file.deep else f"{sql} limit {NEWEST_ROWS:d}")
        return
    left = None if file.deep else NEWEST_ROWS
    below: int | None = None
    while left is None or left > 0:
        where = "" if below is None else f" where {table.rowid} < {below:d}"
        page = file.ask(f"{sql}{where} order by {table.rowid} desc limit {_PAGE_ROWS:d}")
        yield from page
        if len(page) < _PAGE_ROWS:
            return
        below = int(page[-1][0])
        left = None if left is None else left - len(page)


class Looks:
    """Tells texts that the recorder would not have stored."""

    def __init__(self) -> None:
        self._privacy = Privacy()
        self._known: dict[tuple[Callable[[str], bool], str], bool] = {}

    def is_suspicious(self, table: str, column: str, value: str) -> bool:
        """Tell whether cleaning a value changes it.

        Args:
            table: its table, lower-cased.
            column: its column, lower-cased.
            value: the text.
        """
        if table not in _OURS or column in _NAMES:
            look = self._name
        elif column == "metadata":
            look = self._json
        elif column == "host":
            look = self._host
        elif column in _HASHES:
            look = self._hash
        else:
            look = self._text
        key = (look, value)
        if key not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[key] = look(value)
        return self._known[key]

    def _text(self, value: str) -> bool:
        return any(
            (cleaned := self._privacy.text(part)) != part and cleaned.endswith(_MARKS)
            for part in _parts(value)
        )

    def _name(self, value: str) -> bool:
        return any(
            self._privacy.name(part) != part for part in _parts(value.replace("\0", "\ufffd"))
        )

    def _host(self, value: str) -> bool:
        return self._name(value) or (
            len(value) <= TEXT_LIMIT and self._privacy.host(value) != value
        )

    def _hash(self, value: str) -> bool:
        # a path or word in their place is no hash, but it gives nobody away
        return self._name(value)

    def _json(self, value: str) -> bool:
        try:
            known = json.loads(value)
        except (ValueError, RecursionError):
            return self._text(value)
        try:
            cleaned = self._privacy.json(known)
            if cleaned is None:  # too long to keep, so look at it as text
                return self._text(value)
            return any(cleaned.count(mark) > value.count(mark) for mark in _MARKS)
        except (ValueError, TypeError, RecursionError):
            return self._text(value)


def _parts(value: str) -> Iterator[str]:
    """Cut a text at spaces into parts that cleaning looks at as a whole."""
    while len(value) > TEXT_LIMIT:
        cut = value.rfind(" ", 1, TEXT_LIMIT)
        cut = TEXT_LIMIT if cut < 0 else cut
        yield value[:cut]
        value = value[cut:]
    yield value
