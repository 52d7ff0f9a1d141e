"""diagnose: the cause that was planted is named first, and what it is made of adds up."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import diagnose, diagnosis, warehouse
from exporter.compiled import Models
from exporter.diagnosis import DIAGNOSIS_MODELS, LAST_WEEK, PREVIOUS, VIEWS, Diagnosis
from exporter.loader import load
from exporter.results import iso

from .support import crawls, strategies
from .support.crawls import DEGRADED, GOOD
from .support.runs import START, Tool, record

DAY = 86_400.0
VIEW_KEYS = {
    "diagnosis_symptoms": ("slo", "scope", "subject"),
    "diagnosis_contributions": ("slo", "scope", "subject", "dimension", "part", "segment"),
    "diagnosis_remedies": ("slo", "scope", "subject", "segment", "remedy"),
}


def assert_adds_up(found: Diagnosis) -> None:
    """The contributions of each dimension add up to the change, and the measure is the SLI."""
    for symptom in found.symptoms:
        sums: dict[str, float] = {}
        for row in symptom["contributions"]:
            sums[row["dimension"]] = sums.get(row["dimension"], 0.0) + row["contribution"]
            assert row["total_change"] == pytest.approx(symptom["measure_change"], abs=1e-6)
            assert (row["share_now_pct"] or 0) <= 100 + 1e-6, (symptom["slo"], row["segment"])
        for dimension, total in sums.items():
            assert abs(total - symptom["measure_change"]) < 1e-6, (symptom["slo"], dimension)
        if symptom["measure_change"] is not None and abs(symptom["measure_change"]) > 1e-6:
            assert symptom["dimension"] in sums, symptom["slo"]
        if symptom["topic"] in ("yield", "cache", "breaker", "corruption"):
            assert symptom["measure_now"] == pytest.approx(symptom["value"], abs=1e-6)


def symptom_of(found: Diagnosis, slo: str, subject: str | None) -> dict[str, Any]:
    (one,) = [s for s in found.symptoms if (s["slo"], s["subject"]) == (slo, subject)]
    return one


@pytest.mark.parametrize("way", DEGRADED)
def test_the_planted_cause_is_named_first(way: str, tmp_path: Path, compiled: Path) -> None:
    crawl, slo, subject, cause = DEGRADED[way]
    crawls.write(tmp_path / "t.sqlite3", "good", seed=1)
    crawls.write(tmp_path / "t.sqlite3", "bad", crawl, START + DAY, seed=2)
    names = [str(tmp_path / "t.sqlite3")]
    found = diagnosis.from_files(names, "latest", PREVIOUS, None, compiled)
    assert found.run_id == "bad"
    assert [row["run_id"] for row in found.baselines] == ["good"]
    assert not found.is_good
    assert_adds_up(found)
    symptom = symptom_of(found, slo, subject)
    assert symptom["status"] == "fail"
    assert symptom["compared_with"] == "runs"
    first = symptom["causes"][0]
    assert first["segment"] == cause, [c["sentence"] for c in symptom["causes"]]
    assert first["share_of_change"] > 0.5
    assert cause in first["sentence"]
    assert symptom["evidence"], "no row shows it"
    assert symptom["remedies"], "nothing to do about it"
    for remedy in symptom["remedies"]:
        assert remedy["reason"]
        if remedy["proposed"] is not None:
            assert remedy["lowest"] <= remedy["proposed"] <= remedy["highest"]


def test_remedies_are_of_what_was_recorded(tmp_path: Path, compiled: Path) -> None:
    db, host, cached = tmp_path / "t.sqlite3", "arxiv.example.org", "meta-a.example.org"
    crawls.write(db, "good", seed=1)
    crawls.write(db, "bad", start=START + DAY, seed=1)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.executescript(
            f"""
            update downloads set final_path = null where id in (
                select id from downloads where run_id = 'bad' and sha256 is not null limit 30);
            update http_events set from_cache = 0
            where run_id = 'bad' and host = '{cached}' and id % 4 > 0;
            insert into breaker_transitions (run_id, ts, host, scope, old_state, new_state)
            select run_id, ts, '{host}', 'host', 'closed', 'open'
            from http_events where run_id = 'bad' and host <> '{host}' order by ts limit 20;
            """
        )
    found = diagnosis.from_files([str(db)], "bad", PREVIOUS, None, compiled)
    assert_adds_up(found)

    half_done = symptom_of(found, "corruption_count", None)
    assert {row["found_in"] for row in half_done["evidence"]} == {"half_done_artifacts"}
    assert sum(row["rows_now"] for row in half_done["evidence"]) == 30
    assert sum(row["share_now_pct"] for row in half_done["contributions"]) == pytest.approx(100)
    assert all("a checksum but no file: a" in row["reason"] for row in half_done["remedies"])

    opened = symptom_of(found, "breaker_opens_per_hour", host)
    assert opened["causes"][0]["segment"] == "no failure recorded"
    assert opened["remedies"][0]["remedy"].startswith("See that every request is recorded")
    assert not any(row["setting"] == "fail_max" for row in opened["remedies"])
    assert not any("operator" in row["remedy"] for row in opened["remedies"])

    missed = symptom_of(found, "cache_hit_pct", None)
    assert missed["causes"][0]["segment"] == cached  # asked for again every 150 s, hit or not
    assert "longer lifetimes would not help" in missed["remedies"][0]["reason"]


@pytest.mark.parametrize("way", ["a host answers 429", "a resolver fails", "a resolver is slow"])
def test_without_a_run_before_the_target_is_what_tells(
    way: str, tmp_path: Path, compiled: Path
) -> None:
    crawl, slo, subject, cause = DEGRADED[way]
    crawls.write(tmp_path / "t.sqlite3", "only", crawl, seed=3)
    found = diagnosis.from_files([str(tmp_path / "t.sqlite3")], "latest", PREVIOUS, None, compiled)
    assert found.baselines == []
    assert_adds_up(found)
    symptom = symptom_of(found, slo, subject)
    assert symptom["compared_with"] == "target"
    assert symptom["value_before"] is None
    assert symptom["causes"][0]["segment"] == cause


def test_a_run_as_bad_as_the_one_before_is_held_against_the_target(
    tmp_path: Path, compiled: Path
) -> None:
    crawl, slo, subject, cause = DEGRADED["a host answers 429"]
    for number in (1, 2):
        crawls.write(tmp_path / "t.sqlite3", f"r{number}", crawl, START + number * DAY, seed=number)
    names = [str(tmp_path / "t.sqlite3")]
    found = diagnosis.from_files(names, "r2", PREVIOUS, None, compiled)
    assert_adds_up(found)
    symptom = symptom_of(found, slo, subject)
    assert (symptom["compared_with"], symptom["causes"][0]["segment"]) == ("target", cause)
    named = diagnosis.from_files(names, "r2", "r1", None, compiled)
    assert_adds_up(named)
    assert symptom_of(named, slo, subject)["compared_with"] == "runs"


def loaded(compiled: Path, paths: Iterable[Path]) -> Any:
    """Load files and build the models of a diagnosis over all their runs, in memory."""
    connection = warehouse.connect(("sqlite_scanner",))
    connection.execute("attach ':memory:' as lake")
    warehouse.ensure_schema(connection)
    load(connection, [str(path) for path in paths], lambda message: None)
    Models(compiled.read_text()).build(connection, [*DIAGNOSIS_MODELS, *VIEWS])
    return closing(connection)


def answer(found: Diagnosis) -> Any:
    """Everything that is said, but for where it was read; numbers to nine digits."""
    rounded = {**found.as_json(), "source": None}
    return json.loads(
        json.dumps(rounded, default=str),
        parse_float=lambda text: float(f"{float(text):.9g}"),
    )


def test_files_and_warehouse_say_the_same(tmp_path: Path, compiled: Path) -> None:
    week = 7 * DAY
    crawl = replace(DEGRADED["a bad resolver gets more"][0], artifacts=150)
    good = replace(GOOD, artifacts=100)
    for number, start in enumerate((0.0, week, week + DAY, week + 2 * DAY)):
        path = tmp_path / f"{number}.sqlite3"
        crawls.write(path, f"r{number}", crawl if number == 3 else good, START + start, seed=number)
    files = sorted(tmp_path.glob("*.sqlite3"))
    with loaded(compiled, files) as connection:
        for against, before in (
            (PREVIOUS, ["r2"]), (LAST_WEEK, ["r2", "r1"]),
        ):  # fmt: skip
            ours = diagnosis.from_files([str(tmp_path)], "r3", against, None, compiled)
            assert [row["run_id"] for row in ours.baselines] == before
            assert_adds_up(ours)
            theirs = diagnosis.diagnose(connection, "r3", "the warehouse", against, None)
            assert answer(ours) == answer(theirs)
            if against == LAST_WEEK:  # several runs count as one
                yields = connection.execute(
                    "select sum(artifacts_success) * 100 / sum(artifacts) "
                    "from lake.intermediate.int_artifact_slis "
                    "where grain = 'run' and scope = 'run' and run_id in ('r1', 'r2')"
                ).fetchone()
                symptom = symptom_of(ours, "yield_pct", None)
                assert symptom["value_before"] == pytest.approx(yields[0])
                assert symptom["runs_compared"] == 2
        for view, key in VIEW_KEYS.items():
            twice = connection.execute(
                f"select {', '.join(key)} from lake.diagnosis.{view} "
                "group by all having count(*) > 1"
            ).fetchall()
            assert twice == [], view


@pytest.mark.slow
@settings(max_examples=4)
@given(data=strategies.telemetry_files(), topic=st.sampled_from([None, "yield", "cache", "ttfp"]))
def test_any_telemetry_adds_up(
    compiled: Path, data: strategies.FileData, topic: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = strategies.write_file(Path(folder) / "t.sqlite3", data)
        with loaded(compiled, [path]) as connection:
            runs = [
                str(run)
                for (run,) in connection.execute(
                    "select run_id from lake.marts.run_inventory order by run_id"
                ).fetchall()
            ]
            for run in runs:
                for against in (PREVIOUS, *(other for other in runs[:2] if other != run)):
                    try:
                        found = diagnosis.diagnose(connection, run, "it", against, topic)
                    except diagnosis.TelemetryError as error:
                        assert topic is not None and "no data" in str(error)
                        continue
                    assert_adds_up(found)


def test_the_command_on_a_bad_run(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    crawl, *_ = DEGRADED["a resolver fails"]
    crawls.write(db, "good", seed=1)
    crawls.write(db, "bad", crawl, START + DAY, seed=2)
    for columns in (80, 120):
        done = tool("diagnose", "yield", "--db", db, COLUMNS=str(columns))
        assert (done.returncode, done.stderr) == (1, "")
        assert max(map(len, done.stdout.splitlines())) <= columns
        assert not any(line.endswith(" ") for line in done.stdout.splitlines())
        text = " ".join(done.stdout.split())
        assert "Run bad FAILED" in text
        assert "compared with good, the run before it" in text
        assert "77.50 %, target ≥ 85.00 %; 91.50 % before: −14.00 points" in text
        assert text.index("−58.64 points unpaywall delivered 0.0 % of the 576") < text.index(
            "arxiv"
        )
        assert "47 × error, HTTP 503, server_error (5 before)" in text
        assert "Look at the resolver's endpoint; take it out until it is back (unpaywall)" in text
        assert "breaker_opens_per_hour" not in text
    done = tool("diagnose", "--db", db, "--output-format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert set(found) == {
        "run_id", "source", "passed", "against", "baselines", "symptoms", "no_data",
    }  # fmt: skip
    assert found["passed"] is False
    assert found["baselines"] == [{"run_id": "good", "started_at": "2025-10-09T08:53:20Z"}]
    assert [s["slo"] for s in found["symptoms"]] == ["yield_pct", "breaker_opens_per_hour"]
    for symptom in found["symptoms"]:
        assert {
            "topic", "slo", "scope", "subject", "comparator", "target", "unit", "value", "status",
            "value_before", "change", "measure", "measure_now", "measure_change", "compared_with",
            "contributions", "causes", "evidence", "remedies",
        } <= set(symptom)  # fmt: skip
    assert iso(None) is None and "https://" not in done.stdout


def test_nothing_is_wrong(tool: Tool, tmp_path: Path) -> None:
    crawls.write(tmp_path / "t.sqlite3", "good")
    done = tool("diagnose", "--db", "t.sqlite3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Run good OK" in " ".join(done.stdout.split())
    assert "no SLO of this run is missed" in done.stdout
    assert "no earlier run to compare with" in " ".join(done.stdout.split())
    done = tool("diagnose", "ttfp", "--db", "t.sqlite3", "--against", "last-week")
    assert done.returncode == 0
    assert "no run ended in the week before it" in " ".join(done.stdout.split())
    assert "time to first PDF p95  ✓ pass" in done.stdout


def test_no_data_is_said(tool: Tool, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.sqlite3")) as connection, connection:
        connection.execute("create table downloads (id integer primary key, run_id, sha256)")
        connection.execute("insert into downloads values (1, 'r', 'ab')")
    done = tool("diagnose", "--db", "t.sqlite3")
    assert done.returncode == 0
    assert "no data: " in done.stdout
    assert "cache_hit_pct" in done.stdout
    assert tool("diagnose", "yield", "--db", "t.sqlite3").returncode == 0
    done = tool("diagnose", "cache", "--db", "t.sqlite3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: run 'r' has no data on cache: nothing to diagnose\n"


def test_what_cannot_be_answered(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "r")
    (tmp_path / "empty.sqlite3").touch()
    for arguments in (
        ("--db", "t.sqlite3", "--run", "nope"),
        ("--db", "t.sqlite3", "--against", "nope"),
        ("--db", "t.sqlite3", "--against", "r"),
        ("--db", "t.sqlite3", "--against", ""),
        ("--db", "empty.sqlite3"),
        ("--db", "missing.sqlite3"),
        ("nonsense", "--db", "t.sqlite3"),
        ("storage", "--db", "missing.sqlite3"),
        (),
    ):
        done = tool("diagnose", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


def test_a_resolver_called_none_counts_too(tmp_path: Path, compiled: Path) -> None:
    db = tmp_path / "t.sqlite3"
    crawl, *_ = DEGRADED["a resolver is slow"]
    crawls.write(db, "r", crawl, seed=1)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("update fallback_attempts set tier = 'none', host = 'none'")
        connection.execute("update fallback_attempts set source = 'none' where source <> 'arxiv'")
        connection.execute("update downloads set metadata = null, final_path = null, sha256 = 'x'")
    found = diagnosis.from_files([str(db)], "r", PREVIOUS, None, compiled)
    assert {"yield_pct", "ttfp_p95_ms", "corruption_count"} <= {s["slo"] for s in found.symptoms}
    assert_adds_up(found)
    assert any(row["segment"] == "none" for s in found.symptoms for row in s["contributions"])


def test_the_warehouse_is_asked_for_the_run_of_the_file(
    tmp_path: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "t.sqlite3", "mine")
    asked: list[str] = []
    monkeypatch.setattr(
        diagnosis, "from_warehouse", lambda run, against, topic: asked.append(run) or "answer"
    )
    monkeypatch.setattr("exporter.compiled.compiled_for", lambda *_: compiled)
    names = [str(tmp_path / "t.sqlite3")]
    for run, against in (("latest", "elsewhere"), ("mine", "elsewhere"), ("other", PREVIOUS)):
        assert diagnose._diagnose(names, run, against, None, None, False) == "answer"
    assert asked == ["mine", "mine", "other"]


def test_dirty_files(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "before", good=20)
    record(db, "r\x1b[31m' --", good=10, start=START + DAY)
    with closing(sqlite3.connect(db)) as connection, connection:
        for table in ("http_events", "fallback_attempts", "breaker_transitions"):
            connection.execute(
                f"insert into {table} (run_id, ts, host) values ('r', 'never', x'ff00')"
            )
        connection.execute(
            "update fallback_attempts set elapsed_ms = 'abc', status = 'x', reason = "
            "'https://secret.example.org/?token=1 ' || id where id % 3 = 0"
        )
    (tmp_path / "broken.sqlite3").write_bytes(b"SQLite format 3\0" + b"x" * 4096)
    done = tool("diagnose", "--db", tmp_path, "--output-format", "json")
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("skipped ") and "broken.sqlite3" in done.stderr
    assert "secret" not in done.stdout
    found = json.loads(done.stdout)
    (symptom,) = [s for s in found["symptoms"] if s["slo"] == "yield_pct"]
    assert (symptom["value"], symptom["value_before"]) == (50.0, 100.0)
    # nothing there names its resolver in downloads: the attempts do
    assert symptom["causes"][0]["segment"] == "arxiv"
    assert "\x1b" not in tool("diagnose", "--db", tmp_path).stdout


def test_storage(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "r1")
    record(tmp_path / "t.sqlite3", "r2", artifacts=40, start=START + DAY)
    done = tool("diagnose", "storage", "--db", "t.sqlite3", "--output-format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = json.loads(done.stdout)["files"]
    assert file["size_bytes"] == (tmp_path / "t.sqlite3").stat().st_size
    assert file["limit_bytes"] == 2 * 10**9
    assert {row["table_name"]: row["rows"] for row in file["tables"]}["http_events"] == 120
    assert [row["run_id"] for row in file["runs"]] == ["r2", "r1"]
    assert 0 < sum(row["bytes"] for row in file["runs"]) < file["size_bytes"]
    with (tmp_path / "t.sqlite3").open("r+b") as large:  # sparse: nothing is written
        large.truncate(3 * 10**9)
    done = tool("diagnose", "storage", "--db", "t.sqlite3", COLUMNS="80")
    assert done.returncode == 1
    assert "3 GB, limit 2 GB" in done.stdout
    assert "→ archive" in done.stdout
