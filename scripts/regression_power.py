"""How often regressions err, by simulation: ``python -m scripts.regression_power``.

False alarms, of runs drawn from one distribution; and power, how small a change is still found.
The models themselves judge: they are laid over tables of made-up runs, thousands in one query.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

import duckdb

from exporter.compiled import Models
from exporter.compiled import compiled as compiled_models

_MODELS: Final = (
    "int_slis",
    "int_percentile_pools",
    "regression_ratios",
    "regression_percentiles",
    "regressions",
)
#: The relations that those models read, as made-up runs fill them.
_TABLES: Final = {
    "intermediate.int_chosen_runs": "run_id varchar",
    "intermediate.int_regression_baselines": "run_id varchar, baseline_run_id varchar",
    "marts.slo_verdicts": "run_id varchar, slo varchar, scope varchar, subject varchar, "
    "value double, sample_size double",
    "intermediate.int_ratio_counts": "run_id varchar, scope varchar, subject varchar, slo varchar, "
    "numerator double, denominator double, observations double, weights_squared double, "
    "numerators_squared double, products double, denominators_squared double, clusters bigint",
    "intermediate.int_percentile_values": "run_id varchar, scope varchar, subject varchar, "
    "measure varchar, observations bigint, amounts double[]",
    "intermediate.int_sli_amounts": "run_id varchar, grain varchar, scope varchar, "
    "subject varchar, measure varchar, amount double",
}
#: Time to the first PDF as crawls have it: some at the first try, the others lognormal (ms).
_TTFP: Final = (
    "if(random() < 0.3, 0, {slower} * 500 * "
    "exp(0.8 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())))"
)
Rates = dict[str, float]


@contextmanager
def judged_by(compiled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database in which the models of regressions lie over empty tables.

    Args:
        compiled: the compiled models.
    """
    models = Models(compiled.read_text())
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("set threads = 1")  # so that a seed gives the same numbers again
        connection.execute("attach ':memory:' as lake")
        for schema in ("intermediate", "marts"):
            connection.execute(f"create schema lake.{schema}")
        for table, columns in _TABLES.items():
            connection.execute(f"create table lake.{table} ({columns})")
        models._seed(connection, models.seeds["slo_targets"])
        for model in _MODELS:
            made = models.models[model]
            connection.execute(f"create view lake.{made['schema']}.{model} as {made['sql']}")
        yield connection
    finally:
        connection.close()


def yields(
    connection: duckdb.DuckDBPyConnection,
    now: Sequence[tuple[int, int]],
    before: Sequence[Sequence[tuple[int, int]]],
) -> Rates:
    """Return which part of comparisons of yields gives which verdict.

    Args:
        connection: as `judged_by` gives it.
        now: artifacts that succeeded, and all, of each run.
        before: the same of the runs before each of them.
    """
    clear(connection)
    rows: list[dict[str, object]] = [
        {"run": f"{i}", "later": None, "good": good, "size": size}
        for i, (good, size) in enumerate(now)
    ]
    rows += [
        {"run": f"{i}.{j}", "later": f"{i}", "good": good, "size": size}
        for i, each in enumerate(before)
        for j, (good, size) in enumerate(each)
    ]
    kinds = '[{"run": "VARCHAR", "later": "VARCHAR", "good": "DOUBLE", "size": "DOUBLE"}]'
    connection.execute(
        "create or replace temp table drawn as "
        f"select unnest(from_json(?, '{kinds}'), recursive := true)",
        [json.dumps(rows)],
    )
    connection.execute(
        "insert into lake.intermediate.int_ratio_counts "
        "select run, 'run', null, 'yield_pct', good, size, size, size, null, null, null, null "
        "from drawn"
    )
    connection.execute(
        "insert into lake.intermediate.int_regression_baselines "
        "select later, run from drawn where later is not null"
    )
    connection.execute(
        "insert into lake.intermediate.int_chosen_runs select run from drawn where later is null"
    )
    return verdicts(connection, "yield_pct")


def ttfp(
    connection: duckdb.DuckDBPyConnection,
    pairs: int,
    sizes: tuple[int, int],
    slower: float = 1.0,
    seed: float = 0.5,
) -> dict[str, Rates]:
    """Return which part of comparisons of the time to the first PDF gives which verdict, by SLI.

    Args:
        connection: as `judged_by` gives it.
        pairs: comparisons.
        sizes: artifacts of the run, and of the one before it.
        slower: how many times as long everything takes in the run.
        seed: -1 to 1.
    """
    clear(connection)
    connection.execute("select setseed(?)", [seed])
    for name, size, times in (("", sizes[0], slower), (".0", sizes[1], 1.0)):
        connection.execute(
            "insert into lake.intermediate.int_percentile_values "
            f"select i || '{name}', 'run', null, 'ttfp_ms', {size}, list(x order by x) "
            f"from (select p.range as i, {_TTFP.format(slower=times)} as x "
            f"from range({pairs}) as p cross join range({size})) group by i"
        )
    for slo, quantile in (("ttfp_p50_ms", 0.5), ("ttfp_p95_ms", 0.95)):
        connection.execute(
            f"insert into lake.intermediate.int_sli_amounts select run_id, 'run', 'run', null, "
            f"'{slo}', list_aggregate(amounts, 'quantile_cont', {quantile}) "
            "from lake.intermediate.int_percentile_values"
        )
    connection.execute(
        f"insert into lake.intermediate.int_regression_baselines select range, range || '.0' "
        f"from range({pairs})"
    )
    connection.execute(
        f"insert into lake.intermediate.int_chosen_runs select range from range({pairs})"
    )
    return {slo: verdicts(connection, slo) for slo in ("ttfp_p50_ms", "ttfp_p95_ms")}


def clear(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget the made-up runs."""
    for table in _TABLES:
        connection.execute(f"delete from lake.{table}")


def verdicts(connection: duckdb.DuckDBPyConnection, slo: str) -> Rates:
    """Return the part of comparisons of an SLI by verdict."""
    rows = connection.execute(
        "select verdict, count(*) / sum(count(*)) over () from lake.marts.regressions "
        "where slo = ? and scope = 'run' group by verdict",
        [slo],
    ).fetchall()
    return {"worse": 0.0, "better": 0.0, "same": 0.0, **dict(rows)}


def draws(luck: Random, size: int, rate: float, count: int) -> list[tuple[int, int]]:
    """Return how many of `size` artifacts succeeded, and `size`, for a number of runs."""
    chances = [math.comb(size, k) * rate**k * (1 - rate) ** (size - k) for k in range(size + 1)]
    found = luck.choices(range(size + 1), cum_weights=list(accumulate(chances)), k=count)
    return [(k, size) for k in found]


def even(
    luck: Random, comparisons: int, sizes: tuple[int, int], rates: tuple[float, float], runs: int
) -> tuple[list[tuple[int, int]], list[list[tuple[int, int]]]]:
    """Return runs and the runs before each of them, each side with one rate."""
    before = draws(luck, sizes[1], rates[1], comparisons * runs)
    return draws(luck, sizes[0], rates[0], comparisons), [
        before[i * runs : (i + 1) * runs] for i in range(comparisons)
    ]


def uneven(
    luck: Random, comparisons: int, size: int, rate: float, spread: float, runs: int
) -> tuple[list[tuple[int, int]], list[list[tuple[int, int]]]]:
    """Return the same where each run has a rate of its own: a mean and a standard deviation."""
    total = rate * (1 - rate) / spread**2 - 1
    rates = [
        round(luck.betavariate(rate * total, (1 - rate) * total), 2)
        for _ in range(comparisons * (runs + 1))
    ]
    kept = {each: iter(draws(luck, size, each, rates.count(each))) for each in sorted(set(rates))}
    every = [next(kept[each]) for each in rates]
    groups = [every[i : i + runs + 1] for i in range(0, len(every), runs + 1)]
    return [group[0] for group in groups], [group[1:] for group in groups]


def smallest(
    connection: duckdb.DuckDBPyConnection, luck: Random, rate: float, size: int, runs: int
) -> float:
    """Return the smallest drop of the yield (points) that is found in 80 % of runs."""
    for half_points in range(2, 80):
        drop = half_points / 200
        drawn = even(luck, 2_000, (size, size), (rate - drop, rate), runs)
        if yields(connection, *drawn)["worse"] >= 0.8:
            return 100 * drop
    return math.nan


def main() -> None:
    """Print false-alarm rates, and what can be found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=6)
    asked = parser.parse_args()
    luck = Random(asked.seed)
    compiled = compiled_models(Path(), print)
    with judged_by(compiled) as connection:
        print("False alarms, of two runs, or a run and five before it, of one distribution:")
        for size, runs in ((50, 1), (300, 1), (300, 5)):
            for rate in (0.5, 0.85, 0.92, 0.99):
                drawn = even(luck, asked.comparisons, (size, size), (rate, rate), runs)
                _print(f"yield {rate:.0%} of {size}, {runs} before", yields(connection, *drawn))
        for sizes in ((300, 300), (300, 1500), (1000, 1000)):
            for slo, rates in ttfp(connection, asked.comparisons // 10, sizes).items():
                _print(f"{slo} of {sizes[0]}, {sizes[1]:,} before", rates)
        print("Where each run has a yield of its own (mean 90 %, standard deviation):")
        for spread in (0.01, 0.03):
            for runs in (1, 5):
                drawn = uneven(luck, asked.comparisons // 4, 1000, 0.9, spread, runs)
                name = f"yield 90 % ± {spread:.0%} of 1,000, {runs} before"
                _print(name, yields(connection, *drawn))
        print("Smallest drop of the yield that is found in 80 % of runs (points):")
        for size in (100, 300, 1000):
            for rate in (0.85, 0.92):
                for runs in (1, 5):
                    drop = smallest(connection, luck, rate, size, runs)
                    print(f"  {size:,} artifacts at {rate:.0%}, {runs} before: {drop:.1f}")
        print("Longer times to the first PDF, of 300 artifacts against 1,500:")
        for slower in (1.25, 1.5, 2.0):
            for slo, rates in ttfp(connection, 1_000, (300, 1_500), slower).items():
                print(f"  {slo}, {slower:g} times as long: worse in {rates['worse']:.0%}")


def _print(name: str, rates: Rates) -> None:
    alarms = rates["worse"] + rates["better"]
    print(f"  {name}: {alarms:.2%} (worse {rates['worse']:.2%})")


if __name__ == "__main__":
    main()
