"""The five panels that the deployment guide asks for, with its queries."""

from __future__ import annotations

from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig
from grafana_foundation_sdk.builders.gauge import Panel as Gauge
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import BigValueGraphMode, GraphThresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from scripts.monitoring.panels import (
    DATASOURCE,
    RUN,
    as_verdict,
    cells,
    coloured,
    history,
    last_value,
    lines,
    now,
    sorted_by,
    table,
    thresholds,
)
from scripts.monitoring.settings import Settings
from scripts.monitoring.targets import Target, find_target


def yield_gauge(targets: list[Target], settings: Settings) -> Gauge:
    """Yield of the run."""
    target = find_target(targets, "yield_pct", "run")
    return (
        _percent_gauge("Yield", f"docstokg_run_yield_pct{{{RUN}}}")
        .thresholds(thresholds(target, settings.slo_alert("yield_pct", "run").yellow))
        .description(f"Stored artifacts per attempted artifact; target {target.short}.")
    )


def ttfp_stat(targets: list[Target], settings: Settings) -> Stat:
    """TTFP p95, with its history; only of the runs that are there at the end of the range."""
    target = find_target(targets, "ttfp_p95_ms", "run")
    expr = (
        f'docstokg_run_ttfp_ms{{quantile="p95",{RUN}}} and on (run_id) docstokg_run_passed @ end()'
    )
    return (
        Stat()
        .title("TTFP p95")
        .description(f"Time to the first PDF that 95 % keep within; target {target.short}.")
        .datasource(DATASOURCE)
        .unit("ms")
        .height(7)
        .span(5)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(last_value())
        .thresholds(thresholds(target, settings.slo_alert("ttfp_p95_ms", "run").yellow))
        .with_target(history(expr))
    )


def cache_gauge(targets: list[Target], settings: Settings) -> Gauge:
    """Cache hits of the run."""
    target = find_target(targets, "cache_hit_pct", "run")
    return (
        _percent_gauge("Cache hits", f"docstokg_run_cache_hit_pct{{{RUN}}}")
        .thresholds(thresholds(target, settings.slo_alert("cache_hit_pct", "run").yellow))
        .description(f"Metadata requests answered from the cache; target {target.short}.")
    )


def rate_limit_table(targets: list[Target]) -> Table:
    """429 ratio by host, beside the target and verdict of that very host."""
    target = find_target(targets, "http_429_pct", "run_host")
    columns = {
        "run_id": "Run",
        "host": "Host",
        "Value #A": "429 ratio",
        "Value #B": "Target",
        "Value #C": "Verdict",
    }
    queries = [
        cells(f"docstokg_host_http429_ratio{{{RUN}}}"),
        cells(_of_host("docstokg_slo_target")),
        cells(_of_host("docstokg_slo_verdict")),
    ]
    percent = DynamicConfigValue("unit", "percent")
    return (
        table("HTTP 429 ratio by host", queries, columns)
        .description(
            f"Network requests answered with 429; target {target.short} for hosts without one of"
            " their own. Hosts beyond the exporter's limit have no row."
        )
        .height(7)
        .span(9)
        .sort_by(sorted_by("429 ratio"))
        .thresholds(thresholds(target))
        .override_by_name("429 ratio", [percent, coloured()])
        .override_by_name("Target", [percent])
        .override_by_name("Verdict", as_verdict())
    )


def breaker_rate(targets: list[Target]) -> TimeSeries:
    """Breaker openings per hour, as the guide has them."""
    target = find_target(targets, "breaker_opens_per_hour", "run_host")
    expr = f"3600 * rate(docstokg_breaker_open_events_total{{{RUN}}}[1h])"
    return (
        lines("Breaker openings per hour", "suffix:/h", [history(expr, "{{host}} ({{run_id}})")])
        .description(
            f"By host; target {target.short}. rate() does not know openings from before the first"
            " scrape of a run; the alert does, and so does the panel Openings in the last hour."
        )
        .span(8)
        .thresholds(thresholds(target))
        .thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    )


def _percent_gauge(title: str, expr: str) -> Gauge:
    return (
        Gauge()
        .title(title)
        .datasource(DATASOURCE)
        .unit("percent")
        .min(0)
        .max(100)
        .height(7)
        .span(5)
        .reduce_options(last_value())
        .with_target(now(expr))
    )


def _of_host(metric: str) -> str:
    series = f'{metric}{{slo="http_429_pct",scope="run_host",{RUN}}}'
    return f'max by (run_id, host) (label_replace({series}, "host", "$1", "subject", "(.*)"))'
