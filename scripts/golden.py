"""Keep the warehouse that a release writes, so that later ones are tested to take it over.

``git worktree add /tmp/release v0.1.0 && python -m scripts.golden /tmp/release``

The release loads tests/python/golden/source.sql. Its warehouse, and what it says of each run, go
to tests/python/golden/RELEASE/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

GOLDEN: Final = Path(__file__).resolve().parents[1] / "tests" / "python" / "golden"
_RELEASE: Final = "import exporter; print(exporter.__version__)"


def source(path: Path, *scripts: str) -> None:
    """Apply SQL scripts of the golden folder to a telemetry file."""
    connection = sqlite3.connect(path)
    for script in scripts:
        connection.executescript((GOLDEN / script).read_text())
    connection.close()


def make(checkout: Path) -> Path:
    """Have a release load the source and answer; return the folder of what is kept.

    Args:
        checkout: the release's source tree.
    """
    with tempfile.TemporaryDirectory() as work:
        db, warehouse = Path(work) / "telemetry.sqlite3", Path(work) / "warehouse"

        def ask(*words: str) -> str:
            done = subprocess.run(
                [sys.executable, *words],
                cwd=checkout,  # `python -m` takes modules from here first
                env=os.environ | {"DOCSTOKG_WAREHOUSE": str(warehouse), "PYTHONPATH": ""},
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode == 2:
                raise SystemExit(f"{checkout} could not do {words}: see its message above")
            return done.stdout

        def tool(*words: str) -> Any:
            return json.loads(ask("-m", "exporter", *words, "--output-format", "json"))

        source(db, "source.sql")
        tool("run", "--db", str(db))
        runs = [run["run_id"] for run in tool("runs")]
        summaries = {run: tool("summary", "--run", run) for run in runs}
        for folder in ("compiled", "dbt"):
            shutil.rmtree(warehouse / folder, ignore_errors=True)
        kept = GOLDEN / ask("-c", _RELEASE).strip()
        kept.mkdir(exist_ok=True)
        shutil.make_archive(str(kept / "warehouse"), "zip", warehouse)
    (kept / "summaries.json").write_text(json.dumps(summaries, indent=1) + "\n")
    return kept


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="the release's source tree")
    print(make(parser.parse_args().checkout.resolve()))


if __name__ == "__main__":
    main()
