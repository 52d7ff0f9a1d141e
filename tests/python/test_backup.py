"""Backups of a live file, and the way back: whole or not at all."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__

from .conftest import ROOT
from .support.runs import Tool, counts, record
from .support.services import need, object_storage
from .support.web import ask
from .test_faults import small_disk

STAMP = r"\d{8}T\d{6}Z"
PREFIX = ".docstokg-backup-"


def archives(folder: Path) -> list[Path]:
    """Return a folder's archives, the oldest first."""
    return sorted(folder.glob("*.zst"), key=lambda path: path.stat().st_mtime_ns)


def manifest(archive: Path) -> dict[str, Any]:
    """Return what the manifest of an archive says."""
    found: dict[str, Any] = json.loads(Path(f"{archive}.json").read_text())
    return found


def sha256(path: Path) -> str:
    """Return a file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(path: Path) -> list[str]:
    """Return a file's content as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def in_child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python; wait until it says that it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@contextmanager
def holding(path: Path, *statements: str) -> Iterator[None]:
    """Keep a connection open in another process, after some statements."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for s in sys.argv[2:]: c.execute(s).fetchall()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path), *statements],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield
    finally:
        child.kill()
        child.communicate()


def fill(db: Path, rows: int) -> None:
    """Make a file without WAL whose rows, of 1,000 bytes each, cannot be compressed."""
    numbers = f"with recursive n (i) as (select 1 union all select i + 1 from n where i < {rows})"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("create table t (x)")
        connection.execute(f"{numbers} insert into t select randomblob(1000) from n")
        connection.commit()


SEVERAL = """
import json, os, sys
from exporter import backups, cli, put_in_place, restore, sqlite_copy, work_folder
codes = []
for number, arguments in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        for end in (1, 2):
            os.dup2(os.open(f"{number}.{end}", os.O_CREAT | os.O_WRONLY), end)
        sys.argv[1:] = arguments
        cli.main()
    codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
print(json.dumps(codes))
"""


def several(folder: Path, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Run commands one after the other, by a process that has loaded everything they need."""
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return [
        subprocess.CompletedProcess(
            commands[number], code, *((folder / f"{number}.{end}").read_text() for end in (1, 2))
        )
        for number, code in enumerate(json.loads(done.stdout))
    ]


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """Check that a command did nothing and said why in one line."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr, done.stderr


def test_there_and_back(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "kept" / "here"
    record(db, "run")
    tables = ask(db, "select name from sqlite_master where type = 'table' and rootpage > 0")
    named = [name for (name,) in tables if not name.startswith("sqlite_")]
    rows = sum(ask(db, f"select count(*) from {name}")[0][0] for name in named)
    done = tool("backup", "--db", "t.sqlite3", "--out", "kept/here")
    assert (done.returncode, done.stderr) == (0, "")
    (archive,) = archives(out)
    assert re.fullmatch(rf"t-{STAMP}\.sqlite3\.zst", archive.name)
    assert sorted(os.listdir(out)) == [archive.name, f"{archive.name}.json"]
    said = manifest(archive)
    assert done.stdout == (
        f"t.sqlite3: 1 run, {rows} rows, {said['sqlite_bytes']:,} bytes as "
        f"{archive.stat().st_size:,}, checked, in kept/here/{archive.name}\n"
    )
    assert said["source"] == "t.sqlite3"
    assert said["compressed_sha256"] == sha256(archive)
    assert said["rows"]["http_events"] == 40
    assert (said["runs"], said["schema_version"], said["tool_version"]) == (1, 2, __version__)
    assert str(tmp_path) not in json.dumps(said)

    done = tool("restore", "--from", "kept/here", "--db", "back.sqlite3")
    made = said["created_at"][:19].replace("T", " ")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"back.sqlite3: 1 run, {rows} rows, of {made} UTC, checked, from kept/here/{archive.name}\n"
    )
    assert sha256(tmp_path / "back.sqlite3") == said["sqlite_sha256"]
    assert everything(tmp_path / "back.sqlite3") == everything(db)
    summaries = [tool("summary", "--db", name, "--output-format", "json").stdout
                 for name in ("t.sqlite3", "back.sqlite3")]  # fmt: skip
    assert summaries[0] == summaries[1] != ""

    again = tool("restore", "--from", archive, "--db", "back.sqlite3")
    refused(again, "back.sqlite3 exists: replace it with --force")
    done = tool("restore", "--from", f"{archive}.json", "--db", "back.sqlite3", "--force",
                "--output-format", "json")  # fmt: skip
    assert json.loads(done.stdout) == {
        "db": "back.sqlite3", "where": str(out), "archive": archive.name, **said,
    }  # fmt: skip
    assert not [name for name in os.listdir(tmp_path) if name.startswith(PREFIX)]


def test_keep_deletes_the_oldest_of_this_file_only(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "a.sqlite3", "run")
    record(tmp_path / "b.sqlite3", "run")
    out = tmp_path / "out"
    tool("backup", "--db", "b.sqlite3", "--out", "out")
    for _ in range(2):
        tool("backup", "--db", "a.sqlite3", "--out", "out")
    oldest = min(
        (manifest(p)["created_at"], p) for p in archives(out) if p.name.startswith("a-")
    )[1]  # fmt: skip
    (out / "a-20200101T000000Z.sqlite3.zst").write_bytes(b"killed before its manifest")
    (out / "notes.txt").write_text("a person's")
    done = tool("backup", "--db", "a.sqlite3", "--out", "out", "--keep", 2, "--output-format",
                "json")  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["deleted"] == 1
    left = {path.name for path in archives(out)}
    assert len(left) == 3 and answer["archive"] in left and oldest.name not in left
    assert {f"{name}.json" for name in left} | left | {"notes.txt"} == set(os.listdir(out))
    # several files' backups: the one of the same name, or none
    refused(tool("restore", "--from", "out", "--db", "c.sqlite3"),
            "backups of a.sqlite3, b.sqlite3: name one of them with --source")  # fmt: skip
    done = tool("restore", "--from", "out", "--db", "c.sqlite3", "--source", "b.sqlite3")
    assert "/b-" in done.stdout
    (tmp_path / "b.sqlite3").unlink()
    assert "/b-" in tool("restore", "--from", "out", "--db", "b.sqlite3").stdout


def test_a_failed_backup_deletes_nothing(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "out"
    record(db, "run", artifacts=300)
    assert tool("backup", "--db", db, "--out", out).returncode == 0
    before = sorted(os.listdir(out))
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    content = db.read_bytes()
    # an index that names another artifact than its row: only the integrity check can tell
    assert content.count(b"runa299") == 1
    db.write_bytes(content.replace(b"runa299", b"runa29x"))
    refused(
        tool("backup", "--db", db, "--out", out, "--keep", 1), "from index idx_downloads_run_id_a"
    )
    page = ask(db, "select rootpage from sqlite_master where name = 'http_events'")[0][0]
    at = (page - 1) * 4096
    db.write_bytes(content[:at] + b"\xff" * 200 + content[at + 200 :])
    refused(tool("backup", "--db", db, "--out", out, "--keep", 1), "is damaged (")
    assert sorted(os.listdir(out)) == before


WRITER = """
import sys
from recorder import TelemetryWriter
with TelemetryWriter(sys.argv[1], 'busy') as recorder:
    n = 0
    while True:
        for _ in range(200):
            n += 1
            recorder.http_event(host='h', role='artifact', status=200, elapsed_ms=1.0)
            recorder.download(artifact_id=f'a{n}', sha256='ab', final_path='a.pdf')
        recorder.flush()
        if n == 2000:
            print('ready', flush=True)
        with open(sys.argv[2], 'w') as file:
            file.write(f'{n:09}')
"""


def flushed(said: Path) -> int:
    """Return how many events the writer has told of; it may be writing that at this moment."""
    while not (told := said.read_text() if said.exists() else ""):
        time.sleep(0.01)
    return int(told)


def test_drill(tool: Tool, tmp_path: Path) -> None:
    """A writer at full speed, a backup meanwhile, kill -9, restore, check."""
    db, said = tmp_path / "live.sqlite3", tmp_path / "flushed"
    record(db, "first")
    writer = in_child(WRITER, db, said)
    try:
        before = flushed(said)
        done = tool("backup", "--db", db, "--out", tmp_path / "out")
        after = flushed(said)
        assert done.returncode == 0, done.stderr
        assert after > before  # it was not kept from writing
        assert writer.poll() is None
        refused(tool("restore", "--from", tmp_path / "out", "--db", db, "--force"), "is in use")
    finally:
        writer.kill()
        writer.communicate()
    rows = manifest(archives(tmp_path / "out")[0])["rows"]
    assert before <= rows["http_events"] - 40 <= after + 200
    assert rows["downloads"] - 20 in range(before, after + 201)
    assert Path(f"{db}-wal").stat().st_size > 0  # what a kill leaves behind
    done = tool("restore", "--from", tmp_path / "out", "--db", db, "--force")
    assert done.returncode == 0, done.stderr
    assert not Path(f"{db}-wal").exists() and not Path(f"{db}-shm").exists()
    assert ask(db, "pragma integrity_check") == [("ok",)]
    assert counts(db)["http_events"] == rows["http_events"]
    summary = json.loads(
        tool("summary", "--db", db, "--run", "busy", "--output-format", "json").stdout
    )
    assert summary["run_id"] == "busy" and summary["yield_pct"] is not None


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_an_idle_writer_is_not_robbed_of_its_file(tool: Tool, tmp_path: Path, mode: str) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    tool("backup", "--db", db, "--out", "out")
    statements = ["pragma journal_mode = " + mode, "insert into recorder_schema values (1)"]
    if mode == "delete":  # an idle connection of this mode holds no lock
        statements.append("begin immediate")
    with holding(db, *statements):
        refused(tool("restore", "--from", "out", "--db", db, "--force"), "is in use")
        assert len(ask(db, "select * from recorder_schema")) == 2
    assert tool("restore", "--from", "out", "--db", db, "--force").returncode == 0
    assert len(ask(db, "select * from recorder_schema")) == 1


def test_a_writer_without_wal_goes_on_too(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    fill(db, 60_000)
    code = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], timeout=30)\n"
        "print('ready', flush=True)\n"
        "while True: c.execute('insert into t values (1)'); c.commit(); time.sleep(0.005)"
    )
    writer = in_child(code, db)
    try:
        done = tool("backup", "--db", db, "--out", "out")
    finally:
        writer.kill()
        writer.communicate()
    assert done.returncode == 0, done.stderr
    rows = manifest(archives(tmp_path / "out")[0])["rows"]["t"]
    assert 60_000 <= rows <= ask(db, "select count(*) from t")[0][0]


def test_sources_that_cannot_be_backed_up(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "locked.sqlite3", "run")
    (tmp_path / "text.sqlite3").write_text("no database, but long enough for one\n" * 99)
    (tmp_path / "empty.sqlite3").touch()
    for name, words in (
        ("text.sqlite3", "cannot back up text.sqlite3: not a SQLite database"),
        ("empty.sqlite3", "cannot back up empty.sqlite3: empty file"),
        ("nowhere.sqlite3", "cannot back up nowhere.sqlite3: no such file"),
        (".", "cannot back up .: not a regular file but a folder"),
    ):
        refused(tool("backup", "--db", name, "--out", "out"), words)
    with holding(tmp_path / "locked.sqlite3", "pragma journal_mode=delete", "begin exclusive"):
        refused(
            tool("backup", "--db", "locked.sqlite3", "--out", "out"), "locked by another program"
        )
    assert not (tmp_path / "out").exists()
    refused(tool("backup", "--db", "locked.sqlite3", "--out", "text.sqlite3/x"), "Not a directory")
    refused(tool("backup", "--db", "locked.sqlite3", "--out", "ftp9://u:t0psecret@h/x"), "ftp9")
    refused(tool("backup", "--db", "locked.sqlite3", "--out", ""), "--out is empty")


def damage(archive: Path, how: str) -> str:
    """Damage a backup; return what is said about it."""
    content, said = archive.read_bytes(), manifest(archive)
    if how == "cut":
        archive.write_bytes(content[:-100])
        return "the archive's size is wrong|cannot be unpacked"
    if how == "longer":
        archive.write_bytes(content + b"x")
        return "the archive's size is wrong|cannot be unpacked"
    if how == "changed":
        archive.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
        return "checksum is wrong|cannot be unpacked|size is wrong"
    if how == "no manifest":
        Path(f"{archive}.json").unlink()
        return "has no manifest"
    if how == "no archive":
        archive.unlink()
        return "does not exist|No such file"
    if how == "not json":
        Path(f"{archive}.json").write_text("{")
        return "its manifest is damaged"
    wrong = {"rows": {"http_events": 1}, "sqlite_bytes": 4096, "source": 5, "runs": -1}
    said[how] = wrong.get(how, "00")
    Path(f"{archive}.json").write_text(json.dumps(said))
    return {
        "rows": "its rows are not those of its manifest",
        "sqlite_bytes": "it holds more than its manifest says",
        "source": "its manifest is damaged",
        "runs": "its manifest is damaged",
        "sqlite_sha256": "the unpacked file's checksum is wrong",
        "compressed_sha256": "the archive's checksum is wrong",
    }[how]


HOW = ["cut", "longer", "changed", "no manifest", "no archive", "not json", "rows", "sqlite_bytes",
       "source", "runs", "sqlite_sha256", "compressed_sha256"]  # fmt: skip


def test_a_damaged_backup_changes_nothing(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    tool("backup", "--db", "t.sqlite3", "--out", "out")
    (archive,) = archives(tmp_path / "out")
    before = sha256(tmp_path / "t.sqlite3")
    words, commands = [], []
    for how in HOW:
        shutil.copytree(tmp_path / "out", tmp_path / how)
        words.append(damage(tmp_path / how / archive.name, how))
        origin = f"{how}/{archive.name}"
        commands.append(("restore", "--from", origin, "--db", "t.sqlite3", "--force"))
    for how, said, done in zip(HOW, words, several(tmp_path, *commands), strict=True):
        assert (done.returncode, done.stdout) == (2, ""), how
        assert re.search(said, done.stderr) and len(done.stderr.splitlines()) == 1, done.stderr
    assert sha256(tmp_path / "t.sqlite3") == before
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def test_a_name_with_a_line_break_stays_in_its_line(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "a\nb.sqlite3", "run")
    made = tool("backup", "--db", "a\nb.sqlite3", "--out", "out")
    assert made.stdout.startswith("a\\nb.sqlite3: 1 run, ") and made.stdout.count("\n") == 1
    again = tool("restore", "--from", "out", "--db", "a\nb.sqlite3")
    refused(again, "a\\nb.sqlite3")
    back = tool("restore", "--from", "out", "--db", "a\nb.sqlite3", "--force")
    assert back.stdout.startswith("a\\nb.sqlite3: 1 run, ") and back.stdout.count("\n") == 1


def test_the_newest_complete_one_is_taken_and_the_others_named(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    for _ in range(3):
        tool("backup", "--db", "t.sqlite3", "--out", "out")
    made = sorted((manifest(p)["created_at"], p) for p in archives(tmp_path / "out"))
    Path(f"{made[2][1]}.json").unlink()
    damage(made[1][1], "cut")
    done = tool("restore", "--from", "out", "--db", "back.sqlite3")
    assert done.returncode == 1  # done, and a newer one was passed over
    assert done.stdout.endswith(f"/{made[0][1].name}\n")
    assert done.stderr.startswith(f"skipped {made[1][1].name}: its archive has ")
    damage(made[0][1], "cut")
    done = tool("restore", "--from", "out", "--db", "none.sqlite3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "out holds no complete backup" in done.stderr
    assert not (tmp_path / "none.sqlite3").exists()


def test_logs_of_the_file_that_was_there(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    tool("backup", "--db", db, "--out", "out")
    good = everything(db)
    with holding(db, "pragma wal_autocheckpoint=0", "delete from http_events"):
        wal = Path(f"{db}-wal").read_bytes()
    assert wal
    # the file itself is gone, its log is not: applied to the restored file, it would delete rows
    db.unlink()
    refused(tool("restore", "--from", "out", "--db", db), "t.sqlite3-wal is there, of a file")
    assert tool("restore", "--from", "out", "--db", db, "--force").returncode == 0
    assert everything(db) == good
    # a file that SQLite cannot even open is replaced, log and all
    db.write_bytes(b"rubbish" * 1000)
    Path(f"{db}-wal").write_bytes(wal)
    Path(f"{db}-journal").write_bytes(b"x" * 2000)
    db.chmod(0o640)
    link = tmp_path / "link.sqlite3"
    link.symlink_to(db)
    assert tool("restore", "--from", "out", "--db", link, "--force").returncode == 0
    assert everything(db) == good
    assert link.is_symlink() and db.stat().st_mode & 0o777 == 0o640


NAMES = ["a b.sqlite3", "q'\".sqlite3", "100%41.sqlite3", "what?mode=rw.sqlite3", "a#b.sqlite3",
         "größe 📄.db", "-x.sqlite3", "two\nlines.sqlite3", "*[a].sqlite3", "ü" * 120]  # fmt: skip


def test_hostile_names(tool: Tool, tmp_path: Path) -> None:
    good = tmp_path / "t.sqlite3"
    record(good, "run")
    content = good.read_bytes()
    commands: list[tuple[str, ...]] = []
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(content)
        out = f"of {name}"[:60]
        commands += [("backup", "--db", name, "--out", out),
                     ("restore", "--from", out, "--db", f"{number} {name}")]  # fmt: skip
    for done in several(tmp_path, *commands):
        assert (done.returncode, done.stderr) == (0, ""), done.args
    for number, name in enumerate(NAMES):
        assert manifest(archives(tmp_path / f"of {name}"[:60])[0])["source"] == name
        assert everything(tmp_path / f"{number} {name}") == everything(good)
    # of several, the backup of a file is found by its name, which need not be text
    odd = os.fsdecode(b"\xff.sqlite3")
    (tmp_path / odd).write_bytes(content)
    for name in (odd, good.name):
        assert tool("backup", "--db", name, "--out", "both").returncode == 0
    (tmp_path / odd).write_bytes(b"")
    done = tool("restore", "--from", "both", "--db", odd, "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert everything(tmp_path / odd) == everything(good)


def test_several_in_one_second(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    command = [sys.executable, "-m", "exporter", "backup", "--db", "t.sqlite3", "--out", "out"]
    children = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    for child in children:
        child.communicate()
    assert len({manifest(path)["created_at"] for path in archives(tmp_path / "out")}) == 4
    assert not list((tmp_path / "out").glob(f"{PREFIX}*"))


def kill_when(command: list[str], folder: Path, made: str, later_s: float) -> bool:
    """Kill a command some time after it made a file; return whether it was in time."""
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    while child.poll() is None and not list(folder.glob(made)):
        time.sleep(0.001)
    time.sleep(later_s)
    child.send_signal(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def test_killed_at_any_moment(tool: Tool, tmp_path: Path) -> None:
    db, out = tmp_path / "t.sqlite3", tmp_path / "out"
    subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--db", str(db), "--events", "60000",
         "--runs", "2"], check=True, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    command = [sys.executable, "-m", "exporter"]
    backup = [*command, "backup", "--db", "t.sqlite3", "--out", "out"]
    subprocess.run(backup, cwd=tmp_path, check=True, capture_output=True)
    kills = 0
    for made in ("lock", "copy.sqlite3", "archive.zst"):
        for later_s in (0, 0.05, 0.15):
            kills += kill_when(backup, tmp_path, f"out/{PREFIX}*/{made}", later_s)
            left = len(list(out.glob(f"{PREFIX}*")))
            assert left <= 1  # each removes what the one before it left
    assert kills > 5
    for archive in archives(out):  # whatever looks like a backup is one
        if Path(f"{archive}.json").exists():
            assert sha256(archive) == manifest(archive)["compressed_sha256"]
    done = tool("backup", "--db", "t.sqlite3", "--out", "out", "--keep", 1)
    assert done.returncode == 0, done.stderr
    assert len(os.listdir(out)) == 2

    before = everything(db)
    restore = [*command, "restore", "--from", "out", "--db", "t.sqlite3", "--force"]
    kills = sum(
        kill_when(restore, tmp_path, f"{PREFIX}*/{made}", later_s)
        for made in ("lock", "copy.sqlite3") for later_s in (0, 0.05, 0.1, 0.2)
    )  # fmt: skip
    assert kills > 4
    assert everything(db) == before  # the same rows, whether it was replaced or not
    assert subprocess.run(restore, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert not list(tmp_path.glob(f"{PREFIX}*"))
    assert ask(db, "pragma integrity_check") == [("ok",)]


def test_a_full_disk(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    fill(db, 5_000)
    with small_disk(tmp_path / "disk", 8) as quota:
        if quota:
            pytest.skip("mounting is not allowed")
        # the copy fits, its archive, as random as it is, does not
        done = tool("backup", "--db", db, "--out", tmp_path / "disk")
        refused(done, "free some disk space there")
        assert os.listdir(tmp_path / "disk") == []
        (tmp_path / "disk" / "other").write_bytes(b"x" * (6 << 20))
        refused(tool("backup", "--db", db, "--out", tmp_path / "disk"), "are free; free some disk")
        assert tool("backup", "--db", db, "--out", "out").returncode == 0
        refused(tool("restore", "--from", "out", "--db", tmp_path / "disk" / "t.sqlite3"),
                "free some disk space there")  # fmt: skip
        assert os.listdir(tmp_path / "disk") == ["other"]


def test_a_metric_for_the_node_exporter(tool: Tool, tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    assert tool("backup", "--db", "t.sqlite3", "--out", "out", "--textfile", "b.prom").stderr == ""
    said = (tmp_path / "b.prom").read_text()
    (archive,) = archives(tmp_path / "out")
    found = re.findall(r'^(\w+)\{source="t\.sqlite3"\} (\S+)$', said, re.MULTILINE)
    values = {name: float(value) for name, value in found}
    assert abs(values["docstokg_backup_last_success_timestamp_seconds"] - time.time()) < 60
    assert values["docstokg_backup_last_success_size_bytes"] == archive.stat().st_size
    # a backup that fails leaves the time of the last good one
    assert tool("backup", "--db", "no.sqlite3", "--out", "out", "--textfile", "b.prom").returncode
    assert (tmp_path / "b.prom").read_text() == said
    refused(
        tool("backup", "--db", "t.sqlite3", "--out", "new", "--textfile", "no/b.prom"), "no folder"
    )
    assert not (tmp_path / "new").exists()


def test_object_storage(tool: Tool, tmp_path: Path) -> None:
    need(importlib.util.find_spec("s3fs"), "s3fs")
    db, where = tmp_path / "größe %41?#.sqlite3", "s3://telemetry/backups/a"
    record(db, "run")
    content = everything(db)
    with object_storage() as settings:
        endpoint = f"http://{settings['DUCKDB_S3_ENDPOINT']}"
        keys = {k: v for k, v in settings.items() if k.startswith("AWS_")}
        ours = {**settings, "TMPDIR": str(tmp_path / "tmp")}
        (tmp_path / "tmp").mkdir()
        for settings_of_this in (ours, {**keys, "AWS_ENDPOINT_URL": endpoint}):
            done = tool("backup", "--db", db, "--out", where, "--keep", 1, **settings_of_this)
            assert done.returncode == 0, done.stderr
            assert f" in {where}/größe %41?#-20" in done.stdout
        assert done.stdout.endswith("; 1 older deleted\n")
        assert os.listdir(tmp_path / "tmp") == []
        import boto3

        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test",
        )  # fmt: skip
        listed = client.list_objects_v2(Bucket="telemetry", Prefix="backups/a/")["Contents"]
        keys_there = sorted(item["Key"] for item in listed)
        assert len(keys_there) == 2
        done = tool("restore", "--from", where, "--db", "back.sqlite3", **ours)
        assert done.returncode == 0, done.stderr
        assert everything(tmp_path / "back.sqlite3") == content
        one = f"s3://telemetry/{keys_there[0]}"
        # damaged there: nothing is restored
        body = client.get_object(Bucket="telemetry", Key=keys_there[0])["Body"].read()
        client.put_object(Bucket="telemetry", Key=keys_there[0], Body=body[:-1] + b"x")
        refused(tool("restore", "--from", one, "--db", "c.sqlite3", **ours), "is damaged")
        client.delete_object(Bucket="telemetry", Key=keys_there[1])
        refused(tool("restore", "--from", one, "--db", "c.sqlite3", **ours), "has no manifest")
        refused(tool("backup", "--db", db, "--out", "s3://nowhere/x", **ours), "nowhere")
        assert not (tmp_path / "c.sqlite3").exists()
    refused(tool("backup", "--db", db, "--out", where, **ours), where)


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    record(tmp_path / "t.sqlite3", "run")
    code = "import sys; sys.modules['s3fs'] = None; from exporter.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "backup", "--db", "t.sqlite3", "--out", "s3://b/x"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    refused(done, "pip install 'docstokg-telemetry[s3]'")
