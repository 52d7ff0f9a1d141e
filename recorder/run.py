"""A run, the artifacts it is after, and the resolvers it tries: each a ``with`` block."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from recorder.events import AttemptOutcome, DedupeAction, Recorder
from recorder.files import FileDigest
from recorder.lifetime import end_at_sigterm
from recorder.null import NullRecorder
from recorder.outcomes import outcome_of
from recorder.settings import Settings
from recorder.writer import TelemetryWriter

_NULL: Final = NullRecorder()


def open_recorder(
    run_id: str,
    environ: Mapping[str, str] = os.environ,
    *,
    default_db: str | os.PathLike[str] | None = None,
) -> Recorder:
    """Return the recorder that the environment asks for; one that does nothing by default.

    Args:
        run_id: the run that all events belong to.
        environ: the environment variables.
        default_db: the SQLite file to record into when no variable names a file.

    Raises:
        SettingsError: the environment cannot be understood.
    """
    settings = Settings.from_environ(environ, default_db)
    if not settings.enabled:
        return _NULL
    end_at_sigterm()
    return TelemetryWriter(settings, run_id)


def open_run(
    run_id: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    default_db: str | os.PathLike[str] | None = None,
) -> Run:
    """Return a run to record with, as the environment asks for: a context manager.

    Args:
        run_id: its name; made of the time in UTC when left out.
        environ: the environment variables.
        default_db: the SQLite file to record into when no variable names a file.

    Raises:
        SettingsError: the environment cannot be understood.
    """
    run_id = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return Run(open_recorder(run_id, environ, default_db=default_db))


class Run:
    """One run of a downloader. Leaving it records its end and writes what is left.

    SLIs are not recorded: the models derive them from the events.

    Attributes:
        recorder: takes the run's events; what integrations are given.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def artifact(self, artifact_id: str, work_id: str | None = None) -> Artifact:
        """Return one artifact to download: a context manager.

        Args:
            artifact_id: names the artifact within the run.
            work_id: the work that it is an artifact of.
        """
        if not self.recorder.enabled:
            return _NO_ARTIFACT
        return Artifact(self.recorder, artifact_id, work_id)

    def __enter__(self) -> Self:
        self.recorder.run_summary(started_at=time.time())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.recorder.run_summary(finished_at=time.time())
        self.recorder.close()


class Artifact:
    """One attempt to get one artifact; leaving the block records it, saved or not."""

    def __init__(self, recorder: Recorder, artifact_id: str, work_id: str | None) -> None:
        self._recorder, self._artifact_id, self._work_id = recorder, artifact_id, work_id
        self._began = time.perf_counter()
        self._resolver: str | None = None
        self._saved: dict[str, Any] = {}

    def attempt(self, resolver: str, tier: str | None = None, host: str | None = None) -> Attempt:
        """Return one try of one resolver for this artifact: a context manager.

        Args:
            resolver: its name.
            tier: the group it belongs to, such as open_access.
            host: the host that it asks.
        """
        if not self._saved:
            self._resolver = resolver
        return Attempt(self._recorder, self._artifact_id, self._work_id, resolver, tier, host)

    def saved(
        self,
        path: str | os.PathLike[str],
        content: bytes | None = None,
        *,
        sha256: str | None = None,
        content_type: str | None = None,
        dedupe_action: DedupeAction = "download",
        resolver: str | None = None,
    ) -> None:
        """Note that the artifact is on disk.

        Args:
            path: the file.
            content: its bytes, which are hashed here: a millisecond or so for one megabyte. Without
                them the file is opened here, and read by the writer's thread.
            sha256: the SHA-256 as hex digits, where it is known.
            content_type: such as application/pdf.
            dedupe_action: whether the bytes were downloaded, or were there already.
            resolver: who delivered; the last that was tried when left out.
        """
        self._resolver = resolver or self._resolver
        self._saved = {
            "sha256": sha256,
            "content_type": content_type,
            "dedupe_action": dedupe_action,
        }
        with suppress(Exception):  # a path may be anything
            self._saved["final_path"] = str(path)
        # No such file: recorded without a hash, which the models call corruption.
        with suppress(Exception):
            if content is not None:
                self._saved["content_length"] = len(content)
                self._saved["sha256"] = sha256 or hashlib.sha256(content).hexdigest()
            else:
                digest = FileDigest(path)
                self._saved["content_length"] = digest.size
                self._saved["sha256"] = sha256 or digest

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._recorder.download(
            artifact_id=self._artifact_id,
            work_id=self._work_id,
            metadata={"resolver_name": self._resolver} if self._resolver else None,
            elapsed_ms=_since(self._began),
            **self._saved,
        )


class Attempt:
    """One try of one resolver; leaving the block records it, as a success unless it failed.

    An exception decides the outcome: ``timeout``; ``retryable`` for status 408, 425, 429 and
    5xx; ``nonretryable`` for others; ``skipped`` for an open breaker; else ``error``.
    """

    def __init__(
        self,
        recorder: Recorder,
        artifact_id: str,
        work_id: str | None,
        resolver: str,
        tier: str | None,
        host: str | None,
    ) -> None:
        self._recorder = recorder
        self._about: dict[str, Any] = {
            "artifact_id": artifact_id,
            "work_id": work_id,
            "source": resolver,
            "tier": tier,
            "host": host,
        }
        self._outcome: AttemptOutcome = "success"
        self._reason: str | None = None
        self._status: int | None = None
        self._began = time.perf_counter()

    def ended(
        self, outcome: AttemptOutcome, reason: str | None = None, status: int | None = None
    ) -> None:
        """Say how it ended, where no exception says so: ``no_pdf``, for example.

        Args:
            outcome: how.
            reason: why, in a few words; addresses and secrets in it are not kept.
            status: the HTTP status that decided it.
        """
        self._outcome, self._reason, self._status = outcome, reason, status

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._outcome, self._status = outcome_of(error)
            self._reason = type(error).__name__
        self._recorder.fallback_attempt(
            outcome=self._outcome,
            reason=self._reason,
            status=self._status,
            elapsed_ms=_since(self._began),
            **self._about,
        )


class _NoArtifact(Artifact, Attempt):
    """The artifact, and the attempt, of a run that is not recorded."""

    def __init__(self) -> None:
        pass

    def attempt(self, resolver: str, tier: str | None = None, host: str | None = None) -> Attempt:
        return self

    def saved(
        self,
        path: str | os.PathLike[str],
        content: bytes | None = None,
        *,
        sha256: str | None = None,
        content_type: str | None = None,
        dedupe_action: DedupeAction = "download",
        resolver: str | None = None,
    ) -> None:
        pass

    def ended(
        self, outcome: AttemptOutcome, reason: str | None = None, status: int | None = None
    ) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


_NO_ARTIFACT: Final = _NoArtifact()


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
