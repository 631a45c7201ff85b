"""Single-use tickets of seconds: how a person who was let in here is let in by a media node or a room.

A ticket is a random token; Redis keeps what it grants under the token's hash, and GETDEL spends it. It may
stand in a URL, since it is worth nothing afterwards. Publish tokens are the studio's stream keys: for one
show, for hours, kept as a hash, too.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TypeVar

import msgspec
from redis.asyncio import Redis

from server.auth.tokens import new_token

MEDIA_TICKET_MS = 10_000
ROOM_TICKET_MS = 60_000
PUBLISH_TOKEN_MS = 12 * 3600 * 1000
_DEADLINE_S = 2.0

PUBLISH_PREFIX = "hp_"
STREAM_KEY_PREFIX = "hk_"


class MediaTicket(msgspec.Struct, frozen=True, tag_field="kind", tag="media"):
    """Lets one client publish or view one broadcast; see `stream.ports.Grant` for `credential`,
    `bearer_sha256` (hex) and `is_edge`."""

    broadcast: str
    purpose: str  # publish, view
    credential: str
    bearer_sha256: str | None = None
    is_edge: bool = False


class RoomTicket(msgspec.Struct, frozen=True, tag_field="kind", tag="room"):
    """Lets one connection into a room as somebody. A guest with a pass has neither user nor session."""

    show_id: str
    user_id: str | None
    session_id: str | None
    name: str
    roles: tuple[str, ...] = ()


class PublishToken(msgspec.Struct, frozen=True, tag_field="kind", tag="publish"):
    """What a studio page's token stands for: one person publishing one show."""

    show_id: str
    user_id: str


T = TypeVar("T", MediaTicket, RoomTicket, PublishToken)


def _key(token: str) -> str:
    return f"hawker:ticket:{hashlib.sha256(token.encode()).hexdigest()}"


class Tickets:
    """Writes and redeems tickets in Redis. Errors: redis.RedisError, TimeoutError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue(self, ticket: MediaTicket | RoomTicket) -> str:
        """The token of a new ticket."""
        life_ms = MEDIA_TICKET_MS if isinstance(ticket, MediaTicket) else ROOM_TICKET_MS
        return await self._keep(new_token(), ticket, life_ms)

    async def issue_publish_token(self, show_id: str, user_id: str) -> str:
        return await self._keep(new_token(PUBLISH_PREFIX), PublishToken(show_id, user_id), PUBLISH_TOKEN_MS)

    async def publish_token(self, token: str) -> PublishToken | None:
        """Who publishes what with this token. It stays valid: an encoder that reconnects shows it again."""
        async with asyncio.timeout(_DEADLINE_S):
            return _read(await self._redis.get(_key(token)), PublishToken)

    async def redeem_media(self, token: str) -> MediaTicket | None:
        return _read(await self._spend(token), MediaTicket)

    async def redeem_room(self, token: str) -> RoomTicket | None:
        return _read(await self._spend(token), RoomTicket)

    async def _keep(self, token: str, ticket: msgspec.Struct, life_ms: int) -> str:
        async with asyncio.timeout(_DEADLINE_S):
            await self._redis.set(_key(token), msgspec.json.encode(ticket), px=life_ms)
        return token

    async def _spend(self, token: str) -> bytes | str | None:
        async with asyncio.timeout(_DEADLINE_S):
            return await self._redis.getdel(_key(token))


def _read(kept: bytes | str | None, kind: type[T]) -> T | None:
    """The ticket, or None where there is none or it is of another kind."""
    if kept is None:
        return None
    try:
        return msgspec.json.decode(kept, type=kind)
    except msgspec.MsgspecError:
        return None
