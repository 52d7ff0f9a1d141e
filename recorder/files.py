"""Hashes of files, worked out where nobody waits for them."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Final

#: Files that may wait open to be read; more would use up what a process may have open.
_WAITING_LIMIT: Final = 64
_waiting = threading.BoundedSemaphore(_WAITING_LIMIT)


class FileDigest:
    """The SHA-256 of a file as it is now: opened at once, read when it is asked for.

    It may be moved, replaced or removed in between. Where too many wait it is read at once.

    Attributes:
        size: the file's length in bytes.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._digest: str | None = None
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed when it is read
        self.size = os.fstat(self._file.fileno()).st_size
        self._is_waiting = _waiting.acquire(blocking=False)
        if not self._is_waiting:
            self._digest = self._read()

    def hexdigest(self) -> str:
        """Return the hash as 64 hex digits.

        Raises:
            OSError: the file cannot be read.
        """
        if self._digest is None:
            self._digest = self._read()
        return self._digest

    def close(self) -> None:
        """Close the file, read or not."""
        self._file.close()
        if self._is_waiting:
            self._is_waiting = False
            _waiting.release()

    def _read(self) -> str:
        try:
            return hashlib.file_digest(self._file, "sha256").hexdigest()
        finally:
            self.close()

    def __del__(self) -> None:
        if hasattr(self, "_is_waiting"):
            self.close()
