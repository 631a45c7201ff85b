"""The stream role: one media node, its place in the registry, and its news for the rooms."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from overlay.frames import PictureState
from overlay.log import LogUnavailable, ShowLog, open_redis
from overlay.messages import PictureChanged
from server.app.signals import hear_ended_shows
from server.config import Settings
from server.media import NodeRegistry, RedisAdmission
from server.tickets import Tickets
from stream.node import IceServer, Node, NodeSettings
from stream.ports import BroadcastId, BroadcastState

logger = logging.getLogger(__name__)

DRAIN_S = 5.0
_AGAIN_S = 1.0

Broadcasts = dict[BroadcastId, tuple[BroadcastState, int]]


class News:
    """`stream.ports.Observer`: keeps the newest of everything and lets one task tell it.

    Pictures are latest-value: a state that changed again before it was told is told once. Nothing grows but
    by the number of broadcasts, and nothing is lost while Valkey is away.
    """

    def __init__(self, node_id: str, url: str, registry: NodeRegistry, log: ShowLog) -> None:
        self._node_id, self._url, self._registry, self._log = node_id, url, registry, log
        self._carried: Broadcasts = {}
        self._untold: dict[BroadcastId, BroadcastState] = {}
        self._told: dict[BroadcastId, BroadcastState] = {}
        self._wake = asyncio.Event()

    def broadcast_changed(self, broadcast: BroadcastId, state: BroadcastState, viewers: int) -> None:
        self._carried[broadcast] = (state, viewers)
        if self._told.get(broadcast, BroadcastState.IDLE) is not state:
            self._untold[broadcast] = state
        self._wake.set()

    def node_beat(self, broadcasts: Broadcasts) -> None:
        self._carried = dict(broadcasts)
        for gone in set(self._told) - set(broadcasts):
            self._untold[gone] = BroadcastState.IDLE
        self._wake.set()

    async def tell(self) -> None:
        """Tells until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._registry.beat(self._node_id, self._url, self._carried)
                while self._untold:
                    await self._tell_picture(*next(iter(self._untold.items())))
            except (RedisError, OSError, TimeoutError, LogUnavailable) as error:
                logger.warning("news of the picture waits for the store: %s", error)
                await asyncio.sleep(_AGAIN_S)
                self._wake.set()

    async def _tell_picture(self, broadcast: BroadcastId, state: BroadcastState) -> None:
        now_ms = time.time_ns() // 1_000_000
        event = PictureChanged(n=0, at_ms=now_ms, state=PictureState(state.value))
        await self._log.append(broadcast, f"picture-{self._node_id}-{now_ms}", event)
        if self._untold.get(broadcast) is state:
            del self._untold[broadcast]
        if state is BroadcastState.IDLE:
            self._told.pop(broadcast, None)
        else:
            self._told[broadcast] = state


def _announced(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """`ip` or `ip:port` → (ip, port), port 0 for the bound one."""
    found = []
    for word in words:
        parts = urlsplit(f"//{word}" if word.count(":") < 2 or word.startswith("[") else f"//[{word}]")
        found.append((parts.hostname or word, parts.port or 0))
    return tuple(found)


def node_settings(settings: Settings) -> NodeSettings:
    return NodeSettings(
        http_host=settings.stream_http_host,
        http_port=settings.stream_http_port,
        udp_host=settings.stream_udp_host,
        udp_port=settings.stream_udp_port,
        announced=_announced(settings.stream_announced),
        public_base_url=settings.stream_public_url,
        ice_servers=tuple(
            IceServer(url, server.username, server.credential)
            for server in settings.ice_servers
            for url in server.urls
        ),
        max_sessions=settings.limit_viewers,
        labels={"node": settings.node_id},
    )


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until cancelled, then drain."""
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    registry = NodeRegistry(redis)
    news = News(settings.node_id, settings.stream_public_url, registry, ShowLog(redis))
    node = Node(node_settings(settings), RedisAdmission(Tickets(redis)), news)
    await node.start()
    try:
        news.node_beat({})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(news.tell())
            tasks.create_task(hear_ended_shows(redis, lambda show: node.end(BroadcastId(show))))
            ready()
            await asyncio.Event().wait()
    finally:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await registry.leave(settings.node_id)
        await node.drain(DRAIN_S)
        await node.stop()
        await redis.aclose()
