"""A tap, from the gate to the money, on real stores."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from overlay.ports import Refusal
from server.checkout.charge import ChargeQueue
from server.checkout.ports import GateDown
from server.jobs.refunds import Refunds
from server.shop.ids import OrderId, UserId

from .world import World


async def refused(work: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def test_one_tap_is_durable_then_paid(world: World) -> None:
    variant, ada = await world.variant(5), await world.person()
    wish = world.wish(ada, (variant, 2), show_first_name=True)

    view = await world.tap.buy(wish)

    assert (view.state, view.total_minor, view.currency) == ("charging", 2_490, "EUR")
    await world.queue.idle()
    assert await world.state(wish.order_id) == "paid"
    assert await world.stock_of(variant) == (3, 0, 2)
    assert await world.gate_says(variant) == 3
    row = await world.pool.fetchrow("SELECT * FROM orders WHERE id = $1", wish.order_id)
    assert row is not None
    assert (row["tax_minor"], row["shipping_minor"], row["address"]["city"]) == (398, 490, "Berlin")
    told = await world.pool.fetch("SELECT kind, payload FROM outbox ORDER BY id")
    kinds = [row["kind"] for row in told]
    assert kinds == ["stock", "stock", "stock", "personal", "purchased", "order_mail"]
    assert told[4]["payload"]["first_name"] == "Ada"
    history = await world.pool.fetch("SELECT kind FROM order_events ORDER BY id")
    assert [row["kind"] for row in history] == ["placed", "paid"]
    await world.assert_books_balance()


async def test_the_last_unit_sells_once(world: World) -> None:
    variant = await world.variant(1)
    people = [await world.person() for _ in range(20)]
    answers = await asyncio.gather(
        *(world.tap.buy(world.wish(p, (variant, 1))) for p in people), return_exceptions=True
    )
    await world.queue.idle()
    refusals = [a for a in answers if isinstance(a, Refusal)]
    assert len(refusals) == 19
    assert {a.code for a in refusals} == {"sold_out"}
    assert refusals[0].lines[0].available == 0
    assert await world.stock_of(variant) == (0, 0, 1)
    await world.assert_books_balance()
    await world.assert_gate_agrees()


async def test_a_gate_that_lets_too_many_through_sells_no_more(world: World) -> None:
    """PostgreSQL decides: a gate with a wrong number costs a refusal, never a unit that isn't there."""
    variant = await world.variant(3)
    people = [await world.person() for _ in range(10)]
    await world.gatekeeper.open(world.shop_id, [variant])
    view = await world.gate.read(world.shop_id)
    await world.gate.load(
        world.shop_id,
        variant,
        seen_changes=view.variants[variant].changes,
        available=1_000,
        buyer_limit=0,
        version=0,
    )
    answers = await asyncio.gather(
        *(world.tap.buy(world.wish(p, (variant, 1))) for p in people), return_exceptions=True
    )
    await world.queue.idle()
    assert sum(not isinstance(a, Exception) for a in answers) == 3
    assert await world.stock_of(variant) == (0, 0, 3)
    async with asyncio.timeout(30):  # a refusal of PostgreSQL's is the sign to mend
        while await world.gate_says(variant) != 0:
            await asyncio.sleep(0.01)


async def test_a_changed_price_is_refused_and_nothing_held(world: World) -> None:
    variant, ada = await world.variant(5), await world.person()
    await world.shopkeeper.set_price(world.shop_id, variant, 1_200, None)
    answer = await refused(world.tap.buy(world.wish(ada, (variant, 1), price=1_000)))
    assert (answer.code, answer.lines[0].price_minor) == ("price_changed", 1_200)
    forged = await refused(world.tap.buy(world.wish(ada, (variant, 1), price=0)))
    assert forged.code == "price_changed"
    assert await world.stock_of(variant) == (5, 0, 0)
    assert await world.gate_says(variant) == 5


async def test_a_buyers_limit_counts_earlier_orders(world: World) -> None:
    variant, ada, bob = await world.variant(9, limit=2), await world.person(), await world.person()
    await world.charged(world.wish(ada, (variant, 1)))
    over = await refused(world.tap.buy(world.wish(ada, (variant, 2))))
    assert (over.code, over.lines[0].buyer_limit) == ("buyer_limit", 2)
    await world.tap.buy(world.wish(ada, (variant, 1)))
    await world.tap.buy(world.wish(bob, (variant, 2)))
    await world.redis.flushall()
    again = await refused(world.tap.buy(world.wish(ada, (variant, 1))))
    assert again.code == "buyer_limit"
    await world.queue.idle()
    assert await world.stock_of(variant) == (5, 0, 4)


async def test_a_gate_that_counts_too_much_refuses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was away when a refund was carried out."""

    async def away(*_: Any, **__: Any) -> None:
        raise GateDown("away")

    variant, ada = await world.variant(4, limit=1), await world.person()
    first = world.wish(ada, (variant, 1))
    await world.charged(first)
    await world.shopkeeper.refund(first.order_id, 1_490, "late", ada, restock=True)
    with monkeypatch.context() as gone:
        gone.setattr(world.gate, "forget", away)
        await Refunds(world.refunds, world.refund_book, world.provider).run()
    declined = world.wish(ada, (variant, 1), card_id=await world.card(ada, "declined"))
    await world.charged(declined)
    assert await world.state(declined.order_id) == "declined"
    await world.buyer.retry(declined.order_id, ada, await world.card(ada, "paid"))
    await world.queue.idle()
    assert await world.state(declined.order_id) == "paid"
    assert (await refused(world.tap.buy(world.wish(ada, (variant, 1))))).code == "buyer_limit"
    while await world.gatekeeper.mend(world.shop_id):
        pass
    await world.assert_gate_agrees()
    await world.assert_books_balance()


async def test_the_ledger_knows_the_limit_without_the_gate(world: World) -> None:
    variant, ada = await world.variant(9, limit=1), await world.person()
    decisions = await asyncio.gather(*(world.writer.place(world.wish(ada, (variant, 1))) for _ in range(5)))
    assert sum(type(d).__name__ == "Placed" for d in decisions) == 1


async def test_a_repeated_tap_is_one_order(world: World) -> None:
    variant, ada = await world.variant(2), await world.person()
    wish = world.wish(ada, (variant, 1))
    views = await asyncio.gather(*(world.tap.buy(wish) for _ in range(8)))
    assert {v.order_id for v in views} == {wish.order_id}
    await world.queue.idle()
    assert (await world.tap.buy(wish)).state == "paid"
    assert await world.stock_of(variant) == (1, 0, 1)
    await world.assert_gate_agrees()
    assert len(world.provider.intents) == 1
    other = world.wish(ada, (variant, 2), order_id=wish.order_id)
    assert (await refused(world.tap.buy(other))).code == "order_id_reused"
    bob = await world.person()
    stolen = world.wish(bob, (variant, 1), order_id=wish.order_id)
    assert (await refused(world.tap.buy(stolen))).code == "order_id_reused"
    await world.assert_gate_agrees()


async def test_a_repeated_tap_gets_its_order_when_all_is_sold(world: World) -> None:
    variant, ada = await world.variant(1), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    assert (await world.tap.buy(wish)).state == "paid"


async def test_several_lines_all_or_nothing(world: World) -> None:
    cups, hats, ada = await world.variant(5), await world.variant(1), await world.person()
    answer = await refused(world.tap.buy(world.wish(ada, (cups, 2), (hats, 2))))
    assert [(line.variant_id, line.code, line.available) for line in answer.lines] == [(hats, "sold_out", 1)]
    assert await world.stock_of(cups) == (5, 0, 0)
    await world.charged(world.wish(ada, (hats, 1), (cups, 2)))
    assert await world.stock_of(cups) == (3, 0, 2)
    assert await world.stock_of(hats) == (0, 0, 1)
    await world.assert_gate_agrees()


async def test_card_and_address_are_asked_for(world: World) -> None:
    variant = await world.variant(1)
    cardless, homeless = await world.person(card=""), await world.person(address=False)
    assert (await refused(world.tap.buy(world.wish(cardless, (variant, 1))))).code == "no_card"
    assert (await refused(world.tap.buy(world.wish(homeless, (variant, 1))))).code == "no_address"
    ada, bob = await world.person(), await world.person()
    bobs = await world.card(bob, "paid")
    assert (await refused(world.tap.buy(world.wish(ada, (variant, 1), card_id=bobs)))).code == "no_card"
    assert await world.gate_says(variant) == 1


async def test_a_card_that_has_expired_is_charged_only_where_there_is_no_other(world: World) -> None:
    variant, ada = await world.variant(2), await world.person("declined")
    await world.pool.execute("UPDATE cards SET exp_year = 2020, is_default = true")
    only = world.wish(ada, (variant, 1))
    await world.charged(only)
    assert await world.state(only.order_id) == "declined"
    await world.card(ada, "paid")
    await world.pool.execute("UPDATE cards SET created_at = now() - interval '1 h' WHERE exp_year = 2040")
    with_another = world.wish(ada, (variant, 1))
    await world.charged(with_another)
    assert await world.state(with_another.order_id) == "paid"


async def test_a_decline_gives_the_unit_back_and_a_second_card_may_pay(world: World) -> None:
    variant, ada = await world.variant(1), await world.person("declined")
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    view = await world.tap.buy(wish)
    assert (view.state, view.code) == ("declined", "insufficient_funds")
    assert view.message
    assert await world.stock_of(variant) == (1, 0, 0)
    assert await world.gate_says(variant) == 1

    good = await world.card(ada, "paid")
    assert (await world.buyer.retry(wish.order_id, ada, good)).state == "charging"
    await world.queue.idle()
    assert await world.state(wish.order_id) == "paid"
    assert await world.stock_of(variant) == (0, 0, 1)
    keys = await world.pool.fetch("SELECT idempotency_key FROM payment_attempts ORDER BY attempt")
    assert [row[0] for row in keys] == [f"order:{wish.order_id}:1", f"order:{wish.order_id}:2"]
    assert (await refused(world.buyer.retry(wish.order_id, ada, good))).code == "not_declined"
    await world.assert_gate_agrees()


@pytest.mark.parametrize(
    ("price", "old", "state", "code"),
    [
        (1_500, False, "active", None),
        (1_500, True, "active", "price_changed"),
        (900, True, "active", None),
        (1_000, False, "archived", "not_for_sale"),
    ],
)
async def test_a_second_card_buys_what_is_sold_at_a_price_that_was_so_lately(
    world: World, price: int, old: bool, state: str, code: str | None
) -> None:
    variant, ada = await world.variant(1), await world.person("declined")
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    await world.shopkeeper.set_price(world.shop_id, variant, price, None)
    await world.pool.execute("UPDATE variants SET state = $2 WHERE id = $1", variant, state)
    if old:
        await world.pool.execute("UPDATE orders SET created_at = now() - interval '10 min'")
    retry = world.buyer.retry(wish.order_id, ada, await world.card(ada, "paid"))
    if code is None:
        assert (await retry).total_minor == 1_490
    else:
        assert (await refused(retry)).code == code
        assert await world.gate_says(variant) == 1


async def test_a_second_card_finds_the_unit_gone(world: World) -> None:
    variant, ada, bob = await world.variant(1), await world.person("declined"), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    await world.tap.buy(world.wish(bob, (variant, 1)))
    good = await world.card(ada, "paid")
    assert (await refused(world.buyer.retry(wish.order_id, ada, good))).code == "sold_out"
    await world.queue.idle()
    await world.assert_books_balance()
    await world.assert_gate_agrees()


async def test_three_d_secure_confirmed(world: World) -> None:
    variant, ada = await world.variant(1), await world.person("action")
    wish = world.wish(ada, (variant, 1))
    await world.charged(wish)
    view = await world.tap.buy(wish)
    assert (view.state, view.client_secret) == ("action_needed", "pi_0_secret")
    assert await world.stock_of(variant) == (0, 1, 0)
    assert (await world.buyer.authenticated(wish.order_id, ada)).state == "action_needed"
    world.provider.intents["pi_0"].status = "paid"
    done = await world.buyer.authenticated(wish.order_id, ada)
    assert (done.state, done.client_secret) == ("paid", None)
    assert await world.pool.fetchval("SELECT client_secret FROM payment_attempts") is None
    assert await world.stock_of(variant) == (0, 0, 1)


async def test_a_payment_that_wins_against_the_cancel_stays(world: World) -> None:
    variant, ada = await world.variant(2), await world.person("action")
    called_off, raced = world.wish(ada, (variant, 1)), world.wish(ada, (variant, 1))
    for wish in (called_off, raced):
        await world.charged(wish)
    assert (await world.buyer.cancel(called_off.order_id, ada)).state == "cancelled"
    world.provider.intents["pi_1"].status = "paid"
    assert (await world.buyer.cancel(raced.order_id, ada)).state == "paid"
    assert (await refused(world.buyer.cancel(raced.order_id, ada))).code == "not_cancellable"
    assert await world.stock_of(variant) == (1, 0, 1)
    await world.assert_gate_agrees()


async def test_an_order_is_its_buyers_alone(world: World) -> None:
    variant, ada, eve = await world.variant(1), await world.person("action"), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.tap.buy(wish)
    for work in (world.buyer.cancel, world.buyer.authenticated):
        assert (await refused(work(wish.order_id, eve))).code == "no_such_order"
    assert (await refused(world.buyer.order(OrderId(wish.order_id), UserId(eve)))).code == "no_such_order"


async def test_a_bad_order_is_told_why(world: World) -> None:
    variant, ada = await world.variant(1), await world.person()
    for wish in (
        world.wish(ada),
        world.wish(ada, (variant, -1)),
        world.wish(ada, (variant, 1), (variant, 1)),
        world.wish(ada, (variant, 1), price=-5),
    ):
        assert (await refused(world.tap.buy(wish))).code == "bad_order"
    gone = await refused(world.tap.buy(world.wish(ada, ("01890a5d-ac96-774b-bcce-b302099a8057", 1))))
    assert gone.code == "not_for_sale"


async def test_the_producer_counts_again_while_taps_are_held(world: World) -> None:
    variant, ada = await world.variant(3), await world.person("action")
    await world.charged(world.wish(ada, (variant, 2)))
    assert await world.shopkeeper.set_stock(world.shop_id, variant, 10, None) == 10
    assert await world.stock_of(variant) == (10, 2, 0)
    assert await world.gate_says(variant) == 10
    await world.assert_books_balance()


async def test_a_wiped_gate_is_closed_until_it_knows_again(world: World) -> None:
    variant = await world.variant(4)
    people = [await world.person() for _ in range(8)]
    waiting = await world.person("action")
    await world.charged(world.wish(waiting, (variant, 1)))
    await world.redis.flushall()
    await world.redis.function_flush("SYNC")
    assert await world.gate_says(variant) is None
    answers = await asyncio.gather(
        *(world.tap.buy(world.wish(p, (variant, 1))) for p in people), return_exceptions=True
    )
    await world.queue.idle()
    assert sum(not isinstance(a, Exception) for a in answers) == 3
    assert await world.stock_of(variant) == (0, 1, 3)
    view = await world.gate.read(world.shop_id)
    assert [record.state for record in view.orders.values()] == ["paying"]
    await world.assert_gate_agrees()


async def test_a_hold_without_an_order_ends_by_itself(world: World) -> None:
    variant, ada = await world.variant(1), await world.person()
    await world.gatekeeper.open(world.shop_id, [variant])
    ghost = OrderId("01890a5d-ac96-774b-bcce-b302099a8057")
    await world.gate.reserve(world.shop_id, ghost, ada, [(variant, 1)], ttl_ms=60_000)
    assert (await refused(world.tap.buy(world.wish(ada, (variant, 1))))).code == "sold_out"
    await world.redis.zadd(f"hawker:gate:{{{world.shop_id}}}:holds", {ghost: 0})  # time passes
    assert (await world.tap.buy(world.wish(ada, (variant, 1)))).state == "charging"


async def test_charges_wait_for_a_crowd_but_not_for_ever(world: World) -> None:
    charged: list[tuple[str, int]] = []

    class Counting:
        async def charge(self, order_id: str, attempt: int) -> None:
            charged.append((order_id, attempt))

    class Late(ChargeQueue):
        async def _watch_loop(self) -> None:
            self._late_s = 1.0

    queue = Late(Counting(), world.payments, lease_s=1_000, patience_s=600)  # type: ignore[arg-type]
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(0)
    queue.put(OrderId("waits"), 1)
    await asyncio.sleep(0.1)
    assert not charged
    async with asyncio.timeout(30):
        queue._patience_s = 0.0  # it has run out
        await queue.idle()
        queue._late_s, queue._patience_s = 0.0, 600
        queue.put(OrderId("at once"), 1)
        await queue.idle()
    assert charged == [("waits", 1), ("at once", 1)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_queue_sees_that_the_loop_is_late(world: World) -> None:
    await asyncio.sleep(0.1)
    time.sleep(0.3)  # noqa: ASYNC251 - that is the point
    async with asyncio.timeout(30):
        while world.queue._late_s < 0.03:
            await asyncio.sleep(0)


async def test_a_gift_needs_no_payment(world: World) -> None:
    await world.pool.execute("UPDATE shops SET flat_shipping_minor = 0")
    variant = await world.variant(1, price=0)
    wish = world.wish(await world.person(), (variant, 1), price=0)
    await world.charged(wish)
    assert await world.state(wish.order_id) == "paid"
    assert world.provider.charges == 0


async def test_a_store_that_is_down_says_so_and_keeps_the_stock_right(world: World) -> None:
    variant, ada = await world.variant(1), await world.person()
    wish = world.wish(ada, (variant, 1))
    await world.pool.execute("ALTER TABLE orders RENAME TO orders_gone")
    try:
        answer = await refused(world.tap.buy(wish))
    finally:
        await world.pool.execute("ALTER TABLE orders_gone RENAME TO orders")
    assert (answer.code, answer.retry_after_ms) == ("unavailable", 1_000)
    assert await world.stock_of(variant) == (1, 0, 0)
    assert (await world.tap.buy(wish)).state == "charging"
    await world.queue.idle()
    await world.assert_books_balance()


async def test_an_order_that_ends_while_its_variant_is_loaded_closes_nothing(world: World) -> None:
    """After a wipe an order is restored, ends, and so moves a variant that has no number yet."""
    variant, ada, bob = await world.variant(5), await world.person(), await world.person()
    held = world.wish(ada, (variant, 1))
    await world.writer.place(held)
    load, calls = world.gate.load, 0

    async def load_late(*args: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            await world.gate.confirm(world.shop_id, held.order_id)
        return bool(await load(*args, **more))

    world.gate.load = load_late
    assert (await world.tap.buy(world.wish(bob, (variant, 1)))).state == "charging"
    assert calls == 2
    assert await world.gate_says(variant) == 3


async def test_a_gate_that_is_wiped_again_and_again_is_no_reason_to_say_no(world: World) -> None:
    variant, ada = await world.variant(5), await world.person()
    opened = world.gatekeeper.open

    async def open_and_wipe(*args: Any) -> list[str]:
        unknown: list[str] = await opened(*args)
        await world.redis.flushall()
        return unknown

    world.gatekeeper.open = open_and_wipe
    assert (await refused(world.tap.buy(world.wish(ada, (variant, 1))))).code == "unavailable"


async def test_a_batch_whose_ground_moved_is_decided_again(world: World) -> None:
    """Between the look without a lock and the lock, somebody else took units."""
    variant, ada, bob = await world.variant(2), await world.person(), await world.person()
    writer, hurried = world.writer, False
    write = writer._write_orders

    async def write_late(connection: Any, placed: Any) -> None:
        nonlocal hurried
        if not hurried:
            hurried = True
            await world.shopkeeper.set_stock(world.shop_id, variant, 1, None)
        await write(connection, placed)

    writer._write_orders = write_late
    first, second = world.wish(ada, (variant, 1)), world.wish(bob, (variant, 1))
    decisions = await writer._place_all([first, second])
    assert [type(decision).__name__ for decision in decisions] == ["Placed", "Refused"]
    assert await world.stock_of(variant) == (0, 1, 0)
    assert await world.state(second.order_id) is None
    await world.assert_books_balance()


async def test_the_same_tap_in_two_batches_at_once_is_one_order(world: World) -> None:
    variant, ada, bob = await world.variant(9), await world.person(), await world.person()
    same = world.wish(ada, (variant, 1))
    batches = [[same, world.wish(bob, (variant, 1))] for _ in range(3)]
    answers = await asyncio.gather(*(world.writer._place_all(batch) for batch in batches))
    kinds = sorted(type(batch[0]).__name__ for batch in answers)
    assert kinds == ["Placed", "Repeated", "Repeated"]
    assert await world.stock_of(variant) == (5, 4, 0)
    await world.assert_books_balance()


async def test_taps_gate_and_charges_are_counted(world: World) -> None:
    variant, ada, bob = await world.variant(1), await world.person(), await world.person()
    await world.tap.buy(world.wish(ada, (variant, 1)))
    await refused(world.tap.buy(world.wish(bob, (variant, 1))))
    await world.queue.idle()
    registry = CollectorRegistry()
    registry.register(world.checkout.metrics)
    counted = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }
    assert counted["hawker_taps_total", "charging"] == counted["hawker_taps_total", "sold_out"] == 1
    assert counted["hawker_charges_total", "paid"] == 1
    assert counted[("hawker_tap_seconds_count",)] == 2
    assert counted[("hawker_gate_seconds_count",)] >= 2
