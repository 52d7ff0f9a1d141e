"""Trends of SLIs by run, day or week: read from the marts, never computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from exporter import direct
from exporter.direct_find import Found
from exporter.errors import TelemetryError, UsageError
from exporter.query import published
from exporter.results import TREND_MODELS, Row, ask_as_of, rows
from exporter.sources import Skipped

_SERIES: Final = ("slo", "scope", "subject", "comparator", "target", "unit")
_POINTS: Final = (
    "select * from lake.marts.trend_points where grain = ? "
    "order by list_position(['run', 'run_role', 'run_host', 'run_resolver'], scope), "
    "slo, subject nulls first, place desc"
)


@dataclass(frozen=True)
class Wanted:
    """What trends are asked for.

    Attributes:
        by: what a point is measured over: run, day or week.
        last: how many periods, the latest ones.
        slis: names of SLIs; with none, those that have a target.
        host: the host that they are of; None for runs as a whole and their roles.
        resolver: the resolver that they are of.
    """

    by: str = "run"
    last: int = 30
    slis: Sequence[str] = ()
    host: str | None = None
    resolver: str | None = None

    @property
    def scopes(self) -> list[str]:
        """Return the scopes of the trends that were asked for."""
        if self.host is not None:
            return ["run_host"]
        return ["run", "run_role"] if self.resolver is None else ["run_resolver"]

    def takes(self, row: Row) -> bool:
        """Tell whether a point is of a trend that was asked for."""
        if self.host is not None:
            is_of = row["scope"] == "run_host" and row["subject"] == self.host
        elif self.resolver is not None:
            is_of = row["scope"] == "run_resolver" and row["subject"] == self.resolver
        else:
            is_of = row["scope"] in ("run", "run_role")
        if self.slis:
            return is_of and row["slo"] in self.slis
        return is_of and (row["target"] is not None or self.resolver is not None)


@dataclass(frozen=True)
class Trends:
    """Series of points, each of one SLI.

    Attributes:
        by: what a point is measured over: run, day or week.
        source: where they were read from.
        periods: names of the periods, the latest last.
        series: each with slo, scope, subject, comparator, target and unit (the latest ones), and
            its ``points``: rows of trend_points, the latest last.
        skipped: sources that could not be read.
    """

    by: str
    source: str
    periods: list[str]
    series: list[Row]
    skipped: list[Skipped]

    def as_json(self) -> Row:
        """Return the whole answer for scripts; null is no data."""
        shown = ("period", "period_at", "value", "sample_size", "status")
        return {
            "by": self.by,
            "source": self.source,
            "periods": self.periods,
            "series": [
                one | {"points": [{key: p[key] for key in shown} for p in one["points"]]}
                for one in self.series
            ],
        }


def read(
    connection: duckdb.DuckDBPyConnection,
    wanted: Wanted,
    source: str,
    as_of: datetime | None = None,
    skipped: Sequence[Skipped] = (),
) -> Trends:
    """Ask the marts for trends.

    Args:
        connection: has the marts, in a warehouse or built over files.
        wanted: what is asked for.
        source: where the marts are, for people.
        as_of: nothing later counts, UTC; None for all there is.
        skipped: sources that could not be read.

    Raises:
        UsageError: there is no such SLI, host or resolver.
    """
    connection.execute("set variable trend_by = ?::varchar", [wanted.by])
    connection.execute("set variable trend_periods = ?::bigint", [wanted.last])
    connection.execute("set variable trend_scopes = ?::varchar[]", [wanted.scopes])
    ask_as_of(connection, as_of)
    points = rows(connection, _POINTS, wanted.by)
    series: dict[tuple[str, str, str | None], Row] = {}
    for point in points:
        if wanted.takes(point):
            key = (point["slo"], point["scope"], point["subject"])
            one = series.setdefault(key, {name: point[name] for name in _SERIES} | {"points": []})
            one["points"].append(point)
    if points and not series:
        raise UsageError(_unknown(points, wanted))
    periods = {row["period"]: None for row in sorted(points, key=lambda row: -row["place"])}
    return Trends(wanted.by, source, list(periods), list(series.values()), list(skipped))


def _unknown(points: Sequence[Row], wanted: Wanted) -> str:
    """Say what was asked for that there is not."""
    subject = wanted.host if wanted.host is not None else wanted.resolver
    if subject is not None:
        scope = "run_host" if wanted.host is not None else "run_resolver"
        known = sorted({str(row["subject"]) for row in points if row["scope"] == scope})
        if subject not in known:
            what = "host" if wanted.host is not None else "resolver"
            named = ", ".join(known[:5]) + (" …" if len(known) > 5 else "")
            return f"--{what} {subject!r} is in none of these {wanted.by}s: {named or 'none is'}"
        points = [row for row in points if row["scope"] == scope]
    known = sorted({str(row["slo"]) for row in points})
    return f"--sli {', '.join(wanted.slis)} has no trend here: there are {', '.join(known)}"


def from_warehouse(wanted: Wanted) -> Trends:
    """Read trends of all that the warehouse holds.

    Raises:
        UsageError: there is no such SLI, host or resolver.
        TelemetryError: nothing is published, or by models that had no trends yet.
    """
    with published() as connection:
        try:
            return read(connection, wanted, "the warehouse")
        except duckdb.CatalogException:
            raise TelemetryError(
                "the warehouse was built by models without trends: "
                "bring it up to date with: docstokg-telemetry run --db FILE"
            ) from None


def from_files(names: Sequence[str], wanted: Wanted, compiled: Path) -> Trends:
    """Read trends straight from files, of their runs that the periods may hold.

    Args:
        names: files, folders and globs.
        wanted: what is asked for.
        compiled: the compiled models.

    Raises:
        UsageError: there is no such SLI, host or resolver.
        TelemetryError: no source could be read, they hold no run, or a model failed.
    """

    def beside(found: Found, known: Sequence[Found]) -> Sequence[Found]:
        others = [other for other in known if other.run_id != found.run_id]
        return others[: wanted.last - 1] if wanted.by == "run" else others

    with direct.opened(names, "latest", compiled, TREND_MODELS, beside, archives=True) as opened:
        return read(opened.connection, wanted, ", ".join(names), None, opened.skipped)
