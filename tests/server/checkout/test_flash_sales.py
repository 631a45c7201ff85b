"""Flash prices on real stores: charged while they run and never after, limited a buyer, over once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from overlay.frames import ShowId, UserId
from overlay.messages import PriceChanged
from overlay.ports import PriceNow, Refusal
from overlay.selling import EndFlash, FlashEnded, FlashStarted, FlashView, StartFlash
from server.checkout.wiring import checkout
from server.jobs.news import Publisher
from server.jobs.ways import ways_news
from server.store.outbox import OutboxStore

from .floor import bought, heard, seeded, send
from .world import World


async def start(world: World, variant: str, price: int = 600, **more: Any) -> FlashView:
    more.setdefault("duration_s", 60)
    staff = more.pop("staff", None) or await world.person()
    await send(world, staff, StartFlash, variant_id=variant, price_minor=price, **more)
    return (await seeded(world)).flashes[variant]


async def run_out(world: World, variant: str) -> None:
    """Move the window so that its end is in the past: what a clock does by itself."""
    await world.pool.execute(
        "UPDATE flash_prices SET starts_at = now() - interval '9 s', ends_at = now() - interval '1 ms'"
        " WHERE variant_id = $1 AND over_at IS NULL",
        variant,
    )


async def told(world: World) -> None:
    await Publisher(OutboxStore(world.pool), "news", ways_news(world.ways)).run()


async def refused(world: World, variant: str, quantity: int = 1, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await bought(world, variant, quantity, **more)
    return caught.value


async def test_everybody_pays_the_flash_price_while_it_runs_and_orders_say_so(world: World) -> None:
    variant = await world.variant(5)
    flash = await start(world, variant)
    order = await bought(world, variant, 2, price=600)
    row = await world.pool.fetchrow(
        "SELECT l.unit_price_minor, l.flash_id::text, o.subtotal_minor FROM order_lines l"
        " JOIN orders o ON o.id = l.order_id WHERE o.id = $1",
        order,
    )
    assert tuple(row) == (600, flash.flash_id, 1200)
    late = await refused(world, variant, price=1000)
    assert (late.code, late.lines[0].price_minor) == ("price_changed", 600)


async def test_the_room_hears_at_once_and_only_once(world: World) -> None:
    variant = await world.variant(5)
    flash = await start(world, variant)
    assert [event.flash for event in await heard(world, FlashStarted)] == [flash]
    assert (flash.price_minor, flash.was_minor) == (600, 1000)
    news = Publisher(OutboxStore(world.pool), "news", ways_news(world.ways))
    assert await news.run()
    assert len(await heard(world, FlashStarted)) == 1


async def test_the_worker_tells_what_its_starter_could_not(world: World) -> None:
    variant = await world.variant(5)
    await start(world, variant)
    await world.redis.flushdb()
    assert await Publisher(OutboxStore(world.pool), "news", ways_news(world.ways)).run()
    assert [event.flash.variant_id for event in await heard(world, FlashStarted)] == [variant]


async def test_a_window_that_is_over_is_never_charged_though_nobody_has_ended_it(world: World) -> None:
    variant = await world.variant(5)
    await start(world, variant)
    await run_out(world, variant)
    late = await refused(world, variant, price=600)
    assert (late.code, late.lines[0].price_minor) == ("price_changed", 1000)
    assert (await seeded(world)).flashes == {}
    await bought(world, variant, price=1000)


async def test_it_ends_once_however_many_workers_look(world: World) -> None:
    variant = await world.variant(5)
    flash = await start(world, variant)
    assert await world.ways.flash_sales.end_due() == 0
    await run_out(world, variant)
    others = [checkout(world.pool, world.redis, world.provider).ways.flash_sales for _ in range(4)]
    assert sum(await asyncio.gather(*(other.end_due() for other in others))) == 1
    ended = await heard(world, FlashEnded)
    assert [(e.flash_id, e.price_minor) for e in ended] == [(flash.flash_id, 1000)]
    assert await world.pool.fetchval("SELECT over_because FROM flash_prices") == "time"


async def test_it_can_be_ended_early_and_a_repeated_command_ends_nothing_else(world: World) -> None:
    variant, staff = await world.variant(5), await world.person()
    flash = await start(world, variant, staff=staff)
    for _ in range(2):
        await send(world, staff, EndFlash, flash_id=flash.flash_id, id="end")
    assert len(await heard(world, FlashEnded)) == 1
    assert (await refused(world, variant, price=600)).code == "price_changed"
    with pytest.raises(Refusal, match="over already"):
        await send(world, staff, EndFlash, flash_id=flash.flash_id)
    with pytest.raises(Refusal) as unknown:
        await send(world, staff, EndFlash, flash_id="nothing")
    assert unknown.value.code == "no_such_flash"


async def test_another_takes_its_place_and_a_repeated_command_starts_one(world: World) -> None:
    variant, staff = await world.variant(5), await world.person()
    first = await start(world, variant, staff=staff)
    for _ in range(2):
        second = await start(world, variant, 500, staff=staff, id="again")
    told = [type(e).__name__ for e in await heard(world, FlashStarted, FlashEnded)]
    assert told == ["FlashStarted", "FlashEnded", "FlashStarted"]
    assert second.flash_id != first.flash_id
    assert await world.pool.fetchval("SELECT count(*) FROM flash_prices") == 2
    await bought(world, variant, price=500)


@pytest.mark.parametrize("price", [1000, 1200])
async def test_a_flash_price_is_lower_than_the_usual_one(world: World, price: int) -> None:
    variant = await world.variant(5)
    with pytest.raises(Refusal) as caught:
        await start(world, variant, price)
    assert caught.value.code == "bad_command"


async def test_only_what_the_show_sells_can_have_one(world: World) -> None:
    for unknown in ("nothing", world.product_id):
        with pytest.raises(Refusal) as caught:
            await start(world, unknown)
        assert caught.value.code == "not_in_show"


@pytest.mark.parametrize("wiped", [False, True])
async def test_its_buyer_limit_holds_at_the_gate_and_in_the_database(world: World, wiped: bool) -> None:
    variant, user = await world.variant(9), await world.person()
    await bought(world, variant, 3, price=1000, user=user)  # at the usual price: doesn't count
    await start(world, variant, buyer_limit=2)
    await bought(world, variant, price=600, user=user)
    if wiped:
        await world.redis.flushdb()
    over = await refused(world, variant, 2, price=600, user=user)
    assert (over.code, over.lines[0].buyer_limit) == ("buyer_limit", 2)
    await bought(world, variant, price=600, user=user)
    again = await world.writer.place(world.wish(user, (variant, 1), price=600))  # past the gate
    assert again.code == "buyer_limit"
    await run_out(world, variant)
    await world.ways.flash_sales.end_due()
    await bought(world, variant, price=1000, user=user)
    await world.queue.idle()
    await world.assert_books_balance()


async def test_what_a_buyer_gave_back_can_be_bought_again_at_the_flash_price(world: World) -> None:
    variant, user = await world.variant(9), await world.person("declined")
    await start(world, variant, buyer_limit=1)
    await bought(world, variant, price=600, user=user)
    await world.queue.idle()
    await bought(world, variant, price=600, user=user)


async def test_a_limited_flash_price_is_not_passed_by_taps_at_one_moment(world: World) -> None:
    variant, user = await world.variant(9), await world.person()
    await start(world, variant, buyer_limit=2)
    taps = (bought(world, variant, price=600, user=user) for _ in range(8))
    answers = await asyncio.gather(*taps, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 2


@pytest.mark.parametrize(("over_s", "code"), [(-200, None), (-400, "price_changed")])
async def test_a_second_card_keeps_the_price_for_a_short_while(
    world: World, over_s: int, code: str | None
) -> None:
    variant, user = await world.variant(9), await world.person("declined")
    await start(world, variant)
    order = await bought(world, variant, price=600, user=user)
    await world.queue.idle()
    await world.pool.execute(
        "UPDATE flash_prices SET starts_at = now() - interval '1 h',"
        " ends_at = now() + make_interval(secs => $2) WHERE variant_id = $1",
        variant,
        over_s,
    )
    card = await world.card(user, "paid")
    if code is None:
        assert (await world.buyer.retry(order, user, card)).state == "charging"
        return
    with pytest.raises(Refusal) as caught:
        await world.buyer.retry(order, user, card)
    assert caught.value.code == code


async def test_a_lower_usual_price_is_what_is_charged(world: World) -> None:
    variant = await world.variant(5)
    await start(world, variant)
    for price in (600, 400):
        await world.shopkeeper.set_price(world.shop_id, variant, price, None)
        await bought(world, variant, price=price)
    assert (await seeded(world)).flashes == {}
    await told(world)
    assert [event.price_minor for event in await heard(world, FlashEnded)] == [400]
    await world.shopkeeper.set_price(world.shop_id, variant, 1000, None)
    await bought(world, variant, price=1000)


async def test_news_of_a_price_set_meanwhile_say_what_is_charged(world: World) -> None:
    variant = await world.variant(5)
    await start(world, variant)
    await world.shopkeeper.set_price(world.shop_id, variant, 900, None)
    (on_air,) = await world.stock.on_air([variant])
    assert (on_air.price_minor, on_air.compare_at_minor) == (600, 900)
    await told(world)
    assert [event.flash.was_minor for event in await heard(world, FlashStarted)] == [1000, 900]
    now = await world.room_shop.set_price(ShowId(world.show_id), variant, 950, UserId(await world.person()))
    assert now == PriceNow(600, 950)
    assert await heard(world, PriceChanged) == []


async def test_one_that_outlives_its_show_can_be_ended(world: World) -> None:
    variant, staff = await world.variant(5), await world.person()
    flash = await start(world, variant, duration_s=86_400)
    await world.pool.execute("UPDATE shows SET state = 'ended'")
    await send(world, staff, EndFlash, flash_id=flash.flash_id)
    await bought(world, variant, price=1000)


async def test_one_whose_product_left_the_run_of_show_is_ended_and_told_where_it_began(world: World) -> None:
    variant, staff = await world.variant(5), await world.person()
    flash = await start(world, variant)
    await world.pool.execute("DELETE FROM show_items")
    await send(world, staff, EndFlash, flash_id=flash.flash_id)
    await bought(world, variant, price=1000)
    assert [event.price_minor for event in await heard(world, FlashEnded)] == [1000]
