"""Old runs of telemetry files, moved to an archive.

Per run: its rows are copied out of the file in one snapshot, written as Parquet, read back,
compared, put in place under a manifest, and only then deleted from the file, as far as they are
still what was copied. Whatever moment a kill chooses, each row is in the file or in the archive.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.errors import SourceError, TelemetryError
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.archive_plan import FilePlan, Left, PlannedRun
    from exporter.archive_process import FileProcess
    from exporter.archive_writer import Writer

#: How often a run is tried again whose rows change while they are archived.
_TRIES: Final = 3
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Archived:
    """A run that went, or would go.

    Attributes:
        run_id: the run.
        ended_at: when it ended, ISO-8601 UTC.
        rows: how many.
        bytes: about what they took in the file.
        folder: where they are; None in a dry run.
        parquet_bytes: what they take there; None in a dry run.
    """

    run_id: str
    ended_at: str
    rows: int
    bytes: int
    folder: str | None = None
    parquet_bytes: int | None = None


@dataclass
class FileResult:
    """What became of one file.

    Attributes:
        path: the file.
        archived: the runs that went.
        left: the runs that should have gone, and why they did not.
        recent_runs: runs that are not old enough.
        rows_without_run: rows that no run can be told of.
        bytes_before: the file's size, and its size afterwards.
        longest_lock_s: the longest that a writer had to wait for one transaction.
        problem: what else was asked for and not done.
    """

    path: str
    archived: list[Archived] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    recent_runs: int = 0
    rows_without_run: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    longest_lock_s: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Wishes:
    """What a person asked for.

    Attributes:
        out: the archive.
        limit: runs must have ended before.
        dry_run: only say what would go.
        vacuum: give free pages back to the disk; "", "whole" or "steps".
    """

    out: Path
    limit: datetime
    dry_run: bool
    vacuum: str


def move(
    names: list[str], wishes: Wishes, project: Path | None
) -> tuple[list[FileResult], list[str]]:
    """Archive what is old in the named files; return what became of each, and those not done.

    Raises:
        TelemetryError: the archive cannot be written, or not one file could be done.
    """
    from exporter.compiled import compiled as compiled_models
    from exporter.paths import project_dir
    from exporter.sources import expand

    paths, skipped = expand(names)
    files = [path for path, _ in paths if not os.path.isdir(path)]
    failed = [f"{skip.path}: {skip.reason}" for skip in skipped]
    results: list[FileResult] = []
    with progress("looking", verbose=False) as (say, step):
        compiled = compiled_models(project_dir(project), say).read_text("utf-8")
        with _opened(wishes) as writer:
            for path in files:
                try:
                    results.append(_move_file(path, wishes, compiled, writer, step))
                except SourceError as error:
                    failed.append(str(error))
    if not results:
        raise SourceError(
            failed[0]
            if failed
            else f"no telemetry file in {', '.join(names)}: name the one that the crawler writes"
        )
    return results, failed


@contextmanager
def _opened(wishes: Wishes) -> Iterator[tuple[Writer, Path] | None]:
    """Make or open the archive, and keep others out of it; nothing in a dry run.

    Raises:
        TelemetryError: it cannot be written, or another process writes to it.
    """
    if wishes.dry_run:
        yield None
        return
    from filelock import FileLock, Timeout

    from exporter import archived, warehouse
    from exporter.archive_writer import Writer
    from exporter.work_folder import work_folder

    with work_folder(wishes.out) as work:
        lock = FileLock(wishes.out / ".lock")
        try:
            lock.acquire(timeout=0)
            if not archived.is_archive(wishes.out):
                part = work / archived.MARKER
                part.write_text(f'{{"format": {archived.FORMAT}}}\n')
                os.replace(part, wishes.out / archived.MARKER)
        except Timeout:
            raise TelemetryError(
                f"another archive is writing to {wishes.out}: wait for it, or name another folder"
            ) from None
        except OSError as error:
            raise TelemetryError(f"cannot write to {wishes.out}: {error.strerror}") from None
        connection = warehouse.connect(("sqlite_scanner",))
        try:
            connection.execute("set temp_directory = ?", [str(work / "spill")])
            yield Writer(connection, wishes.out, work), work
        finally:
            connection.close()
            lock.release()


def _move_file(
    path: str, wishes: Wishes, compiled: str, opened: tuple[Writer, Path] | None, step: Step
) -> FileResult:
    from exporter.archive_plan import plan
    from exporter.archive_process import FileProcess
    from exporter.sources import openable
    from exporter.sqlite_reason import refusal

    if (reason := refusal(path)) is not None:
        raise SourceError(f"cannot read {path}: {reason}")
    with tempfile.TemporaryDirectory(prefix="docstokg-") as aside:
        read = openable(path, Path(aside) / "copy") if opened is None else path
        with FileProcess(path, write=opened is not None, opened=read) as process:
            step(f"looking at {os.path.basename(path)}", 0, 1)
            found = plan(path, wishes.limit, compiled, process)
            result = FileResult(
                path,
                left=found.left,
                recent_runs=found.recent_runs,
                rows_without_run=found.rows_without_run,
                bytes_before=_size(path),
            )
            if opened is None:
                result.archived = [_described(run) for run in found.runs]
            else:
                _Mover(found, process, *opened, wishes.out, result, step).move()
                if wishes.vacuum:
                    step("giving free pages back", 0, 1)
                    told = process.ask("vacuum", whole=wishes.vacuum == "whole")
                    result.problem = told["problem"]
                elif result.archived:
                    process.ask("checkpoint")
    result.bytes_after = _size(path)
    return result


class _Mover:
    """Takes the planned runs of one file to the archive, one after the other.

    The file's process copies the next run and deletes the last one while this process writes.
    """

    def __init__(
        self,
        found: FilePlan,
        process: FileProcess,
        writer: Writer,
        work: Path,
        out: Path,
        result: FileResult,
        step: Step,
    ) -> None:
        self._found, self._process, self._writer = found, process, writer
        self._work, self._out, self._result, self._step = work, out, result, step
        self._asked: deque[tuple[str, PlannedRun]] = deque()
        self._changed: dict[str, PlannedRun] = {}
        self._copies = 0
        self._done = 0

    def move(self) -> None:
        """Move the runs; those whose rows change meanwhile once more."""
        runs = self._found.runs
        for _ in range(_TRIES):
            self._changed = {}
            self._pass(runs)
            runs = list(self._changed.values())
            if not runs:
                return
        for run in runs:
            self._leave(run, "its rows were changed each time while they were archived")

    def _pass(self, runs: list[PlannedRun]) -> None:
        copies: dict[str, Path] = {}
        for number, run in enumerate(runs):
            for wanted in runs[number : number + 2]:
                if wanted.run_id not in copies:
                    copies[wanted.run_id] = self._begin_copy(wanted)
            self._one(run, copies[run.run_id])
        while self._asked:
            self._answer()

    def _begin_copy(self, run: PlannedRun) -> Path:
        self._copies += 1
        copy = self._work / f"copy-{self._copies}.sqlite3"
        self._process.begin("copy", run=run.run_id, aside=str(copy), ranges=run.ranges)
        self._asked.append(("copy", run))
        return copy

    def _answer(self) -> tuple[str, PlannedRun, dict[str, Any]]:
        what, run = self._asked.popleft()
        told = self._process.answer()
        if what == "delete":
            self._result.longest_lock_s = max(self._result.longest_lock_s, told["longest_s"])
            if told["changed"]:
                self._changed[run.run_id] = run
        return what, run, told

    def _one(self, run: PlannedRun, copy: Path) -> None:
        from exporter.archive_writer import NotArchived

        what, told = "", dict[str, Any]()
        while what != "copy":
            what, _, told = self._answer()
        self._step(f"archiving {run.run_id[:40]}", self._done, len(self._found.runs))
        self._done += 1
        rows = told["rows"]
        reason = _reason(run, told)
        others = sum(run.rows.values()) - sum(rows.values())
        if reason is None and others > 0 and run.run_id not in self._changed:
            # the whole run stays: by itself, its archive would say another thing than the file
            reason = f"{others:,} of its rows have a run_id that is no text, or are in a view"
        if reason is None:
            try:
                written = self._writer.write(
                    run.run_id,
                    copy,
                    rows,
                    self._found.path,
                    run.last_event_at,
                    self._found.noted.get(run.run_id),
                )
            except NotArchived as why:
                reason = str(why)
        if reason is not None:
            self._leave(run, reason)
            self._process.begin("drop", aside=str(copy))
            self._asked.append(("drop", run))
            return
        self._process.begin(
            "delete",
            run=run.run_id,
            aside=str(copy),
            archive=str(self._out),
            archived_at=written.run.archived_at,
        )
        self._asked.append(("delete", run))
        copied = sum(rows.values())
        before = [a for a in self._result.archived if a.run_id == run.run_id]
        self._result.archived = [a for a in self._result.archived if a not in before]
        copied = max([copied, *(a.rows for a in before)])
        self._result.archived.append(_described(run, copied, str(written.folder), written.run.size))

    def _leave(self, run: PlannedRun, reason: str) -> None:
        from exporter.archive_plan import Left

        self._result.left.append(Left(run.run_id, reason))


def _reason(run: PlannedRun, told: dict[str, Any]) -> str | None:
    """Return why a run that was copied cannot go after all."""
    rows: dict[str, int] = told["rows"]
    if not any(rows.values()):
        return (
            "none of its rows can be deleted: its run_id is not stored as this text (a number, a "
            "URL, not UTF-8, or with a NUL), or they are in a view"
        )
    if any(count > run.rows.get(table, 0) for table, count in rows.items()):
        return "it is still written to"
    return told["held"][0] if told["held"] else None


def _described(
    run: PlannedRun, rows: int | None = None, folder: str | None = None, size: int | None = None
) -> Archived:
    ended = datetime.fromtimestamp(run.ended_at, UTC).isoformat(timespec="seconds")
    planned = sum(run.rows.values())
    return Archived(run.run_id, ended, planned if rows is None else rows, run.bytes, folder, size)


def _size(path: str) -> int:
    """Return the bytes of a file and of its write-ahead log."""
    total = 0
    for file in (path, f"{path}-wal"):
        with suppress(OSError):
            total += os.path.getsize(file)
    return total


def as_json(results: list[FileResult], wishes: Wishes) -> dict[str, Any]:
    """Return the results for scripts."""
    return {
        "archive": str(wishes.out),
        "older_than": wishes.limit.isoformat(),
        "dry_run": wishes.dry_run,
        "rows": sum(run.rows for result in results for run in result.archived),
        "bytes": sum(run.bytes for result in results for run in result.archived),
        "files": [asdict(result) for result in results],
    }
