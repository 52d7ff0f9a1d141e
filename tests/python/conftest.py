"""Shared fixtures: compiled models once a session, a warehouse of its own for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

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


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, compiled once for all tests of this worker."""
    from exporter import direct

    os.environ["DOCSTOKG_WAREHOUSE"] = str(tmp_path_factory.mktemp("compiled"))
    try:
        return direct.compiled(ROOT, lambda message: None)
    finally:
        del os.environ["DOCSTOKG_WAREHOUSE"]


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dbt keeps of a parsed project, so that not each test's first build parses it anew."""
    folder = tmp_path_factory.mktemp("parsed")
    subprocess.run(
        [Path(sys.executable).parent / "dbt", "parse", "--target-path", folder / "target",
         "--log-path", folder / "logs"],
        cwd=ROOT, env=os.environ | {"DOCSTOKG_WAREHOUSE": str(folder / "warehouse")},
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "target" / "partial_parse.msgpack"


@pytest.fixture
def tool(tmp_path: Path, compiled: Path, parsed: Path) -> Iterator[Tool]:
    """Run docstokg-telemetry as its users do, in a warehouse of the test's own."""
    warehouse = tmp_path / "warehouse"
    for folder, kept in (("compiled", compiled), ("dbt/target", parsed)):
        (warehouse / folder).mkdir(parents=True)
        shutil.copy(kept, warehouse / folder)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCSTOKG_")}
    environ["DOCSTOKG_WAREHOUSE"] = str(warehouse)
    environ["PYTHONFAULTHANDLER"] = "1"  # where it was, should a native library ever crash

    def run(*arguments: object, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exporter", *map(str, arguments)],
            env=environ | extra,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
