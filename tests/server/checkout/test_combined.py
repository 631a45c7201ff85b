"""Ways to sell and ways to give money back, crossed: two readers find nothing wrong in the books after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from overlay.ports import Refusal
from overlay.selling import ScheduleDrop, StartFlash
from server.jobs.gates import GateMender
from server.jobs.refunds import Refunds
from server.shop.wish import WishLine
from server.store.verify import verify

from .floor import bought, send
from .test_auctions import Saleroom
from .test_refund_runs import carried_out, wish_for
from .test_waitlists import join, places, run_out
from .test_waitlists import wish_for as wish_for_offer
from .world import World


@pytest.fixture
async def proven(world: World, migrated_database_url: str) -> AsyncIterator[World]:
    """A world whose books are right when the test has ended."""
    yield world
    while await world.gatekeeper.mend(world.shop_id):
        pass
    assert (await verify(migrated_database_url)).faults == []
    await world.assert_books_balance()
    await world.assert_gate_agrees()


async def given_back(world: World, order: str, amount: int, *, restock: bool = False) -> None:
    await world.shopkeeper.refund(order, amount, "sorry", await world.person(), restock=restock)
    await Refunds(world.refunds, world.refund_book, world.provider).run()


async def test_a_bag_at_a_limited_flash_price_declined_paid_and_given_back(proven: World) -> None:
    world = proven
    cheap, usual = await world.variant(3), await world.variant(3)
    ada = await world.person("declined")
    terms = {"price_minor": 400, "duration_s": 60, "buyer_limit": 2}
    await send(world, await world.person(), StartFlash, variant_id=cheap, **terms)
    lines = (WishLine(cheap, 2, 400), WishLine(usual, 1, 1_000))
    bag = replace(world.wish(ada), lines=lines)
    await world.charged(bag)
    assert await world.state(bag.order_id) == "declined"
    good = await world.card(ada, "paid")
    await world.buyer.retry(bag.order_id, ada, good)
    await world.queue.idle()
    with pytest.raises(Refusal, match="one buyer"):
        await bought(world, cheap, price=400, user=ada, card_id=good)
    await given_back(world, bag.order_id, 400)
    await wish_for(world, product_id=world.product_id, show_id=None, restock=True)
    await carried_out(world)
    assert await world.state(bag.order_id) == "refunded"
    assert await world.stock_of(cheap) == await world.stock_of(usual) == (3, 0, 0)
    await GateMender(world.pool, world.stock, world.gatekeeper).run()
    await bought(world, cheap, 2, price=400, user=ada, card_id=good)
    await world.queue.idle()


async def test_units_given_back_between_shows_can_be_bought(proven: World) -> None:
    world, variant = proven, await proven.variant(1)
    await world.pool.execute("UPDATE shows SET state = 'ended'")
    order = await bought(world, variant, price=1_000)
    await world.queue.idle()
    await given_back(world, order, 1_490, restock=True)
    await GateMender(world.pool, world.stock, world.gatekeeper).run()
    await bought(world, variant, price=1_000)
    await world.queue.idle()


async def test_units_given_back_go_to_the_line_of_a_drop_past_an_offer_that_ran_out(proven: World) -> None:
    world = proven
    variant, staff = await world.variant(0), await world.person()
    await send(world, staff, ScheduleDrop, variant_id=variant, units=1, opens_in_s=600)
    await world.pool.execute("UPDATE drops SET opens_at = clock_timestamp()")
    await world.ways.drops.advance()
    first = await bought(world, variant, price=1_000)
    await world.queue.idle()
    late, ada, bob = await world.person(), await world.person(), await world.person("declined")
    for person in (late, ada, bob):
        await join(world, variant, person)
    await given_back(world, first, 1_490, restock=True)
    await world.ways.waitlists.serve()
    await run_out(world, variant)
    await world.ways.waitlists.serve()
    assert await places(world, late, ada, bob) == ["expired", "offered", "waiting"]
    bag = await wish_for_offer(world, ada, variant)
    await world.charged(bag)
    await given_back(world, bag.order_id, 1_490, restock=True)
    await world.ways.waitlists.serve()
    await world.charged(await wish_for_offer(world, bob, variant))
    assert await world.stock_of(variant) == (1, 0, 0)
    assert await places(world, ada, bob) == ["bought", "bought"]


async def test_a_show_is_cancelled_while_its_auction_goes_down_the_line(proven: World) -> None:
    world, saleroom = proven, Saleroom(proven)
    variant = await world.variant(1)
    winner, broke, next_in_line = [await world.person(card) for card in ("action", "declined", "paid")]
    auction = await saleroom.opened(variant)
    for person, most in ((next_in_line, 2_000), (broke, 8_000), (winner, 9_000)):
        await saleroom.bid(auction, person, most)
    await saleroom.past_hammer(auction)
    await world.auctioneer.run()
    await world.queue.idle()
    await world.pool.execute("UPDATE shows SET state = 'ended', cancelled_at = now()")
    await wish_for(world, cancels_show=True, restock=True)
    await carried_out(world)
    for order in await world.pool.fetch("SELECT id::text FROM orders WHERE state = 'action_needed'"):
        await world.buyer.call_off(await world.orders.get(order["id"]))
    await saleroom.closed(auction)
    await carried_out(world)
    states = [state for *_, state in await saleroom.offers(auction)]
    assert (states[-1], await saleroom.state(auction)) == ("refunded", "sold"), states
    assert await world.stock_of(variant) == (1, 0, 0)
    assert await world.pool.fetchval("SELECT count(*) FROM refund_runs WHERE done_at IS NULL") == 0
