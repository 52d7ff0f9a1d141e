"""The command that tells whether a phase of the rollout has succeeded, as a checklist."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exporter.errors import TelemetryError
from exporter.load_first import load, runs_of
from exporter.options import Format, OutputFormat, Project, Verbose, named
from exporter.progress import progress

if TYPE_CHECKING:
    from exporter.gate_seen import Context, Seen
    from exporter.results import Row

EXAMPLE: Final = (
    "Example: docstokg-telemetry gate ramp --db 'runs/*/manifest.sqlite3' "
    "--metrics-url http://127.0.0.1:9108/metrics"
)
#: Production looks back as far as the SLOs do.
_WINDOW: Final = "select ceil(max(window_days))::integer as days from lake.marts.slo_targets"


class Phase(StrEnum):
    """A phase of the rollout."""

    pilot = "pilot"
    ramp = "ramp"
    production = "production"


def gate(
    phase: Annotated[Phase, typer.Argument(help="pilot, ramp or production.")],
    db: Annotated[
        list[str] | None,
        typer.Option(
            "--db",
            metavar="FILE|DIR|GLOB",
            help="Telemetry of the phase's runs, loaded first; may be repeated; without it, "
            "DOCSTOKG_TELEMETRY_DB_PATH.",
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--days",
            min=1,
            max=36_500,
            help="Only runs of the last days; for production as long as the SLOs' window.",
        ),
    ] = None,
    log: Annotated[
        list[Path] | None, typer.Option("--log", help="The crawler's log; may be repeated.")
    ] = None,
    metrics_url: Annotated[
        str | None,
        typer.Option("--metrics-url", help="The exporter to scrape; one is started without it."),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", help="Folder to keep the Parquet files in; none by default."),
    ] = None,
    expected: Annotated[
        Path | None,
        typer.Option("--expected", help="The runs that were started: a run id on each line."),
    ] = None,
    run_folders: Annotated[
        str | None,
        typer.Option(
            "--run-folders", help="Quoted glob of run folders that should hold telemetry."
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option("--rules", help="Quoted glob of alert rules; the project's by default."),
    ] = None,
    prometheus_url: Annotated[
        str | None, typer.Option("--prometheus-url", help="Prometheus, to ask for its alerts.")
    ] = None,
    grafana_url: Annotated[
        str | None, typer.Option("--grafana-url", help="Grafana, to ask for the dashboard.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look for URLs in every row, not only in the newest.")
    ] = False,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Check a rollout phase's success criteria; what nobody measured is said, and never passed."""
    from exporter.gate_seen import Context

    if run_folders is not None:
        from exporter.gate_files import folders

        folders(run_folders)  # a mistyped glob is told before anything is loaded
    names = named(db, required=True)
    outcome = load(names, project_dir, verbose)
    if outcome.failed_tests:
        raise TelemetryError(
            "a data test failed, so that what is new is not published and cannot be judged: "
            f"{outcome.failed_tests[0]}"
        )
    context = Context(
        names=names,
        runs_of=runs_of(names, project_dir, verbose),
        project_dir=project_dir,
        deep=deep,
        logs=log or [],
        metrics_url=metrics_url,
        parquet=parquet,
        expected=expected,
        run_folders=run_folders,
        rules=rules,
        prometheus_url=prometheus_url,
        grafana_url=grafana_url,
    )
    verdicts, has_passed, since = _judge(context, phase, days)
    skipped = [skip.path for skip in outcome.report.skipped]
    has_passed = has_passed and not skipped  # what was not read may fail
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        answer: dict[str, Any] = {"phase": phase.value, "passed": has_passed, "days": since}
        print_json(answer | {"runs": context.runs, "skipped": skipped, "criteria": verdicts})
    else:
        from exporter.render_gate import print_checklist

        print_checklist(phase.value, verdicts, len(context.runs), since, has_passed)
    raise typer.Exit(0 if has_passed else 1)


def _judge(context: Context, phase: Phase, days: int | None) -> tuple[list[Row], bool, int | None]:
    """Return a phase's verdicts in their order, whether it passed, and the days it looks back.

    Args:
        context: what there is to look at; its runs are chosen here.
        phase: the phase.
        days: only runs of the last days; None for all of the files, for production for those of
            the SLOs' window.
    """
    from exporter import chosen_runs, gate_seen, results

    among = set().union(*context.runs_of.values())
    with chosen_runs.current(context.project_dir) as connection:
        if days is None and phase is Phase.production:
            (window,) = results.rows(connection, _WINDOW)
            days = int(window["days"])
        words = [f"since:{days}d"] if days else []
        context.runs = chosen_runs.choose(connection, words, among)
        wanted = [
            str(row["criterion"])
            for row in results.rows(
                connection,
                "select criterion from lake.marts.gate_criteria where phase = ? order by place",
                phase.value,
            )
        ]
        seen: list[Seen] = []
        with progress("looking", verbose=False) as (_, step):
            looks = [name for name in wanted if name in gate_seen.LOOKS]
            for number, name in enumerate(looks):
                step(name, number, len(looks))
                seen.append(gate_seen.look(name, context, connection))
        connection.execute("set variable gate_seen = ?", [gate_seen.as_json(seen)])
        verdicts = results.rows(
            connection,
            "select * exclude (phase, place) from lake.marts.gate_verdicts where phase = ? "
            "order by place",
            phase.value,
        )
    has_passed = all([verdict.pop("has_phase_passed") for verdict in verdicts])
    return verdicts, has_passed, days
