"""What telemetry takes on the disk, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exporter.errors import printable
from exporter.findings import plural, size
from exporter.render import print_json, print_table

#: Runs and days that a person is shown; JSON has all of them.
_SHOWN: Final = 14


def print_storage(answer: Mapping[str, Any], output_format: str) -> None:
    """Print the sizes of files, archives and warehouse."""
    if output_format == "json":
        print_json(answer)
        return
    for file in answer["files"]:
        _print_file(file, answer)
    for archive in answer["archives"]:
        damaged = f", {len(archive['damaged']):,} of them damaged" if archive["damaged"] else ""
        print(
            f"archive {printable(archive['path'])}: {plural(archive['runs'], 'run')}{damaged}, "
            f"{plural(archive['rows'], 'row')}, {size(archive['bytes'])}"
        )
    if answer["warehouse_bytes"] is not None:
        print(f"warehouse: {size(answer['warehouse_bytes'])}")


def _print_file(file: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    limit = size(file["limit_bytes"])
    over = f"over the limit of {limit}" if file["is_over"] else f"limit {limit}"
    print(
        f"{printable(file['path'])}: {size(file['bytes'])}, {size(file['free_bytes'])} of it free, "
        f"and {size(file['wal_bytes'])} of log; {over}"
    )
    rates = [
        f"{days} days {'no data' if rate is None else size(rate) + ' a day'}"
        for days, rate in file["growth_bytes_per_day"].items()
    ]
    print(f"growth by events of the last {', '.join(rates)}; {limit}: {file['outlook']}")
    print(
        f"archive --older-than {answer['older_than']} would free about "
        f"{size(file['archivable_bytes'])} ({plural(file['archivable_runs'], 'run')})"
    )
    how = "size" if file["is_measured"] else "size (estimated by rows)"
    for title, key, rows in (
        ("table", "table", file["tables"]),
        ("run", "run_id", file["runs"][:_SHOWN]),
        ("day", "day", file["days"][-_SHOWN:]),
    ):
        if rows:
            print()
            sizes = [size(row["bytes"]) for row in rows]
            widest = max(map(len, sizes))
            print_table(
                [title, "rows", how],
                [(r[key], r["rows"], s.rjust(widest)) for r, s in zip(rows, sizes, strict=True)],
            )
    print()
