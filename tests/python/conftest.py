"""Shared fixtures: compiled models once for all workers, a warehouse of its own for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest
from hypothesis import HealthCheck, Phase, settings

from .support.forked import Forks
from .support.runs import record

# Every example loads a file and builds all models: about half a second.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile("ci", max_examples=25, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("deep", parent=settings.get_profile("ci"), max_examples=1000)
settings.register_profile(
    "quick", parent=settings.get_profile("ci"), phases=[Phase.generate], max_examples=15
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

ROOT = Path(__file__).resolve().parents[2]
Tool = Callable[..., "subprocess.CompletedProcess[str]"]
_COMPILE = """
import shutil
from pathlib import Path
from exporter.compiled import compiled
from exporter.paths import warehouse_dir
file, folder = compiled(Path(), print), warehouse_dir() / "compiled"
folder.mkdir(parents=True, exist_ok=True)
if file.parent != folder:
    shutil.copy(file, folder)
"""
_BUILD = """
from pathlib import Path
from exporter import runner
assert runner.build([], Path().resolve(), print, lambda *done: None).published
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers have."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse without telemetry and the compiled models, made once for all workers."""
    shared = _shared(tmp_path_factory)
    folder = shared / "prepared"
    with filelock.FileLock(shared / "prepared.lock"):
        if not folder.exists():
            making = shared / "making"
            environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(making)}
            commands = [[sys.executable, "-c", code] for code in (_COMPILE, _BUILD)]
            processes = [subprocess.Popen(c, cwd=ROOT, env=environ) for c in commands]
            assert [process.wait() for process in processes] == [0, 0]
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def compiled(prepared: Path) -> Path:
    """The compiled models."""
    (file,) = (prepared / "compiled").iterdir()
    return file


@pytest.fixture(scope="session")
def parsed(prepared: Path) -> Path:
    """What dbt keeps of a parsed project, so that not each test's first build parses it anew."""
    return prepared / "dbt" / "target" / "partial_parse.msgpack"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What commands are forked off, so that not each of them imports dbt anew."""
    forks = Forks()
    yield forks
    forks.close()


#: Commands that load the files they are given into the warehouse, before they answer from it.
LOAD_FIRST = ("runs", "query", "export", "tune")
#: Commands that an interpreter of their own has run, with nothing imported but what they import.
_begun: set[object] = set()


@pytest.fixture
def tool(tmp_path: Path, prepared: Path, compiled: Path, parsed: Path, forks: Forks) -> Tool:
    """Run docstokg-telemetry as its users do, in a warehouse of the test's own.

    A command's first time is in an interpreter of its own, the others are forked off.

    The first command that loads finds a copy of a warehouse without telemetry: to build all models
    from nothing each time would take the suite minutes. Tests of a first build set
    DOCSTOKG_WAREHOUSE to another folder.
    """
    warehouse = tmp_path / "warehouse"
    for folder, kept in (("compiled", compiled), ("dbt/target", parsed)):
        (warehouse / folder).mkdir(parents=True)
        shutil.copy(kept, warehouse / folder)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    environ["DOCSTOKG_WAREHOUSE"] = str(warehouse)
    environ["PYTHONFAULTHANDLER"] = "1"  # where it was, should a native library ever crash

    def run(*arguments: object, **extra: str) -> subprocess.CompletedProcess[str]:
        loads = arguments[:1] == ("run",) or "--db" in arguments and arguments[0] in LOAD_FIRST
        if loads and not extra and not (warehouse / "catalog.sqlite").exists():
            shutil.copytree(prepared, warehouse, dirs_exist_ok=True)
        if arguments[:1] in _begun and all(name.startswith("DOCSTOKG_") for name in extra):
            return forks.run([*map(str, arguments)], environ | extra, tmp_path)
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *map(str, arguments)],
            env=environ | extra,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode in (0, 1) and "--help" not in arguments:
            _begun.add(arguments[:1])
        return done

    return run


@pytest.fixture
def ready(tool: Tool, tmp_path: Path, prepared: Path) -> Path:
    """The warehouse of `tool`, built already, for what is no command of `tool`."""
    return Path(shutil.copytree(prepared, tmp_path / "warehouse", dirs_exist_ok=True))


@pytest.fixture(scope="session")
def _loaded(tmp_path_factory: pytest.TempPathFactory, prepared: Path, forks: Forks) -> Path:
    """A folder with a file of one run, "run", and a warehouse into which it was loaded."""
    shared = _shared(tmp_path_factory)
    folder, done = shared / "loaded", shared / "loaded.done"
    with filelock.FileLock(shared / "loaded.lock"):
        if not done.exists():
            shutil.copytree(prepared, folder / "warehouse")
            record(folder / "t.sqlite3", "run")
            environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(folder / "warehouse")}
            run = forks.run(["run", "--db", str(folder / "t.sqlite3")], environ, folder)
            assert run.returncode == 0, run.stderr
            done.touch()
    return folder


@pytest.fixture(scope="session")
def refreshed(_loaded: Path) -> Path:
    """Where dbt left the SQL of a build that refreshed a warehouse."""
    return _loaded / "warehouse" / "dbt" / "target"


@pytest.fixture
def loaded(tool: Tool, tmp_path: Path, _loaded: Path) -> Path:
    """A file of one run, "run", for reading only, which the warehouse of `tool` holds already."""
    shutil.copytree(_loaded / "warehouse", tmp_path / "warehouse", dirs_exist_ok=True)
    return _loaded / "t.sqlite3"
