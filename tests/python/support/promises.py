"""What the project's data tests promise, asked of models in memory; dbt is not needed."""

from __future__ import annotations

from exporter import touched

from .lakes import Lake


def broken(lake: Lake) -> list[str]:
    """Return the name and a row of each data test that fails, as a first `run` would."""
    touched.make_room(lake.connection)
    touched.touch(lake.connection, -1)
    found = []
    for name, sql in lake.models.tests.items():
        bad = f"select to_json(bad)::varchar from ({sql}) as bad"
        if row := lake.connection.execute(bad).fetchone():
            found.append(f"{name}: {row[0]}")
    return found
