"""Prometheus' rule files."""

from __future__ import annotations

import json
from typing import Any

import yaml

from scripts.monitoring.budgets import Pair, burning
from scripts.monitoring.settings import BudgetAlert, Settings, SloAlert, TelemetryAlert
from scripts.monitoring.targets import Target, named_subjects

#: For so long the last figure holds when a new run has none yet: otherwise each new run would
#: make a waiting alert wait anew.
_HOLDS = "10m"
_HEADER = "# Made by `make monitoring` of the seeds and of monitoring/alerts.yml.\n"


def alerts(targets: list[Target], pairs: list[Pair], settings: Settings) -> str:
    """Return alerts.yml: one rule per row of the seed, then those about budgets and telemetry."""
    slos = [_slo_rule(target, targets, settings) for target in targets]
    budgets = [_rule(alert, burning(pairs, alert.burning), settings) for alert in settings.budgets]
    telemetry = [_rule(alert, alert.expr, settings) for alert in settings.telemetry]
    return _file(
        {"docstokg-slos": slos, "docstokg-budgets": budgets, "docstokg-telemetry": telemetry}
    )


def recordings(settings: Settings) -> str:
    """Return recording.yml."""
    rules = [{"record": rule.record, "expr": rule.expr} for rule in settings.recordings]
    return _file({"docstokg-recordings": rules})


def _rule(alert: TelemetryAlert | BudgetAlert, expr: str, settings: Settings) -> dict[str, Any]:
    return {
        "alert": alert.alert,
        "expr": expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": _runbook(alert.runbook, settings),
        },
    }


def _slo_rule(target: Target, targets: list[Target], settings: Settings) -> dict[str, Any]:
    """Return the rule that fires exactly for the series that one row of the seed judges."""
    alert = settings.slo_alert(target.slo, target.scope)
    value = settings.value(target.unit)
    # rules of one name differ in their labels, so that Prometheus tells them apart
    subject = {"subject": _literal(target.subject)} if target.subject else {}
    who = "DocsToKG" if target.scope == "run" else f"{{{{ $labels.{alert.subject_label} }}}}"
    return {
        "alert": alert.alert,
        # without the run, so that it is one alert however many runs miss the target in turn
        "expr": f"last_over_time({target.worst} without (run_id)"
        f" ({_selector(target, targets, alert)})[{_HOLDS}:]) {target.missed}",
        "for": alert.wait,
        "labels": {"severity": alert.severity, "slo": target.slo, "scope": target.scope} | subject,
        "annotations": {
            "summary": f"{who} {alert.title} {value} (target {target.short})",
            "description": f"{alert.meaning} Run {_runs(target, alert)}has {value};"
            f" the target is {target.spoken}.",
            "runbook_url": _runbook(alert.runbook, settings),
        },
    }


def _runs(target: Target, alert: SloAlert) -> str:
    """Return the template that names the runs that miss a target, each with a space behind it."""
    name, _, own = alert.metric.partition("{")
    labels = ["instance"] if target.scope == "run" else ["instance", alert.subject_label]
    matchers = ",".join(filter(None, [own.removesuffix("}"), *(f"{label}=%q" for label in labels)]))
    values = " ".join(f"$labels.{label}" for label in labels)
    query = f"`last_over_time({name}{{{matchers}}}[{_HOLDS}]) {target.missed}` {values}"
    found = f'printf {query} | query | sortByLabel "run_id"'
    return f"{{{{ range {found} }}}}{{{{ .Labels.run_id }}}} {{{{ end }}}}"


def _selector(target: Target, targets: list[Target], alert: SloAlert) -> str:
    """Return the series of a target: its own subject's, or all that no other row names."""
    label = alert.subject_label
    if target.subject:
        matchers = [f"{label}={_quoted(target.subject)}"]
    else:
        named = named_subjects(targets, target.slo, target.scope)
        matchers = [f"{label}!={_quoted(subject)}" for subject in named]
    name, _, own = alert.metric.partition("{")
    matchers = [*filter(None, [own.removesuffix("}")]), *matchers]
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def _quoted(text: str) -> str:
    """Return text as PromQL quotes it."""
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    """Return text that stays as it is where Prometheus expands templates."""
    return text.replace("{{", '{{"{{"}}')


def _runbook(page: str, settings: Settings) -> str:
    return f"{settings.runbooks}{page}.md"


def _file(groups: dict[str, list[dict[str, Any]]]) -> str:
    listed = [{"name": name, "rules": rules} for name, rules in groups.items()]
    body: str = yaml.safe_dump(
        {"groups": listed}, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return _HEADER + body
