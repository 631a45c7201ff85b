"""Cards, orders and webhooks over HTTP, with the real stripe client and the payment simulator behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest
import uuid_utils

from server.checkout.answers import failure_message
from server.store.pool import transaction

from .conftest import PUBLISHABLE, SECRET, SIGNING, Web
from .test_catalogue import add_product
from .test_staff import NOWHERE, plan

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "Main Street 1",
    "line2": None,
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}


async def confirm(web: Web, setup: dict[str, str], card: str) -> None:
    """What the provider's script does in the page."""
    form = {"key": PUBLISHABLE, "client_secret": setup["client_secret"], "payment_method": card}
    async with httpx.AsyncClient(base_url=web.provider_url, timeout=30) as provider:
        answer = await provider.post(f"/v1/setup_intents/{setup['setup_intent']}/confirm", data=form)
    assert answer.status_code == 200, answer.text


async def save_card(web: Web, buyer: httpx.AsyncClient, card: str = "pm_card_visa") -> dict[str, Any]:
    setup = (await buyer.post("/api/me/cards/setup", json={})).json()
    assert setup["publishable_key"] == PUBLISHABLE
    await confirm(web, setup, card)
    saved = await buyer.post("/api/me/cards", json={"setup_intent": setup["setup_intent"]})
    assert saved.status_code == 201, saved.text
    return saved.json()


async def ready_buyer(web: Web, card: str = "pm_card_visa") -> httpx.AsyncClient:
    buyer = await web.signed_in()
    assert (await buyer.post("/api/me/addresses", json=ADDRESS)).status_code == 201
    await save_card(web, buyer, card)
    return buyer


def wish(product: dict[str, Any], quantity: int = 1, **more: Any) -> dict[str, Any]:
    variant = product["variants"][0]
    line = {
        "variant_id": variant["id"],
        "quantity": quantity,
        "unit_price_minor": variant["price_minor"],
    }
    return {"id": str(uuid_utils.uuid7()), "lines": [line], **more}


async def settled(buyer: httpx.AsyncClient, order_id: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (order := (await buyer.get(f"/api/orders/{order_id}")).json())["state"] not in states:
            await asyncio.sleep(0.02)
    return order


# --- addresses


async def test_addresses_are_kept_changed_and_removed(web: Web) -> None:
    buyer, other = await web.signed_in(), await web.signed_in()
    first = (await buyer.post("/api/me/addresses", json=ADDRESS)).json()
    assert first["is_default"] is True
    assert first["line2"] == ""
    second = (await buyer.post("/api/me/addresses", json={**ADDRESS, "is_default": True})).json()
    listed = (await buyer.get("/api/me/addresses")).json()["addresses"]
    assert [(a["id"], a["is_default"]) for a in listed] == [(second["id"], True), (first["id"], False)]
    path = f"/api/me/addresses/{second['id']}"
    assert (await buyer.patch(path, json={"city": "Kiel"})).json()["city"] == "Kiel"
    assert (await other.patch(path, json={"city": "X"})).json()["code"] == "no_such_address"
    assert (await other.delete(path)).json()["code"] == "no_such_address"
    assert (await buyer.delete(path)).status_code == 204
    listed = (await buyer.get("/api/me/addresses")).json()["addresses"]
    assert [(a["id"], a["is_default"]) for a in listed] == [(first["id"], True)]
    wrong = await buyer.post("/api/me/addresses", json={**ADDRESS, "country": "Germany"})
    assert list(wrong.json()["fields"]) == ["country"]


# --- cards


async def test_a_card_is_saved_without_its_number(paying_web: Web) -> None:
    buyer = await paying_web.signed_in()
    card = await save_card(paying_web, buyer)
    assert (card["brand"], card["last4"], card["is_default"]) == ("visa", "4242", True)
    second = await save_card(paying_web, buyer, "pm_card_mastercard")
    listed = (await buyer.get("/api/me/cards")).json()["cards"]
    assert [(c["id"], c["is_default"]) for c in listed] == [(second["id"], True), (card["id"], False)]
    preferred = await buyer.patch(f"/api/me/cards/{card['id']}", json={"is_default": True})
    assert preferred.json()["is_default"] is True
    assert (await buyer.delete(f"/api/me/cards/{card['id']}")).status_code == 204
    listed = (await buyer.get("/api/me/cards")).json()["cards"]
    assert [(c["id"], c["is_default"]) for c in listed] == [(second["id"], True)]
    assert (await buyer.delete(f"/api/me/cards/{card['id']}")).json()["code"] == "no_such_card"


async def test_a_card_of_somebody_else_is_not_saved(paying_web: Web) -> None:
    ada, eve = await paying_web.signed_in(), await paying_web.signed_in()
    setup = (await ada.post("/api/me/cards/setup", json={})).json()
    unfinished = await ada.post("/api/me/cards", json={"setup_intent": setup["setup_intent"]})
    assert unfinished.json()["code"] == "card_refused"
    await confirm(paying_web, setup, "pm_card_visa")
    stolen = await eve.post("/api/me/cards", json={"setup_intent": setup["setup_intent"]})
    assert stolen.json()["code"] == "card_refused"
    unknown = await eve.post("/api/me/cards", json={"setup_intent": "seti_unknown"})
    assert unknown.json()["code"] == "card_refused"


async def test_a_stored_error_does_not_keep_a_buyer_without_cards_for_a_day(paying_web: Web) -> None:
    buyer = await paying_web.signed_in()
    async with httpx.AsyncClient(base_url=paying_web.provider_url, timeout=30) as provider:
        plan = {"once": {"server_error": 1}, "only": ["/v1/customers"]}
        set_up = await provider.post("/_faults", json=plan, headers={"Authorization": f"Bearer {SECRET}"})
    assert set_up.status_code == 200
    failed = await buyer.post("/api/me/cards/setup", json={})
    assert (failed.status_code, failed.json()["code"]) == (503, "payment_unavailable")
    assert (await save_card(paying_web, buyer))["last4"] == "4242"


async def test_a_new_address_after_a_crash_does_not_keep_a_buyer_without_cards_for_a_day(
    paying_web: Web,
) -> None:
    pool = paying_web.deps.pool
    buyer = await paying_web.signed_in()
    assert (await buyer.post("/api/me/cards/setup", json={})).status_code == 200
    user_id = (await buyer.get("/api/me")).json()["user"]["id"]
    await pool.execute("DELETE FROM payment_customers WHERE user_id = $1", user_id)  # died before it was kept
    await pool.execute("UPDATE users SET email = 'new' || email WHERE id = $1", user_id)
    at_once = await asyncio.gather(*(buyer.post("/api/me/cards/setup", json={}) for _ in range(3)))
    assert [answer.status_code for answer in at_once] == [200] * 3
    assert await pool.fetchval("SELECT count(*) FROM payment_customers WHERE user_id = $1", user_id) == 1
    assert (await save_card(paying_web, buyer))["last4"] == "4242"


async def test_a_provider_that_does_not_answer_is_said(web: Web) -> None:
    buyer = await web.signed_in()
    answer = await buyer.post("/api/me/cards/setup", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unavailable")
    assert answer.headers["retry-after"]


# --- orders


async def test_a_tap_is_paid_sent_and_given_back(paying_web: Web) -> None:
    web = paying_web
    producer, buyer = await web.signed_in("producer"), await ready_buyer(web)
    product = await add_product(producer)
    show = await plan(producer)
    body = wish(product, 2, show_id=show["id"])
    tapped = await buyer.post("/api/orders", json=body)
    assert tapped.status_code == 202, tapped.text
    assert tapped.json()["order_id"] == body["id"]
    order = await settled(buyer, body["id"], "paid")
    assert order["subtotal_minor"] == 2500
    assert order["total_minor"] == 2500 + order["shipping_minor"]
    assert order["card"] == {"brand": "visa", "last4": "4242"}
    assert order["address"]["city"] == "Berlin"
    assert order["lines"][0]["quantity"] == 2
    assert [h["kind"] for h in order["history"]][-1] == "paid"
    assert "pi_" not in str(order["history"])
    again = await buyer.post("/api/orders", json=body)
    assert again.json()["state"] == "paid"
    assert len((await buyer.get("/api/me/orders")).json()["orders"]) == 1
    stock = (await producer.get(f"/api/staff/products?q={product['handle']}")).json()["products"][0]
    assert stock["variants"][0]["available"] == 3
    sold = (await producer.get(f"/api/staff/shows/{show['id']}/summary")).json()
    assert (sold["orders"], sold["paid"], sold["units"]) == (1, 1, 2)
    path = f"/api/staff/orders/{body['id']}"
    found = (await producer.get(f"/api/staff/orders?q={order['number']}&state=paid")).json()["orders"]
    assert [one["id"] for one in found] == [body["id"]]
    assert (await producer.post(path + "/fulfil", json={})).json()["state"] == "fulfilled"
    too_much = await producer.post(path + "/refund", json={"amount_minor": 999_999, "reason": "broken"})
    assert too_much.json()["code"] == "refund_too_large"
    refund = {"amount_minor": 1000, "reason": "broken"}
    refunded = await producer.post(path + "/refund", json=refund)
    assert refunded.status_code == 200, refunded.text
    async with transaction(web.deps.pool) as db:
        assert await db.fetchval("SELECT count(*) FROM refunds WHERE order_id = $1", body["id"]) == 1
        intent = await db.fetchval("SELECT payment_intent_ref FROM orders WHERE id = $1", body["id"])
    told = {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": intent}},
    }
    await web.deps.inbox.receive_webhook("evt_1", "payment_intent.succeeded", told)
    whole = (await producer.get(path)).json()["history"]
    behind = ["charge_attempt", "ledger_charge", "refund_is_queued", "webhook"]
    assert sorted({h["kind"] for h in whole} & set(behind)) == behind
    assert [h["at"] for h in whole] == sorted(h["at"] for h in whole)
    assert intent in str(whole)
    assert intent not in str((await buyer.get(f"/api/orders/{body['id']}")).json()["history"])
    async with transaction(web.deps.pool) as db:
        told = await db.fetch("SELECT payload FROM outbox WHERE kind = 'order_mail' ORDER BY id")
    letters = [one["payload"]["letter"] for one in told if one["payload"]["order_id"] == body["id"]]
    assert letters == ["receipt", "shipped"]


async def test_orders_belong_to_their_buyer_and_staff_alone(paying_web: Web) -> None:
    web = paying_web
    producer, buyer = await web.signed_in("producer"), await ready_buyer(web)
    body = wish(await add_product(producer))
    await buyer.post("/api/orders", json=body)
    path = f"/api/orders/{body['id']}"
    for stranger in (await web.signed_in(), await web.signed_in("moderator")):
        assert (await stranger.get(path)).json()["code"] == "no_such_order"
        assert (await stranger.post(path + "/cancel", json={})).json()["code"] == "no_such_order"
        assert (await stranger.get(f"/api/staff{path[4:]}")).json()["code"] == "not_allowed"
    assert (await producer.get(path)).status_code == 200


async def test_what_can_be_wrong_with_a_tap(paying_web: Web) -> None:
    web = paying_web
    producer, buyer = await web.signed_in("producer"), await ready_buyer(web)
    product = await add_product(producer)

    async def tap(body: dict[str, Any], who: httpx.AsyncClient = buyer) -> httpx.Response:
        return await who.post("/api/orders", json=body)

    forged = wish(product)
    forged["lines"][0]["unit_price_minor"] = 1
    answer = await tap(forged)
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    assert answer.json()["lines"][0]["price_minor"] == 1250
    sold_out = await tap(wish(product, 6))
    assert (sold_out.status_code, sold_out.json()["code"]) == (409, "sold_out")
    for quantity in (0, -1, 100):
        assert (await tap(wish(product, quantity))).json()["code"] == "invalid_body"
    unknown = wish(product)
    unknown["lines"][0]["variant_id"] = NOWHERE
    assert (await tap(unknown)).json()["code"] == "not_for_sale"
    twice = wish(product)
    twice["lines"] *= 2
    assert (await tap(twice)).json()["code"] == "invalid_body"
    assert (await tap(wish(product, show_id=NOWHERE))).json()["code"] == "no_such_show"
    assert (await tap(wish(product), web.browser())).json()["code"] == "not_signed_in"
    bare = await web.signed_in()
    assert (await tap(wish(product), bare)).json()["code"] in ("no_card", "no_address")
    stock = (await producer.get(f"/api/staff/products?q={product['handle']}")).json()["products"][0]
    assert stock["variants"][0]["available"] == 5


async def test_a_declined_order_is_tried_again_with_another_card(paying_web: Web) -> None:
    web = paying_web
    producer = await web.signed_in("producer")
    buyer = await ready_buyer(web, "pm_card_chargeCustomerFail")
    product = await add_product(producer)
    body = wish(product)
    await buyer.post("/api/orders", json=body)
    declined = await settled(buyer, body["id"], "declined")
    assert declined["failure_code"]
    assert declined["failure_message"] == failure_message(declined["failure_code"])
    card = await save_card(web, buyer)
    again = await buyer.post(f"/api/orders/{body['id']}/retry", json={"card_id": card["id"]})
    assert again.status_code == 202, again.text
    assert (await settled(buyer, body["id"], "paid"))["number"] == declined["number"]


async def test_a_banks_suspicion_is_for_staff_alone(paying_web: Web) -> None:
    web = paying_web
    producer = await web.signed_in("producer")
    buyer = await ready_buyer(web, "pm_card_chargeCustomerFail")
    body = wish(await add_product(producer))
    await buyer.post("/api/orders", json=body)
    await settled(buyer, body["id"], "declined")
    async with transaction(web.deps.pool) as db:
        await db.execute("UPDATE orders SET failure_code = 'stolen_card' WHERE id = $1", body["id"])
        await db.execute(
            'UPDATE order_events SET detail = detail || \'{"code": "stolen_card"}\' WHERE order_id = $1',
            body["id"],
        )
    told = (await buyer.get(f"/api/orders/{body['id']}")).json()
    assert told["failure_code"] == "card_declined"
    assert "stolen" not in str(told)
    seen = (await producer.get(f"/api/staff/orders/{body['id']}")).json()
    assert seen["failure_code"] == "stolen_card"
    assert "stolen_card" in str(seen["history"])


async def test_an_order_that_waits_for_the_bank_can_be_called_off(paying_web: Web) -> None:
    web = paying_web
    producer = await web.signed_in("producer")
    buyer = await ready_buyer(web, "pm_card_authenticationRequiredSetupForOffSession")
    body = wish(await add_product(producer))
    await buyer.post("/api/orders", json=body)
    waiting = await settled(buyer, body["id"], "action_needed")
    assert waiting["client_secret"]
    seen = (await producer.get(f"/api/staff/orders/{body['id']}")).json()
    assert seen["client_secret"] is None
    unchanged = await buyer.post(f"/api/orders/{body['id']}/authenticated", json={})
    assert unchanged.json()["state"] == "action_needed"
    cancelled = await buyer.post(f"/api/orders/{body['id']}/cancel", json={})
    assert cancelled.json()["state"] == "cancelled"


# --- webhooks


def signed(body: bytes, age_s: float = 0, secret: str = SIGNING) -> dict[str, str]:
    stamp = int(time.time() - age_s)
    mark = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={mark}", "content-type": "application/json"}


def event(event_id: str) -> bytes:
    intent = {"id": "pi_1", "object": "payment_intent"}
    return json.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": "payment_intent.succeeded",
            "created": 1,
            "livemode": False,
            "data": {"object": intent},
        }
    ).encode()


async def test_a_webhook_sent_twice_is_written_once(web: Web) -> None:
    body, provider = (
        event("evt_twice"),
        httpx.AsyncClient(transport=httpx.ASGITransport(web.app), base_url="http://shop.test"),
    )
    for duplicate in (False, True):
        answer = await provider.post("/api/stripe/webhook", content=body, headers=signed(body))
        assert answer.json() == {"received": True, "duplicate": duplicate}
    async with transaction(web.deps.pool) as db:
        assert await db.fetchval("SELECT count(*) FROM webhook_inbox WHERE event_id = 'evt_twice'") == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (signed(event("evt_x"), secret="whsec_other"), "bad_signature"),
        (signed(event("evt_y")), "bad_signature"),
        (signed(event("evt_x"), age_s=301), "stale_webhook"),
        ({}, "bad_webhook"),
    ],
)
async def test_a_webhook_must_be_signed_and_fresh(web: Web, headers: dict[str, str], code: str) -> None:
    answer = await web.browser().post("/api/stripe/webhook", content=event("evt_x"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_webhook_of_the_other_mode_is_refused(web: Web) -> None:
    body = event("evt_live").replace(b'"livemode": false', b'"livemode": true')
    answer = await web.browser().post("/api/stripe/webhook", content=body, headers=signed(body))
    assert answer.json()["code"] == "bad_webhook"
    assert "mode" in answer.json()["detail"]


async def test_a_signed_webhook_that_is_no_event(web: Web) -> None:
    body = b"[1]"
    answer = await web.browser().post("/api/stripe/webhook", content=body, headers=signed(body))
    assert answer.json()["code"] == "bad_webhook"
