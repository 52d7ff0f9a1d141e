"""Files as people have them: each that cannot be read is named with its reason, the others load."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from exporter.examine import examine
from exporter.sqlite_reason import own_words, parted, trouble

from .support.runs import START, Tool

_TABLE = (
    "create table http_events (id integer primary key autoincrement, run_id text{collate}, ts real,"
    " host text, role text, status integer, from_cache integer)"
)
_KILLED = """
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("pragma cache_size = 2"); c.execute("begin")
sql = "insert into http_events (run_id, ts, host) values ('x', 1, ?)"
c.executemany(sql, [("x" * 200,)] * 4000)
os.kill(os.getpid(), 9)
"""


def write(path: Path, run: str, *more: str, collate: str = "") -> Path:
    """Write a file with a run of 50 requests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
        connection.create_function("norm", 1, str.lower, deterministic=True)
        connection.execute(_TABLE.format(collate=collate))
        connection.executemany(
            "insert into http_events (run_id, ts, host, role, status, from_cache)"
            " values (?, ?, 'h', 'metadata', 200, 1)",
            [(run, START + i) for i in range(50)],
        )
        for statement in more:
            connection.execute(statement)
    return path


def hot(path: Path) -> Path:
    """Write a file whose last writer was killed half-way, with its rollback journal."""
    write(path, "hot")
    subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    assert Path(f"{path}-journal").stat().st_size
    return path


def test_each_file_that_cannot_be_read_is_named_and_the_others_load(
    tool: Tool, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    good = write(runs / "good.db", "good")
    write(tmp_path / "disk2" / "linked.db", "linked")
    (runs / "b").symlink_to(tmp_path / "disk2")
    (runs / "again").symlink_to(tmp_path / "disk2")
    (runs / "up").symlink_to(tmp_path)  # all around the folder is not in it
    (runs / "self").symlink_to(runs / "self")
    os.replace(write(runs / "odd.db", "odd"), os.fsencode(runs) + b"/caf\xe9.db")
    content = good.read_bytes()
    hot(runs / "hot.db")
    (runs / "plain.db").write_bytes(content[:32] + b"\xa5" * 8160)
    (runs / "cut.db").write_bytes(content[:5000])
    (runs / "head.db").write_bytes(content[:100])
    (runs / "empty.db").touch()
    (runs / "gone.db").symlink_to("nowhere")
    (runs / "folder.db").mkdir()
    os.mkfifo(runs / "pipe.db")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(runs / "socket.db"))
        done = tool("summary", "--db", runs, "--run", "linked", "--output-format", "json")
    assert json.loads(done.stdout)["requests"] == 50
    told = dict(re.findall(rf"skipped {runs}/(\w+)\.db: (.*)", done.stderr))
    assert told == {
        "cut": f"damaged SQLite database, cut short to 5,000 of {len(content):,} bytes: copy it "
        f"again from where it came from; what is left: sqlite3 {runs}/cut.db .recover | "
        "sqlite3 NEW",
        "empty": "empty file: wait for the crawler's first rows; if it is a copy, copy it again",
        "gone": f"a link to {runs}/nowhere, which is not there: correct --db, or mend the link",
        "head": f"damaged SQLite database, cut short to 100 of {len(content):,} bytes: copy it "
        f"again from where it came from; what is left: sqlite3 {runs}/head.db .recover | "
        "sqlite3 NEW",
        "hot": "its last writer was killed half-way, and what it began is to be undone first: "
        "nothing is lost: as a user who may write it and its folder, run "
        f"sqlite3 {runs}/hot.db 'pragma integrity_check' once",
        "pipe": "not a regular file but a named pipe: name the file itself",
        "plain": "not a SQLite database, or an encrypted one: name the file that the crawler "
        "records into; of an encrypted one, a decrypted copy",
        "socket": "not a regular file but a socket: name the file itself",
    }
    assert len(done.stderr.splitlines()) == len(told)
    # a name that is not UTF-8 is spelled out wherever text has to be
    odd = tool("summary", "--db", runs, "--run", "odd")
    assert f"from {runs}/caf\\udce9.db" in odd.stdout
    assert tool("summary", "--db", runs, "--run", "good").returncode == 0


def test_a_name_that_is_not_utf_8_is_loaded_and_exported(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "in"
    write(db / "good.db", "good")
    os.replace(write(db / "odd.db", "odd"), os.fsencode(db) + b"/caf\xe9.db")
    done = tool("run", "--db", db)
    assert (done.returncode, "100 new rows from 2 files" in done.stderr + done.stdout) == (0, True)
    again = tool("run", "--db", db)
    assert (again.returncode, " 0 new rows" in f" {again.stderr}{again.stdout}") == (0, True)
    sql = "select run_id, source_path from run_inventory where run_id = 'odd'"
    rows = json.loads(tool("query", "--query", sql, "--format", "json").stdout)
    assert rows == [{"run_id": "odd", "source_path": f"{db}/caf\\udce9.db"}]
    assert tool("export", "--db", db, "--out", tmp_path / "out").returncode == 0
    for command in ("metrics", "storage", "doctor", "budget", "runs"):
        names = () if command == "runs" else ("--db", db)
        done = tool(command, *names)
        assert (done.returncode, "unexpected" in done.stderr) == (0, False), (command, done.stderr)
    assert tool("report", "--db", db, "--run", "odd", "--out", tmp_path / "r.html").returncode == 0


def test_a_hot_journal_is_no_damage(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = hot(tmp_path / "hot.db")
    for command in (("backup", "--out", "out"), ("storage",)):
        done = tool(command[0], "--db", db, *command[1:])
        assert done.returncode == 2 and "killed half-way" in done.stderr, done.stderr
        assert "restore" not in done.stderr and "damage" not in done.stderr
    done = tool("doctor", "--db", db)
    assert "killed half-way" in done.stdout and "restore" not in done.stdout
    # nor to a user who may not write there, to whom SQLite says the same
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    (found,) = examine(str(db), str(db), deep=False)
    assert found.status == "bad" and "killed half-way" in found.found
    subprocess.run(["sqlite3", db, "pragma integrity_check"], check=True, capture_output=True)
    assert tool("summary", "--db", db, "--run", "hot").returncode == 0


@pytest.mark.parametrize(
    ("collate", "index", "why"),
    [
        (" collate LOCALIZED", "run_id, ts", "no such collation sequence: LOCALIZED"),
        ("", "norm(host)", "unknown function: norm()"),
    ],
)
def test_what_only_the_application_has_is_no_damage(
    tool: Tool, tmp_path: Path, collate: str, index: str, why: str
) -> None:
    module = (
        "insert into sqlite_master values ('table', 'papers', 'papers', 0,"
        " 'create virtual table papers using vec0(embedding float[8])')"
    )
    writable = "pragma writable_schema = on"
    db = write(
        tmp_path / "t.db", "r", f"create index i on http_events ({index})", writable, module,
        collate=collate,
    )  # fmt: skip
    done = tool("backup", "--db", db, "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert ", checked but for 1 index, in out/" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1:] == [f"backed up, but not checked: index i ({why})"]
    assert tool("restore", "--from", "out", "--db", tmp_path / "back.db").returncode == 0
    told = json.loads(tool("doctor", "--db", db, "--deep", "--output-format", "json").stdout)
    found = [row["found"] for row in told["findings"] if row["check"] == "integrity"]
    assert found == [f"integrity_check: not checked: index i ({why})", "integrity_check: ok"]
    # real damage of another table is found all the same
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("create table other (x)")
        connection.execute("insert into other values (1)")
        (page,) = connection.execute(
            "select rootpage from sqlite_master where name = 'other'"
        ).fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    with db.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)
    done = tool("backup", "--db", db, "--out", "out")
    assert done.returncode == 2 and "is damaged" in done.stderr, done.stderr


def test_reasons_are_sqlites_own() -> None:
    query = 'Error: Failed to prepare query " select m.name, \nfrom x": {}\n\nLINE 1: from x\n   ^'
    for words, what in (
        ("database disk image is malformed", "damaged SQLite database (cut short or overwritten)"),
        ("database is locked", "locked by another program, which holds it exclusively"),
        ("file is encrypted or is not a database", "not a SQLite database, or an encrypted one"),
        ("no such module: vec0", "no such module: vec0"),
        ("no such column: x", "no such column: x"),
    ):
        for text in (words, query.format(words)):
            assert own_words(ValueError(text)) == words
            found = trouble(ValueError(text))
            assert found.what == what and found.remedy
    assert parted("a: b: c").remedy == "b: c" and parted("a").remedy


def test_a_log_of_another_file_is_thought_of(tmp_path: Path) -> None:
    db = tmp_path / "t.db"
    Path(f"{db}-wal").write_bytes(b"x")
    found = trouble(ValueError("database disk image is malformed"), str(db))
    assert "-wal beside it is another file's" in found.what and "copies" in found.remedy
