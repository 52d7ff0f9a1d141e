"""The process that draws a report's charts, as the command talks to it.

The library that draws keeps Python from doing anything else meanwhile, most of a second at its
start; in a process of its own that passes while the numbers are being read.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import Any

from exporter.errors import TelemetryError
from exporter.process import other
from exporter.report_svg import Spec


class Drawing:
    """A process that draws charts, started where a with block begins and ended where it ends."""

    _process: subprocess.Popen[str]

    def __enter__(self) -> Drawing:
        self._process = other("exporter.report_svg")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it keeps nothing
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()

    def draw(self, spec: Spec, label: str, number: int) -> str:
        """Return a chart as an SVG element, as `report_svg.draw` does.

        Raises:
            TelemetryError: it could not be drawn.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"spec": spec, "label": label, "number": number}
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and has no answer either
        line = self._process.stdout.readline()
        if not line:
            raise TelemetryError(
                f"the process that draws charts has ended (code {self._process.wait()}): "
                "run it again, or have the report without charts with --format md"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TelemetryError(f"a chart could not be drawn: {answer['error']}")
        return str(answer["svg"])
