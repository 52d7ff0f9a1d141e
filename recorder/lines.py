"""Reads the lines of files that may be packed, still being written, or no text at all."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

#: Bytes of a line that may be a record. What the recorder writes of the longest values is a fifth
#: of it; a longer line is not kept in memory.
LONGEST: Final = 1_000_000
_CHUNK_LINES: Final = 5_000
_CHUNK_BYTES: Final = 8_000_000


class Line(NamedTuple):
    """One line.

    Attributes:
        number: which of the file, from 1.
        text: what is in it; empty where it is too long.
        digest: SHA-256 of its text, where that is too long.
        is_ended: whether a line break follows.
    """

    number: int
    text: bytes
    digest: str
    is_ended: bool

    @property
    def is_too_long(self) -> bool:
        """Whether it is longer than any record."""
        return bool(self.digest)


def open_lines(path: str) -> IO[bytes]:
    """Open a file, plain or .gz, or ``-`` for standard input."""
    if path == "-":
        return sys.stdin.buffer
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path))
    return Path(path).open("rb")


def may_grow(path: str) -> bool:
    """Tell whether the last line of a file may be one that somebody is still writing."""
    return path != "-" and not path.endswith(".gz") and Path(path).is_file()


def chunks(file: IO[bytes]) -> Iterator[list[Line]]:
    """Read lines, as many at once as fit into memory whatever is in them."""
    lines = _lines(file)
    while True:
        chunk: list[Line] = []
        size = 0
        for line in itertools.islice(lines, _CHUNK_LINES):
            chunk.append(line)
            size += len(line.text)
            if size > _CHUNK_BYTES:
                break
        if not chunk:
            return
        yield chunk


def _lines(file: IO[bytes]) -> Iterator[Line]:
    for number in itertools.count(1):
        text = file.readline(LONGEST)
        digest = ""
        is_ended = text.endswith(b"\n")
        if len(text) == LONGEST and not is_ended:
            seen = hashlib.sha256(text)
            while not is_ended and (text := file.readline(LONGEST)):
                seen.update(text)
                is_ended = text.endswith(b"\n")
            text, digest = b"", seen.hexdigest()
        if text or digest:
            yield Line(number, text, digest, is_ended)
        if not is_ended:
            return  # what comes now is the rest of a line that was being written
