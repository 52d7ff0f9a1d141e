"""What the exporter answers over HTTP: an ASGI application that only formats what is in memory."""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from exporter import __version__
from exporter.web_config import Passwords, WebConfig

_PLAIN = "text/plain; charset=utf-8"

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Told(Protocol):
    """What there is to tell."""

    def body(self, accept: str, is_gzip: bool) -> tuple[bytes, str]:
        """Return the exposition and its content type."""

    def is_ready(self) -> bool:
        """Tell whether there are samples of a run."""

    def state(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, as names and values."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = _PLAIN
    headers: tuple[tuple[bytes, bytes], ...] = ()


class App:
    """The application."""

    def __init__(self, told: Told, config: WebConfig) -> None:
        self._told = told
        self.configure(config)

    def configure(self, config: WebConfig) -> None:
        """Take over users and headers of a configuration."""
        self._config = config
        self._passwords = Passwords(config.users)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "http":
            with contextlib.suppress(OSError):  # whoever asked is gone
                await self._send(scope, await self._answer(scope), send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    async def _send(self, scope: dict[str, Any], answer: Answer, send: Send) -> None:
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            *answer.headers,
            *self._config.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._config.users and not await self._is_known(headers.get(b"authorization", b"")):
            challenge = (b"www-authenticate", b'Basic realm="docstokg-telemetry"')
            return Answer(401, b"log in\n", headers=(challenge,))
        if scope["method"] not in ("GET", "HEAD"):
            return Answer(405, b"only GET and HEAD\n", headers=((b"allow", b"GET, HEAD"),))
        match scope["path"]:
            case "/metrics":
                return self._metrics(headers)
            case "/healthz":
                return Answer(200, b"ok\n")
            case "/readyz":
                if self._told.is_ready():
                    return Answer(200, b"ready\n")
                return Answer(503, b"no samples yet: see / for why\n")
            case "/":
                return Answer(200, self._page(), "text/html; charset=utf-8")
        return Answer(404, b"no such page: see /\n")

    def _metrics(self, headers: dict[bytes, bytes]) -> Answer:
        accept = headers.get(b"accept", b"").decode("latin-1")
        is_gzip = _takes_gzip(headers.get(b"accept-encoding", b"").decode("latin-1"))
        body, content_type = self._told.body(accept, is_gzip)
        coding = ((b"content-encoding", b"gzip"),) if is_gzip else ()
        vary = (b"vary", b"accept, accept-encoding")
        return Answer(200, body, content_type, (vary, *coding))

    async def _is_known(self, authorization: bytes) -> bool:
        scheme, _, encoded = authorization.partition(b" ")
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        user, _, password = text.partition(":")
        return scheme.lower() == b"basic" and await self._passwords.fit(user, password)

    def _page(self) -> bytes:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self._told.state()
        )
        links = " · ".join(
            f'<a href="{path}">{path}</a>' for path in ("/metrics", "/healthz", "/readyz")
        )
        return (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            "<title>DocsToKG telemetry</title>"
            "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}"
            "th{text-align:left;padding-right:2rem;font-weight:600;vertical-align:top}</style>"
            f"<h1>DocsToKG telemetry</h1><p>{links}</p><table>{rows}</table>"
            f"<p>docstokg-telemetry {html.escape(__version__)}</p></html>"
        ).encode()


def _takes_gzip(accept_encoding: str) -> bool:
    """Tell whether a client takes gzip: named, or any, and not with the weight 0."""
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding in ("gzip", "*"):
            weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            return weight.strip("0.") != ""
    return False
