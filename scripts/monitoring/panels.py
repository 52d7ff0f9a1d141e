"""What the dashboard's panels are built from: queries, thresholds, and panels of a usual form."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TableCellOptions,
    TableColoredBackgroundCellOptions,
    TableSortByFieldState,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from scripts.monitoring.targets import Target

DATASOURCE = DataSourceRef("prometheus", "${datasource}")

# the run that the reader chose; series without a run are the exporter's own
RUN = 'run_id=~"$run_id"'

PASS_FAIL: list[ValueMapping] = [
    ValueMap({
        "0": ValueMappingResult(text="fail", color="red"),
        "1": ValueMappingResult(text="pass", color="green"),
    })
]  # fmt: skip


def history(expr: str, legend: str = "{{run_id}}") -> Dataquery:
    """Return a query over the dashboard's time range."""
    return _query(expr, legend).range()


def now(expr: str, legend: str = "{{run_id}}") -> Dataquery:
    """Return a query at the end of the dashboard's time range."""
    return _query(expr, legend).instant()


def cells(expr: str) -> Dataquery:
    """Return a query whose labels become columns of a table."""
    return now(expr).format(PromQueryFormat.TABLE)


def lettered(queries: Sequence[Dataquery]) -> list[Builder[variants.Dataquery]]:
    """Return the queries of one panel, named A, B, C … as Grafana wants them."""
    return [query.ref_id(letter) for letter, query in zip(ascii_uppercase, queries, strict=False)]


def thresholds(target: Target, yellow: float = 0) -> ThresholdsConfig:
    """Return colours that change at a target, with a yellow band of that width just below it."""
    below, above = ("red", "green") if target.comparator == ">=" else ("green", "red")
    value = float(target.target)
    steps = [Threshold(None, below), Threshold(value, above)]
    if yellow:
        steps.insert(1, Threshold(value - yellow, "yellow"))
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def last_value() -> common_builders.ReduceDataOptions:
    """Return the reduction that shows the last value of each series."""
    return common_builders.ReduceDataOptions().calcs(["lastNotNull"])


def lines(title: str, unit: str, queries: Sequence[Dataquery]) -> TimeSeries:
    """Return a panel of lines over time."""
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return (
        TimeSeries()
        .title(title)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .legend(legend)
        .tooltip(common_builders.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .targets(lettered(queries))
    )


def table(title: str, queries: Sequence[Dataquery], columns: dict[str, str]) -> Table:
    """Return a table with the named columns, in their order; one row per set of labels.

    ``columns`` gives the heading of each column, by label or by ``Value #A``, ``Value #B`` …
    """
    reorganise = {
        "includeByName": {name: True for name in columns},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": columns,
    }
    return (
        Table()
        .title(title)
        .datasource(DATASOURCE)
        .height(8)
        .targets(lettered(queries))
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(DataTransformerConfig("organize", options=reorganise))
    )


def sorted_by(column: str, descending: bool = True) -> list[Builder[TableSortByFieldState]]:
    """Return the order of a table: the largest of a column first, or the smallest."""
    return [common_builders.TableSortByFieldState().display_name(column).desc(descending)]


def coloured() -> DynamicConfigValue:
    """Return the setting of a column that has its value's colour behind it."""
    options: TableCellOptions = TableColoredBackgroundCellOptions()
    return DynamicConfigValue("custom.cellOptions", options)


def as_verdict() -> list[DynamicConfigValue]:
    """Return the settings of a column of verdicts: pass or fail, coloured."""
    return [DynamicConfigValue("mappings", PASS_FAIL), coloured()]


def _query(expr: str, legend: str) -> Dataquery:
    return Dataquery().ref_id("A").expr(expr).legend_format(legend).datasource(DATASOURCE)
