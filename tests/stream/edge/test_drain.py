"""A node that is told to end: everybody is carried until they have moved, or the time is up."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from stream.ports import BroadcastState

from .conftest import SHOW, is_gapless, on_air, origins_of, rolling, until


class Listener:
    """Hears a session's events, and remembers when it was asked to move."""

    def __init__(self, peer):
        self.listens, self.asked = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._read(f"{peer.location}/sse?events=reconnect"))

    async def _read(self, url):
        async with httpx.AsyncClient(timeout=60) as http:
            async with http.stream("GET", url) as response:
                self.listens.set()
                async for line in response.aiter_lines():
                    if line == "event: reconnect":
                        self.asked.set()

    async def stop(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def listen():
    made = []

    async def make(peer):
        made.append(Listener(peer))
        await asyncio.wait_for(made[-1].listens.wait(), 30)
        return made[-1]

    yield make
    for listener in made:
        await listener.stop()


def newest(viewer):
    return viewer.video()[-1].timestamp if viewer.video() else 0


async def test_viewers_move_first_then_the_host_and_nobody_misses_a_frame(start, at, camera, listen):
    old, new = await start("old"), await start("new")
    publisher, shot = await on_air(at(old), camera)
    viewer = await at(old).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    told, host_told = await listen(viewer), await listen(publisher)
    await until(lambda: len(old.sessions.events) == 2)
    async with rolling(shot):
        draining = asyncio.create_task(old.drain(120))
        await asyncio.wait_for(told.asked.wait(), 30)
        assert not host_told.asked.is_set()
        moved = await at(new).join("view.show")
        await moved.until(lambda: newest(moved) == shot.timestamp or len(moved.video()) > 60)
        assert newest(viewer) >= newest(moved) - 9000, "the old session goes on meanwhile"
        await viewer.delete()
        await asyncio.wait_for(host_told.asked.wait(), 30)
        again = await at(new).join("publish.show.key")
        second = camera(again, ssrc=0x9999, seq=40_000, timestamp=77)
        async with rolling(second):
            before = len(moved.video())
            await until(lambda: new.sessions.carried()[SHOW].is_origin)
            await publisher.delete()
            await moved.until(lambda: len(moved.video()) > before + 60)
            await asyncio.wait_for(draining, 30)
    assert len(old.sessions) == 0
    assert is_gapless(moved.video())


async def test_another_edge_of_the_leaving_node_follows_the_host(start, at, camera, listen):
    old, edge, new = await start("old"), await start("edge"), await start("new")
    publisher, shot = await on_air(at(old), camera)
    viewer = await at(edge).join("view.show")
    await viewer.until(lambda: len(viewer.video()) == 15)
    host_told = await listen(publisher)
    async with rolling(shot), contextlib.AsyncExitStack() as stack:
        draining = asyncio.create_task(old.drain(120))
        await asyncio.wait_for(host_told.asked.wait(), 30)
        again = await at(new).join("publish.show.key")
        second = camera(again, ssrc=0x9999, seq=40_000, timestamp=77)
        await stack.enter_async_context(rolling(second))
        await until(lambda: origins_of(edge) == {SHOW: "new"})
        await publisher.delete()
        await asyncio.wait_for(draining, 30)
        before = len(viewer.video())
        await viewer.until(lambda: len(viewer.video()) > before + 30)
    assert is_gapless(viewer.video())


async def test_who_cannot_be_told_is_carried_until_the_time_is_up(start, at, camera):
    node = await start("only")
    publisher, shot = await on_air(at(node), camera)
    viewer = await at(node).join("view.show")
    async with rolling(shot):
        draining = asyncio.create_task(node.drain(600))
        await until(lambda: node.sessions.is_draining)
        before = len(viewer.video())
        await viewer.until(lambda: len(viewer.video()) > before + 30)
        assert node.sessions.counts()[SHOW][0] is BroadcastState.LIVE
        refused = await at(node).join("view.show")
        assert (refused.status, refused.problem["code"]) == (503, "draining")
        draining.cancel()
        await node.drain(0.1)
    await viewer.until(lambda: viewer.is_closed)
    await publisher.until(lambda: publisher.is_closed)


async def test_a_node_with_nobody_ends_at_once(start):
    node = await start("only")
    async with asyncio.timeout(30):
        await node.drain(60)
