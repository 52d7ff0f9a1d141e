"""Figures of the exporter: scrapes, freshness, memory and the cost of a poll that finds nothing."""

from __future__ import annotations

import gzip
import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

Note = Callable[[str, float, str, float, str, str], None]

_HOSTS = 200


@dataclass(frozen=True)
class Served:
    """An exporter that is running.

    Attributes:
        port: of loopback.
        process: its process.
    """

    port: int
    process: subprocess.Popen[str]

    def connected(self) -> http.client.HTTPConnection:
        """Return a connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def scrape(
        self, connection: http.client.HTTPConnection | None = None, path: str = "/metrics"
    ) -> bytes:
        """Return what it serves, compressed as for Prometheus."""
        asked = connection or self.connected()
        asked.request("GET", path, headers={"Accept-Encoding": "gzip"})
        return asked.getresponse().read()

    def text(self) -> str:
        """Return what it serves."""
        return gzip.decompress(self.scrape()).decode()

    def value(self, series: str) -> float:
        """Return the value of a series; not a number where there is none."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text(), re.MULTILINE)
        return float(found[1]) if found else float("nan")


def measure(db: Path, append: Callable[[Path], None], polls: int, note: Note) -> None:
    """Measure an exporter on a large history.

    Args:
        db: the history, of whose last run 200 hosts are asked.
        append: adds requests to its last run.
        polls: how many polls the soak lasts.
        note: takes what is measured, its value, a comparison and its value, the limit, the unit.
    """
    with serving(db, poll=2.0) as served:
        _freshness(served, db, append, note)
        _scrapes(served, db, append, note)
        _idle(served, note)
    with serving(db, poll=0.1) as served:
        _soak(served, db, append, polls, note)


@contextmanager
def serving(db: Path, poll: float) -> Iterator[Served]:
    """Run an exporter until its first samples are there, and stop it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "serve", "--db", str(db), "--port", "0",
         "--poll", str(poll), "--build-every", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r":(\d+)/", line)
        if not found:
            raise RuntimeError(f"the exporter did not start: {line}")
        served = Served(int(found[1]), process)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        while served.value("docstokg_exporter_refresh_success") != 1:
            time.sleep(0.1)
        yield served
    finally:
        process.terminate()
        process.wait()


def _freshness(served: Served, db: Path, append: Callable[[Path], None], note: Note) -> None:
    """Measure how long new events take to be seen, after the longest wait for a poll."""
    poll = served.value("docstokg_exporter_poll_interval_seconds")
    taken = []
    for _ in range(5):
        before = _requests(served)
        append(db)
        began = time.monotonic()
        while _requests(served) == before:
            time.sleep(0.05)
        taken.append(time.monotonic() - began)
    note("new events are served after, worst of 5", max(taken), "poll", poll, "≤ poll + 2 s", "s")
    refresh = served.value("docstokg_exporter_refresh_duration_seconds")
    note("refresh of the samples", refresh, "one second", 1.0, "≤ 2 s", "s")


def _requests(served: Served) -> float:
    found = re.search(r"^docstokg_run_requests_total\S* (\S+)$", served.text(), re.MULTILINE)
    return float(found[1]) if found else float("nan")


def _scrapes(served: Served, db: Path, append: Callable[[Path], None], note: Note) -> None:
    """Measure scrapes, alone and while the file grows and is refreshed at every poll.

    An answer of two bytes, asked for in between, tells what of it is the machine.
    """
    for label, grows in (("", False), (" during refreshes", True)):
        connection = served.connected()
        taken: dict[str, list[float]] = {"/metrics": [], "/healthz": []}
        for number in range(2_000):
            if grows and number % 150 == 0:
                append(db)
            for path, each in taken.items():
                time.sleep(0.005)
                began = time.perf_counter()
                served.scrape(connection, path)
                each.append((time.perf_counter() - began) * 1_000)
        ours, bare = (quantiles(each, n=100)[98] for each in taken.values())
        note(f"scrape{label}, p99", ours, "/healthz, p99", bare, "≤ 5 ms", "ms")


def _idle(served: Served, note: Note) -> None:
    """Measure the processor time of polls that find nothing new."""
    poll = served.value("docstokg_exporter_poll_interval_seconds")
    time.sleep(3 * poll)  # until what was appended last is read
    before, began = _processor(served), time.monotonic()
    time.sleep(10 * poll)
    polls = (time.monotonic() - began) / poll
    spent = (_processor(served) - before) * 1_000 / polls
    note("processor time of an idle poll", spent, "polls", polls, "< 10 ms", "ms")


def _processor(served: Served) -> float:
    """Return the processor seconds of the exporter and of the children that it waited for."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / 100


def _soak(served: Served, db: Path, append: Callable[[Path], None], polls: int, note: Note) -> None:
    """Measure memory and open files over many polls of a file that grows, with 50 scrapers."""
    ended = threading.Event()
    problems: list[str] = []

    def scrape() -> None:
        while not ended.wait(1.0):
            try:
                served.scrape()
            except OSError as error:
                problems.append(str(error))

    threads = [threading.Thread(target=scrape) for _ in range(50)]
    for thread in threads:
        thread.start()
    memory, files = [], []
    until = time.monotonic() + polls * 0.1
    while time.monotonic() < until:
        append(db)
        time.sleep(2)
        memory.append(served.value("process_resident_memory_bytes") / 2**20)
        files.append(served.value("process_open_fds"))
    ended.set()
    for thread in threads:
        thread.join()
    half = len(memory) // 2
    note("resident memory, most", max(memory), "first half", max(memory[:half]), "≤ 300 MiB", "MiB")
    note("open files, most", max(files), "first half", max(files[:half]), "flat", "")
    note("failed scrapes of 50 clients", len(problems), "polls", polls, "0", "")
