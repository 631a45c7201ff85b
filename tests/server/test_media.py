"""Where clients are sent: the registry of media nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from overlay.log import open_redis
from server import media
from server.media import (
    Carried,
    Hosts,
    Node,
    NodeRegistry,
    Picture,
    RedisAdmission,
    choose,
    origin_of,
    summed,
)
from server.tickets import MediaTicket, RoomTicket, Tickets
from stream.ports import BroadcastState, Purpose

LIVE, AWAY, IDLE = BroadcastState.LIVE, BroadcastState.AWAY, BroadcastState.IDLE


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


def node(
    name: str,
    *,
    capacity: int = 0,
    region: str = "",
    is_draining: bool = False,
    edge: bool = False,
    **shows: tuple[BroadcastState, int],
) -> Node:
    return Node(
        id=name,
        url=f"http://{name}",
        capacity=capacity,
        region=region,
        is_draining=is_draining,
        broadcasts={id: Carried(*carried, is_origin=not edge) for id, carried in shows.items()},
    )


def test_viewers_go_where_the_picture_is_and_fewest_watch() -> None:
    nodes = [node("a"), node("b", s=(LIVE, 9)), node("c", s=(LIVE, 2)), node("d", s=(IDLE, 0))]
    assert choose(nodes, "s", Purpose.VIEW) is nodes[2]


def test_a_publisher_comes_back_to_its_node() -> None:
    nodes = [node("a"), node("b", s=(AWAY, 9)), node("c", s=(IDLE, 2))]
    assert choose(nodes, "s", Purpose.PUBLISH) is nodes[1]


def test_a_full_node_sends_on_to_one_that_becomes_an_edge() -> None:
    full, near, far = node("a", capacity=100, s=(LIVE, 96)), node("b", t=(LIVE, 50)), node("c", t=(LIVE, 7))
    assert choose([full, near, far], "s", Purpose.VIEW) is far, "the emptiest"
    edge = node("d", edge=True, capacity=100, s=(LIVE, 60))
    assert choose([full, near, far, edge], "s", Purpose.VIEW) is edge, "which pulls it already"
    assert choose([full], "s", Purpose.VIEW) is full, "rather than nowhere"


def test_viewers_stay_in_their_region_while_there_is_room() -> None:
    host = node("a", region="eu", s=(LIVE, 5))
    near, far = node("b", region="us"), node("c", region="asia")
    assert choose([host, near, far], "s", Purpose.VIEW, "us") is near
    assert choose([host, near, far], "s", Purpose.VIEW, "eu") is host
    assert choose([host, near, far], "s", Purpose.VIEW, "africa") is host, "where the picture is"
    crowded = node("b", region="us", capacity=10, t=(LIVE, 10))
    assert choose([host, crowded], "s", Purpose.VIEW, "us") is host


def test_nobody_is_sent_to_a_node_that_drains() -> None:
    leaving, other = node("a", is_draining=True, s=(LIVE, 5)), node("b")
    for purpose in Purpose:
        assert choose([leaving, other], "s", purpose) is other
    assert choose([leaving], "s", Purpose.VIEW) is None
    edge = node("c", edge=True, s=(LIVE, 1))
    assert choose([leaving, other, edge], "s", Purpose.PUBLISH) is edge, "whose viewers need nothing new"


def test_only_an_origin_is_pulled_from() -> None:
    host, edge = node("a", s=(AWAY, 5)), node("b", edge=True, s=(LIVE, 5))
    assert origin_of([host, edge], "s", but="b") is host
    assert origin_of([host, edge], "s", but="a") is None
    moved = node("c", s=(LIVE, 0))
    assert origin_of([host, edge, moved], "s", but="b") is moved
    leaving = node("d", is_draining=True, s=(LIVE, 0))
    assert origin_of([leaving, moved, edge], "s", but="b") is moved
    assert origin_of([leaving, edge], "s", but="b") is leaving, "until the host has moved"


def test_early_viewers_and_the_publisher_meet() -> None:
    nodes = [node(name) for name in "abcdefgh"]
    for show in map(str, range(50)):
        assert choose(nodes, show, Purpose.VIEW) is choose(list(reversed(nodes)), show, Purpose.PUBLISH)
    assert len({choose(nodes, str(n), Purpose.VIEW).id for n in range(200)}) == len(nodes)  # type: ignore[union-attr]
    waiting = [node("a"), node("b", s=(IDLE, 1)), node("c")]
    assert choose(waiting, "s", Purpose.PUBLISH) is waiting[1]


def test_without_nodes_there_is_none() -> None:
    assert choose([], "s", Purpose.VIEW) is None


def test_a_picture_over_all_nodes() -> None:
    seen = summed([node("a", s=(LIVE, 3), t=(IDLE, 1)), node("b", s=(AWAY, 4))])
    assert seen == {"s": Picture(LIVE, 7), "t": Picture(IDLE, 1)}


async def test_nodes_come_and_go(redis: Redis) -> None:
    registry = NodeRegistry(redis)
    assert await registry.nodes() == []
    await registry.beat(node("a", s=(LIVE, 2)))
    await registry.beat(node("b"))
    assert {n.id for n in await registry.nodes()} == {"a", "b"}
    assert await registry.pictures() == {"s": Picture(LIVE, 2)}
    await registry.leave("b")
    assert [n.id for n in await registry.nodes()] == ["a"]
    assert 0 < await redis.pttl("hawker:node:a") <= media.NODE_LIFE_S * 1000
    await redis.delete("hawker:node:a")  # it died
    assert await registry.nodes() == []


async def test_a_list_of_shows_survives_redis() -> None:
    async with open_redis("redis://127.0.0.1:9") as nowhere:
        assert await NodeRegistry(nowhere).pictures_or_none() == {}


async def test_admission_takes_media_tickets_once(redis: Redis) -> None:
    tickets = Tickets(redis)
    admission = RedisAdmission(tickets)
    token = await tickets.issue(MediaTicket("s", "publish", "key:1", "ab" * 32))
    assert token not in str(await redis.keys())
    grant = await admission.redeem(token)
    assert grant is not None
    assert (grant.broadcast, grant.purpose, grant.credential) == ("s", Purpose.PUBLISH, "key:1")
    assert grant.bearer_sha256 == bytes.fromhex("ab" * 32)
    assert await admission.redeem(token) is None
    pull = await admission.redeem(await tickets.issue(MediaTicket("s", "view", "edge:b", is_edge=True)))
    assert pull is not None
    assert pull.is_edge
    room = await tickets.issue(RoomTicket("s", None, None, "guest"))
    assert await admission.redeem(room) is None
    assert await admission.redeem("garbage") is None


async def test_only_one_of_many_who_claim_a_broadcast_at_once_gets_it(redis: Redis) -> None:
    nodes = [Hosts(redis, f"node-{place}") for place in range(20)]
    claims = await asyncio.gather(*(held.claim("s", f"key:{place}") for place, held in enumerate(nodes)))
    assert claims.count(True) == 1
    winner = claims.index(True)
    others = await asyncio.gather(*(held.claim("s", f"key:{winner}") for held in nodes))
    assert all(others), "the host may move"
    assert await nodes[0].claim("t", "key:99"), "another broadcast is another matter"


async def test_a_host_who_moves_leaves_nothing_open_in_between(redis: Redis) -> None:
    old, new, third = (Hosts(redis, name) for name in ("old", "new", "third"))
    assert await old.claim("s", "key:1")
    assert await old.keep({"s": "key:1"}) == []
    assert await new.claim("s", "key:1")
    assert await old.keep({"s": "key:1"}) == [], "it is on both for a moment"
    assert await old.keep({}) == []
    assert not await third.claim("s", "key:2"), "the old node lets go of nothing that the new one has"
    await new.keep({"s": "key:1"})
    await new.keep({})
    assert await third.claim("s", "key:2")


async def test_a_node_decides_itself_who_takes_over_on_it(redis: Redis) -> None:
    node, other = Hosts(redis, "a"), Hosts(redis, "b")
    await node.claim("s", "key:1")
    assert await node.claim("s", "key:2"), "it knows whether the first is still there"
    assert await other.claim("s", "key:1"), "until it says so, nothing has changed"
    assert await node.keep({"s": "key:2"}) == ["s"], "who was second learns it"


async def test_what_a_dead_node_had_is_free_after_a_while(redis: Redis) -> None:
    dead, other = Hosts(redis, "a"), Hosts(redis, "b")
    await dead.claim("s", "key:1")
    assert not await other.claim("s", "key:2")
    assert 0 < await redis.pttl("hawker:host:s") <= media.NODE_LIFE_S * 1000
    await redis.pexpire("hawker:host:s", 1)
    async with asyncio.timeout(30):
        while not await other.claim("s", "key:2"):
            await asyncio.sleep(0.01)
    assert await dead.keep({"s": "key:1"}) == ["s"]
