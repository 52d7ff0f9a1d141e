"""Circuit breakers in Redis: for crawlers on several machines."""

from __future__ import annotations

from typing import Final

import redis

from recorder.integrations.breaker_storage import Counter, Row
from recorder.integrations.redis_client import connect

#: A request waits for the answer, so not for long.
_TIMEOUT_S: Final = 0.25
#: A breaker that nothing happened to for a week is as good as closed.
_KEPT_S: Final = 7 * 86400
_CLAIM: Final = """
if (redis.call('HGET', KEYS[1], 'state') or ARGV[3]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class RedisBreakers:
    """One hash per host.

    Args:
        url: the server, as ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]``.

    Raises:
        ValueError: the address cannot be read; the message may hold the password.
    """

    name = "Redis"
    # OSError and ValueError: a reply of something that is not Redis.
    errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, ValueError)

    def __init__(self, url: str) -> None:
        self._client = connect(url, _TIMEOUT_S)
        self._claim = self._client.register_script(_CLAIM)

    def read(self, host: str) -> Row:
        """Return a host's row."""
        found = self._client.hmget(_key(host), list(Row._fields))
        return Row.of(*(value.decode() if isinstance(value, bytes) else value for value in found))

    def add(self, host: str, counter: Counter) -> None:
        """Add one to a counter."""
        with self._client.pipeline() as pipeline:
            pipeline.hincrby(_key(host), counter, 1)
            pipeline.expire(_key(host), _KEPT_S)
            pipeline.execute()

    def write(self, host: str, **fields: str | float) -> None:
        """Set fields of a host's row."""
        with self._client.pipeline() as pipeline:
            pipeline.hset(_key(host), items=[part for pair in fields.items() for part in pair])
            pipeline.expire(_key(host), _KEPT_S)
            pipeline.execute()

    def claim(self, host: str, old: str, new: str) -> bool:
        """Change a host's state if it is the old one."""
        return bool(self._claim(keys=[_key(host)], args=[old, new, Row().state, _KEPT_S]))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _key(host: str) -> str:
    return f"docstokg:breaker:{host}"
