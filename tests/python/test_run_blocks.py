"""Runs, artifacts and attempts as blocks; and what the models make of them."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pybreaker
import pytest

from recorder import open_run
from recorder.outcomes import outcome_of

from .support.runs import Tool
from .support.web import ask


def environ(folder: Path) -> dict[str, str]:
    """Return what turns telemetry on."""
    return {
        "DOCSTOKG_ENABLE_TELEMETRY": "1",
        "DOCSTOKG_TELEMETRY_DB_PATH": str(folder / "t.sqlite3"),
    }


def test_what_the_blocks_record_is_what_the_models_say(tool: Tool, tmp_path: Path) -> None:
    waits_ms = {}
    with open_run("run", environ(tmp_path)) as run:
        for number in range(8):
            name = f"W{number}"
            with run.artifact(f"{name}.pdf", work_id=name) as artifact:
                began = time.perf_counter()
                with artifact.attempt("unpaywall", tier="open_access", host="a.example") as attempt:
                    attempt.ended("no_pdf", "landing page only", 200)
                if number < 6:
                    first = time.perf_counter()
                    with artifact.attempt("crossref", tier="publisher") as attempt:
                        time.sleep(0.02)
                    waits_ms[number] = (time.perf_counter() - first) * 1000
                    file = tmp_path / f"{name}.pdf"
                    file.write_bytes(b"%PDF" + name.encode())
                    artifact.saved(file, dedupe_action="hardlink" if number == 5 else "download")
                elapsed_ms = (time.perf_counter() - began) * 1000
    path = tmp_path / "t.sqlite3"
    assert ask(path, "select source, outcome, reason, status, count(*) from fallback_attempts "
               "group by 1, 2, 3, 4 order by 1") == [
        ("crossref", "success", None, None, 6),
        ("unpaywall", "no_pdf", "landing page only", 200, 8),
    ]  # fmt: skip
    digest = hashlib.sha256(b"%PDFW0").hexdigest()
    columns = "work_id, sha256, final_path, content_length, dedupe_action, metadata"
    assert ask(path, f"select {columns} from downloads where artifact_id = 'W0.pdf'") == [
        ("W0", digest, str(tmp_path / "W0.pdf"), 6, "download", '{"resolver_name": "crossref"}')
    ]
    assert ask(path, f"select {columns} from downloads where artifact_id = 'W7.pdf'") == [
        ("W7", None, None, None, None, '{"resolver_name": "unpaywall"}')
    ]
    ((last_ms,),) = ask(path, "select elapsed_ms from downloads where artifact_id = 'W7.pdf'")
    assert last_ms == pytest.approx(elapsed_ms, abs=20)
    ((length,),) = ask(path, "select finished_at - started_at from run_summary")
    assert length > 0.12
    summary = json.loads(tool("summary", "--db", path, "--output-format", "json").stdout)
    assert summary["run_id"] == "run"
    assert summary["yield_pct"] == 75.0
    assert summary["corruption_count"] == 0
    assert summary["dedupe_saved_mb"] == pytest.approx(6 / 2**20)
    # The first attempt ends when the second begins.
    assert summary["ttfp_p50_ms"] == pytest.approx(sorted(waits_ms.values())[2], abs=10)
    assert summary["cache_hit_pct"] is None
    assert summary["started_at"] < summary["finished_at"]


def test_exceptions_go_on_and_are_recorded(tmp_path: Path) -> None:
    request = httpx.Request("GET", "https://h/?t0psecret")
    errors: list[tuple[BaseException, tuple[str, int | None]]] = [
        (httpx.ReadTimeout("late"), ("timeout", None)),
        (TimeoutError(), ("timeout", None)),
        (httpx.HTTPStatusError("no", request=request, response=httpx.Response(404)),
         ("nonretryable", 404)),
        (httpx.HTTPStatusError("no", request=request, response=httpx.Response(429)),
         ("retryable", 429)),
        (httpx.HTTPStatusError("no", request=request, response=httpx.Response(503)),
         ("retryable", 503)),
        (pybreaker.CircuitBreakerError("open"), ("skipped", None)),
        (httpx.ConnectError("no https://h/?t0psecret"), ("error", None)),
        (KeyboardInterrupt(), ("error", None)),
    ]  # fmt: skip
    with open_run("run", environ(tmp_path)) as run:
        for number, (error, expected) in enumerate(errors):
            assert outcome_of(error) == expected
            with (
                pytest.raises(type(error)),
                run.artifact(f"a{number}") as artifact,
                artifact.attempt("x"),
            ):
                raise error
    found = ask(tmp_path / "t.sqlite3", "select outcome, status, reason from fallback_attempts")
    assert found == [(*expected, type(error).__name__) for error, expected in errors]
    downloads = "select count(*), count(sha256), count(final_path) from downloads"
    assert ask(tmp_path / "t.sqlite3", downloads) == [(len(errors), 0, 0)]


class Strange(Exception):
    """An exception, and a path, whose attributes raise."""

    @property
    def response(self) -> None:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"status": 503}, ("retryable", 503)),  # as aiohttp's
        ({"code": 404}, ("nonretryable", 404)),  # as urllib's
        ({"code": 7}, ("error", None)),
        ({"status": "503"}, ("error", None)),
    ],
)
def test_statuses_of_other_clients(
    attributes: dict[str, Any], expected: tuple[str, int | None]
) -> None:
    error = Exception()
    vars(error).update(attributes)
    assert outcome_of(error) == expected


def test_nothing_strange_takes_the_place_of_the_error(tmp_path: Path) -> None:
    with (
        open_run("run", environ(tmp_path)) as run,
        pytest.raises(Strange),
        run.artifact("a") as artifact,
        artifact.attempt("x"),
    ):
        strange: Any = Strange()
        artifact.saved(strange)
        raise Strange
    path = tmp_path / "t.sqlite3"
    assert ask(path, "select outcome, reason from fallback_attempts") == [("error", "Strange")]
    assert ask(path, "select final_path, sha256 from downloads") == [(None, None)]


def test_large_files_are_hashed_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "large.pdf"
    with file.open("wb") as large:
        large.truncate(500_000_000)
    with open_run("run", environ(tmp_path)) as run, run.artifact("a") as artifact:
        began = time.perf_counter()
        artifact.saved(file)
        assert time.perf_counter() - began < 0.05
        file.unlink()  # it was opened before
    ((size, digest),) = ask(tmp_path / "t.sqlite3", "select content_length, sha256 from downloads")
    assert size == 500_000_000
    assert digest == hashlib.sha256(bytes(500_000_000)).hexdigest()


def test_many_files_at_once(tmp_path: Path) -> None:
    with open_run("run", environ(tmp_path)) as run:
        for number in range(200):
            file = tmp_path / f"{number}.pdf"
            file.write_bytes(b"%d" % number)
            with run.artifact(str(number)) as artifact:
                artifact.saved(file)
    found = ask(tmp_path / "t.sqlite3", "select artifact_id, sha256 from downloads")
    assert dict(found) == {
        str(number): hashlib.sha256(b"%d" % number).hexdigest() for number in range(200)
    }


def test_ways_to_say_what_was_saved(tmp_path: Path) -> None:
    def saved(*arguments: Any, **more: Any) -> tuple[object, ...]:
        with open_run("run", environ(tmp_path)) as run, run.artifact("a") as artifact:
            artifact.saved(*arguments, **more)
        columns = "sha256, final_path, content_length, content_type"
        return ask(tmp_path / "t.sqlite3", f"select {columns} from downloads order by id")[-1]

    digest = hashlib.sha256(b"abc").hexdigest()
    file = tmp_path / "a.pdf"
    file.write_bytes(b"abc")
    assert saved(file) == (digest, str(file), 3, None)
    assert saved("rel.pdf", b"abc", content_type="application/pdf") == (
        digest, "rel.pdf", 3, "application/pdf",
    )  # fmt: skip
    assert saved("rel.pdf", b"abc", sha256="given") == ("given", "rel.pdf", 3, None)
    assert saved(file, sha256="given") == ("given", str(file), 3, None)
    # No such file: the row says that a finalise stopped half-way.
    assert saved(tmp_path / "gone.pdf") == (None, str(tmp_path / "gone.pdf"), None, None)


def test_runs_get_a_name_and_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    enabled = {"DOCSTOKG_ENABLE_TELEMETRY": "1"}
    for _ in range(2):
        with open_run(environ=enabled, default_db="out/manifest.sqlite3"):
            pass
    path = tmp_path / "out" / "manifest.sqlite3"
    names = [name for (name,) in ask(path, "select run_id from run_summary order by 1")]
    assert len(names) == 2
    assert all(name.startswith(f"{time.gmtime().tm_year}") for name in names)
    with (
        open_run("off", {}) as run,
        run.artifact("a") as artifact,
        artifact.attempt("x") as nothing,
    ):
        nothing.ended("no_pdf")
        artifact.saved("nowhere")
    assert ask(path, "select count(*) from run_summary") == [(2,)]
