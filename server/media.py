"""Which media node carries which show: nodes write, the web role and other nodes read.

Each node keeps one key that expires, so a node that died is forgotten after `NODE_LIFE_S`. A show without a
carrier goes to the same node for everybody (highest hash of node and show, rendezvous hashing), so that early
viewers and the publisher meet without anybody writing it down. A show that is on air goes to the node that
has its picture, until that one is full; then to another, which becomes an edge and pulls it from the origin.

A broadcast has one host. Each node sees to that by itself; between nodes a lease does (`Hosts`), since
whoever comes while the host's node drains is sent to another.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.tickets import Tickets
from stream.ports import Admission, BroadcastId, BroadcastState, Grant, PublishedElsewhere, Purpose

NODE_LIFE_S = 3
"""Three beats: as long as clients may be sent to a node that is no more."""
FULL = 0.95
"""Of a node's capacity: the rest is for those who are on their way when it beats."""
_DEADLINE_S = 2.0
_HOST_SCRIPT = Path(__file__).with_name("media_host.lua").read_text()
_NODES = "hawker:nodes"  # zset: node id by the Unix s at which it is forgotten


class Carried(msgspec.Struct, frozen=True):
    """One broadcast on one node; `is_origin`: its host publishes here, else the node pulls it."""

    state: BroadcastState
    viewers: int
    is_origin: bool = False


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A media node: its public HTTP address, the one for other nodes, and what it carries by broadcast id."""

    id: str
    url: str
    node_url: str = ""
    boot: str = ""
    """Differs after each start."""
    region: str = ""
    capacity: int = 0
    """Most viewers; 0: unknown, and never full."""
    is_draining: bool = False
    broadcasts: dict[str, Carried] = {}

    @property
    def viewers(self) -> int:
        return sum(carried.viewers for carried in self.broadcasts.values())

    @property
    def is_full(self) -> bool:
        return 0 < self.capacity * FULL <= self.viewers

    def state(self, broadcast: str) -> BroadcastState:
        carried = self.broadcasts.get(broadcast)
        return carried.state if carried else BroadcastState.IDLE


class Picture(msgspec.Struct, frozen=True):
    """A broadcast over all nodes."""

    state: BroadcastState = BroadcastState.IDLE
    viewers: int = 0


class NodeRegistry:
    """Nodes in Redis. Errors: redis.RedisError, TimeoutError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def beat(self, node: Node) -> None:
        """Say that a node lives and what it carries; to be repeated well within `NODE_LIFE_S`."""
        async with asyncio.timeout(_DEADLINE_S):
            seconds, _ = await self._redis.time()
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(_key(node.id), msgspec.json.encode(node), ex=NODE_LIFE_S)
                pipe.zadd(_NODES, {node.id: seconds + NODE_LIFE_S})
                pipe.zremrangebyscore(_NODES, "-inf", seconds - NODE_LIFE_S)
                await pipe.execute()

    async def leave(self, node_id: str) -> None:
        """A node that ends: nobody is sent to it any more, and nobody pulls from it."""
        async with asyncio.timeout(_DEADLINE_S):
            await self._redis.zrem(_NODES, node_id)
            await self._redis.delete(_key(node_id))

    async def nodes(self) -> list[Node]:
        async with asyncio.timeout(_DEADLINE_S):
            ids = [_text(id) for id in await self._redis.zrange(_NODES, 0, -1)]
            kept = await asyncio.gather(*(self._redis.get(_key(id)) for id in ids))
        return [msgspec.json.decode(raw, type=Node) for raw in kept if raw is not None]

    async def node_for(self, broadcast: str, purpose: Purpose, region: str = "") -> Node | None:
        return choose(await self.nodes(), broadcast, purpose, region)

    async def pictures(self) -> dict[str, Picture]:
        """Every carried broadcast's state and viewers, summed over nodes."""
        return summed(await self.nodes())

    async def pictures_or_none(self) -> dict[str, Picture]:
        """As `pictures`; nothing while Redis does not answer: a list of shows is worth more."""
        try:
            return await self.pictures()
        except (RedisError, OSError, TimeoutError):
            return {}


def choose(nodes: Sequence[Node], broadcast: str, purpose: Purpose, region: str = "") -> Node | None:
    """The node to send a client to; never one that drains."""
    staying = [node for node in nodes if not node.is_draining]
    is_on_air = any(node.state(broadcast) is not BroadcastState.IDLE for node in nodes)
    if purpose is Purpose.VIEW and is_on_air:
        return _for_viewer(staying, broadcast, region)
    carriers = (
        [node for node in staying if _has_picture(node, broadcast) and node.broadcasts[broadcast].is_origin]
        or [node for node in staying if _has_picture(node, broadcast)]
        or [node for node in staying if broadcast in node.broadcasts]
        or [node for node in staying if node.region == region]
        or staying
    )
    return max(carriers, key=lambda node: _weight(node.id, broadcast), default=None)


def _for_viewer(nodes: Sequence[Node], broadcast: str, region: str) -> Node | None:
    """With room before full, near before far, with the picture before becoming an edge; then the emptiest."""
    return min(
        nodes,
        key=lambda node: (
            node.is_full,
            node.region != region,
            -_RANK[node.state(broadcast)],
            node.viewers,
            _weight(node.id, broadcast),
        ),
        default=None,
    )


def origin_of(nodes: Sequence[Node], broadcast: str, but: str) -> Node | None:
    """The node that a broadcast's host publishes to, the node `but` left out: where others pull it from.

    An edge is never named, so that no two nodes pull from each other. A host who has moved may leave a
    second origin behind for a while; the one with a picture that stays counts.
    """
    origins = [
        node
        for node in nodes
        if node.id != but and _has_picture(node, broadcast) and node.broadcasts[broadcast].is_origin
    ]
    return max(
        origins,
        key=lambda node: (
            _RANK[node.state(broadcast)],
            not node.is_draining,
            _weight(node.id, broadcast),
        ),
        default=None,
    )


def best_state(nodes: Sequence[Node], broadcast: str, but: str) -> BroadcastState:
    """How the picture stands on all nodes but one."""
    states = (node.state(broadcast) for node in nodes if node.id != but)
    return max(states, key=_RANK.__getitem__, default=BroadcastState.IDLE)


def rank(state: BroadcastState) -> int:
    """Live counts more than away, away more than idle."""
    return _RANK[state]


def summed(nodes: Sequence[Node]) -> dict[str, Picture]:
    pictures: dict[str, Picture] = {}
    for node in nodes:
        for id, carried in node.broadcasts.items():
            before = pictures.get(id, Picture())
            state = max(before.state, carried.state, key=_RANK.__getitem__)
            pictures[id] = Picture(state, before.viewers + carried.viewers)
    return pictures


class Hosts:
    """Who publishes what on one node, for all nodes to know. Errors: redis.RedisError, TimeoutError."""

    def __init__(self, redis: Redis, node_id: str) -> None:
        self._script = redis.register_script(_HOST_SCRIPT)
        self._node_id = node_id
        self._kept: dict[str, str] = {}

    async def claim(self, broadcast: str, credential: str) -> bool:
        """False while another node has the broadcast for somebody else. Good for `NODE_LIFE_S`."""
        return await self._do("claim", broadcast, credential)

    async def keep(self, hosts: Mapping[BroadcastId, str]) -> list[BroadcastId]:
        """Credentials by broadcast of all who publish here, to be told well within `NODE_LIFE_S`; what is no
        longer told is let go of. Returns those that another node has by now, for somebody else."""
        for gone in self._kept.keys() - hosts.keys():
            await self._do("release", gone, self._kept.pop(gone))
        lost = []
        for broadcast, credential in hosts.items():
            self._kept[broadcast] = credential
            if not await self._do("keep", broadcast, credential):
                lost.append(broadcast)
        return lost

    async def _do(self, what: str, broadcast: str, credential: str) -> bool:
        args: list[str | int] = [what, credential, self._node_id, NODE_LIFE_S * 1000]
        async with asyncio.timeout(_DEADLINE_S):
            return bool(await self._script(keys=[f"hawker:host:{broadcast}"], args=args))


class RedisAdmission:
    """`stream.ports.Admission`: redeems the tickets that the web role put into the redirect."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def redeem(self, ticket: str) -> Grant | None:
        kept = await self._tickets.redeem_media(ticket)
        if kept is None:
            return None
        bearer = bytes.fromhex(kept.bearer_sha256) if kept.bearer_sha256 else None
        broadcast, purpose = BroadcastId(kept.broadcast), Purpose(kept.purpose)
        return Grant(broadcast, purpose, kept.credential, bearer, kept.is_edge)


class OneHostAdmission:
    """`stream.ports.Admission`: lets nobody publish what somebody else publishes on another node."""

    def __init__(self, admission: Admission, hosts: Hosts) -> None:
        self._admission, self._hosts = admission, hosts

    async def redeem(self, ticket: str) -> Grant | None:
        grant = await self._admission.redeem(ticket)
        if grant is None or grant.purpose is not Purpose.PUBLISH:
            return grant
        if not await self._hosts.claim(grant.broadcast, grant.credential):
            raise PublishedElsewhere
        return grant


_RANK = {BroadcastState.IDLE: 0, BroadcastState.AWAY: 1, BroadcastState.LIVE: 2}


def _key(node_id: str) -> str:
    return f"hawker:node:{node_id}"


def _has_picture(node: Node, broadcast: str) -> bool:
    return node.state(broadcast) is not BroadcastState.IDLE


def _weight(node_id: str, broadcast: str) -> bytes:
    return hashlib.blake2b(f"{node_id}\n{broadcast}".encode(), digest_size=8).digest()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
