"""A client of Redis that does not let a crawler wait for a server that is down."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, timeout_s: float) -> redis.Redis:
    """Return a client; nothing is sent yet.

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
        # Once more, at once, for a connection that was dropped while idle. The library's own
        # default tries for seconds.
        retry=Retry(NoBackoff(), 1),
    )
