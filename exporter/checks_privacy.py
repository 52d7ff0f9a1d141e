"""The check for URLs, query strings and credentials in any text of any table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from exporter.crawler_tables import CRAWLER_TABLES
from exporter.examined import Examined, Table, quoted
from exporter.findings import Finding, good
from exporter.raw_schema import TABLES
from recorder.privacy import TEXT_LIMIT, Privacy
from recorder.schema import STATUS_TABLE

#: Rows read at once, so that no read of a busy file is long.
_PAGE_ROWS: Final = 5_000
#: Bytes of one value that are looked at; the recorder keeps 20,000 characters at most.
_VALUE_BYTES: Final = 80_000
#: A text or blob, which come after all numbers, as bytes: SQLite's functions on text end at a NUL.
_BYTES: Final = (
    f"iif({{0}} collate binary >= '', substr(cast({{0}} as blob), 1, {_VALUE_BYTES:d}), null)"
)
#: Those of many rows, a line each; a byte that is in no text stands for a long one.
_JOINED: Final = (
    f"cast(group_concat(iif(length(cast({{0}} as blob)) > {_VALUE_BYTES:d}, x'ff', {{0}}), "
    "char(10)) filter (where {0} collate binary >= '') as blob)"
)
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
    may be another program's, and hold URLs on purpose, as the crawler's own tables do.
    """
    looks = Looks()
    is_good = True
    told = []
    for name, table in file.tables.items():
        if table.kind != "table" or not table.columns:
            continue
        if name in CRAWLER_TABLES and "run_id" in table.columns:
            told.append(f"{name} the crawler's own, of which no URL, title or path is loaded")
            continue
        seen = file.looked_at(table)
        told.append(f"{name} {seen}")
        for column, (count, position) in _suspicious(file, name, table, looks).items():
            is_good = False
            row = "" if position is None else f", for example in row {position}"
            yield Finding(
                "privacy",
                "bad" if name in _OURS else "warning",
                f"{table.name}.{table.columns[column]}: {count:,} of {seen} "
                + (
                    "are no host names, and may hold a URL, path or credential"
                    if column == "host"
                    else "hold a URL, query string or credential"
                )
                + row,
                "record through the recorder, which keeps hashes; then replace the values: UPDATE, "
                "VACUUM, checkpoint, and what was copied or loaded of them"
                if name in _OURS
                else "not telemetry: keep it in a file of its own, or share this one with care",
            )
    if is_good:
        yield good("privacy", f"no URL, query string or credential: {'; '.join(told)}")


def _suspicious(
    file: Examined, name: str, table: Table, looks: Looks
) -> dict[str, tuple[int, int | None]]:
    """Return by column how many rows hold what they should not, and the newest of them."""
    found: dict[str, tuple[int, int | None]] = {}
    for columns, rows in _doubtful(file, name, table, looks):
        positions, *listed = zip(*rows, strict=True)
        for column, values in zip(columns, listed, strict=True):
            bad = looks.suspicious(name, column, {value for value in values if value})
            if bad:
                hits = [at for at, value in zip(positions, values, strict=True) if value in bad]
                count, first = found.get(column, (0, hits[0]))
                found[column] = (count + len(hits), first)
    return found


def _doubtful(
    file: Examined, name: str, table: Table, looks: Looks
) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """Return the columns in which something may be, and their values as bytes, newest first.

    A page's texts come as one text a column, which is one look for all its rows.
    """
    spelled = {column: quoted(name) for column, name in table.columns.items()}
    for rows in _pages(file, table):
        (joined,) = file.ask(
            f"select {', '.join(map(_JOINED.format, spelled.values()))} from {rows}"
        )
        columns = [
            column
            for column, text in zip(spelled, joined, strict=True)
            if text and not looks.is_harmless(name, column, text)
        ]
        if columns:
            values = ", ".join(_BYTES.format(spelled[column]) for column in columns)
            order = f"order by {table.rowid} desc" if table.rowid else ""
            found = file.ask(f"select {table.rowid or 'null'}, {values} from {rows} {order}")
            if found:
                yield columns, found


def _pages(file: Examined, table: Table) -> Iterator[str]:
    """Return SQL for some of the rows to look at after the other, newest first."""
    place, limit, seen, below = table.rowid, file.limit(table), 0, "true"
    while limit is None or seen < limit:
        if place is None:
            rows = f"(select * from {table.quoted} limit {_PAGE_ROWS:d} offset {seen:d})"
            ((count,),) = file.ask(f"select count(*) from {rows}")
        else:
            ((count, lowest),) = file.ask(
                f"select count(*), min(at) from (select {place} as at from {table.quoted} "
                f"where {below} order by {place} desc limit {_PAGE_ROWS:d})"
            )
            # by their place, not their number: a row may come meanwhile
            rows = f"{table.quoted} where {below} and {place} >= {lowest or 0:d}"
            below = f"{place} < {lowest or 0:d}"
        if count:
            yield rows
        if count < _PAGE_ROWS:
            return
        seen += count


_HEX: Final = b"\n0123456789abcdef"


class _Harmless:
    """Tells, at the speed of memory, texts in which the recorder's patterns can find nothing.

    Args:
        needed: characters one of which each pattern needs, but for those that need a word.
        words: these words, lower-cased.
    """

    def __init__(self, needed: bytes, words: tuple[bytes, ...]) -> None:
        # beyond printable ASCII anything may be: NUL, a letter whose lower case is an s
        self._safe = b"\n" + bytes(set(range(32, 127)) - set(needed))
        self._words = words

    def __call__(self, text: bytes) -> bool:
        if text.translate(None, self._safe):
            return False
        if not text.translate(None, _HEX):  # no word is
            return True
        lower = b" " + text.lower().replace(b"\n", b" ")
        return not any(word in lower for word in self._words)


_TOKENS: Final = (
    b"akia", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"xox", b"eyj", b"sk-", b"-----begin",
    b"bearer ", b"basic ", b"negotiate ", b"ntlm ", b"apikey ", b"api key ", b"aws4-hmac",
    b"digest ", b"token ",
)  # fmt: skip
#: What is no host is not harmless; a name may be a path; JSON has colons, commas and quotes.
_HARMLESS_HOST: Final = _Harmless(
    bytes(c for c in range(32, 127) if not chr(c).isalnum() and chr(c) not in ".-"),
    (*_TOKENS, b"..", b" ."),
)
_HARMLESS_NAME: Final = _Harmless(b":?=&@>,%", (*_TOKENS, b"//"))
_HARMLESS_TEXT: Final = _Harmless(b":?=&@>,%/'\"(", _TOKENS)
_HARMLESS_JSON: Final = _Harmless(
    b"?=&@>%/\\'",
    (
        *_TOKENS, b"token", b"secret", b"pass", b"key", b"credential", b"auth", b"sig", b"session",
        b"cookie", b"pwd", b"jwt", b"sid", b"x-amz-", b"-u ", b"url", b"uri", b"href", b"referer",
        b"location", b"query", b"param", b"header",
    ),
)  # fmt: skip


class Looks:
    """Tells texts that the recorder would not have stored."""

    def __init__(self) -> None:
        self._privacy = Privacy()
        self._known: dict[tuple[Callable[[str], bool], bytes], bool] = {}

    def is_harmless(self, table: str, column: str, texts: bytes) -> bool:
        """Tell whether nothing can be in some values, which are a line each.

        Args:
            table: their table, lower-cased.
            column: their column, lower-cased.
            texts: the values as they are stored.
        """
        return self.look(table, column)[1](texts)

    def suspicious(self, table: str, column: str, values: set[bytes]) -> set[bytes]:
        """Return those values that cleaning changes."""
        look, is_harmless = self.look(table, column)
        return {v for v in values if not is_harmless(v) and self._asked(look, v)}

    def look(
        self, table: str, column: str
    ) -> tuple[Callable[[str], bool], Callable[[bytes], bool]]:
        """Return what tells whether cleaning changes a value, and the quick look before it."""
        if table not in _OURS or column in _NAMES or column in _HASHES:
            # a path or word in the place of a hash is no hash, but it gives nobody away
            return self._name, _HARMLESS_NAME
        if column == "metadata":
            return self._json, _HARMLESS_JSON
        if column == "host":
            return self._host, _HARMLESS_HOST
        return self._text, _HARMLESS_TEXT

    def _asked(self, look: Callable[[str], bool], value: bytes) -> bool:
        key = (look, value)
        if key not in self._known:
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[key] = look(value.decode("utf-8", "replace"))
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
