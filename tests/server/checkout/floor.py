"""A show's selling floor in tests: commands as staff and viewers send them, and what the room has heard."""

from __future__ import annotations

import itertools
from typing import Any

from overlay.frames import Offset, ShowId, UserId
from overlay.log import ShowLog
from overlay.ports import Actor, RoomSeed, SellingAnswer
from server.shop.ids import OrderId
from server.shop.ids import UserId as ShopUserId

from .world import World

_ids = (f"command-{n}" for n in itertools.count())


def command_id() -> str:
    return next(_ids)


async def send(world: World, user_id: str, kind: Any, **fields: Any) -> SellingAnswer:
    """Carry a command out as the room does, once permission was given."""
    command = kind(id=fields.pop("id", None) or command_id(), **fields)
    actor = Actor(UserId(user_id), "session", "Ada", frozenset({"producer"}))
    answer: SellingAnswer = await world.selling.sell(world.show_id, actor, command)
    return answer


async def heard(world: World, *kinds: type) -> list[Any]:
    """The events of these kinds in the show's log, oldest first."""
    log = ShowLog(world.redis)
    show_id = ShowId(world.show_id)
    head = await log.head(show_id)
    if head is None:
        return []
    entries = await log.tail(show_id, Offset(head.epoch, 0), None)
    return [entry.event for entry in entries or () if isinstance(entry.event, kinds)]


async def seeded(world: World) -> RoomSeed:
    """What a room that is rebuilt starts from."""
    seed: RoomSeed = await world.room_shop.seed(world.show_id)
    return seed


async def bought(world: World, variant: str, quantity: int = 1, *, price: int, **more: Any) -> OrderId:
    """A new person buys; the order's id. Raises Refusal."""
    user = more.pop("user", None) or await world.person()
    wish = world.wish(ShopUserId(user), (variant, quantity), price=price, **more)
    await world.tap.buy(wish)
    return wish.order_id
