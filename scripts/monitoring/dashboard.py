"""The Grafana dashboard, whole."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from scripts.monitoring import detail_panels as detail
from scripts.monitoring import guide_panels as guide
from scripts.monitoring.panels import DATASOURCE
from scripts.monitoring.settings import Settings
from scripts.monitoring.targets import Target


def dashboard(targets: list[Target], settings: Settings) -> str:
    """Return the dashboard as the JSON that Grafana reads."""
    builder = (
        Dashboard("DocsToKG crawler")
        .uid("docstokg")
        .description("SLOs of the crawler. Made by `make monitoring`: edit that, not this.")
        .tags(["docstokg", "slo"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_run_variable())
    )
    rows: dict[str, list[Builder[Panel]]] = {
        "": [
            guide.yield_gauge(targets, settings),
            guide.ttfp_stat(targets, settings),
            guide.cache_gauge(targets, settings),
            guide.rate_limit_table(targets),
            guide.breaker_rate(targets),
            detail.verdicts(),
            detail.time_met(),
        ],
        "Error budgets": [detail.budget_left(), detail.burn_rates()],
        "Roles and resolvers": [
            detail.role_delay(),
            detail.resolver_yield(),
            detail.resolver_ttfp(),
        ],
        "Hosts": [
            detail.breaker_timeline(),
            detail.breaker_openings(),
            detail.host_requests(),
            detail.host_latency(),
        ],
        "Runs": [detail.run_comparison()],
        "Telemetry": [
            detail.telemetry_state(),
            detail.exporter_health(),
            detail.refresh_duration(),
        ],
    }
    for row, members in rows.items():
        if row:
            builder = builder.with_row(Row(row).datasource(DATASOURCE))
        for panel in members:
            builder = builder.with_panel(panel)
    built = builder.build()
    for number, member in enumerate(built.panels or [], 1):
        member.id_val = number
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(built) + "\n"


def _run_variable() -> QueryVariable:
    """Return the choice of runs; all means those that the exporter serves at the time shown."""
    everything = VariableOption(selected=True, text="All", value="$__all")
    return (
        QueryVariable("run_id")
        .label("Run")
        .datasource(DATASOURCE)
        .query("label_values(docstokg_run_passed, run_id)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_DESC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )
