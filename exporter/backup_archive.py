"""Archives of SQLite files: one zstd frame and a manifest that says what must be in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from exporter import __version__
from exporter.errors import TelemetryError
from exporter.sqlite_file import Content

#: Telemetry shrinks to a fifth at level 1; level 3 takes twice the time for another 3 %.
_LEVEL: Final = 1
_CHUNK: Final = 1 << 20
_FORMAT: Final = 1

Done = Callable[[int], None]


class DamagedError(TelemetryError):
    """A backup is not what its manifest says."""


@dataclass(frozen=True)
class Sums:
    """Sizes in bytes and SHA-256, of a SQLite file and of its archive."""

    sqlite_bytes: int
    sqlite_sha256: str
    compressed_bytes: int
    compressed_sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds; what its .json file says.

    Attributes:
        source: the file's name, without its folders.
        created_at: when the snapshot was taken, UTC.
        sums: sizes and checksums.
        content: rows by table, runs and the version of the tables.
        tool_version: what wrote it.
    """

    source: str
    created_at: datetime
    sums: Sums
    content: Content
    tool_version: str = __version__

    def as_json(self) -> dict[str, object]:
        """Return it as it is written."""
        return {
            "format": _FORMAT,
            "source": self.source,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            **asdict(self.sums),
            **asdict(self.content),
            "tool_version": self.tool_version,
        }

    def as_bytes(self) -> bytes:
        """Return the .json file."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def of(cls, written: bytes) -> Manifest:
        """Read a .json file.

        Raises:
            DamagedError: it is not a manifest, or of a newer version.
        """
        try:
            said = json.loads(written)
            if _count(said["format"]) > _FORMAT:
                raise DamagedError("it was made by a newer version: update this one")
            return cls(
                source=_text(said["source"]),
                created_at=datetime.fromisoformat(said["created_at"]).astimezone(UTC),
                sums=Sums(
                    _count(said["sqlite_bytes"]),
                    _text(said["sqlite_sha256"]),
                    _count(said["compressed_bytes"]),
                    _text(said["compressed_sha256"]),
                ),
                content=Content(
                    {_text(table): _count(rows) for table, rows in said["rows"].items()},
                    _count(said["runs"]),
                    _count(said["schema_version"]),
                ),
                tool_version=_text(said["tool_version"]),
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise DamagedError("its manifest is damaged") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no number of anything")
    return value


class _Hashed:
    """A file whose bytes are hashed and counted as they pass."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.sha, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._count(data)
        return self._file.write(data)

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._count(data)
        return data

    def _count(self, data: bytes) -> None:
        self.sha.update(data)
        self.size += len(data)


def pack(copy: Path, archive: Path, done: Done) -> Sums:
    """Compress a file; the archive is on the disk when this returns.

    Args:
        copy: the file, which nobody writes to.
        archive: the file to make.
        done: told the bytes read so far; may raise to stop.

    Raises:
        OSError: the archive cannot be written.
    """
    # No threads of zstd's own: beside the integrity check, which takes longer, two cores are full.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    sha, size = hashlib.sha256(), 0
    with copy.open("rb") as plain, archive.open("wb") as file:
        packed = _Hashed(file)
        # its stubs want a whole file where it calls `write` alone; below, `read` alone
        writer = compressor.stream_writer(packed, size=copy.stat().st_size)  # type: ignore[arg-type]
        # no `with`: at an error its end would complain of a frame cut short, and hide the error
        while chunk := plain.read(_CHUNK):
            sha.update(chunk)
            writer.write(chunk)
            size += len(chunk)
            done(size)
        writer.flush(zstandard.FLUSH_FRAME)
        file.flush()
        os.fsync(file.fileno())
    return Sums(size, sha.hexdigest(), packed.size, packed.sha.hexdigest())


def unpack(packed: BinaryIO, copy: Path, wanted: Sums, done: Done) -> None:
    """Unpack an archive and compare it with what its manifest says; the file is then on the disk.

    Args:
        packed: the archive.
        copy: the file to make.
        wanted: sizes and checksums.
        done: told the bytes written so far.

    Raises:
        DamagedError: sizes or checksums differ.
        OSError: the archive cannot be read, or the file cannot be written.
    """
    source = _Hashed(packed)
    with copy.open("xb") as file:
        plain = _Hashed(file)
        # read piece by piece, so that no archive, whatever it claims, is unpacked into memory
        reader = zstandard.ZstdDecompressor().stream_reader(source)  # type: ignore[arg-type]
        try:
            while piece := reader.read(_CHUNK):
                if plain.size + len(piece) > wanted.sqlite_bytes:
                    raise DamagedError("it holds more than its manifest says")
                plain.write(piece)
                done(plain.size)
        except zstandard.ZstdError:
            raise DamagedError("the archive is damaged: it cannot be unpacked") from None
        while source.size <= wanted.compressed_bytes and source.read(_CHUNK):
            pass  # what is behind the end of the frame counts as well
        for what, is_same in (
            ("the archive's size is wrong", source.size == wanted.compressed_bytes),
            ("the archive's checksum is wrong", source.sha.hexdigest() == wanted.compressed_sha256),
            ("the unpacked file's size is wrong", plain.size == wanted.sqlite_bytes),
            (
                "the unpacked file's checksum is wrong",
                plain.sha.hexdigest() == wanted.sqlite_sha256,
            ),
        ):
            if not is_same:
                raise DamagedError(what)
        file.flush()
        os.fsync(file.fileno())
