"""The timers and the service they start: systemd accepts them, and so does the command line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from exporter.cli import app

from .conftest import ROOT

UNITS = ROOT / "monitoring" / "systemd"
COMMANDS = ("run", "backup", "export", "archive")
INSTALLED = "/opt/docstokg-telemetry/.venv/bin/docstokg-telemetry"


def settings() -> dict[str, str]:
    text = (UNITS / "docstokg-telemetry.env").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_systemd_accepts_timer_and_service(tmp_path: Path, command: str) -> None:
    here = str(Path(sys.executable).parent / "docstokg-telemetry")
    for unit in UNITS.rglob("docstokg[-@]*"):
        if unit.is_file() and unit.suffix in (".timer", ".service", ".conf"):
            copy = tmp_path / unit.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(unit.read_text().replace(INSTALLED, here))
    done = analyze("verify", tmp_path / f"docstokg-{command}.timer")
    assert (done.returncode, "docstokg" in done.stderr) == (0, False), done.stderr
    service = (tmp_path / "docstokg@.service").read_text()
    instance = tmp_path / f"docstokg@{command}.service"
    instance.write_text(service)
    # 20 is 2.0 of systemd's "exposure level", which goes to 10.0
    done = analyze("security", "--offline=yes", "--threshold=20", instance)
    assert done.returncode == 0, done.stdout[-500:]


def test_each_timer_starts_its_command() -> None:
    timers = {path.name for path in UNITS.glob("*.timer")}
    assert timers == {f"docstokg-{command}.timer" for command in COMMANDS}
    for command in COMMANDS:
        text = (UNITS / f"docstokg-{command}.timer").read_text()
        assert f"\nUnit=docstokg@{command}.service\n" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_takes_what_the_service_gives_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = settings()
    for name in ("DOCSTOKG_TELEMETRY_DB_PATH", "DOCSTOKG_WAREHOUSE"):
        monkeypatch.setenv(name, known[name])
    if command == "export":
        text = (UNITS / "docstokg@export.service.d/folder.conf").read_text()
        assert set(re.findall(r"\$([A-Z_]+)", text)) <= set(known)
        arguments = ["--db", known["DOCSTOKG_TELEMETRY_DB_PATH"], "--out", known["EXPORT_FOLDER"]]
    else:
        arguments = shlex.split(known[f"OPTIONS_{command}"])
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    group.commands[command].make_context(command, arguments)


def test_what_is_written_lies_in_folders_that_the_service_may_write() -> None:
    service = (UNITS / "docstokg@.service").read_text()
    (state,) = re.findall("^StateDirectory=(.*)$", service, re.MULTILINE)
    (other,) = re.findall("^ReadWritePaths=(.*)$", service, re.MULTILINE)
    writable = [Path("/var/lib") / name for name in state.split()]
    writable += [Path(name.lstrip("-")) for name in other.split()]
    paths = [Path(w) for v in settings().values() for w in v.split() if w.startswith("/")]
    assert len(paths) >= 6
    for path in paths:
        assert any(path.is_relative_to(folder) for folder in writable), path
