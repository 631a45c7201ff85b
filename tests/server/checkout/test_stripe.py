"""The same tap through the real stripe client, against the payment simulator and its faults."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from overlay.ports import Refusal
from server.store.book_checks import JobMarks

from .paying import Paying


async def test_paid_declined_and_confirmed(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(3)
    good, poor, careful = [
        await paying.person(card)
        for card in ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired")
    ]
    wishes = [world.wish(person, (variant, 1)) for person in (good, poor, careful)]
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    views = [await shop.tap.buy(wish) for wish in wishes]
    assert [view.state for view in views] == ["paid", "declined", "action_needed"]
    assert views[1].code
    assert await world.stock_of(variant) == (1, 1, 1)

    await paying.bank_says("approve", views[2])
    assert (await shop.buyer.authenticated(wishes[2].order_id, careful)).state == "paid"
    assert await world.stock_of(variant) == (1, 0, 2)
    await world.assert_gate_agrees()


async def test_the_bank_says_no_and_the_unit_comes_back(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = await paying.bought("pm_card_authenticationRequired", variant)
    await paying.bank_says("refuse", await shop.tap.buy(wish))
    view = await shop.buyer.authenticated(wish.order_id, wish.user_id)
    assert (view.state, view.code) == ("declined", "payment_intent_authentication_failure")
    assert await world.stock_of(variant) == (1, 0, 0)


async def test_after_the_bank_said_no_the_page_can_pay_no_more(paying: Paying) -> None:
    """The page still has the client secret; the unit is somebody else's by now."""
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = await paying.bought("pm_card_authenticationRequired", variant)
    view = await shop.tap.buy(wish)
    await paying.bank_says("refuse", view)
    await paying.faults(seed=3, server_error=1.0)
    with pytest.raises(Refusal, match="payment"):
        await shop.buyer.authenticated(wish.order_id, wish.user_id)
    assert await world.stock_of(variant) == (0, 1, 0)  # not let go while the payment could still be made
    await paying.faults(seed=3)
    await shop.buyer.authenticated(wish.order_id, wish.user_id)
    assert await world.stock_of(variant) == (1, 0, 0)
    assert [intent["status"] for intent in await paying.audit()] == ["canceled"]
    with pytest.raises(httpx.HTTPStatusError):
        await paying.confirm_in_page(view, "pm_card_visa")
    other = await paying.bought("pm_card_visa", variant)
    assert await world.state(other.order_id) == "paid"


async def test_a_death_after_the_cancelling_is_still_a_decline(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    wish = await paying.bought("pm_card_authenticationRequired")
    view = await shop.tap.buy(wish)
    await paying.bank_says("refuse", view)
    intent = view.client_secret.split("_secret")[0]
    await paying.gateway.cancel(intent)
    await shop.settler.payment(await paying.gateway.retrieve(intent))
    assert await world.state(wish.order_id) == "declined"


async def test_confirming_races_with_calling_off(paying: Paying) -> None:
    """Whoever is first at the provider wins; order, stock and money agree with it."""
    world, shop = paying.world, paying.checkout
    variant = await world.variant(8)
    wishes = [
        world.wish(await paying.person("pm_card_authenticationRequired"), (variant, 1)) for _ in range(8)
    ]
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    views = [await shop.tap.buy(wish) for wish in wishes]
    work = [
        job
        for wish, view in zip(wishes, views, strict=True)
        for job in (paying.bank_says("approve", view), shop.buyer.cancel(wish.order_id, wish.user_id))
    ]
    await asyncio.gather(*work, return_exceptions=True)
    await paying.recover()
    paid = {i["metadata"]["order"] for i in await paying.audit() if i["status"] == "succeeded"}
    states = {wish.order_id: await world.state(wish.order_id) for wish in wishes}
    assert states == {w.order_id: "paid" if w.order_id in paid else "cancelled" for w in wishes}
    assert await world.stock_of(variant) == (8 - len(paid), 0, len(paid))


async def test_nobody_confirms_and_the_unit_comes_back(paying: Paying) -> None:
    world = paying.world
    variant = await world.variant(1)
    wish = await paying.bought("pm_card_authenticationRequired", variant)
    await asyncio.sleep(0.2)
    await paying.recover()
    assert await world.state(wish.order_id) == "cancelled"
    assert await world.stock_of(variant) == (1, 0, 0)
    assert [intent["status"] for intent in await paying.audit()] == ["canceled"]


async def test_lost_replies_and_refused_turns_charge_once(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(12)
    wishes = [world.wish(await paying.person("pm_card_visa"), (variant, 1)) for _ in range(12)]
    await paying.faults(seed=7, reply_lost=0.4, rate_limited=0.2)
    for wish in wishes:
        await shop.tap.buy(wish)
    await shop.queue.idle()
    await paying.recover()
    await paying.faults(seed=7)
    assert await world.stock_of(variant) == (0, 0, 12)
    paid = [intent for intent in await paying.audit() if intent["status"] == "succeeded"]
    assert sorted(i["metadata"]["order"] for i in paid) == sorted(w.order_id for w in wishes)


async def test_money_goes_back_through_stripe(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    wish = await paying.bought("pm_card_visa")
    await shop.shopkeeper.refund(wish.order_id, 490, "shipping", wish.user_id)
    await shop.shopkeeper.refund(wish.order_id, 1_000, "the rest", wish.user_id)
    await paying.worker.once()
    assert await world.state(wish.order_id) == "refunded"


async def test_a_saved_card_that_has_expired_and_then_another(paying: Paying) -> None:
    world, shop = paying.world, paying.checkout
    variant = await world.variant(1)
    wish = await paying.bought("pm_sim_savedExpiredCard", variant)
    view = await shop.tap.buy(wish)
    assert (view.state, view.code) == ("declined", "expired_card")
    assert await world.stock_of(variant) == (1, 0, 0)
    other = await paying.another_card(wish.user_id, "pm_card_visa")
    await shop.buyer.retry(wish.order_id, wish.user_id, other)
    await shop.queue.idle()
    assert await world.state(wish.order_id) == "paid"
    assert [i["status"] for i in await paying.audit()].count("succeeded") == 1


async def test_a_refund_that_the_bank_sends_back_is_told_once(
    paying: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    world, shop = paying.world, paying.checkout
    wish = await paying.bought("pm_card_refundFail")
    await shop.shopkeeper.refund(wish.order_id, 490, "late", wish.user_id)
    await JobMarks(world.pool).note("sweep", datetime.now(UTC))
    for _ in range(3):  # the refund, the sweep that finds its failure, the inbox
        await paying.worker.once()
    kinds = await world.pool.fetch("SELECT kind FROM order_events ORDER BY id")
    assert [row["kind"] for row in kinds].count("refund_came_back") == 1
    assert [r.levelname for r in caplog.records if r.message == "refund_came_back"] == ["CRITICAL"]
