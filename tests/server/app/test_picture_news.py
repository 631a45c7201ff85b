"""The media node's news: told in order, told again after an outage, never more than the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from overlay.frames import Offset
from overlay.log import LogUnavailable
from overlay.messages import AnyEvent, PictureChanged
from server import media
from server.app.picture_news import News
from stream.ports import BroadcastId, BroadcastState, Carried

SHOW = BroadcastId("show-1")


class Registry:
    def __init__(self, *others: media.Node) -> None:
        self.beats: list[media.Node] = []
        self.others = list(others)
        self.left: list[str] = []

    async def beat(self, node: media.Node) -> None:
        self.beats.append(node)

    async def nodes(self) -> list[media.Node]:
        return [*self.others, *self.beats[-1:]]

    async def leave(self, node_id: str) -> None:
        self.left.append(node_id)


def elsewhere(state: BroadcastState) -> media.Node:
    carried = {SHOW: media.Carried(state, 0, is_origin=True)}
    return media.Node(id="node-2", url="http://other", broadcasts=carried)


class Log:
    """Remembers pictures; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.pictures: list[tuple[str, str]] = []
        self.failures = failures
        self.heard = asyncio.Event()

    async def append(self, show_id: str, event_id: str, event: AnyEvent) -> Offset:
        if self.failures:
            self.failures -= 1
            raise LogUnavailable("away")
        assert isinstance(event, PictureChanged)
        self.pictures.append((show_id, event.state.value))
        self.heard.set()
        return Offset("epoch", len(self.pictures))


@asynccontextmanager
async def telling(registry: Registry, log: Log) -> AsyncIterator[News]:
    news = News(media.Node(id="node-1", url="http://node"), registry, log)
    task = asyncio.create_task(news.tell())
    try:
        yield news
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def heard(log: Log) -> None:
    async with asyncio.timeout(30):
        await log.heard.wait()
        await asyncio.sleep(0.01)
    log.heard.clear()


async def test_a_picture_that_comes_goes_and_comes_back_is_told_each_time() -> None:
    registry, log = Registry(), Log()
    async with telling(registry, log) as news:
        for state in (BroadcastState.LIVE, BroadcastState.AWAY, BroadcastState.LIVE):
            news.broadcast_changed(SHOW, Carried(state, 3, is_origin=True))
            await heard(log)
    assert log.pictures == [("show-1", "live"), ("show-1", "away"), ("show-1", "live")]
    assert registry.beats[-1].broadcasts == {SHOW: media.Carried(BroadcastState.LIVE, 3, is_origin=True)}
    assert registry.left == ["node-1"], "in the end"


async def test_only_the_newest_state_is_told_when_the_teller_was_slow() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 0, is_origin=True))
        news.broadcast_changed(SHOW, Carried(BroadcastState.AWAY, 0, is_origin=True))
        await heard(log)
    assert log.pictures == [("show-1", "away")]


async def test_a_viewer_more_is_no_news_of_the_picture() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 0, is_origin=True))
        await heard(log)
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 1, is_origin=True))
        await asyncio.sleep(0.02)
    assert log.pictures == [("show-1", "live")]


async def test_a_broadcast_that_is_gone_is_told_as_idle_once() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 0, is_origin=True))
        await heard(log)
        news.node_beat({})
        await heard(log)
        news.node_beat({})
        await asyncio.sleep(0.02)
    assert log.pictures == [("show-1", "live"), ("show-1", "idle")]


async def test_news_wait_out_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.picture_news._AGAIN_S", 0.01)
    log = Log(failures=2)
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 0, is_origin=True))
        await heard(log)
    assert log.pictures == [("show-1", "live")]


async def test_an_edge_leaves_it_to_the_origin_to_speak() -> None:
    log = Log()
    registry = Registry(elsewhere(BroadcastState.LIVE))
    async with telling(registry, log) as news:
        for state in (BroadcastState.LIVE, BroadcastState.AWAY):
            news.broadcast_changed(SHOW, Carried(state, 3, is_origin=False))
            await asyncio.sleep(0.02)
        news.node_beat({})
        await asyncio.sleep(0.02)
    assert log.pictures == []


async def test_an_edge_says_that_the_picture_is_away_when_its_origin_is_no_more() -> None:
    log = Log()
    registry = Registry(elsewhere(BroadcastState.LIVE))
    async with telling(registry, log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.AWAY, 3, is_origin=False))
        await asyncio.sleep(0.02)
        assert log.pictures == []
        registry.others.clear()
        news.node_beat({SHOW: Carried(BroadcastState.AWAY, 3, is_origin=False)})
        await heard(log)
    assert log.pictures == [("show-1", "away")]


async def test_a_host_who_moves_to_another_node_is_not_away() -> None:
    log = Log()
    registry = Registry()
    async with telling(registry, log) as news:
        news.broadcast_changed(SHOW, Carried(BroadcastState.LIVE, 3, is_origin=True))
        await heard(log)
        registry.others.append(elsewhere(BroadcastState.LIVE))
        news.broadcast_changed(SHOW, Carried(BroadcastState.AWAY, 3, is_origin=True))
        news.node_beat({})
        await asyncio.sleep(0.02)
    assert log.pictures == [("show-1", "live")]


async def test_a_node_that_drains_says_so_with_each_beat() -> None:
    registry = Registry()
    async with telling(registry, Log()) as news:
        news.draining()
        async with asyncio.timeout(30):
            while not registry.beats or not registry.beats[-1].is_draining:
                await asyncio.sleep(0.01)
