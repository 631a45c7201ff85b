"""Waitlists on real stores: first come, first served, offers for a time, and nothing promised twice."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from overlay.frames import ShowId
from overlay.frames import UserId as RoomUserId
from overlay.messages import PersonalFrame
from overlay.ports import Refusal
from overlay.selling import (
    DropChanged,
    DropState,
    JoinWaitlist,
    LeaveWaitlist,
    PlaceState,
    PlaceView,
    ScheduleDrop,
    StartFlash,
    Waitlist,
)
from overlay.signals import user_channel
from server.checkout.wiring import checkout
from server.jobs.charges import StaleCharges
from server.jobs.news import OrderMail, Publisher
from server.jobs.ways import ways_news
from server.shop.allocation import Placed, Refused
from server.shop.ids import UserId
from server.shop.wish import Wish
from server.store.outbox import OutboxRow, OutboxStore
from server.store.waitlist import WaitlistStore

from .floor import bought, heard, seeded, send
from .world import World


async def sold_out(world: World, units: int = 1, *, limit: int = 0, card: str = "action") -> str:
    """A variant whose units are all held by an order that waits for its buyer."""
    variant: str = await world.variant(units, limit=limit)
    await bought(world, variant, units, price=1000, user=await world.person(card))
    await world.queue.idle()
    return variant


async def join(world: World, variant: str, user: str, quantity: int = 1) -> PlaceView:
    answer = await send(world, user, JoinWaitlist, variant_id=variant, quantity=quantity)
    assert answer.place is not None
    return answer.place


async def places(world: World, *users: str) -> list[PlaceState]:
    found = [await world.ways.waitlists.of_user(user) for user in users]
    return [PlaceState(rows[0].state.value) for rows in found]


async def offered(world: World, *line: str, units: int = 1, limit: int = 0) -> str:
    """A variant that was sold out; units came back, and the first in line were offered them."""
    variant = await sold_out(world, limit=limit)
    for person in line:
        await join(world, variant, person)
    await restock(world, variant, units)
    await world.ways.waitlists.serve()
    return variant


async def offer(world: World, user: str) -> Any:
    (row, *_) = await world.ways.waitlists.of_user(user)
    assert row.state == "offered"
    return row


async def wish_for(world: World, user: str, variant: str, quantity: int = 1, **more: Any) -> Wish:
    row = await offer(world, user)
    return world.wish(UserId(user), (variant, quantity), offer_id=row.offer_id, **more)


async def restock(world: World, variant: str, units: int) -> None:
    await world.shopkeeper.set_stock(world.shop_id, variant, units, None)


async def run_out(world: World, variant: str) -> None:
    await world.pool.execute(
        "UPDATE waitlist SET offer_ends_at = now() WHERE variant_id = $1 AND state = 'offered'", variant
    )


async def code_of(call: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code


async def test_places_are_in_order_of_joining_and_a_person_has_one(world: World) -> None:
    variant = await sold_out(world)
    people = [await world.person() for _ in range(3)]
    seen = [await join(world, variant, person) for person in people]
    assert [(place.state, place.position) for place in seen] == [(PlaceState.WAITING, n) for n in (1, 2, 3)]
    assert await join(world, variant, people[1]) == seen[1]
    assert await code_of(join(world, variant, people[1], 2)) == "already_waiting"


async def test_nobody_waits_for_what_can_be_bought(world: World) -> None:
    variant, person = await world.variant(1), await world.person()
    assert await code_of(join(world, variant, person)) == "not_sold_out"
    assert await code_of(join(world, "nothing", person)) == "no_such_variant"
    assert await code_of(join(world, world.product_id, person)) == "no_such_variant"


async def test_nobody_waits_for_more_than_they_may_buy(world: World) -> None:
    variant = await sold_out(world, limit=2)
    person = await world.person()
    with pytest.raises(Refusal) as caught:
        await join(world, variant, person, 3)
    assert (caught.value.code, caught.value.lines[0].buyer_limit) == ("buyer_limit", 2)
    await join(world, variant, person, 2)


@pytest.mark.parametrize("wiped", [False, True])
async def test_units_that_come_back_are_for_the_line_and_not_for_the_crowd(world: World, wiped: bool) -> None:
    variant = await sold_out(world)
    ada, bob = await world.person(), await world.person()
    await join(world, variant, ada)
    await join(world, variant, bob)
    await restock(world, variant, 1)
    if wiped:
        await world.redis.flushdb()
    assert await code_of(bought(world, variant, price=1000)) == "sold_out"
    past_the_gate = await world.writer.place(world.wish(await world.person(), (variant, 1)))
    assert isinstance(past_the_gate, Refused)
    assert [v.available for v in await world.stock.on_air([variant])] == [0]
    assert await world.ways.waitlists.serve() == 1
    assert await places(world, ada, bob) == [PlaceState.OFFERED, PlaceState.WAITING]
    assert (await world.stock_of(variant))[:2] == (0, 2)
    assert await code_of(bought(world, variant, price=1000)) == "sold_out"
    await world.assert_books_balance()


async def test_an_offer_is_bought_once_whatever_is_tapped(world: World) -> None:
    ada, bob = await world.person(), await world.person()
    variant = await offered(world, ada)
    first, second = await wish_for(world, ada, variant), await wish_for(world, ada, variant)
    stolen = world.wish(UserId(bob), (variant, 1), offer_id=first.offer_id)
    assert await code_of(world.tap.buy(stolen)) == "offer_over"
    answers = await asyncio.gather(
        *(world.tap.buy(wish) for wish in (first, first, second)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) in (1, 2)
    assert all(isinstance(error, Refusal) and error.code == "offer_over" for error in refused)
    assert len({view.order_id for view in answers if not isinstance(view, BaseException)}) == 1
    await world.queue.idle()
    assert await places(world, ada) == [PlaceState.BOUGHT]
    assert await world.pool.fetchval("SELECT count(*) FROM orders WHERE user_id = $1", ada) == 1
    assert (await world.stock_of(variant))[2] == 1
    await world.assert_books_balance()
    await world.gatekeeper.mend(world.shop_id)
    await world.assert_gate_agrees()


async def test_an_order_by_an_offer_is_answered_again_after_the_offer_is_gone(world: World) -> None:
    ada = await world.person()
    variant = await offered(world, ada)
    wish = await wish_for(world, ada, variant)
    await world.charged(wish)
    assert (await world.tap.buy(wish)).state == "paid"


async def test_an_offer_that_runs_out_goes_to_the_next_once(world: World) -> None:
    ada, bob = await world.person(), await world.person()
    variant = await offered(world, ada, bob)
    wish = await wish_for(world, ada, variant)
    await run_out(world, variant)
    assert await code_of(world.tap.buy(wish)) == "offer_over"
    workers = [checkout(world.pool, world.redis, world.provider).ways.waitlists for _ in range(4)]
    assert sum(await asyncio.gather(*(worker.serve() for worker in workers))) == 2
    assert await places(world, ada, bob) == [PlaceState.EXPIRED, PlaceState.OFFERED]
    assert (await world.stock_of(variant))[:2] == (0, 2)
    await world.tap.buy(await wish_for(world, bob, variant))
    assert await code_of(world.tap.buy(wish)) == "offer_over"
    await world.queue.idle()
    await world.assert_books_balance()


async def test_an_offer_turned_down_goes_to_the_next_and_at_last_to_everyone(world: World) -> None:
    ada, bob = await world.person(), await world.person()
    variant = await offered(world, ada, bob)
    left = await send(world, ada, LeaveWaitlist, variant_id=variant)
    assert left.place is not None
    assert left.place.state is PlaceState.LEFT
    await world.ways.waitlists.serve()
    assert await places(world, bob) == [PlaceState.OFFERED]
    for _ in range(2):
        await send(world, bob, LeaveWaitlist, variant_id=variant)
    await bought(world, variant, price=1000)
    await world.queue.idle()
    await world.assert_books_balance()


async def test_leaving_without_having_been_there_does_nothing(world: World) -> None:
    variant = await sold_out(world)
    answer = await send(world, await world.person(), LeaveWaitlist, variant_id=variant)
    assert answer.place is None


async def test_a_cancelled_order_makes_room_for_the_first_in_line(world: World) -> None:
    variant = await world.variant(1)
    slow = await world.person("action")
    order = await bought(world, variant, price=1000, user=slow)
    await world.queue.idle()
    ada = await world.person()
    await join(world, variant, ada)
    await world.buyer.cancel(order, slow)
    assert await code_of(bought(world, variant, price=1000)) == "sold_out"
    await world.ways.waitlists.serve()
    assert await places(world, ada) == [PlaceState.OFFERED]


async def test_who_wants_more_than_there_is_is_offered_what_there_is(world: World) -> None:
    variant = await sold_out(world)
    ada = await world.person()
    await join(world, variant, ada, 3)
    await restock(world, variant, 2)
    await world.ways.waitlists.serve()
    assert (await offer(world, ada)).offered == 2
    with pytest.raises(Refusal) as caught:
        await world.tap.buy(await wish_for(world, ada, variant, 3))
    assert caught.value.lines[0].available == 2
    await world.charged(await wish_for(world, ada, variant, 1))
    assert (await world.stock_of(variant))[0] == 1
    await world.gatekeeper.mend(world.shop_id)
    await bought(world, variant, price=1000)
    await world.queue.idle()
    await world.assert_books_balance()


async def test_the_buyer_limit_is_asked_again_when_units_are_offered(world: World) -> None:
    variant = await sold_out(world, limit=1)
    ada, bob = await world.person(), await world.person()
    await join(world, variant, ada)
    await join(world, variant, bob)
    other = world.wish(ada, (variant, 1))  # bought past everything meanwhile, in another place
    await world.pool.execute(
        "INSERT INTO orders (id, shop_id, user_id, state, currency, subtotal_minor, shipping_minor,"
        " total_minor, tax_minor, address, request_sha256)"
        " VALUES ($1, $2, $3, 'paid', 'EUR', 0, 0, 0, 0, '{}', '')",
        other.order_id,
        world.shop_id,
        ada,
    )
    await world.pool.execute(
        "INSERT INTO order_lines (order_id, position, variant_id, title, quantity, unit_price_minor)"
        " VALUES ($1, 0, $2, 'Cup', 1, 0)",
        other.order_id,
        variant,
    )
    await restock(world, variant, 1)
    await world.ways.waitlists.serve()
    assert await places(world, ada, bob) == [PlaceState.LEFT, PlaceState.OFFERED]


async def test_an_order_by_offer_counts_for_the_buyer_limit_at_the_gate(world: World) -> None:
    ada = await world.person()
    variant = await offered(world, ada, units=2, limit=1)
    await world.tap.buy(await wish_for(world, ada, variant))
    await world.gatekeeper.mend(world.shop_id)
    assert await code_of(bought(world, variant, price=1000, user=ada)) == "buyer_limit"


async def test_an_offer_survives_a_wiped_gate_and_a_declined_card_frees_its_units(world: World) -> None:
    ada, bob = await world.person("declined"), await world.person()
    variant = await offered(world, ada, bob)
    await world.redis.flushdb()
    await world.charged(await wish_for(world, ada, variant))
    await world.ways.waitlists.serve()
    assert await places(world, ada, bob) == [PlaceState.BOUGHT, PlaceState.OFFERED]
    await world.charged(await wish_for(world, bob, variant))
    await world.assert_books_balance()
    await world.gatekeeper.mend(world.shop_id)
    await world.assert_gate_agrees()


async def test_people_are_told_of_their_places(world: World) -> None:
    variant = await sold_out(world)
    ada, bob = await world.person(), await world.person()
    await join(world, variant, ada)
    await join(world, variant, bob)
    async with world.redis.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.subscribe(user_channel(ada), user_channel(bob))
        await restock(world, variant, 1)
        await world.ways.waitlists.serve()
        assert await world.ways.waitlists.tell_positions() == 1
        assert await world.ways.waitlists.tell_positions() == 0
        told = [await _next(ear) for _ in range(2)]
    assert (told[0].state, told[0].unit_price_minor) == (PlaceState.OFFERED, 1000)
    assert (told[1].state, told[1].position) == (PlaceState.WAITING, 1)


async def test_a_worker_finishes_what_a_process_that_died_began_by_an_offer(world: World) -> None:
    ada = await world.person()
    variant = await offered(world, ada)
    wish = await wish_for(world, ada, variant)
    assert isinstance(await world.writer.place(wish), Placed)  # and then it is gone
    await world.pool.execute("UPDATE payment_attempts SET lease_until = now() - interval '1 s'")
    await StaleCharges(world.payments, world.charger).run()
    assert await world.state(wish.order_id) == "paid"
    assert (await world.tap.buy(wish)).state == "paid"
    await world.gatekeeper.mend(world.shop_id)
    await world.assert_gate_agrees()
    await world.assert_books_balance()


@pytest.mark.parametrize("told", [False, True])
async def test_units_set_aside_by_a_worker_that_died_are_offered_all_the_same(
    world: World, told: bool
) -> None:
    variant = await sold_out(world)
    ada = await world.person()
    await join(world, variant, ada)
    await restock(world, variant, 1)
    store = WaitlistStore(world.pool)
    await store.serve(variant)  # neither the gate nor Ada was told
    assert await store.to_serve() == []
    if told:
        assert await Publisher(OutboxStore(world.pool), "news", ways_news(world.ways)).run()
    await world.gatekeeper.mend(world.shop_id)
    await world.assert_gate_agrees()
    await world.charged(await wish_for(world, ada, variant))
    await world.assert_books_balance()


async def test_who_is_offered_something_gets_a_mail_unless_it_is_over(world: World) -> None:
    ada = await world.person()
    variant = await offered(world, ada)
    sent: list[Any] = []

    async def deliver(payload: Any) -> None:
        sent.append(payload)

    mail = OrderMail(world.pool, deliver, "https://shop.example").handlers()
    row = await world.pool.fetchrow(
        "SELECT id, kind, payload, attempts FROM outbox WHERE kind = 'offer_mail'"
    )
    assert await mail["offer_mail"]([OutboxRow(*row)]) == {}
    (letter,) = sent
    assert (letter["letter"], letter["to"]) == ("offer", f"{ada}@example.org")
    assert letter["values"]["left"] == "2 minutes"
    assert letter["values"]["link"] == "https://shop.example/account/waitlist"
    await run_out(world, variant)
    await mail["offer_mail"]([OutboxRow(*row)])
    assert len(sent) == 1


async def _next(ear: Any) -> PlaceView:
    async with asyncio.timeout(30):
        while (message := await ear.get_message(timeout=1)) is None:
            pass
    frame = msgspec.json.decode(message["data"], type=PersonalFrame)
    assert isinstance(frame, Waitlist)
    return frame.place


async def test_a_drop_is_for_everyone_before_it_is_for_a_line(world: World) -> None:
    variant, staff = await sold_out(world), await world.person()
    early = await world.person()
    await join(world, variant, early)  # before anybody spoke of a drop
    await send(world, staff, ScheduleDrop, variant_id=variant, opens_in_s=60, units=1)
    assert await code_of(join(world, variant, await world.person())) == "not_open_yet"
    assert await world.ways.waitlists.serve() == 0
    await world.pool.execute("UPDATE drops SET opens_at = now()")
    await world.gatekeeper.tell_terms(world.shop_id, variant)
    await bought(world, variant, price=1000, user=await world.person("action"))
    assert await world.ways.waitlists.serve() == 0
    late = await world.person()
    assert (await join(world, variant, late)).position == 2
    assert (await seeded(world)).drops[variant].state is DropState.SOLD_OUT
    await world.ways.drops.tell_lines()
    assert (await heard(world, DropChanged))[-1].drop.waiting == 2
    await restock(world, variant, 1)
    await world.ways.waitlists.serve()
    assert await places(world, early, late) == [PlaceState.OFFERED, PlaceState.WAITING]


async def test_the_room_is_not_told_of_units_that_are_for_the_line(world: World) -> None:
    variant = await sold_out(world)
    await join(world, variant, await world.person())
    staff = RoomUserId(await world.person())
    assert await world.room_shop.set_stock(ShowId(world.show_id), variant, 2, staff) == 0


async def test_nobody_is_offered_more_than_a_flash_price_lets_them_buy(world: World) -> None:
    variant, staff = await sold_out(world), await world.person()
    ada, bob = await world.person(), await world.person()
    await join(world, variant, ada, 3)
    await join(world, variant, bob, 1)
    await send(world, staff, StartFlash, variant_id=variant, price_minor=600, duration_s=60, buyer_limit=1)
    await restock(world, variant, 2)
    await world.ways.waitlists.serve()
    assert [(await offer(world, who)).offered for who in (ada, bob)] == [1, 1]
    await world.tap.buy(await wish_for(world, ada, variant, price=600))


async def test_an_offer_stands_though_a_drop_is_scheduled_after_it(world: World) -> None:
    variant, staff = await sold_out(world), await world.person()
    ada = await world.person()
    await join(world, variant, ada)
    await restock(world, variant, 1)
    await world.ways.waitlists.serve()
    wish = await wish_for(world, ada, variant)
    await send(world, staff, ScheduleDrop, variant_id=variant, opens_in_s=60, units=5)
    assert await code_of(bought(world, variant, price=1000)) == "not_open_yet"
    assert (await world.tap.buy(wish)).state == "charging"
    assert await world.stock_of(variant) == (5, 2, 0)
    await world.assert_books_balance()


async def test_who_starts_a_drop_says_how_long_its_offers_stand(world: World) -> None:
    variant, staff = await sold_out(world), await world.person()
    await send(world, staff, ScheduleDrop, variant_id=variant, opens_in_s=60, units=1, offer_s=600)
    await world.pool.execute("UPDATE drops SET opens_at = now()")
    await world.gatekeeper.tell_terms(world.shop_id, variant)
    await bought(world, variant, price=1000, user=await world.person("action"))
    waiting = await world.person()
    await join(world, variant, waiting)
    await restock(world, variant, 1)
    await world.ways.waitlists.serve()
    left_s = await world.pool.fetchval(
        "SELECT extract(epoch FROM offer_ends_at - now())::float FROM waitlist WHERE state = 'offered'"
    )
    assert 500 < left_s <= 600


async def test_a_crowd_a_line_and_restocking_never_sell_more_than_there_is(world: World) -> None:
    variant = await sold_out(world)
    line = [await world.person() for _ in range(6)]
    for person in line:
        await join(world, variant, person)

    bought_by: list[str] = []

    async def wait_and_buy(person: str) -> None:
        while len(bought_by) < 4:
            (row, *_) = await world.ways.waitlists.of_user(person)
            if row.state == "offered":
                await world.tap.buy(await wish_for(world, person, variant))
                bought_by.append(person)
                return
            await asyncio.sleep(0.02)

    async def crowd() -> None:
        for _ in range(10):
            with pytest.raises(Refusal):
                await bought(world, variant, price=1000)

    async def serve() -> None:
        while len(bought_by) < 4:
            await world.ways.waitlists.serve()
            await asyncio.sleep(0.02)

    await restock(world, variant, 4)
    async with asyncio.timeout(30):
        await asyncio.gather(crowd(), crowd(), serve(), serve(), *map(wait_and_buy, line))
    await world.queue.idle()
    assert await world.ways.waitlists.serve() == 0
    assert await places(world, *line) == [PlaceState.BOUGHT] * 4 + [PlaceState.WAITING] * 2
    await world.assert_books_balance()
