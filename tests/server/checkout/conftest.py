"""A shop on real PostgreSQL and Valkey, charging as the overlay process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from overlay.log import open_redis
from server.store.pool import open_pool

from .paying import Paying, open_paying
from .world import World, build, empty, seed


@pytest.fixture
async def world(migrated_database_url: str, redis_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(migrated_database_url, max_size=12))
        redis = await stack.enter_async_context(open_redis(redis_url))
        world = build(pool, redis)
        await empty(pool)
        await seed(world)
        charging = asyncio.create_task(world.queue.run())
        yield world
        charging.cancel()
        await world.teller.close()
        await world.gatekeeper.close()
        await asyncio.gather(charging, return_exceptions=True)


@pytest.fixture
async def paying(world: World, tmp_path: Path) -> AsyncIterator[Paying]:
    async with open_paying(world, tmp_path) as paying:
        yield paying
