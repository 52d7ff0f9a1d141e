"""The demo's crawl and the generator: what they record must hang together."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from scripts import generate
from scripts.publishers import Publishers

from .conftest import ROOT


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def crawl(folder: Path, profile: str, artifacts: int) -> Path:
    """Crawl from local publishers, in a process of its own; return the telemetry."""
    db = folder / "t.sqlite3"
    subprocess.run(
        [sys.executable, "-m", "scripts.crawl", "--db", str(db), "--out", str(folder / profile)]
        + ["--run-id", profile, "--profile", profile, "--artifacts", str(artifacts)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return db


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Telemetry of a small crawl in which nothing is wrong for long."""
    return crawl(tmp_path_factory.mktemp("crawl"), "healthy", 60)


def test_a_crawl_records_every_artifact_once(healthy: Path) -> None:
    assert ask(healthy, "select count(*), count(distinct artifact_id) from downloads") == [(60, 60)]
    ((good,),) = ask(healthy, "select count(*) from downloads where sha256 is not null")
    assert isinstance(good, int)
    assert good > 45
    succeeded = "select count(distinct artifact_id) from fallback_attempts where outcome='success'"
    assert ask(healthy, succeeded) == [(good,)]


def test_stored_files_are_what_was_recorded(healthy: Path) -> None:
    rows = ask(healthy, "select distinct final_path from downloads where final_path is not null")
    files = [healthy.parent / "healthy" / str(path) for (path,) in rows]
    assert len(files) > 45
    for file in files:
        assert file.read_bytes().startswith(b"%PDF")


def test_a_crawl_meets_cache_and_limiter(healthy: Path) -> None:
    ((hits, misses, limited),) = ask(
        healthy,
        "select sum(from_cache = 1), sum(from_cache = 0), count(rate_delay_ms) from http_events",
    )
    for count in (hits, misses, limited):
        assert isinstance(count, int)
        assert count > 0
    assert ask(healthy, "select count(*) from http_events where length(url_hash) <> 64") == [(0,)]
    assert ask(healthy, "select finished_at > started_at from run_summary") == [(1,)]


def test_a_bad_host_opens_its_breaker(tmp_path: Path) -> None:
    db = crawl(tmp_path, "degraded", 90)
    ((opened,),) = ask(
        db, "select count(*) from breaker_transitions where lower(new_state) like '%open%'"
    )
    ((limited, waited),) = ask(
        db, "select sum(status = 429), max(retry_after_s) from http_events where status = 429"
    )
    for count in (opened, limited, waited):
        assert isinstance(count, int | float)
        assert count > 0


def test_publishers_serve_trouble_and_pdfs() -> None:
    seen: dict[int, httpx.Response] = {}
    with Publishers("degraded", 1) as publishers:
        for number in range(300):
            for host in ("repo.arxiv.example", "cdn.publisher.example", "web.archive.org"):
                answer = httpx.get(
                    f"http://127.0.0.1:{publishers.port}/pdf/{number}", headers={"Host": host},
                    timeout=30,
                )  # fmt: skip
                seen.setdefault(answer.status_code, answer)
            if {200, 404, 429, 503} <= seen.keys():
                break
    assert {200, 404, 429, 503} <= seen.keys()
    assert int(seen[429].headers["Retry-After"]) >= 0


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    one, other, different = (tmp_path / name for name in ("a.db", "b.db", "c.db"))
    generate.generate(one, 3_000, 3)
    generate.generate(other, 3_000, 3)
    generate.generate(different, 3_000, 3, seed=99)
    everything = "select * from http_events order by id"
    assert ask(one, everything) == ask(other, everything)
    assert ask(one, everything) != ask(different, everything)
    counted = "select count(*), count(distinct run_id), max(id) from http_events"
    assert ask(one, counted) == [(3000, 3, 3000)]


def test_append_continues_the_last_run(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    generate.generate(db, 2_000, 2)
    before = ask(db, "select max(run_id), max(id), max(ts) from http_events")
    generate.append(db, 100)
    ((run, count, first),) = ask(
        db, "select max(run_id), count(*), min(id) from http_events where id > 2000"
    )
    assert (run, count, first) == (before[0][0], 100, 2001)
