"""A small web server on loopback that does what a downloader meets, and a way to read a file."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from scripts.publishers import Answering


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read a SQLite file."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute(sql).fetchall()


class _Handler(Answering):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/redirect"):
            self.answer(302, b"", Location="/pdf/x.pdf?token=t0psecret-redirect")
        elif path == "/busy":
            self.answer(429, b"slow down", **{"Retry-After": "7"})
        elif path == "/broken":
            self.answer(503, b"trouble")
        elif (
            path == "/missing"
            or path.startswith(("/publisher/archive", "/publisher/none"))
            or path.startswith("/archive/none")
        ):
            self.answer(404, b"nothing here")
        elif path == "/slow":
            time.sleep(1)
            self.answer(200, b"late")
        elif path == "/torn":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        elif path == "/cached":
            self.answer(200, b"kept", **{"Cache-Control": "max-age=60"})
        elif path == "/stale":
            self.answer(200, b"old", **{"Cache-Control": "max-age=1", "ETag": '"1"'})
        elif path == "/tagged":
            if self.headers.get("If-None-Match") == '"tag"':
                self.answer(304, b"", ETag='"tag"')
            else:
                self.answer(200, b"kept", **{"Cache-Control": "no-cache", "ETag": '"tag"'})
        else:
            self.answer(200, b"%PDF-1.4 " + path.encode(), **{"Content-Type": "application/pdf"})


@contextmanager
def web() -> Iterator[str]:
    """Run the server; yield its address, such as ``http://127.0.0.1:40000``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
