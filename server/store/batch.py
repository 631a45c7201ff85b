"""Many callers, one call: what arrives while a call is under way goes together into the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatcherFull(Exception):
    """Too many callers are waiting; nothing was done for this one."""


class Batcher(Generic[Item, Result]):
    """Calls `run` with up to `max_batch` items; it returns a result or an exception for each.

    At most `max_waiting` callers wait, the next is turned away with BatcherFull. An item whose caller was
    cancelled is still carried out. `parallel` calls may be under way at once.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        max_batch: int,
        max_waiting: int,
        parallel: int = 1,
    ) -> None:
        self._run, self._max_batch, self._max_waiting = run, max_batch, max_waiting
        self._parallel = parallel
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        if len(self._waiting) >= self._max_waiting:
            raise BatcherFull
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._tasks) < self._parallel:
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._max_batch)
                await self._carry_out([self._waiting.popleft() for _ in range(size)])
        finally:  # at once: who calls before the task's callbacks have run would wait for nobody
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _carry_out(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
        except Exception as error:
            results = [error] * len(batch)
        except BaseException as ended:
            for _, future in batch:
                future.cancel()
            raise ended
        for (_, future), result in zip(batch, results, strict=True):
            _resolve(future, result)


def _resolve(future: asyncio.Future[Result], result: Result | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
