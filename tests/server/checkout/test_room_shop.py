"""The shop as a room sees it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import uuid_utils

from overlay.frames import ShowId, ShowState, UserId
from overlay.messages import Buy, BuyLine
from overlay.ports import GUEST, Actor, Refusal

from .world import World

NOWHERE = ShowId("01890a5d-ac96-774b-bcce-b302099a8057")
STAFF = UserId("01890a5d-ac96-774b-bcce-b302099a8058")


async def code_of(work: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value.code


def tap(variant: str, **more: Any) -> Buy:
    order_id = more.pop("order_id", str(uuid_utils.uuid7()))
    return Buy(id="c1", order_id=order_id, lines=(BuyLine(variant, 1, 1_000),), **more)


async def test_a_room_starts_from_the_shops_truth(world: World) -> None:
    variant, shop = await world.variant(7, limit=2), world.room_shop
    show_id = ShowId(world.show_id)
    image = str(uuid4())
    await world.pool.execute(
        "INSERT INTO images VALUES ($1, $2, '\\x00', 'image/webp', 9, 9, 9)", image, world.shop_id
    )
    await world.pool.execute(
        "INSERT INTO product_images VALUES ($1, $2, 0, 'A cup')", world.product_id, image
    )

    card = await shop.card(show_id, world.product_id)
    assert (card.title, card.currency, card.image_url) == ("Cup", "EUR", f"/media/{image}/640.webp")
    assert [(v.variant_id, v.available, v.buyer_limit) for v in card.variants] == [(variant, 7, 2)]
    assert (await shop.seed(show_id)).pin is None

    await shop.pinned(show_id, world.product_id, STAFF)
    seed = await shop.seed(show_id)
    assert (seed.show_state, seed.pin, seed.stock) == (ShowState.LIVE, card, {variant: 7})
    await shop.pinned(show_id, None, STAFF)
    assert (await shop.seed(show_id)).pin is None


async def test_what_is_not_there_is_said(world: World) -> None:
    shop, show_id = world.room_shop, ShowId(world.show_id)
    variant = await world.variant(1)
    assert await code_of(shop.seed(NOWHERE)) == "no_such_show"
    assert await code_of(shop.seed(ShowId("no id at all"))) == "no_such_show"
    assert await code_of(shop.card(show_id, str(NOWHERE))) == "not_in_show"
    assert await code_of(shop.set_stock(show_id, str(NOWHERE), 3, STAFF)) == "no_such_variant"
    assert await code_of(shop.set_price(show_id, "x", 3, STAFF)) == "no_such_variant"
    await world.pool.execute("UPDATE products SET state = 'archived'")
    assert await code_of(shop.card(show_id, world.product_id)) == "not_in_show"
    actor = Actor(UserId(await world.person()), "s", "Ada")
    assert await code_of(shop.buy(show_id, actor, tap(variant))) == "not_for_sale"


async def test_stock_and_price_set_from_the_console(world: World) -> None:
    shop, show_id = world.room_shop, ShowId(world.show_id)
    variant = await world.variant(1)
    actor = await world.person()
    assert await shop.set_stock(show_id, variant, 4, UserId(actor)) == 4
    await shop.set_price(show_id, variant, 1_100, UserId(actor))
    card = await shop.card(show_id, world.product_id)
    assert (card.variants[0].available, card.variants[0].price_minor) == (4, 1_100)
    kinds = await world.pool.fetch("SELECT kind FROM outbox ORDER BY id")
    assert {row["kind"] for row in kinds} == {"stock", "price"}


async def test_a_show_goes_one_way(world: World) -> None:
    shop, show_id = world.room_shop, ShowId(world.show_id)
    await shop.set_show_state(show_id, ShowState.ENDED, STAFF)
    assert (await shop.seed(show_id)).show_state is ShowState.ENDED
    assert await code_of(shop.set_show_state(show_id, ShowState.LIVE, STAFF)) == "wrong_state"


async def test_a_tap_in_the_room(world: World) -> None:
    shop, show_id = world.room_shop, ShowId(world.show_id)
    variant, ada = await world.variant(2), await world.person()
    actor = Actor(UserId(ada), "session", "Ada")
    assert await code_of(shop.buy(show_id, GUEST, tap(variant))) == "not_signed_in"
    assert await code_of(shop.buy(show_id, actor, tap(variant, order_id="x" * 36))) == "bad_order"
    assert await code_of(shop.buy(show_id, actor, tap("no variant"))) == "not_for_sale"
    assert await code_of(shop.buy(show_id, actor, tap(variant, card_id="no card"))) == "no_card"
    command = tap(variant, show_first_name=True, media_time=2**32 - 1)
    view = await shop.buy(show_id, actor, command)
    await world.queue.idle()
    assert view.state == "charging"
    row = await world.pool.fetchrow("SELECT state, media_time, show_id::text FROM orders")
    assert tuple(row) == ("paid", 2**32 - 1, world.show_id)


async def test_a_database_that_is_gone_is_said(world: World) -> None:
    shop, show_id = world.room_shop, ShowId(world.show_id)
    await world.pool.execute("ALTER TABLE shows RENAME TO shows_gone")
    try:
        assert await code_of(shop.seed(show_id)) == "unavailable"
    finally:
        await world.pool.execute("ALTER TABLE shows_gone RENAME TO shows")
