"""Rate limits that tell the user: how many of what in how long, counted in Redis.

Fixed windows, the count and its remaining time in one round trip. While Redis does not answer, each process
counts for itself with the same limits: guessing passwords stays slow, and nobody is locked out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.problems import Problem

_DEADLINE_S = 1.0
_LOCAL_KEYS = 10_000  # overflow: the oldest window is forgotten


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` in `window_s` seconds for each key."""

    name: str
    count: int
    window_s: int


SIGN_IN_ACCOUNT = Limit("sign_in", 10, 300)  # from one address to one account
SIGN_IN_ADDRESS = Limit("sign_in_ip", 60, 300)
SIGN_UP = Limit("sign_up", 20, 3600)
FORGOT = Limit("forgot", 5, 900)
RESEND = Limit("resend", 5, 900)
TOKEN_GUESS = Limit("token", 30, 300)
ORDER = Limit("order", 30, 60)
CARD = Limit("card", 20, 600)
UPLOAD = Limit("upload", 240, 600)
KEY_GUESS = Limit("stream_key", 60, 60)
TICKET = Limit("ticket", 120, 60)
INVITE = Limit("invite", 50, 3600)


def network_of(client_ip: str) -> str:
    """What a limit by address counts: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return client_ip
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Limits:
    """Counts tries. `clock` gives seconds, for the windows kept in process."""

    def __init__(self, redis: Redis, clock: Callable[[], float]) -> None:
        self._redis, self._clock = redis, clock
        self._local: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def take(self, limit: Limit, key: str) -> None:
        """Count one try. Raises Problem `rate_limited` when there were too many."""
        name = f"hawker:limit:{limit.name}:{key}"
        try:
            async with asyncio.timeout(_DEADLINE_S):
                count, left_s = await self._count_in_redis(name, limit)
        except (RedisError, OSError, TimeoutError):
            count, left_s = self._count_here(name, limit)
        if count > limit.count:
            wait_s = max(1, math.ceil(left_s))
            raise Problem("rate_limited", f"Try again in {_spoken(wait_s)}.", retry_after_s=wait_s)

    async def _count_in_redis(self, name: str, limit: Limit) -> tuple[int, float]:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(name)
            pipe.expire(name, limit.window_s, nx=True)
            pipe.pttl(name)
            count, _, left_ms = await pipe.execute()
        return int(count), int(left_ms) / 1000

    def _count_here(self, name: str, limit: Limit) -> tuple[int, float]:
        now = self._clock()
        count, until = self._local.pop(name, (0, 0.0))
        if until <= now:
            count, until = 0, now + limit.window_s
        self._local[name] = (count + 1, until)
        while len(self._local) > _LOCAL_KEYS:
            self._local.popitem(last=False)
        return count + 1, until - now


def _spoken(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds" if seconds != 1 else "a second"
    return f"{math.ceil(seconds / 60)} minutes"
