"""A few seconds of `make soak`: every way to come and go, and nothing left where nothing must wait."""

import asyncio
import random

import aiohttp
import pytest

from loadtests.fuzz.live import more
from loadtests.relay.counted_node import counted_node
from loadtests.relay.peer import Identity
from loadtests.relay.publisher import Publisher
from loadtests.relay.soak import Soak, growth_per_join, is_flat, settled
from loadtests.relay.soak_visits import VISITS, Visit
from loadtests.relay.stream import Shape

PROMPT = ("leaves_by_delete", "says_goodbye", "changes_its_mind", "restarts_ice", "moves")
"""Those whose end the node learns at once; the others it finds out by its timeouts."""


@pytest.fixture(scope="module")
def node():
    with counted_node() as running:
        yield running


async def test_every_visit_works_and_the_prompt_ones_leave_nothing(node) -> None:
    live = asyncio.Event()
    publisher = Publisher(Identity(), Shape(200_000, keyframe_packets=4), ignore_pli=False, pace=20_000_000)
    on_air = asyncio.create_task(publisher.run(node.url("whip", "show"), "", 600, live))
    async with asyncio.timeout(60):
        await live.wait()
    before = node.held()
    assert await pay_visits(node, PROMPT) == []
    left, _ = await settled(node, before, 60)
    assert left == {}
    assert await pay_visits(node, tuple(VISITS)) == []
    on_air.cancel()
    await asyncio.gather(on_air, return_exceptions=True)
    assert node.held()["faults"] == []


async def pay_visits(node, names) -> list[str]:
    async with aiohttp.ClientSession() as http:
        soak = Soak(node, http, random.Random(3))
        visits = [
            soak._visit(
                name, Visit(http, node.url("whep", "show"), Identity(), random.Random(place), pace=0.2)
            )
            for place, name in enumerate(names)
        ]
        await asyncio.gather(*visits)
        return soak.failures


def test_growth_is_what_the_second_half_left_behind_by_join() -> None:
    before = {"rss_kb": 90_000, "heap_kb": 14_000, "blocks": 250_000}
    after = {"rss_kb": 90_500, "heap_kb": 13_000, "blocks": 250_100}
    assert growth_per_join(before, after, 1000) == {"rss_kb": 0.5, "heap_kb": 0.0, "blocks": 0.1}
    assert is_flat(before, after, 1000)
    assert not is_flat(before, {**after, "heap_kb": 14_500}, 1000)
    assert not is_flat(before, {**after, "blocks": 252_000}, 1000)
    assert growth_per_join(before, before, 0) == {"rss_kb": 0.0, "heap_kb": 0.0, "blocks": 0.0}


def test_what_is_held_beyond_before() -> None:
    before = {"fds": 9, "sessions": 0, "broadcasts": 0, "objects": {"Peer": 0, "Broadcast": 0}}
    now = {"fds": 11, "sessions": 0, "broadcasts": 1, "objects": {"Peer": 3, "Broadcast": 1}}
    assert more(now, before) == {"fds": 2, "Peer": 3}
