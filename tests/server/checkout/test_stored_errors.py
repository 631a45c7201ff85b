"""A 500 that the provider keeps under a key: the same key says nothing else for a day, whatever was done."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from server.checkout.charge import Charger
from server.jobs.refunds import Refunds
from server.payments.outcomes import ProviderUnavailable
from server.shop.changes import MOST_PROVIDER_ERRORS

from .fate import Fate
from .paying import Paying
from .test_crashes import live_and_die, mortal, recover, worker
from .world import World

CHARGES = ["/v1/payment_intents"]


async def attempts(world: World) -> list[tuple[Any, ...]]:
    rows = await world.pool.fetch(
        "SELECT attempt, state, failure_code FROM payment_attempts ORDER BY order_id, attempt"
    )
    return [tuple(row) for row in rows]


async def buy(world: World, card: str = "paid") -> Any:
    """A tap whose first answer is there."""
    wish = world.wish(await world.person(card), (await world.variant(1), 1))
    await world.charged(wish)
    return wish


async def charge_again(world: World, times: int = 1) -> None:
    for _ in range(times):
        for order_id, attempt in await undecided(world):
            await world.charger.charge(order_id, attempt)


async def at_once(world: World) -> None:
    """What was put off is due."""
    await world.pool.execute("UPDATE payment_attempts SET lease_until = NULL WHERE state = 'unknown'")


async def undecided(world: World) -> list[tuple[Any, int]]:
    rows = await world.pool.fetch(
        "SELECT order_id::text, attempt FROM payment_attempts WHERE state IN ('leased', 'unknown')"
    )
    return [(row[0], row[1]) for row in rows]


async def test_a_charge_that_did_nothing_is_written_down_and_made_again(world: World) -> None:
    world.provider.fail = 1
    wish = await buy(world)
    assert await attempts(world) == [(1, "unknown", None)]  # nobody has said yet that the request is over
    await charge_again(world)
    assert await world.state(wish.order_id) == "paid"
    assert await attempts(world) == [(1, "declined", "provider_error"), (2, "paid", None)]
    kinds = [row["kind"] for row in await world.pool.fetch("SELECT kind FROM order_events ORDER BY id")]
    assert kinds[-2:] == ["charge_repeated", "paid"]
    await world.assert_books_balance()
    await world.assert_gate_agrees()


@pytest.mark.parametrize(
    ("card", "state"), [("paid", "paid"), ("declined", "declined"), ("action", "action_needed")]
)
async def test_a_charge_that_was_made_is_found(world: World, card: str, state: str) -> None:
    world.provider.fail_after = 1
    wish = await buy(world, card)
    assert await world.state(wish.order_id) == "charging"
    await charge_again(world)
    assert await world.state(wish.order_id) == state
    assert len(world.provider.intents) == len(await attempts(world)) == 1
    await world.assert_books_balance()


@pytest.mark.parametrize("ahead_s", [-10_000, 10_000])
async def test_a_charge_that_was_made_is_found_by_a_wrong_clock(world: World, ahead_s: float) -> None:
    world.provider.fail_after = 1
    wish = await buy(world)
    parts = (world.orders, world.payments, world.provider, world.settler)
    await Charger(*parts, wall_clock=lambda: time.time() + ahead_s).charge(wish.order_id, 1)
    assert await world.state(wish.order_id) == "paid"
    assert len(world.provider.intents) == 1


async def test_a_provider_that_only_fails_declines_in_the_end(world: World) -> None:
    world.provider.fail = 100
    wish = await buy(world)
    await charge_again(world, times=2 * MOST_PROVIDER_ERRORS)
    assert await world.state(wish.order_id) == "declined"
    assert await attempts(world) == [
        (n, "declined", "provider_error") for n in range(1, MOST_PROVIDER_ERRORS + 1)
    ]
    view = await world.tap.buy(wish)
    assert view.code == "provider_error"
    assert "Nothing was taken" in view.message
    assert await world.stock_of(wish.lines[0].variant_id) == (1, 0, 0)
    world.provider.fail = 0
    await world.buyer.retry(wish.order_id, wish.user_id, await world.card(wish.user_id, "paid"))
    await world.queue.idle()
    assert await world.state(wish.order_id) == "paid"
    await world.assert_books_balance()


async def test_a_payment_left_unconfirmed_is_ended_before_another_is_made(world: World) -> None:
    world.provider.fail_after = 1
    wish = await buy(world, "unconfirmed")
    world.provider.cards.clear()
    await charge_again(world)
    assert await world.state(wish.order_id) == "paid"
    assert [intent.status for intent in world.provider.intents.values()] == ["cancelled", "paid"]


async def test_a_list_that_fails_decides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*_: Any) -> Any:
        raise ProviderUnavailable("connection_lost", "")

    world.provider.fail = 1
    wish = await buy(world)
    with monkeypatch.context() as cut:
        cut.setattr(world.provider, "list_for_customer", unreachable)
        await charge_again(world, times=3)
    assert await attempts(world) == [(1, "unknown", None)]
    await charge_again(world)
    assert await world.state(wish.order_id) == "paid"


async def test_two_who_learn_it_at_once_make_one_new_attempt(world: World) -> None:
    world.provider.fail = 1
    wish = await buy(world)
    assert await world.settler.spent(wish.order_id, 1) == 2
    assert await world.settler.spent(wish.order_id, 1) is None
    assert [number for number, *_ in await attempts(world)] == [1, 2]


@pytest.mark.parametrize("fault", ["fail", "fail_after"])
async def test_death_at_every_moment(world: World, fault: str) -> None:
    variant = await world.variant(60)
    _, runner = worker(world)
    at = 0
    while True:
        fate = Fate(at)
        setattr(world.provider, fault, 1)
        wish = world.wish(await world.person(), (variant, 1))
        tap, queue, _ = mortal(world, fate)
        await live_and_die(tap, queue, wish)
        if await world.state(wish.order_id):
            await at_once(world)
            await recover(world, runner)
            assert await world.state(wish.order_id) == "paid", fate.moments
            assert len(world.provider.paid(wish.order_id)) == 1, fate.moments
        if not fate.died:
            break
        at += 1


async def test_death_while_the_charge_is_made_again(world: World) -> None:
    _, runner = worker(world)
    at = 0
    while True:
        world.provider.fail = 1
        wish = await buy(world)
        fate = Fate(at)
        _, queue, _ = mortal(world, fate)
        await at_once(world)
        [(order_id, attempt)] = await undecided(world)
        queue.put(order_id, attempt)
        charging, idle = asyncio.create_task(queue.run()), asyncio.create_task(queue.idle())
        await asyncio.wait([charging, idle], return_when=asyncio.FIRST_COMPLETED)
        for task in (charging, idle):
            task.cancel()
        await asyncio.gather(charging, idle, return_exceptions=True)
        await at_once(world)
        await recover(world, runner)
        assert await world.state(wish.order_id) == "paid", fate.moments
        assert len(world.provider.paid(wish.order_id)) == 1, fate.moments
        if not fate.died:
            break
        at += 1
    assert at > 10


async def refunds_due(world: World) -> None:
    """Each is due, and an hour has passed since its request was last seen to have done nothing."""
    await world.pool.execute(
        "UPDATE refunds SET due_at = now() - interval '1 s', unseen_since = unseen_since - interval '1 h'"
    )
    await Refunds(world.refunds, world.refund_book, world.provider).run()


async def test_a_refund_that_did_nothing_is_written_down_and_made_again(world: World) -> None:
    wish = await buy(world)
    world.provider.fail = 2
    await world.shopkeeper.refund(wish.order_id, 600, "late", wish.user_id)
    for _ in range(7):
        await refunds_due(world)
    row = await world.pool.fetchrow("SELECT state, repeats FROM refunds")
    assert tuple(row) == ("done", 2)
    assert world.provider.intents["pi_0"].refunded == 600
    keys = [key for key in (*world.provider.errors, *world.provider.replies) if key.startswith("rf:")]
    assert sorted(key.count(":") for key in keys) == [1, 2, 2]
    told = await world.pool.fetchval("SELECT count(*) FROM order_events WHERE kind = 'refund_repeated'")
    assert told == 2
    await world.assert_books_balance()


async def test_a_refund_that_was_made_is_found_however_late(world: World) -> None:
    wish = await buy(world)
    world.provider.fail_after = 1
    await world.shopkeeper.refund(wish.order_id, 600, "late", wish.user_id)
    await refunds_due(world)
    world.provider.errors.clear()  # a day later the key is forgotten: sent again, it would give back twice
    world.provider.replies.clear()
    await world.pool.execute("UPDATE refunds SET created_at = now() - interval '30 h'")
    await refunds_due(world)
    assert await world.pool.fetchval("SELECT state FROM refunds") == "done"
    assert world.provider.intents["pi_0"].refunded == 600
    await world.assert_books_balance()


async def test_through_stripe_nothing_sticks(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(4)
    for fault in ("server_error", "server_error_after"):
        for card in ("pm_card_visa", "pm_card_chargeCustomerFail"):
            wish = world.wish(await paying.person(card), (variant, 1))
            await paying.faults(once={fault: 1}, only=CHARGES)
            await shop.tap.buy(wish)
            await shop.queue.idle()
            assert await world.state(wish.order_id) == "charging"
            await paying.recover()
            expected = "paid" if card == "pm_card_visa" else "declined"
            assert await world.state(wish.order_id) == expected
            made = [i for i in await paying.audit() if i["metadata"]["order"] == wish.order_id]
            assert len(made) == 1
    assert await world.stock_of(variant) == (2, 0, 2)


@pytest.mark.parametrize("fault", ["server_error", "server_error_after"])
async def test_refunds_through_stripe_go_back_once(paying: Paying, fault: str) -> None:
    world, shop = paying.world, paying.checkout
    wish = await paying.bought("pm_card_visa")
    await shop.shopkeeper.refund(wish.order_id, 600, "late", wish.user_id)
    await paying.faults(once={fault: 1}, only=["/v1/refunds"])
    refunds = Refunds(shop.refunds, shop.refund_book, paying.gateway, proof_s=0)
    for _ in range(3):
        await world.pool.execute("UPDATE refunds SET due_at = now() - interval '1 s'")
        await refunds.run()
    assert await world.pool.fetchval("SELECT state FROM refunds") == "done"
    [intent] = await paying.audit()
    assert [refund["amount"] for refund in intent["refunds"]] == [600]


async def test_a_cancel_is_not_held_up_by_a_stored_error(paying: Paying) -> None:
    world = paying.world
    variant = await world.variant(1)
    wish = await paying.bought("pm_card_authenticationRequired", variant)
    await paying.faults(once={"server_error": 1}, only=CHARGES)
    await paying.recover()  # past the deadline: the first cancel fails
    assert await world.state(wish.order_id) == "cancelled"
    assert await world.stock_of(variant) == (1, 0, 0)
