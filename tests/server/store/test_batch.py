"""Many callers, one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from server.store.batch import Batcher, BatcherFull


class Slow:
    """A call that waits until told, and squares what it is given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        await self.go.wait()
        return [ValueError(str(n)) if n < 0 else n * n for n in items]


async def test_what_arrives_meanwhile_goes_together() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, max_batch=3, max_waiting=10)
    calls = [asyncio.create_task(batcher(n)) for n in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    slow.go.set()
    assert await asyncio.gather(*calls) == [0, 1, 4, 9, 16, 25]
    assert slow.batches == [[0, 1, 2], [3, 4, 5]]


async def test_each_caller_gets_its_own_answer() -> None:
    slow = Slow()
    slow.go.set()
    batcher = Batcher[int, int](slow, max_batch=8, max_waiting=10)
    good, bad = await asyncio.gather(batcher(3), batcher(-1), return_exceptions=True)
    assert good == 9
    assert isinstance(bad, ValueError)


async def test_a_crowd_is_turned_away_and_nothing_is_lost() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, max_batch=1, max_waiting=2)
    first = asyncio.create_task(batcher(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(batcher(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(BatcherFull):
        await batcher(4)
    slow.go.set()
    assert await asyncio.gather(first, *waiting) == [1, 4, 9]


async def test_a_caller_that_leaves_does_not_stop_its_item() -> None:
    slow = Slow()
    batcher = Batcher[int, int](slow, max_batch=4, max_waiting=4)
    leaves, stays = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaves.cancel()
    slow.go.set()
    assert await stays == 4
    assert slow.batches == [[1, 2]]


async def test_a_call_that_fails_fails_for_all_and_the_next_one_works() -> None:
    fail = True

    async def run(items: list[int]) -> list[int]:
        if fail:
            raise OSError("gone")
        return items

    batcher = Batcher[int, int](run, max_batch=4, max_waiting=4)
    lost = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [type(error) for error in lost] == [OSError, OSError]
    fail = False
    assert await batcher(3) == 3


async def test_a_caller_who_comes_again_at_once_is_served() -> None:
    slow = Slow()
    slow.go.set()
    batcher = Batcher[int, int](slow, max_batch=8, max_waiting=10)
    async with asyncio.timeout(30):
        assert [await batcher(n) for n in range(5)] == [0, 1, 4, 9, 16]
