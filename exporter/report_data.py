"""What the report tells: read from the marts, never computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from exporter import budgets, diagnosis, direct, results, trend_points
from exporter.budgets import Budgets
from exporter.comparison import BASELINE, VIEW, Comparison, compare
from exporter.definitions import Definition, definitions
from exporter.direct_find import Found
from exporter.errors import TelemetryError, UsageError
from exporter.results import (
    BUDGET_MODELS,
    DIAGNOSIS_MODELS,
    REGRESSION_MODELS,
    REPORT_MODELS,
    TREND_MODELS,
    Row,
    rows,
)
from exporter.sources import Skipped
from exporter.trend_points import Trends, Wanted

LATEST: Final = "latest"
#: Scopes of what can fail a run.
OF_RUNS: Final = ("run", "run_role")
_TICK: Final = timedelta(microseconds=1)
_RUN: Final = (
    "select i.*, s.requests, s.artifacts from lake.marts.run_inventory as i "
    "join lake.marts.run_slis as s on i.run_id = s.run_id"
)


@dataclass(frozen=True)
class Asked:
    """What a report is asked for.

    Attributes:
        run: a run id, or ``latest``.
        last: how many runs, days or weeks it looks back.
        by: what a point of a trend is measured over: run, day or week.
        as_of: nothing later counts, UTC; None for the end of the run.
    """

    run: str = LATEST
    last: int = 30
    by: str = "run"
    as_of: datetime | None = None


@dataclass(frozen=True)
class Report:
    """All that a report tells.

    Attributes:
        run: the run's row of run_inventory, with how many requests and artifacts it had.
        verdict: its row of run_verdicts.
        slos: its rows of slo_verdicts, what fails first.
        budgets: error budgets as of the moment of the report.
        trends: of the run and its roles.
        runs: the runs it looks back on, the latest last: start, verdict, SLIs, and which SLOs
            of the whole run are missed.
        streaks: rows of slo_streaks: since when SLOs are missed, the longest first.
        turned: the run whose changes explain most, held against those before it: this one if an
            SLI of it got worse, else the one since which an SLO is missed.
        distribution: rows of ttfp_distribution.
        funnel: the run's rows of resolver_funnel.
        heat: rows of host_heat.
        openings: when breakers were open in the run: rows of breaker_intervals.
        quality: rows of data_quality.
        skipped: sources that could not be read.
        definitions: what each number means.
        as_of: nothing later counts, UTC.
        made_at: when it was made, UTC.
        source: what it was read from.
    """

    run: Row
    verdict: Row
    slos: list[Row]
    budgets: Budgets
    trends: Trends
    runs: list[Row]
    streaks: list[Row]
    turned: Comparison
    distribution: list[Row]
    funnel: list[Row]
    heat: list[Row]
    openings: list[Row]
    quality: list[Row]
    skipped: list[Skipped]
    definitions: list[Definition]
    as_of: datetime
    made_at: datetime
    source: str


def from_warehouse(asked: Asked, project: Path) -> Report:
    """Read a report of what the warehouse holds.

    Raises:
        TelemetryError: the run is unknown, nothing is published, or by other models.
    """
    from exporter.chosen_runs import current

    with current(project) as connection:
        skips = rows(
            connection,
            "select path, reason from lake.meta.load_skips "
            "where load_id = (select max(load_id) from lake.meta.loads) order by path",
        )
        skipped = [Skipped(skip["path"], skip["reason"]) for skip in skips]
        return read(connection, asked, "the warehouse", project, skipped)


def from_files(names: Sequence[str], asked: Asked, compiled: Path, project: Path) -> Report:
    """Read a report straight from files, of the runs that it looks back on.

    Raises:
        NoSuchRun: the run is not in the files.
        TelemetryError: no source could be read, they hold no run, or a model failed.
    """

    def beside(found: Found, known: Sequence[Found]) -> Sequence[Found]:
        moment = asked.as_of
        if moment is not None:
            until = moment.replace(tzinfo=UTC).timestamp()
        elif asked.run == LATEST:
            until = float("inf")
        else:
            until = found.latest
            moment = datetime.fromtimestamp(until, UTC).replace(tzinfo=None)
        since = budgets.window_start(compiled, moment or _ended(found))
        earlier = [o for o in known if o.latest <= until and o.run_id != found.run_id]
        recent = [o for o in earlier if o.latest >= since]
        return earlier[: max(asked.last, len(recent))]

    wanted = dict.fromkeys(
        (*TREND_MODELS, *REPORT_MODELS, *BUDGET_MODELS, *REGRESSION_MODELS, *DIAGNOSIS_MODELS)
    )
    over = (*diagnosis.VIEWS, VIEW)
    with direct.opened(
        names, asked.run, compiled, list(wanted), beside, over, archives=True
    ) as opened:
        return read(opened.connection, asked, ", ".join(names), project, opened.skipped)


def _ended(found: Found) -> datetime | None:
    if found.latest in (float("inf"), float("-inf")):
        return None
    return datetime.fromtimestamp(found.latest, UTC).replace(tzinfo=None)


def read(
    connection: duckdb.DuckDBPyConnection,
    asked: Asked,
    source: str,
    project: Path,
    skipped: Sequence[Skipped] = (),
) -> Report:
    """Ask the marts for all that a report tells.

    Args:
        connection: has the marts, in a warehouse or built over files.
        asked: which run, how far back, and when.
        source: where the marts are, for people.
        project: the dbt project, whose descriptions say what each number means.
        skipped: sources that could not be read.

    Raises:
        TelemetryError: the run is unknown, or none had ended by then.
    """
    run = _run(connection, asked)
    run_id = str(run["run_id"])
    as_of = asked.as_of or _after(run) or budgets.utc(datetime.now(UTC))
    chosen = [
        str(row["run_id"])
        for row in rows(
            connection,
            "select run_id from lake.marts.run_inventory where last_event_at <= ? "
            "and (last_event_at, run_id) <= (?::timestamp, ?) "
            "order by last_event_at desc, run_id desc limit ?",
            *(as_of, run["last_event_at"], run_id, asked.last),
        )
    ] or [run_id]
    trends = trend_points.read(connection, Wanted(asked.by, asked.last), source, as_of)
    found = budgets.read(connection, as_of, {}, source)
    _choose(connection, chosen)
    streaks = rows(
        connection,
        "select * from lake.marts.slo_streaks order by "
        "list_position(['run', 'run_role', 'run_host'], scope), runs_missed desc, slo, subject",
    )
    turned = _turned(connection, run_id, streaks, source)
    connection.execute("set variable diagnosed_run = ?::varchar", [run_id])
    _choose(connection, chosen)
    return Report(
        run=run,
        verdict=rows(connection, "select * from lake.marts.run_verdicts where run_id = ?", run_id)[
            0
        ],
        slos=rows(
            connection,
            "select * from lake.marts.slo_verdicts where run_id = ? "
            "order by list_position(['fail', 'no_data', 'pass'], status), "
            "list_position(['run', 'run_role', 'run_host'], scope), relative_distance, "
            "slo, subject",
            run_id,
        ),
        budgets=found,
        trends=trends,
        runs=_runs(connection, chosen),
        streaks=streaks,
        turned=turned,
        distribution=rows(
            connection, "select * from lake.marts.ttfp_distribution order by side desc, place"
        ),
        funnel=rows(
            connection,
            "select * from lake.marts.resolver_funnel where run_id = ? order by place",
            run_id,
        ),
        heat=rows(connection, "select * from lake.marts.host_heat order by place, cell_at"),
        openings=rows(
            connection,
            "select * from lake.marts.breaker_intervals where run_id = ? order by opened_at, host",
            run_id,
        ),
        quality=rows(
            connection,
            "select * from lake.marts.data_quality order by amount desc, kind, subject, reason",
        ),
        skipped=list(skipped),
        definitions=definitions(project),
        as_of=as_of,
        made_at=budgets.utc(datetime.now(UTC)),
        source=source,
    )


def _turned(
    connection: duckdb.DuckDBPyConnection, run_id: str, streaks: Sequence[Row], source: str
) -> Comparison:
    """Hold the run whose changes explain most against those before it.

    It is this one if an SLI of it got worse, else the first since which an SLO is missed.
    """
    own = compare(connection, BASELINE, run_id, source)
    if own.is_worse:
        return own
    for streak in streaks:
        if streak["scope"] in OF_RUNS and streak["was_met_before"]:
            return compare(connection, BASELINE, str(streak["since_run_id"]), source)
    return own


def _choose(connection: duckdb.DuckDBPyConnection, runs: Sequence[str]) -> None:
    connection.execute("set variable chosen_runs = ?::varchar[]", [list(runs)])


def _run(connection: duckdb.DuckDBPyConnection, asked: Asked) -> Row:
    """Return the run's row of run_inventory, and how many requests and artifacts it had."""
    if asked.run != LATEST:
        found = rows(connection, f"{_RUN} where i.run_id = ?", asked.run)
        if not found:
            raise TelemetryError(f"run {asked.run!r} is unknown: see docstokg-telemetry runs")
        ended = found[0]["last_event_at"]
        if asked.as_of is not None and ended is not None and ended > asked.as_of:
            raise UsageError(
                f"run {asked.run!r} had not ended by --as-of {asked.as_of} UTC; its last event is "
                f"of {ended:%Y-%m-%d %H:%M:%S} UTC: name a later moment, or an earlier run"
            )
        return found[0]
    found = rows(
        connection,
        f"{_RUN} where i.last_event_at <= coalesce(?, 'infinity'::timestamp) "
        "order by i.last_event_at desc nulls last, i.run_id desc limit 1",
        asked.as_of,
    )
    if found:
        return found[0]
    results.latest_run(connection)  # says so where there is none at all
    if asked.as_of is None:
        raise TelemetryError("no run has an event with a time: see docstokg-telemetry runs")
    raise TelemetryError(f"no run had ended by {asked.as_of} UTC: see docstokg-telemetry runs")


def _after(run: Row) -> datetime | None:
    """Return the moment just after a run, at which its last event counts."""
    ended: datetime | None = run["last_event_at"]
    return None if ended is None else ended + _TICK


def _runs(connection: duckdb.DuckDBPyConnection, chosen: Sequence[str]) -> list[Row]:
    """Return the runs a report looks back on, the latest last."""
    return rows(
        connection,
        "select i.started_at, i.length_s, i.is_finished, i.last_event_at, v.verdict, v.has_passed, "
        "v.slos_failed, m.missed, s.* from lake.marts.run_inventory as i "
        "join lake.marts.run_slis as s on i.run_id = s.run_id "
        "join lake.marts.run_verdicts as v on i.run_id = v.run_id "
        "left join (select run_id, list(slo) as missed from lake.marts.slo_verdicts "
        "where scope = 'run' and status = 'fail' group by run_id) as m on i.run_id = m.run_id "
        "where list_contains(?::varchar[], i.run_id) order by i.last_event_at, i.run_id",
        list(chosen),
    )
