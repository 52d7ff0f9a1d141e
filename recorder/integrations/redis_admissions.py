"""What a rate limiter let through, in Redis: for crawlers on several machines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import redis
from pyrate_limiter import Decision, Rate

from recorder.integrations.redis_client import connect

# The clock is the server's, read inside the script: machines need not agree on the time, and
# admissions are stamped in the order in which they were decided.
_ADMIT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local weight = tonumber(ARGV[2])
local failing, wait, longest = -1, 0, 0
-- of a clock that was set back: not to block a host until it has caught up
local later = redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
for i = 3, #ARGV, 2 do
    local limit, interval = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    if interval > longest then longest = interval end
    if weight > limit then return {(i - 3) / 2, -1} end
    local rank = later + limit - weight
    local found = redis.call('ZREVRANGE', KEYS[1], rank, rank, 'WITHSCORES')
    if found[2] and found[2] + interval - now + 1 > wait then
        failing, wait = (i - 3) / 2, found[2] + interval - now + 1
    end
end
if failing >= 0 then return {failing, wait} end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - longest - 1)
for i = 1, weight do redis.call('ZADD', KEYS[1], now, ARGV[1] .. i) end
redis.call('PEXPIRE', KEYS[1], longest + 1000)
return {-1, 0}
"""


class RedisAdmissions:
    """Admissions of each bucket in a sorted set, which expires when its host is left alone.

    Its methods raise ``redis.RedisError`` when the server does not answer within a second.

    Args:
        url: the server, as ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]``.
    """

    name = "Redis"
    # OSError and ValueError: a reply of something that is not Redis.
    errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, ValueError)

    def __init__(self, url: str) -> None:
        self._client = connect(url, timeout_s=1.0)
        try:
            self._client.ping()
        except redis.RedisError:
            self._client.close()
            raise
        # Sent again by itself to a server that was restarted and has forgotten it.
        self._script = self._client.register_script(_ADMIT)

    def admit(self, bucket: str, rates: Sequence[Rate], weight: int) -> Decision:
        """Let requests through if the rates allow it."""
        arguments: list[str | int] = [os.urandom(12).hex(), weight]
        for rate in rates:
            arguments += (rate.limit, rate.interval)
        failing, wait_ms = map(int, self._script(keys=[_key(bucket)], args=arguments))
        if failing < 0:
            return Decision()
        return Decision(rates[failing], None if wait_ms < 0 else wait_ms)

    def count(self, bucket: str) -> int:
        """Return how many admissions are kept."""
        return int(self._client.zcard(_key(bucket)))

    def forget(self, bucket: str) -> None:
        """Forget a bucket's admissions."""
        self._client.delete(_key(bucket))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _key(bucket: str) -> str:
    return f"docstokg:rate:{bucket}"
