"""What the doctor says of archived runs: those that a file names, and those that a folder holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from exporter import archived, warehouse
from exporter.checks_archive import check_archived_runs, check_archives

from .support.runs import START, Tool, record
from .test_archive import moved
from .test_doctor import doctor

RUNS = ("a", "b", "c")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Path:
    """Return a folder with a file and the archive that three of its runs went to."""
    from datetime import UTC, datetime

    from exporter.archive_move import Wishes, move

    folder = tmp_path_factory.mktemp("kept")
    for run in RUNS:
        record(folder / "t.sqlite3", run, artifacts=3, good=2, start=START + ord(run))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCSTOKG_WAREHOUSE", str(compiled.parent.parent))
        wishes = Wishes(folder / "archive", datetime.now(UTC), dry_run=False, vacuum="")
        (result,), failed = move([str(folder / "t.sqlite3")], wishes, None)
    assert (len(result.archived), failed) == (3, [])
    return folder


def of_file(db: Path, *archives: Path, deep: bool = False) -> list[tuple[str, str]]:
    """Return (status, what was found) of the runs that a file says were archived."""
    with warehouse.connect(("sqlite_scanner",)) as connection:
        findings = list(check_archived_runs(connection, str(db), [str(a) for a in archives], deep))
    assert all(f.remedy for f in findings if f.status != "good")
    return [(f.status, f.found) for f in findings]


def of_folder(archive: Path) -> list[tuple[str, str]]:
    """Return (status, what was found) of an archive."""
    with duckdb.connect() as connection:
        folders = archived.run_folders(archive)
        (report,) = check_archives(connection, [str(archive)], folders)
    assert all(f.remedy for f in report.findings if f.status != "good")
    return [(f.status, f.found) for f in report.findings]


def test_whole_and_moved_and_gone(kept: Path, tmp_path: Path) -> None:
    db, archive = kept / "t.sqlite3", kept / "archive"
    well = [("good", "3 runs, where the file says")]
    assert of_file(db) == of_file(db, deep=True) == well
    assert of_folder(archive) == [("good", "3 runs, whole by checksums and numbers of rows")]
    moved_to = archive.rename(tmp_path / "moved")
    try:
        gone = [("bad", f"{archive}, where a, b, c went, is not there")]
        assert of_file(db) == gone
        assert of_file(db, moved_to) == well
        archive.mkdir()
        assert of_file(db) == [("bad", f"{archive} has no folder of a, b, c, archived to it")]
        archive.rmdir()
    finally:
        moved_to.rename(archive)
    fresh = tmp_path / "fresh.sqlite3"
    record(fresh, "one", artifacts=1, good=1)
    assert of_file(fresh) == [("good", "none noted")]


def test_what_is_not_whole(kept: Path, tmp_path: Path) -> None:
    db, archive = kept / "t.sqlite3", tmp_path / "archive"
    shutil.copytree(kept / "archive", archive)
    (kept / "archive").rename(kept / "aside")  # the one that is named beside the file counts
    try:
        (archive / "run_id=a" / "manifest.json").unlink()
        (archive / "run_id=b" / "downloads-1.parquet").unlink()
        file = archive / "run_id=c" / "http_events-1.parquet"
        shutil.copy(file, file.with_name("http_events-2.parquet"))
        said = json.loads((archive / "run_id=c" / "manifest.json").read_text())
        said["tables"]["http_events"]["rows"] += 1
        (archive / "run_id=c" / "manifest.json").write_text(json.dumps(said))
        rows = said["tables"]["http_events"]["rows"]
        differs = f"http_events-1.parquet has {rows - 1} rows, and {rows} were archived"
        assert of_file(db, archive) == [
            ("bad", f"a in {archive}: its manifest cannot be read: No such file or directory"),
            ("bad", f"b in {archive}: downloads-1.parquet: No such file or directory"),
            ("bad", f"c in {archive}: {differs}"),
        ]
        of_a = "run_id=a: 7 Parquet files and no manifest, so that nothing reads them"
        assert of_folder(archive) == [
            ("bad", "run_id=b: downloads-1.parquet: No such file or directory"),
            ("bad", f"run_id=c: {differs}"),
            ("bad", of_a.replace("7", str(len(list((archive / "run_id=a").iterdir()))))),
        ]
        said["tables"]["http_events"]["rows"] -= 1
        (archive / "run_id=c" / "manifest.json").write_text(json.dumps(said))
        beside = "1 Parquet file that its manifest does not name (http_events-2.parquet)"
        assert ("warning", f"run_id=c: {beside}") in of_folder(archive)
        content = bytearray(file.read_bytes())
        content[10] ^= 1
        file.write_bytes(content)
        assert len(of_file(db, archive)) == 2
        assert of_file(db, archive, deep=True)[2][1].startswith(
            f"c in {archive}: the checksum of http_events-1.parquet is wrong"
        )
    finally:
        (kept / "aside").rename(kept / "archive")


def test_the_command(tool: Tool, tmp_path: Path) -> None:
    db, archive = tmp_path / "t.sqlite3", tmp_path / "archive"
    record(db, "a", artifacts=3, good=2)
    moved(tool, db, archive)
    found = doctor(tool, "--db", db)["findings"]
    assert [f["status"] for f in found if f["check"] == "archived runs"] == ["good"]
    (archive / "run_id=a" / "manifest.json").unlink()
    # the only run of the archive has lost its manifest: the archive is still one to look at
    found = doctor(tool, "--db", archive)["findings"]
    assert [(f["file"], f["status"]) for f in found if f["check"] == "archive"] == [
        (str(archive), "bad")
    ]
    (found,) = [f for f in doctor(tool, "--db", db)["findings"] if f["check"] == "archived runs"]
    assert found["status"] == "bad" and found["remedy"].startswith("restore the run's folder")
