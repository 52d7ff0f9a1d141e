"""Samples as the text that Prometheus reads, made once and served many times."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.errors import TelemetryError
from exporter.samples import Sample, families

#: What ends an OpenMetrics exposition, once.
_EOF = b"# EOF\n"
_GZIP = 31  # zlib's number for a gzip header around 32 KiB windows


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


class Exposition:
    """The samples of runs, each format of them rendered and compressed once.

    A scrape adds the few lines that the exporter says of itself to what is ready.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._families = _Families(families(samples))
        self._ready = lru_cache(maxsize=8)(self._prepare)
        for accept in ("", "application/openmetrics-text; version=1.0.0"):
            self._ready(accept)

    def body(self, accept: str, is_gzip: bool, own: Sequence[Metric]) -> tuple[bytes, str]:
        """Return the exposition in the format that a client accepts, and its content type.

        Args:
            accept: the request's Accept header.
            is_gzip: whether to compress it.
            own: families to add; their names are not among those of the runs.
        """
        encode, content_type, ready, packed = self._ready(accept)
        added = encode(_Families(own))
        if not is_gzip:
            return ready + added, content_type
        packer = packed[1].copy()
        return packed[0] + packer.compress(added) + packer.flush(), content_type

    def _prepare(self, accept: str) -> tuple[Any, str, bytes, tuple[bytes, Any]]:
        encode, content_type = choose_encoder(accept)
        ready = encode(self._families).removesuffix(_EOF)
        packer = zlib.compressobj(6, wbits=_GZIP)
        start = packer.compress(ready) + packer.flush(zlib.Z_SYNC_FLUSH)
        return encode, content_type, ready, (start, packer)


def series(
    samples: Iterable[Sample],
) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], Sample]]:
    """Yield samples with what names their series."""
    for sample in samples:
        yield (sample.name, tuple(sorted(sample.labels.items()))), sample


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
