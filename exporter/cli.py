"""The command line: thin; every command hands over to the module that does the work."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exporter import (
    __version__,
    archive,
    backup,
    budget,
    compare,
    diagnose,
    doctor,
    gate,
    jsonl,
    output,
    report,
    restore,
    storage,
    trends,
    tune,
)
from exporter.errors import TelemetryError, UsageError, one_line
from exporter.findings import are, plural
from exporter.load_first import load_first, runs_of
from exporter.options import Db, Format, OutputFormat, Project, Run, Verbose, named
from exporter.process import without_pandas
from exporter.progress import progress
from exporter.raw_schema import as_key

if TYPE_CHECKING:
    from exporter.results import Summary

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="SLOs of the DocsToKG crawler: load its telemetry, test it, and see what it says.\n\n"
    "Exit codes: 0 done; 1 done, and the answer is not good; 2 could not be done.",
)


class TableFormat(StrEnum):
    """How rows are written."""

    table = "table"
    json = "json"
    csv = "csv"
    spreadsheet = "spreadsheet"


class MetricsFormat(StrEnum):
    """How metrics are written."""

    prometheus = "prometheus"
    json = "json"


Runs = Annotated[
    int, typer.Option("--runs", min=1, help="With --run latest: how many runs, the latest first.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        packages = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "dbt-core"))
        typer.echo(f"docstokg-telemetry {__version__} ({packages})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show versions.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: docstokg-telemetry run --db 'runs/*/manifest.sqlite3'")
def run(
    db: Db = None,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Load what is new, build and test all models, and publish the result."""
    from exporter import render, runner
    from exporter.paths import project_dir as find_project
    from exporter.rejections import SEE_DOCTOR

    names = named(db, required=True)
    with progress("loading", verbose) as (say, step):
        outcome = runner.build(names, find_project(project_dir), say, step, verbose)
    for skip in outcome.report.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    for failure in outcome.failed_tests:
        output.complain(f"test failed: {failure}")
    for note in outcome.report.notes:
        output.complain(note)
    for told in outcome.mostly_rejected:
        output.complain(f"{told}; {SEE_DOCTOR}")
    if output_format is OutputFormat.json:
        render.print_json(outcome.as_json())
    else:
        typer.echo(outcome.closing_line())
    is_good = not (outcome.report.skipped or outcome.failed_tests or outcome.mostly_rejected)
    raise typer.Exit(0 if is_good else 1)


@app.command(epilog="Example: docstokg-telemetry runs --output-format json")
def runs(
    db: Db = None,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """List the runs: start, length, yield, verdict. With --db, loads what is new first."""
    from exporter import render, results
    from exporter.query import published

    skipped = load_first(db, project_dir, verbose)
    with published() as connection:
        found = results.runs(connection)
    if output_format is OutputFormat.json:
        render.print_json(found)
    elif found:
        render.print_runs(found)
    else:
        typer.echo("no runs yet")
    raise typer.Exit(1 if skipped else 0)


@app.command(
    epilog="Example: docstokg-telemetry summary --db manifest.sqlite3 --run latest "
    "--output-format json"
)
def summary(
    db: Db = None,
    run: Run = "latest",
    output_format: Format = OutputFormat.text,
    strict: Annotated[
        bool, typer.Option("--strict", help="Let hosts that fail, and missing data, fail the run.")
    ] = False,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Show one run's SLIs and SLO verdicts, straight from the file (or from the warehouse)."""
    from exporter import render
    from exporter.rejections import SEE_DOCTOR, short

    found, source = _summarise(named(db), run, project_dir, verbose)
    if found.dropped_events:
        output.complain(
            f"the recorder dropped {plural(found.dropped_events, 'event')} of this run: what "
            "is shown is of those it kept (why: first_error in recorder_health)"
        )
    for column in found.misfit_values:
        if column["is_notable"]:
            output.complain(
                f"{column['table_name']}.{column['column_name']}: values do not fit in "
                f"{column['misfits']:,} of {plural(column['row_count'], 'row')} and count as "
                f"missing, such as {short(column['example'])}: {SEE_DOCTOR}"
            )
    if output_format is OutputFormat.json:
        render.print_json(found.as_json())
    else:
        render.print_summary(found, source)
    good = found.verdict["has_passed_strictly"] if strict else found.passed
    raise typer.Exit(0 if good else 1)


@app.command(
    epilog="Example: docstokg-telemetry query --query "
    "'select host, http_429_pct from host_slis order by 2 desc' --format csv"
)
def query(
    sql: Annotated[str, typer.Option("--query", help="One SELECT over raw tables and models.")],
    db: Db = None,
    table_format: Annotated[
        TableFormat,
        typer.Option(
            "--format",
            help="table, json, csv (values as they are), or spreadsheet: CSV that runs no formula.",
        ),
    ] = TableFormat.table,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most rows to show.")] = 10_000,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds the query may take.")
    ] = 60.0,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Ask the warehouse in SQL, read-only. With --db, loads what is new first."""
    from exporter import render
    from exporter.query import limited, run_query

    if not math.isfinite(timeout):
        raise UsageError("--timeout is a number of seconds, such as 300")
    skipped = load_first(db, project_dir, verbose)
    with limited(timeout):
        result = run_query(sql, limit, timeout)
    if table_format is TableFormat.json:
        names = render.unique(result.columns)
        render.print_json([dict(zip(names, row, strict=True)) for row in result.rows])
    elif table_format in (TableFormat.csv, TableFormat.spreadsheet):
        is_guarded = table_format is TableFormat.spreadsheet
        render.print_csv(result.columns, result.rows, is_guarded)
    else:
        render.print_table(result.columns, result.rows)
    if result.is_cut:
        output.complain(
            f"only the first {plural(limit, 'row')} {are(limit)} shown: raise --limit for more"
        )
    raise typer.Exit(1 if skipped else 0)


@app.command(
    epilog="Example: docstokg-telemetry export --db manifest.sqlite3 --out archive/parquet"
)
def export(
    out: Annotated[Path, typer.Option("--out", help="Folder for the Parquet files.")],
    db: Db = None,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Write raw tables and marts as Parquet. With --db, loads what is new and keeps to it."""
    from exporter import render
    from exporter.export import export as write

    skipped = load_first(db, project_dir, verbose)
    chosen = runs_of(db, project_dir, verbose) if db else None
    with progress("writing", verbose) as (_, step):
        written = write(out, chosen, step)
    rows = sum(item.rows for item in written)
    if output_format is OutputFormat.json:
        tables = {item.name: item.rows for item in written}
        render.print_json({"out": str(out), "rows": rows, "tables": tables})
        raise typer.Exit(1 if skipped else 0)
    typer.echo(
        f"{plural(len(written), 'table')}, {plural(rows, 'row')}, written to {out} and counted"
    )
    raise typer.Exit(1 if skipped else 0)


@app.command(epilog="Example: docstokg-telemetry metrics --db t.sqlite3 --textfile slo.prom")
def metrics(
    db: Db = None,
    run: Run = "latest",
    runs: Runs = 1,
    textfile: Annotated[
        Path | None,
        typer.Option("--textfile", help="Write to this file, in one step, for the node exporter."),
    ] = None,
    output_format: Annotated[
        MetricsFormat, typer.Option("--output-format", help="prometheus or json.")
    ] = MetricsFormat.prometheus,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Print a run's metrics once, as Prometheus reads them; for batch jobs."""
    import time

    from exporter import exposition, render, samples, warehouse
    from exporter.compiled import compiled_for
    from exporter.paths import project_dir as find_project

    project = find_project(project_dir)
    names = named(db)
    compiled = compiled_for(project, verbose, names)
    collected = samples.collect(names, run, runs, compiled, warehouse.models_version(project))
    for skip in collected.skipped:
        output.complain(f"skipped {skip.path}: {skip.reason}")
    found = (len(collected.read), len(collected.skipped), len(collected.samples))
    own = [*samples.about(collected.models, *found), samples.refreshed(time.time())]
    content = exposition.text([*collected.samples, *own])
    if output_format is MetricsFormat.json:
        render.print_json(collected.as_json())
    elif textfile is None:
        sys.stdout.write(content.decode())
    if textfile is not None:
        exposition.write_textfile(textfile, content)
    raise typer.Exit(1 if collected.skipped else 0)


@app.command(epilog="Example: docstokg-telemetry serve --db 'runs/*/manifest.sqlite3' --port 9108")
def serve(
    db: Db = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="TCP port.")] = 9108,
    poll: Annotated[
        float,
        typer.Option("--poll", min=0.1, max=86400, help="Seconds between looks at the files."),
    ] = 10.0,
    run_id: Annotated[
        str,
        typer.Option(
            "--run-id",
            "--run",
            help="A run id, or latest: follow the newest run.",
            callback=as_key,
        ),
    ] = "latest",
    runs: Runs = 1,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    web_config: Annotated[
        Path | None,
        typer.Option("--web-config", help="TLS and passwords, as other Prometheus exporters do."),
    ] = None,
    build_every: Annotated[
        float,
        typer.Option(
            "--build-every", min=0, help="Least seconds between builds of the warehouse; 0: none."
        ),
    ] = 300.0,
    project_dir: Project = None,
) -> None:
    """Serve the metrics of the latest run to Prometheus, following files as they change."""
    from exporter.follow import Settings
    from exporter.paths import project_dir as find_project
    from exporter.serve import serve as serve_metrics
    from exporter.warehouse import models_version

    names = named(db, required=True)
    for name, value in (("--poll", poll), ("--build-every", build_every)):
        if not math.isfinite(value):
            raise UsageError(f"{name} is a number of seconds, such as 10")
    models = models_version(find_project(project_dir))
    settings = Settings(tuple(names), run_id, runs, poll, build_every, project_dir, models)
    serve_metrics(settings, host, port, web_config)


app.command(epilog=jsonl.EXAMPLE)(jsonl.load_jsonl)
app.command(epilog=archive.EXAMPLE)(archive.archive)
app.command(epilog=compare.EXAMPLE)(compare.compare)
app.command(epilog=diagnose.EXAMPLE)(diagnose.diagnose)
app.command(epilog=budget.EXAMPLE)(budget.budget)
app.command(epilog=doctor.EXAMPLE)(doctor.doctor)
app.command(epilog=backup.EXAMPLE)(backup.backup)
app.command(epilog=restore.EXAMPLE)(restore.restore)
app.command(epilog=report.EXAMPLE)(report.report)
app.command(epilog=trends.EXAMPLE)(trends.trends)
app.command(epilog=tune.EXAMPLE)(tune.tune)
app.command(epilog=gate.EXAMPLE)(gate.gate)
app.command(epilog=storage.EXAMPLE)(storage.storage)


def _summarise(
    names: list[str], run: str, project_dir: Path | None, verbose: bool
) -> tuple[Summary, str]:
    """Read a run's summary from its file; from the warehouse if no file is named or has it."""
    from exporter import direct, results
    from exporter.comparison import with_regressions
    from exporter.compiled import compiled_for
    from exporter.direct_find import NoSuchRun
    from exporter.query import published

    if names:
        compiled = compiled_for(project_dir, verbose, names)
        try:
            with direct.opened(names, run, compiled, results.SUMMARY_MODELS) as found:
                for skip in found.skipped:
                    output.complain(f"skipped {skip.path}: {skip.reason}")
                return with_regressions(results.summary(found.connection, found.run_id)), found.path
        except NoSuchRun as missing:
            try:
                with published() as connection:
                    found_there = results.summary(connection, run)
                    return with_regressions(found_there, connection), "the warehouse"
            except TelemetryError:
                raise missing from None
    with published() as connection:
        run = results.latest_run(connection) if run == "latest" else run
        return with_regressions(results.summary(connection, run), connection), "the warehouse"


def _fail(message: str, code: int = 2) -> None:
    output.complain(f"error: {message}")
    output.drop()
    sys.exit(code)


def _usage(error: typer.TyperException) -> str:
    """Say in one line what is wrong with the command that was typed, and where help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "docstokg-telemetry"
    what = " ".join(error.format_message().split()).rstrip(".")
    return f"{what[:1].lower()}{what[1:]}: see {command} --help"


def main() -> None:
    """Run the command line; every error becomes one line on stderr and exit code 2."""
    output.guard()
    without_pandas()
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except output.OutputClosed:
        output.drop()
        sys.exit(0)
    except typer.TyperException as error:
        _fail(_usage(error))
    except typer.Abort:
        _fail("interrupted", 130)
    except TelemetryError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:  # the last resort: a person gets one line, -v gets the rest
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        _fail(f"unexpected {type(error).__name__}: {one_line(error)} (see more with -v)")
