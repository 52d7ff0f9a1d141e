"""docstokg-telemetry trends and report: what they say of runs whose numbers are known by hand."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from exporter import (
    render_trends,
    report_charts,
    report_charts_time,
    report_data,
    trend_points,
)
from exporter.definitions import definitions
from exporter.errors import TelemetryError, UsageError
from exporter.report_data import Asked, Report
from exporter.report_drawing import Drawing
from exporter.report_markdown import escaped, markdown
from exporter.report_page import MOST_BYTES, page
from exporter.report_svg import draw
from exporter.report_words import explains, share
from exporter.trend_points import Trends, Wanted
from recorder import ensure_schema
from scripts import history

from .conftest import ROOT
from .support.browser import browsing
from .support.runs import START, Tool, record

DAY = 86_400
HOSTILE = "<img src=x onerror=alert(1)>|[x](javascript:1)\n# `*no*` www.evil.example"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on Thursday 2025-10-09, one on Saturday, one on Monday: yields 95, 50, 100, 50."""
    path = tmp_path_factory.mktemp("report") / "t.sqlite3"
    record(path, "r1", artifacts=20, good=19)
    record(path, "r2", artifacts=10, good=5, start=START + 3600)
    record(path, "r3", artifacts=20, good=20, start=START + 2 * DAY)
    record(path, "r4", artifacts=20, good=10, start=START + 4 * DAY)
    return path


@pytest.fixture(scope="module")
def month_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks, on whose last days a host answers 429."""
    path = tmp_path_factory.mktemp("month") / "m.sqlite3"
    history.generate(path, datetime(2025, 11, 3), days=14, bad_days=4, artifacts=80, seed=8)
    return path


@pytest.fixture(scope="module")
def month(month_db: Path, compiled: Path) -> Report:
    """The report of the last run of these."""
    return report_data.from_files([str(month_db)], Asked(), compiled, ROOT)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Report:
    """The report of a run whose names are attacks, as our recorder would not have stored them."""
    path = tmp_path_factory.mktemp("hostile") / "h.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        ensure_schema(connection)
        for number in range(30):
            at = START + number
            connection.execute(
                "insert into http_events (run_id, ts, host, role, status) values (?, ?, ?, ?, ?)",
                (HOSTILE, at, HOSTILE, HOSTILE, 429 if number % 2 else 200),
            )
            connection.execute(
                "insert into fallback_attempts (run_id, ts, artifact_id, source, outcome) "
                "values (?, ?, ?, ?, 'success')",
                (HOSTILE, at, f"a{number}", HOSTILE),
            )
            connection.execute(
                "insert into breaker_transitions (run_id, ts, host, old_state, new_state) "
                "values (?, ?, ?, 'closed', 'open')",
                (HOSTILE, at, HOSTILE),
            )
    return report_data.from_files([str(path)], Asked(), compiled, ROOT)


def trends_of(db: Path, compiled: Path, by: str, **wanted: Any) -> Trends:
    return trend_points.from_files([str(db)], Wanted(by, **wanted), compiled)


def points(found: Trends, slo: str = "yield_pct") -> dict[str, tuple[float | None, str]]:
    (series,) = (one for one in found.series if one["slo"] == slo)
    return {
        p["period"]: (p["value"] and round(p["value"], 6), p["status"]) for p in series["points"]
    }


def test_a_period_is_measured_over_all_its_events(db: Path, compiled: Path) -> None:
    assert points(trends_of(db, compiled, "run")) == {
        "r1": (95.0, "pass"), "r2": (50.0, "fail"), "r3": (100.0, "pass"), "r4": (50.0, "fail"),
    }  # fmt: skip
    # 24 of 30, not the mean of 95 and 50; days without a run are there, as no data
    by_day = trends_of(db, compiled, "day")
    assert points(by_day) == {
        "2025-10-09": (80.0, "fail"), "2025-10-10": (None, "no_data"),
        "2025-10-11": (100.0, "pass"), "2025-10-12": (None, "no_data"),
        "2025-10-13": (50.0, "fail"),
    }  # fmt: skip
    # 44 of 50 up to Sunday; Monday is another week
    by_week = trends_of(db, compiled, "week")
    assert points(by_week) == {"2025-W41": (88.0, "pass"), "2025-W42": (50.0, "fail")}
    # every artifact's second attempt, 500 ms after its first, is the one that may succeed
    assert points(by_week, "ttfp_p95_ms") == {
        "2025-W41": (500.0, "pass"),
        "2025-W42": (500.0, "pass"),
    }
    (series,) = (one for one in by_day.series if one["slo"] == "yield_pct")
    assert [p["sample_size"] for p in series["points"]] == [30, None, 20, None, 20]
    assert render_trends.sparkline([p["value"] for p in series["points"]]) == "▅·█·▁"
    assert render_trends.gaps(series["points"], "day") == (
        "2 of 5 days without data: 2025-10-10, 2025-10-12"
    )


def test_trends_of_hosts_resolvers_and_the_last_ones(db: Path, compiled: Path) -> None:
    host = trends_of(db, compiled, "week", host="cdn.example.org", last=1)
    assert host.periods == ["2025-W42"]
    assert points(host, "http_429_pct") == {"2025-W42": (0.0, "pass")}
    resolver = trends_of(db, compiled, "week", resolver="arxiv", slis=("ttfp_p50_ms",))
    assert points(resolver, "ttfp_p50_ms") == {
        "2025-W41": (500.0, "no_target"),
        "2025-W42": (500.0, "no_target"),
    }
    for wanted, told in (
        ({"host": "nope"}, "--host 'nope' is in none of these runs: api.example.org, cdn"),
        ({"slis": ("nope",)}, "--sli nope has no trend here: there are breaker_opens_per_hour"),
        ({"resolver": "nope"}, "--resolver 'nope' is in none of these runs: "),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            trends_of(db, compiled, "run", **wanted)


def test_trends_as_people_and_programs_read_them(tool: Tool, db: Path) -> None:
    told = tool("trends", "--db", db, "--by", "day", "--sli", "yield_pct")
    assert told.returncode == 0, told.stderr
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert lines[0] == "Trends by day 2025-10-09 to 2025-10-13 (5 days)"
    assert "yield_pct ▅·█·▁ 50.00 % 100.00 % 50.00 % ≥ 85.00 % ✗ fail 1 of 3" in lines
    assert "· yield_pct: 2 of 5 days without data: 2025-10-10, 2025-10-12" in lines
    assert "2025-10-10 no data – – no data" in lines
    answer = json.loads(
        tool("trends", "--db", db, "--by", "week", "--output-format", "json").stdout
    )
    assert (answer["by"], answer["periods"]) == ("week", ["2025-W41", "2025-W42"])
    (series,) = (one for one in answer["series"] if one["slo"] == "yield_pct")
    assert series["target"] == 85 and series["points"][0] == {
        "period": "2025-W41", "period_at": "2025-10-06T00:00:00Z", "value": 88.0,
        "sample_size": 50.0, "status": "pass",
    }  # fmt: skip
    wrong = tool("trends", "--host", "a", "--resolver", "b")
    assert (wrong.returncode, wrong.stderr) == (2, "error: give --host or --resolver, not both\n")


def test_a_report_says_what_the_models_say(tool: Tool, db: Path, tmp_path: Path) -> None:
    told = tool("report", "--db", db, "--format", "md", "--by", "week")
    assert told.returncode == 0, told.stderr
    text = told.stdout
    # yield is what fails, in the run and in its budget: r2 counts, whose 10 artifacts judge no hour
    assert text.startswith("# Run r4 misses 1 of 10 SLOs.\n")
    assert "| Is it healthy? | ✗ No | Missed: yield\\_pct. |" in text
    assert "| yield\\_pct | █▁ | 50.00 % | ≥ 85.00 % | ✗ missed | 1 of 2 | none |" in text
    assert "16 of 70 artifacts bad, where 10.5 may be" in text
    # 95, 50 and 100 % before: 50 % is no more than such runs differ by
    # 10 SLIs, of which 8 have too few to be compared: that is no "nothing"
    assert "| – Not known | 8 of 10 SLIs had not enough data to be compared " in text
    assert "0 of 2 SLIs compared got worse. 8 of 10 had not enough data to be compared." in text
    assert "| yield\\_pct | 50.00 % | 88.00 % | \\-38.00 points \\(95 %: " in text
    assert "| r4 | ✗ missed \\(1\\) | 2025\\-10\\-13 " in text and "| ✗ 50.00 % |" in text
    assert "The same for SLIs in" not in text and "dark: found first" not in text
    assert "\n## Time to the first PDF\n" in text and "\n## Breakers\n" in text
    assert "\n- **yield\\_pct**: Artifacts that succeeded in 100 attempted" in text
    assert "| row rejected |" not in text and "0 rows could not be used; 0 files skipped" in text
    out = tmp_path / "report.html"
    out.write_text("the one before")
    done = tool("report", "--db", db, "--run", "r3", "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    html = out.read_text()
    assert "<h1>Run r3 meets all 10 SLOs.</h1>" in html
    assert "r4" not in html  # what came later does not count
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    # a pipe is written to, and stays one
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        done = tool("report", "--db", db, "--run", "r3", "--format", "md", "--out", "pipe")
        assert (done.returncode, done.stderr) == (0, "") and reader.stdout is not None
        assert reader.stdout.read().startswith("# Run r3 meets all 10 SLOs.\n")
    assert (tmp_path / "pipe").is_fifo()
    for arguments, said in (
        (("report", "--db", db), "name the file with --out report.html, or --out - for"),
        (("report", "--db", db, "--run", "nope", "--out", "-"), "nope"),
        (
            ("report", "--db", db, "--run", "r4", "--as-of", "2025-10-10", "--out", "-"),
            "run 'r4' had not ended by --as-of 2025-10-10 00:00:00 UTC",
        ),
        (("report", "--db", db, "--out", tmp_path / "no" / "r.html"), "cannot write"),
    ):
        wrong = tool(*arguments)
        assert wrong.returncode == 2 and wrong.stdout == "", wrong.stdout[:200]
        assert said in wrong.stderr and wrong.stderr.count("\n") == 1, wrong.stderr


def test_a_part_above_the_whole_is_told_in_words() -> None:
    one = {"segment": "crossref", "share_of_change": 1.3}
    assert explains(one) == "crossref explains more than all of it; others got better"
    assert explains(one | {"share_of_change": 1.0}, "the change") == (
        "crossref explains 100 % of the change"
    )
    assert share(1.3, "worse") == "more than all of it; others got worse"
    assert (share(0.94), share(None)) == ("94 %", "–")


def test_names_are_only_text(hostile: Report) -> None:
    html, text = page(hostile), markdown(hostile)
    assert hostile.run["run_id"] == HOSTILE and "onerror" in hostile.funnel[0]["resolver"]
    assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html
    for line in text.splitlines():
        assert "<img" not in line and "[x](" not in line and "www.evil" not in line
    assert "\n# `" not in text and "\\[x\\]\\(javascript:1\\)" in text
    assert escaped("a|b\n#c") == "a\\|b \\#c"
    # no run before it, nothing to compare with, no yield: said in words, and no chart of nothing
    assert "Not enough data: no run before it." in html
    assert "No chart: no data." in html and "None%" not in html


def test_the_planted_change_is_told_and_who_made_it(
    month: Report, month_db: Path, compiled: Path
) -> None:
    # the last run is as bad as those before it; the first bad one is what is told of
    assert month.run["run_id"] == "2025-11-16-nightly" and len(month.runs) == 12
    (streak,) = (s for s in month.streaks if (s["slo"], s["scope"]) == ("http_429_pct", "run"))
    assert (streak["since_run_id"], streak["runs_missed"]) == ("2025-11-14-nightly", 3)
    assert month.turned.run_id == month.streaks[0]["since_run_id"] != month.run["run_id"]
    text = page(month)
    assert len(text.encode()) < MOST_BYTES / 5
    cards = dict(re.findall(r"<dt>([^<]*)</dt><dd class=\"answer\">([^<]*)</dd>", text))
    assert cards == {
        "Is it healthy?": "No",
        "Which SLO is worst?": "http_429_pct",
        "How much error budget is left?": "None: overspent",
        "What got worse, and who explains it?": "cdn.publisher.example",
    }
    before = Asked(as_of=datetime(2025, 11, 14))
    earlier = report_data.from_files([str(month_db)], before, compiled, ROOT)
    assert earlier.run["run_id"] == "2025-11-11-nightly"  # 12 and 13 have none
    assert [row["run_id"] for row in earlier.runs][-1] == "2025-11-11-nightly"
    assert '<dd class="answer">Yes</dd>' in page(earlier)


def test_a_process_of_its_own_draws_the_same(month: Report) -> None:
    with Drawing() as drawing:
        with pytest.raises(TelemetryError, match="a chart could not be drawn: .*") as wrong:
            drawing.draw({"data": {"values": []}, "mark": "no such mark"}, "", 1)
        assert "\n" not in str(wrong.value)
        # and it goes on
        assert page(month, drawing.draw) == page(month)
        drawing._process.kill()
        with pytest.raises(TelemetryError, match=r"has ended \(code -9\): run it again"):
            drawing.draw({"data": {"values": []}, "mark": "point"}, "", 1)


def test_each_number_is_defined_by_its_model() -> None:
    told = {one.name: one.text for one in definitions(ROOT)}
    assert told["yield_pct"].startswith("Artifacts that succeeded in 100 attempted (%).")
    assert "One row per run and resolver" in told["resolver_funnel"]
    assert not any("{{" in text for text in told.values()) and all(told.values())


def test_a_browser_shows_it_and_asks_for_nothing(
    month: Report, hostile: Report, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(page(month))
    (tmp_path / "bad.html").write_text(
        page(month).replace("<h1>", "<img src='http://a.example/x.png'><script>1</script><h1>")
    )
    with browsing() as browser:
        browser.open(tmp_path / "report.html")
        assert browser.complaints == []
        assert browser.requests == [(tmp_path / "report.html").as_uri()]
        shown = "[...document.querySelectorAll('svg.drawn')].filter(s => s.checkVisibility())"
        seen_by = []
        for width in (1200, 360):  # some charts are drawn twice, and one of them is shown
            browser.look(width)
            drawn = browser.evaluate(
                f"{shown}.map(s => [s.getBoundingClientRect().width,"
                "s.getBoundingClientRect().height, s.querySelectorAll('path,line,text').length,"
                "s.getAttribute('aria-label').length])"
            )
            assert len(drawn) >= 14 and all(min(each) > 5 for each in drawn), drawn
            seen_by.append(len(drawn))
        assert (
            seen_by[0]
            == seen_by[1]
            < browser.evaluate("document.querySelectorAll('svg.drawn').length")
        )
        # on a phone, texts of what is drawn for it are as large as elsewhere on the page
        small = browser.evaluate(
            "[...document.querySelectorAll('.narrow svg.drawn text')].map("
            "t => t.getBoundingClientRect().height).filter(h => h > 0 && h < 11).length"
        )
        assert small == 0
        assert browser.evaluate("document.querySelectorAll('figure details table').length") >= 14
        assert browser.evaluate("document.querySelectorAll('img,script,link,iframe').length") == 0
        ink = "getComputedStyle(document.body).color"
        mark = "getComputedStyle(document.querySelector('svg.drawn text')).fill"
        seen = set()
        looks = (("light", "screen", 360), ("dark", "screen", 360), ("dark", "print", 794))
        for scheme, media, narrow in looks:
            for width in (narrow, 1200):
                browser.look(width, scheme, media)
                wide = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, (scheme, media, width, wide)
            seen.add((browser.evaluate(ink), browser.evaluate(mark)))
        assert len(seen) == 2  # dark is another one; paper is light
        browser.look(360)
        (tmp_path / "hostile.html").write_text(page(hostile))
        browser.open(tmp_path / "hostile.html")
        assert browser.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert browser.evaluate("document.querySelectorAll('img,script').length") == 0
        assert browser.complaints == []
        # and were there anything to complain of, it would have been heard
        browser.open(tmp_path / "bad.html")
        assert any("Content Security Policy" in text for text in browser.complaints)


def test_names_that_begin_alike_are_rows_of_their_own() -> None:
    hosts = [f"content-delivery.journals.publisher-{name}.org" for name in ("one", "two")]
    rows = [
        {
            "host": host, "place": place, "cell_at": datetime(2025, 10, 9, 8 + hour),
            "cell_hours": 1, "http_429_pct": 100.0 * (1 - place), "error_pct": 0.0,
            "http_429_level": 5 * (1 - place),
        }
        for place, host in enumerate(hosts)
        for hour in range(2)
    ]  # fmt: skip
    for is_narrow in (False, True):
        svg = draw(report_charts_time.heat(rows, "http_429_pct", "429", is_narrow), "heat", 1)
        for host in hosts:
            assert report_charts.short(host, 42 if is_narrow else 28) in svg
        assert svg.count("var(--h5)") == 2 + 1  # both cells of the first host, and the legend
        assert svg.count("10-09 0") == 1, "a second label would lie over the first"
    budgets = [(f"breaker_opens_per_hour of host {host}", -4.0, "-400 %") for host in hosts]
    svg = draw(report_charts.budgets(budgets), "budgets", 1)
    assert svg.count("-400 %") == 2
    assert all(report_charts.short(name, 40) in svg for name, _, _ in budgets)
