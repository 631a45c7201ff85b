"""The gate's rules, in Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from overlay.log import open_redis
from server.checkout.ports import GateDown
from server.shop.allocation import LineRefused
from server.shop.gate import GateClosed, GateRefused, GateReused, Held, SaleTerms, StockRow
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


async def terms(
    gate: RedisInventory, variant: str, terms: SaleTerms, *, version: int = 2, last: int = 0
) -> bool:
    return await gate.set_terms(SHOP, StockRow(variant, 0, 0, version, terms, last))


def in_ms(after_ms: int) -> int:
    return time.time_ns() // 1_000_000 + after_ms


async def test_before_a_drop_opens_nobody_gets_in_and_is_told_when(gate: RedisInventory) -> None:
    await terms(gate, "cup", SaleTerms(drop_id="d", opens_ms=in_ms(60_000)))
    await load(gate, "cup", 5)  # what is set before the variant is loaded counts at once
    refused = await reserve(gate, "o", ADA, ("cup", 1))
    assert refused.lines[0].code == "not_open_yet"
    assert 50_000 < refused.lines[0].retry_after_ms <= 60_000
    await terms(gate, "cup", SaleTerms(drop_id="d", opens_ms=in_ms(0)))
    assert await reserve(gate, "o", ADA, ("cup", 1)) == Held(position=1)


async def test_a_drops_taps_are_counted_and_a_tap_keeps_its_position(gate: RedisInventory) -> None:
    await load(gate, "cup", 9)
    await terms(gate, "cup", SaleTerms(drop_id="d", opens_ms=1), last=6)
    taps = [await reserve(gate, order, ADA, ("cup", 1)) for order in ("a", "b", "a")]
    assert [(tap.position, tap.again) for tap in taps] == [(7, False), (8, False), (7, True)]
    await terms(gate, "cup", SaleTerms(drop_id="d", opens_ms=1, waiting=True), last=7)
    await terms(gate, "cup", SaleTerms(drop_id="d", opens_ms=1), last=7)
    assert (await reserve(gate, "c", ADA, ("cup", 1))).position == 9
    await terms(gate, "cup", SaleTerms(drop_id="another", opens_ms=1))
    assert (await reserve(gate, "d", ADA, ("cup", 1))).position == 1


async def test_while_people_wait_the_crowd_gets_none(gate: RedisInventory) -> None:
    await load(gate, "cup", 9)
    await terms(gate, "cup", SaleTerms(waiting=True))
    refused = await reserve(gate, "o", ADA, ("cup", 1))
    assert refused == GateRefused((LineRefused("cup", "sold_out", available=0),))
    await terms(gate, "cup", SaleTerms())
    assert await reserve(gate, "o", ADA, ("cup", 1)) == Held()


async def test_older_terms_change_nothing(gate: RedisInventory) -> None:
    await load(gate, "cup", 9)
    assert await terms(gate, "cup", SaleTerms(waiting=True), version=5)
    assert not await terms(gate, "cup", SaleTerms(), version=4)
    assert (await gate.read(SHOP)).variants["cup"].terms == SaleTerms(waiting=True).text()


async def test_a_flash_prices_limit_counts_its_own_units_until_it_ends(gate: RedisInventory) -> None:
    await load(gate, "cup", 99)
    await reserve(gate, "before", ADA, ("cup", 5))
    flash = SaleTerms(flash_id="f", flash_limit=2, flash_ends_ms=in_ms(60_000))
    await terms(gate, "cup", flash)
    assert await reserve(gate, "o1", ADA, ("cup", 2)) == Held()
    over = GateRefused((LineRefused("cup", "buyer_limit", buyer_limit=2),))
    assert await reserve(gate, "o2", ADA, ("cup", 1)) == over
    assert await reserve(gate, "o3", BOB, ("cup", 2)) == Held()
    await gate.release(SHOP, OrderId("o1"))
    assert await reserve(gate, "o2", ADA, ("cup", 2)) == Held()
    await gate.begin(SHOP, OrderId("o2"))
    await gate.confirm(SHOP, OrderId("o2"))
    await gate.forget(SHOP, ADA, [("cup", 2)], {"cup": "f"})
    assert await reserve(gate, "o4", ADA, ("cup", 2)) == Held()
    await terms(gate, "cup", SaleTerms(flash_id="f", flash_limit=2, flash_ends_ms=in_ms(0)))
    assert await reserve(gate, "o5", ADA, ("cup", 9)) == Held()


async def test_an_order_past_the_gate_counts_for_its_buyer_and_can_be_given_back(
    gate: RedisInventory,
) -> None:
    await load(gate, "cup", 5, limit=2)
    assert await gate.restore(SHOP, OrderId("o"), ADA, [("cup", 2)], counted=True)
    assert not await gate.restore(SHOP, OrderId("o"), ADA, [("cup", 2)], counted=True)
    assert (await reserve(gate, "p", ADA, ("cup", 1))).lines[0].code == "buyer_limit"
    await gate.release(SHOP, OrderId("o"))
    assert await left(gate, "cup") == 7
    assert await reserve(gate, "p", ADA, ("cup", 2)) == Held()
