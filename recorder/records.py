"""Reads lines of JSONL as records: the recorder's own, and those of the crawler."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from recorder import crawler, loaded, schema
from recorder.changes import Record
from recorder.crawler import CrawlerRows
from recorder.lines import LONGEST, Line
from recorder.privacy import Privacy
from recorder.rows import UPDATE, Event, Rows

#: Characters of a writer's name; the recorder's have 16.
_LONGEST_NAME: Final = 200
_MOST: Final = sys.float_info.max


class NoRecordError(ValueError):
    """A line is no record; the message says why, and nothing of what is in the line."""


class IgnoredError(Exception):
    """A line is a record that no SLI needs; the message is its type."""


class Parser:
    """Makes records of lines.

    Args:
        runs: names of runs; those that records belong to are added.
    """

    def __init__(self, runs: set[str]) -> None:
        self._runs = runs
        self._privacy = Privacy()
        self._rows = Rows("", self._privacy)
        self._crawler_rows = CrawlerRows(self._privacy)

    def parse(self, line: Line) -> Record:
        """Return the record of a line.

        Raises:
            NoRecordError, IgnoredError: it has none, or one that is not kept.
        """
        if line.is_too_long:
            raise NoRecordError(f"longer than {LONGEST:,} bytes")
        try:
            record = json.loads(line.text)
        except (ValueError, RecursionError):
            raise NoRecordError("not JSON") from None
        if not isinstance(record, dict):
            raise NoRecordError("not a JSON object")
        if "record_type" in record and "table" not in record:
            return self._of_crawler(record)
        return self._of_recorder(record)

    def _of_crawler(self, record: dict[str, Any]) -> Record:
        kind, run_id = record["record_type"], record.get("run_id")
        if not isinstance(kind, str) or kind not in {*crawler.RECORDS, *crawler.IGNORED}:
            raise NoRecordError("no record of telemetry: its record_type is not known")
        if kind in crawler.IGNORED:
            raise IgnoredError(kind)
        table = crawler.RECORDS[kind]
        run = self._run(run_id)
        row = self._crawler_rows.make(table, run, record)
        try:
            writer = crawler.digest(record)
        except RecursionError:
            raise NoRecordError("not JSON") from None
        self._runs.add(run)
        return Record(writer, 0, row)

    def _of_recorder(self, record: dict[str, Any]) -> Record:
        table, action = record.pop("table", None), record.pop("change", "")
        writer, number = record.pop("writer", None), record.pop("number", None)
        run_id = record.pop("run_id", None)
        # Any of these may be anything that JSON has: a list or an object cannot even be looked up.
        if not isinstance(table, str) or table not in schema.COLUMNS:
            raise NoRecordError("no record of telemetry: its table is not known")
        if action != "" and (action != UPDATE or table != "downloads"):
            raise NoRecordError("no record of telemetry: its change is not known")
        if not _is_name(writer) or type(number) is not int or number not in loaded.NUMBERS:
            raise NoRecordError("no writer or number, by which it could be told from others")
        run = self._run(run_id)
        if unknown := record.keys() - set(schema.COLUMNS[table]):
            raise NoRecordError(
                f"written by a newer recorder: its column {min(unknown)} is not known"
            )
        if not _is_time(record.get("ts")):
            record["ts"] = None
            if schema.TABLES.get(table, {}).get("ts", "").endswith("NOT NULL"):
                raise NoRecordError("no ts, or one that is no number")
        if table == schema.STATUS_TABLE:
            record["writer"] = writer  # its own column too
        self._rows.run_id = run
        self._runs.add(run)
        # Given as the event's time as well, which fills the column where a record has none.
        row = self._rows.make(Event(table, record["ts"], record, action))
        return Record(writer, number, row)

    def _run(self, run_id: object) -> str:
        if not isinstance(run_id, str) or not run_id:
            raise NoRecordError("no run_id")
        return self._privacy.name(run_id)


def _is_name(value: object) -> bool:
    """Tell whether SQLite can store and compare a writer's name: a lone surrogate has no UTF-8."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _is_time(value: object) -> bool:
    """Tell whether a value is a finite number: JSON of Python's may hold NaN and endless digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_MOST <= value <= _MOST
