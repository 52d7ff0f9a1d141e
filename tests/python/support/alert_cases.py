"""What each alert must do and say, written by hand; targets come from the seed alone."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from ..conftest import ROOT

Values = tuple[float | None, float | None]


@dataclass(frozen=True)
class Case:
    """One rule: which series make it fire, when, and what it then says.

    ``series`` gives each series' value while all is well and while it is not; None is no series.
    ``ends_min`` is when the alert ends by itself, minutes after the trouble began, though the
    series stay as they are.
    """

    alert: str
    wait_min: int
    severity: str
    runbook: str
    series: dict[str, Values]
    labels: dict[str, str]
    summary: str
    description: str
    ends_min: int = 0
    fires_without_series: bool = False
    # tells rules of one name apart
    subject: str = ""


def target(slo: str, scope: str, subject: str = "") -> float:
    """Return a target of the seed."""
    with (ROOT / "seeds" / "slo_targets.csv").open() as seed:
        for row in csv.DictReader(seed):
            if (row["slo"], row["scope"], row["subject"]) == (slo, scope, subject):
                return float(row["target"])
    raise AssertionError(f"the seed has no row for {slo}, {scope}, {subject!r}")


def slo_labels(slo: str, scope: str, **labels: str) -> dict[str, str]:
    """Return the labels of an SLO's alert: they do not name the run."""
    return {"slo": slo, "scope": scope, **labels}


def _value(slo: str) -> str:
    """Return the series of an SLO that has no metric of its own."""
    return f'docstokg_slo_value{{run_id="r",slo="{slo}",scope="run"}}'


def _run_cases() -> list[Case]:
    stored = target("yield_pct", "run")
    cached = target("cache_hit_pct", "run")
    limited = target("http_429_pct", "run")
    median, tail = target("ttfp_p50_ms", "run"), target("ttfp_p95_ms", "run")
    wall_median, wall_tail = (target(f"ttfp_wall_{p}_ms", "run") for p in ("p50", "p95"))
    corrupt = target("corruption_count", "run")
    return [
        Case(
            "DocsToKGYieldLow", 30, "warning", "yield",
            {'docstokg_run_yield_pct{run_id="r"}': (stored, stored - 0.01)},
            slo_labels("yield_pct", "run"),
            f"DocsToKG yield {stored - 0.01:.2f} % (target ≥ {stored:g} %)",
            f"Too few of the attempted artifacts were stored. Run r has {stored - 0.01:.2f} %;"
            f" the target is at least {stored:g} %.",
        ),
        Case(
            "DocsToKGFirstPDFMedianHigh", 30, "warning", "ttfp",
            {_value("ttfp_wall_p50_ms"): (wall_median, wall_median + 500)},
            slo_labels("ttfp_wall_p50_ms", "run"),
            f"DocsToKG time to first PDF p50 {wall_median / 1000 + 0.5:g}s"
            f" (target ≤ {wall_median / 1000:g} s)",
            "Half of the artifacts wait longer than this for their first PDF. Run r has"
            f" {wall_median / 1000 + 0.5:g}s; the target is at most {wall_median / 1000:g} s.",
        ),
        Case(
            "DocsToKGFirstPDFHigh", 30, "warning", "ttfp",
            {
                _value("ttfp_wall_p95_ms"): (wall_tail, wall_tail + 500),
                _value("ttfp_wall_p50_ms"): (0, 0),
            },
            slo_labels("ttfp_wall_p95_ms", "run"),
            f"DocsToKG time to first PDF p95 {wall_tail / 1000 + 0.5:g}s"
            f" (target ≤ {wall_tail / 1000:g} s)",
            "One artifact in twenty waits longer than this for its first PDF. Run r has"
            f" {wall_tail / 1000 + 0.5:g}s; the target is at most {wall_tail / 1000:g} s.",
        ),
        Case(
            "DocsToKGTTFPMedianHigh", 30, "warning", "ttfp",
            {'docstokg_run_ttfp_ms{run_id="r",quantile="p50"}': (median, median + 500)},
            slo_labels("ttfp_p50_ms", "run", quantile="p50"),
            f"DocsToKG TTFP p50 {median / 1000 + 0.5:g}s (target ≤ {median / 1000:g} s)",
            "Half of the artifacts wait longer than this between their first attempt and their"
            " first PDF."
            f" Run r has {median / 1000 + 0.5:g}s; the target is at most {median / 1000:g} s.",
        ),
        Case(
            "DocsToKGTTFPHigh", 30, "warning", "ttfp",
            {
                'docstokg_run_ttfp_ms{run_id="r",quantile="p95"}': (tail, tail + 500),
                'docstokg_run_ttfp_ms{run_id="r",quantile="p50"}': (0, 0),
            },
            slo_labels("ttfp_p95_ms", "run", quantile="p95"),
            f"DocsToKG TTFP p95 {tail / 1000 + 0.5:g}s (target ≤ {tail / 1000:g} s)",
            "One artifact in twenty waits longer than this between its first attempt and its"
            " first PDF."
            f" Run r has {tail / 1000 + 0.5:g}s; the target is at most {tail / 1000:g} s.",
        ),
        Case(
            "DocsToKGCacheHitLow", 30, "warning", "cache",
            {'docstokg_run_cache_hit_pct{run_id="r"}': (cached, cached - 0.01)},
            slo_labels("cache_hit_pct", "run"),
            f"DocsToKG cache hits {cached - 0.01:.2f} % (target ≥ {cached:g} %)",
            "Too many metadata requests went to the network instead of the cache."
            f" Run r has {cached - 0.01:.2f} %; the target is at least {cached:g} %.",
        ),
        Case(
            "DocsToKGRunRateLimitRatio", 15, "warning", "rate-limit",
            {'docstokg_run_http429_ratio{run_id="r"}': (limited, limited + 0.01)},
            slo_labels("http_429_pct", "run"),
            f"DocsToKG rate limit ratio {limited + 0.01:.2f} % (target ≤ {limited:g} %)",
            "Too many of all network requests were answered with 429 Too Many Requests."
            f" Run r has {limited + 0.01:.2f} %; the target is at most {limited:g} %.",
        ),
        Case(
            "DocsToKGCorruption", 5, "critical", "corruption",
            {'docstokg_run_corruption_count{run_id="r"}': (corrupt, corrupt + 3)},
            slo_labels("corruption_count", "run"),
            f"DocsToKG corruption {corrupt + 3:g} artifacts (target ≤ {corrupt:g} artifacts)",
            "Storing an artifact stopped half-way, so a file and its record do not agree."
            f" Run r has {corrupt + 3:g} artifacts; the target is at most {corrupt:g} artifacts.",
        ),
    ]  # fmt: skip


def _role_and_host_cases() -> list[Case]:
    metadata = target("rate_delay_p95_ms", "run_role", "metadata")
    artifact = target("rate_delay_p95_ms", "run_role", "artifact")
    usual = target("http_429_pct", "run_host")
    archive = target("http_429_pct", "run_host", "web.archive.org")
    opens = target("breaker_opens_per_hour", "run_host")
    return [
        Case(
            "DocsToKGRateDelayHigh", 30, "warning", "rate-limit",
            {
                'docstokg_run_rate_delay_p95_ms{run_id="r",role="metadata"}':
                    (metadata, metadata + 1),
                # has its own, higher target
                'docstokg_run_rate_delay_p95_ms{run_id="r",role="artifact"}': (artifact, artifact),
            },
            slo_labels("rate_delay_p95_ms", "run_role", role="metadata", subject="metadata"),
            f"metadata rate limiter delay p95 {metadata + 1:g}ms (target ≤ {metadata:g} ms)",
            "Our own rate limiter holds requests back for too long."
            f" Run r has {metadata + 1:g}ms; the target is at most {metadata:g} ms.",
            subject="metadata",
        ),
        Case(
            "DocsToKGRateDelayHigh", 30, "warning", "rate-limit",
            {'docstokg_run_rate_delay_p95_ms{run_id="r",role="artifact"}':
                (artifact, artifact + 500)},
            slo_labels("rate_delay_p95_ms", "run_role", role="artifact", subject="artifact"),
            f"artifact rate limiter delay p95 {artifact / 1000 + 0.5:g}s"
            f" (target ≤ {artifact / 1000:g} s)",
            "Our own rate limiter holds requests back for too long."
            f" Run r has {artifact / 1000 + 0.5:g}s; the target is at most {artifact / 1000:g} s.",
            subject="artifact",
        ),
        Case(
            "DocsToKGRateLimitRatio", 15, "warning", "rate-limit",
            {
                'docstokg_host_http429_ratio{run_id="r",host="a.example"}': (usual, usual + 0.01),
                # has its own, higher target
                'docstokg_host_http429_ratio{run_id="r",host="web.archive.org"}':
                    (archive, archive),
            },
            slo_labels("http_429_pct", "run_host", host="a.example"),
            f"a.example rate limit ratio {usual + 0.01:.2f} % (target ≤ {usual:g} %)",
            "The host answers too many requests with 429 Too Many Requests."
            f" Run r has {usual + 0.01:.2f} %; the target is at most {usual:g} %.",
        ),
        Case(
            "DocsToKGRateLimitRatio", 15, "warning", "rate-limit",
            {'docstokg_host_http429_ratio{run_id="r",host="web.archive.org"}':
                (archive, archive + 0.01)},
            slo_labels("http_429_pct", "run_host", host="web.archive.org",
                       subject="web.archive.org"),
            f"web.archive.org rate limit ratio {archive + 0.01:.2f} % (target ≤ {archive:g} %)",
            "The host answers too many requests with 429 Too Many Requests."
            f" Run r has {archive + 0.01:.2f} %; the target is at most {archive:g} %.",
            subject="web.archive.org",
        ),
        Case(
            "DocsToKGBreakerOpens", 5, "warning", "breaker",
            {
                'docstokg_breaker_open_events_total{run_id="r",host="a.example"}':
                    (0, opens + 1),
                'docstokg_breaker_opens_per_hour{run_id="r",host="a.example"}': (0, opens + 1),
            },
            slo_labels("breaker_opens_per_hour", "run_host", host="a.example"),
            f"a.example circuit breaker {opens + 1:g} opens/h (target ≤ {opens:g} opens/h)",
            "The host's circuit breaker opened too often within the last hour."
            f" Run r has {opens + 1:g} opens/h; the target is at most {opens:g} opens/h.",
            ends_min=60,
        ),
    ]  # fmt: skip


def _telemetry_cases() -> list[Case]:
    here = {"job": "docstokg", "instance": "x:9108"}
    at = 'job="docstokg",instance="x:9108"'
    build = f'docstokg_exporter_build_info{{{at},version="1"}}'
    return [
        Case(
            "DocsToKGExporterDown", 5, "critical", "exporter",
            {f"up{{{at}}}": (1, 0), 'up{job="node",instance="x:9100"}': (0, 0)},
            here,
            "DocsToKG exporter x:9108 is down",
            "Prometheus cannot scrape x:9108: no SLO of the crawler is watched.",
        ),
        Case(
            "DocsToKGMetricsAbsent", 10, "critical", "exporter",
            {build: (1, None)},
            {},
            "DocsToKG metrics are absent",
            "No target of Prometheus serves docstokg metrics: no SLO of the crawler is watched.",
            fires_without_series=True,
        ),
        Case(
            "DocsToKGNoRun", 60, "warning", "exporter",
            {build: (1, 1), f'docstokg_run_passed{{{at},run_id="r"}}': (0, None)},
            {**here, "version": "1"},
            "DocsToKG exporter x:9108 knows no run",
            "The exporter x:9108 works, but its sources hold no run: nothing is judged.",
        ),
        Case(
            "DocsToKGDataStale", 5, "critical", "exporter",
            {f"docstokg_exporter_data_age_seconds{{{at}}}": (300, 330)},
            here,
            "DocsToKG data is 5m 30s old",
            "The exporter x:9108 serves figures that are 5m 30s old (at most 5 minutes are"
            " expected): SLOs are judged by what was.",
        ),
        Case(
            "DocsToKGRefreshFailing", 10, "warning", "exporter",
            {f"docstokg_exporter_refresh_success{{{at}}}": (1, 0)},
            here,
            "DocsToKG exporter x:9108 fails to refresh",
            "The latest refresh of x:9108 failed: it serves the last good figures.",
        ),
        Case(
            "DocsToKGWarehouseBuildFailing", 15, "warning", "exporter",
            {f"docstokg_warehouse_build_success{{{at}}}": (1, 0)},
            here,
            "DocsToKG exporter x:9108 fails to build the warehouse",
            "The latest build of the warehouse by x:9108 failed: readers see the snapshot"
            " published before it.",
        ),
        Case(
            "DocsToKGEventsDropped", 5, "warning", "data-quality",
            {f'docstokg_run_dropped_events{{{at},run_id="r"}}': (0, 7)},
            here,
            "DocsToKG's recorder dropped 7 events",
            "Run r lost 7 events, which were never written: its figures are of those that were"
            " kept.",
        ),
        Case(
            # promtool's clock starts at 0: a time before it is an age from the start on
            "DocsToKGBackupOld", 15, "warning", "backup",
            {'docstokg_backup_last_success_timestamp_seconds{instance="n:9100",source="m"}':
             (0, -200_000)},
            {"instance": "n:9100", "source": "m"},
            "DocsToKG backup of m is 2.3 days old",
            "The last good backup of m is 2.3 days old (one a night is expected): what was"
            " recorded since is in one place only.",
        ),
        Case(
            "DocsToKGRejectedRows", 15, "warning", "data-quality",
            {f'docstokg_run_rejected_rows{{{at},run_id="r"}}': (0, 7)},
            here,
            "DocsToKG rejected 7 rows of telemetry",
            "Run r has 7 recorded rows without a usable time: they count in no figure.",
        ),
        Case(
            "DocsToKGSourceFilesSkipped", 15, "warning", "data-quality",
            {
                f'docstokg_exporter_source_files{{{at},state="skipped"}}': (0, 2),
                f'docstokg_exporter_source_files{{{at},state="read"}}': (5, 5),
            },
            {**here, "state": "skipped"},
            "DocsToKG skips 2 telemetry files",
            "The exporter x:9108 cannot read 2 of its source files: runs in them are not judged.",
        ),
    ]  # fmt: skip


def _budget_cases() -> list[Case]:
    def rate(hours: int, slo: str = "yield_pct") -> str:
        return f'docstokg_slo_burn_rate{{slo="{slo}",window="{hours}h"}}'

    return [
        Case(
            "DocsToKGBudgetBurnsFast", 2, "critical", "budget",
            # one of two hours is bad: 50 times what 99 % allow
            {rate(1): (0, 50), rate(6): (0, 50), rate(1, "other"): (0, 13.4),
             rate(6, "other"): (0, 5.5)},
            {"slo": "yield_pct"},
            "DocsToKG burns its error budget of yield_pct 50 times too fast",
            "In recent hours yield_pct spends its error budget 50 times as fast as would last for"
            " its window, and still does.",
        ),
        Case(
            "DocsToKGBudgetBurns", 15, "warning", "budget",
            {rate(2): (0, 1), rate(24): (0, 1), rate(6): (0, 0.95), rate(72): (0.9, 0.95)},
            {"slo": "yield_pct"},
            "DocsToKG will run out of its error budget of yield_pct",
            "Over a day or more, yield_pct spends its error budget 0.95 times as fast as would last"
            " for its window: at that rate little or nothing will be left.",
        ),
    ]  # fmt: skip


CASES = [*_run_cases(), *_role_and_host_cases(), *_budget_cases(), *_telemetry_cases()]
