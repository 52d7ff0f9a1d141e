"""Standard output that fails in one way only: with an error that `main` knows what to do about."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import typer

from exporter.errors import TelemetryError, printable


class OutputClosed(Exception):
    """Whoever read standard output went away (``| head``): there is nothing left to do."""


class Output:
    """Standard output whose reader may go away and whose disk may fill.

    Libraries end the process with a code of their own on a broken pipe; they do not know these
    errors, and let them through.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; return the number of characters.

        Raises:
            OutputClosed: nobody reads any more.
            TelemetryError: it could not be written.
        """
        return int(self._try(self._stream.write, text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(self._stream.flush)

    @staticmethod
    def _try(work: Any, *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise TelemetryError(
                f"cannot write the answer to standard output: {error.strerror}"
            ) from None


def guard() -> None:
    """Put `Output` in the place of standard output; where there is none, nothing is shown."""
    stream = sys.stdout if sys.stdout is not None else open(os.devnull, "w")  # noqa: SIM115, PTH123
    if isinstance(stream, io.TextIOWrapper):  # a terminal may know fewer characters than there are
        stream.reconfigure(errors="backslashreplace")
    sys.stdout = Output(stream)


def drop() -> None:
    """Forget what is still to be written, so that the interpreter does not try at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> None:
    """Say something on stderr, in one line whatever names are in it."""
    typer.echo(printable(message), err=True)
