"""Places in line over HTTP, and what the storefront says of ways to sell."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from server.store.pool import transaction

from .conftest import Web

PRODUCT = {"title": "Cup", "handle": "", "variants": [{"title": "M", "price_minor": 1000}]}


async def a_product(web: Web, staff: Any, available: int = 0) -> dict[str, Any]:
    made = await staff.post("/api/staff/products", json=PRODUCT | {"handle": f"cup-{uuid4().hex[:8]}"})
    assert made.status_code == 201, made.text
    product: dict[str, Any] = made.json()
    variant = product["variants"][0]["id"]
    await staff.put(f"/api/staff/variants/{variant}/stock", json={"available": available})
    return product


async def test_a_place_is_taken_seen_and_given_up(web: Web) -> None:
    staff, ada = await web.signed_in("owner"), await web.signed_in()
    product = await a_product(web, staff)
    variant = product["variants"][0]["id"]
    for _ in range(2):
        joined = await ada.post("/api/waitlist", json={"variant_id": variant})
        assert joined.status_code == 201, joined.text
        assert joined.json()["position"] == 1
    (place,) = (await ada.get("/api/me/waitlist")).json()["places"]
    assert place["product"] == {"handle": product["handle"], "title": "Cup", "image_url": None}
    assert (place["state"], place["variant_title"]) == ("waiting", "M")
    left = await ada.delete(f"/api/waitlist/{variant}")
    assert left.json()["state"] == "left"
    assert (await ada.delete(f"/api/waitlist/{uuid4()}")).json()["code"] == "not_waiting"


async def test_who_need_not_wait_is_told_so(web: Web) -> None:
    staff, ada = await web.signed_in("owner"), await web.signed_in()
    variant = (await a_product(web, staff, available=1))["variants"][0]["id"]
    refused = await ada.post("/api/waitlist", json={"variant_id": variant})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_sold_out")
    assert (await web.browser().post("/api/waitlist", json={"variant_id": variant})).status_code == 401


async def test_an_offer_that_is_none_buys_nothing(web: Web) -> None:
    staff, ada = await web.signed_in("owner"), await web.signed_in()
    variant = (await a_product(web, staff, available=1))["variants"][0]["id"]
    line = {"variant_id": variant, "quantity": 1, "unit_price_minor": 1000}
    order = {"id": str(uuid4()), "lines": [line], "offer_id": str(uuid4())}
    refused = await ada.post("/api/orders", json=order)
    assert (refused.status_code, refused.json()["code"]) == (409, "offer_over")


async def test_the_storefront_shows_flash_prices_and_drops(web: Web) -> None:
    staff = await web.signed_in("owner")
    product = await a_product(web, staff, available=3)
    variant = product["variants"][0]["id"]
    path = f"/api/products/{product['handle']}"
    assert {"flash", "drop"}.isdisjoint((await web.browser().get(path)).json()["variants"][0])
    async with transaction(web.deps.pool) as db:
        shop = await db.fetchval("SELECT shop_id FROM products WHERE id = $1", product["id"])
        await db.execute(
            "INSERT INTO flash_prices (id, shop_id, variant_id, price_minor, was_minor, starts_at, ends_at,"
            " command_key) VALUES ($1, $2, $3, 600, 1000, now(), now() + interval '1 min', $4)",
            uuid4(),
            shop,
            variant,
            uuid4().hex,
        )
        await db.execute(
            "INSERT INTO drops"
            " (id, shop_id, variant_id, state, units, available_before, opens_at, command_key)"
            " VALUES ($1, $2, $3, 'scheduled', 3, 0, now() + interval '1 min', $4)",
            uuid4(),
            shop,
            variant,
            uuid4().hex,
        )
    seen = (await web.browser().get(path)).json()["variants"][0]
    assert (seen["price_minor"], seen["compare_at_minor"]) == (600, 1000)
    assert (seen["flash"]["price_minor"], seen["flash"]["was_minor"]) == (600, 1000)
    assert (seen["drop"]["state"], seen["drop"]["units"], seen["drop"]["waiting"]) == ("scheduled", 3, 0)
