"""The command that loads JSONL, the recorder's or the crawler's own, into a SQLite file."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exporter import output
from exporter.errors import TelemetryError, UsageError
from exporter.findings import plural
from exporter.options import Format, OutputFormat
from exporter.progress import progress

if TYPE_CHECKING:
    from recorder.replay import Loaded

EXAMPLE: Final = (
    "Example: docstokg-telemetry load-jsonl logs/telemetry*.jsonl --db copy.sqlite3 "
    "&& docstokg-telemetry summary --db copy.sqlite3"
)


def load_jsonl(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|GLOB…", help="JSONL of recorder or crawler, plain or .gz; - for stdin."
        ),
    ],
    db: Annotated[
        Path,
        typer.Option("--db", metavar="FILE", help="SQLite file to add to; made when missing."),
    ],
    output_format: Format = OutputFormat.text,
) -> None:
    """Load JSONL of the recorder, or a crawler's manifest.jsonl, into SQLite, each record once."""
    from recorder.replay import ReplayError
    from recorder.replay import load_jsonl as load

    paths = _expand(files)
    if any(path != "-" and Path(path).absolute() == db.absolute() for path in paths):
        raise UsageError("--db names a JSONL file to read: name the SQLite file to write")
    with progress("reading", verbose=False) as (_, step):
        try:
            done = load(paths, db, lambda path, lines: step(f"{path}: {lines:,}", lines, lines))
        except ReplayError as error:
            raise TelemetryError(str(error)) from None
    if not done.files:
        path, reason = done.skipped[0]
        raise TelemetryError(f"cannot read {path}: {reason}: name JSONL of recorder or crawler")
    for path, reason in done.skipped:
        output.complain(f"skipped {path}: {reason}")
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(_as_json(done))
    else:
        typer.echo(_closing_line(done, db))
    is_whole = not (done.skipped or done.set_aside or done.unfinished or done.missing)
    raise typer.Exit(0 if is_whole else 1)


def _expand(names: list[str]) -> list[str]:
    """Turn names and globs into names: a shell leaves a quoted glob as it is."""
    paths: list[str] = []
    for name in names:
        if name == "-" or Path(name).exists() or not glob.has_magic(name):
            paths.append(name)
        elif found := sorted(glob.glob(name)):
            paths.extend(found)
        else:
            raise UsageError(f"{name} matches no file")
    return paths


def _as_json(done: Loaded) -> dict[str, object]:
    return {
        "files": done.files,
        "rows": done.rows,
        "known": done.known,
        "set_aside": done.set_aside,
        "unfinished": done.unfinished,
        "missing": done.missing,
        "ignored": dict(sorted(done.ignored.items())),
        "runs": sorted(done.runs),
        "skipped": [{"path": path, "reason": reason} for path, reason in done.skipped],
    }


def _closing_line(done: Loaded, db: Path) -> str:
    runs, files = plural(len(done.runs), "run"), plural(done.files, "file")
    line = f"{plural(done.rows, 'new record')} of {runs} from {files} in {db}"
    types = ", ".join(sorted(done.ignored))
    rest = [
        f"{count:,} {what}"
        for count, what in (
            (done.known, "known already"),
            (done.ignored.total(), f"ignored that no SLI needs ({types})"),
            (done.set_aside, "lines set aside (see jsonl_set_aside there)"),
            (done.unfinished, "last lines unfinished, load them again when they are written"),
            (done.missing, "records missing, lost by the recorder or in a file not given"),
        )
        if count
    ]
    return f"{line}; {', '.join(rest)}" if rest else line
