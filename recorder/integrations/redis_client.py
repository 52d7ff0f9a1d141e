"""A client of Redis that does not let a crawler wait for a server that is down."""

from __future__ import annotations

import redis


def connect(url: str, timeout_s: float) -> redis.Redis:
    """Return a client; nothing is sent yet. What fails is not tried again.

    Args:
        url: the server. Its query may name other timeouts, as in ``?socket_timeout=3``.
        timeout_s: how long to wait to connect, and for each answer.

    Raises:
        ValueError: the address cannot be read; the message may hold the password.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
    )
