"""The exporter as a process of its own, and what it serves."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Exporter:
    """A running exporter.

    Attributes:
        process: it.
        url: where it serves, without a slash at the end.
        log: the file with what it says.
    """

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def get(self, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (in small letters) and body of an answer."""
        sent = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        request = urllib.request.Request(self.url + path, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.tls) as answer:
                told = {name.lower(): value for name, value in answer.headers.items()}
                return answer.status, told, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def series(self) -> Series:
        """Return what is served now, each series once."""
        status, _, body = self.get()
        assert status == 200
        found: Series = {}
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found, key
                found[key] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one series; None where there is none."""
        return self.series().get((name, frozenset(labels.items())))

    def stop(self) -> float:
        """End it as systemd does; return the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return time.monotonic() - began


@contextmanager
def serving(folder: Path, *arguments: object, **environ: str) -> Iterator[Exporter]:
    """Run ``serve`` on any free port with the warehouse in a folder; stop it at the end."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    clean["DOCSTOKG_WAREHOUSE"] = str(folder / "warehouse")
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "serve", "--port", "0", *map(str, arguments)],
            env=clean | environ, cwd=folder, stderr=said, stdout=said,
        )  # fmt: skip
    try:
        exporter = Exporter(process, log)
        eventually(lambda: re.search(r"listening on (https?://\S+)/", log.read_text()))
        found = re.search(r"listening on (https?://\S+)/", log.read_text())
        assert found
        exporter.url = found[1]
        yield exporter
    finally:
        process.kill()
        process.wait()


def eventually(ask: Callable[[], Any], limit_s: float = 30.0) -> Any:
    """Ask until the answer is true; return it.

    Raises:
        AssertionError: it never was.
    """
    until = time.monotonic() + limit_s
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.1)
