"""Where backups are kept: a folder, or any place that fsspec reaches, such as s3://."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from exporter.errors import TelemetryError, UsageError, one_line

_PART: Final = 16 << 20
_CHUNK: Final = 1 << 20


class Store(Protocol):
    """A place with files by name."""

    @property
    def where(self) -> str:
        """Its name for people, without passwords."""

    def sizes(self) -> dict[str, int]:
        """Return the files there, by name, with their bytes; none where there is no such place."""

    def read(self, name: str) -> bytes:
        """Return a small file."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to read it."""

    def put(self, file: Path, name: str) -> None:
        """Move a file there; it appears whole or not at all."""

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone is no error."""


def store(where: str) -> Store:
    """Return the store that a folder's name or a URL stands for.

    Raises:
        UsageError: nothing installed knows such URLs.
    """
    return Remote(where) if is_url(where) else Folder(Path(where.removeprefix("file://")))


def is_url(where: str) -> bool:
    """Tell whether a name is a URL of another place than this machine's folders."""
    return re.match(r"[a-z][a-z0-9+.-]*://", where) is not None and not where.startswith("file://")


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn whatever goes wrong at a store into one line.

    Raises:
        TelemetryError: what could not be done, and why.
    """
    try:
        yield
    except TelemetryError:
        raise
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise TelemetryError(f"cannot {what}: {reason}; {_remedy(error)}") from None
    except Exception as error:  # each file system of fsspec has errors of its own
        reason = one_line(error)
        raise TelemetryError(
            f"cannot {what}: {reason}; check its name, keys and endpoint"
        ) from None


class Folder:
    """A folder of this machine, or one mounted on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)

    def sizes(self) -> dict[str, int]:
        """Return the files there, by name, with their bytes."""
        try:
            entries = list(os.scandir(self.path))
        except FileNotFoundError:
            return {}
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def read(self, name: str) -> bytes:
        """Return a small file."""
        return (self.path / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """Open a file to read it."""
        return (self.path / name).open("rb")

    def put(self, file: Path, name: str) -> None:
        """Move a file there, which is on the same file system and already on the disk."""
        # taken first, so that two backups of one second never have one name
        os.close(os.open(self.path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(file, self.path / name)
        sync_folder(self.path)

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone is no error."""
        (self.path / name).unlink(missing_ok=True)


class Remote:
    """A place that fsspec reaches."""

    def __init__(self, url: str) -> None:
        self.where = re.sub(r"(://[^/@]*:)[^/@]*@", r"\1…@", url)
        kind = url.partition("://")[0]
        extra = "'docstokg-telemetry[s3]'" if kind in {"s3", "s3a"} else "fsspec"
        try:
            from fsspec.core import url_to_fs

            options = s3_options() if kind in {"s3", "s3a"} else {}
            self._fs, self._root = url_to_fs(url, use_listings_cache=False, **options)
        except ImportError as error:
            raise UsageError(
                f"{kind}:// needs a library that is not installed ({one_line(error)}): "
                f"pip install {extra}"
            ) from None
        except ValueError as error:
            raise UsageError(f"cannot use {self.where}: {one_line(error)}") from None
        self._is_s3 = bool(options)

    def sizes(self) -> dict[str, int]:
        """Return the files there, by name, with their bytes."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return {}
        return {
            str(entry["name"]).rpartition("/")[2]: int(entry["size"] or 0)
            for entry in found
            if entry["type"] == "file"
        }

    def read(self, name: str) -> bytes:
        """Return a small file."""
        return bytes(self._fs.cat_file(self._at(name)))

    def open(self, name: str) -> BinaryIO:
        """Open a file to read it."""
        opened: BinaryIO = self._fs.open(self._at(name), "rb", block_size=_PART)
        return opened

    def put(self, file: Path, name: str) -> None:
        """Upload a file. Object storage shows it when all of it is there."""
        # few parts at a time: the default of s3fs holds 500 MB in memory
        options = {"chunksize": _PART, "max_concurrency": 2} if self._is_s3 else {}
        if not self._is_s3:
            self._fs.makedirs(self._root, exist_ok=True)
        self._fs.put_file(str(file), self._at(name), **options)
        size = int(self._fs.info(self._at(name))["size"])
        if size != file.stat().st_size:
            raise OSError(f"{name} has {size} bytes there, not {file.stat().st_size}")

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone is no error."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def s3_options() -> dict[str, Any]:
    """Return what s3fs does not take from the environment by itself.

    AWS_ENDPOINT_URL names a server that is not Amazon's, as for every AWS tool; without it, the
    DUCKDB_S3_ENDPOINT and DUCKDB_S3_USE_SSL that the warehouse goes by.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint and (host := os.environ.get("DUCKDB_S3_ENDPOINT")):
        plain = os.environ.get("DUCKDB_S3_USE_SSL", "true").lower() in {"0", "false", "no", "off"}
        endpoint = f"{'http' if plain else 'https'}://{host}"
    config: dict[str, Any] = {"connect_timeout": 10, "retries": {"max_attempts": 2}}
    client: dict[str, Any] = {}
    if endpoint:
        client["endpoint_url"] = endpoint
        # a server that is not Amazon's seldom has a host name for each bucket
        config["s3"] = {"addressing_style": "path"}
    if region := os.environ.get("AWS_REGION"):
        client["region_name"] = region
    return {"client_kwargs": client, "config_kwargs": config}


def sync_folder(path: Path) -> None:
    """Make the names in a folder last."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remedy(error: OSError) -> str:
    import errno

    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "free some disk space there"
    if isinstance(error, PermissionError):
        return "check its permissions and keys"
    return "check that it is there and can be written"
