"""The demo: two real crawls, one load, two verdicts. Run by ``make demo``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from scripts import crawler_manifest


def main() -> None:
    """Crawl twice, load, and show the verdicts; fails if they are not the expected ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where telemetry, PDFs and warehouse go")
    folder: Path = parser.parse_args().folder.resolve()
    db = str(folder / "telemetry.sqlite3")
    tool = [sys.executable, "-m", "exporter"]
    environ = os.environ | {"DOCSTOKG_WAREHOUSE": str(folder / "warehouse")}

    def show(arguments: list[str], expected: int = 0) -> None:
        words = [
            "docstokg-telemetry",
            *(a.replace(str(folder), "demo") for a in arguments),
        ]
        print(f"\n$ {' '.join(words)}", flush=True)
        status = subprocess.run([*tool, *arguments], env=environ, check=False).returncode
        if status != expected:
            sys.exit(f"the demo expected exit code {expected}, not {status}")

    for profile in ("healthy", "degraded"):
        out = folder / profile
        print(f"crawling 300 artifacts from local publishers ({profile}) …", flush=True)
        subprocess.run(
            [sys.executable, "-m", "scripts.crawl", "--db", db, "--out", str(out)]
            + ["--run-id", profile, "--profile", profile],
            check=True,
        )
    show(["run", "--db", db])
    show(["runs"])
    show(["summary", "--db", db, "--run", "healthy"])
    show(["summary", "--db", db, "--run", "degraded"], expected=1)
    # the crawler's own manifest, without any telemetry table, is answered from as well
    manifest = folder / "runs" / "example" / "manifest.sqlite3"
    manifest.parent.mkdir(parents=True)
    crawler_manifest.write(manifest, "example", works=40)
    show(["summary", "--db", str(manifest)])


if __name__ == "__main__":
    main()
