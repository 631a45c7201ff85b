"""The stream role's settings, as the media node takes them."""

from __future__ import annotations

import asyncio

import pytest

from server.app.stream import _end, node_settings
from server.config import Settings


def test_a_node_is_told_what_the_settings_say() -> None:
    told = node_settings(
        Settings(stream_announced=(("203.0.113.7", 0),), stream_public_url="https://media.example")
    )
    assert told.announced == (("203.0.113.7", 0),)
    assert told.public_base_url == "https://media.example"


async def test_a_task_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.stream._LOOK_AGAIN_S", 0.01)
    lost = 0

    async def careless() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                lost += 1
                if lost > 2:
                    raise

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await _end(task)
    assert (lost, task.cancelled()) == (3, True)
