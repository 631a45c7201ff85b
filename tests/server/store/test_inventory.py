"""The gate's rules, in Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from overlay.log import open_redis
from server.checkout.ports import GateDown
from server.shop.allocation import LineRefused
from server.shop.gate import GateClosed, GateRefused, GateReused, Held
from server.shop.ids import OrderId, ShopId, UserId
from server.store.gate_link import Address, GateLink
from server.store.inventory import RedisInventory

SHOP, ADA, BOB = ShopId("shop"), UserId("ada"), UserId("bob")


@pytest.fixture(params=["client", "link"])
async def gate(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[RedisInventory]:
    """By the client, as on a cluster, and by the link, as everywhere else."""
    async with open_redis(redis_url) as redis:
        link = GateLink(Address.of(redis)) if request.param == "link" else None
        yield RedisInventory(redis, link=link)
        if link is not None:
            await link.close()


async def load(gate: RedisInventory, variant: str, available: int, limit: int = 0, **more: Any) -> bool:
    changes = more.pop("seen_changes", "")
    return await gate.load(
        SHOP, variant, seen_changes=changes, available=available, buyer_limit=limit, version=1, **more
    )


async def reserve(gate: RedisInventory, order: str, buyer: UserId, *lines: tuple[str, int]) -> Any:
    return await gate.reserve(SHOP, OrderId(order), buyer, lines, 60_000)


async def left(gate: RedisInventory, variant: str) -> int:
    return (await gate.read(SHOP)).variants[variant].available


async def test_what_is_not_known_is_closed(gate: RedisInventory) -> None:
    await load(gate, "cup", 1)
    assert await reserve(gate, "o", ADA, ("cup", 1), ("hat", 1)) == GateClosed(("hat",))
    assert await left(gate, "cup") == 1


async def test_all_lines_or_none(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    await load(gate, "hat", 1, limit=1)
    refused = await reserve(gate, "o", ADA, ("hat", 2), ("cup", 6))
    assert refused == GateRefused(
        (LineRefused("cup", "sold_out", available=5), LineRefused("hat", "sold_out", available=1))
    )
    assert await reserve(gate, "o", ADA, ("hat", 1), ("cup", 5)) == Held()
    assert [await left(gate, v) for v in ("cup", "hat")] == [0, 0]


async def test_an_order_id_holds_once(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    answers = await asyncio.gather(*(reserve(gate, "o", ADA, ("cup", 2)) for _ in range(10)))
    assert sorted(answer.again for answer in answers) == [False] + [True] * 9
    assert await left(gate, "cup") == 3
    assert await reserve(gate, "o", ADA, ("cup", 1)) == GateReused()
    assert await reserve(gate, "o", BOB, ("cup", 2)) == GateReused()


async def test_a_hold_given_back_twice_comes_back_once(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    await reserve(gate, "o", ADA, ("cup", 2))
    order = OrderId("o")
    assert [await gate.release(SHOP, order), await gate.release(SHOP, order)] == [True, False]
    assert await left(gate, "cup") == 5
    assert not await gate.begin(SHOP, order)


async def test_what_is_being_paid_does_not_end_by_itself(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    order = OrderId("o")
    await gate.reserve(SHOP, order, ADA, [("cup", 2)], 0)
    await gate.reserve(SHOP, OrderId("p"), ADA, [("cup", 1)], 60_000)  # its sweep ends the first
    assert await left(gate, "cup") == 4
    await gate.begin(SHOP, OrderId("p"))
    assert not await gate.release(SHOP, OrderId("p"), only_held=True)
    assert await gate.confirm(SHOP, OrderId("p"))
    assert not await gate.confirm(SHOP, OrderId("p"))
    assert await left(gate, "cup") == 4


async def test_a_buyers_units_are_counted_until_given_back(gate: RedisInventory) -> None:
    await load(gate, "cup", 9, limit=3, bought=[(ADA, 1)])
    over = GateRefused((LineRefused("cup", "buyer_limit", buyer_limit=3),))
    assert await reserve(gate, "o1", ADA, ("cup", 3)) == over
    assert await reserve(gate, "o1", ADA, ("cup", 2)) == Held()
    assert await reserve(gate, "o2", BOB, ("cup", 3)) == Held()
    assert await reserve(gate, "o3", ADA, ("cup", 1)) == over
    await gate.release(SHOP, OrderId("o1"))
    assert await reserve(gate, "o3", ADA, ("cup", 2)) == Held()
    await gate.forget(SHOP, ADA, [("cup", 1)])
    assert await reserve(gate, "o4", ADA, ("cup", 1)) == Held()


async def test_a_number_from_an_older_look_is_refused(gate: RedisInventory) -> None:
    assert await load(gate, "cup", 5)
    assert not await load(gate, "cup", 7)
    seen = (await gate.read(SHOP)).variants["cup"].changes
    await reserve(gate, "o", ADA, ("cup", 1))
    assert not await load(gate, "cup", 9, seen_changes=seen)
    assert await left(gate, "cup") == 4


async def test_a_change_that_was_loaded_already_is_not_added_again(gate: RedisInventory) -> None:
    assert not await gate.set_available(SHOP, "cup", 3, 2)
    await load(gate, "cup", 5)
    assert not await gate.set_available(SHOP, "cup", 3, 1)
    assert await gate.set_available(SHOP, "cup", 3, 2)
    assert await gate.set_available(SHOP, "cup", -10, 3)
    assert await left(gate, "cup") == -2
    refused = await reserve(gate, "o", ADA, ("cup", 1))
    assert refused == GateRefused((LineRefused("cup", "sold_out", available=0),))


async def test_an_order_of_postgresqls_is_restored_without_counting(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    order = OrderId("o")
    assert await gate.restore(SHOP, order, ADA, [("cup", 2)])
    assert not await gate.restore(SHOP, order, ADA, [("cup", 2)])
    assert await left(gate, "cup") == 5
    await gate.release(SHOP, order)
    assert await left(gate, "cup") == 7


async def test_shops_are_apart(gate: RedisInventory) -> None:
    await load(gate, "cup", 5)
    answer = await gate.reserve(ShopId("other"), OrderId("o"), ADA, [("cup", 1)], 1_000)
    assert answer == GateClosed(("cup",))


async def test_every_key_of_a_shop_has_its_tag(gate: RedisInventory, redis_url: str) -> None:
    await load(gate, "cup", 5, limit=2)
    await reserve(gate, "o", ADA, ("cup", 1))
    async with open_redis(redis_url) as redis:
        keys = await redis.keys("*")
    assert len(keys) == 4
    assert all(b"{shop}" in key for key in keys)


async def test_a_gate_that_is_down_says_so() -> None:
    async with open_redis("unix:///nonexistent/valkey.sock") as redis:
        with pytest.raises(GateDown):
            await RedisInventory(redis).read(SHOP)
