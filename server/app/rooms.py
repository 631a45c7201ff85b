"""What the shop tells a show's room and the media nodes when its state changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from redis.asyncio import Redis

from overlay.frames import PictureState, ShowId, ShowState, UserId
from overlay.log import ShowLog
from overlay.messages import ShowEnded, ShowStarted
from overlay.ports import RoomSeed
from server.app.signals import tell_show_ended
from server.checkout.room_shop import RoomShop
from server.checkout.wiring import Checkout
from server.media import NodeRegistry


class LogRooms:
    """`server.routes.deps.Rooms`: a show that staff start or end over HTTP. Telling twice is one event."""

    def __init__(self, log: ShowLog, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._log, self._redis, self._clock = log, redis, clock

    async def show_started(self, show_id: str, by: str) -> None:
        event = ShowStarted(n=0, at_ms=int(self._clock() * 1000), by=by)
        await self._log.append(show_id, "show-started", event)

    async def show_ended(self, show_id: str, by: str) -> None:
        event = ShowEnded(n=0, at_ms=int(self._clock() * 1000), by=by)
        await self._log.append(show_id, "show-ended", event)
        await tell_show_ended(self._redis, show_id)


class ShopOnAir(RoomShop):
    """The shop as rooms see it, with what the media nodes know of the picture; a show that is ended from its
    room is ended on the nodes, too."""

    def __init__(self, checkout: Checkout, redis: Redis) -> None:
        super().__init__(checkout.pool, checkout.tap, checkout.shopkeeper, checkout.selling)
        self._redis, self._nodes = redis, NodeRegistry(redis)

    async def seed(self, show_id: ShowId) -> RoomSeed:
        seed = await super().seed(show_id)
        picture = (await self._nodes.pictures_or_none()).get(show_id)
        return replace(seed, picture=PictureState(picture.state.value)) if picture else seed

    async def set_show_state(self, show_id: ShowId, state: ShowState, by: UserId) -> None:
        await super().set_show_state(show_id, state, by)
        if state is ShowState.ENDED:
            await tell_show_ended(self._redis, show_id)
