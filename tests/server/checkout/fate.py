"""A process that dies at a chosen moment: before or after any call that leaves it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


class Died(BaseException):
    """The process is gone. Nothing of it runs any more, so nothing may catch this."""


@dataclass
class Fate:
    """Dies at the moment numbered `at`; from then on every call dies."""

    at: int
    moments: list[str] = field(default_factory=list)

    @property
    def died(self) -> bool:
        return len(self.moments) > self.at

    def moment(self, name: str) -> None:
        self.moments.append(name)
        if self.died:
            raise Died(name)


class Mortal:
    """A collaborator as a mortal process calls it."""

    def __init__(self, target: Any, fate: Fate) -> None:
        self._target, self._fate = target, fate

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value
        if name == "locked":
            return functools.partial(self._locked, value)

        async def call(*args: Any, **more: Any) -> Any:
            self._fate.moment(f"before {name}")
            answer = await value(*args, **more)
            self._fate.moment(f"after {name}")
            return answer

        return call

    @asynccontextmanager
    async def _locked(self, locked: Any, order_id: str) -> AsyncIterator[Any]:
        self._fate.moment("before locked")
        async with locked(order_id) as order:
            yield Mortal(order, self._fate) if order else None
            self._fate.moment("before commit")
        self._fate.moment("after commit")
