"""Takes events from any thread and writes them from one of its own."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, Unpack

from recorder import lifetime
from recorder.events import (
    BreakerTransition,
    Download,
    FallbackAttempt,
    HttpEvent,
    RateEvent,
    RunSummary,
)
from recorder.pipeline import BACKLOG_LIMIT, BATCH, RETRY_S, Pipeline
from recorder.privacy import Privacy
from recorder.rows import UPDATE, Event, snapshot
from recorder.settings import Settings

_log = logging.getLogger("recorder")

#: Events that may wait to become rows.
QUEUE_LIMIT: Final = 100_000
#: Every which call is timed.
_TIMED: Final = 64


class TelemetryWriter:
    """Records one run; any number of threads and processes may.

    A call puts the event into a queue and returns. A thread turns what is queued into rows,
    cleans them of URLs, and writes them, every flush_interval_s. While a file cannot be written
    rows wait for it, up to a limit; beyond that, events are dropped and counted. A process that
    is killed loses what came since the last flush.

    In a forked child the writer starts anew, with a thread of its own at the first event.

    Attributes:
        run_id: the run that all events belong to.
        writer: names this writer among all that write about a run.
        events: calls that reported something, the dropped ones too.
        call_s: seconds those calls took in all; every 64th was measured.
    """

    def __init__(
        self,
        target: Settings | str | os.PathLike[str],
        run_id: str,
        *,
        flush_interval_s: float = 0.5,
    ) -> None:
        """Prepare to record; the files are opened by the writer's thread.

        Args:
            target: what to record into; a path is the SQLite file.
            run_id: the run that all events belong to.
            flush_interval_s: seconds an event waits at most before it is written.
        """
        if not isinstance(target, Settings):
            target = Settings(enabled=True, db_path=Path(target))
        self.settings = target
        self._interval_s = flush_interval_s
        self._given_run_id = run_id
        self._privacy = Privacy(target.hash_urls, target.hash_key)
        self.run_id = self._privacy.name(run_id)
        self.begin()
        self._start()
        lifetime.add(self)

    def forget(self) -> None:
        """Leave files and queued events to the process that this one was forked from."""
        self._pipeline.forget()
        self.begin()

    def begin(self) -> None:
        """Start with nothing queued, as a new writer or as one in a forked child."""
        self.writer = secrets.token_hex(8)
        self.events = 0
        self.call_s = 0.0
        self._turned_away = 0
        self._numbers = itertools.count(1)
        # Queues of this kind may be used by a signal handler, whatever it interrupted.
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[threading.Event | None] = queue.SimpleQueue()
        self._pipeline = Pipeline(self.settings, self._given_run_id, self._privacy)
        self._closed = False
        self._deadline = 0.0
        self._lock = threading.RLock()  # a signal handler may come while it is held
        self._thread: threading.Thread | None = None
        self._warned = False

    @property
    def enabled(self) -> bool:
        """Always true; see NullRecorder."""
        return True

    @property
    def dropped(self) -> int:
        """Events that are not in the first of the files and never will be."""
        return self._turned_away + self._pipeline.lost

    @property
    def backlog(self) -> int:
        """Events that wait to be written."""
        return self._queue.qsize() + self._pipeline.waiting

    def http_event(self, **fields: Unpack[HttpEvent]) -> None:
        """Record one request; of its URL only the hash is kept."""
        self._put("http_events", fields)

    def rate_event(self, **fields: Unpack[RateEvent]) -> None:
        """Record one decision of a rate limiter."""
        self._put("rate_events", fields)

    def breaker_transition(self, **fields: Unpack[BreakerTransition]) -> None:
        """Record one change of state of a circuit breaker."""
        self._put("breaker_transitions", fields)

    def fallback_attempt(self, **fields: Unpack[FallbackAttempt]) -> None:
        """Record one try of one resolver."""
        self._put("fallback_attempts", fields)

    def download(self, **fields: Unpack[Download]) -> None:
        """Record one attempt to get one artifact."""
        self._put("downloads", fields)

    def update_download(self, **fields: Unpack[Download]) -> None:
        """Set fields of the latest download of this run and artifact; None leaves one alone."""
        self._put("downloads", fields, UPDATE)

    def run_summary(self, **fields: Unpack[RunSummary]) -> None:
        """Create or complete the run's row; None leaves a field alone.

        The SLI columns stay NULL: they are derived by the models, and by nothing else.
        """
        self._put("run_summary", fields)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all events so far are written; False if that took longer than timeout_s."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return self._queue.empty()
        done = threading.Event()
        self._orders.put(done)
        return done.wait(timeout_s)

    def close(self, timeout_s: float = lifetime.AT_EXIT_S) -> None:
        """Write what is left and stop; later events are dropped.

        Waits at most timeout_s seconds, and only for a file that others are writing. May be
        called twice, and from a signal handler.
        """
        self.stop(time.monotonic() + timeout_s)
        self.join()

    def stop(self, deadline: float) -> None:
        """Have the thread write what is left, until a time of `time.monotonic`."""
        self._deadline = deadline
        first, self._closed = not self._closed, True
        if first and self._thread is not None:
            self._orders.put(None)

    def join(self) -> None:
        """Wait for the thread that was told to stop."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # A second more than it was given, since an attempt to write may be under way.
            thread.join(max(self._deadline - time.monotonic(), 0) + 1)
            if not thread.is_alive():
                self._count_rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # For worker processes that are started anew rather than forked.
        return type(self), (self.settings, self._given_run_id)

    # On the caller's thread

    def _put(self, table: str, fields: Any, action: str = "") -> None:
        self.events = number = next(self._numbers)
        began = 0.0 if number % _TIMED else time.perf_counter()
        if self._closed or self._queue.qsize() >= QUEUE_LIMIT:
            self._turn_away()
            return
        error = fields.get("error")
        if error is not None and type(error) is not str:
            # Not the exception itself: it would keep its frames alive.
            fields["error"] = (error if type(error) is type else type(error)).__name__
        if "metadata" in fields:
            try:
                fields["metadata"] = snapshot(fields["metadata"])
            except Exception:  # the row is worth more than its metadata, whatever is wrong with it
                fields["metadata"] = object()  # nothing that can be stored, and counted as such
        if self._thread is None:
            self._start()
        self._queue.put(Event(table, time.time(), fields, action))
        if began:
            self.call_s += (time.perf_counter() - began) * _TIMED

    def _turn_away(self) -> None:
        with self._lock:
            self._turned_away += 1
            warn, self._warned = not self._warned, True
        if warn:
            why = "it is closed" if self._closed else "they come faster than they can be written"
            _log.warning("telemetry is being dropped: %s", why)

    def _count_rest(self) -> None:
        """Count what came in while the writer was ending as dropped."""
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
                with self._lock:
                    self._turned_away += 1

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # A daemon, so that a crawler that forgets close() still exits: atexit flushes.
                thread = threading.Thread(target=self._run, name="telemetry-writer", daemon=True)
                # No thread can be had of a process that is ending: events are dropped then.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
                lifetime.end_with_worker()

    # On the writer's thread

    def _run(self) -> None:
        unmet: list[threading.Event] = []
        while True:
            try:
                order = self._orders.get(timeout=self._interval_s)
            except queue.Empty:
                order = None
            if order is not None:
                unmet.append(order)
            stopping = self._closed
            try:
                self._work(stopping)
            except Exception:  # whatever it is, it must not end the thread
                _log.exception("telemetry: an error of the recorder's own")
            if self._pipeline.waiting == 0:
                for done in unmet:
                    done.set()
                unmet.clear()
            if stopping:
                break
        self._pipeline.close(self, self._deadline)
        self._count_rest()
        if self.dropped:
            _log.warning("telemetry lost %d of %d events", self.dropped, self.events)

    def _work(self, is_last: bool) -> None:
        while True:
            self._pipeline.take(self._taken())
            self._pipeline.write(self)
            if self._pipeline.waiting:
                # What waits for a reason does so until the next time, or for as long as is left.
                if not (is_last and self._pipeline.is_busy and time.monotonic() < self._deadline):
                    return
                time.sleep(RETRY_S)
            elif self._queue.empty():
                return

    def _taken(self) -> Iterable[Event]:
        """Take the next batch out of the queue; all of it while rows wait anyway."""
        waiting = self._pipeline.waiting
        room = BACKLOG_LIMIT - waiting if waiting else min(BATCH, BACKLOG_LIMIT)
        return [self._queue.get_nowait() for _ in range(min(self._queue.qsize(), room))]
