"""A media node's news: to the registry for those who look for a picture, to the rooms for those who watch.

Who speaks for a picture: its origin, always. An edge keeps quiet unless its origin has gone and nobody else
has the picture. And nobody says that it is gone while it is better elsewhere: a host who moves to another
node leaves the old one without a picture, which is no news to anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
from redis.exceptions import RedisError

from overlay.frames import Offset, PictureState
from overlay.log import LogUnavailable
from overlay.messages import AnyEvent, PictureChanged
from server import media
from stream.ports import BroadcastId, BroadcastState, Carried

logger = logging.getLogger(__name__)

_AGAIN_S = 1.0


class Registry(Protocol):
    async def beat(self, node: media.Node) -> None: ...

    async def nodes(self) -> Sequence[media.Node]: ...

    async def leave(self, node_id: str) -> None: ...


class RoomLog(Protocol):
    async def append(self, show_id: str, event_id: str, event: AnyEvent) -> Offset: ...


class News:
    """`stream.ports.Observer`: keeps the newest of everything and lets one task tell it.

    Pictures are latest-value: a state that changed again before it was told is told once. Nothing grows but
    by the number of broadcasts, and nothing is lost while Valkey is away.
    """

    def __init__(self, node: media.Node, registry: Registry, log: RoomLog) -> None:
        self._node, self._registry, self._log = node, registry, log
        self._carried: dict[BroadcastId, Carried] = {}
        self._untold: dict[BroadcastId, BroadcastState] = {}
        self._told: dict[BroadcastId, BroadcastState] = {}
        self._wake = asyncio.Event()

    def broadcast_changed(self, broadcast: BroadcastId, carried: Carried) -> None:
        self._carried[broadcast] = carried
        if not carried.is_origin and carried.state is not BroadcastState.AWAY:
            self._untold.pop(broadcast, None)
            self._told.pop(broadcast, None)
        elif self._told.get(broadcast, BroadcastState.IDLE) is not carried.state:
            self._untold[broadcast] = carried.state
        self._wake.set()

    def node_beat(self, broadcasts: dict[BroadcastId, Carried]) -> None:
        self._carried = dict(broadcasts)
        for gone in set(self._told) - set(broadcasts):
            self._untold[gone] = BroadcastState.IDLE
        self._wake.set()

    def draining(self) -> None:
        """From now on the registry sends nobody here; other nodes still find what they pull."""
        self._node = msgspec.structs.replace(self._node, is_draining=True)
        self._wake.set()

    async def tell(self) -> None:
        """Tells until cancelled, and then that the node has gone."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._tell_all()
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._registry.leave(self._node.id)

    async def _tell_all(self) -> None:
        try:
            await self._registry.beat(self._as_node())
            for broadcast, state in list(self._untold.items()):
                if await self._is_news(broadcast, state):
                    await self._tell_picture(broadcast, state)
        except (RedisError, OSError, TimeoutError, LogUnavailable) as error:
            logger.warning("news of the picture waits for the store: %s", error)
            await asyncio.sleep(_AGAIN_S)
            self._wake.set()

    def _as_node(self) -> media.Node:
        carried = {
            str(id): media.Carried(held.state, held.viewers, held.is_origin)
            for id, held in self._carried.items()
        }
        return msgspec.structs.replace(self._node, broadcasts=carried)

    async def _is_news(self, broadcast: BroadcastId, state: BroadcastState) -> bool:
        if state is BroadcastState.LIVE:
            return True
        elsewhere = media.best_state(await self._registry.nodes(), broadcast, but=self._node.id)
        return media.rank(elsewhere) <= media.rank(state)

    async def _tell_picture(self, broadcast: BroadcastId, state: BroadcastState) -> None:
        now_ms = time.time_ns() // 1_000_000
        event = PictureChanged(n=0, at_ms=now_ms, state=PictureState(state.value))
        await self._log.append(broadcast, f"picture-{self._node.id}-{now_ms}", event)
        if self._untold.get(broadcast) is state:
            del self._untold[broadcast]
        if state is BroadcastState.IDLE:
            self._told.pop(broadcast, None)
        else:
            self._told[broadcast] = state
