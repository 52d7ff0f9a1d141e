"""Warehouses, files and folders of another user: read if allowed, else refused in one line."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

AsUser = Callable[..., "subprocess.CompletedProcess[str]"]
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2
_OPEN = ", or have this one opened to you"


def _like_everybody() -> None:
    """Let permissions hold for root, too."""
    libc = ctypes.CDLL(None)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture
def theirs(tmp_path: Path, loaded: Path) -> Iterator[Path]:
    """A warehouse that this user may read and not write."""
    assert loaded.exists()
    place = tmp_path / "warehouse"
    for path in (place, *place.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield place
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def as_user(tmp_path: Path, compiled: Path) -> AsUser:
    """Run docstokg-telemetry as one who is not above permissions, and has compiled the models."""
    own = tmp_path / "tmp" / f"docstokg-{os.getuid()}"
    own.mkdir(parents=True)
    shutil.copy(compiled, own)

    def run(*arguments: object, place: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exporter", *map(str, arguments)],
            env=os.environ | {"DOCSTOKG_WAREHOUSE": str(place), "TMPDIR": str(tmp_path / "tmp")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_like_everybody if os.getuid() == 0 else None,
        )

    return run


def test_readers_need_no_more_than_to_read(as_user: AsUser, theirs: Path, tmp_path: Path) -> None:
    for command in (
        ("runs",),
        ("summary", "--run", "run"),
        ("query", "--query", "select count(*) from http_events"),
        ("budget",),
        ("trends",),
        ("report", "--out", tmp_path / "report.html"),
        ("export", "--out", tmp_path / "exported"),
    ):
        done = as_user(*command, place=theirs)
        assert done.returncode in (0, 1) and "error" not in done.stderr, (command, done.stderr)


def test_writers_are_told_whose_it_is(as_user: AsUser, theirs: Path, loaded: Path) -> None:
    def refused(what: Path) -> None:
        done = as_user("run", "--db", loaded, place=theirs)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: cannot write to the warehouse: {what} belongs to {what.owner()} and cannot "
            f"be written by this user: set DOCSTOKG_WAREHOUSE to a folder of your own{_OPEN}\n"
        )

    # one after the other is opened
    refused(theirs)
    theirs.chmod(0o755)
    for name in (".lock", "catalog.sqlite"):
        (theirs / name).chmod(0o444)
    for name in ("data", "dbt"):
        for folder in (theirs / name, *(theirs / name).rglob("*")):
            folder.chmod(0o755 if folder.is_dir() else 0o644)
    (theirs / "catalog.sqlite").chmod(0o644)
    refused(theirs / ".lock")
    (theirs / ".lock").chmod(0o644)
    (theirs / "data" / "marts").chmod(0o555)
    refused(theirs / "data" / "marts")
    (theirs / "data" / "marts").chmod(0o755)
    (theirs / "dbt" / "target" / "partial_parse.msgpack").chmod(0o444)
    refused(theirs / "dbt" / "target" / "partial_parse.msgpack")


@pytest.mark.parametrize("closed", [".", "catalog.sqlite", "data"])
def test_a_closed_warehouse_is_told_and_a_file_still_answers(
    as_user: AsUser, theirs: Path, loaded: Path, closed: str
) -> None:
    what = theirs / closed
    what.chmod(0)
    done = as_user("runs", place=theirs)
    summary = as_user("summary", "--db", loaded, place=theirs)
    what.chmod(0o755)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: cannot read the warehouse: {what} belongs to {what.owner()} and cannot be read by "
        f"this user: set DOCSTOKG_WAREHOUSE to a folder of your own{_OPEN}\n"
    )
    assert summary.returncode in (0, 1) and "error" not in summary.stderr, summary.stderr


def test_a_warehouse_that_is_a_file(as_user: AsUser, tmp_path: Path, loaded: Path) -> None:
    place = tmp_path / "file"
    shutil.copy(loaded, place)
    for verb, command in (("read", ("runs",)), ("write to", ("run", "--db", loaded))):
        done = as_user(*command, place=place)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"error: cannot {verb} the warehouse: {place} is not a folder"
        )


def test_sources_and_outputs_of_another_user(as_user: AsUser, loaded: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    shutil.copy(loaded, closed / "t.sqlite3")
    secret = shutil.copy(loaded, tmp_path / "secret.sqlite3")
    place = tmp_path / "warehouse"
    secret.chmod(0)
    closed.chmod(0)
    answers = {
        ("summary", "--db", secret): f"cannot read {secret}: Permission denied",
        ("summary", "--db", closed / "t.sqlite3"): "Permission denied",
        ("summary", "--db", closed): f"cannot read {closed}: folder cannot be listed",
        ("export", "--out", closed): f"'{closed}' is not readable",
        ("export", "--out", closed / "x"): f"cannot make the folder {closed / 'x'}",
        ("report", "--out", closed / "r.html"): f"cannot write {closed / 'r.html'}",
        ("metrics", "--db", loaded, "--textfile", closed / "m.prom"): f"cannot write {closed}",
    }
    done = {command: as_user(*command, place=place) for command in answers}
    closed.chmod(0o755)
    for command, answer in answers.items():
        assert done[command].returncode == 2
        assert answer in done[command].stderr, (command, done[command].stderr)
        assert done[command].stderr.count("\n") == 1, done[command].stderr
