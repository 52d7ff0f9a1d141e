"""Publishers on loopback for the demo: metadata, landing pages and PDFs, with every trouble.

One server plays several hosts, told apart by the Host header. What a request meets is decided by
a digest of the seed, the host, the path and how often it was asked, so that two crawls with one
seed meet the same.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Host:
    """How a host behaves: latency (ms) and shares of requests answered 429, 503 and 404."""

    latency_ms: float
    share_429: float = 0.0
    share_503: float = 0.0
    share_404: float = 0.0


HEALTHY = {
    "api.crossref.example": Host(15, share_503=0.005),
    "api.unpaywall.example": Host(20, share_429=0.004),
    "repo.arxiv.example": Host(30, share_503=0.01),
    "cdn.publisher.example": Host(40, share_404=0.02),
    "www.publisher.example": Host(25, share_404=0.02),
    "web.archive.org": Host(100, share_404=0.05),
}
DEGRADED = HEALTHY | {
    # the host that goes bad: nearly everything fails, and what fails is partly "slow down"
    "cdn.publisher.example": Host(60, share_429=0.45, share_503=0.45),
    "web.archive.org": Host(150, share_404=0.55),
}
PROFILES = {"healthy": HEALTHY, "degraded": DEGRADED}


def chance(*parts: object) -> float:
    """Return a number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def pdf(text: str) -> bytes:
    """Return a small, valid PDF of one page that says the text."""
    stream = f"BT /F1 18 Tf 72 720 Td ({text}) Tj ET".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, len(body))
    )


class _Server(ThreadingHTTPServer):
    # with the default of 5, connections that come at once are now and then put off for a second
    request_queue_size = 128


class Publishers:
    """The server; a context manager that stops it. `port` is where it listens on 127.0.0.1."""

    def __init__(self, profile: str, seed: int) -> None:
        self.hosts, self.seed = PROFILES[profile], seed
        self.asked: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()
        publishers = self

        class Handler(_Handler):
            site = publishers

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Publishers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trouble(self, name: str, path: str) -> int:
        """Return the status that a request meets instead of its content; 200 for none."""
        host = self.hosts[name]
        with self.lock:
            self.asked[name, path] += 1
            times = self.asked[name, path]
        if chance(self.seed, name, path, "404") < host.share_404:
            return 404
        luck = chance(self.seed, name, path, times)
        if luck < host.share_429:
            return 429
        return 503 if luck < host.share_429 + host.share_503 else 200


class Answering(BaseHTTPRequestHandler):
    """Answers over connections that stay open."""

    protocol_version = "HTTP/1.1"
    # one segment for head and body: otherwise Nagle and delayed ACK add 40 ms to every answer
    wbufsize = -1
    disable_nagle_algorithm = True

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the crawl records what matters."""


class _Handler(Answering):
    site: Publishers

    def do_GET(self) -> None:
        name = self.headers.get("Host", "").split(":")[0]
        path = self.path.partition("?")[0]
        if name not in self.site.hosts:
            self.answer(404, b"no such host")
            return
        time.sleep(self.site.hosts[name].latency_ms / 1000 * (0.5 + chance(path, "latency")))
        status = self.site.trouble(name, path)
        if status == 429:
            self.answer(429, b"slow down", **{"Retry-After": "1"})
        elif status != 200:
            self.answer(status, b"trouble")
        elif path.endswith(".pdf"):
            # some works are the same file under two names: work for deduplication
            self.answer(200, pdf(path.replace("-copy", "")), **{"Content-Type": "application/pdf"})
        elif path.startswith("/landing/"):
            self.answer(200, b"<html>a landing page</html>", **{"Content-Type": "text/html"})
        else:
            self._metadata(path)

    def _metadata(self, path: str) -> None:
        etag = '"' + hashlib.sha256(path.encode()).hexdigest()[:16] + '"'
        if self.headers.get("If-None-Match") == etag:
            self.answer(304, b"", ETag=etag)
            return
        body = json.dumps({"path": path, "title": "On " + path}).encode()
        keep = "no-store" if path.startswith("/lookup/") else "max-age=600"
        kind = "application/json"
        self.answer(200, body, **{"Cache-Control": keep, "ETag": etag, "Content-Type": kind})
