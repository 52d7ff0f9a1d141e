"""The seed of SLO targets as a file: targets are changed, all else stays byte for byte."""

from __future__ import annotations

import csv
import difflib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from exporter.errors import TelemetryError

#: SLO, scope and subject of a row; no subject is an empty text.
Key = tuple[str, str, str]


def read(path: Path) -> str:
    """Return the seed's text, its line ends and byte order mark included.

    Raises:
        TelemetryError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise TelemetryError(f"cannot read the targets {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TelemetryError(f"{path} is not UTF-8: save it as UTF-8") from error


def with_targets(text: str, targets: Mapping[Key, float]) -> str:
    """Return the seed with other targets; nothing else of it changes.

    Args:
        text: the seed.
        targets: the new target of each row that changes.

    Raises:
        TelemetryError: a row is not in the seed, or stands in it in a way that is not understood.
    """
    lines = list(_records(text))
    header = _fields(lines[0].lstrip("\ufeff")) if lines else []
    missing = {"slo", "scope", "subject", "target"} - set(header)
    if missing:
        raise TelemetryError(f"the seed of targets has no column {', '.join(sorted(missing))}")
    left = dict(targets)
    for number, line in enumerate(lines[1:], 1):
        row = dict(zip(header, _fields(line), strict=False))
        key = (row.get("slo", ""), row.get("scope", ""), row.get("subject", ""))
        if key in left:
            lines[number] = _replaced(line, header.index("target"), f"{left.pop(key):.15g}")
    changed = "".join(lines)
    if left or _rows(changed) != _expected(text, targets):
        names = ", ".join(" ".join(filter(None, key)) for key in (left or targets))
        raise TelemetryError(f"the seed of targets cannot be changed here by itself: {names}")
    return changed


def diff(before: str, after: str, name: str) -> str:
    """Return a unified diff, as ``patch`` takes it; nothing where there is no difference."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n"
        for line in lines
    )


def write(path: Path, text: str) -> None:
    """Put a new seed in the place of the old one in one step, with its permissions.

    Raises:
        TelemetryError: it cannot be written.
    """
    target = path.resolve()
    part = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            part = file.name
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
        os.replace(part, target)
    except OSError as error:
        if part is not None:
            with suppress(OSError):
                os.unlink(part)
        raise TelemetryError(
            f"cannot write {path}: {error.strerror}; copy the project to a folder of your own and "
            "name it with --project-dir"
        ) from None


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; str.splitlines would end some at form feeds too."""
    return io.StringIO(text, newline="").readlines()


def _records(text: str) -> Iterator[str]:
    """Return the physical lines of each record: a quoted field may hold line ends."""
    record = ""
    for line in _lines(text):
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record


def _fields(record: str) -> list[str]:
    return next(iter(csv.reader(io.StringIO(record, newline=""))), [])


def _replaced(record: str, column: int, value: str) -> str:
    """Return a record with the value of one column replaced, quoted if it was."""
    starts, is_quoted = [0], False
    for place, character in enumerate(record):
        is_quoted ^= character == '"'
        if character == "," and not is_quoted:
            starts.append(place + 1)
    start = starts[column]
    after = starts[column + 1] - 1 if column + 1 < len(starts) else len(record.rstrip("\r\n"))
    old = record[start:after]
    new = f'"{value}"' if old.startswith('"') else value
    return record[:start] + new + record[after:]


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline="")))


def _expected(text: str, targets: Mapping[Key, float]) -> list[dict[str, str]]:
    """Return the rows as they should be, by the library's own reading of the seed."""
    rows = _rows(text)
    for row in rows:
        key = (row["slo"], row["scope"], row["subject"])
        if key in targets:
            row["target"] = f"{targets[key]:.15g}"
    return rows
