"""The panels below the guide's: verdicts, roles and resolvers, hosts, runs, the exporter."""

from __future__ import annotations

from string import ascii_uppercase

from grafana_foundation_sdk.builders.bargauge import Panel as BarGauge
from grafana_foundation_sdk.builders.common import LineStyle
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import BigValueGraphMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from scripts.monitoring.panels import (
    DATASOURCE,
    RUN,
    as_verdict,
    cells,
    history,
    last_value,
    lettered,
    lines,
    now,
    sorted_by,
    table,
)

_BREAKER_STATES: list[ValueMapping] = [
    ValueMap({
        "0": ValueMappingResult(text="closed", color="green"),
        "1": ValueMappingResult(text="open", color="red"),
    })
]  # fmt: skip


def verdicts() -> Table:
    """Every SLO of the run: value, target, verdict."""
    columns = {
        "run_id": "Run",
        "slo": "SLO",
        "scope": "Scope",
        "subject": "Subject",
        "Value #A": "Value",
        "Value #B": "Target",
        "Value #C": "Verdict",
    }
    metrics = ("docstokg_slo_value", "docstokg_slo_target", "docstokg_slo_verdict")
    by = "max by (run_id, slo, scope, subject)"
    queries = [cells(f"{by} ({metric}{{{RUN}}})") for metric in metrics]
    return (
        table("SLO verdicts", queries, columns)
        .description("In the unit of the SLO's name. An SLO without data has no value or verdict.")
        .span(10)
        # what fails comes first
        .sort_by(sorted_by("Verdict", descending=False))
        .override_by_name("Verdict", as_verdict())
    )


def time_met() -> BarGauge:
    """Share of the time range in which each SLO was met."""
    expr = "100 * avg_over_time(slo:docstokg_slo_verdict:min[$__range])"
    return (
        BarGauge()
        .title("Time each SLO was met")
        .description("Share of the time range in which no run, role or host missed it.")
        .datasource(DATASOURCE)
        .unit("percent")
        .min(0)
        .max(100)
        .height(8)
        .span(6)
        .reduce_options(last_value())
        .with_target(now(expr, "{{slo}} ({{scope}})"))
    )


def budget_left() -> BarGauge:
    """What is left of each error budget; overspent ones stand at nothing."""
    steps = [Threshold(None, "red"), Threshold(0, "yellow"), Threshold(0.5, "green")]
    return (
        BarGauge()
        .title("Error budget left")
        .description("Of the SLO's window. Below zero it is overspent; no bar is too little data.")
        .datasource(DATASOURCE)
        .unit("percentunit")
        .min(0)
        .max(1)
        .height(8)
        .span(10)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .reduce_options(last_value())
        .with_target(now("docstokg_slo_error_budget_remaining_ratio", "{{slo}}"))
    )


def burn_rates() -> TimeSeries:
    """How fast the budgets burn, over the window that pages look at and the one of tickets."""
    queries = [
        history(f'docstokg_slo_burn_rate{{window="{window}"}}', f"{{{{slo}}}} {window}")
        for window in ("6h", "24h")
    ]
    return (
        lines("Burn rate of the error budgets", "short", queries)
        .description("1 spends a budget in just its window; no line until enough hours are judged.")
        .span(14)
    )


def role_delay() -> TimeSeries:
    """Limiter delay by role, with each role's target as a dashed line."""
    slo = f'slo="rate_delay_p95_ms",{RUN}'
    queries = [
        history(f"docstokg_run_rate_delay_p95_ms{{{RUN}}}", "{{role}} ({{run_id}})"),
        history(f"max by (subject) (docstokg_slo_target{{{slo}}})", "target {{subject}}"),
    ]
    dashed = DynamicConfigValue("custom.lineStyle", LineStyle().fill("dash").build())
    return (
        lines("Rate limiter delay p95 by role", "ms", queries)
        .span(8)
        .override_by_regexp("/^target /", [dashed])
    )


def resolver_yield() -> TimeSeries:
    """Yield by resolver."""
    query = history(f"docstokg_resolver_yield_pct{{{RUN}}}", "{{resolver}} ({{run_id}})")
    return lines("Yield by resolver", "percent", [query]).max(100).span(8)


def resolver_ttfp() -> TimeSeries:
    """TTFP p95 by resolver."""
    expr = f'docstokg_resolver_ttfp_seconds{{quantile="p95",{RUN}}}'
    query = history(expr, "{{resolver}} ({{run_id}})")
    return lines("TTFP p95 by resolver", "s", [query]).span(8)


def breaker_timeline() -> StateTimeline:
    """When the breakers were open, of the hosts whose breaker ever opened."""
    expr = (
        f"docstokg_breaker_open{{{RUN}}}"
        " and on (run_id, host) docstokg_breaker_open_events_total > 0"
    )
    return (
        StateTimeline()
        .title("Circuit breakers")
        .description("Hosts whose breaker opened in the run.")
        .datasource(DATASOURCE)
        .height(8)
        .span(12)
        .show_value(VisibilityMode.NEVER)
        .mappings(_BREAKER_STATES)
        .with_target(history(expr, "{{host}} ({{run_id}})"))
    )


def breaker_openings() -> TimeSeries:
    """Openings within the last hour: what the alert looks at."""
    expr = f"run_host:docstokg_breaker_opens:last1h{{{RUN}}}"
    query = history(expr, "{{host}} ({{run_id}})")
    return lines("Openings in the last hour", "short", [query]).span(12)


def host_requests() -> TimeSeries:
    """Network requests by host."""
    expr = f"rate(docstokg_host_network_requests_total{{{RUN}}}[5m])"
    return lines("Network requests by host", "reqps", [history(expr, "{{host}}")]).span(12)


def host_latency() -> TimeSeries:
    """Latency p95 by host."""
    expr = f'docstokg_host_latency_seconds{{quantile="p95",{RUN}}}'
    return lines("Latency p95 by host", "s", [history(expr, "{{host}}")]).span(12)


def run_comparison() -> Table:
    """The runs of the time range side by side, each as it was last seen; the latest first."""
    figures = {
        "Start": (f"1000 * {_last('docstokg_run_start_timestamp_seconds')}", "dateTimeAsIso"),
        "Length": (_last("docstokg_run_length_seconds"), "s"),
        "Verdict": (_last("docstokg_run_passed"), "short"),
        "Artifacts": (_last("docstokg_run_artifacts"), "short"),
        "Yield": (_last("docstokg_run_yield_pct"), "percent"),
        "TTFP p50": (_last('docstokg_run_ttfp_ms{quantile="p50"}'), "ms"),
        "TTFP p95": (_last('docstokg_run_ttfp_ms{quantile="p95"}'), "ms"),
        "Cache hits": (_last("docstokg_run_cache_hit_pct"), "percent"),
        "429 ratio": (_last("docstokg_run_http429_ratio"), "percent"),
        "Dedupe saved": (_last("docstokg_run_dedupe_saved_mb"), "mbytes"),
        "Corrupt": (_last("docstokg_run_corruption_count"), "short"),
    }
    queries = [cells(expr) for expr, _ in figures.values()]
    values = {
        f"Value #{letter}": name for letter, name in zip(ascii_uppercase, figures, strict=False)
    }
    panel = table("Runs", queries, {"run_id": "Run"} | values)
    panel = panel.span(24).sort_by(sorted_by("Start"))
    for name, (_, unit) in figures.items():
        panel = panel.override_by_name(name, [DynamicConfigValue("unit", unit)])
    return panel.override_by_name("Verdict", as_verdict())


def _last(metric: str) -> str:
    return f"max by (run_id) (last_over_time({metric}[$__range]))"


def telemetry_state() -> Stat:
    """Whether the figures can be trusted, in numbers that should be small."""
    series = {
        "data age, s": "docstokg_exporter_data_age_seconds",
        "files skipped": 'docstokg_exporter_source_files{state="skipped"}',
        "rows rejected": f"docstokg_run_rejected_rows{{{RUN}}}",
        "hosts omitted": f"docstokg_run_hosts_omitted{{{RUN}}}",
        "SLOs without data": f'docstokg_run_slos{{status="no_data",{RUN}}}',
    }
    return (
        Stat()
        .title("Telemetry")
        .description("All of these should be small.")
        .datasource(DATASOURCE)
        .height(8)
        .span(8)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(last_value())
        .targets(lettered([now(expr, legend) for legend, expr in series.items()]))
    )


def exporter_health() -> StateTimeline:
    """Whether scrapes, refreshes and builds succeed."""
    series = {
        "scrape": 'up{job="docstokg"}',
        "refresh": "docstokg_exporter_refresh_success",
        "warehouse build": "docstokg_warehouse_build_success",
    }
    states = [
        ValueMap({
            "0": ValueMappingResult(text="failed", color="red"),
            "1": ValueMappingResult(text="good", color="green"),
        })
    ]  # fmt: skip
    queries = [history(expr, f"{name} {{{{instance}}}}") for name, expr in series.items()]
    return (
        StateTimeline()
        .title("Exporter")
        .datasource(DATASOURCE)
        .height(8)
        .span(8)
        .show_value(VisibilityMode.NEVER)
        .mappings([*states])
        .targets(lettered(queries))
    )


def refresh_duration() -> TimeSeries:
    """How long refreshes take, and how old the data is."""
    queries = [
        history("docstokg_exporter_refresh_duration_seconds", "refresh {{instance}}"),
        history("docstokg_exporter_data_age_seconds", "data age {{instance}}"),
    ]
    return lines("Refresh duration and data age", "s", queries).span(8)
