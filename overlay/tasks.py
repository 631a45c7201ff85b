"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

CANCEL_AGAIN_AFTER_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done; whatever they raise is theirs to have logged.

    Once is not enough: Python 3.11's `asyncio.wait_for`, which redis-py sends with, forgets a cancellation
    that comes in the moment its work is done (mended in 3.12). Whoever is cancelled while it waits here is so
    when they have ended.
    """
    running = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while running:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_AGAIN_AFTER_S)
        except asyncio.CancelledError as error:
            cancelled = error
        running = {task for task in running if not task.done()}
    if cancelled is not None:
        raise cancelled


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Until all are done, one fails, or this is cancelled: then the others end, for certain, and what failed
    is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(tasks)
    for task in done:
        task.result()
