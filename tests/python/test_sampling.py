"""Sampled cache hits leave every figure what it is without sampling."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import Settings, TelemetryWriter
from recorder.rows import Event
from recorder.sampling import CacheHits

from .support.runs import START, Tool
from .support.web import ask


def requests(seed: int, count: int) -> list[dict[str, Any]]:
    """Return requests of a crawl: mostly cache hits, some 429s, errors and revalidations."""
    luck = random.Random(seed)
    found = []
    for number in range(count):
        status = luck.choices([200, 200, 429, 503, None], [70, 20, 4, 3, 3])[0]
        hit = status == 200 and luck.random() < 0.8
        found.append(
            {
                "ts": START + number * 0.1,
                "host": luck.choice(["a.example", "b.example", "c.example"]),
                "role": luck.choice(["metadata", "metadata", "artifact"]),
                "status": status,
                "url": f"https://x/{number}",
                "from_cache": hit if status else None,
                "revalidated": hit and luck.random() < 0.1,
                "error": None if status else "ReadTimeout",
                "elapsed_ms": luck.random() * 100,
            }
        )
    return found


def test_ratios_are_the_same_with_a_tenth_of_the_hits(tool: Tool, tmp_path: Path) -> None:
    answers: dict[str, Any] = {}
    for name, share in (("all", 1.0), ("tenth", 0.1)):
        path = tmp_path / f"{name}.sqlite3"
        with TelemetryWriter(Settings(True, path, sample_cache_hits=share), "run") as recorder:
            for request in requests(7, 4_000):
                recorder.http_event(**request)
        assert recorder.dropped == 0
        summary = json.loads(
            tool("summary", "--db", path, "--run", "run", "--output-format", "json").stdout
        )
        verdicts = {(v["slo"], v["scope"], v["subject"]): v for v in summary.pop("slos")}
        answers[name] = (summary, verdicts)
        kept = "select count(*), sum(sample_weight) from http_events where {}"
        plain = "from_cache = 1 and revalidated = 0"
        ((rows, weight),) = ask(path, kept.format(plain))
        assert rows < weight / 9 if share < 1 else rows == weight
        ((others, other_weight),) = ask(path, kept.format(f"not coalesce({plain}, false)"))
        assert others == other_weight  # errors and what went over the network are all there
    (one, one_verdicts), (other, other_verdicts) = answers["all"], answers["tenth"]
    assert one["cache_hit_pct"] > 40
    assert one["http_429_pct"] > 5
    for name in ("cache_hit_pct", "http_429_pct"):
        assert other[name] == pytest.approx(one[name], rel=1e-12), name
    assert one_verdicts.keys() == other_verdicts.keys()
    for key, verdict in one_verdicts.items():
        assert other_verdicts[key]["value"] == pytest.approx(verdict["value"]), key
        assert other_verdicts[key]["status"] == verdict["status"]


@given(
    hits=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1.0, 2.5, 7.0])), max_size=60),
    share=st.sampled_from([1.0, 0.5, 0.3, 0.1, 0.01]),
)
def test_weights_add_up_for_each_host(hits: list[tuple[str, float]], share: float) -> None:
    sampler, out = CacheHits(share), []
    for number, (host, weight) in enumerate(hits):
        fields = {"host": host, "status": 200, "from_cache": 1, "sample_weight": weight}
        event = sampler.take(Event("http_events", float(number), fields))
        out += [event] if event else []
    out += sampler.left()
    for host in "ab":
        expected = sum(weight for name, weight in hits if name == host)
        found = sum(e.fields["sample_weight"] for e in out if e.fields["host"] == host)
        assert found == pytest.approx(expected)
    assert sampler.left() == []
    if share == 1.0:
        assert len(out) == len(hits)


@pytest.mark.parametrize(
    "fields",
    [
        {"from_cache": 0, "status": 200},
        {"from_cache": None, "status": 200},
        {"from_cache": 1, "status": 404},
        {"from_cache": 1, "status": None},
        {"from_cache": 1, "status": 200, "revalidated": True},
        {"from_cache": 1, "status": 200, "error": "ReadTimeout"},
        {"from_cache": 1, "status": 200, "host": []},
    ],
)
def test_what_is_no_plain_hit_is_kept(fields: dict[str, Any]) -> None:
    event = Event("http_events", 1.0, fields)
    assert CacheHits(0.01).take(event) is event


def test_hits_of_two_hours_are_not_put_together() -> None:
    sampler = CacheHits(0.1)
    for ts in (3_599.0, 3_600.0, 3_601.0):
        fields = {"from_cache": 1, "status": 200, "ts": ts}
        assert sampler.take(Event("http_events", 9.0, fields)) is None
    assert [(e.fields["ts"], e.fields["sample_weight"]) for e in sampler.left()] == [
        (3_599.0, 1.0),
        (3_601.0, 2.0),
    ]


KILLED = """
import sys, time
from pathlib import Path
from recorder import Settings, TelemetryWriter
settings = Settings(True, Path(sys.argv[1]), sample_cache_hits=0.01)
recorder = TelemetryWriter(settings, "run", flush_interval_s=0.05)
for number in range(300):
    recorder.http_event(host=f"h{number % 50}", role="metadata", status=200, from_cache=True)
    recorder.http_event(host="h", role="metadata", status=200, from_cache=False)
assert recorder.flush(30)
print("flushed", flush=True)
time.sleep(60)
"""


def test_hits_survive_a_kill_as_everything_does(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "flushed\n"
    child.kill()
    child.wait()
    found = ask(path, "select from_cache, sum(sample_weight) from http_events group by 1")
    assert found == [(0, 300.0), (1, 300.0)]


def test_the_last_hits_are_written_at_the_end() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.sqlite3"
        with TelemetryWriter(Settings(True, path, sample_cache_hits=0.01), "run") as recorder:
            for _ in range(7):
                recorder.http_event(host="h", role="metadata", status=200, from_cache=True)
        assert ask(path, "select sample_weight from http_events") == [(7.0,)]
