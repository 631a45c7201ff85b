"""What the shop tells the room's processes besides events: news for one person, a revoked session.

These functions need only a client; any process of the shop calls them.
"""

from __future__ import annotations

import time

import msgspec
from redis.asyncio import Redis

from overlay.messages import PersonalFrame

REVOKED_CHANNEL = "hawker:revoked"
REVOKED_RECENTLY = "hawker:revoked:recently"
REVOKED_KEPT_S = 3600


def user_channel(user_id: str) -> str:
    return f"hawker:user:{user_id}"


def pulse_channel(show_id: str) -> str:
    return f"hawker:{{{show_id}}}:pulse"


async def publish_personal(redis: Redis, user_id: str, frame: PersonalFrame) -> None:
    """News for one person on each of their connections, in every process.

    Best effort: who is not connected asks over HTTP. Raises redis.RedisError.
    """
    await redis.publish(user_channel(user_id), msgspec.json.encode(frame))


async def revoke_session(redis: Redis, session_id: str) -> None:
    """Closes the session's connections (4403) in every process, also in one that is cut off from the store
    just now and comes back within an hour. Raises redis.RedisError: then try again."""
    now_s = time.time()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zadd(REVOKED_RECENTLY, {session_id: now_s})
        pipe.zremrangebyscore(REVOKED_RECENTLY, "-inf", now_s - REVOKED_KEPT_S)
        pipe.publish(REVOKED_CHANNEL, session_id)
        await pipe.execute()


async def viewers(redis: Redis, show_id: str) -> int:
    """How many watch a show's room now, over all processes. Raises redis.RedisError."""
    return int(await redis.get(viewers_key(show_id)) or 0)


def viewers_key(show_id: str) -> str:
    return f"hawker:{{{show_id}}}:viewers"


async def revoked_recently(redis: Redis) -> set[str]:
    members = await redis.zrange(REVOKED_RECENTLY, 0, -1)
    return {member.decode() if isinstance(member, bytes) else str(member) for member in members}
