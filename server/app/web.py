"""The web role: pages, API, webhooks and the public WHIP and WHEP addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from overlay.log import ShowLog, open_redis
from server.app.checkout import charging, open_gateway
from server.app.http import listen, serving
from server.app.rooms import LogRooms
from server.auth.passwords import Passwords
from server.config import Settings
from server.images import Images, ObjectImages
from server.routes.app import build
from server.routes.wiring import wire
from server.store.pool import open_pool

PAGES = Path(__file__).resolve().parents[2] / "web" / "dist"


async def run(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until cancelled."""
    bound = listen(settings.web_host, settings.web_port)
    redis = open_redis(settings.redis_url, connections=settings.redis_pool)
    passwords = Passwords()
    images = Images(
        ObjectImages.open(settings.media_store_url, settings.data_dir),
        most_pixels=settings.limit_image_pixels,
    )
    try:
        async with (
            open_pool(settings.database_url, max_size=settings.database_pool) as pool,
            open_gateway(settings, redis) as gateway,
            charging(pool, redis, gateway) as checkout,
        ):
            deps = wire(
                settings,
                pool,
                redis,
                dist=PAGES,
                passwords=passwords,
                images=images,
                checkout=checkout,
                rooms=LogRooms(ShowLog(redis), redis),
                cards=gateway,
            )
            async with serving(build(deps), bound):
                ready()
                await asyncio.Event().wait()
    finally:
        passwords.close()
        images.close()
        await redis.aclose()
