"""Word from the shop to the media nodes, over Valkey's publish and subscribe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

SHOW_ENDED_CHANNEL = "hawker:show-ended"
_AGAIN_S = 1.0


async def tell_show_ended(redis: Redis, show_id: str) -> None:
    """Every media node sends the show's publisher and viewers away. Raises redis.RedisError."""
    await redis.publish(SHOW_ENDED_CHANNEL, show_id)


async def hear_ended_shows(redis: Redis, end: Callable[[str], None]) -> None:
    """Calls `end` for each show that ends; comes back by itself when Valkey does. Ends by being cancelled."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(SHOW_ENDED_CHANNEL)
                while True:
                    message = await channel.get_message(timeout=30)
                    if message is not None:
                        end(message["data"].decode())
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(_AGAIN_S)
