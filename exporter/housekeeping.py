"""What a writer removes from the warehouse: relations, snapshots and files of no more use."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import duckdb

from exporter.raw_sql import literal
from exporter.warehouse import last_publication, one_thread

#: Seconds an old snapshot and its files stay after a newer one is published, for readers on it.
KEEP_SNAPSHOTS_S = 600
#: Sizes at which data files of one tier end, and how many of one tier are merged into one.
_TIER_BYTES = (1 << 20, 1 << 24, 1 << 28)
_TIER_FILES = (4, 16, 16)


def drop_stale(
    cursor: duckdb.DuckDBPyConnection, schemas: Collection[str], wanted: Collection[tuple[str, str]]
) -> None:
    """Drop what dbt built and builds no more: of models that were removed, renamed or moved.

    Args:
        cursor: a connection with the lake attached for writing, under the lock.
        schemas: those that hold models and seeds, or did.
        wanted: schema and name of each model and seed.
    """
    for kind in ("view", "table"):  # two queries: see one_thread
        found = cursor.execute(
            f"select schema_name, {kind}_name from duckdb_{kind}s() "
            "where database_name = 'lake' and list_contains(?::varchar[], schema_name)",
            [list(schemas)],
        ).fetchall()
        for schema, name in sorted(set(found).difference(wanted)):
            cursor.execute(f'drop {kind} lake."{schema}"."{name}"')


def clean_up(cursor: duckdb.DuckDBPyConnection, keep_s: float = KEEP_SNAPSHOTS_S) -> None:
    """Bring the store down to what the data needs: few files, few snapshots, no orphans.

    Args:
        cursor: a connection with the lake attached for writing, under the lock.
        keep_s: seconds for which replaced snapshots and files stay for the readers on them.
    """
    with one_thread(cursor):
        _clean_up(cursor, keep_s)


def _clean_up(cursor: duckdb.DuckDBPyConnection, keep_s: float) -> None:
    published = last_publication(cursor)
    keep = published.snapshot_id if published else -1
    if _tables_with(cursor, "ducklake_inlined_data_tables"):  # of a lake that older versions made
        cursor.execute("call ducklake_flush_inlined_data('lake')")
    _merge_files(cursor)
    for schema, table in _tables_with(cursor, "ducklake_delete_file", "f.end_snapshot is null"):
        cursor.execute("call ducklake_rewrite_data_files('lake', ?, schema => ?)", [table, schema])
    cutoff = f"now() - interval {literal(f'{keep_s} seconds')}"
    old = cursor.execute(
        f"select snapshot_id from ducklake_snapshots('lake') where snapshot_time < {cutoff} "
        "and snapshot_id <> ? and snapshot_id <> (select max(snapshot_id) "
        "from ducklake_snapshots('lake'))",
        [keep],
    ).fetchall()
    if old:
        versions = ", ".join(str(int(row[0])) for row in old)
        cursor.execute(f"call ducklake_expire_snapshots('lake', versions => [{versions}])")
    cursor.execute(f"call ducklake_cleanup_old_files('lake', older_than => {cutoff})")
    cursor.execute(f"call ducklake_delete_orphaned_files('lake', older_than => {cutoff})")


def _merge_files(cursor: duckdb.DuckDBPyConnection) -> None:
    """Merge files of about the same size where a table has many of them.

    A refresh so rewrites what is small, however much is stored, and over the years a row is
    rewritten a few times: as often as there are tiers (the log-structured merge tree's method).
    Tables with nothing to merge are not asked: to ask each costs more than most refreshes write.
    """
    for (low, high), files in zip(pairwise((0, *_TIER_BYTES)), _TIER_FILES, strict=True):
        crowded = _tables_with(
            cursor,
            "ducklake_data_file",
            f"f.end_snapshot is null and f.file_size_bytes between {low:d} and {high - 1:d}",
            files,
        )
        for schema, table in crowded:
            cursor.execute(
                "call ducklake_merge_adjacent_files('lake', ?, schema => ?, "
                f"min_file_size => {low:d}, max_file_size => {high:d})",
                [table, schema],
            )


def _tables_with(
    cursor: duckdb.DuckDBPyConnection, what: str, where: str = "true", count: int = 1
) -> list[tuple[str, str]]:
    """Return schema and name of the tables of which the catalog has so many rows.

    Args:
        cursor: a connection with the lake attached.
        what: a table of the catalog that has a table_id.
        where: a condition on its rows, f.
        count: fewest rows.
    """
    return cursor.execute(
        "select s.schema_name, t.table_name "
        f"from __ducklake_metadata_lake.{what} as f "
        "join __ducklake_metadata_lake.ducklake_table as t on f.table_id = t.table_id "
        "join __ducklake_metadata_lake.ducklake_schema as s on t.schema_id = s.schema_id "
        "where t.end_snapshot is null and s.end_snapshot is null "
        f"and {where} group by all having count(*) >= ? order by all",
        [count],
    ).fetchall()
