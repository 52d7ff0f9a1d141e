"""A number is the same wherever it is shown: a report and every command, of one warehouse."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from exporter.report_words import MARK, name
from scripts import history

from .support.runs import Tool

Row = dict[str, Any]
AS_OF = "2025-11-17"


class Tables(HTMLParser):
    """The tables of a page: by the anchor of the section, lists of rows by column."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[dict[str, str]]]] = {}
        self.titles: dict[str, list[str]] = {}
        self._section = ""
        self._columns: list[str] = []
        self._cells: list[str] | None = None
        self._text: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "h2":
            self._section = dict(attrs).get("id") or ""
        elif tag == "table":
            self.found.setdefault(self._section, []).append([])
            self._columns = []
        elif tag == "tr":
            self._cells = []
        elif tag in ("th", "td", "summary"):
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data.replace("\xa0", " ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "summary":
            self.titles.setdefault(self._section, []).append((self._text or "").partition(": ")[2])
            self._text = None
        elif tag in ("th", "td") and self._cells is not None:
            self._cells.append(self._text or "")
            self._text = None
        elif tag == "tr" and self._cells is not None:
            if self._columns:
                row = dict(zip(self._columns, self._cells, strict=True))
                self.found[self._section][-1].append(row)
            else:
                self._columns = self._cells
            self._cells = None


def numbers(text: str) -> list[str]:
    """Return the numbers in a text, as they are written."""
    return re.findall(r"[-+−]?\d[\d,]*\.?\d*", text)


def shows(text: str, *values: float | None) -> None:
    """Fail unless a text shows the values: each its next number, to the digits that it has."""
    known = [value for value in values if value is not None]
    told = numbers(text)
    assert len(told) == len(known), (text, values)
    for word, value in zip(told, known, strict=True):
        decimals = len(word.partition(".")[2])
        shown = float(word.replace(",", "").replace("−", "-"))
        assert abs(shown - value) <= 0.5000001 * 10**-decimals, (text, word, value)


def test_a_report_and_every_command_tell_the_same_numbers(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "m.sqlite3"
    history.generate(db, datetime(2025, 11, 3), days=14, bad_days=4, artifacts=80, seed=8)
    assert tool("run", "--db", db).returncode == 0

    def asked(*words: object) -> Any:
        done = tool(*words, "--output-format", "json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    assert tool("report", "--as-of", AS_OF, "--out", "r.html").returncode == 0
    page = (tmp_path / "r.html").read_text()
    tables = Tables(page)
    summary = asked("summary")
    run = summary["run_id"]
    assert f"Run {run} misses " in page
    assert f"{summary['requests']:,.0f} requests, " in page

    budgets = asked("budget", "--as-of", AS_OF)
    the_budgets_agree(tables, budgets)
    text = tool("budget", "--as-of", AS_OF).stdout
    told = re.search(r"\d+ of \d+ budgets overspent, .*", text)
    assert told is not None and page.count(told[0]) >= 2  # the card and the section
    # straight from the file it is the same; of no moment but this one
    from_file = asked("budget", "--as-of", AS_OF, "--db", db)
    assert from_file["budgets"] == budgets["budgets"]

    trends = asked("trends", "--last", "30")
    latest = the_trends_agree(tables, trends)
    slos = {(s["slo"], s["scope"], s["subject"]): s for s in summary["slos"]}
    for key, point in latest.items():
        assert (point["value"], point["status"]) == (slos[key]["value"], slos[key]["status"])
    for sli, value in summary.items():
        if (sli, "run", None) in slos:
            assert slos[sli, "run", None]["value"] == value

    the_runs_agree(tables, asked("runs"), trends)

    turned = re.search(r"Run (\S+), since which an SLO is missed", page)
    assert turned is not None
    compared = asked("compare", "baseline", turned[1])
    (changes,) = [t for t in tables.found["changes"] if "in the run" in t[0]]
    rows = {name(r): r for r in [*compared["slis"], *compared["members"]]}
    for shown in changes:
        row = rows[shown["SLI"]]
        shows(shown["in the run"], row["value"])
        shows(shown["before"], row["baseline_value"])
        if row["change"] is not None:
            level = row["confidence_pct"] if row["change_low"] is not None else None
            shows(shown["change"], row["change"], level, row["change_low"], row["change_high"])
        assert shown["verdict"] == MARK[row["verdict"]]
    own = {(r["slo"], r["scope"], r["subject"]): r for r in summary["regressions"]}
    against = {
        (r["slo"], r["scope"], r["subject"]): r for r in asked("compare", "baseline", run)["slis"]
    }
    assert own.keys() == against.keys()
    for key, row in own.items():
        assert row.items() <= against[key].items()

    # a day has one run, which lies within a cell of the heat map
    heat = [r for r in tables.found["hosts"][0] if r["from (UTC)"].startswith(run[:10])]
    (symptom,) = (
        s
        for s in asked("diagnose")["symptoms"]
        if (s["slo"], s["scope"]) == ("http_429_pct", "run")
    )
    rates = {c["segment"]: c for c in symptom["contributions"] if c["dimension"] == "host"}
    assert len(heat) > 1
    for shown in heat:
        if shown["host"] in rates:
            shows(shown["429 %"], rates[shown["host"]]["rate_now_pct"])
            shows(shown["network requests"], rates[shown["host"]]["denominator_now"])
        if ("http_429_pct", "run_host", shown["host"]) in slos:
            value = slos["http_429_pct", "run_host", shown["host"]]
            shows(shown["429 %"], value["value"])
    openings = len(tables.found["breakers"][0])
    assert openings == summary["breaker_opens"]
    gate = asked("gate", "production", "--db", db, "--days", "5000")
    (enough,) = (c for c in gate["criteria"] if c["criterion"] == "enough_runs")
    assert enough["value"] == len(trends["periods"]) == len(tables.found["runs"][-1])


def the_budgets_agree(tables: Tables, budgets: Row) -> None:
    """Hold the section of budgets against what `budget` says of the same moment."""
    rows = {name(b): b for b in budgets["budgets"]}
    (shown_rows,) = tables.found["budget"]
    assert len(shown_rows) >= sum(b["scope"] != "run_host" for b in budgets["budgets"])
    for shown in shown_rows:
        row = rows[shown["SLO"]]
        shows(shown["target"], row["target"])
        shows(shown["may be bad"], row["allowed_pct"], row["window_days"])
        if row["counted_in"] == "events":
            counts = row["events_bad"], row["valid_events"], row["events_allowed"]
            needed = row["valid_events"], row["smallest_sample"]
        else:
            counts = row["slices_bad"], row["slices_judged"], row["slices_allowed"]
            needed = row["slices_judged"], row["slices_needed"]
        if row["state"] in ("within", "overspent"):
            # three digits of what may be bad
            shows(shown["bad"].partition("where")[0].replace("429s", ""), *counts[:2])
            (allowed,) = numbers(shown["bad"].partition("where")[2])
            assert float(allowed.replace(",", "")) == float(
                f"{counts[2]:.3g}" if counts[2] < 100 else f"{counts[2]:.0f}"
            )
            shows(shown["left"], 100 * row["budget_remaining_ratio"])
        else:
            shows(shown["bad"], *needed)
            assert not numbers(shown["left"])
        assert bool(shown["ran out (UTC)"]) == (row["state"] == "overspent")


def the_trends_agree(tables: Tables, trends: Row) -> dict[tuple[str, str, str | None], Row]:
    """Hold the section of trends against `trends`; return the latest point of each series."""
    series = {name(s): s for s in trends["series"]}
    shown_tables = dict(zip(tables.titles["trends"], tables.found["trends"], strict=True))
    assert shown_tables.keys() == series.keys()
    for title, shown_rows in shown_tables.items():
        points = series[title]["points"]
        for shown, point in zip(shown_rows, points, strict=True):
            assert shown["run"] == point["period"] and shown["verdict"] == MARK[point["status"]]
            shows(shown["value"], point["value"])
            shows(shown["sample"], point["sample_size"])
    return {(s["slo"], s["scope"], s["subject"]): s["points"][-1] for s in trends["series"]}


def the_runs_agree(tables: Tables, runs: list[Row], trends: Row) -> None:
    """Hold the table of runs against `runs`, and its SLIs against `trends`."""
    by_run = {r["run_id"]: r for r in runs}
    points = {
        (s["slo"], p["period"]): p["value"]
        for s in trends["series"]
        if s["scope"] == "run"
        for p in s["points"]
    }
    shown_rows = tables.found["runs"][-1]
    assert {r["run"] for r in shown_rows} == by_run.keys()
    for shown in shown_rows:
        row = by_run[shown["run"]]
        assert shown["verdict"].startswith(MARK[row["verdict"]])
        if not row["has_passed"]:
            shows(shown["verdict"], row["slos_failed"])
        shows(shown["artifacts"], row["artifacts"])
        shows(shown["yield_pct"], row["yield_pct"])
        for slo in shown.keys() & {slo for slo, _ in points}:
            shows(shown[slo], points[slo, shown["run"]])
