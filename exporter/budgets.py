"""Error budgets and burn rates at a moment: read from the marts, never computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from exporter import results
from exporter.errors import TelemetryError, UsageError
from exporter.query import published
from exporter.results import BUDGET_MODELS, Row, rows

if TYPE_CHECKING:
    from exporter.direct_find import Found
    from exporter.sources import Skipped

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S

#: What a budget can be, the worst first; beyond the first two it is not known.
STATES = ("overspent", "within", "too_few_slices", "too_few_events", "no_data")
_BUDGETS = (
    f"select * from lake.marts.slo_budgets order by list_position({list(STATES)}, state), "
    "budget_remaining_ratio nulls first, list_position(['run', 'run_role', 'run_host'], scope), "
    "slo, subject nulls first"
)
_KNOWN = "select distinct slo from lake.marts.slo_targets order by slo"
_PERCENT = 100.0
#: Units of the SLOs, and the most that a target can be.
_UNITS = (
    "select slo, any_value(unit) as unit, if(any_value(unit) = '%', 100.0, 'inf'::double) as most "
    "from lake.marts.slo_targets group by slo order by slo"
)
#: The latest hour before a moment; where there is none, the first after it.
_LATEST_HOUR = (
    "select coalesce(max(hour_at) filter (hour_at < ?), min(hour_at)) as hour_at "
    "from lake.marts.slo_slices"
)
_BURN_RATES = "select * from lake.marts.slo_burn_rates order by slo, scope, subject, window_hours"


@dataclass(frozen=True)
class Budgets:
    """The error budgets at a moment.

    Attributes:
        as_of: the end of the window, UTC.
        source: where they were read from.
        budgets: rows of slo_budgets, the worst first, each with its ``burn_rates``.
        skipped: sources that could not be read.
        latest_hour_at: where no run lies in the window, the latest hour before its end in which
            anything was recorded, else the first after it, UTC; None where the window has runs.
    """

    as_of: datetime
    source: str
    budgets: list[Row]
    skipped: list[Skipped]
    latest_hour_at: datetime | None = None

    @property
    def counting(self) -> list[Row]:
        """Return the budgets of runs and of roles: those of hosts fail no run."""
        return [row for row in self.budgets if row["scope"] != "run_host"]

    @property
    def overspent(self) -> list[Row]:
        """Return the budgets that ran out."""
        return [row for row in self.budgets if row["state"] == "overspent"]

    @property
    def has_data(self) -> bool:
        """Tell whether any budget of runs or of roles is known."""
        return any(is_known(row) for row in self.counting)

    @property
    def states(self) -> dict[str, int]:
        """Return how many budgets there are of each state."""
        found = [row["state"] for row in self.budgets]
        return {state: found.count(state) for state in STATES}

    def is_good(self, strict: bool = False) -> bool:
        """Tell whether no budget of runs or of roles is overspent.

        Args:
            strict: only if each is within, those of hosts too.
        """
        if strict:
            return all(row["state"] == "within" for row in self.budgets)
        return all(row["scope"] == "run_host" for row in self.overspent)

    def as_json(self) -> Row:
        """Return the whole answer for scripts; null is no data."""
        return {
            "as_of": self.as_of,
            "source": self.source,
            "has_data": self.has_data,
            "latest_hour_at": self.latest_hour_at,
            "overspent": not self.is_good(),
            "overspent_or_no_data": not self.is_good(strict=True),
            "states": self.states,
            "budgets": self.budgets,
        }


def is_known(row: Row) -> bool:
    """Tell whether a budget is known to be within or overspent."""
    return row["state"] in ("within", "overspent")


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC, without an offset; one without an offset is UTC already.

    Raises:
        OverflowError: it is before the first year, or after the last.
    """
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def from_warehouse(as_of: datetime | None, targets: Mapping[str, float]) -> Budgets:
    """Read the budgets of all that the warehouse holds.

    Args:
        as_of: the end of the window, UTC; None for now.
        targets: by SLO, targets to judge by instead of the seed's.

    Raises:
        UsageError: a target is of an SLO that there is none of.
        TelemetryError: nothing is published, or by models that had no budgets yet.
    """
    with published() as connection:
        try:
            return read(connection, as_of, targets, "the warehouse")
        except duckdb.CatalogException:
            raise TelemetryError(
                "the warehouse was built by models without error budgets: "
                "bring it up to date with: docstokg-telemetry run --db FILE"
            ) from None


def from_files(
    names: Sequence[str], as_of: datetime | None, targets: Mapping[str, float], compiled: Path
) -> Budgets:
    """Read the budgets straight from files, of all their runs that the window may hold.

    Runs that a file says were archived are among them.

    Args:
        names: files, folders and globs.
        as_of: the end of the window, UTC; None for now.
        targets: by SLO, targets to judge by instead of the seed's.
        compiled: the compiled models.

    Raises:
        UsageError: a target is of an SLO that there is none of.
        TelemetryError: no source could be read, they hold no run, or a model failed.
    """
    from exporter import direct

    since = window_start(compiled, as_of)

    def beside(found: Found, known: Sequence[Found]) -> Sequence[Found]:
        return [o for o in known if o.run_id != found.run_id and o.latest >= since]

    with direct.opened(names, "latest", compiled, BUDGET_MODELS, beside, archives=True) as opened:
        source = ", ".join(names)
        return read(opened.connection, as_of, targets, source, opened.skipped)


def window_start(compiled: Path, as_of: datetime | None) -> float:
    """Return when the longest window begins, with an hour to spare, Unix seconds."""
    from exporter.compiled import Models

    end = (as_of or utc(datetime.now(UTC))).replace(tzinfo=UTC).timestamp()
    days = Models(compiled.read_text("utf-8")).seed_values("slo_targets", "window_days")
    return end - max(map(float, days), default=0.0) * _DAY_S - _HOUR_S


def read(
    connection: duckdb.DuckDBPyConnection,
    as_of: datetime | None,
    targets: Mapping[str, float],
    source: str,
    skipped: Sequence[Skipped] = (),
) -> Budgets:
    """Ask the marts for budgets and burn rates.

    Args:
        connection: has the marts, in a warehouse or built over files.
        as_of: the end of the window, UTC; None for now.
        targets: by SLO, targets to judge by instead of the seed's.
        source: where the marts are, for people.
        skipped: sources that could not be read.

    Raises:
        UsageError: a target is of an SLO that there is none of, or cannot be.
    """
    if targets:
        _must_be_possible(connection, targets)
    # one moment for all that is read
    moment = as_of or utc(datetime.now(UTC))
    results.ask_as_of(connection, moment)
    connection.execute(
        "set variable asked_targets = map(?::varchar[], ?::double[])",
        [list(targets), list(targets.values())],
    )
    budgets = rows(connection, _BUDGETS)
    burning: dict[tuple[str, str, str | None], list[Row]] = {}
    for rate in rows(connection, _BURN_RATES):
        key = (rate.pop("slo"), rate.pop("scope"), rate.pop("subject"))
        burning.setdefault(key, []).append(rate)
    for row in budgets:
        row["burn_rates"] = burning.get((row["slo"], row["scope"], row["subject"]), [])
    latest = None
    if not any(row["runs"] for row in budgets):
        (latest,) = (row["hour_at"] for row in rows(connection, _LATEST_HOUR, moment))
    return Budgets(moment, source, budgets, list(skipped), latest)


def _must_be_possible(connection: duckdb.DuckDBPyConnection, targets: Mapping[str, float]) -> None:
    """Refuse targets of SLOs that there are none of, and those that no value can be."""
    known = [row["slo"] for row in rows(connection, _KNOWN)]
    for slo in targets:
        if slo not in known:
            raise UsageError(f"--target: there is no SLO {slo!r}, only {', '.join(known)}")
    for row in rows(connection, _UNITS):
        asked = targets.get(row["slo"])
        if asked is not None and not 0 <= asked <= row["most"]:
            bounds = "0 to 100" if row["most"] == _PERCENT else "0 or more"
            raise UsageError(f"--target {row['slo']}={asked:g} cannot be: {row['unit']}, {bounds}")
