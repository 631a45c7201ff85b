"""Whether somebody is in a room right now: only then can the bank's question be put to them."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from overlay.signals import user_channel

_DEADLINE_S = 1.0


class Presence:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def is_here(self, user_id: str) -> bool:
        """Whether a process listens for this person. Unknown is yes: whoever is asked in vain is charged
        without being asked once the deadline has passed."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                found = await self._redis.pubsub_numsub(user_channel(user_id))
        except (RedisError, OSError, TimeoutError):
            return True
        return any(count for _, count in found)
