"""Where the room's selling commands go: each kind to the part of the shop that knows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

from overlay.ports import Actor, RoomSeed, SellingAnswer
from overlay.selling import SellingCommand

Handler: TypeAlias = Callable[[str, Actor, Any], Awaitable[SellingAnswer]]
"""(show id, who, command) → answer. Raises overlay.ports.Refusal; the actor is signed in and permitted."""


class Counter(Protocol):
    """One way to sell: which commands it takes, and what a room that is rebuilt must know of it."""

    def handlers(self) -> Mapping[type[SellingCommand], Handler]: ...

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        """`seed` with this way's own views filled in."""
        ...


class Selling:
    """All the ways a shop sells beyond a pin."""

    def __init__(self, *counters: Counter) -> None:
        self._counters = counters
        self._handlers = {kind: handle for each in counters for kind, handle in each.handlers().items()}

    async def sell(self, show_id: str, actor: Actor, command: SellingCommand) -> SellingAnswer:
        return await self._handlers[type(command)](show_id, actor, command)

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        for counter in self._counters:
            seed = await counter.seed(show_id, seed)
        return seed
