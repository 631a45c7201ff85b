"""The overlay role: the live room's websockets, with the shop's tap inside."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

from overlay.gateway import Overlay, OverlaySettings
from overlay.log import open_redis
from server.app.checkout import charging, open_gateway
from server.app.doorman import TicketDoorman
from server.app.rooms import ShopOnAir
from server.config import Settings
from server.store.pool import open_pool
from server.tickets import Tickets

_COLLECT_AFTER = (50_000, 20, 50)


def overlay_settings(settings: Settings) -> OverlaySettings:
    return OverlaySettings(
        host=settings.overlay_host,
        port=settings.overlay_port,
        allowed_origins=(settings.public_url, *settings.allowed_origins),
        process=f"{settings.node_id}:{settings.overlay_port}",
        max_connections=settings.limit_sockets,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _collect_seldom() -> None:
    """A crowd's tasks and futures end by themselves: looking through ten thousand connections for cycles
    again and again would be for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until cancelled, then ask everybody to come back elsewhere and see purchases through."""
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    try:
        async with (
            open_pool(settings.database_url, max_size=settings.database_pool) as pool,
            open_gateway(settings, redis) as gateway,
            charging(pool, redis, gateway) as checkout,
        ):
            doorman = TicketDoorman(pool, Tickets(redis))
            room = Overlay(overlay_settings(settings), doorman, ShopOnAir(checkout, redis), redis, now_ms)
            room.metrics.registry.register(checkout.metrics)
            await room.start()
            _collect_seldom()
            ready()
            try:
                await asyncio.Event().wait()
            finally:
                await room.drain()
                await room.stop()
    finally:
        await redis.aclose()
