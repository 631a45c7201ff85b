"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_AFTER_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done; whatever they raise is theirs to have logged.

    Once is not enough: Python 3.11's `asyncio.wait_for`, which redis-py sends with, forgets a cancellation
    that comes in the moment its work is done (mended in 3.12).
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_AFTER_S)
