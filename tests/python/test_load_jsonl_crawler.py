"""The crawler's own manifest.jsonl becomes a SQLite file that is read as its own manifest is."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.crawler_tables import CRAWLER_TABLES
from exporter.sources import refusal
from recorder import crawler, lines, replay
from scripts.crawler_manifest import write, write_jsonl

from .support.runs import Tool
from .support.web import ask

AT = "2026-03-02T08:00:0{}.123456Z"
IO = {"record_type": "io_attempt", "ts": AT.format(1), "url": "https://h.example/t0psecret"}


def load(folder: Path, *names: str, db: str = "copy.sqlite3") -> replay.Loaded:
    """Load JSONL files of a folder."""
    return replay.load_jsonl([str(folder / name) for name in names], folder / db)


def text(path: Path, *records: dict[str, Any] | str) -> None:
    """Write records, and lines as they are."""
    told = (record if isinstance(record, str) else json.dumps(record) for record in records)
    path.write_text("".join(f"{line}\n" for line in told))


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of the crawler's tables but their ids."""
    return {
        table: sorted(ask(path, f"select {', '.join(columns)} from {table}"), key=repr)
        for table, columns in crawler.COLUMNS.items()
    }


def tried(second: int, **fields: Any) -> dict[str, Any]:
    """Return an event of a fallback run, as the crawler's sinks are given it."""
    return {
        "timestamp": AT.format(second), "ts": 1_772_438_400.0 + second, "run_id": "fallback",
        "work_id": "W1", "artifact_id": "W1", "tier": "direct", "source": "arxiv",
        "host": "export.arxiv.example", "elapsed_ms": 250, **fields,
    }  # fmt: skip


def test_both_forms_of_a_manifest_say_the_same(tool: Tool, tmp_path: Path) -> None:
    own, jsonl = tmp_path / "manifest.sqlite3", tmp_path / "manifest.jsonl"
    for run in ("one", "fallback"):
        write(own, run, 40)
        write_jsonl(jsonl, run, 40)
    events = [tried(1, outcome="no_pdf", reason="not there"), tried(3, outcome="success")]
    summary = {**tried(4), "tiers_tried": 1}
    with jsonl.open("a") as file, closing(sqlite3.connect(own)) as connection, connection:
        columns = ("timestamp", *crawler.COLUMNS["fallback_events"][1:-1])
        # The crawler's SQLite sink puts such a summary beside the attempts.
        for event in (*events, {**summary, "outcome": "summary"}):
            connection.execute(
                f"insert into fallback_events ({', '.join(columns)}, payload) "
                f"values ({', '.join('?' for _ in (*columns, 'payload'))})",
                [*map(event.get, columns), json.dumps(event)],
            )
        for event in events:
            file.write(json.dumps({"record_type": "fallback_attempt", **event}) + "\n")
        for record in ({"record_type": "fallback_summary", **summary}, IO, IO):
            file.write(json.dumps(record) + "\n")
    records = len(jsonl.read_text().splitlines()) - 3
    ignored = "3 ignored that no SLI needs (fallback_summary, io_attempt)"
    for new, known in ((records, ""), (0, f"{records} known already, ")):
        done = tool("load-jsonl", jsonl, "--db", "copy.sqlite3")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"{new} new records of 2 runs from 1 file in copy.sqlite3; {known}{ignored}\n"
        )
    told = {
        (run, file): tool("summary", "--db", file, "--run", run, "--output-format", "json").stdout
        for run in ("one", "fallback")
        for file in (own, "copy.sqlite3")
    }
    for run, ttfp_ms in (("one", 578.4999132156372), ("fallback", 2_000.0)):
        assert told[run, own] == told[run, "copy.sqlite3"]
        found = json.loads(told[run, own])
        assert (found["yield_pct"], found["breaker_opens"]) == (pytest.approx(3200 / 36), 1)
        assert found["ttfp_p50_ms"] == pytest.approx(ttfp_ms)
        assert found["finished_at"] == "2026-03-02T08:01:25Z"


def test_the_columns_that_are_written_are_those_that_are_read() -> None:
    read = {
        table: {*re.findall(r"\{(\w+)\}", repr(list(of.columns.values())) + of.where)}
        for table, of in CRAWLER_TABLES.items()
    }
    assert {table: set(columns) for table, columns in crawler.COLUMNS.items()} == read
    assert set(crawler.RECORDS.values()) == set(CRAWLER_TABLES)


SECRET = "https://me:t0psecret@h.example/t0psecret.pdf?key=t0psecret"
PRIVATE = {
    "title": "t0psecret", "url": SECRET, "canonical_url": SECRET, "original_url": SECRET,
    "path": "/home/t0psecret.pdf", "html_paths": ["/t0psecret"], "etag": "t0psecret",
    "reason": f"see {SECRET}", "reason_detail": "t0psecret", "metadata": {"title": "t0psecret"},
    "extracted_text_path": "/t0psecret", "content_type": SECRET, "sha256": "ab" * 32,
    "work_id": SECRET, "artifact_id": SECRET, "resolver": SECRET, "resolver_name": SECRET,
    "source": SECRET, "host": SECRET, "scope": SECRET, "tier": SECRET, "outcome": SECRET,
    "status": SECRET, "classification": SECRET, "event_type": SECRET, "old": SECRET,
    "new": f"CircuitOpenState {SECRET}", "api_key": 12_345_678, "names": {SECRET: 1},
    "reason_totals": {SECRET: 1, "pdf": 2}, "resolvers": {"arxiv": {SECRET: 3}},
    "payload": {"url": SECRET, "t0psecret": "t0psecret", "title": "t0psecret"}, "ts": SECRET,
    "unheard_of": "t0psecret",
}  # fmt: skip


def test_no_title_or_path_or_more_of_a_url_than_its_host_is_written(tmp_path: Path) -> None:
    common = {**PRIVATE, "run_id": "r", "timestamp": AT.format(1), "processed": 4, "saved": 3}
    kinds = (*crawler.RECORDS, *crawler.IGNORED)
    told = [{"record_type": kind, **common} for kind in (*kinds, "t0psecret")]
    text(tmp_path / "a.jsonl", *told, '{"record_type": "attempt", "t0psecret')
    done = load(tmp_path, "a.jsonl")
    assert (done.rows, done.set_aside, done.ignored.total()) == (5, 2, 2)
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as connection:
        dump = "\n".join(connection.iterdump())
    assert "t0psecret" not in dump and "12345678" not in dump
    assert set(re.findall(r"\w+://[^']*", dump)) == {"https://h.example/"}
    found = rows(tmp_path / "copy.sqlite3")
    manifest = dict(zip(crawler.COLUMNS["manifests"], found["manifests"][0], strict=True))
    assert (manifest["path"], manifest["sha256"]) == ("present", "ab" * 32)
    assert manifest["reason"] == "see [url]"
    attempt = dict(zip(crawler.COLUMNS["attempts"], found["attempts"][0], strict=True))
    assert attempt["url"] == "https://h.example/"
    [(_, _, payload)] = found["summaries"]
    assert json.loads(payload)["reason_totals"]["pdf"] == 2
    assert [json.loads(payload)[name] for name in ("processed", "saved")] == [4, 3]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://H.example:8443/a?b#c", "https://h.example/"),
        (" ftp://u@[2001:db8::1]:21/x", "ftp://[2001:db8::1]/"),
        ("h.example/a", None),
        ("", None),
        (7, None),
        (["https://h.example/"], None),
    ],
)
def test_of_a_url_its_host(tmp_path: Path, url: object, kept: str | None) -> None:
    text(tmp_path / "a.jsonl", {"record_type": "attempt", "run_id": "r", "url": url})
    load(tmp_path, "a.jsonl")
    [(found,)] = ask(tmp_path / "copy.sqlite3", "select url from attempts")
    assert (found and found.lower()) == kept


def test_later_states_copies_and_the_recorders_lines(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "whole", "r", 10)
    whole = (tmp_path / "whole").read_text().splitlines()
    same = json.dumps({"record_type": "attempt", "run_id": "r", "status": "skipped"})
    recorded = [
        json.dumps({"table": "rate_events", "writer": "w", "number": n, "run_id": "r", "ts": 1.8e9})
        for n in (1, 2)
    ]
    early = [*whole[:9], same, same, recorded[0]]
    late = [*early, *whole[9:], same, recorded[1]]
    text(tmp_path / "early", *early, whole[9][:20])
    text(tmp_path / "late", *late)
    (tmp_path / "early").write_text((tmp_path / "early").read_text().rstrip("\n"))
    assert (load(tmp_path, "early").rows, load(tmp_path, "early").known) == (12, 12)
    done = load(tmp_path, "early", "late", "late")
    assert done.rows == len(late) - len(early) and not done.set_aside
    assert done.unfinished == 1
    load(tmp_path, "late", db="at once.sqlite3")
    assert rows(tmp_path / "copy.sqlite3") == rows(tmp_path / "at once.sqlite3")
    assert ask(tmp_path / "copy.sqlite3", "select count(*) from rate_events") == [(2,)]
    counted = "select count(*) from attempts where status = 'skipped'"
    assert ask(tmp_path / "copy.sqlite3", counted) == [(3,)]


def test_the_latest_summary_of_a_run_stays(tmp_path: Path) -> None:
    for second in (1, 3, 2):
        told = {"run_id": "r", "timestamp": AT.format(second), "processed": second}
        text(tmp_path / f"{second}", {"record_type": "summary", **told})
        load(tmp_path, f"{second}")
    assert ask(tmp_path / "copy.sqlite3", "select * from summaries") == [
        ("r", AT.format(3), '{"processed": 3}')
    ]


def test_ended_in_any_chunk_and_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "a.jsonl", "r", 10)
    load(tmp_path, "a.jsonl", db="whole.sqlite3")
    monkeypatch.setattr(lines, "_CHUNK_LINES", 3)
    store = replay.store_records
    for stop_at in range(1, 5):
        left = iter(range(stop_at))

        def ends(*given: Any, left: Any = left) -> int:
            refused = store(*given)
            if next(left, None) is None:
                raise KeyboardInterrupt
            return refused

        monkeypatch.setattr(replay, "store_records", ends)
        with pytest.raises(KeyboardInterrupt):
            load(tmp_path, "a.jsonl")
    monkeypatch.setattr(replay, "store_records", store)
    load(tmp_path, "a.jsonl")
    assert rows(tmp_path / "copy.sqlite3") == rows(tmp_path / "whole.sqlite3")


@pytest.mark.parametrize(
    ("reason", "record"),
    [
        ("its record_type is not known", {"record_type": "attempts"}),
        ("its record_type is not known", {"record_type": ["attempt"]}),
        ("its record_type is not known", {"record_type": None}),
        ("no run_id", {"record_type": "manifest", "run_id": None}),
        ("no run_id", {"record_type": "summary", "run_id": ""}),
        ("no run_id", {"record_type": "attempt", "run_id": {"a": 1}}),
    ],
)
def test_lines_that_are_set_aside(tmp_path: Path, reason: str, record: dict[str, Any]) -> None:
    text(tmp_path / "a.jsonl", {"run_id": "r", "work_id": "W1"} | record)
    assert load(tmp_path, "a.jsonl").set_aside == 1
    [(told,)] = ask(tmp_path / "copy.sqlite3", "select reason from jsonl_set_aside")
    assert reason in told


def test_values_that_do_not_fit(tmp_path: Path) -> None:
    odd = {"work_id": 7, "content_length": "many", "dry_run": "true", "reason": {"a": 1}}
    text(tmp_path / "a.jsonl", {"record_type": "manifest", "run_id": "r", "path": "", **odd},
         {"record_type": "attempt", "run_id": "r", "elapsed_ms": float("nan"), "status": "\ud800"},
         {"record_type": "summary", "run_id": "r", "payload": '{"processed": 2, "saved": 1}'},
         {"record_type": "breaker_event", "run_id": "r", "payload": "no JSON", "ts": 10**30},
    )  # fmt: skip
    assert load(tmp_path, "a.jsonl").rows == 4
    columns = "work_id, content_length, dry_run, reason, path"
    copy = tmp_path / "copy.sqlite3"
    assert ask(copy, f"select {columns} from manifests") == [("7", None, "true", None, None)]
    assert ask(copy, "select elapsed_ms, status from attempts") == [(None, "?")]
    assert ask(copy, "select payload from summaries") == [('{"processed": 2, "saved": 1}',)]
    assert ask(copy, "select payload from breaker_events") == [(f'{{"ts": {10**30}}}',)]


def test_the_crawlers_own_file_is_not_added_to(tool: Tool, tmp_path: Path) -> None:
    write(tmp_path / "manifest.sqlite3", "r", 4)
    write_jsonl(tmp_path / "manifest.jsonl", "r", 4)
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite3")) as connection:
        before = [*connection.iterdump()]
    done = tool("load-jsonl", "manifest.jsonl", "--db", "manifest.sqlite3")
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write manifest.sqlite3: its table manifests is the crawler's own and may "
        "hold the same records: name another file with --db, or free this one\n"
    )
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite3")) as connection:
        assert [*connection.iterdump()] == before


def test_jsonl_given_as_a_database(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "manifest.jsonl", "r", 4)
    for name in ("manifest.jsonl", "manifest.jsonl.0001", "renamed.sqlite3"):
        (tmp_path / name).write_bytes((tmp_path / "manifest.jsonl").read_bytes())
        found = refusal(str(tmp_path / name))
        assert found is not None
        assert (found.what, found.remedy) == (
            "JSONL",
            f"load it with docstokg-telemetry load-jsonl {tmp_path / name} --db telemetry.sqlite3",
        )
