"""What the models say of a run held against others: read, never computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb

from exporter import diagnosis, direct, results
from exporter.compiled import Models
from exporter.direct_find import Found, NoSuchRun, chosen
from exporter.errors import TelemetryError, UsageError
from exporter.raw_schema import TELEMETRY
from exporter.results import (
    DIAGNOSIS_MODELS,
    REGRESSION_MODELS,
    Row,
    Summary,
    ask_diagnosis,
    rows,
)
from exporter.sources import Skipped

#: A word for the runs that had ended before, as regression_baselines has them.
BASELINE: Final = "baseline"
LATEST: Final = "latest"
#: The view over REGRESSION_MODELS and the views of a diagnosis that says who explains a change.
VIEW: Final = "regression_explanations"
_NAMED: Final = 5
_KEY: Final = ("slo", "scope", "subject")
_OF_RUNS: Final = ("run", "run_role")
#: Verdicts that have explanations.
_CHANGED: Final = ("worse", "better")
#: Counts of a run's rows, in run_inventory, by which it is known whether all of them are loaded.
_COUNTED: Final = tuple(table for table in TELEMETRY if table != "run_summary")


@dataclass(frozen=True)
class Comparison:
    """A run held against others.

    Attributes:
        run_id: the run.
        against: the run that it is held against, or ``baseline``.
        source: the file it was read from, or the warehouse.
        baselines: the runs it is held against.
        slis: rows of regressions of the run and its roles, each with its explanations.
        members: rows of regressions of hosts and resolvers.
        skipped: sources that could not be read.
    """

    run_id: str
    against: str
    source: str
    baselines: list[str]
    slis: list[Row]
    members: list[Row]
    skipped: list[Skipped]

    @property
    def is_worse(self) -> bool:
        """Tell whether an SLI of the run, or of one of its roles, is worse."""
        return any(sli["verdict"] == "worse" for sli in self.slis)

    def as_json(self) -> Row:
        """Return the whole answer for scripts; null is no data."""
        return {
            "run_id": self.run_id,
            "against": self.against,
            "source": self.source,
            "baseline_run_ids": self.baselines,
            "is_worse": self.is_worse,
            "slis": self.slis,
            "members": self.members,
        }


def compare(
    connection: duckdb.DuckDBPyConnection,
    old: str,
    new: str,
    source: str,
    skipped: Sequence[Skipped] = (),
) -> Comparison:
    """Read what the models say of a run against another one.

    Args:
        connection: has the models, in a warehouse or built over files.
        old: a run id, or ``baseline``: the runs before the new one.
        new: the run that is held against it.
        source: where the models were read from, for people.
        skipped: sources that could not be read.

    Raises:
        TelemetryError: a run is unknown.
        UsageError: a run would be compared with itself.
    """
    known = [
        str(row["run_id"])
        for row in rows(
            connection,
            "select run_id from lake.marts.run_inventory "
            "order by last_event_at desc nulls last, run_id desc",
        )
    ]
    for name in (new, *([] if old == BASELINE else [old])):
        if name not in known:
            raise TelemetryError(_unknown(name, source, known))
    _must_differ(old, new)
    ask(connection, new)
    ask_diagnosis(connection, new, old)
    found = rows(
        connection,
        "select * from lake.marts.regressions where run_id = ? "
        "order by list_position(['run', 'run_role', 'run_resolver', 'run_host'], scope), slo, "
        "subject",
        new,
    )
    slis = [row for row in found if row["scope"] in _OF_RUNS]
    explained = []
    if any(sli["verdict"] in _CHANGED for sli in slis):  # of others the view has no row
        explained = rows(connection, f"select * from lake.diagnosis.{VIEW} order by place, segment")
    for sli in slis:
        key = [sli[column] for column in _KEY]
        sli["explanations"] = [row for row in explained if [row[c] for c in _KEY] == key]
    baselines = next((list(row["baseline_run_ids"]) for row in found), [])
    members = [row for row in found if row["scope"] not in _OF_RUNS]
    return Comparison(new, old, source, baselines, slis, members, list(skipped))


def ask(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Let the models of regressions know which run they are read of, so that they do no more."""
    connection.execute("set variable chosen_runs = ?::varchar[]", [[run_id]])


def with_regressions(
    summary: Summary, connection: duckdb.DuckDBPyConnection | None = None
) -> Summary:
    """Return a summary with the run's rows of regressions, against the runs before it.

    Args:
        summary: of a run.
        connection: the warehouse that it was read from. Without one, where a file told it, the
            warehouse is asked for what it knows of the runs before: nothing, unless it has loaded
            as many rows of the run as the file has.
    """
    if connection is not None:
        return replace(summary, regressions=_regressions(connection, summary.run["run_id"]))
    from exporter.query import published

    try:
        with published() as lake:
            (loaded,) = rows(
                lake,
                "select * from lake.marts.run_inventory where run_id = ?",
                summary.run["run_id"],
            ) or [{}]
            if any(loaded.get(table) != summary.run[table] for table in _COUNTED):
                return summary
            return with_regressions(summary, lake)
    except TelemetryError:
        return summary


def _regressions(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[Row] | None:
    """Return a run's rows of itself and its roles; None from models that knew no regressions."""
    ask(connection, run_id)
    try:
        return rows(
            connection,
            "select * from lake.marts.regressions where run_id = ? and scope in (?, ?) "
            "order by scope, slo, subject",
            run_id,
            *_OF_RUNS,
        )
    except duckdb.CatalogException:
        return None


def from_warehouse(old: str, new: str, project: Path | None) -> Comparison:
    """Compare runs that the warehouse holds.

    Raises:
        TelemetryError: as `compare`; or nothing is published, or by other models.
    """
    from exporter.chosen_runs import current

    with current(project) as connection:
        latest = results.latest_run(connection)
        meant, run = (latest if name == LATEST else name for name in (old, new))
        return compare(connection, meant, run, "the warehouse")


def from_files(names: Sequence[str], old: str, new: str, compiled: Path) -> Comparison:
    """Compare runs straight from their files.

    Raises:
        NoSuchRun: a run is not in the files.
        TelemetryError: as `compare`; or no file could be read.
    """
    meant = old

    def beside(found: Found, known: Sequence[Found]) -> Sequence[Found]:
        nonlocal meant
        if old == BASELINE:
            return before(compiled, found, known)
        try:
            named = chosen(known, [found.source], old)
        except NoSuchRun:
            runs = [other.run_id for other in known]
            raise NoSuchRun(_unknown(old, found.source.path, runs)) from None
        meant = named.run_id
        _must_differ(meant, found.run_id)
        return [named]

    wanted = (*REGRESSION_MODELS, *DIAGNOSIS_MODELS)
    over = (*diagnosis.VIEWS, VIEW)
    with direct.opened(names, new, compiled, wanted, beside, over, archives=True) as found:
        return compare(found.connection, meant, found.run_id, found.path, found.skipped)


def before(compiled: Path, found: Found, known: Sequence[Found]) -> Sequence[Found]:
    """Return the runs that regression_baselines could choose, so that nothing else is read.

    Args:
        compiled: the compiled models.
        found: the run.
        known: all runs, the latest first.
    """
    models = Models(compiled.read_text("utf-8"))
    row = duckdb.connect(":memory:").execute(models.models["int_baseline_window"]["sql"]).fetchone()
    most, days = (0, 0.0) if row is None else row
    earlier = [
        other
        for other in known
        if (other.latest, other.run_id) < (found.latest, found.run_id)
        and other.latest >= found.latest - days * 86400 - 1
    ]
    return earlier[:most]


def _must_differ(old: str, new: str) -> None:
    if old == new:
        raise UsageError(f"both runs are {new!r}: name two, or {BASELINE} for the runs before it")


def _unknown(run: str, source: str, known: Sequence[str]) -> str:
    names = ", ".join(repr(name) for name in known[:_NAMED])
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    return f"run {run!r} is unknown to {source}: there are {names or 'none'}{more}"
