"""A node's HTTP, and a broadcast that is live."""

import asyncio

import httpx
import pytest


@pytest.fixture
async def http(node):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.http_port}", timeout=30) as client:
        yield client


@pytest.fixture
async def shot(light, camera, node):
    publisher = await light().join("publish.show.key", video=("VP8",))
    running = camera(publisher, codec="VP8")
    running.frame(key=True)
    async with asyncio.timeout(30):
        while "live" not in [str(state) for state, _ in node.sessions.counts().values()]:
            await asyncio.sleep(0.01)
    return running
