"""Writes events into SQLite from a thread of its own, in batches."""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, Unpack

from recorder import schema
from recorder.events import (
    BreakerTransition,
    Download,
    FallbackAttempt,
    HttpEvent,
    RateEvent,
    Recorder,
    RunSummary,
)
from recorder.null import NullRecorder
from recorder.settings import Settings
from recorder.urls import hash_url

_log = logging.getLogger("recorder")

_BUSY_TIMEOUT_MS: Final = 5_000
_BUSY_ATTEMPTS: Final = 6
_QUEUE_LIMIT: Final = 200_000

_COLUMNS: Final = {table: schema.columns(table) for table in schema.TABLES}


def _insert(table: str) -> str:
    names = _COLUMNS[table]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _keep(names: tuple[str, ...], new: str) -> str:
    return ", ".join(f"{name} = coalesce({new.format(name=name)}, {name})" for name in names)


_INSERTS: Final = {table: _insert(table) for table in schema.TABLES}
_UPDATED: Final = tuple(c for c in _COLUMNS["downloads"] if c not in {"run_id", "artifact_id"})
_UPDATE_DOWNLOAD: Final = (
    f"UPDATE downloads SET {_keep(_UPDATED, '?')} WHERE id = "
    "(SELECT max(id) FROM downloads WHERE run_id = ? AND artifact_id = ?)"
)
_SUMMARY: Final = tuple(c for c in _COLUMNS["run_summary"] if c != "run_id")
_UPSERT_SUMMARY: Final = (
    f"{_INSERTS['run_summary']} ON CONFLICT (run_id) DO UPDATE SET "
    f"{_keep(_SUMMARY, 'excluded.{name}')}"
)


class _Write(NamedTuple):
    sql: str
    values: tuple[object, ...]


class _Flush(NamedTuple):
    done: threading.Event


class _Stop(NamedTuple):
    pass


class TelemetryWriter:
    """Records one run into one SQLite file; any number of threads and processes may.

    Attributes:
        dropped: events that could not be written; each cause is logged, the first time only.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        run_id: str,
        *,
        flush_interval_s: float = 0.5,
        batch_size: int = 1_000,
    ) -> None:
        """Start the writer thread, which opens or creates the file.

        Args:
            db_path: the SQLite file; its folder is created when missing.
            run_id: the run that all events belong to.
            flush_interval_s: seconds an event waits at most before it is written.
            batch_size: events that are written without waiting for the interval.
        """
        self.run_id = run_id
        self.dropped = 0
        self._path = Path(db_path)
        self._interval_s = flush_interval_s
        self._batch_size = batch_size
        self._queue: queue.Queue[_Write | _Flush | _Stop] = queue.Queue(_QUEUE_LIMIT)
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._logged = False
        self._closed = False
        # A daemon, so that a crawler that forgets close() still exits; atexit then flushes.
        self._thread = threading.Thread(target=self._run, name="telemetry-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def enabled(self) -> bool:
        """Always true; see NullRecorder."""
        return True

    def http_event(self, **fields: Unpack[HttpEvent]) -> None:
        """Record one request; of its URL only the hash is kept."""
        row: dict[str, Any] = {"method": "GET", "sample_weight": 1.0, **fields}
        url = row.pop("url", None)
        if url is not None:
            row["url_hash"] = hash_url(str(url))
        self._record("http_events", row)

    def rate_event(self, **fields: Unpack[RateEvent]) -> None:
        """Record one decision of a rate limiter."""
        self._record("rate_events", dict(fields))

    def breaker_transition(self, **fields: Unpack[BreakerTransition]) -> None:
        """Record one change of state of a circuit breaker."""
        self._record("breaker_transitions", {"scope": "host", **fields})

    def fallback_attempt(self, **fields: Unpack[FallbackAttempt]) -> None:
        """Record one try of one resolver."""
        self._record("fallback_attempts", dict(fields))

    def download(self, **fields: Unpack[Download]) -> None:
        """Record one attempt to get one artifact."""
        self._record("downloads", dict(fields))

    def update_download(self, **fields: Unpack[Download]) -> None:
        """Set fields of the latest download of this run and artifact; None leaves one alone."""
        row = self._checked("downloads", dict(fields))
        key = (self.run_id, row.get("artifact_id"))
        self._put(_Write(_UPDATE_DOWNLOAD, (*(row.get(name) for name in _UPDATED), *key)))

    def run_summary(self, **fields: Unpack[RunSummary]) -> None:
        """Create or complete the run's row; None leaves a field alone.

        The SLI columns stay NULL: they are derived by the models, and by nothing else.
        """
        row = self._checked("run_summary", {**fields, "run_id": self.run_id})
        self._put(_Write(_UPSERT_SUMMARY, tuple(map(row.get, _COLUMNS["run_summary"]))))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all events so far are written; False if that took longer than timeout_s."""
        done = threading.Event()
        return self._put(_Flush(done)) and done.wait(timeout_s)

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what is left and stop; later events are dropped. May be called twice."""
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            atexit.unregister(self.close)
            self._queue.put(_Stop())
        self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # On the caller's thread

    def _checked(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """Turn the row into what SQLite stores; a wrong name is a bug, and raises TypeError."""
        unknown = row.keys() - schema.TABLES[table].keys()
        if unknown:
            raise TypeError(f"unexpected telemetry fields for {table}: {sorted(unknown)}")
        metadata = row.get("metadata")
        if metadata is not None and not isinstance(metadata, str):
            row["metadata"] = json.dumps(metadata, default=str, sort_keys=True)
        return row

    def _record(self, table: str, row: dict[str, Any]) -> None:
        row.setdefault("ts", time.time())
        row["run_id"] = self.run_id
        row = self._checked(table, row)
        self._put(_Write(_INSERTS[table], tuple(map(row.get, _COLUMNS[table]))))

    def _put(self, item: _Write | _Flush) -> bool:
        with self._lock:
            # Under the lock, so that nothing can come after the stop and be forgotten.
            if not self._closed:
                try:
                    self._queue.put_nowait(item)
                    return True
                except queue.Full:
                    pass
            self.dropped += isinstance(item, _Write)
            return False

    # On the writer thread

    def _run(self) -> None:
        self._open()
        stopping = False
        while not stopping:
            batch: list[_Write] = []
            flushed: list[threading.Event] = []
            deadline = time.monotonic() + self._interval_s
            while len(batch) < self._batch_size:
                try:
                    item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if isinstance(item, _Write):
                    batch.append(item)
                    continue
                if isinstance(item, _Flush):
                    flushed.append(item.done)
                else:
                    stopping = True
                break
            if batch:
                self._write(batch)
            for done in flushed:
                done.set()
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None:
            connection = None
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(
                    self._path, timeout=_BUSY_TIMEOUT_MS / 1_000, isolation_level=None
                )
                schema.enable_wal(connection)
                connection.execute("PRAGMA synchronous=NORMAL")
                schema.ensure_schema(connection)
                self._connection = connection
            except (sqlite3.Error, OSError, schema.SchemaError) as error:
                if connection is not None:
                    connection.close()
                self._complain(error)
        return self._connection

    def _write(self, batch: list[_Write]) -> None:
        try:
            connection = self._open()
            if connection is not None:
                self._commit(connection, batch)
                return
        except Exception as error:  # whatever it is, it must not end the thread
            if len(batch) > 1 and not _is_busy(error):
                # One value that SQLite will not take spoils its batch: find it, keep the others.
                for write in batch:
                    self._write([write])
                return
            self._complain(error)
        with self._lock:
            self.dropped += len(batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Write]) -> None:
        for attempt in itertools.count(1):
            try:
                # IMMEDIATE waits for other writers here, where the busy timeout holds; a
                # transaction that starts as a reader can be refused half-way without a wait.
                connection.execute("BEGIN IMMEDIATE")
                for sql, writes in itertools.groupby(batch, key=lambda write: write.sql):
                    connection.executemany(sql, [write.values for write in writes])
                connection.execute("COMMIT")
                return
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if not _is_busy(error) or attempt == _BUSY_ATTEMPTS:
                    raise

    def _complain(self, error: BaseException) -> None:
        if not self._logged:
            self._logged = True
            _log.warning("telemetry is being dropped: cannot write %s: %s", self._path, error)


def open_recorder(run_id: str, environ: Mapping[str, str] = os.environ) -> Recorder:
    """Return the recorder that the environment asks for; one that does nothing by default.

    Raises:
        SettingsError: the environment cannot be understood.
    """
    settings = Settings.from_environ(environ)
    if not settings.enabled or settings.db_path is None:
        return NullRecorder()
    return TelemetryWriter(settings.db_path, run_id)


def _is_busy(error: BaseException) -> bool:
    # The low byte is the primary code: SQLITE_BUSY_SNAPSHOT and its kin count as well.
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY
