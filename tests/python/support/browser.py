"""A headless Chromium, driven through its DevTools protocol over a pair of pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .services import need

_LIMIT_S = 60.0


class Page:
    """One page, and what it complained of and asked for.

    Attributes:
        complaints: texts of console messages, exceptions and what a policy refused.
        requests: addresses that were asked for.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._left = reads, writes, b""
        self._number, self._session = 0, ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Load a file, and wait until all of it is there."""
        self._loaded = False
        self._ask("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._note(self._receive())

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def look(self, width: int, scheme: str = "light", media: str = "screen") -> None:
        """Set the width of the window (CSS pixels), light or dark, screen or print."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("Emulation.setEmulatedMedia", media=media, features=[feature])

    def shoot(self, path: Path, height: int | None = None) -> None:
        """Write a picture of the page as PNG: all of it, or its first so many pixels."""
        size = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": height or size[1], "scale": 1}
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> Any:
        end = time.monotonic() + _LIMIT_S
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._reads], [], [], max(0.0, end - time.monotonic()))
            assert ready, "Chromium says nothing"
            piece = os.read(self._reads, 1 << 16)
            assert piece, "Chromium has ended"
            self._left += piece
        message, self._left = self._left.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: Any) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params))


@contextmanager
def browsing() -> Iterator[Page]:
    """Start a Chromium that reaches no network, with one page."""
    program = shutil.which("chromium")
    need(program, "chromium")
    assert program is not None
    to_it, ours_out = os.pipe()
    ours_in, from_it = os.pipe()

    def hand_over() -> None:
        # it reads commands on 3 and writes answers on 4; the pipes may lie on these numbers
        reads, writes = os.dup(to_it), os.dup(from_it)
        reads, writes = (os.dup(fd) if fd in (3, 4) else fd for fd in (reads, writes))
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    # its helpers may write a moment longer than it lives
    with tempfile.TemporaryDirectory(
        prefix="docstokg-chromium-", ignore_cleanup_errors=True
    ) as folder:
        process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--remote-debugging-pipe",
                "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=hand_over, start_new_session=True,
        )  # fmt: skip
        os.close(to_it)
        os.close(from_it)
        try:
            yield Page(ours_in, ours_out)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours_in)
            os.close(ours_out)
