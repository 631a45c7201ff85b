"""Tells rooms and people what a way of selling has done: right after the commit by whoever did it, and
again by the worker from the outbox, under the same ids, for what a crash or an outage swallowed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from overlay.log import LogError, ShowLog
from overlay.messages import AnyEvent
from overlay.ports import Refusal
from overlay.selling import PlaceView, Waitlist
from overlay.signals import publish_personal
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.ports import StoreTrouble
from server.shop.changes import NotPossible
from server.shop.ids import ShopId

_LOG = logging.getLogger("hawker.checkout.ways")
DEADLINE_S = 1.0
_TROUBLE = (LogError, RedisError, OSError, TimeoutError, StoreTrouble)


class Announcer:
    def __init__(self, log: ShowLog, redis: Redis, gatekeeper: Gatekeeper) -> None:
        self._log, self._redis, self._gatekeeper = log, redis, gatekeeper

    async def rooms(self, show_ids: Iterable[str], event_id: str, event: AnyEvent) -> None:
        """Append the event to each show's log, once an id. Raises LogError."""
        for show_id in show_ids:
            await self._log.append(show_id, f"{event_id}:{show_id}", event)

    async def person(self, user_id: str, place: PlaceView) -> None:
        """Raises redis.RedisError."""
        await publish_personal(self._redis, user_id, Waitlist(place=place))

    async def gate(self, shop_id: str, variant_id: str) -> None:
        """Bring the gate's terms of a variant up to date. Raises StoreTrouble."""
        await self._gatekeeper.tell_terms(ShopId(shop_id), variant_id)


async def at_once(*tellings: Awaitable[None]) -> None:
    """Tell now, bounded, and let what fails be told by the worker, or mended."""
    await asyncio.gather(*map(_bounded, tellings))


async def _bounded(telling: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            await telling
    except _TROUBLE as error:
        _LOG.warning("told_later", extra={"error": f"{type(error).__name__}: {error}"})


def refusing(error: NotPossible) -> Refusal:
    return Refusal(error.code, str(error))


Clock = Callable[[], int]
"""Now, in Unix milliseconds."""
