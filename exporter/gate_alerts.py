"""Looks at alert rules, the Prometheus that evaluates them, and Grafana."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import duckdb
import yaml

from exporter import results, web
from exporter.errors import TelemetryError, one_line
from exporter.findings import plural
from exporter.gate_seen import Context
from exporter.paths import project_dir
from exporter.results import Row

#: The job of the exporter in our Prometheus example, which the alerts ask for by this name.
_JOB: Final = "docstokg"
#: The uid of our dashboard, and what its first panel shows.
_DASHBOARD: Final = "docstokg"
_QUERY: Final = "docstokg_run_yield_pct"
_MISSED: Final = {">=": "<", "<=": ">"}
_TOKEN: Final = "DOCSTOKG_GRAFANA_TOKEN"


@dataclass(frozen=True)
class Rule:
    """An alert: its labels, its PromQL, and how its last evaluation went, if known."""

    labels: Mapping[str, str]
    expr: str
    health: str = "ok"


def alert_rules(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count the targets that no alert of the rule files holds."""
    default = project_dir(context.project_dir) / "monitoring" / "prometheus" / "rules" / "*.yml"
    files = sorted(glob.glob(context.rules or str(default)))
    if not files:
        return None, False, f"no rule file: {context.rules or 'monitoring/ is not in this project'}"
    lacking, targets = _without(connection, [r for file in files for r in _rules(Path(file))])
    told = f"{targets - len(lacking):,} of {plural(targets, 'target')} with an alert"
    if lacking:
        told += f"; not {', '.join(lacking[:3])}"
    promtool = shutil.which("promtool")
    if promtool is None:
        return len(lacking), False, f"{told}; promtool, to check the rules, is not installed"
    done = subprocess.run(
        [promtool, "check", "rules", *files], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return len(lacking), True, f"{told}; promtool finds no fault"
    said = f"{done.stdout}{done.stderr}".strip().splitlines()[-1:] or ["no word"]
    return len(lacking) + 1, True, f"{told}; promtool: {said[0].strip()[:120]}"


def _rules(file: Path) -> list[Rule]:
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
        return [
            Rule(rule.get("labels") or {}, str(rule["expr"]))
            for group in content["groups"]
            for rule in group.get("rules") or []
            if "alert" in rule
        ]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as e:
        raise TelemetryError(f"{file} is no file of Prometheus rules: {one_line(e, 120)}") from e


def _without(connection: duckdb.DuckDBPyConnection, rules: list[Rule]) -> tuple[list[str], int]:
    """Return the targets that no rule holds, and how many there are."""
    targets = results.rows(connection, "select * from lake.marts.slo_targets order by all")
    return [_name(row) for row in targets if not any(_holds(r, row) for r in rules)], len(targets)


def _name(target: Row) -> str:
    return " ".join(filter(None, (target["slo"], target["scope"], target["subject"])))


def _holds(rule: Rule, target: Row) -> bool:
    """Tell whether a rule is about a target, with the number that the target has now."""
    wanted = {"slo": target["slo"], "scope": target["scope"]}
    if target["subject"]:
        wanted["subject"] = target["subject"]
    about = {key: rule.labels[key] for key in ("slo", "scope", "subject") if key in rule.labels}
    bound = re.search(r"(<|>)\s*([-+.\deE]+)\s*$", rule.expr)
    if about != wanted or bound is None or bound[1] != _MISSED[target["comparator"]]:
        return False
    try:
        return bool(float(bound[2]) == target["target"])
    except ValueError:
        return False


def alerts_loaded(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count the targets that Prometheus evaluates no alert for, and an exporter it cannot reach."""
    if context.prometheus_url is None:
        return None, False, "no Prometheus was named"
    base = context.prometheus_url.rstrip("/")
    try:
        groups = _data(f"{base}/api/v1/rules?type=alert")["groups"]
        scraped = _data(f"{base}/api/v1/targets?state=active")["activeTargets"]
        rules = [
            Rule(rule["labels"], rule["query"], rule["health"])
            for group in groups
            for rule in group["rules"]
        ]
        jobs = [target["health"] for target in scraped if target["labels"].get("job") == _JOB]
    except web.NoAnswer as error:
        return 1, True, str(error)
    except (KeyError, TypeError, AttributeError):
        return 1, True, f"{web.place(base)} does not answer as Prometheus does"
    lacking, targets = _without(connection, [rule for rule in rules if rule.health != "err"])
    faults = len(lacking) + ("up" not in jobs and "unknown" not in jobs)
    is_complete = "up" in jobs and all(rule.health != "unknown" for rule in rules)
    told = [
        f"{targets - len(lacking):,} of {plural(targets, 'target')} with an alert that is evaluated"
    ]
    told += [f"not {', '.join(lacking[:3])}"] if lacking else []
    told.append(f"job {_JOB}: {', '.join(jobs) if jobs else 'not scraped'}")
    return faults, is_complete, "; ".join(told)


def _data(url: str) -> Any:
    return web.get_json(url)["data"]


def dashboards(
    context: Context, connection: duckdb.DuckDBPyConnection
) -> tuple[float | None, bool, str]:
    """Count what is amiss in Grafana: no dashboard of ours, or no data for it."""
    if context.grafana_url is None:
        return None, False, "no Grafana was named"
    base = context.grafana_url.rstrip("/")
    token = os.environ.get(_TOKEN)
    try:
        web.get_json(f"{base}/api/dashboards/uid/{_DASHBOARD}", token)
        sources = web.get_json(f"{base}/api/datasources", token)
        uids = [str(source["uid"]) for source in sources if source["type"] == "prometheus"]
        series = sum(_series(base, uid, token) for uid in uids)
    except web.NoAnswer as error:
        if error.status in (401, 403):
            return None, False, f"{error}: set {_TOKEN}"
        return 1, True, "no dashboard docstokg" if error.status == 404 else str(error)
    except (KeyError, TypeError, AttributeError):
        return 1, True, f"{web.place(base)} does not answer as Grafana does"
    if not uids:
        return 1, True, "the dashboard is there, and no datasource of Prometheus for it"
    told = f"dashboard {_DASHBOARD} is there; its Prometheus has {series:,} series of {_QUERY}"
    return (0 if series else 1), True, told


def _series(base: str, uid: str, token: str | None) -> int:
    """Return how many series Grafana gets from one of its datasources."""
    asked = urlencode({"query": _QUERY})
    url = f"{base}/api/datasources/proxy/uid/{quote(uid, safe='')}/api/v1/query?{asked}"
    return len(web.get_json(url, token)["data"]["result"])
