"""Appends rows to text files: one line a record, set aside by size, several processes at once."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from recorder import schema
from recorder.rows import Row
from recorder.spreadsheet import inert


class Format(Protocol):
    """How rows become lines."""

    head: str

    def line(self, row: Row, writer: str, number: int) -> str:
        """Return the line of a row, with its end; `number` counts the rows of a writer from 1."""


class Jsonl:
    """One JSON object a line; columns that are NULL are left out."""

    head = ""

    def line(self, row: Row, writer: str, number: int) -> str:
        """Return the line of a row."""
        record: dict[str, Any] = {"table": row.table, "writer": writer, "number": number}
        if row.action:
            record["change"] = row.action
        for name, value in zip(schema.COLUMNS[row.table], row.values, strict=True):
            if value is not None:
                record[name] = value
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


class Csv:
    """One table for all: a column for every column of any table; NULL is empty.

    Args:
        for_spreadsheets: text that a spreadsheet would run as a formula gets an apostrophe.
    """

    columns: Final = tuple(dict.fromkeys(c for names in schema.COLUMNS.values() for c in names))
    head = ",".join(("table", "change", *columns)) + "\n"

    def __init__(self, for_spreadsheets: bool = False) -> None:
        self._cell = inert if for_spreadsheets else _as_it_is

    def line(self, row: Row, writer: str, number: int) -> str:
        """Return the line of a row; line breaks within a text become spaces."""
        known = dict(zip(schema.COLUMNS[row.table], row.values, strict=True))
        values = (row.table, row.action, *map(known.get, self.columns))
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(
            self._cell(" ".join(value.splitlines())) if isinstance(value, str) else value
            for value in values
        )
        return text.getvalue() + "\n"


def _as_it_is(text: str) -> str:
    return text


class TextSink:
    """One text file that grows, and the older ones that were set aside.

    At that size ``telemetry.jsonl`` becomes ``telemetry.20261124T101500.123456.jsonl`` (the time
    in UTC), and a new one begins. Those set aside are never touched again.

    Args:
        path: the file; it and its folder are created when missing.
        form: how rows become lines.
        rotate_bytes: size at which the file is set aside.
    """

    def __init__(self, path: Path, form: Format, rotate_bytes: int) -> None:
        self.path = path
        self._form = form
        self._rotate_bytes = rotate_bytes

    def write(self, rows: Sequence[Row], first: int, status: Sequence[Any]) -> int:
        """Append rows, numbered from `first`; return how many will not go in, which is none.

        Raises:
            OSError: the file cannot be written; no part of the rows is in it, or if it could not
                be cut back either, one torn line, which ends before the next one begins.
        """
        if not rows:
            return 0
        writer = status[0]
        lines = (self._form.line(row, writer, number) for number, row in enumerate(rows, first))
        text = "".join(lines).encode("utf-8")
        with self._locked() as file:
            if not self._is_full(file, len(text)):
                self._append(file, text)
                return 0
            self._set_aside()
        with self._locked() as file:
            self._append(file, text)
        return 0

    def close(self) -> None:
        """Do nothing: the file is only open while it is written."""

    def forget(self) -> None:
        """Do nothing: the file is only open while it is written."""

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file for this process alone; not kept open, so that it may be moved away."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                # Not waited for: whoever has it may keep it, and other files must not wait too.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_still(file):
                    yield file
                    return
            finally:
                os.close(file)

    def _append(self, file: int, text: bytes) -> None:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            text = b"\n" + text  # what a killed process left of a line stays by itself
        if not size:
            text = self._form.head.encode() + text
        try:
            _write_all(file, text)
        except OSError:
            os.ftruncate(file, size)
            raise

    def _is_full(self, file: int, more: int) -> bool:
        size = os.fstat(file).st_size
        return size > 0 and size + more > self._rotate_bytes

    def _is_still(self, file: int) -> bool:
        """Tell whether nobody set the file aside while this process waited for it."""
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _set_aside(self) -> None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self.path.rename(self.path.with_name(f"{self.path.stem}.{now}{self.path.suffix}"))


def _write_all(file: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(file, view) :]
