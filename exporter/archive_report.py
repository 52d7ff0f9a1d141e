"""What `archive` did, or would do, as text and as JSON."""

from __future__ import annotations

from exporter.archive_move import FileResult, Wishes, as_json
from exporter.errors import printable
from exporter.findings import plural
from exporter.render import print_json, print_table


def print_result(results: list[FileResult], wishes: Wishes, output_format: str) -> None:
    """Print what became of each file."""
    if output_format == "json":
        print_json(as_json(results, wishes))
        return
    for result in results:
        if wishes.dry_run and result.archived:
            print_table(
                ["run", "ended", "rows", "bytes"],
                [(r.run_id, r.ended_at, r.rows, r.bytes) for r in result.archived],
            )
        print(_line(result, wishes))
        for left in result.left:
            print(f"  left {printable(left.run_id)}: {left.reason}")
        if result.problem:
            print(f"  {result.problem}")


def _line(result: FileResult, wishes: Wishes) -> str:
    runs, rows = len(result.archived), sum(run.rows for run in result.archived)
    size = sum(run.bytes for run in result.archived)
    went = f"{plural(runs, 'run')}, {plural(rows, 'row')}"
    if wishes.dry_run:
        parts = [f"would archive {went}, about {size:,} bytes"]
    else:
        parquet = sum(run.parquet_bytes or 0 for run in result.archived)
        parts = [f"archived {went}, about {size:,} bytes as {parquet:,} in {wishes.out}"]
        if result.bytes_before != result.bytes_after:
            parts.append(f"file {result.bytes_before:,} → {result.bytes_after:,} bytes")
    if result.recent_runs:
        ended = wishes.limit.strftime("%Y-%m-%d %H:%M UTC")
        parts.append(f"{result.recent_runs:,} newer than {ended} stay")
    if result.rows_without_run:
        parts.append(
            f"{plural(result.rows_without_run, 'row')} without a run_id"
            f" {'stays' if result.rows_without_run == 1 else 'stay'}"
        )
    if result.left:
        parts.append(f"{len(result.left):,} left")
    return f"{printable(result.path)}: {'; '.join(parts)}"
