"""The exporter: what it serves, while files come, grow, break and go, and clients misbehave."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import bcrypt
import pytest

from tests.python.conftest import ROOT, Tool
from tests.python.support.exporter import Exporter, eventually, serving
from tests.python.support.runs import START, record, within_an_hour
from tests.python.support.services import need

QUICK = ("--poll", "0.2", "--build-every", "0")


def has_run(exporter: Exporter, run_id: str) -> bool:
    """Tell whether a run is served."""
    return exporter.value("docstokg_run_artifacts", run_id=run_id) is not None


def test_it_serves_what_summary_says(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run", artifacts=20, good=15)
    said = json.loads(tool("summary", "--db", db, "--output-format", "json").stdout)
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "run"))
        assert exporter.value("docstokg_run_yield_pct", run_id="run") == said["yield_pct"] == 75
        for quantile in ("p50", "p95"):
            served = exporter.value("docstokg_run_ttfp_ms", run_id="run", quantile=quantile)
            assert served == said[f"ttfp_{quantile}_ms"]
        for name, key in (
            ("docstokg_run_cache_hit_pct", "cache_hit_pct"),
            ("docstokg_run_dedupe_saved_mb", "dedupe_saved_mb"),
            ("docstokg_run_corruption_count", "corruption_count"),
        ):
            assert exporter.value(name, run_id="run") == said[key]
        delay = exporter.value("docstokg_run_rate_delay_p95_ms", run_id="run", role="metadata")
        assert delay == said["rate_delay_p95_ms"]
        for slo in said["slos"]:
            labels = {"run_id": "run", "slo": slo["slo"], "scope": slo["scope"]}
            if slo["subject"]:
                labels["subject"] = slo["subject"]
            verdict = {"pass": 1, "fail": 0, "no_data": None}[slo["status"]]
            assert exporter.value("docstokg_slo_verdict", **labels) == verdict
            assert exporter.value("docstokg_slo_value", **labels) == slo["value"]
            assert exporter.value("docstokg_slo_target", **labels) == slo["target"]
        # the file has no breaker transitions of the run, which is 0 and not "no data"
        opens = exporter.value(
            "docstokg_breaker_open_events_total", run_id="run", host="cdn.example.org"
        )
        assert opens == 0
        assert exporter.stop() < 1


def test_a_run_under_way_is_followed(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run", artifacts=5)
    with serving(tmp_path, "--db", db, "--poll", "1", "--build-every", "0") as exporter:
        eventually(lambda: has_run(exporter, "run"))
        began = time.monotonic()
        record(db, "run", artifacts=7, start=START + 100)
        requests = ("docstokg_run_requests_total", {"run_id": "run"})
        eventually(lambda: exporter.value(requests[0], **requests[1]) == 24)
        # poll + 2 s where the machine has nothing else to do
        assert time.monotonic() - began < 10
        record(db, "next", start=START + 5000)
        eventually(lambda: has_run(exporter, "next"))
        assert not has_run(exporter, "run"), "series of a run that is not the latest disappear"


def test_several_runs(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    for number in range(4):
        record(db, f"run-{number}", start=START + 1000 * number)
    direct = tool("metrics", "--db", db, "--runs", 3)
    with serving(tmp_path, "--db", db, "--runs", 3, *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "run-3"))
        assert [has_run(exporter, f"run-{n}") for n in range(4)] == [False, True, True, True]
        _, _, body = exporter.get()
    ours = [line for line in body.decode().splitlines() if "run_id=" in line]
    assert sorted(ours) == sorted(x for x in direct.stdout.splitlines() if "run_id=" in x)
    one = tool("metrics", "--db", db, "--run", "run-1")
    assert 'docstokg_run_passed{run_id="run-1"}' in one.stdout


def test_files_that_come_go_and_break(tool: Tool, tmp_path: Path) -> None:
    db, kept = tmp_path / "t.sqlite3", tmp_path / "kept"
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 0)
        assert exporter.get("/healthz")[0] == 200
        assert exporter.get("/readyz")[0] == 503
        assert b"no such file" in exporter.get("/")[2].lower()
        record(db, "first")
        eventually(lambda: has_run(exporter, "first"))
        assert exporter.get("/readyz")[0] == 200
        shutil.copy(db, kept)

        def keeps_first() -> None:
            eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 0)
            assert has_run(exporter, "first")
            age = exporter.value("docstokg_exporter_data_age_seconds") or 0
            eventually(
                lambda: (exporter.value("docstokg_exporter_data_age_seconds") or 0) > age + 0.5
            )

        for path in tmp_path.glob("t.sqlite3*"):
            path.unlink()
        keeps_first()
        db.write_bytes(b"garbage")
        keeps_first()
        os.replace(kept, db)
        eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 1)
        db.unlink()
        record(db, "second", start=START + 100)
        eventually(lambda: has_run(exporter, "second"))
        assert not has_run(exporter, "first")


def test_a_locked_file_keeps_its_samples(tool: Tool, tmp_path: Path) -> None:
    live, old = tmp_path / "live.sqlite3", tmp_path / "old.sqlite3"
    record(old, "old")
    record(live, "live", start=START + 1000)
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('pragma journal_mode = delete'); c.execute('begin exclusive'); "
        "c.execute('create table x (y)'); print('held', flush=True); sys.stdin.read()"
    )
    with serving(tmp_path, "--db", tmp_path / "*.sqlite3", *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "live"))
        holder = subprocess.Popen(
            [sys.executable, "-c", hold, str(live)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        os.utime(live)
        eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 0)
        assert has_run(exporter, "live"), "not the run of the file that can still be read"
        holder.kill()
        eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 1)


def test_only_the_served_runs_own_file_matters(tool: Tool, tmp_path: Path) -> None:
    old, live = tmp_path / "old.sqlite3", tmp_path / "live.sqlite3"
    record(old, "old")
    record(live, "live", start=START + 1000)
    with serving(tmp_path, "--db", tmp_path / "*.sqlite3", *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "live"))
        for path in tmp_path.glob("old.sqlite3-*"):
            path.unlink()
        old.write_bytes(b"garbage")
        record(live, "live", artifacts=3, start=START + 2000)
        eventually(lambda: exporter.value("docstokg_run_requests_total", run_id="live") == 46)
        assert exporter.value("docstokg_exporter_refresh_success") == 1
        assert exporter.value("docstokg_exporter_source_files", state="skipped") == 1
        assert exporter.log.read_text().count(f"skipped {old}: not a SQLite database") == 1
        old.unlink()
        record(old, "old")
        live.rename(tmp_path / "moved")
        eventually(lambda: exporter.value("docstokg_exporter_refresh_success") == 0)
        assert has_run(exporter, "live"), "an older run does not take its place"
        assert "it is gone" in exporter.get("/")[2].decode()
        record(tmp_path / "next.sqlite3", "next", start=START + 9000)
        eventually(lambda: has_run(exporter, "next"))
        assert exporter.value("docstokg_exporter_refresh_success") == 1


def test_an_older_run_that_is_updated_is_read_again(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "old", artifacts=10, good=0)
    record(tmp_path / "new.sqlite3", "new", start=START + 1000)
    update = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('update downloads set sha256 = ?, final_path = ?', ['a' * 64, 'x']); c.commit()"
    )
    with serving(tmp_path, "--db", tmp_path / "*.sqlite3", "--runs", 5, *QUICK) as exporter:
        eventually(lambda: exporter.value("docstokg_run_yield_pct", run_id="old") == 0)
        subprocess.run([sys.executable, "-c", update, str(db)], check=True)
        eventually(lambda: exporter.value("docstokg_run_yield_pct", run_id="old") == 100)
        assert has_run(exporter, "new")


def test_counters_never_go_down_within_a_run(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "run"))
        delete = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
            "c.execute('delete from http_events where id > 10'); c.commit()"
        )
        subprocess.run([sys.executable, "-c", delete, str(db)], check=True)
        eventually(
            lambda: (exporter.value("docstokg_exporter_refreshes_total", result="success") or 0) > 1
        )
        assert exporter.value("docstokg_run_requests_total", run_id="run") == 40


def test_hosts_beyond_the_cap_are_summed(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run", artifacts=10)
    add = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executemany("
        "'insert into http_events (run_id, ts, host, role, status) "
        "values (?, ?, ?, ''artifact'', 429)', "
        "[('run', 1760000000 + n, f'h{n}.example') for n in range(200)]); c.commit()"
    )
    subprocess.run([sys.executable, "-c", add.replace("''", '"'), str(db)], check=True)
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "run"))
        series = exporter.series()
    requests = {
        dict(labels)["host"]: value
        for (name, labels), value in series.items()
        if name == "docstokg_host_requests_total"
    }
    assert len(requests) == 201
    assert requests["api.example.org"] == 10
    assert requests["other"] == 2
    assert sum(requests.values()) == 220
    assert series[("docstokg_run_hosts_omitted", frozenset({("run_id", "run")}))] == 2
    ratios = [labels for name, labels in series if name == "docstokg_host_http429_ratio"]
    assert len(ratios) == 200, "a ratio has no sum"


def test_formats(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, 'run "1"\\')
    openmetrics = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5"
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: exporter.get("/readyz")[0] == 200)
        assert has_run(exporter, 'run "1"\\')
        _, plain, text = exporter.get()
        assert plain["content-type"].startswith("text/plain; version=0.0.4")
        _, headers, packed = exporter.get(Accept_Encoding="gzip")
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed).startswith(text[:1000])
        for coding in ("gzip;q=0", "identity", "br"):
            assert "content-encoding" not in exporter.get(Accept_Encoding=coding)[1]
        _, headers, body = exporter.get(Accept=openmetrics)
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert body.endswith(b"# EOF\n") and body.count(b"# EOF") == 1
        assert b"docstokg_run_ttfp_ms unknown" in body
        _, headers, packed = exporter.get(Accept=openmetrics, Accept_Encoding="gzip")
        assert gzip.decompress(packed).endswith(b"# EOF\n")
        assert exporter.get("/nothing")[0] == 404
        page = exporter.get("/")[2].decode()
        assert 'href="/metrics"' in page and "run &quot;1&quot;" in page
        request = f"POST /metrics HTTP/1.1\r\nHost: {exporter.url}\r\nContent-Length: 0\r\n\r\n"
        with connected(exporter) as client:
            client.sendall(request.encode())
            assert client.recv(100).startswith(b"HTTP/1.1 405")


def connected(exporter: Exporter) -> socket.socket:
    """Return a connection to an exporter."""
    host, port = exporter.url.split("//")[1].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def test_hostile_clients_stop_nothing(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: has_run(exporter, "run"))
        clients = [connected(exporter) for _ in range(300)]
        for number, client in enumerate(clients):
            client.sendall((b"GET /metrics HTTP/1.1\r\nX: ", b"", b"\0" * 99)[number % 3])
        for junk in (b"GET " + b"a" * 99_999, b"\x16\x03\x01\xff", b"PRI * HTTP/2.0\r\n\r\nSM\r\n"):
            clients.append(connected(exporter))
            clients[-1].sendall(junk)
        for _ in range(50):  # asks for much and reads nothing
            clients.append(connected(exporter))
            clients[-1].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        record(db, "next", start=START + 1000)
        eventually(lambda: has_run(exporter, "next"))
        eventually(lambda: (exporter.value("process_open_fds") or 0) < 50)
        began = time.monotonic()
        assert exporter.get()[0] == 200
        assert time.monotonic() - began < 2
        assert exporter.stop() < 1.5
        assert "Traceback" not in exporter.log.read_text()


def test_fifty_scrapers_while_a_file_grows(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    with serving(tmp_path, "--db", db, "--poll", "0.1", "--build-every", "0") as exporter:
        eventually(lambda: has_run(exporter, "run"))

        def held() -> tuple[float, float]:
            memory = exporter.value("process_resident_memory_bytes") or 0
            return memory, exporter.value("process_open_fds") or 0

        ended = threading.Event()
        problems: list[str] = []

        def scrape() -> None:
            while not ended.is_set():
                try:
                    status, _, body = exporter.get(Accept_Encoding="gzip")
                    if status != 200 or b"docstokg_run_passed" not in gzip.decompress(body):
                        problems.append(f"{status}")
                except OSError as error:
                    problems.append(repr(error))
                time.sleep(0.5)

        threads = [threading.Thread(target=scrape) for _ in range(50)]
        for thread in threads:
            thread.start()
        seen = []
        for number in range(1, 11):
            record(db, "run", artifacts=2, start=START + 100 * number)
            eventually(
                lambda n=number: (
                    exporter.value("docstokg_run_requests_total", run_id="run") == 40 + 4 * n
                )
            )
            seen.append(held())
        ended.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert seen[-1][0] < seen[2][0] + 20e6
    assert seen[-1][0] < 300e6
    assert seen[-1][1] < 12 + 2 * 50


@pytest.mark.slow
def test_it_builds_and_publishes_the_warehouse(tool: Tool, tmp_path: Path, ready: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    # a file that is skipped fails neither refreshes nor builds
    (tmp_path / "bad.sqlite3").write_bytes(b"garbage")
    names = tmp_path / "*.sqlite3"
    with serving(tmp_path, "--db", names, "--poll", "0.2", "--build-every", "1") as exporter:

        def builds() -> float:
            return exporter.value("docstokg_warehouse_builds_total", result="success") or 0

        eventually(lambda: builds() == 1, 240)
        assert [run["run_id"] for run in runs(tool)] == ["run"]
        # appears at once: a file seen half written would be built twice
        record(tmp_path / "next.part", "next", start=START + 1000)
        (tmp_path / "next.part").rename(tmp_path / "next.sqlite3")
        eventually(lambda: builds() == 2, 240)
        assert [run["run_id"] for run in runs(tool)] == ["run", "next"]
        assert exporter.value("docstokg_warehouse_build_success") == 1
        assert exporter.value("docstokg_exporter_source_files", state="skipped") == 1
        assert exporter.value("docstokg_exporter_refresh_success") == 1
        before = builds()
        time.sleep(2)
        assert builds() == before, "nothing new, nothing built"


def runs(tool: Tool) -> list[dict[str, object]]:
    """Return the published runs."""
    found: list[dict[str, object]] = json.loads(tool("runs", "--output-format", "json").stdout)
    return found


def test_killed_in_the_middle_of_a_refresh(tool: Tool, tmp_path: Path) -> None:
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    for number in (1, 2):
        with serving(
            tmp_path, "--db", db, "--poll", "0.1", "--build-every", str(number - 1)
        ) as exporter:
            eventually(lambda: has_run(exporter, "run"))
            record(db, "run", artifacts=1, start=START + 100 * number)
            time.sleep(0.5 * number)
            exporter.process.send_signal(signal.SIGKILL)
            exporter.process.wait()
    with serving(tmp_path, "--db", db, *QUICK) as exporter:
        eventually(lambda: exporter.value("docstokg_run_requests_total", run_id="run") == 44)
    # within the window of error budgets, which the warehouse tells of too
    record(db, "new", start=within_an_hour(time.time() - 60))
    assert tool("run", "--db", db).returncode == 0
    told = tool("metrics", "--run", "run").stdout
    assert told.count('docstokg_run_requests_total{run_id="run"} 44.0') == 1
    assert 'docstokg_slo_error_budget_remaining_ratio{slo="yield_pct"} 0.66' in told
    assert 'docstokg_slo_error_budget_overspent{slo="yield_pct"} 0.0' in told
    assert "docstokg_slo_burn_rate" not in told  # an hour says nothing about four weeks


def test_tls_and_passwords(tool: Tool, tmp_path: Path) -> None:
    need(shutil.which("openssl"), "openssl")
    db, config = tmp_path / "t.sqlite3", tmp_path / "web.yml"
    record(db, "run")

    def certificate(name: str) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "2",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip

    def configure(password: str) -> None:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        config.write_text(
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
            f"basic_auth_users: {{prometheus: '{hashed}'}}\n"
            "http_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n"
        )

    def login(password: str) -> str:
        import base64

        return "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()

    certificate("first")
    configure("one")
    with serving(tmp_path, "--db", db, "--web-config", config, *QUICK) as exporter:
        assert exporter.url.startswith("https://")
        exporter.tls = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        for path in ("/metrics", "/", "/healthz"):
            status, headers, _ = exporter.get(path)
            assert status == 401
            assert headers["www-authenticate"].startswith("Basic")
        for bad in ("Basic !", "Bearer x", login("two"), login("x" * 99)):
            assert exporter.get(Authorization=bad)[0] == 401
        status, headers, _ = exporter.get(Authorization=login("one"))
        assert (status, headers["strict-transport-security"]) == (200, "max-age=1")
        certificate("second")
        configure("two")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "read again" in exporter.log.read_text())
        exporter.tls = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert exporter.get(Authorization=login("one"))[0] == 401
        assert exporter.get(Authorization=login("two"))[0] == 200
        config.write_text(config.read_text().replace("cert_file", "max_version: TLS12, cert_file"))
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "by a restart only" in exporter.log.read_text())
        assert exporter.get(Authorization=login("two"))[0] == 200
        config.write_text("nonsense: 1\n")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: "does not know nonsense" in exporter.log.read_text())
        assert exporter.get(Authorization=login("two"))[0] == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_server_config: {cert_file: a}", "wants key_file"),
        ("tls_server_config: {cert_file: a, key_file: b}", "certificate, key or CA"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: SSL3}", "min_version"),
        ("tls_server_config: {cert_file: a, key_file: b, client_auth_type: x}", "client_auth_type"),
        ("basic_auth_users: {me: secret}", "no bcrypt hash"),
        ("basic_auth_users: [me]", "not a mapping"),
        ("tls: {}", "does not know tls"),
        ("a: [", "not YAML"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: [1]}", "min_version"),
        ("http_server_config: {headers: {a b: c}}", "no header"),
        ("http_server_config: {headers: {Content-Length: 1}}", "own"),
        ("http_server_config: {headers: {a: \"b\\r\\nc\"}}", "header"),
    ],
)  # fmt: skip
def test_bad_web_configs(tool: Tool, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "web.yml").write_text(text)
    done = tool("serve", "--db", "t.sqlite3", "--web-config", "web.yml", "--port", 0)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def test_bad_ports_and_settings(tool: Tool, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments in (
            ("--db", "x", "--port", port),
            ("--db", "x", "--port", 99_999),
            ("--db", "x", "--port", 0, "--host", "no.such.host.invalid"),
            ("--db", "x", "--port", 0, "--host", ".."),
            ("--db", "x", "--port", 0, "--poll", "nan"),
            ("--db", "x", "--port", 0, "--poll", 0),
            ("--db", "x", "--port", 0, "--web-config", "none.yml"),
            ("--db", "x", "--port", 0, "--project-dir", "none"),
            ("--port", 0),
        ):
            done = tool("serve", *arguments)
            assert done.returncode == 2, arguments
            assert len(done.stderr.splitlines()) == 1, done.stderr


def test_metrics_as_a_textfile(tool: Tool, tmp_path: Path) -> None:
    db, target = tmp_path / "t.sqlite3", tmp_path / "slo.prom"
    record(db, "run")
    done = tool("metrics", "--db", db, "--textfile", target)
    assert (done.returncode, done.stdout) == (0, "")
    text = target.read_text()
    assert 'docstokg_run_yield_pct{run_id="run"} 95.0\n' in text
    assert target.stat().st_mode & 0o777 == 0o644
    assert sorted(tmp_path.glob("*slo.prom*")) == [target]
    need(shutil.which("promtool"), "promtool")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    complaints = {line.split()[0] for line in checked.stderr.splitlines()}
    # names that the contract fixes
    assert complaints == {
        "docstokg_run_ttfp_ms",
        "docstokg_run_rate_delay_p95_ms",
        "docstokg_run_dedupe_saved_mb",
    }
    done = tool("metrics", "--db", db, "--textfile", tmp_path / "none" / "slo.prom")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert tool("metrics", "--db", tmp_path / "none.sqlite3").returncode == 2
    (tmp_path / "bad.sqlite3").write_bytes(b"garbage")
    done = tool("metrics", "--db", tmp_path, "--run", "run")
    assert done.returncode == 1 and "skipped" in done.stderr and "yield_pct" in done.stdout


def test_a_metric_is_added_by_a_declaration_alone(tool: Tool, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds", "tests"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("python"))
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, project / name)
    declarations = project / "dbt_project.yml"
    mark = "  metrics:\n    runs:\n"
    added = "{name: docstokg_run_retries, value: network_requests * 2, help: Ours.}"
    text = declarations.read_text()
    declarations.write_text(text.replace(mark, f"{mark}      - {added}\n", 1))
    db = tmp_path / "t.sqlite3"
    record(db, "run")
    done = tool("metrics", "--db", db, "--project-dir", project)
    assert done.returncode == 0, done.stderr
    assert "# HELP docstokg_run_retries Ours.\n" in done.stdout
    network = sqlite3.connect(db).execute(
        "select count(*) from http_events where from_cache is not 1"
    )
    (count,) = network.fetchone()
    assert f'docstokg_run_retries{{run_id="run"}} {2.0 * count}\n' in done.stdout
