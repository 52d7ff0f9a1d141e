"""Recorded JSONL becomes a SQLite file that says the same, each record once."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import Settings, TelemetryWriter, lines, loaded, replay, schema
from recorder.rows import Row
from recorder.sqlite_sink import store

from .support.runs import Tool
from .support.web import ask

TABLES = ("http_events", "rate_events", "breaker_transitions", "fallback_attempts", "downloads")


def record(folder: Path, run_id: str = "run", events: int = 40, rotate: int = 4_000) -> None:
    """Record a run into SQLite and JSONL."""
    files = Settings(True, folder / "t.sqlite3", folder / "t.jsonl", rotate_bytes=rotate)
    with TelemetryWriter(files, run_id) as recorder:
        recorder.run_summary(started_at=1.8e9)
        for number in range(events):
            artifact = f"a{number}"
            recorder.http_event(
                host="h", role="artifact", url=f"https://h/{number}", status=200, elapsed_ms=1 / 3
            )
            recorder.rate_event(host="h", action="block", delay_ms=0.1 * number)
            recorder.breaker_transition(host="h", old_state="closed", new_state="open")
            recorder.fallback_attempt(outcome="success", artifact_id=artifact, reason="ä\n\"'")
            recorder.download(artifact_id=artifact, metadata={"resolver_name": "ü"})
            if number % 3:
                recorder.update_download(artifact_id=artifact, sha256="ab", final_path="a.pdf")
            if number % 10 == 0:
                recorder.flush()
        recorder.run_summary(finished_at=1.8e9 + 60)


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    return {table: ask(path, f"select * from {table}") for table in (*TABLES, "run_summary")}


def without_ids(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, in no order."""
    rows = {}
    for table in schema.TABLES:
        columns = schema.COLUMNS[table]
        rows[table] = sorted(ask(path, f"select {', '.join(columns)} from {table}"), key=repr)
    return rows


def test_the_copy_says_what_the_original_says(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path)
    texts = sorted(tmp_path.glob("t*.jsonl"))
    assert len(texts) > 3
    done = tool("load-jsonl", tmp_path / "t*.jsonl", "--db", "copy.sqlite3")
    assert (done.returncode, done.stderr) == (0, "")
    records = sum(len(text.read_text().splitlines()) for text in texts)
    assert done.stdout == (
        f"{records} new records of 1 run from {len(texts)} files in copy.sqlite3\n"
    )
    assert everything(tmp_path / "copy.sqlite3") == everything(tmp_path / "t.sqlite3")

    done = tool("load-jsonl", *texts, "--db", "copy.sqlite3", "--output-format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "files": len(texts),
        "rows": 0,
        "known": records,
        "set_aside": 0,
        "unfinished": 0,
        "missing": 0,
        "ignored": {},
        "runs": ["run"],
        "skipped": [],
    }
    assert everything(tmp_path / "copy.sqlite3") == everything(tmp_path / "t.sqlite3")
    summaries = [
        tool("summary", "--db", name, "--output-format", "json").stdout
        for name in ("t.sqlite3", "copy.sqlite3")
    ]
    assert json.loads(summaries[0])["yield_pct"] == 65.0
    assert summaries[0] == summaries[1]


def test_what_the_recorder_lost_goes_with_it(tool: Tool, tmp_path: Path) -> None:
    said = {"table": "recorder_status", "writer": "w", "run_id": "r", "first_error": "full"}
    row = {"table": "rate_events", "writer": "w", "run_id": "r", "ts": 1.8e9, "number": 1}
    lines = [row, *({**said, "number": 2 + n, "events": 9 + n, "dropped": n} for n in range(3))]
    text = tmp_path / "a.jsonl"
    text.write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))
    assert tool("load-jsonl", text, "--db", "copy.sqlite3").returncode == 0
    found = "select writer, run_id, events, dropped, first_error from recorder_status"
    assert ask(tmp_path / "copy.sqlite3", found) == [("w", "r", 11, 2, "full")]
    assert "dropped 2 events" in tool("summary", "--db", "copy.sqlite3").stderr


def test_any_order_and_any_number_of_times(tmp_path: Path) -> None:
    record(tmp_path, "one")
    record(tmp_path, "two")
    texts = [str(text) for text in sorted(tmp_path.glob("t*.jsonl"))]
    copy = tmp_path / "copy.sqlite3"
    half = replay.load_jsonl(texts[::-2], copy)
    assert half.missing > 0
    rest = replay.load_jsonl(texts + texts[::-1], copy)
    assert rest.missing == 0
    for table in ("http_events", "rate_events"):
        counted = f"select run_id, count(*) from {table} group by 1 order by 1"
        assert ask(copy, counted) == [("one", 40), ("two", 40)]
    assert ask(copy, "select count(*) from jsonl_loaded") == [(2,)]


def test_newest_file_first(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path)
    texts = sorted(tmp_path.glob("t*.jsonl"), reverse=True)
    assert tool("load-jsonl", *texts, "--db", "copy.sqlite3").returncode == 0
    rows = [without_ids(tmp_path / name) for name in ("copy.sqlite3", "t.sqlite3")]
    assert rows[0] == rows[1]
    assert [row for row in rows[0]["downloads"] if "a.pdf" in row]


# Few names and values, so that records are about the same rows and disagree.
FIELDS = {"sha256": st.sampled_from("ab"), "content_length": st.integers(1, 3)}
TIMES = {"started_at": st.integers(1, 3), "finished_at": st.integers(1, 3)}
ARTIFACT = st.fixed_dictionaries({"artifact_id": st.sampled_from("xy")}, optional=FIELDS)
CHANGES = st.one_of(
    ARTIFACT.map(lambda fields: fields | {"table": "downloads"}),
    ARTIFACT.map(lambda fields: fields | {"table": "downloads", "change": "update"}),
    st.fixed_dictionaries({"table": st.just("run_summary")}, optional=TIMES),
)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.lists(st.tuples(st.sampled_from("vw"), CHANGES), max_size=14))
def test_the_order_of_changes_does_not_matter(
    data: st.DataObject, written: list[tuple[str, dict[str, object]]]
) -> None:
    counts: Counter[str] = Counter()
    texts = []
    for at, (writer, fields) in enumerate(written, 1):
        counts[writer] += 1
        time_of_row = {} if "change" in fields or fields["table"] == "run_summary" else {"ts": at}
        told = {"writer": writer, "number": counts[writer], "run_id": "r", **fields, **time_of_row}
        texts.append(json.dumps(told) + "\n")
    shuffled = data.draw(st.permutations(texts))
    cut = data.draw(st.integers(0, len(texts)))
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        for file, part in (("all", texts), ("1", shuffled[:cut] * 2), ("2", shuffled[cut:])):
            (folder / file).write_text("".join(part))
        replay.load_jsonl([str(folder / "all")], folder / "all.db")
        patched.setattr(lines, "_CHUNK_LINES", data.draw(st.integers(1, 4)))
        for file in ("1", "2", "all"):
            replay.load_jsonl([str(folder / file)], folder / "shuffled.db")
        assert without_ids(folder / "shuffled.db") == without_ids(folder / "all.db")
        if len(counts) < 2:  # a recorder that writes into SQLite says the same
            with closing(sqlite3.connect(folder / "live.db", isolation_level=None)) as connection:
                schema.ensure_schema(connection)
                for at, (_, fields) in enumerate(written, 1):
                    told = {"ts": at, "run_id": "r", **fields}
                    if "change" in fields:
                        told.pop("ts")
                    values = tuple(map(told.get, schema.COLUMNS[str(fields["table"])]))
                    row = Row(str(fields["table"]), values, str(fields.get("change", "")))
                    store(connection, [row])  # refused where it changes nothing
            assert without_ids(folder / "all.db") == without_ids(folder / "live.db")


def test_a_change_by_another_process_than_the_download(tmp_path: Path) -> None:
    download = {"table": "downloads", "run_id": "r", "artifact_id": "x", "sha256": "old"}
    told = {
        "earlier": download | {"writer": "d", "number": 2, "ts": 1},
        "later": download | {"writer": "b", "number": 1, "ts": 2},
        "change": download | {"writer": "a", "number": 1, "change": "update", "sha256": "new"},
        "no row yet": download | {"writer": "c", "number": 1, "change": "update", "sha256": "c"},
        "and then": download | {"writer": "c", "number": 2, "ts": 0, "artifact_id": "y"},
    }
    told["no row yet"]["artifact_id"] = "y"
    for name, fields in told.items():
        (tmp_path / name).write_text(json.dumps(fields))
    for at, names in enumerate(itertools.permutations(told)):
        copy = tmp_path / f"{at}.sqlite3"
        replay.load_jsonl([str(tmp_path / name) for name in names], copy)
        found = ask(copy, "select artifact_id, ts, sha256 from downloads order by 1, 2")
        assert found == [("x", 1, "old"), ("x", 2, "new"), ("y", 0, "old")], names


def test_the_last_time_decides_between_writers(tmp_path: Path) -> None:
    told = [
        {"writer": "b", "number": 1, "started_at": 1, "artifacts_total": 5},
        {"writer": "b", "number": 2, "finished_at": 2},
        {"writer": "a", "number": 1, "finished_at": 9},
        {"writer": "c", "number": 1, "finished_at": 4, "artifacts_total": 7},
    ]
    for at, fields in enumerate(told):
        whole = {"table": "run_summary", "run_id": "r", **fields}
        (tmp_path / str(at)).write_text(json.dumps(whole))
    for order in itertools.permutations(range(len(told))):
        copy = tmp_path / f"{order}.sqlite3"
        replay.load_jsonl([str(tmp_path / str(at)) for at in order], copy)
        asked = "select started_at, finished_at, artifacts_total from run_summary"
        assert ask(copy, asked) == [(1, 9, 7)], order


def test_a_change_of_a_row_that_was_not_loaded(tmp_path: Path) -> None:
    with TelemetryWriter(tmp_path / "t.sqlite3", "r") as recorder:
        recorder.download(artifact_id="x", sha256="old", content_type="pdf")
    change = {"table": "downloads", "change": "update", "artifact_id": "x", "sha256": "new"}
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"writer": "w", "number": 1, "run_id": "r", **change})
    )
    replay.load_jsonl([str(tmp_path / "a.jsonl")], tmp_path / "t.sqlite3")
    assert ask(tmp_path / "t.sqlite3", "select sha256, content_type from downloads") == [
        ("new", "pdf")
    ]


def test_packed_files_and_standard_input(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path, rotate=10**9)
    text = (tmp_path / "t.jsonl").read_bytes()
    written = text.splitlines(keepends=True)
    (tmp_path / "first.jsonl.gz").write_bytes(gzip.compress(b"".join(written[:50])))
    assert tool("load-jsonl", "first.jsonl.gz", "--db", "copy.sqlite3").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "load-jsonl", "-", "--db", "copy.sqlite3"],
        input=text, cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"50 known already" in done.stdout
    assert everything(tmp_path / "copy.sqlite3") == everything(tmp_path / "t.sqlite3")


GOOD = {
    "table": "rate_events",
    "writer": "w",
    "number": 1,
    "run_id": "r",
    "ts": 1,
    "host": "t0psecret",
}


def but(**fields: object) -> bytes:
    """Return the line of a record that is good but for these fields; None leaves one out."""
    return json.dumps({k: v for k, v in (GOOD | fields).items() if v is not None}).encode()


@pytest.mark.parametrize("cut", [b"", b'{"table":"rate_ev', b"[1]", b"\xff"])
def test_the_last_line_need_not_have_an_end(tool: Tool, tmp_path: Path, cut: bytes) -> None:
    whole = but(number=1) + b"\n" + but(number=2)
    (tmp_path / "a.jsonl").write_bytes(whole + (b"\n" + cut if cut else b""))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    os.mkfifo(tmp_path / "pipe")
    for name, is_growing in (("a.jsonl", True), ("a.jsonl.gz", False), ("pipe", False)):
        command = "cp a.jsonl pipe" if name == "pipe" else "true"
        with subprocess.Popen(command.split(), cwd=tmp_path):
            done = tool("load-jsonl", name, "--db", f"{name}.db", "--output-format", "json")
        assert done.returncode == (1 if cut else 0)
        found = json.loads(done.stdout)
        assert [found[key] for key in ("rows", "set_aside", "unfinished", "missing")] == [
            2, int(bool(cut) and not is_growing), int(bool(cut) and is_growing), 0,
        ]  # fmt: skip
    # written to its end, and then more
    (tmp_path / "a.jsonl").write_bytes(whole + b"\n" + but(number=3))
    for new, known in ((1, 2), (0, 3)):
        done = tool("load-jsonl", "a.jsonl", "--db", "a.jsonl.db", "--output-format", "json")
        assert done.returncode == 0
        found = json.loads(done.stdout)
        assert (found["rows"], found["known"]) == (new, known)


def test_a_line_that_is_finished_while_it_is_read() -> None:
    file = Growing(but(number=1) + b"\n", but(number=2)[:20], but(number=2)[20:] + b"\n")
    seen = [(line.number, line.is_ended) for chunk in lines.chunks(file) for line in chunk]
    assert seen == [(1, True), (2, False)]


class Growing:
    """A file to which the rest of its last line is written once its end was read."""

    def __init__(self, *reads: bytes) -> None:
        self._reads = iter(reads)

    def readline(self, size: int) -> bytes:
        return next(self._reads, b"")


# Not getrusage: what that gives a process includes the peak of the one that started it.
PEAK = """
import re, sys
from pathlib import Path
from recorder import replay
done = replay.load_jsonl(sys.argv[1:], Path("copy.sqlite3"))
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(done.rows, done.set_aside, int(peak_kb) // 1024)
"""


def test_long_lines_do_not_fill_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "one.jsonl").open("wb") as file:
        file.write(but(number=1) + b"\n")
        file.seek(300_000_000, os.SEEK_CUR)  # takes no room on the disk
        file.write(b"\n" + but(number=2) + b"\n")
    long = but(host="x" * 900_000) + b"\n"
    with gzip.open(tmp_path / "many.jsonl.gz", "wb", 1) as packed:
        for number in range(3, 203):
            packed.write(long.replace(b'"number": 1', b'"number": %d' % number))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "one.jsonl", "many.jsonl.gz"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, aside, peak_mb = map(int, done.stdout.split())
    assert (rows, aside) == (202, 1)
    assert peak_mb < 100
    aside_rows = "select file, line, reason from jsonl_set_aside"
    assert ask(tmp_path / "copy.sqlite3", aside_rows) == [
        ("one.jsonl", 2, "longer than 1,000,000 bytes")
    ]


BAD = [
    ("not JSON", b"{"),
    ("not JSON", b"\xff\xfe"),
    ("not JSON", b"[" * 100_000),
    ("not JSON", b'{"number":' + b"1" * 5_000 + b"}"),
    ("not a JSON object", b"[1]"),
    ("its table is not known", but(table="sqlite_master")),
    ("its table is not known", but(table=["rate_events"])),
    ("its table is not known", but(table=None)),
    ("its change is not known", but(change="update")),
    ("its change is not known", but(table="downloads", change="delete")),
    ("its change is not known", but(table="downloads", change={})),
    ("its change is not known", but(table="downloads", change=0)),
    ("no writer or number", but(writer=None)),
    ("no writer or number", but(writer="")),
    ("no writer or number", but(writer=["w"])),
    ("no writer or number", but(writer="\ud800")),
    ("no writer or number", but(writer="w" * 201)),
    ("no writer or number", but(number=None)),
    ("no writer or number", but(number=True)),
    ("no writer or number", but(number=1.0)),
    ("no writer or number", but(number=0)),
    ("no writer or number", but(number=2**63)),
    ("no writer or number", but(number=10**12)),
    ("no run_id", but(run_id=None)),
    ("no run_id", but(run_id={"t0psecret": 1})),
    ("no ts", but(ts=None)),
    ("no ts", but(ts=float("nan"))),
    ("no ts", but(ts=float("-inf"))),
    ("no ts", but(ts=10**400)),
    ("no ts", but(ts="2026-11-24")),
    ("no ts", but(ts="1")),
    ("no ts", but(ts={"t0psecret": 1})),
    ("no ts", but(ts=False)),
    ("newer recorder", but(colour="t0psecret")),
    ("newer recorder", but(table="run_summary")),
]  # fmt: skip


def test_lines_that_are_no_records_are_set_aside(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path, rotate=10**9)
    good = (tmp_path / "t.jsonl").read_bytes().splitlines(keepends=True)
    mixed = [*good[:5], *(line + b"\n" for _, line in BAD), b"\n", *good[5:], good[0][:20]]
    (tmp_path / "mixed.jsonl").write_bytes(b"".join(mixed))
    done = tool("load-jsonl", "mixed.jsonl", "--db", "copy.sqlite3")
    assert done.returncode == 1
    assert f"{len(BAD)} lines set aside (see jsonl_set_aside there)" in done.stdout
    assert everything(tmp_path / "copy.sqlite3") == everything(tmp_path / "t.sqlite3")
    aside = ask(tmp_path / "copy.sqlite3", "select file, line, reason from jsonl_set_aside")
    assert sorted((file, line) for file, line, _ in aside) == [
        ("mixed.jsonl", 6 + number) for number in range(len(BAD))
    ]
    reasons = {line: reason for _, line, reason in aside}
    for number, (reason, _) in enumerate(BAD):
        assert reason in reasons[6 + number], BAD[number]
    assert "t0psecret" not in str(aside)
    assert "1 last lines unfinished" in done.stdout
    # the last line had no end yet; now it has
    (tmp_path / "mixed.jsonl").write_bytes(b"".join(mixed[:-1]) + good[0])
    done = tool("load-jsonl", "mixed.jsonl", "--db", "copy.sqlite3")
    assert done.returncode == 0, done.stdout


def test_a_download_may_have_no_time(tmp_path: Path) -> None:
    times = (5, None, float("nan"), "1", {}, 10**400)
    texts = [
        json.dumps({"table": "downloads", "writer": "w", "number": n, "run_id": "r", "ts": ts})
        for n, ts in enumerate(times, 1)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(texts) + "\n")
    copy = tmp_path / "copy.sqlite3"
    assert replay.load_jsonl([str(tmp_path / "a.jsonl")], copy).rows == 6
    assert ask(copy, "select ts from downloads order by id") == [(5.0,)] + [(None,)] * 5


def test_values_that_do_not_fit_and_addresses_are_cleaned_again(tmp_path: Path) -> None:
    line = {
        "table": "http_events", "writer": "w", "number": 1, "run_id": "r", "ts": 5.0,
        "host": "https://u:t0psecret@h/", "status": "many", "error": "see https://h/?t0psecret",
    }  # fmt: skip
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    copy = tmp_path / "copy.sqlite3"
    assert replay.load_jsonl([str(tmp_path / "a.jsonl")], copy).rows == 1
    assert ask(copy, "select host, status, error from http_events") == [("h", None, "see [url]")]


def test_what_cannot_be_done_is_one_line(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path, rotate=10**9)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 10_000)[:40])
    (tmp_path / "file").write_text("not a database, but long enough to be taken for one" * 50)
    with closing(sqlite3.connect(tmp_path / "newer.sqlite3")) as connection:
        connection.execute("create table recorder_schema as select 99 as version")
    for arguments, code, words in (
        (("nowhere.jsonl", "--db", "c.db"), 2, "cannot read nowhere.jsonl: No such file"),
        (("t.jsonl", "nowhere.jsonl", "--db", "c.db"), 1, "skipped nowhere.jsonl: No such file"),
        (("t.jsonl", "cut.jsonl.gz", "--db", "c.db"), 1, "skipped cut.jsonl.gz: "),
        (("no*.jsonl", "--db", "c.db"), 2, "no*.jsonl matches no file"),
        (("t.jsonl", "--db", "t.jsonl"), 2, "names a JSONL file to read"),
        (("t.jsonl", "--db", "file"), 2, "cannot write file: file is not a database"),
        (("t.jsonl", "--db", "file/x.db"), 2, "cannot write file/x.db"),
        (("t.jsonl", "--db", "newer.sqlite3"), 2, "update the recorder"),
        (("t.jsonl",), 2, "--db"),
        (("t.jsonl", "--db", "c.db", "--output-format", "xml"), 2, "'text', 'json'"),
    ):
        done = tool("load-jsonl", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_killed_at_any_moment_and_run_again(tmp_path: Path) -> None:
    record(tmp_path, events=12_000, rotate=10**9)
    copy = tmp_path / "copy.sqlite3"
    command = [sys.executable, "-m", "exporter", "load-jsonl", "t.jsonl", "--db", "copy.sqlite3"]
    kills = 0
    for wait_s in (0.3, 0.5, 0.7, 0.9):
        child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        time.sleep(wait_s)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert kills > 1
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    assert everything(copy) == everything(tmp_path / "t.sqlite3")


def test_two_loads_at_once(tmp_path: Path) -> None:
    record(tmp_path, events=3_000, rotate=100_000)
    texts = [text.name for text in sorted(tmp_path.glob("t*.jsonl"))]
    command = [sys.executable, "-m", "exporter", "load-jsonl", "--db", "copy.sqlite3"]
    started = [
        subprocess.Popen([*command, *names], cwd=tmp_path, stdout=subprocess.PIPE)
        for names in (texts, texts[::-1])
    ]
    for load in started:
        said, _ = load.communicate()
        assert load.returncode in {0, 1}, said  # 1: the first to end may miss what the other loads
    assert without_ids(tmp_path / "copy.sqlite3") == without_ids(tmp_path / "t.sqlite3")


@given(st.lists(st.lists(st.integers(1, 20))))
def test_numbers_of_records_are_sets(chunks: list[list[int]]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(loaded.TABLE)
        loaded.add(connection, "another", [1, 2, 3, 7])
        seen: set[int] = set()
        for numbers in chunks:
            assert loaded.add(connection, "w", numbers) == set(numbers) - seen
            seen |= set(numbers)
            asked = "select first, last from jsonl_loaded where writer = 'w' order by first"
            pairs = connection.execute(asked).fetchall()
            assert {n for first, last in pairs for n in range(first, last + 1)} == seen
            # No two of them touch.
            assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(pairs))
        assert loaded.missing(connection) == max(seen, default=0) - len(seen) + 3


def test_the_order_of_lines_costs_no_time(tmp_path: Path) -> None:
    texts = [
        json.dumps(
            {"table": "rate_events", "writer": "w", "number": number, "run_id": "r", "ts": 1}
        )
        for number in range(1, 30_001)
    ]
    took = []
    for name in ("ordered", "shuffled"):
        (tmp_path / name).write_text("\n".join(texts) + "\n")
        began = time.process_time()
        assert replay.load_jsonl([str(tmp_path / name)], tmp_path / f"{name}.db").rows == 30_000
        took.append(time.process_time() - began)
        Random(1).shuffle(texts)
    # 2 here; 10 and growing with the square of the lines when each number is put into a list
    assert took[1] < 5 * took[0], took


@pytest.mark.parametrize("name", ["jsonl_loaded", "jsonl_changes", "jsonl_set_aside"])
def test_its_own_tables_do_not_disturb_a_load(tool: Tool, tmp_path: Path, name: str) -> None:
    record(tmp_path, rotate=10**9)
    (tmp_path / "t.jsonl").write_bytes((tmp_path / "t.jsonl").read_bytes() + b"{\n")
    assert tool("load-jsonl", "t.jsonl", "--db", "copy.sqlite3").returncode == 1
    assert ask(tmp_path / "copy.sqlite3", f"select count(*) > 0 from {name}") == [(1,)]
    assert tool("summary", "--db", "copy.sqlite3").returncode in {0, 1}
