"""Follows telemetry files: looks at them often, and has another process read them when they change.

DuckDB and dbt run in processes of their own. So a scrape never waits for them, a crash of theirs
ends one refresh and not the exporter, and the memory that they took is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric

from exporter.errors import printable
from exporter.refresh import Refreshed, Request
from exporter.samples import Sample, about, families, gauge
from exporter.sources import Look, Skipped, expand, look

log = logging.getLogger(__name__)

#: Seconds after which a process that reads or builds is given up.
_PATIENCE = 1_800.0
_HOUR_S = 3_600.0
#: Longest wait, in seconds, before what failed is tried again though nothing changed.
_LONGEST_RETRY = 60.0
#: The memory, processor time and open files of this process.
_PROCESS = ProcessCollector(registry=None)
#: How far refreshes stand back behind scrapes, and builds behind refreshes, for the processor.
_NICE_REFRESH, _NICE_BUILD = 3, 5


@dataclass
class Job:
    """What is known of one kind of work: refreshing the samples, or building the warehouse.

    Attributes:
        successes: how often it was done.
        failures: how often it failed.
        ended: when it last ended, Unix seconds; None before.
        seconds: how long it took.
        problem: why it failed the last time; empty if it did not.
    """

    successes: int = 0
    failures: int = 0
    ended: float | None = None
    seconds: float = 0.0
    problem: str = ""

    def end(self, began: float, problem: str = "") -> None:
        """Note that it ended, and why it failed if it did.

        Args:
            began: of the monotonic clock.
            problem: one line; empty for success.
        """
        self.ended, self.seconds, self.problem = time.time(), time.monotonic() - began, problem
        if problem:
            self.failures += 1
        else:
            self.successes += 1


@dataclass(frozen=True)
class Settings:
    """What to follow.

    Attributes:
        names: files, folders and globs.
        run: a run id, or ``latest``.
        runs: how many of the latest runs.
        poll: seconds between looks.
        build_every: least seconds between builds of the warehouse; 0 for none.
        project: the analyst's own copy of the dbt project, if any.
        models: the digest of the models at the start.
    """

    names: tuple[str, ...]
    run: str = "latest"
    runs: int = 1
    poll: float = 10.0
    build_every: float = 300.0
    project: Path | None = None
    models: str = ""


def look_at(names: Sequence[str]) -> dict[str, Look]:
    """Return what the named files look like now, by path; what is not there looks like nothing."""
    files, missing = expand(names)
    return {skip.path: () for skip in missing} | {path: look(path) for path, _ in files}


@dataclass
class Follower:
    """The samples in memory, and how well they are kept up to date.

    Attributes:
        settings: what to follow.
    """

    settings: Settings
    _served: Refreshed = field(default_factory=Refreshed)
    _refresh: Job = field(default_factory=Job)
    _build: Job = field(default_factory=Job)
    _seen: dict[str, Look] | None = None
    _hour: int = 0
    _memory: bytes = b""
    _skipped: tuple[Skipped, ...] = ()
    _current_at: float | None = None
    _retry_at: float = 0.0
    _retry_wait: float = 0.0
    _read_at_look: dict[str, Look] | None = None
    _built_at_look: dict[str, Look] | None = None
    _build_at: float = 0.0
    _building: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Look, and refresh what changed, for ever."""
        while True:
            began = time.monotonic()
            try:
                await self._poll()
            except Exception:  # whatever happens, the next look is tried
                log.exception("a look at the sources failed")
            left = self.settings.poll - (time.monotonic() - began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(left, 0.05))
            self._wake.clear()

    async def stop(self, following: asyncio.Task[None]) -> None:
        """End `follow` and the processes that it started."""
        following.cancel()
        tasks = {task for task in (following, self._building) if task is not None}
        if self._building:
            self._building.cancel()
        await asyncio.wait(tasks, timeout=1)

    def refresh_now(self) -> None:
        """Have everything read again at once, changed or not."""
        self._seen = None
        self._wake.set()

    async def _poll(self) -> None:
        seen = await asyncio.to_thread(look_at, self.settings.names)
        now = time.monotonic()
        is_due = self._retry_wait > 0 and now >= self._retry_at
        # windows of error budgets move on by the hour, whether or not a crawler writes
        has_turned = int(time.time() // _HOUR_S) != self._hour
        if seen != self._seen or is_due or has_turned:
            if seen != self._seen:
                self._retry_wait = 0.0
            await self._read(seen)
        elif not self._refresh.problem:
            self._current_at = time.time()
        self._build_if_due()

    async def _read(self, seen: dict[str, Look]) -> None:
        """Have the samples collected, and put them in the place of those in memory."""
        looked_at, began = time.time(), time.monotonic()
        self._seen, self._hour = seen, int(looked_at // _HOUR_S)
        problem = ""
        try:
            fresh = await self._refreshed()
            for skip in set(fresh.skipped) - set(self._skipped):
                log.warning("skipped %s: %s", printable(skip.path), skip.reason)
            self._skipped, self._memory = fresh.skipped, fresh.memory
            problem = self._lost(fresh)
            if not problem:
                self._swap(fresh)
                self._current_at, self._read_at_look = looked_at, seen
        except _Failed as error:
            problem = str(error)
        if problem and problem != self._refresh.problem:
            log.warning("refresh failed: %s", problem)
        elif self._refresh.problem and not problem:
            log.info("refresh works again")
        self._refresh.end(began, problem)
        if problem or self._skipped:
            self._retry_wait = min(max(self._retry_wait * 2, self.settings.poll), _LONGEST_RETRY)
            self._retry_at = time.monotonic() + self._retry_wait
        else:
            self._retry_wait = 0.0

    async def _refreshed(self) -> Refreshed:
        """Have another process collect and render the samples."""
        settings = self.settings
        request = Request(
            settings.names,
            settings.run,
            settings.runs,
            settings.project,
            self._served.counters,
            self._memory,
        )
        answer = await _run("exporter.refresh", [], _NICE_REFRESH, pickle.dumps(request))
        try:
            fresh = pickle.loads(answer)
        except (pickle.UnpicklingError, EOFError) as error:
            raise _Failed(f"the samples cannot be read: {error}") from None
        assert isinstance(fresh, Refreshed)
        return fresh

    def _lost(self, fresh: Refreshed) -> str:
        """Say what is out of reach of the run that is served; an older one in its place would lie.

        A run that is later than the one served takes its place whatever became of the file.
        """
        served = self._served
        if served.latest is None or not served.runs or set(fresh.runs) & set(served.runs):
            return ""
        if fresh.latest is not None and fresh.latest > served.latest:
            return ""
        run, path = next(iter(served.runs.items()))
        reasons = [s.reason for s in fresh.skipped if os.path.realpath(s.path) == path]
        return f"{path} held run {printable(run)}: {reasons[0] if reasons else 'it is gone'}"

    def _swap(self, fresh: Refreshed) -> None:
        """Put new samples in the place of the old ones in one step."""
        if self._served.runs != fresh.runs:
            log.info("serving run %s", ", ".join(map(printable, fresh.runs)))
        self._served = fresh

    def _build_if_due(self) -> None:
        """Start to build and publish the warehouse when there is something new for it."""
        if not self.settings.build_every or self._read_at_look == self._built_at_look:
            return
        if self._building is not None and not self._building.done():
            return
        if time.monotonic() >= self._build_at:
            self._built_at_look = self._read_at_look
            self._build_at = time.monotonic() + self.settings.build_every
            self._building = asyncio.create_task(self._build_warehouse())

    async def _build_warehouse(self) -> None:
        began, problem = time.monotonic(), ""
        try:
            answer = await _run(
                "exporter", ["run", "--output-format", "json", *self._common()], _NICE_BUILD
            )
            outcome = json.loads(answer)
            # a skipped file is no failure of the build: the refresh tells of it
            if not outcome["published"]:
                problem = f"data tests failed: {', '.join(outcome['failed_tests'])}"
        except (_Failed, ValueError, KeyError, TypeError) as error:
            problem = str(error)
        if problem:
            log.warning("building the warehouse failed: %s", problem)
            self._built_at_look = None
        self._build.end(began, problem)

    def _common(self) -> list[str]:
        arguments = []
        for name in self.settings.names:
            arguments += ["--db", name]
        if self.settings.project is not None:
            arguments += ["--project-dir", str(self.settings.project)]
        return arguments

    def body(self, accept: str, is_gzip: bool) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        return self._served.exposition.body(accept, is_gzip, self._own())

    def is_ready(self) -> bool:
        """Tell whether there are samples of a run."""
        return bool(self._served.runs)

    def _own(self) -> list[Metric]:
        """Return what the exporter says of itself now."""
        samples = [
            gauge(
                "docstokg_exporter_poll_interval_seconds",
                "Seconds between looks at the sources.",
                self.settings.poll,
            )
        ]
        served = self._served
        found = (len(served.read), len(self._skipped), served.samples)
        samples += about(served.models or self.settings.models, *found)
        if self._current_at is not None:
            samples.append(
                gauge(
                    "docstokg_exporter_data_age_seconds",
                    "Since the samples were last known to be what the sources hold.",
                    max(time.time() - self._current_at, 0.0),
                )
            )
        what = "refresh of the samples"
        samples += _told("exporter", "refresh", "refreshes", what, self._refresh)
        if self._build.ended is not None:
            samples += _told("warehouse", "build", "builds", "build of the warehouse", self._build)
        return [*families(samples), *_PROCESS.collect()]

    def state(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, as names and values."""
        shown = [("Sources", ", ".join(self.settings.names))]
        shown.append(("Runs", ", ".join(map(printable, self._served.runs)) or "no samples yet"))
        shown.append(("Samples", f"{self._served.samples:,}"))
        shown.append(("Files read", f"{len(self._served.read):,}"))
        if self._current_at is not None:
            shown.append(("Age of the samples", f"{time.time() - self._current_at:.0f} s"))
        shown += [("Skipped", f"{skip.path}: {skip.reason}") for skip in self._skipped]
        for name, job in (("Last refresh", self._refresh), ("Last build", self._build)):
            if job.ended is not None:
                ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(job.ended))
                how = f"failed: {job.problem}" if job.problem else "succeeded"
                shown.append((name, f"{ended}, {job.seconds:.1f} s, {how}"))
        return shown


class _Failed(Exception):
    """A process did not do what it was started for; the message is one line."""


def _told(subject: str, noun: str, plural: str, what: str, job: Job) -> list[Sample]:
    """Return the samples of a job, such as docstokg_exporter_refresh_success."""
    prefix = f"docstokg_{subject}"
    samples = [
        Sample(
            f"{prefix}_{plural}_total",
            "counter",
            f"Times that the {what} ended, by result.",
            {"result": result},
            count,
        )
        for result, count in (("success", job.successes), ("failure", job.failures))
    ]
    if job.ended is not None:
        samples += [
            gauge(
                f"{prefix}_{noun}_success", f"1 when the last {what} succeeded.", not job.problem
            ),
            gauge(
                f"{prefix}_{noun}_duration_seconds",
                f"How long the last {what} took.",
                job.seconds,
            ),
            gauge(
                f"{prefix}_last_{noun}_timestamp_seconds",
                f"When the last {what} ended, Unix time.",
                job.ended,
            ),
        ]
    return samples


async def _run(module: str, arguments: Sequence[str], nice: int, sent: bytes = b"") -> bytes:
    """Run a module of this package in a process of its own.

    Args:
        module: its name.
        arguments: what it is called with.
        nice: how far it stands back for the processor.
        sent: what it reads.

    Returns:
        What it writes.

    Raises:
        _Failed: it could not do it (an exit code above 1), or did not end.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, nice)
        out, err = await asyncio.wait_for(process.communicate(sent), _PATIENCE)
    except TimeoutError:
        raise _Failed(f"{module} took longer than {_PATIENCE:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if process.returncode not in (0, 1):
        lines = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1].removeprefix("error: ") if lines else "no reason given"
        raise _Failed(f"{last} (exit code {process.returncode})")
    return out
