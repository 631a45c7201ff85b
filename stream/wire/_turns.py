"""Whose turn it is at the sender: steps in order, paced frames in between. Pure: steps, `now` in, steps out.

Order is kept for each lane. While a large frame pauses between two bursts, steps of other lanes go on; what
concerns its lanes is held back, and so is all that follows for those.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple


class Step(NamedTuple):
    """`run(*args)`, for the sender thread; `lanes` are those whose order it takes part in."""

    lanes: tuple[Any, ...]
    run: Callable[..., None]
    args: tuple[Any, ...] = ()


class Turns:
    def __init__(self) -> None:
        self._waiting: deque[Step] = deque()
        self._held: deque[Step] = deque()
        self._paused: list[tuple[float, int, Step]] = []
        self._busy: set[Any] = set()
        """Lanes of what is paused or held."""
        self._order = count()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._held) + len(self._paused)

    def add(self, step: Step) -> None:
        self._waiting.append(step)

    def pause(self, step: Step, until: float) -> None:
        """`step`, the rest of what just ran, goes on at `until`; its lanes wait for it."""
        heapq.heappush(self._paused, (until, next(self._order), step))
        self._busy.update(step.lanes)

    def next(self, now: float) -> Step | None:
        """The step to run now; None when there is none before `wait_s`."""
        if self._paused and self._paused[0][0] <= now:
            _, _, step = heapq.heappop(self._paused)
            self._release()
            return step
        while self._waiting:
            step = self._waiting.popleft()
            if not self._busy or self._busy.isdisjoint(step.lanes):
                return step
            self._held.append(step)
            self._busy.update(step.lanes)
        return None

    def behind(self, step: Step) -> Step | None:
        """What waits right behind `step`, when it is the same thing for the same lanes."""
        if not self._waiting:
            return None
        behind = self._waiting[0]
        same = behind.run == step.run and (behind.lanes is step.lanes or behind.lanes == step.lanes)
        return behind if same else None

    def take_behind(self) -> Step:
        return self._waiting.popleft()

    def wait_s(self, now: float) -> float | None:
        """How long nothing is due, if nothing new comes; None: until something comes."""
        if self._waiting:
            return 0.0
        return max(self._paused[0][0] - now, 0.0) if self._paused else None

    def _release(self) -> None:
        """What was held back is looked at again, in its old order."""
        self._waiting.extendleft(reversed(self._held))
        self._held.clear()
        self._busy = {lane for _, _, step in self._paused for lane in step.lanes}
