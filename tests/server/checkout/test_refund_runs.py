"""Money back for many orders: each asked for once, whoever dies, and never more than is left."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from overlay.ports import Refusal
from overlay.selling import AnnounceAuction, OpenAuction, ScheduleDrop, StartFlash
from server.checkout.refund_runs import RefundRuns
from server.jobs.refunds import Refunds
from server.shop import settlement
from server.shop.changes import NotPossible
from server.store import refund_runs
from server.store.pool import transaction
from server.store.refund_runs import Progress, Run, RunStore

from .fate import Died, Fate, Mortal
from .floor import bought, send
from .world import World

PRICE, SHIPPING = 1_000, 490
WHOLE = PRICE + SHIPPING


async def wish_for(world: World, **more: Any) -> Run:
    terms: dict[str, Any] = {
        "id": str(uuid4()),
        "shop_id": world.shop_id,
        "show_id": world.show_id,
        "product_id": None,
        "cancels_show": False,
        "sent_too": False,
        "restock": False,
        "reason": "The kiln broke",
        "asked_by": await world.person(),
    }
    run = Run(**terms | more)
    async with transaction(world.pool) as db:
        assert await refund_runs.add(db, run)
        assert not await refund_runs.add(db, run)
    return run


async def later(world: World) -> None:
    """Minutes have passed since everything."""
    await world.pool.execute("UPDATE orders SET created_at = created_at - interval '1 h'")
    await world.pool.execute(
        "UPDATE refund_runs SET created_at = created_at - interval '1 min', due_at = now() - interval '1 s'"
    )


async def carried_out(world: World, times: int = 3) -> None:
    """The worker goes on until nothing is left to do."""
    for _ in range(times):
        await later(world)
        while await world.refund_runs.run():
            pass
        await Refunds(world.refunds, world.refund_book, world.provider).run()


async def seen(world: World, run: Run) -> Progress:
    async with transaction(world.pool) as db:
        found = await refund_runs.progress(db, run.shop_id, run.id)
    assert found is not None
    return found


async def paid(world: World, variant: str, **more: Any) -> str:
    order_id = await bought(world, variant, price=PRICE, **more)
    await world.queue.idle()
    assert await world.state(order_id) == "paid"
    return order_id


async def test_all_paid_orders_of_a_show_get_back_what_is_left(world: World) -> None:
    variant = await world.variant(9)
    staff = await world.person()
    whole, part, sent = [await paid(world, variant) for _ in range(3)]
    await world.shopkeeper.refund(part, 500, "scratched", staff)
    await world.shopkeeper.fulfil(sent, staff)
    async with transaction(world.pool) as db:
        reach = await refund_runs.reach(db, world.shop_id, world.show_id, None)
    assert (reach.to_send, reach.to_send_minor) == (2, 2 * WHOLE - 500)
    assert (reach.sent, reach.sent_minor) == (1, WHOLE)
    run = await wish_for(world, restock=True)
    await later(world)
    await world.refund_runs.run()
    with pytest.raises(NotPossible, match="being given back"):
        await world.shopkeeper.fulfil(whole, staff)
    await carried_out(world)
    rows = await world.pool.fetch("SELECT id::text, state, refunded_minor FROM orders")
    assert {row[0]: tuple(row)[1:] for row in rows} == {
        whole: ("refunded", WHOLE),
        part: ("refunded", WHOLE),
        sent: ("fulfilled", 0),
    }
    assert await world.stock_of(variant) == (8, 0, 1)
    progress = await seen(world, run)
    assert (progress.asked, progress.given, progress.failed) == (2, 2, 0)
    assert progress.given_minor == 2 * WHOLE - 500
    assert progress.done_at is not None
    why = await world.pool.fetch(
        "SELECT DISTINCT detail ->> 'reason' FROM order_events WHERE kind = 'refund_asked'"
    )
    assert {row[0] for row in why} == {"scratched", "The kiln broke"}
    await wish_for(world, sent_too=True)
    await carried_out(world)
    assert await world.state(sent) == "refunded"
    assert await world.stock_of(variant) == (8, 0, 1)
    await world.assert_books_balance()


async def test_of_a_bag_only_what_was_withdrawn_is_given_back(world: World) -> None:
    withdrawn, other = await world.variant(3), await world.variant(3)
    other_product = str(uuid4())
    await world.pool.execute(
        "INSERT INTO products (id, shop_id, handle, title) VALUES ($1, $2, 'jug', 'Jug')",
        other_product,
        world.shop_id,
    )
    await world.pool.execute("UPDATE variants SET product_id = $1 WHERE id = $2", other_product, other)
    wish = world.wish(await world.person(), (withdrawn, 2), (other, 1))
    await world.tap.buy(wish)
    only, unconcerned = await paid(world, withdrawn), await paid(world, other)
    await world.queue.idle()
    run = await wish_for(world, show_id=None, product_id=world.product_id, restock=True)
    await carried_out(world)
    rows = await world.pool.fetch("SELECT id::text, state, refunded_minor FROM orders")
    assert {row[0]: tuple(row)[1:] for row in rows} == {
        wish.order_id: ("paid", 2 * PRICE),
        only: ("refunded", WHOLE),
        unconcerned: ("paid", 0),
    }
    assert (await seen(world, run)).asked == 2
    await world.assert_books_balance()


async def test_an_order_that_is_being_charged_is_waited_for(world: World) -> None:
    variant = await world.variant(3)
    waiting = await bought(world, variant, price=PRICE, user=await world.person("action"))
    declined = await bought(world, variant, price=PRICE, user=(ada := await world.person("declined")))
    await world.queue.idle()
    assert [await world.state(o) for o in (waiting, declined)] == ["action_needed", "declined"]
    run = await wish_for(world, cancels_show=True)
    await carried_out(world)
    assert (await seen(world, run)).done_at is None
    (intent,) = [one for one in world.provider.intents.values() if one.order_id == waiting]
    intent.status = "paid"
    await world.settler.settle(waiting, 1, settlement.Paid(intent.id, WHOLE))
    await carried_out(world)
    assert await world.state(waiting) == "refunded"
    assert (await seen(world, run)).done_at is not None
    with pytest.raises(Refusal) as refused:  # nobody pays for it any more
        await world.buyer.retry(declined, ada, await world.card(ada, "paid"))
    assert refused.value.code == "not_for_sale"
    await world.assert_books_balance()


async def test_a_cancelled_show_sells_nothing_any_more(world: World) -> None:
    staff = await world.person()
    dropped, auctioned, cheap = await world.variant(5), await world.variant(2), await world.variant(1)
    await send(world, staff, ScheduleDrop, variant_id=dropped, units=9, opens_in_s=600)
    await send(world, staff, StartFlash, variant_id=cheap, price_minor=10, duration_s=600)
    terms = {"start_minor": 1_000, "increment_minor": 100, "duration_s": 60}
    await send(world, staff, AnnounceAuction, variant_id=auctioned, **terms)
    auction = await world.pool.fetchval("SELECT id::text FROM auctions")
    await send(world, staff, OpenAuction, auction_id=auction)
    await world.pool.execute("UPDATE shows SET state = 'ended', cancelled_at = now()")
    run = await wish_for(world, cancels_show=True)
    await carried_out(world)
    assert await world.pool.fetchval("SELECT state FROM drops") == "cancelled"
    assert await world.pool.fetchval("SELECT state FROM auctions") == "cancelled"
    assert await world.stock_of(dropped) == (5, 0, 0)
    assert await world.stock_of(auctioned) == (2, 0, 0)
    with pytest.raises(Refusal) as refused:
        await bought(world, cheap, price=10)
    assert refused.value.code == "price_changed"
    assert (await seen(world, run)).done_at is not None
    await world.assert_gate_agrees()


async def test_death_at_every_moment_of_a_run_and_two_workers(world: World) -> None:
    variant = await world.variant(90)
    store, at = RunStore(world.pool, lease_s=0.01), 0
    while True:
        orders = [await paid(world, variant), await paid(world, variant)]
        await wish_for(world)
        await later(world)
        fate = Fate(at)
        mortal = RefundRuns(Mortal(store, fate), Mortal(world.orders, fate), world.selling)  # type: ignore[arg-type]
        try:
            while await mortal.run():
                pass
        except Died:
            pass
        await later(world)
        await asyncio.gather(*(RefundRuns(store, world.orders, world.selling).run() for _ in range(2)))
        await carried_out(world, 1)
        assert [await world.state(order) for order in orders] == ["refunded"] * 2, fate.moments
        if not fate.died:
            break
        at += 2
    assert at > 10
    asked = await world.pool.fetch("SELECT count(*) FROM refunds GROUP BY order_id")
    assert {row[0] for row in asked} == {1}
    await world.assert_books_balance()
