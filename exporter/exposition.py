"""Samples as the text that Prometheus reads, made once and served many times."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.errors import TelemetryError
from exporter.samples import Sample, families

#: What ends an OpenMetrics exposition, once.
_EOF = b"# EOF\n"
_OPENMETRICS = "application/openmetrics-text"
#: RFC 1952: deflate, no name, no time, any system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class _Families(Collector):
    """Metric families that are there already, for the library's encoders."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self._metrics


def text(samples: Iterable[Sample]) -> bytes:
    """Return samples in the Prometheus text format."""
    return bytes(generate_latest(_Families(families(samples))))


@dataclass(frozen=True)
class Rendered:
    """Samples in one format.

    Attributes:
        plain: the text, without what ends it.
        packed: a gzip header and the text compressed, up to a place where more can be put.
        checksum: the CRC-32 of the text.
    """

    plain: bytes
    packed: bytes
    checksum: int

    @classmethod
    def of(cls, plain: bytes) -> Rendered:
        """Compress a text."""
        packer = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
        body = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)
        return cls(plain, _GZIP_HEADER + body, zlib.crc32(plain))

    def with_more(self, more: bytes, is_gzip: bool) -> bytes:
        """Return the text with more behind it; the more alone is compressed now."""
        if not is_gzip:
            return self.plain + more
        packer = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
        length = (len(self.plain) + len(more)) & 0xFFFFFFFF
        end = struct.pack("<II", zlib.crc32(more, self.checksum), length)
        return self.packed + packer.compress(more) + packer.flush() + end


@dataclass(frozen=True)
class Exposition:
    """The samples of runs, rendered and compressed once in each format.

    A scrape adds the few lines that the exporter says of itself to what is ready.
    """

    text: Rendered
    openmetrics: Rendered

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Exposition:
        """Render samples."""
        ready = _Families(families(samples))
        encode_open, _ = choose_encoder(f"{_OPENMETRICS}; version=1.0.0")
        return cls(
            Rendered.of(generate_latest(ready)),
            Rendered.of(encode_open(ready).removesuffix(_EOF)),
        )

    def body(self, accept: str, is_gzip: bool, own: Sequence[Metric]) -> tuple[bytes, str]:
        """Return the exposition in the format that a client accepts, and its content type.

        Args:
            accept: the request's Accept header.
            is_gzip: whether to compress it.
            own: families to add; their names are not among those of the runs.
        """
        encode, content_type = choose_encoder(accept)
        is_open = content_type.startswith(_OPENMETRICS)
        ready = self.openmetrics if is_open else self.text
        return ready.with_more(encode(_Families(own)), is_gzip), content_type


def write_textfile(path: Path, content: bytes) -> None:
    """Put an exposition in the place of a file in one step, readable for the node exporter.

    Raises:
        TelemetryError: it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as part:
            try:
                part.write(content)
                part.flush()
                os.fsync(part.fileno())
                os.fchmod(part.fileno(), 0o644)
                os.replace(part.name, path)
            except BaseException:
                os.unlink(part.name)
                raise
    except OSError as error:
        raise TelemetryError(
            f"cannot write {path}: {error.strerror}; name a file in a folder that can be written"
        ) from None
