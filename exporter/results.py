"""What the marts say of one run: read, never computed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from exporter.errors import TelemetryError
from exporter.rejections import SEE_DOCTOR, of_relation

#: The models that a summary needs; first the one that takes longest.
SUMMARY_MODELS = (
    "host_traffic",
    "slo_budgets",
    "run_inventory",
    "run_slis",
    "run_verdicts",
    "slo_verdicts",
    "rejected_rows",
    "misfit_values",
    "recorder_health",
)
#: The models that a diagnosis reads; its own views are built over them.
DIAGNOSIS_MODELS = (
    "diagnosis_components",
    "run_inventory",
    "slo_verdicts",
    "attempt_outcomes",
    "host_responses",
    "resolver_effort",
    "host_pace",
    "breaker_intervals",
    "limiter_blocks",
    "half_done_artifacts",
)
#: The models that error budgets are read from.
BUDGET_MODELS = ("slo_budgets", "slo_burn_rates")
#: The model of the slices that budgets are made of.
SLICES_MODEL = "slo_slices"
#: The model that trends are read from.
TREND_MODELS = ("trend_points",)
#: The models that the report reads, beside those of trends, budgets, regressions, a diagnosis.
REPORT_MODELS = (
    "run_verdicts",
    "run_slis",
    "host_heat",
    "ttfp_distribution",
    "resolver_funnel",
    "slo_streaks",
    "data_quality",
)
#: The models that a comparison of runs reads, beside those of a diagnosis.
REGRESSION_MODELS = ("regressions",)
#: The model whose rows are the samples that Prometheus is told.
SAMPLES_MODEL = "metric_samples"
#: The same, of error budgets: they are of a moment, and not of a run.
BUDGET_SAMPLES_MODEL = "budget_samples"

Row = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """One run's SLIs and verdicts.

    Attributes:
        run: its row of run_inventory.
        slis: its row of run_slis.
        verdict: its row of run_verdicts.
        slos: its rows of slo_verdicts, scope by scope, the worst first.
        hosts: its rows of host_traffic, those with the most errors first.
        rejected_rows: rows of the run that could not be used.
        misfit_values: its rows of misfit_values, the most notable first.
        dropped_events: events that its recorder dropped; None where no recorder says.
        budget: the row of slo_budgets, over the hours of this run alone, that had least left when
            the run ended, roles included; None where none is known.
        regressions: its rows of regressions, of itself and its roles; None where they are not
            known.
    """

    run: Row
    slis: Row
    verdict: Row
    slos: list[Row]
    hosts: list[Row]
    rejected_rows: int
    misfit_values: list[Row]
    dropped_events: int | None
    budget: Row | None
    regressions: list[Row] | None = None

    @property
    def passed(self) -> bool:
        """Tell whether no SLO of the run or of its roles is missed."""
        return bool(self.verdict["has_passed"])

    def as_json(self) -> Row:
        """Return the JSON summary of the contract: times in ISO-8601 UTC, null for no data."""
        slis = {name: value for name, value in self.slis.items() if name != "run_id"}
        keys = ("slo", "scope", "subject", "comparator", "target", "value", "status")
        extra = ("unit", "distance", "sample_size")
        return {
            "run_id": self.run["run_id"],
            "started_at": iso(self.run["started_at"]),
            "finished_at": iso(self.run["finished_at"]),
            **slis,
            "rejected_rows": self.rejected_rows,
            "misfit_values": self.misfit_values,
            "dropped_events": self.dropped_events,
            "passed": self.passed,
            "passed_strictly": bool(self.verdict["has_passed_strictly"]),
            "error_budget": self.budget
            and {
                name: iso(value) if isinstance(value, datetime) else value
                for name, value in self.budget.items()
            },
            "slos": [{key: slo[key] for key in (*keys, *extra)} for slo in self.slos],
            "regressions": self.regressions,
        }


def iso(moment: datetime | None) -> str | None:
    """Return a UTC timestamp of a mart as ISO-8601 text."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def summary(connection: duckdb.DuckDBPyConnection, run_id: str) -> Summary:
    """Read one run's summary from the marts.

    Args:
        connection: has the marts, in a warehouse or built over one file.
        run_id: the run.

    Raises:
        TelemetryError: the marts do not have the run.
    """
    runs = rows(connection, "select * from lake.marts.run_inventory where run_id = ?", run_id)
    if not runs:
        why = of_relation(connection, "lake.marts.rejected_rows", run_id)
        raise TelemetryError(
            f"run {run_id!r} has no row that can be used: {why}; {SEE_DOCTOR}"
            if why
            else f"run {run_id!r} is unknown"
        )
    slos = rows(
        connection,
        "select * from lake.marts.slo_verdicts where run_id = ? "
        "order by list_position(['run', 'run_role', 'run_host'], scope), "
        "list_position(['fail', 'no_data', 'pass'], status), relative_distance, "
        "replace(slo, 'ttfp_wall', 'ttfp_'), subject",
        run_id,
    )
    return Summary(
        run=runs[0],
        slis=rows(connection, "select * from lake.marts.run_slis where run_id = ?", run_id)[0],
        verdict=rows(connection, "select * from lake.marts.run_verdicts where run_id = ?", run_id)[
            0
        ],
        slos=slos,
        hosts=rows(
            connection,
            "select * from lake.marts.host_traffic where run_id = ? "
            "order by errors_place nulls last, host",
            run_id,
        ),
        rejected_rows=rows(
            connection,
            "select count(*) as rejected from lake.marts.rejected_rows where run_id = ?",
            run_id,
        )[0]["rejected"],
        misfit_values=rows(
            connection,
            "select * exclude (run_id) from lake.marts.misfit_values where run_id = ? "
            "order by misfit_pct desc, table_name, column_name",
            run_id,
        ),
        dropped_events=rows(
            connection,
            "select max(events_dropped) as dropped from lake.marts.recorder_health "
            "where run_id = ?",
            run_id,
        )[0]["dropped"],
        budget=_least_budget(connection, run_id, runs[0]["last_event_at"]),
    )


def _least_budget(
    connection: duckdb.DuckDBPyConnection, run_id: str, ended: datetime | None
) -> Row | None:
    """Return the budget of a run's own hours that has least left, of those that can fail a run.

    Straight from a file nothing else is read, and what a warehouse says of a run is the same.
    """
    if ended is None:
        return None
    ask_as_of(connection, ended + timedelta(microseconds=1))  # the last event counts
    connection.execute("set variable chosen_runs = [?]", [run_id])
    try:
        found = rows(
            connection,
            "select slo, scope, subject, as_of, objective_pct, window_days, counted_in, sample, "
            "state, slices_judged, slices_bad, slices_allowed, valid_events, events_bad, "
            "events_allowed, budget_remaining_ratio, ran_out_at from lake.marts.slo_budgets "
            "where scope <> 'run_host' and state in ('within', 'overspent') "
            "order by state, budget_remaining_ratio nulls first, slo, scope, subject limit 1",
        )
    except duckdb.CatalogException:  # a warehouse that models without budgets built
        return None
    finally:
        for variable in ("as_of", "chosen_runs"):
            connection.execute(f"reset variable {variable}")
    return found[0] if found else None


def ask_as_of(connection: duckdb.DuckDBPyConnection, moment: datetime | None) -> None:
    """Let the models know which moment is asked for, UTC; None for now."""
    connection.execute("set variable as_of = ?::timestamp", [moment])


def latest_run(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the run whose events are the latest.

    Raises:
        TelemetryError: there is no run.
    """
    found = connection.execute(
        "select run_id from lake.marts.run_inventory "
        "order by last_event_at desc nulls last, run_id desc limit 1"
    ).fetchone()
    if not found:
        why = of_relation(connection, "lake.marts.rejected_rows")
        raise TelemetryError(
            f"the warehouse holds no run: {why}; {SEE_DOCTOR}"
            if why
            else "the warehouse holds no run: load telemetry with run --db FILE"
        )
    return str(found[0])


def runs(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return all runs with their yield and verdict, the latest last."""
    return rows(
        connection,
        "select i.run_id, i.started_at, i.finished_at, i.last_event_at, i.length_s, i.is_finished, "
        "s.artifacts, s.yield_pct, v.verdict, v.has_passed, v.has_passed_strictly, v.slos_failed, "
        "v.slos_without_data, v.host_slos_failed, i.source_path "
        "from lake.marts.run_inventory as i "
        "join lake.marts.run_slis as s on i.run_id = s.run_id "
        "join lake.marts.run_verdicts as v on i.run_id = v.run_id "
        "order by i.last_event_at nulls first, i.run_id",
    )


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[Row]:
    """Return a query's rows as dictionaries."""
    cursor = connection.execute(sql, list(values))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def ask_diagnosis(connection: duckdb.DuckDBPyConnection, run_id: str, against: str) -> list[Row]:
    """Say which run the views of a diagnosis are about; return those that it is compared with.

    Args:
        connection: has diagnosis_baselines and the views over it.
        run_id: the run.
        against: previous, last-week, baseline or a run id.

    Returns:
        Rows of diagnosis_baselines, the latest first.
    """
    for name, value in (("diagnosed_run", run_id), ("diagnosed_against", against)):
        connection.execute(f"set variable {name} = ?::varchar", [value])
    baselines = rows(
        connection,
        "select * from lake.diagnosis.diagnosis_baselines order by last_event_at desc, run_id",
    )
    known = [row["run_id"] for row in baselines]
    connection.execute("set variable diagnosed_baselines = ?::varchar[]", [known])
    return baselines
