"""The command that examines telemetry files, the warehouse and the machine, and names remedies."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from exporter.errors import SourceError
from exporter.findings import Finding, Report, as_json, counted, from_json
from exporter.options import Format, OutputFormat, Project, named
from exporter.process import other
from exporter.progress import progress
from exporter.sqlite_reason import DAMAGED

EXAMPLE: Final = "Example: docstokg-telemetry doctor --db 'runs/*/manifest.sqlite3' --strict"


def doctor(
    db: Annotated[
        list[str] | None,
        typer.Option(
            "--db",
            metavar="FILE|DIR|GLOB",
            help="Telemetry of the crawler; may be repeated; quote a glob; without it, "
            "DOCSTOKG_TELEMETRY_DB_PATH.",
        ),
    ] = None,
    output_format: Format = OutputFormat.text,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Look at every row, and compare indexes; minutes for a large file."
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Let warnings, and what is unknown, exit with 1 too.")
    ] = False,
    project_dir: Project = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what was found where all is good, too.")
    ] = False,
) -> None:
    """Examine telemetry files, the warehouse and the machine; name what is not good, and why."""
    reports = examine(named(db, required=True), deep, project_dir)
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        print_json(as_json(reports))
    else:
        from exporter.render_findings import print_reports

        print_reports(reports, verbose)
    counts = counted(reports)
    failing = counts["bad"] + (counts["warning"] + counts["unknown"] if strict else 0)
    raise typer.Exit(1 if failing else 0)


def examine(names: Sequence[str], deep: bool, project: Path | None) -> list[Report]:
    """Return what all checks find, the files first, in the order in which they were named.

    Args:
        names: files, folders and globs.
        deep: look at everything, however long it takes.
        project: the analyst's own copy of the dbt project.

    Raises:
        SourceError: none of the names is there; one that is missing beside others is a finding.
    """
    from exporter import archived, checks_machine, checks_warehouse, warehouse
    from exporter.checks_archive import check_archived_runs, check_archives
    from exporter.checks_loaded import check_loaded
    from exporter.checks_recorder import check_recorders
    from exporter.checks_size import check_size
    from exporter.checks_time import check_rows
    from exporter.sources import Skipped, expand
    from exporter.sqlite_reason import parted, refusal

    found, missing = expand(names)
    gone = [path for path, _ in found if not os.path.lexists(path)]
    missing += [Skipped(path, str(refusal(path))) for path in gone]
    there = [(path, named) for path, named in found if os.path.lexists(path)]
    folders = [path for path, _ in there if os.path.isdir(path)]
    archives = {os.path.dirname(path) for path in folders}
    archives |= {os.path.realpath(name) for name in names if archived.is_archive(name)}
    if not there and not archives:
        told = "; ".join(f"{skip.path}: {skip.reason}" for skip in missing[:3])
        raise SourceError(f"nothing to examine: {told}")
    paths = [(path, named) for path, named in there if not os.path.isdir(path)]
    reports = [
        Report(skip.path, [Finding("file", "bad", why.what, why.remedy)])
        for skip, why in ((skip, parted(skip.reason)) for skip in missing)
    ]
    with (
        progress("examining", verbose=False) as (_, step),
        closing(checks_warehouse.Warehouse(project)) as store,
        warehouse.connect(("sqlite_scanner",)) as connection,
    ):
        # before anything is compiled, which makes the warehouse's folder
        shared = [*store.check(), *checks_machine.check([path for path, _ in paths])]
        with tempfile.TemporaryDirectory(prefix="docstokg-") as aside, Examiner() as examiner:
            for number, (path, _) in enumerate(paths):
                step(path, number, len(paths))
                findings = _examine(examiner, path, Path(aside) / str(number), deep)
                if findings[0].status == "good":
                    findings += check_size(path, project)
                    findings += check_rows(path, deep, project)
                    findings += check_recorders(path, project)
                    findings += check_loaded(store, path, deep)
                    findings += check_archived_runs(connection, path, sorted(archives), deep)
                reports.append(Report(path, [_about([path], found) for found in findings]))
        reports += check_archives(connection, archives, folders)
    return [*reports, Report(None, [_about(names, found) for found in shared])]


def _about(paths: Sequence[str], found: Finding) -> Finding:
    """Return a finding whose remedy names what it is about."""
    name = " --db ".join(shlex.quote(path) for path in paths)
    return replace(found, remedy=re.sub(r"\bFILE\b", lambda _: name, found.remedy))


def _examine(examiner: Examiner, path: str, aside: Path, deep: bool) -> list[Finding]:
    from exporter.sources import openable
    from exporter.sqlite_reason import refusal, trouble

    refused = refusal(path)
    try:
        if refused is None:
            return examiner.examine(path, openable(path, aside), deep)
    except OSError as error:
        refused = trouble(error)
    return [Finding("file", "bad", refused.what, refused.remedy)]


class Examiner:
    """A process that reads files with Python's SQLite; begun anew should a file end it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def examine(self, path: str, opened: str, deep: bool) -> list[Finding]:
        """Return what the checks of one file find; the first one says whether it opened."""
        request = json.dumps({"path": path, "opened": opened, "deep": deep})
        process = self._process or self._begin()
        answer = ""
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{request}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            pass
        if not answer:
            self._end()
            code = process.returncode
            found = f"reading it ended the process that read it (code {code})"
            return [Finding("file", "bad", found, DAMAGED)]
        return [from_json(row) for row in json.loads(answer)]

    def _begin(self) -> subprocess.Popen[str]:
        self._process = other("exporter.examine")
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
