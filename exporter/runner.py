"""dbt, run from Python: the build after a load, and the compiled models for direct answers."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from exporter import touched, warehouse
from exporter.errors import ModelError, WarehouseError, more_memory, one_line
from exporter.findings import plural
from exporter.loader import LoadReport, load
from exporter.lock import Lock
from exporter.paths import warehouse_dir
from exporter.rejections import mostly_rejected

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

Progress = Callable[[str, int, int], None]


@dataclass
class Build:
    """What one run did.

    Attributes:
        report: what was loaded.
        published: readers see the new state now.
        was_current: nothing was new, so nothing was built.
        failed_tests: data tests that failed, with what dbt said.
        rejected: rows of this load that were set aside.
        rejected_in_all: rows set aside over all loads.
        mostly_rejected: of files of whose new rows most were set aside, what to tell.
    """

    report: LoadReport
    published: bool = False
    was_current: bool = False
    failed_tests: list[str] = field(default_factory=list)
    rejected: int = 0
    rejected_in_all: int = 0
    mostly_rejected: list[str] = field(default_factory=list)

    def closing_line(self) -> str:
        """Say in one line what was done."""
        report = self.report
        parts = [f"{plural(report.rows, 'new row')} from {plural(report.files, 'file')}"]
        if report.changed:
            parts.append(f"{report.changed:,} updated")
        parts.append(f"{self.rejected:,} rejected ({self.rejected_in_all:,} in all)")
        if report.skipped:
            parts.append(f"{plural(len(report.skipped), 'file')} skipped")
        state = (
            "nothing new: what is published is current"
            if self.was_current
            else "published"
            if self.published
            else "NOT published: readers keep the last good state"
        )
        return f"{', '.join(parts)}; {state}"

    def as_json(self) -> dict[str, Any]:
        """Return the same for scripts."""
        return {
            "published": self.published,
            "was_current": self.was_current,
            "files": self.report.files,
            "new_rows": self.report.appended,
            "changed_rows": self.report.changed,
            "rejected_rows": self.rejected,
            "rejected_rows_in_all": self.rejected_in_all,
            "mostly_rejected": self.mostly_rejected,
            "skipped": [asdict(skip) for skip in self.report.skipped],
            "failed_tests": self.failed_tests,
            "notes": self.report.notes,
        }


def build(
    names: Sequence[str],
    project: Path,
    say: Callable[[str], None],
    progress: Progress,
    verbose: bool = False,
) -> Build:
    """Load what is new, build and test the models of the runs it touches, and publish.

    Args:
        names: files, folders and globs; with none, builds on what is loaded already.
        project: the dbt project.
        say: takes messages for people.
        progress: takes (what was done, number of it, how many there are).
        verbose: let dbt's own log through, on stderr.

    Raises:
        SourceError: not one source could be read.
        WarehouseError: the warehouse is busy or could not be written.
        ModelError: a model could not be compiled or built.
    """
    folder = warehouse_dir()
    os.environ["DOCSTOKG_WAREHOUSE"] = str(folder)
    lock = Lock(folder)
    lock.acquire(say)
    try:
        outcome, changed = _load(names, project, say)
        if not outcome.was_current:
            _build(outcome, project, changed, say, progress, verbose)
            with _warehouse() as connection:
                _count_rejected(connection, outcome)
        return outcome
    finally:
        lock.release()


@dataclass(frozen=True)
class _Changed:
    """What the published state was not built by."""

    models: bool
    seeds: bool


def _load(
    names: Sequence[str], project: Path, say: Callable[[str], None]
) -> tuple[Build, _Changed]:
    with _warehouse() as connection:
        report = load(connection, names, say) if names else LoadReport()
        published = warehouse.last_publication(connection)
        loaded = connection.execute("select max(load_id) from lake.meta.loads").fetchone()
        models, seeds = warehouse.models_version(project).split("-")
        before = published.models_version.split("-") if published else ["", ""]
        changed = _Changed(models=before[0] != models, seeds=before[-1] != seeds)
        is_built = published is not None and published.load_id == ((loaded and loaded[0]) or 0)
        current = is_built and not changed.models and not changed.seeds
        outcome = Build(report, published=current, was_current=current)
        if current:
            _count_rejected(connection, outcome)
    return outcome, changed


@contextmanager
def _warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to the newest state of the warehouse; its errors become one for people."""
    connection = warehouse.connect()
    try:
        with warehouse.writing():
            warehouse.attach_writer(connection)
            yield connection
    finally:
        connection.close()


def _build(
    outcome: Build,
    project: Path,
    changed: _Changed,
    say: Callable[[str], None],
    progress: Progress,
    verbose: bool,
) -> None:
    from exporter import dbt_plugin

    dbt_plugin.current = dbt_plugin.Invocation(say=say, report=outcome.report)
    arguments = ["build", "--exclude-resource-type", "unit_test", "--no-write-json"]
    if not (changed.models or changed.seeds):
        # Views and seeds are as they were: making them again would only add snapshots. Audited is
        # what is stored, and the views that verdicts are read from, and whatever has a test of its
        # own; dbt build and dbt test audit the rest.
        marts = [f"resource_type:test,path:models/marts/{part}" for part in ("runs", "sli", "slo")]
        arguments += ["--select", "config.materialized:incremental", "test_type:singular", *marts]
        arguments += ["--exclude", "path:seeds", "assert_seeds_name_what_exists"]
        # a test stays unless all that it reads is excluded
        arguments += ["--indirect-selection", "cautious"]
    result = _dbt(arguments, project, progress, verbose)
    outcome.published = bool(dbt_plugin.current.published)
    if dbt_plugin.current.failure is not None:
        raise dbt_plugin.current.failure
    errors = []
    for item in getattr(result.result, "results", None) or []:
        status = str(item.status)
        if status == "fail":
            outcome.failed_tests.append(
                f"{item.node.name[:80]}: {one_line_of(item.message)}{_offender(item.node)}"
            )
        elif status == "error":
            errors.append(f"{item.node.name}: {one_line_of(item.message)}")
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ModelError(
            f"dbt could not build {errors[0]}{more}; the last published state stays; "
            "see all of it with -v"
        )
    if result.exception is not None:
        raise ModelError(f"dbt stopped: {one_line(result.exception)}; see all of it with -v")
    if not outcome.failed_tests and not outcome.published:
        raise ModelError("dbt finished but nothing was published; see why with -v")


def _offender(node: Any) -> str:
    """Return the first row that a data test found, as JSON, where it can be asked for again."""
    try:
        with _warehouse() as connection:
            touched.make_room(connection)
            touched.touch(connection, -1)
            row = connection.execute(
                f"select to_json(found)::varchar from ({node.compiled_code}) as found limit 1"
            ).fetchone()
    except (duckdb.Error, WarehouseError):  # it needs what only dbt's session knows
        return ""
    if row is None:
        return ""
    message = json.loads(row[0]).get("message")
    return f": {message}" if message else f", such as {row[0][:200]}"


def one_line_of(message: str | None) -> str:
    """Return dbt's message without its line breaks and headings."""
    lines = [line.strip() for line in (message or "no message").splitlines() if line.strip()]
    text = " ".join(lines[1:3] if len(lines) > 1 and lines[0].endswith(")") else lines[:2])
    return text[:300] + more_memory(text)


def _count_rejected(connection: duckdb.DuckDBPyConnection, outcome: Build) -> None:
    known = connection.execute(
        "select count(*) from duckdb_tables() where database_name = 'lake' "
        "and schema_name = 'marts' and table_name = 'rejected_rows'"
    ).fetchone()
    if known and known[0]:
        row = connection.execute(
            "select count(*) filter (load_id = ?), count(*) from lake.marts.rejected_rows",
            [outcome.report.load_id or -1],
        ).fetchone()
        outcome.rejected, outcome.rejected_in_all = row or (0, 0)
        if outcome.rejected and outcome.report.load_id is not None:
            with suppress(duckdb.CatalogException):  # a failed test kept it from being built
                outcome.mostly_rejected = mostly_rejected(connection, outcome.report.load_id)


def _name_of(manifest: dict[str, Any], unique_id: str) -> str:
    """Return a model's or seed's name, or a source's with its schema before it."""
    if unique_id in manifest["sources"]:
        source = manifest["sources"][unique_id]
        return f"{source['schema']}.{source['identifier']}"
    return str(manifest["nodes"][unique_id]["alias"])


def _parents(manifest: dict[str, Any], node: dict[str, Any]) -> list[str]:
    """Return the names of what a node selects from; what is a CTE of it counts as part of it."""
    parents: dict[str, None] = {}
    for unique_id in node["depends_on"]["nodes"]:
        if _is_cte(parent := manifest["nodes"].get(unique_id, {})):
            parents |= dict.fromkeys(_parents(manifest, parent))
        else:
            parents[_name_of(manifest, unique_id)] = None
    return list(parents)


def _is_cte(node: dict[str, Any]) -> bool:
    """Tell whether a node is no relation, but a CTE of those that select from it."""
    return bool(node) and node["config"]["materialized"] == "ephemeral"


def compile_models(project: Path, verbose: bool = False) -> str:
    """Compile the models for direct use; return models, seeds and data tests as JSON text.

    Raises:
        ModelError: a model does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="docstokg-") as target:
        result = _dbt(
            ["compile", "--target", "direct"], project, _no_progress, verbose, Path(target)
        )
        if not result.success:
            problems = [
                one_line_of(item.message)
                for item in getattr(result.result, "results", None) or []
                if str(item.status) == "error"
            ]
            reason = problems[0] if problems else one_line_of(str(result.exception))
            raise ModelError(f"the models do not compile: {reason}")
        manifest = json.loads((Path(target) / "manifest.json").read_text("utf-8"))
    models = [
        {
            "name": node["alias"],
            "schema": node["schema"],
            "sql": node["compiled_code"],
            "stored": node["config"]["meta"].get(
                "stored_when_direct", node["config"]["materialized"] == "incremental"
            ),
            "depends_on": _parents(manifest, node),
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and not _is_cte(node)
    ]
    seeds = [
        {
            "name": node["alias"],
            "schema": node["schema"],
            "csv": (project / node["original_file_path"]).read_text("utf-8"),
            "types": node["config"]["column_types"],
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "seed"
    ]
    tests = [
        {
            "name": node["alias"],
            "sql": node["compiled_code"],
            "depends_on": _parents(manifest, node),
            "when_compiled": node["config"]["meta"].get("when_compiled", False),
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    ]
    return json.dumps({"models": models, "seeds": seeds, "tests": tests})


def _no_progress(done: str, number: int, total: int) -> None:
    return None


def _dbt(
    arguments: list[str],
    project: Path,
    progress: Progress,
    verbose: bool,
    target: Path | None = None,
) -> dbtRunnerResult:
    """Invoke dbt in this process; what it prints goes to stderr."""
    with _quiet_imports():
        from dbt.cli.main import dbtRunner

    def on_event(event: Any) -> None:
        info = event.info
        if info.name in ("LogModelResult", "LogTestResult", "LogSeedResult"):
            node = event.data.node_info.node_name
            total = getattr(event.data, "total", 0) or getattr(event.data, "num_models", 0)
            progress(str(node), int(event.data.index), int(total))

    target = target or warehouse_dir() / "dbt" / "target"
    level = "info" if verbose else "none"
    with redirect_stdout(sys.stderr), _disconnecting():
        return dbtRunner(callbacks=[on_event]).invoke(
            [
                "--log-level",
                level,
                "--log-level-file",
                "none",  # dbt writes out each of its 2,000 events, whichever of them the file takes
                "--log-path",
                str(target.parent / "logs" if target.name == "target" else target),
                "--no-use-colors" if not sys.stderr.isatty() else "--use-colors",
                *arguments,
                "--project-dir",
                str(project),
                "--profiles-dir",
                str(project),
                "--target-path",
                str(target),
            ]
        )


@contextmanager
def _disconnecting() -> Iterator[None]:
    try:
        yield
    finally:
        from exporter import dbt_plugin

        dbt_plugin.disconnect()


@contextmanager
def _quiet_imports() -> Iterator[None]:
    logging.getLogger("dbt").setLevel(logging.WARNING)
    yield
