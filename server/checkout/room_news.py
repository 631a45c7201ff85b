"""RoomNews by way of the show log, which every overlay process follows, and the buyers' own channels."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.asyncio import Redis

from overlay.log import ShowLog
from overlay.messages import OrderView, Personal, PriceChanged, Purchased, StockChanged
from overlay.signals import publish_personal


class LogNews:
    """Raises overlay.log.LogUnavailable or redis.RedisError: tell it again later, with the same event id."""

    def __init__(self, log: ShowLog, redis: Redis, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._log, self._redis, self._wall_clock = log, redis, wall_clock

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    async def stock_changed(self, show_id: str, event_id: str, variant_id: str, available: int) -> None:
        event = StockChanged(n=0, at_ms=self._now_ms(), variant_id=variant_id, available=available)
        await self._log.append(show_id, event_id, event)

    async def price_changed(
        self, show_id: str, event_id: str, variant_id: str, price_minor: int, compare_at_minor: int | None
    ) -> None:
        event = PriceChanged(
            n=0,
            at_ms=self._now_ms(),
            variant_id=variant_id,
            price_minor=price_minor,
            compare_at_minor=compare_at_minor,
        )
        await self._log.append(show_id, event_id, event)

    async def purchased(
        self, show_id: str, event_id: str, product_title: str, quantity: int, first_name: str | None
    ) -> None:
        event = Purchased(
            n=0,
            at_ms=self._now_ms(),
            product_title=product_title,
            quantity=quantity,
            first_name=first_name,
        )
        await self._log.append(show_id, event_id, event)

    async def personal(self, user_id: str, order: OrderView) -> None:
        await publish_personal(self._redis, user_id, Personal(order=order))
