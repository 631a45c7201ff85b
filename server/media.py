"""Which media node carries which show: nodes write, the web role reads.

Each node keeps one key that expires, so a node that died is forgotten after `NODE_LIFE_S`. A show without a
carrier goes to the same node for everybody (highest hash of node and show, rendezvous hashing), so that early
viewers and the publisher meet without anybody writing it down.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.tickets import Tickets
from stream.ports import BroadcastId, BroadcastState, Grant, Purpose

NODE_LIFE_S = 10
_DEADLINE_S = 2.0
_NODES = "hawker:nodes"  # zset: node id by the Unix ms at which it is forgotten


class Carried(msgspec.Struct, frozen=True):
    """One broadcast on one node."""

    state: BroadcastState
    viewers: int


class Node(msgspec.Struct, frozen=True):
    """A media node's public HTTP address, and what it carries by broadcast id."""

    id: str
    url: str
    broadcasts: dict[str, Carried] = {}


class Picture(msgspec.Struct, frozen=True):
    """A broadcast over all nodes."""

    state: BroadcastState = BroadcastState.IDLE
    viewers: int = 0


class NodeRegistry:
    """Nodes in Redis. Errors: redis.RedisError, TimeoutError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def beat(
        self, node_id: str, url: str, broadcasts: Mapping[BroadcastId, tuple[BroadcastState, int]]
    ) -> None:
        """Say that a node lives and what it carries; to be repeated well within `NODE_LIFE_S`."""
        carried = {str(id): Carried(state, viewers) for id, (state, viewers) in broadcasts.items()}
        node = Node(node_id, url, carried)
        async with asyncio.timeout(_DEADLINE_S):
            seconds, _ = await self._redis.time()
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(_key(node_id), msgspec.json.encode(node), ex=NODE_LIFE_S)
                pipe.zadd(_NODES, {node_id: seconds + NODE_LIFE_S})
                pipe.zremrangebyscore(_NODES, "-inf", seconds - NODE_LIFE_S)
                await pipe.execute()

    async def leave(self, node_id: str) -> None:
        """A draining node: nobody is sent to it any more."""
        async with asyncio.timeout(_DEADLINE_S):
            await self._redis.zrem(_NODES, node_id)
            await self._redis.delete(_key(node_id))

    async def nodes(self) -> list[Node]:
        async with asyncio.timeout(_DEADLINE_S):
            ids = [_text(id) for id in await self._redis.zrange(_NODES, 0, -1)]
            kept = await asyncio.gather(*(self._redis.get(_key(id)) for id in ids))
        return [msgspec.json.decode(raw, type=Node) for raw in kept if raw is not None]

    async def node_for(self, broadcast: str, purpose: Purpose) -> Node | None:
        return choose(await self.nodes(), broadcast, purpose)

    async def pictures(self) -> dict[str, Picture]:
        """Every carried broadcast's state and viewers, summed over nodes."""
        return summed(await self.nodes())

    async def pictures_or_none(self) -> dict[str, Picture]:
        """As `pictures`; nothing while Redis does not answer: a list of shows is worth more."""
        try:
            return await self.pictures()
        except (RedisError, OSError, TimeoutError):
            return {}


def choose(nodes: Sequence[Node], broadcast: str, purpose: Purpose) -> Node | None:
    """The node to send a client to: one with a picture, else one that already carries the show, else the
    show's own by hash. Among several with a picture a viewer gets the one with the fewest viewers."""
    with_picture = [n for n in nodes if _state(n, broadcast) in (BroadcastState.LIVE, BroadcastState.AWAY)]
    if with_picture and purpose is Purpose.VIEW:
        return min(with_picture, key=lambda n: n.broadcasts[broadcast].viewers)
    carriers = with_picture or [n for n in nodes if broadcast in n.broadcasts]
    return max(carriers or nodes, key=lambda n: _weight(n.id, broadcast), default=None)


def summed(nodes: Sequence[Node]) -> dict[str, Picture]:
    pictures: dict[str, Picture] = {}
    for node in nodes:
        for id, carried in node.broadcasts.items():
            before = pictures.get(id, Picture())
            state = max(before.state, carried.state, key=_RANK.__getitem__)
            pictures[id] = Picture(state, before.viewers + carried.viewers)
    return pictures


class RedisAdmission:
    """`stream.ports.Admission`: redeems the tickets that the web role put into the redirect."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def redeem(self, ticket: str) -> Grant | None:
        kept = await self._tickets.redeem_media(ticket)
        if kept is None:
            return None
        bearer = bytes.fromhex(kept.bearer_sha256) if kept.bearer_sha256 else None
        return Grant(BroadcastId(kept.broadcast), Purpose(kept.purpose), kept.credential, bearer)


_RANK = {BroadcastState.IDLE: 0, BroadcastState.AWAY: 1, BroadcastState.LIVE: 2}


def _key(node_id: str) -> str:
    return f"hawker:node:{node_id}"


def _state(node: Node, broadcast: str) -> BroadcastState | None:
    carried = node.broadcasts.get(broadcast)
    return carried.state if carried else None


def _weight(node_id: str, broadcast: str) -> bytes:
    return hashlib.blake2b(f"{node_id}\n{broadcast}".encode(), digest_size=8).digest()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
