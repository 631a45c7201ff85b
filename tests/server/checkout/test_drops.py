"""Drops on real stores: closed for everyone until the second, then first come, first served."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from overlay.messages import OrderView
from overlay.ports import Refusal
from overlay.selling import CancelDrop, DropChanged, DropState, DropView, ScheduleDrop
from server.checkout.wiring import checkout
from server.jobs.news import Publisher
from server.jobs.ways import ways_news
from server.shop.allocation import Placed, Refused
from server.store.outbox import OutboxStore

from .floor import bought, heard, seeded, send
from .world import World


async def schedule(world: World, variant: str, units: int = 3, **more: object) -> DropView:
    staff = more.pop("staff", None) or await world.person()
    more.setdefault("opens_in_s", 60)
    await send(world, str(staff), ScheduleDrop, variant_id=variant, units=units, **more)
    return (await seeded(world)).drops[variant]


async def open_in(world: World, variant: str, seconds: float) -> None:
    """Move the opening, as PostgreSQL and the gate know it."""
    await world.pool.execute(
        "UPDATE drops SET"
        " opens_at = date_trunc('milliseconds', clock_timestamp() + make_interval(secs => $2))"
        " WHERE variant_id = $1 AND over_at IS NULL",
        variant,
        seconds,
    )
    await world.gatekeeper.tell_terms(world.shop_id, variant)


async def tap(world: World, variant: str) -> OrderView | Refusal:
    wish = world.wish(await world.person(), (variant, 1))
    try:
        view: OrderView = await world.tap.buy(wish)
        return view
    except Refusal as refusal:
        return refusal


async def test_no_two_have_one_position_though_a_wiped_gate_counts_anew(world: World) -> None:
    variant = await world.variant(9)
    await schedule(world, variant, 6)
    await open_in(world, variant, 0)
    wishes = [replace(world.wish(await world.person(), (variant, 1)), position=n) for n in (1, 2, 1, 1, 2)]
    first, second = wishes[:2], wishes[2:]
    for some in (first, second):
        placed = await asyncio.gather(*(world.writer.place(wish) for wish in some))
        told = {order.wish.order_id: order.position for order in placed if isinstance(order, Placed)}
        rows = await world.pool.fetch("SELECT id::text, drop_position FROM orders")
        kept = dict(tuple(row) for row in rows)
        assert told.items() <= kept.items()
    assert sorted(kept.values()) == [1, 2, 3, 4, 5]
    assert [kept[wish.order_id] for wish in first] == [1, 2]


@pytest.mark.parametrize("wiped", [False, True])
async def test_nobody_gets_in_before_the_second(world: World, wiped: bool) -> None:
    variant = await world.variant(10)
    await bought(world, variant, price=1000)  # the gate knows it
    drop = await schedule(world, variant)
    assert (drop.state, drop.units) == (DropState.SCHEDULED, 3)
    if wiped:
        await world.redis.flushdb()
    answer = await tap(world, variant)
    assert isinstance(answer, Refusal)
    assert answer.code == "not_open_yet"
    assert 50_000 < (answer.retry_after_ms or 0) <= 60_000
    past_the_gate = await world.writer.place(world.wish(await world.person(), (variant, 1)))
    assert isinstance(past_the_gate, Refused)
    assert past_the_gate.code == "not_open_yet"
    assert (await world.stock_of(variant))[0] == 3


async def test_it_opens_for_everyone_with_nobody_doing_anything(world: World) -> None:
    variant = await world.variant(0)
    await schedule(world, variant, units=2)
    await tap(world, variant)
    await open_in(world, variant, 0.3)

    async def keen() -> OrderView | Refusal:
        while True:
            answer = await tap(world, variant)
            if not isinstance(answer, Refusal) or answer.code != "not_open_yet":
                return answer
            await asyncio.sleep((answer.retry_after_ms or 0) / 1000)

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(keen() for _ in range(6)))
    assert sorted(a.position for a in answers if isinstance(a, OrderView) and a.position) == [1, 2]
    assert [a.code for a in answers if isinstance(a, Refusal)] == ["sold_out"] * 4
    assert (await seeded(world)).drops[variant].state is DropState.SOLD_OUT
    await world.queue.idle()
    await world.assert_books_balance()


async def test_a_gate_whose_clock_is_ahead_loses_nobody_the_place(world: World) -> None:
    variant = await world.variant(0)
    await schedule(world, variant, units=1)
    await open_in(world, variant, 0)
    await tap(world, variant)
    variant = await world.variant(0)
    await schedule(world, variant, units=1)
    await open_in(world, variant, 0)
    await world.gatekeeper.open(world.shop_id, [variant])
    await world.pool.execute(
        "UPDATE drops SET opens_at = clock_timestamp() + interval '200 ms' WHERE variant_id = $1", variant
    )
    answer = await tap(world, variant)
    assert isinstance(answer, OrderView)
    assert answer.position == 1


async def test_positions_are_the_order_of_taps_kept_on_orders_and_go_on_after_a_wipe(world: World) -> None:
    variant = await world.variant(0)
    await schedule(world, variant, units=9)
    await open_in(world, variant, 0)
    first = world.wish(await world.person(), (variant, 1))
    assert [(await world.tap.buy(first)).position for _ in range(2)] == [1, 1]
    assert isinstance(second := await tap(world, variant), OrderView)
    assert second.position == 2
    await world.queue.idle()
    await world.redis.flushdb()
    assert (await world.tap.buy(first)).position == 1
    assert isinstance(third := await tap(world, variant), OrderView)
    assert third.position is not None
    assert third.position > 2
    rows = await world.pool.fetch("SELECT drop_position FROM orders WHERE drop_id IS NOT NULL ORDER BY 1")
    assert [row[0] for row in rows] == [1, 2, third.position]


async def test_the_room_hears_of_each_state_once(world: World) -> None:
    variant = await world.variant(0)
    await schedule(world, variant, units=1)
    await open_in(world, variant, 0)
    workers = [checkout(world.pool, world.redis, world.provider).ways.drops for _ in range(3)]
    assert sum(await asyncio.gather(*(worker.advance() for worker in workers))) == 1
    await bought(world, variant, price=1000)
    assert sum(await asyncio.gather(*(worker.advance() for worker in workers))) == 1
    while await Publisher(OutboxStore(world.pool), "news", ways_news(world.ways)).run():
        pass
    told = [(event.drop.state, event.drop.units) for event in await heard(world, DropChanged)]
    assert told == [(DropState.SCHEDULED, 1), (DropState.OPEN, 1), (DropState.SOLD_OUT, 1)]
    assert (await heard(world, DropChanged))[0].drop.card.title == "Cup"


async def test_units_that_come_back_to_nobody_open_it_again(world: World) -> None:
    variant = await world.variant(0)
    await schedule(world, variant, units=1)
    await open_in(world, variant, 0)
    await world.ways.drops.advance()
    await bought(world, variant, price=1000, user=await world.person("declined"))
    await world.ways.drops.advance()
    await world.queue.idle()
    assert await world.ways.drops.advance() in (0, 1)
    assert (await seeded(world)).drops[variant].state is DropState.OPEN
    assert isinstance(await tap(world, variant), OrderView)


async def test_a_cancelled_drop_leaves_what_was_there_before(world: World) -> None:
    variant, staff = await world.variant(7), await world.person()
    drop = await schedule(world, variant, units=3, staff=staff)
    for _ in range(2):
        await send(world, staff, CancelDrop, drop_id=drop.drop_id, id="cancel")
    assert await world.stock_of(variant) == (7, 0, 0)
    assert (await seeded(world)).drops == {}
    assert [e.drop.state for e in await heard(world, DropChanged)][-1] is DropState.CANCELLED
    answer = await tap(world, variant)
    assert isinstance(answer, OrderView)
    assert answer.position is None
    with pytest.raises(Refusal) as late:
        await send(world, staff, CancelDrop, drop_id=drop.drop_id)
    assert late.value.code == "wrong_state"
    await world.queue.idle()
    await world.assert_books_balance()


async def test_an_open_drop_is_not_cancelled(world: World) -> None:
    variant, staff = await world.variant(7), await world.person()
    drop = await schedule(world, variant, staff=staff)
    await open_in(world, variant, 0)
    with pytest.raises(Refusal) as caught:
        await send(world, staff, CancelDrop, drop_id=drop.drop_id)
    assert caught.value.code == "wrong_state"
    with pytest.raises(Refusal) as caught:
        await send(world, staff, CancelDrop, drop_id="nothing")
    assert caught.value.code == "no_such_drop"


async def test_another_drop_takes_its_place_and_a_repeated_command_schedules_one(world: World) -> None:
    variant, staff = await world.variant(7), await world.person()
    for units in (3, 5):
        for _ in range(2):
            await schedule(world, variant, units=units, staff=staff, id=f"drop-{units}")
    assert await world.pool.fetchval("SELECT count(*) FROM drops") == 2
    drop = (await seeded(world)).drops[variant]
    assert drop.units == 5
    await send(world, staff, CancelDrop, drop_id=drop.drop_id)
    assert await world.stock_of(variant) == (7, 0, 0)


async def test_an_order_that_was_declined_before_is_not_retried_into_a_closed_drop(world: World) -> None:
    variant, user = await world.variant(7), await world.person("declined")
    order = await bought(world, variant, price=1000, user=user)
    await world.queue.idle()
    await schedule(world, variant)
    card = await world.card(user, "paid")
    with pytest.raises(Refusal) as caught:
        await world.buyer.retry(order, user, card)
    assert caught.value.code == "not_open_yet"
    await world.redis.flushdb()
    with pytest.raises(Refusal) as caught:
        await world.buyer.retry(order, user, card)
    assert caught.value.code == "not_open_yet"


async def test_a_bag_that_is_refused_names_each_line_and_takes_nothing(world: World) -> None:
    closed, short, fine = [await world.variant(n) for n in (5, 1, 5)]
    await schedule(world, closed)
    wish = world.wish(await world.person(), (closed, 1), (short, 2), (fine, 1))
    with pytest.raises(Refusal) as caught:
        await world.tap.buy(wish)
    said = {line.variant_id: line.code for line in caught.value.lines}
    assert said == {closed: "not_open_yet", short: "sold_out"}
    assert await world.state(wish.order_id) is None
    assert [(await world.stock_of(v))[1:] for v in (closed, short, fine)] == [(0, 0)] * 3
    assert [await world.gate_says(v) for v in (short, fine)] == [1, 5]
