"""Commands in processes that are forked off one which has imported what they need.

Importing dbt takes a process 3 s, and DuckDB 0.3 s, each time anew. What a command does then is the
same as in an interpreter of its own, in a process of its own.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


class Forks:
    """A process that commands are forked off, until it is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="docstokg-")
        self._address = str(Path(self._folder.name) / "socket")
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._address],
            env=os.environ | {"PYTHONFAULTHANDLER": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End it; commands under way go on."""
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self,
        arguments: list[str],
        environ: dict[str, str],
        folder: Path,
        kill_after_s: float = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and wait for it; kill it after some seconds, unless they are 0."""
        wish = json.dumps(
            {
                "arguments": arguments,
                "environ": environ,
                "folder": str(folder),
                "kill_after_s": kill_after_s,
            }
        )
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as asked,
        ):
            asked.connect(self._address)
            socket.send_fds(asked, [b"."], [out.fileno(), err.fileno()])
            asked.sendall(wish.encode())
            asked.shutdown(socket.SHUT_WR)
            code = int(_all_of(asked))
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(["exporter", *arguments], code, *texts)


def _all_of(asked: socket.socket) -> bytes:
    return b"".join(iter(lambda: asked.recv(1 << 16), b""))


def _import() -> None:
    """Import what any command needs, and leave no thread behind: a fork would lack it."""
    from exporter.process import without_pandas

    without_pandas()
    import duckdb

    default = duckdb.default_connection()
    default.execute("set threads = 1")
    default.close()
    import exporter

    names = [f"exporter.{module.name}" for module in pkgutil.iter_modules(exporter.__path__)]
    names += ["dbt.cli.main", "dbt.adapters.duckdb"]
    for name in names:
        if name != "exporter.__main__":
            importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()


def _serve(address: str) -> None:
    """Fork a process for each that asks, until nobody can ask any more."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            asked, _ = listener.accept()
            if os.fork() == 0:  # waits for the command, and for nothing else
                listener.close()
                _answer(asked)
            asked.close()
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                os.waitpid(-1, os.WNOHANG)


def _answer(asked: socket.socket) -> None:
    _, descriptors, _, _ = socket.recv_fds(asked, 1, 2)
    wish: dict[str, Any] = json.loads(_all_of(asked))
    process = os.fork()
    if process == 0:
        asked.close()
        _become(wish, descriptors)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(process, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, wish["kill_after_s"])
    _, status = os.waitpid(process, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(wish: dict[str, Any], descriptors: list[int]) -> None:
    """Be the command, as `python -m exporter` is; never returns."""
    with Path(os.devnull).open() as nothing:
        for number, descriptor in enumerate([nothing.fileno(), *descriptors]):
            os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(wish["environ"])
    os.chdir(wish["folder"])
    sys.argv[1:] = wish["arguments"]
    runpy.run_module("exporter", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import()
    _serve(sys.argv[1])
