"""Write the generated files of monitoring/, or tell which of them are out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.monitoring import dashboard, rules
from scripts.monitoring.budgets import read_pairs
from scripts.monitoring.settings import read_settings
from scripts.monitoring.targets import read_targets

ROOT = Path(__file__).parents[2]


def generate(root: Path) -> dict[Path, str]:
    """Return the text of each generated file, by its path below ``root``."""
    targets = read_targets(root / "seeds" / "slo_targets.csv")
    pairs = read_pairs(root / "seeds" / "burn_rate_alerts.csv")
    settings = read_settings(root / "monitoring" / "alerts.yml")
    return {
        Path("monitoring/prometheus/rules/alerts.yml"): rules.alerts(targets, pairs, settings),
        Path("monitoring/prometheus/rules/recording.yml"): rules.recordings(settings),
        Path("monitoring/grafana/dashboards/docstokg.json"): dashboard.dashboard(targets, settings),
    }


def main() -> None:
    """Write the files; with ``--check`` write none, and exit 1 if one differs."""
    parser = argparse.ArgumentParser(prog="python -m scripts.monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project (default: this one)")
    arguments = parser.parse_args()
    root: Path = arguments.root
    stale = {
        path: text
        for path, text in generate(root).items()
        if not (root / path).exists() or (root / path).read_text() != text
    }
    for path, text in stale.items():
        if arguments.check:
            print(f"{path} differs from what the seeds give: run `make monitoring`")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            print(f"wrote {path}")
    sys.exit(1 if stale and arguments.check else 0)


if __name__ == "__main__":
    main()
