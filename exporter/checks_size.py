"""The check of a file's size: by the model that `storage` reads, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exporter import output
from exporter.errors import TelemetryError, one_line
from exporter.findings import Finding, good, size


def check_size(path: str, project: Path | None) -> Iterator[Finding]:
    """Compare the size of a file, its log included, with the limit."""
    from exporter.compiled import compiled
    from exporter.paths import project_dir
    from exporter.storage import judge

    seen: dict[str, Any] = {"path": path, "bytes": os.path.getsize(path), "wal_bytes": 0}
    with suppress(FileNotFoundError):
        seen["wal_bytes"] = os.path.getsize(f"{path}-wal")
    seen["today"] = datetime.now(UTC).date()
    try:
        models = compiled(project_dir(project), output.complain).read_text("utf-8")
        judged = judge([seen], models)[path]
    except TelemetryError as error:
        yield Finding("size", "unknown", one_line(error), "see what summary --db FILE says")
        return
    log = f", and {size(seen['wal_bytes'])} of log" if seen["wal_bytes"] else ""
    found = f"{size(seen['bytes'])}{log}; the limit is {size(judged['limit_bytes'])}"
    if judged["size_status"] == "good":
        yield good("size", found)
    else:
        remedy = "archive old runs, or write one file per run: docs/runbooks/storage.md"
        yield Finding("size", judged["size_status"], found, remedy)
