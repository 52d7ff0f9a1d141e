"""What happens to events on the writer's thread: rows, and the files that they go to."""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from recorder.privacy import Privacy
from recorder.rows import Event, Row, Rows
from recorder.sampling import CacheHits
from recorder.schema import STATUS_TABLE, SchemaError
from recorder.settings import Settings
from recorder.sqlite_sink import SqliteSink

_log = logging.getLogger("recorder")

#: Rows that may wait for a file; a minute and more of a fast crawler, some 50 MB.
BACKLOG_LIMIT: Final = 100_000
#: Seconds after which a file that others are writing is tried again.
RETRY_S: Final = 0.05
#: Rows of one transaction: few enough that other processes get their turn.
BATCH: Final = 5_000


class Status(Protocol):
    """Counts that the writer itself keeps."""

    writer: str
    events: int
    call_s: float

    @property
    def dropped(self) -> int:
        """Events that are in no file and never will be."""


class Sink(Protocol):
    """A file that takes rows, all or nothing; OSError and sqlite3.Error mean: not now."""

    path: Path

    def write(self, rows: Sequence[Row], first: int, status: Sequence[Any]) -> int:
        """Store rows, numbered from `first`; return how many of them the file will never take."""

    def close(self) -> None:
        """Close the file."""

    def forget(self) -> None:
        """Leave the file to the process that this one was forked from."""


class Outlet:
    """The way to one file, and the rows that wait for it.

    Attributes:
        lost: rows that did not get into the file and never will.
        error: what the first trouble was, if there was any.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.lost = 0
        self.error: str | None = None
        self.is_busy = False
        self._backlog: deque[Row] = deque()
        self._numbered = 0
        #: What a text is to say about the writer, the next time that it is written.
        self._word: Row | None = None
        self._warned: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many rows wait."""
        return len(self._backlog)

    def offer(self, rows: Sequence[Row]) -> None:
        """Let rows wait; beyond the limit they are lost, and counted."""
        room = max(BACKLOG_LIMIT - len(self._backlog), 0)
        self._backlog.extend(rows[:room])
        if len(rows) > room:
            self._lose(len(rows) - room, "more rows wait for it than are kept")

    def write(self, status: Sequence[Any]) -> bool:
        """Write all that waits; False if some of it has to wait longer."""
        while True:
            batch = list(itertools.islice(self._backlog, BATCH))
            rows = len(batch)
            if rows < BATCH and self._word is not None:
                batch.append(self._word)
            try:
                refused = self.sink.write(batch, self._numbered + 1, status)
            except SchemaError as error:
                # Waiting does not help: the file will not become older.
                self._lose(len(self._backlog), str(error))
                self._backlog.clear()
                return True
            except (sqlite3.Error, OSError) as error:
                self._hold(error)
                return False
            except Exception as error:  # a bug of ours must not hold up what comes after
                _log.exception("telemetry: an error of the recorder's own")
                self.error = self.error or type(error).__name__
                refused = rows
            self.is_busy = False
            if len(batch) > rows:
                self._word = None
            for _ in range(rows):
                self._backlog.popleft()
            self._numbered += len(batch)
            if refused:
                self._lose(refused, "the file does not take them")
            if not self._backlog:
                return True

    def tell(self, status: Sequence[Any], is_worth_a_line: bool) -> None:
        """Let the file say how the writer fares: in the writer's row, or in a line of a text."""
        if is_worth_a_line and not isinstance(self.sink, SqliteSink):
            self._word = Row(STATUS_TABLE, tuple(status))
        if not self._backlog and not self.is_busy:  # else it comes with the next rows
            self.write(status)

    def tell_last(self, status: Sequence[Any], deadline: float) -> None:
        """Let the file say how the writer fared, though others are writing it, until a time."""
        self.tell(status, is_worth_a_line=True)
        while self.is_busy and time.monotonic() < deadline:
            time.sleep(RETRY_S)
            self.write(status)

    def give_up(self) -> None:
        """Count what still waits as lost."""
        if self._backlog:
            self._lose(len(self._backlog), self.error or "it was too slow")
            self._backlog.clear()

    def _hold(self, error: sqlite3.Error | OSError) -> None:
        self.is_busy = _is_busy(error)
        said = _words(error)
        self.error = self.error or said
        if not self.is_busy:  # a file that others are writing is no trouble yet
            self._warn(f"telemetry waits: cannot write {self.sink.path}: {said}", said)

    def _lose(self, rows: int, why: str) -> None:
        self.lost += rows
        self.error = self.error or why
        self._warn(f"telemetry is being dropped: cannot write {self.sink.path}: {why}", "lost")

    def _warn(self, message: str, kind: str) -> None:
        """Log, once a kind: what cannot be written now can most likely not be written soon."""
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("%s", message)


class Pipeline:
    """Turns a run's events into rows and sees them into the files.

    Args:
        settings: which files, and what may be in them.
        run_id: the run that the events belong to.
        privacy: what may be kept of a value.
    """

    def __init__(self, settings: Settings, run_id: str, privacy: Privacy) -> None:
        self._rows = Rows(run_id, privacy)
        self._hits = CacheHits(settings.sample_cache_hits)
        self._outlets = [Outlet(sink) for sink in _sinks(settings)]
        self._privacy = privacy
        self._started_at = time.time()
        self._said: tuple[int, int] | None = None

    @property
    def lost(self) -> int:
        """Rows that are not in the first of the files and never will be."""
        return self._outlets[0].lost

    @property
    def waiting(self) -> int:
        """The most rows that wait for one of the files."""
        return max(outlet.waiting for outlet in self._outlets)

    @property
    def is_busy(self) -> bool:
        """Whether rows wait for no worse reason than that others are writing."""
        return any(outlet.is_busy for outlet in self._outlets if outlet.waiting)

    def take(self, events: Iterable[Event]) -> None:
        """Make rows of events."""
        taken = [event for event in map(self._hits.take, events) if event is not None]
        # Nothing is held back for longer than that: a killed process would lose it.
        taken += self._hits.left()
        rows = [self._rows.make(event) for event in taken]
        for outlet in self._outlets:
            outlet.offer(rows)

    def write(self, status: Status) -> None:
        """Write what waits, and what there is to say about the writer itself."""
        self._tell(status)
        for outlet in self._outlets:
            if outlet.waiting:
                outlet.write(self._status(status))
        # What the files refused is known only now.
        self._tell(status)

    def _tell(self, status: Status) -> None:
        """Have every file say what was lost, when that has changed."""
        counts = status.dropped, self._rows.damaged
        if counts != self._said:
            self._said = counts
            for outlet in self._outlets:
                outlet.tell(self._status(status), any(counts))

    def close(self, status: Status, deadline: float) -> None:
        """Count what could not be written, have every file say so, and close them.

        A file that others are writing is waited for, until a time of `time.monotonic`.
        """
        for outlet in self._outlets:
            outlet.give_up()
        for outlet in self._outlets:
            outlet.tell_last(self._status(status), deadline)
            outlet.sink.close()

    def forget(self) -> None:
        """Leave the files to the process that this one was forked from."""
        for outlet in self._outlets:
            outlet.sink.forget()

    def _status(self, status: Status) -> tuple[Any, ...]:
        error = next((outlet.error for outlet in self._outlets if outlet.error), None)
        return (
            status.writer,
            self._rows.run_id,
            self._started_at,
            time.time(),
            status.events,
            status.dropped,
            self._rows.damaged,
            status.call_s,
            time.thread_time(),
            error and self._privacy.text(error),
        )


def _sinks(settings: Settings) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.db_path is not None:
        sinks.append(SqliteSink(settings.db_path))
    if settings.jsonl_path is not None or settings.csv_path is not None:
        from recorder.text_sink import Csv, Jsonl, TextSink  # not to be had on Windows

        if settings.jsonl_path is not None:
            sinks.append(TextSink(settings.jsonl_path, Jsonl(), settings.rotate_bytes))
        if settings.csv_path is not None:
            form = Csv(settings.csv_for_spreadsheets)
            sinks.append(TextSink(settings.csv_path, form, settings.rotate_bytes))
    return sinks


def _is_busy(error: BaseException) -> bool:
    # The low byte is the primary code: SQLITE_BUSY_SNAPSHOT and its kin count as well.
    if isinstance(error, BlockingIOError):  # another process has the text file just now
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _words(error: BaseException) -> str:
    """Say what went wrong, without the path that the system adds."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
