"""The Prometheus exporter as a service: a socket, a server, signals, and the follower behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from pathlib import Path
from ssl import SSLContext, SSLObject, SSLSocket
from typing import Any

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from exporter.errors import TelemetryError, UsageError
from exporter.follow import Follower, Settings
from exporter.http import App
from exporter.web_config import WebConfig
from exporter.web_config import read as read_web_config

log = logging.getLogger(__name__)

#: Seconds in which a client has to send its request.
_REQUEST_SECONDS = 5.0
#: Milliseconds that a client may leave an answer unread.
_READ_MS = 10_000
#: Seconds that the end may take: what is under way is dropped then.
_END_SECONDS = 0.6


class _Server(Config):
    """Hypercorn's settings, with a TLS context that can be exchanged while it serves."""

    tls: SSLContext | None = None
    loglevel = "ERROR"
    keep_alive_timeout = _REQUEST_SECONDS
    graceful_timeout = _END_SECONDS / 2
    include_server_header = False

    @property
    def ssl_enabled(self) -> bool:
        """Tell whether connections begin with TLS."""
        return self.tls is not None

    def create_ssl_context(self) -> SSLContext | None:
        """Return the context of the web configuration."""
        return self.tls


def serve(settings: Settings, host: str, port: int, web_config: Path | None) -> None:
    """Serve metrics until SIGTERM or SIGINT; read the configuration again at SIGHUP.

    Args:
        settings: what to follow.
        host: address to listen on.
        port: TCP port; 0 for any that is free.
        web_config: file with TLS and passwords, if any.

    Raises:
        UsageError: the configuration is wrong, or the address cannot be had.
    """
    config = read_web_config(web_config)
    listening = _listen(host, port)
    _raise_file_limit()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(_serve(settings, listening, config, web_config))


def _listen(host: str, port: int) -> socket.socket:
    where = f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # connections take it over: the kernel ends those whose client does not read
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _READ_MS)
        listening.bind(address)
        listening.listen(128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such host name"
        raise UsageError(
            f"cannot listen on {where}: {reason}; choose another --host or --port"
        ) from None
    return listening


def _raise_file_limit() -> None:
    """Take as many open files as the system gives, so that idle clients do not use them up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    with contextlib.suppress(OSError, ValueError):  # a service may not be allowed to
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve(
    settings: Settings, listening: socket.socket, config: WebConfig, path: Path | None
) -> None:
    follower = Follower(settings)
    app = App(follower, config)
    server = _Server()
    server.tls = config.tls
    # hypercorn closes what it is given
    server.bind = [f"fd://{os.dup(listening.fileno())}"]
    ended = asyncio.Event()

    def reload() -> None:
        try:
            fresh = read_web_config(path)
        except TelemetryError as error:
            log.error("keeping the old configuration: %s", error)
            return
        if _terms(fresh.tls) != _terms(server.tls):
            log.error(
                "keeping the old configuration: what of TLS is not the certificate "
                "changes by a restart only"
            )
            return
        if server.tls is not None:
            _exchange(server.tls, fresh.tls)
        app.configure(fresh)
        follower.refresh_now()
        log.info("configuration read again")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log.info("listening on http%s://%s:%d/", "s" if config.tls else "", shown, port)
    following = asyncio.create_task(follower.follow())
    serving = asyncio.create_task(serve_asgi(app, server, shutdown_trigger=ended.wait))
    await asyncio.wait({following, serving, asyncio.create_task(ended.wait())},
                       return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    # what clients are cut off from is nothing to report
    loop.set_exception_handler(lambda _loop, _context: None)
    await follower.stop(following)
    await asyncio.wait({serving}, timeout=_END_SECONDS)
    if ended.is_set() and not serving.done():
        # clients that do not read would hold the end up, and there is nothing left to lose
        logging.shutdown()
        os._exit(0)
    for task in (following, serving):
        if task.done() and not task.cancelled() and not ended.is_set():
            task.result()  # raises what ended it


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what went wrong in a task that nobody waits for, unless a client went away."""
    error = context.get("exception")
    if isinstance(error, BaseExceptionGroup):
        is_of_client = error.split(OSError)[1] is None
    else:
        is_of_client = isinstance(error, OSError)
    if not is_of_client:
        loop.default_exception_handler(context)


def _terms(tls: SSLContext | None) -> tuple[object, ...]:
    """Return what of TLS is settled before a certificate is shown."""
    if tls is None:
        return ()
    trusted = sorted(tls.get_ca_certs(binary_form=True))
    return (tls.verify_mode, tls.minimum_version, tls.maximum_version, trusted)


def _exchange(serving: SSLContext, fresh: SSLContext | None) -> None:
    """Have new connections use the certificate of another context."""

    def take(connection: SSLSocket | SSLObject, _name: str | None, _old: SSLContext) -> None:
        connection.context = fresh or serving

    serving.sni_callback = take
