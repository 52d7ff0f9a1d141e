"""The command that proposes SLO targets from how runs did, and edits the seed on request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exporter import output
from exporter.errors import UsageError
from exporter.load_first import load_first, runs_of
from exporter.options import Format, OutputFormat, Project, Verbose

if TYPE_CHECKING:
    from exporter.results import Row

EXAMPLE: Final = "Example: docstokg-telemetry tune --runs since:28d --share 95 --write"
_SEED: Final = Path("seeds") / "slo_targets.csv"
#: Decimals of a share that slo_proposals reckons with.
_DECIMALS: Final = 4
_SQL: Final = (
    "select b.*, p.* exclude (slo, scope, subject, comparator, target, unit, runs, observations) "
    "from lake.marts.slo_baselines as b join lake.marts.slo_proposals as p "
    "on b.slo = p.slo and b.scope = p.scope and b.subject is not distinct from p.subject "
    "order by list_position(['run', 'run_role', 'run_host'], b.scope), b.slo, "
    "b.subject nulls first"
)


def tune(
    db: Annotated[
        list[str] | None,
        typer.Option(
            "--db",
            metavar="FILE|DIR|GLOB",
            help="Load what is new in this telemetry, and keep to its runs; may be repeated.",
        ),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--runs",
            metavar="N|since:WHEN|IDS",
            help="The latest N runs, those since 14d or 2025-10-01, or run ids with commas; "
            "all by default.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--share",
            help="Percent of runs that are to meet a target; the project's tune_share_pct (90) "
            "by default.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="RUN", help="Leave this run out; may be repeated."),
    ] = None,
    keep_all: Annotated[
        bool,
        typer.Option("--keep-all", help="Let runs count that are far worse than the usual run."),
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the new targets.")] = False,
    output_format: Format = OutputFormat.text,
    project_dir: Project = None,
    verbose: Verbose = False,
) -> None:
    """Propose SLO targets that a share of the runs would meet, as a diff of the seed."""
    if share is not None and not (0 < share <= 100 and round(share, _DECIMALS) == share):
        raise UsageError(
            f"--share is a percentage above 0, up to 100, of at most {_DECIMALS} decimals"
        )
    from exporter import seed
    from exporter.paths import project_dir as find_project

    skipped = load_first(db, project_dir, verbose)
    among = set().union(*runs_of(db, project_dir, verbose).values()) if db else None
    chosen, rows = _ask(project_dir, _Wish(runs or [], without or [], among, share, keep_all))
    path = find_project(project_dir) / _SEED
    before = seed.read(path)
    after = seed.with_targets(before, _changes(rows))
    difference = seed.diff(before, after, _SEED.as_posix())
    is_written = write and before != after
    if is_written:
        seed.write(path, after)
    if output_format is OutputFormat.json:
        from exporter.render import print_json

        answer: dict[str, Any] = {"runs": chosen, "targets": rows}
        print_json(answer | {"seed": str(path), "diff": difference, "is_written": is_written})
    else:
        from exporter.render_tune import print_proposals

        print_proposals(rows, len(chosen), difference)
    output.complain(_closing(path, before != after, is_written))
    raise typer.Exit(1 if skipped else 0)


@dataclass(frozen=True)
class _Wish:
    """Which runs are meant, as the options say, and how many are to meet a target."""

    words: list[str]
    without: list[str]
    among: set[str] | None
    share: float | None
    keep_all: bool


def _ask(project_dir: Path | None, wish: _Wish) -> tuple[list[str], list[Row]]:
    """Return the runs that are meant, and baseline and proposal of each row of the seed."""
    from exporter import chosen_runs, results

    with chosen_runs.current(project_dir) as connection:
        chosen = chosen_runs.choose(connection, wish.words, wish.among, wish.without)
        if not chosen:
            raise UsageError(f"no run is meant: {chosen_runs.latest(connection, wish.among)}")
        connection.execute("set variable tune_share_pct = ?::double", [wish.share])
        spreads = math.inf if wish.keep_all else None
        connection.execute("set variable tune_outlier_spreads = ?::double", [spreads])
        return chosen, results.rows(connection, _SQL)


def _changes(rows: list[Row]) -> dict[tuple[str, str, str], float]:
    """Return the targets that are to change, by row of the seed."""
    return {
        (row["slo"], row["scope"], row["subject"] or ""): row["proposed_target"]
        for row in rows
        if row["proposal"] in ("tighter", "looser")
    }


def _closing(path: Path, has_changes: bool, is_written: bool) -> str:
    if not has_changes:
        return f"no other target is proposed: {path} stays as it is"
    if not is_written:
        return f"nothing was written: --write writes {path}"
    return (
        f"written: {path}; next, docstokg-telemetry run judges all runs by it, and make monitoring "
        "makes alerts and dashboard of it"
    )
