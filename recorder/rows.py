"""Turns the fields of an event into the values of a row: typed, private, and always storable."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, NamedTuple, SupportsFloat
from uuid import UUID

from recorder import schema
from recorder.files import FileDigest
from recorder.privacy import JSON_LIMIT, TEXT_LIMIT, Privacy

_log = logging.getLogger("recorder")

UPDATE: Final = "update"
#: Values in the metadata of one event: looking at more would hold up the caller.
_SNAPSHOT_VALUES: Final = 1_000
_INTEGERS: Final = range(-(2**63), 2**63)
_DEFAULTS: Final[dict[str, dict[str, object]]] = {
    "http_events": {"method": "GET", "sample_weight": 1.0},
    "breaker_transitions": {"scope": "host"},
}
#: Text that names something; where it is a URL, its hash takes its place.
_NAMES: Final = frozenset({"run_id", "work_id", "artifact_id", "source", "final_path"})


class Event(NamedTuple):
    """What a caller reported, as it was reported.

    Attributes:
        table: the table it belongs to.
        ts: when, in Unix seconds; an event's own ``ts`` goes before.
        fields: column names and values, and ``url`` for a request.
        action: ``update`` for changes of the latest download of an artifact; else a new row.
    """

    table: str
    ts: float
    fields: dict[str, Any]
    action: str = ""


class Row(NamedTuple):
    """What is stored of an event: a value for every column of the table but ``id``."""

    table: str
    values: tuple[Any, ...]
    action: str = ""


class Rows:
    """Makes the rows of one run.

    Attributes:
        damaged: values that could not be stored as what their column holds, and became NULL.
    """

    def __init__(self, run_id: str, privacy: Privacy) -> None:
        self.run_id = privacy.name(run_id)
        self.damaged = 0
        self._privacy = privacy
        self._complained: set[str] = set()
        self._readers: dict[str, dict[str, Callable[[Any], Any]]] = {
            table: {column: self._reader(column, kind) for column, kind in declared.items()}
            for table, declared in {**schema.TABLES, schema.STATUS_TABLE: schema.STATUS}.items()
        }

    def make(self, event: Event) -> Row:
        """Return the row of an event; what a value cannot be is counted and becomes NULL."""
        table, fields = event.table, event.fields
        readers = self._readers[table]
        values: dict[str, Any] = {}
        if not event.action:
            values.update(_DEFAULTS.get(table, {}))
            if "ts" in readers:
                values["ts"] = event.ts
        for name, value in fields.items():
            if value is None:
                continue
            try:
                if name == "url":
                    values["url_hash"] = self._privacy.url_hash(value)
                else:
                    read = readers[name](value)
                    if read is not None:
                        values[name] = read
            except Exception as error:  # a value may run anyone's code when it is looked at
                self._damage(table, name, error)
        values["run_id"] = self.run_id
        return Row(table, tuple(map(values.get, schema.COLUMNS[table])), event.action)

    def _damage(self, table: str, name: str, error: Exception) -> None:
        self.damaged += 1
        if name not in self._complained:
            self._complained.add(name)
            what = "no such column" if isinstance(error, KeyError) else type(error).__name__
            _log.warning("telemetry value cannot be stored: %s.%s: %s", table, str(name)[:60], what)

    def _reader(self, column: str, kind: str) -> Callable[[Any], Any]:
        if kind.startswith("INTEGER"):
            return integer
        if kind.startswith("REAL"):
            return _time if column in {"ts", "started_at", "finished_at"} else real
        if column == "metadata":
            return self._privacy.json
        clean = self._privacy.text
        if column in _NAMES:
            clean = self._privacy.name
        elif column == "host":
            clean = self._privacy.host
        elif column == "url_hash":
            return lambda value: self._privacy.given_hash(plain_text(value))
        return lambda value: clean(value if type(value) is str else plain_text(value))


def snapshot(value: Any, budget: int = _SNAPSHOT_VALUES) -> Any:
    """Return metadata that no later change of the caller's can reach, in a bounded time.

    Raises:
        ValueError: it holds more than `budget` values.
    """
    left = iter(range(budget))

    def copied(value: Any) -> Any:
        if next(left, None) is None:
            raise ValueError("too much to keep")
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return value[:JSON_LIMIT]
        if isinstance(value, Mapping):
            return {_plain(key): copied(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [copied(inner) for inner in value]
        return _plain(value)

    return copied(value)


def _plain(value: object) -> str:
    """Return a value as text where it is known to be quick; else what it is."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return value[:TEXT_LIMIT]
    known = int | float | UUID | PurePath | date | Decimal
    return str(value) if isinstance(value, known) else type(value).__name__


def plain_text(value: object) -> str:
    if isinstance(value, BaseException):
        return type(value).__name__
    if isinstance(value, type) and issubclass(value, BaseException):
        return value.__name__
    if isinstance(value, Enum):
        value = value.value if isinstance(value.value, str) else value.name
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, FileDigest):
        value = value.hexdigest()
    if not isinstance(value, str):
        if not isinstance(value, int | float | PurePath | UUID):
            raise TypeError
        value = str(value)
    return value


def integer(value: Any) -> int:
    if value is True or value is False or (type(value) is int and value in _INTEGERS):
        return int(value)
    if isinstance(value, float | str):
        number = float(value)
        if not number.is_integer():
            raise ValueError
        value = int(number)
    value = operator.index(value.value if isinstance(value, Enum) else value)
    if value not in _INTEGERS:
        raise OverflowError
    return int(value)


def real(value: SupportsFloat) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _time(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else real(value)
