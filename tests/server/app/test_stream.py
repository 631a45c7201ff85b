"""The media node's news: told in order, told again after an outage, never more than the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from overlay.frames import Offset
from overlay.log import LogUnavailable
from overlay.messages import AnyEvent, PictureChanged
from server.app.stream import News, _announced, node_settings
from server.config import Settings
from stream.ports import BroadcastId, BroadcastState

SHOW = BroadcastId("show-1")


class Registry:
    def __init__(self) -> None:
        self.beats: list[dict[str, tuple[BroadcastState, int]]] = []

    async def beat(self, node_id: str, url: str, broadcasts: dict[str, tuple[BroadcastState, int]]) -> None:
        self.beats.append(dict(broadcasts))


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
    news = News("node-1", "http://node", registry, log)  # type: ignore[arg-type]
    task = asyncio.create_task(news.tell())
    try:
        yield news
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def heard(log: Log) -> None:
    async with asyncio.timeout(5):
        await log.heard.wait()
        await asyncio.sleep(0.01)
    log.heard.clear()


async def test_a_picture_that_comes_goes_and_comes_back_is_told_each_time() -> None:
    registry, log = Registry(), Log()
    async with telling(registry, log) as news:
        for state in (BroadcastState.LIVE, BroadcastState.AWAY, BroadcastState.LIVE):
            news.broadcast_changed(SHOW, state, 3)
            await heard(log)
    assert log.pictures == [("show-1", "live"), ("show-1", "away"), ("show-1", "live")]
    assert registry.beats[-1] == {SHOW: (BroadcastState.LIVE, 3)}


async def test_only_the_newest_state_is_told_when_the_teller_was_slow() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, BroadcastState.LIVE, 0)
        news.broadcast_changed(SHOW, BroadcastState.AWAY, 0)
        await heard(log)
    assert log.pictures == [("show-1", "away")]


async def test_a_viewer_more_is_no_news_of_the_picture() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, BroadcastState.LIVE, 0)
        await heard(log)
        news.broadcast_changed(SHOW, BroadcastState.LIVE, 1)
        await asyncio.sleep(0.02)
    assert log.pictures == [("show-1", "live")]


async def test_a_broadcast_that_is_gone_is_told_as_idle_once() -> None:
    log = Log()
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, BroadcastState.LIVE, 0)
        await heard(log)
        news.node_beat({})
        await heard(log)
        news.node_beat({})
        await asyncio.sleep(0.02)
    assert log.pictures == [("show-1", "live"), ("show-1", "idle")]


async def test_news_wait_out_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.stream._AGAIN_S", 0.01)
    log = Log(failures=2)
    async with telling(Registry(), log) as news:
        news.broadcast_changed(SHOW, BroadcastState.LIVE, 0)
        await heard(log)
    assert log.pictures == [("show-1", "live")]


def test_announced_addresses_may_name_a_port_or_leave_the_bound_one() -> None:
    words = ("203.0.113.7", "203.0.113.8:3478", "[2001:db8::1]:3478", "2001:db8::2")
    assert _announced(words) == (
        ("203.0.113.7", 0),
        ("203.0.113.8", 3478),
        ("2001:db8::1", 3478),
        ("2001:db8::2", 0),
    )


def test_a_node_is_told_what_the_settings_say() -> None:
    told = node_settings(
        Settings(stream_announced=("203.0.113.7",), stream_public_url="https://media.example")
    )
    assert told.announced == (("203.0.113.7", 0),)
    assert told.public_base_url == "https://media.example"
