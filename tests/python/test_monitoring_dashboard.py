"""The Grafana dashboard: its form, its queries, and thresholds that equal the seed."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from .conftest import ROOT
from .support import promtool
from .support.alert_cases import target

PATH = ROOT / "monitoring" / "grafana" / "dashboards" / "docstokg.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS: list[dict[str, Any]] = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
RUN = 'run_id=~"$run_id"'


def panel(title: str) -> dict[str, Any]:
    """Return the panel of a title."""
    (found,) = [panel for panel in PANELS if panel["title"] == title]
    return found


def steps(title: str) -> list[tuple[str, float | None]]:
    """Return a panel's thresholds: colour, and from which value on."""
    thresholds = panel(title)["fieldConfig"]["defaults"]["thresholds"]
    assert thresholds["mode"] == "absolute"
    return [(step["color"], step["value"]) for step in thresholds["steps"]]


def missing(part: Any, whole: Any, path: str = "") -> list[str]:
    """Return where ``whole`` lacks something that ``part`` has."""
    if isinstance(part, dict) and isinstance(whole, dict):
        lost = [f"{path}/{key}" for key in part.keys() - whole.keys()]
        kept = part.keys() & whole.keys()
        return lost + [at for key in kept for at in missing(part[key], whole[key], f"{path}/{key}")]
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        pairs = zip(part, whole, strict=True)
        return [at for n, (a, b) in enumerate(pairs) for at in missing(a, b, f"{path}/{n}")]
    return [] if part == whole else [path]


def test_the_schema_of_grafana_11_6_knows_everything_in_it() -> None:
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARD)
    assert missing(DASHBOARD, json.loads(JSONEncoder().encode(read))) == []
    assert DASHBOARD["schemaVersion"] == 41


def test_ids_are_unique_and_panels_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert all(place["w"] > 0 and place["h"] > 0 for place in places)
    for a, b in combinations(places, 2):
        assert (
            a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        ), (a, b)  # fmt: skip


def test_every_panel_asks_the_chosen_datasource() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["datasource"] == chosen, panel["title"]
        assert panel["targets"], panel["title"]
        names = [query["refId"] for query in panel["targets"]]
        assert all(names)
        assert len(set(names)) == len(names)
        for query in panel["targets"]:
            assert query["datasource"] == chosen
            assert query["instant"] != query["range"]


def test_the_variables() -> None:
    source, run = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource", "datasource", "prometheus",
    )  # fmt: skip
    assert (run["name"], run["query"]) == ("run_id", "label_values(docstokg_run_passed, run_id)")
    assert (run["includeAll"], run["allValue"], run["multi"]) == (True, ".+", True)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))
    assert used <= {"datasource", "run_id", "__range", "1"}


def test_the_guides_panels_come_first() -> None:
    first = [(panel["type"], panel["targets"][0]["expr"]) for panel in PANELS[:5]]
    assert first == [
        ("gauge", f"docstokg_run_yield_pct{{{RUN}}}"),
        (
            "stat",
            f'docstokg_run_ttfp_ms{{quantile="p95",{RUN}}}'
            " and on (run_id) docstokg_run_passed @ end()",
        ),
        ("gauge", f"docstokg_run_cache_hit_pct{{{RUN}}}"),
        ("table", f"docstokg_host_http429_ratio{{{RUN}}}"),
        ("timeseries", f"3600 * rate(docstokg_breaker_open_events_total{{{RUN}}}[1h])"),
    ]
    assert PANELS[1]["options"]["graphMode"] == "area"
    assert PANELS[3]["options"]["sortBy"] == [{"displayName": "429 ratio", "desc": True}]


def test_thresholds_are_the_seeds_targets() -> None:
    assert steps("Yield") == [
        ("red", None), ("yellow", 80), ("green", target("yield_pct", "run")),
    ]  # fmt: skip
    assert steps("TTFP p95") == [
        ("green", None), ("yellow", 15_000), ("red", target("ttfp_p95_ms", "run")),
    ]  # fmt: skip
    assert steps("Cache hits") == [
        ("red", None), ("yellow", 50), ("green", target("cache_hit_pct", "run")),
    ]  # fmt: skip
    assert steps("HTTP 429 ratio by host") == [
        ("green", None), ("red", target("http_429_pct", "run_host")),
    ]  # fmt: skip
    assert steps("Breaker openings per hour") == [
        ("green", None), ("red", target("breaker_opens_per_hour", "run_host")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "panel", [p for p in PANELS if p["type"] == "table"], ids=lambda p: p["title"]
)
def test_columns_of_tables_come_from_their_queries(panel: dict[str, Any]) -> None:
    merge, organise = panel["transformations"]
    assert (merge["id"], organise["id"]) == ("merge", "organize")
    columns = organise["options"]["renameByName"]
    values = {f"Value #{query['refId']}" for query in panel["targets"]}
    assert {name for name in columns if name.startswith("Value")} == values
    headings = set(columns.values())
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in headings
    for order in panel["options"]["sortBy"]:
        assert order["displayName"] in headings
    assert all(query["format"] == "table" for query in panel["targets"])


def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    queries = [query["expr"] for panel in PANELS for query in panel["targets"]]
    rules = [
        {
            "record": f"query_{number}",
            "expr": expr.replace("$run_id", ".+").replace("$__range", "6h"),
        }
        for number, expr in enumerate(queries)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool.run("promtool", "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout
