"""The crawler's own manifest.sqlite3: counted as settled, alone and beside telemetry tables."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scripts import crawler_manifest

from .conftest import Tool
from .test_variants import DOWNLOADS, EVENTS, ID, Lake, assert_same, changing, events, straight

#: What no table, file or metric may hold: parts of titles, URLs and paths.
PRIVATE = re.compile(
    r"A study of|/article/|/data/pdf|email=|10\.1/|v2/|u:p@|:8443|\.example/|secret"
)
WORKS = 40


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "example" / "manifest.sqlite3"
    path.parent.mkdir(parents=True)
    crawler_manifest.write(path, "m", WORKS)
    return path


@pytest.fixture
def lake(compiled: Path) -> Iterator[Lake]:
    made = Lake(compiled)
    yield made
    made.connection.close()


def test_figures_of_a_manifest(compiled: Path, lake: Lake, manifest: Path) -> None:
    """Of 40 works four are skipped; of the other 36 four are not found."""
    assert lake.load(manifest) == (40 + 76 + 2 + 1, 0)
    found = assert_same(compiled, lake, manifest, "m")
    assert found["yield_pct"] == pytest.approx(100 * 32 / 36)
    assert (found["corruption_count"], found["breaker_opens"]) == (0, 1)
    # without http_events nothing is known of requests; the file has no dedupe_action
    for name in ("cache_hit_pct", "http_429_pct", "rate_delay_p95_ms", "dedupe_saved_mb"):
        assert found[name] is None, name
    assert found["finished_at"].isoformat() == "2026-03-02T08:01:25"
    assert found["downloads"] == 40  # the inventory has all rows
    with closing(sqlite3.connect(manifest)) as connection:
        spans = connection.execute(
            "select (max(julianday(timestamp)) - min(julianday(timestamp))) * 86400000 "
            "from attempts group by work_id having max(status = 'pdf') order by 1"
        ).fetchall()
    middle = (spans[15][0] + spans[16][0]) / 2
    assert found["ttfp_p50_ms"] == pytest.approx(middle, abs=1)


def test_later_rows_of_a_work_and_runs_that_are_dry(
    compiled: Path, lake: Lake, manifest: Path
) -> None:
    lake.load(manifest)
    with changing(manifest) as connection:
        connection.execute(  # a work that was not found is found; one that was found is lost
            "insert into manifests (timestamp, run_id, work_id, classification, path, sha256) "
            "values ('2026-03-02T08:01:20Z', 'm', 'W00004', 'CACHED', '/data/x.pdf', 'ab'), "
            "('2026-03-02T08:01:21+00:00', 'm', 'W00000', 'html_too_large', null, null), "
            "('2026-03-02T08:01:22Z', 'm', 'W00001', 'pdf', null, 'ab')"
        )
        connection.execute("update manifests set dry_run = 1 where work_id = 'W00002'")
        connection.execute("update manifests set reason = 'List_Only' where work_id = 'W00003'")
    assert lake.load(manifest) == (3, 2)
    found = assert_same(compiled, lake, manifest, "m")
    # 34 are left; W00004 is found now, W00000 and W00001 (half done) no more, two count no more
    assert found["yield_pct"] == pytest.approx(100 * (32 + 1 - 2 - 2) / 34)
    assert found["corruption_count"] == 1


def test_a_folder_of_manifests(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    """What is asked of one file to find the run is not what is answered of another."""
    for number, run in enumerate("abc"):
        path = tmp_path / run / "manifest.sqlite3"
        path.parent.mkdir()
        crawler_manifest.write(path, run, works=40 + 7 * number)
    lake.load(tmp_path)
    for run in "abc":
        alone = straight(compiled, tmp_path / run)
        assert assert_same(compiled, lake, tmp_path, run)["yield_pct"] == alone["yield_pct"]
    assert straight(compiled, tmp_path) == straight(compiled, tmp_path / "c")
    # 5 of the 54 works do not count (skipped, or only listed); 44 of the other 49 were stored
    assert straight(compiled, tmp_path)["yield_pct"] == pytest.approx(100 * 44 / 49)


def test_beside_telemetry_tables(compiled: Path, lake: Lake, manifest: Path) -> None:
    """For a run that both tell of, the contract's own tables count, table by table."""
    with changing(manifest) as connection:
        connection.execute(f"create table http_events ({ID}, {EVENTS})")
        connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
        events(connection, "m", 10, 7)
        events(connection, "other", 10, 2)
    lake.load(manifest)
    found = assert_same(compiled, lake, manifest, "m")
    assert (found["cache_hit_pct"], found["yield_pct"]) == (70, pytest.approx(100 * 32 / 36))
    assert straight(compiled, manifest, "other")["yield_pct"] is None
    with changing(manifest) as connection:
        connection.execute(
            "insert into downloads (run_id, ts, artifact_id, sha256, final_path) "
            "values ('m', 1772438400, 'a', 'ab', '/p'), ('m', 1772438401, 'b', null, null)"
        )
        connection.execute(
            "insert into fallback_events (timestamp, run_id, work_id, outcome, payload) values "
            "('2026-03-02T08:00:00Z', 'm', 'w', 'no_pdf', '{\"ts\": 1772438400}'), "
            "('2026-03-02T08:59:00Z', 'm', 'w', 'success', '{\"ts\": 1772438402.5}')"
        )
    lake.load(manifest)
    found = assert_same(compiled, lake, manifest, "m")
    assert (found["yield_pct"], found["ttfp_p50_ms"]) == (50, pytest.approx(2500))
    assert found["downloads"] == 42


def test_both_tables_tell_of_the_same_works(compiled: Path, lake: Lake, manifest: Path) -> None:
    """Rows with the same ids, works and run in two tables of a file are no copies of each other."""
    with changing(manifest) as connection:
        (count,) = connection.execute("select count(*) from manifests").fetchone() or (0,)
        connection.execute(
            f"create table downloads ({ID}, {DOWNLOADS}, work_id TEXT, dedupe_action TEXT)"
        )
        connection.execute(
            "insert into downloads (id, run_id, ts, work_id, artifact_id, sha256, final_path) "
            "select id, run_id, unixepoch(timestamp), work_id, work_id, "
            "case when id > 12 then 'ab' end, case when id > 12 then '/p' end from manifests"
        )
    lake.load(manifest)
    assert lake.count("downloads") == 2 * count
    found = assert_same(compiled, lake, manifest, "m")
    assert found["yield_pct"] == pytest.approx(100 * (count - 12) / count)


def test_nothing_but_the_host_and_the_type(lake: Lake, manifest: Path) -> None:
    with changing(manifest) as connection:
        connection.execute(
            "update manifests set content_type = 'application/pdf; name=\"secret.pdf\"'"
        )
        connection.execute("delete from attempts")
        connection.execute(
            "insert into fallback_events (timestamp, run_id, work_id, outcome, host, payload) "
            "values ('2026-03-02T08:00:00Z', 'm', 'w', 'no_pdf', "
            "'secret:pw@H.example?secret#secret', '{}')"
        )
        connection.execute("update breaker_events set host = 'secret@h.example\\secret'")
    lake.load(manifest)
    for table, column, kept in (
        ("downloads", "content_type", ["application/pdf"]),
        ("fallback_attempts", "host", ["H.example"]),
        ("breaker_transitions", "host", ["h.example"]),
    ):
        rows = lake.connection.execute(
            f"select distinct {column} from lake.raw.{table} where {column} is not null"
        ).fetchall()
        assert [value for (value,) in rows] == kept, table


def test_a_manifest_without_checksums(tool: Tool, manifest: Path) -> None:
    """Nothing tells whether a work succeeded: no data, from the file and from the warehouse."""
    with changing(manifest) as connection:
        connection.execute("alter table manifests drop column sha256")
        connection.execute("update manifests set content_length = 'many'")
    assert tool("run", "--db", manifest).returncode == 0
    answers = []
    for words in (["--db", manifest], []):
        done = tool("summary", *words, "--output-format", "json")
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    file, stored = answers
    assert file == stored
    assert (file["yield_pct"], file["corruption_count"]) == (None, None)
    statuses = {slo["slo"]: slo["status"] for slo in file["slos"] if slo["scope"] == "run"}
    assert (statuses["yield_pct"], statuses["corruption_count"]) == ("no_data", "no_data")
    for command in (["diagnose"], ["report", "--format", "md"], ["metrics"]):
        done = tool(*command, "--db", manifest)
        assert (done.returncode, done.stderr.count("\n")) == (0, 0), done.stderr
        assert "yield_pct{" not in done.stdout
    told = tool("doctor", "--db", manifest).stdout
    assert "manifests.content_length: values do not fit in 40 of 40 rows" in told
    assert "manifests lacks sha256: yield_pct and corruption_count are NULL" in told


def test_doctor_looks_at_all_tables_of_a_file(tool: Tool, manifest: Path) -> None:
    with changing(manifest) as connection:
        connection.execute(f"create table downloads ({ID}, {DOWNLOADS})")
        connection.execute("insert into downloads (run_id, ts, artifact_id) values ('m', 1, 'a')")
        connection.execute("update attempts set timestamp = 'soon' where id <= 2")
    for where in ("as they would be loaded", "as loaded"):
        done = tool("doctor", "--db", manifest, "--output-format", "json")
        (told,) = [
            one for one in json.loads(done.stdout)["findings"] if one["check"] == "rejected rows"
        ]
        assert where in told["found"]
        assert "fallback_attempts 2 (no usable time)" in told["found"]
        tool("run", "--db", manifest)


def test_odd_manifests(compiled: Path, lake: Lake, tmp_path: Path) -> None:
    """Columns that an older crawler lacks, values of other types, tables of other programs."""
    path = tmp_path / "odd.sqlite3"
    with changing(path) as connection:
        connection.executescript(
            """
            create table manifests (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT,
                run_id TEXT, work_id TEXT, classification TEXT, path TEXT, sha256 TEXT);
            insert into manifests values
                (1, '2026-03-02T08:00:00Z', 'r', 'w', 'pdf', x'00ff', 'ab'),
                (2, 'soon', 'r', 'x', 'pdf', '', 'ab'),
                (3, '2026-03-02T08:00:00Z', null, 'y', 'pdf', '/p', 'ab');
            create table breaker_events (id INTEGER PRIMARY KEY, timestamp TEXT, run_id TEXT,
                event_type TEXT, payload TEXT);
            insert into breaker_events values
                (1, '2026-03-02T08:00:00Z', 'r', 'STATE_CHANGE', 'not json'),
                (2, '2026-03-02T08:00:00Z', 'r', 'state_change',
                    '{"old": "closed", "new": "open"}'),
                (3, '2026-03-02T08:00:00Z', 'r', 'breaker_failure', null);
            create table attempts (id INTEGER PRIMARY KEY, exam TEXT, status TEXT);
            create table summaries (run_id TEXT PRIMARY KEY, timestamp TEXT, payload TEXT);
            insert into summaries values ('r', '2026-03-02T08:00:09Z', x'7b');
            """
        )
    assert lake.load(path) == (6, 0)
    found = assert_same(compiled, lake, path, "r")
    assert (found["yield_pct"], found["corruption_count"], found["breaker_opens"]) == (50, 1, 1)


def test_commands_and_privacy(tool: Tool, manifest: Path, tmp_path: Path) -> None:
    """Each command answers, and nothing of a title, a path or a URL but its host is kept."""
    with changing(manifest) as connection:
        connection.executemany(
            "insert into attempts (timestamp, run_id, work_id, resolver_name, url, status) "
            "values ('2026-03-02T08:01:00Z', 'm', 'W00004', 'unpaywall', ?, 'miss')",
            [("https://u:p@API.Unpaywall.example:8443/v2/x?email=1",), ("secret/v2/x",)],
        )
    shown = []
    for command, code in (
        (["run", "--db", manifest.parent.parent], 0),
        (["summary", "--output-format", "json"], 0),
        (["summary", "--db", manifest, "--output-format", "json"], 0),
        (["runs"], 0),
        (["diagnose", "--db", manifest], 0),
        (["metrics", "--db", manifest], 0),
        (["storage", "--db", manifest], 0),
        (["report", "--db", manifest, "--format", "md"], 0),
        (["report", "--out", tmp_path / "report.html"], 0),
        (["export", "--out", tmp_path / "parquet"], 0),
        (["archive", "--db", manifest, "--out", tmp_path / "archive", "--older-than", "1d"], 1),
        (["query", "--query", "select * from fallback_attempts", "--format", "csv"], 0),
        (["query", "--query", "select * from downloads", "--format", "csv"], 0),
        (["query", "--query", "select * from misfit_values", "--format", "csv"], 0),
    ):
        done = tool(*command)
        assert done.returncode == code, (command, done.stderr)
        shown.append(done.stdout)
    stored, straight_ = (json.loads(text) for text in shown[1:3])
    assert stored == straight_
    assert "api.unpaywall.example" in shown[11]
    assert "it is in the crawler's own tables alone" in shown[10]
    kept = [path for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".html")]
    assert len(kept) > 60
    texts = [*shown, *(_texts(path) for path in kept if path.suffix == ".parquet")]
    for text in texts:
        assert not PRIVATE.search(text.replace(str(tmp_path), "")), text


def _texts(parquet: Path) -> str:
    import duckdb

    rows: list[tuple[Any, ...]] = duckdb.sql(f"from read_parquet('{parquet}')").fetchall()
    return "\n".join(map(str, rows))
