"""A task that loses a cancellation is ended all the same."""

from __future__ import annotations

import asyncio

from overlay.tasks import end


async def test_a_lost_cancellation_is_repeated() -> None:
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()


async def test_what_a_task_raised_does_not_stop_the_end_of_others() -> None:
    async def broken() -> None:
        raise ValueError

    tasks = [asyncio.create_task(broken()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.done() for task in tasks)
    assert isinstance(tasks[0].exception(), ValueError)
