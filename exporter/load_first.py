"""What a command that answers from the warehouse does about ``--db``: load what is new in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exporter import output
from exporter.errors import UsageError
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.runner import Build


def load(db: list[str], project_dir: Path | None, verbose: bool) -> Build:
    """Load and build what is new in the named sources; say what was skipped and what failed.

    Runs that a named file says were archived are sources, too.

    Raises:
        TelemetryError: not one source could be read, or a model could not be built.
    """
    if not all(db):
        raise UsageError("--db is empty: name a file, a folder or a quoted glob")
    from exporter import archive_notes, runner
    from exporter.paths import project_dir as find_project

    with progress("loading", verbose) as (say, step):
        names = [*db, *archive_notes.archives_of(db)]
        outcome = runner.build(names, find_project(project_dir), say, step, verbose)
    for skip in outcome.report.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    for note in outcome.report.notes:
        output.complain(note)
    for failure in outcome.failed_tests:
        output.complain(f"test failed, so the answer is from the last good state: {failure}")
    return outcome


def load_first(db: list[str] | None, project_dir: Path | None, verbose: bool) -> bool:
    """Load what is new in the named sources, if any; return whether some of it is missing."""
    if not db:
        return False
    outcome = load(db, project_dir, verbose)
    return bool(outcome.report.skipped or outcome.failed_tests)


def runs_of(db: list[str], project_dir: Path | None, verbose: bool) -> dict[str, set[str]]:
    """Return the runs of each of the named files and archived runs, and of those they tell of."""
    from exporter import archive_notes, direct
    from exporter.compiled import compiled_for
    from exporter.sources import expand

    compiled = compiled_for(project_dir, verbose, db)
    paths = expand([*db, *archive_notes.archives_of(db)])[0]
    runs, _skipped = direct.runs_of(paths, compiled)
    return {path: set(found) for path, found in runs.items()}
