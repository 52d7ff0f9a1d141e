"""The other process, which opens telemetry files with SQLite, as the command talks to it."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from contextlib import suppress
from typing import Any

from exporter.errors import SourceError
from exporter.process import other


class FileProcess:
    """A process with one telemetry file open. Requests are answered in order."""

    def __init__(self, path: str, write: bool, opened: str | None = None) -> None:
        """Start it.

        Args:
            path: the file, for messages.
            write: runs are to be taken out of it.
            opened: the file to open; without it, `path`.

        Raises:
            SourceError: the file cannot be opened.
        """
        self._path = path
        self._process: subprocess.Popen[str] = other("exporter.archive_file")
        self._asked: deque[str] = deque()
        try:
            self.ask("open", path=opened or path, write=write)
        except BaseException:
            self.end(at_once=True)
            raise

    def __enter__(self) -> FileProcess:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.end(at_once=kind is not None)

    def begin(self, what: str, **values: object) -> None:
        """Have something done meanwhile; `answer` waits for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **values}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        self._asked.append(what)

    def answer(self) -> dict[str, Any]:
        """Return the answer to the oldest request that has not been answered.

        Raises:
            SourceError: it could not be met; or the process has ended.
        """
        assert self._process.stdout is not None
        self._asked.popleft()
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SourceError(f"{self._path}: {answer['error']}")
        return answer

    def ask(self, what: str, **values: object) -> dict[str, Any]:
        """Have something done; return the answer, as `answer` does."""
        self.begin(what, **values)
        return self.answer()

    def end(self, at_once: bool = False) -> None:
        """Let it end when it has done what it is at; or kill it, which it bears at any moment."""
        if at_once:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()

    def _ended(self) -> SourceError:
        return SourceError(
            f"{self._path}: the process that had it open has ended (code {self._process.wait()}); "
            "nothing is lost: run it again"
        )
