"""The runs that an answer about several runs is about, as a person names them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from exporter import results, warehouse
from exporter.errors import TelemetryError, UsageError
from exporter.paths import project_dir as find_project
from exporter.query import published

_SINCE: Final = re.compile(r"since[\s:=]+(?P<when>\S.*)")
_AGO: Final = re.compile(r"(?P<number>\d+)\s*(?P<unit>[dhw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
#: Some centuries; more would be before the first year.
_HOURS_MAX: Final = 10_000_000


@contextmanager
def current(project: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published snapshot, if the project's own models and seeds have made it.

    Raises:
        TelemetryError: models, targets or thresholds are other ones by now.
        WarehouseError: nothing is published.
    """
    with published() as connection:
        made_by = warehouse.last_publication(connection)
        if made_by and made_by.models_version != warehouse.models_version(find_project(project)):
            raise TelemetryError(
                "models or targets have changed since the warehouse was built: "
                "bring it up to date with: docstokg-telemetry run --db FILE"
            )
        yield connection


def choose(
    connection: duckdb.DuckDBPyConnection,
    words: Sequence[str],
    among: Collection[str] | None,
    without: Sequence[str] = (),
) -> list[str]:
    """Return the runs that are meant, the latest first, and let the models know.

    Args:
        connection: has the marts; its variable ``chosen_runs`` is set.
        words: how a person names runs: a number of the latest ones, ``since:14d``,
            ``since:2025-10-01`` or run ids, several with commas; none for all.
        among: the runs there are to choose from; None for all in the warehouse.
        without: runs to leave out, named in the same way.

    Returns:
        Their ids; none where nothing is as recent as the words say.

    Raises:
        UsageError: a word is no way to name runs, or names one that is unknown.
    """
    known = _known(connection, among)
    chosen = set(known) if not words else {run for word in words for run in _named(word, known)}
    chosen -= {run for word in without for run in _named(word, known)}
    ordered = [run for run in known if run in chosen]
    connection.execute("set variable chosen_runs = ?::varchar[]", [ordered])
    return ordered


def latest(connection: duckdb.DuckDBPyConnection, among: Collection[str] | None) -> str:
    """Say which run is the latest one, and when it ended, as far as is known.

    Args:
        connection: has the marts.
        among: as `choose` takes it.
    """
    for run, last in _known(connection, among).items():
        when = "at a time unknown" if last is None else f"at {last:%Y-%m-%d %H:%M:%S} UTC"
        return f"the latest of those there are is {run!r}, whose last event was {when}"
    return "there is none; see docstokg-telemetry runs"


def _known(
    connection: duckdb.DuckDBPyConnection, among: Collection[str] | None
) -> dict[str, datetime | None]:
    """Return the time of the last event by run, the latest run first."""
    return {
        str(row["run_id"]): row["last_event_at"]
        for row in results.rows(
            connection,
            "select run_id, last_event_at from lake.marts.run_inventory "
            "order by last_event_at desc nulls last, run_id desc",
        )
        if among is None or row["run_id"] in among
    }


def _named(word: str, known: dict[str, datetime | None]) -> list[str]:
    """Return the runs that one word means.

    Args:
        word: as `choose` takes it.
        known: last times by run, the latest first.
    """
    if word.isascii() and word.isdigit():
        return list(known)[: int(word)]
    if since := _SINCE.fullmatch(word):
        start = _moment(since["when"].strip())
        return [run for run, last in known.items() if last is not None and last >= start]
    ids = [word] if word in known else [run.strip() for run in word.split(",") if run.strip()]
    for run in ids:
        if run not in known:
            raise UsageError(f"run {run!r} is unknown: see docstokg-telemetry runs")
    return ids


def _moment(text: str) -> datetime:
    """Return the UTC time that a person means by ``14d`` or ``2025-10-01``."""
    now = datetime.now(UTC)
    try:
        if ago := _AGO.fullmatch(text):
            hours = min(int(ago["number"][:9]) * _HOURS[ago["unit"]], _HOURS_MAX)
            return (now - timedelta(hours=hours)).replace(tzinfo=None)
        given = datetime.fromisoformat(text)
        return given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time: write --runs since:14d or since:2025-10-01"
        ) from None
