"""What the models of a diagnosis say of a run: read, never computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from exporter import direct, results
from exporter.direct_find import Found, NoSuchRun, chosen
from exporter.errors import TelemetryError, UsageError
from exporter.results import DIAGNOSIS_MODELS, Row, ask_diagnosis, iso, rows
from exporter.sources import Skipped

#: The views over DIAGNOSIS_MODELS that hold the answer; each is about the run that was asked for.
VIEWS: Final = (
    "diagnosis_baselines",
    "diagnosis_symptoms",
    "diagnosis_contributions",
    "diagnosis_causes",
    "diagnosis_evidence",
    "diagnosis_remedies",
)
#: What is known of each symptom, and the view it is in.
_PARTS: Final = {
    "contributions": "diagnosis_contributions",
    "causes": "diagnosis_causes",
    "evidence": "diagnosis_evidence",
    "remedies": "diagnosis_remedies",
}
#: The views that others of the answer are made of, each before those that read it.
_STEPS: Final = (
    "diagnosis_measured",
    "diagnosis_symptoms",
    "diagnosis_contributions",
    "diagnosis_causes",
)
_KEY: Final = ("slo", "scope", "subject")
PREVIOUS: Final = "previous"
LAST_WEEK: Final = "last-week"
_WEEK_S: Final = timedelta(days=7).total_seconds()


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, and why.

    Attributes:
        run_id: the run.
        source: the file it was read from, or the warehouse.
        against: what it was to be compared with: previous, last-week, or a run id.
        baselines: rows of diagnosis_baselines, the latest first.
        symptoms: rows of diagnosis_symptoms that were asked for, the worst first, each with its
            contributions, causes, evidence and remedies.
        no_data: names of SLOs, with scope and subject but for those of the whole run, that had
            nothing to measure.
        skipped: sources that could not be read.
    """

    run_id: str
    source: str
    against: str
    baselines: list[Row]
    symptoms: list[Row]
    no_data: list[str]
    skipped: list[Skipped]

    @property
    def is_good(self) -> bool:
        """Tell whether no SLO that was looked at is missed."""
        return all(symptom["status"] != "fail" for symptom in self.symptoms)

    def as_json(self) -> Row:
        """Return the whole answer for scripts; null is no data."""
        return {
            "run_id": self.run_id,
            "source": self.source,
            "passed": self.is_good,
            "against": self.against,
            "baselines": [
                {"run_id": row["run_id"], "started_at": iso(row["started_at"])}
                for row in self.baselines
            ],
            "symptoms": self.symptoms,
            "no_data": self.no_data,
        }


@contextmanager
def opened(names: Sequence[str], run: str, against: str, compiled: Path) -> Iterator[direct.Direct]:
    """Build the models of a diagnosis over a run and those it is compared with.

    Args:
        names: files, folders and globs.
        run: a run id, or ``latest``.
        against: previous, last-week, or a run id.
        compiled: the compiled models.

    Raises:
        SourceError: not one source could be read.
        NoSuchRun: the run, or the one it is compared with, is not in them.
    """
    began = None
    if against == LAST_WEEK:
        with direct.opened(names, run, compiled, ["run_inventory"]) as alone:
            run, began = alone.run_id, _start(alone.connection, alone.run_id)

    def beside(found: Found, known: Sequence[Found]) -> Sequence[Found]:
        # what the model diagnosis_baselines could choose, so that nothing else is read
        earlier = [
            other
            for other in known
            if float("-inf") < other.latest
            and (other.latest, other.run_id) < (found.latest, found.run_id)
        ]
        if against == PREVIOUS:
            return earlier[:1]
        if against == LAST_WEEK:
            since = None if began is None else began - _WEEK_S - 1
            return [other for other in earlier if since is not None and other.latest >= since]
        try:
            named = chosen(known, [found.source], against)
        except NoSuchRun as missing:
            missing.beside = found.run_id
            raise
        return [named] if named.run_id != found.run_id else []

    with direct.opened(names, run, compiled, DIAGNOSIS_MODELS, beside, VIEWS) as found:
        yield found


def _start(connection: duckdb.DuckDBPyConnection, run_id: str) -> float | None:
    found = rows(
        connection, "select started_at from lake.marts.run_inventory where run_id = ?", run_id
    )
    began: datetime | None = found[0]["started_at"] if found else None
    return None if began is None else began.replace(tzinfo=UTC).timestamp()


def diagnose(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    source: str,
    against: str,
    topic: str | None,
    skipped: Sequence[Skipped] = (),
) -> Diagnosis:
    """Read what the models say of a run.

    Args:
        connection: has the models, in a warehouse or built over files.
        run_id: the run.
        source: where the models were read from, for people.
        against: previous, last-week, or a run id.
        topic: one topic, whether its SLOs fail or not; None for all SLOs that fail.
        skipped: sources that could not be read.

    Raises:
        TelemetryError: the run, or the one to compare with, is unknown; or there is no data.
        UsageError: the run would be compared with itself.
    """
    if against == run_id:
        raise UsageError(f"--against names run {run_id!r} itself: name another, or last-week")
    for name in (run_id, *([against] if against not in (PREVIOUS, LAST_WEEK) else [])):
        if not rows(connection, "select 1 from lake.marts.run_inventory where run_id = ?", name):
            raise TelemetryError(f"run {name!r} is unknown to {source}: list runs with runs")
    baselines = ask_diagnosis(connection, run_id, against)
    direct.hold(connection, "diagnosis", _STEPS)
    symptoms = rows(
        connection,
        "select * from lake.diagnosis.diagnosis_symptoms "
        "order by list_position(['run', 'run_role', 'run_host'], scope), slo, severity",
    )
    shown = _shown(symptoms, topic)
    if topic and all(symptom["status"] == "no_data" for symptom in shown):
        raise TelemetryError(f"run {run_id!r} has no data on {topic}: nothing to diagnose")
    for name, view in _PARTS.items():
        found = rows(connection, f"select * from lake.diagnosis.{view} order by all")
        for symptom in shown:
            key = [symptom[column] for column in _KEY]
            mine = [row for row in found if [row[column] for column in _KEY] == key]
            symptom[name] = sorted(mine, key=lambda row: int(row["place"]))
    return Diagnosis(
        run_id=run_id,
        source=source,
        against=against,
        baselines=baselines,
        symptoms=shown,
        no_data=[
            " ".join(str(symptom[column]) for column in _KEY[: _named(symptom)])
            for symptom in symptoms
            if symptom["status"] == "no_data"
        ],
        skipped=list(skipped),
    )


def _named(symptom: Row) -> int:
    """Return how many columns of the key it takes to name a symptom."""
    return 1 if symptom["scope"] == "run" else 2 if symptom["subject"] is None else 3


def _shown(symptoms: Sequence[Row], topic: str | None) -> list[Row]:
    """Return the symptoms that were asked for: those that fail; of a topic at least the worst."""
    if topic is None:
        return [symptom for symptom in symptoms if symptom["status"] == "fail"]
    mine = [symptom for symptom in symptoms if symptom["topic"] == topic]
    return [
        symptom
        for symptom in mine
        if symptom["status"] == "fail" or symptom["scope"] != "run_host" or symptom["severity"] == 1
    ]


def from_warehouse(run: str, against: str, topic: str | None) -> Diagnosis:
    """Diagnose a run that the warehouse holds.

    Raises:
        TelemetryError: as `diagnose`; or nothing is published.
    """
    from exporter.query import published

    with published() as connection:
        run_id = results.latest_run(connection) if run == "latest" else run
        return diagnose(connection, run_id, "the warehouse", against, topic)


def from_files(
    names: Sequence[str], run: str, against: str, topic: str | None, compiled: Path
) -> Diagnosis:
    """Diagnose a run straight from its file.

    Raises:
        NoSuchRun: the run, or the one to compare with, is not in the files.
        TelemetryError: as `diagnose`; or no file could be read.
    """
    with opened(names, run, against, compiled) as found:
        return diagnose(found.connection, found.run_id, found.path, against, topic, found.skipped)
