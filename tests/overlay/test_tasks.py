"""A task that loses a cancellation is ended all the same."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from overlay.tasks import end, together


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
    async with asyncio.timeout(30):
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


async def test_whoever_ends_others_ends_after_them() -> None:
    freed = asyncio.Event()

    async def stubborn() -> None:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    inner = asyncio.create_task(stubborn())
    outer = asyncio.create_task(end([inner]))
    await asyncio.sleep(0)
    outer.cancel()
    await asyncio.sleep(0)
    assert not outer.done()
    freed.set()
    async with asyncio.timeout(30):
        await asyncio.wait([outer])
    assert inner.done()
    assert outer.cancelled()


async def test_what_runs_together_ends_together_though_one_loses_its_cancellation() -> None:
    lost: list[str] = []

    async def forgetful() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append("once")
                if len(lost) > 1:
                    raise

    running = asyncio.create_task(together(forgetful(), asyncio.sleep(60)))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await end([running])
    assert running.cancelled()
    assert len(lost) == 2


async def test_a_failure_ends_the_others_and_is_raised() -> None:
    ended = asyncio.Event()

    async def other() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def broken() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await together(other(), broken())
    assert ended.is_set()
