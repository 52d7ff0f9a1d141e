"""Real services on loopback for the tests that need them: PostgreSQL, Redis, an S3 API."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def need(found: object, what: str) -> None:
    """Skip a test whose service is not installed; in CI, where nothing is skipped, fail it."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], limit_s: float = 30) -> None:
    """Wait until a process listens on a port of loopback."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        assert process.poll() is None, "the service ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def server(port: int, *command: object, folder: Path | None = None) -> Iterator[None]:
    """Run a program that listens on a port of loopback, until the block ends."""
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server; yield the connection string of an empty database."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        yield from _postgres(Path(folder))


def _postgres(folder: Path) -> Iterator[str]:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb = next((str(p / "initdb") for p in places), None) or shutil.which("initdb")
    need(initdb, "PostgreSQL's server")
    assert initdb is not None
    binaries = Path(initdb).parent
    # the server refuses to run as root
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    subprocess.run(
        [*user, initdb, "-D", data, "-A", "trust", "-U", "telemetry", "--no-sync"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    command = [*user, binaries / "postgres", "-D", data, "-p", port, "-k", folder]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with server(port, *command, folder=folder):
        place = f"host=127.0.0.1 port={port} user=telemetry dbname=postgres"
        _await_postgres(place)
        yield place


def _await_postgres(place: str) -> None:
    """Wait until the server answers: it listens before it is ready."""
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(place, connect_timeout=10).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@contextmanager
def redis(*arguments: str, port: int | None = None) -> Iterator[int]:
    """Run a Redis server that keeps nothing on disk; yield its port."""
    program = shutil.which("redis-server")
    need(program, "redis-server")
    port = port or free_port()
    command = [program, "--port", port, "--bind", "127.0.0.1", "--save", "", *arguments]
    with server(port, *command):
        yield port


@contextmanager
def object_storage() -> Iterator[dict[str, str]]:
    """Run a server with the S3 API that has a bucket ``telemetry``; yield what points to it."""
    port = free_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "DUCKDB_S3_ENDPOINT": f"127.0.0.1:{port}",
        "DUCKDB_S3_USE_SSL": "false",
    }
    with server(port, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port):
        import boto3

        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        client.create_bucket(Bucket="telemetry")
        yield settings
