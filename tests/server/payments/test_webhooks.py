"""Webhooks: told apart from forgeries, and sent until they arrive."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from server.payments.simulator.webhooks import signature
from server.payments.webhooks import WebhookRefused, event_from, verify

from .conftest import SIGNING, Inbox, Provider, Start

NOW = 1_800_000_000.0
BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": 1_799_999_990,
        "livemode": False,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "metadata": {"order": "ö"}}},
    },
    ensure_ascii=False,
).encode()


def signed(body: bytes = BODY, at: float = NOW, secret: str = SIGNING) -> str:
    return signature(secret, body.decode(), int(at))


def test_a_signed_event_is_read() -> None:
    event = verify(BODY, signed(), SIGNING, NOW)
    assert (event.id, event.type, event.payment_intent) == ("evt_1", "payment_intent.succeeded", "pi_1")
    assert event.object["metadata"] == {"order": "ö"}


def test_signatures_agree_with_the_stripe_package() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SIGNING, timestamp=int(NOW))
    assert header == signed()
    assert verify(BODY, header, SIGNING, NOW).id == "evt_1"


def test_one_of_several_signatures_is_enough_while_a_secret_is_rotated() -> None:
    header = f"t={int(NOW)},v1={'0' * 64},{signed().split(',')[1]},v0=legacy"
    assert verify(BODY, header, SIGNING, NOW).id == "evt_1"


@pytest.mark.parametrize(
    ("body", "header", "secret", "now", "code"),
    [
        (BODY, signed(), "whsec_other", NOW, "bad_signature"),
        (BODY + b" ", signed(), SIGNING, NOW, "bad_signature"),
        (BODY, signed(secret=""), "", NOW, "bad_signature"),
        (BODY, f"t={int(NOW)},v0={'0' * 64}", SIGNING, NOW, "bad_signature"),
        (BODY, f"t={int(NOW)},v1=ü", SIGNING, NOW, "bad_signature"),
        (BODY, signed(), SIGNING, NOW + 301, "too_old"),
        (BODY, signed(), SIGNING, NOW - 301, "too_old"),
        (BODY, "", SIGNING, NOW, "malformed"),
        (BODY, "t=,v1=ab", SIGNING, NOW, "malformed"),
        (BODY, "t=²,v1=ab", SIGNING, NOW, "malformed"),
        (BODY, f"t={'9' * 400},v1=ab", SIGNING, NOW, "malformed"),
        (b"[]", signed(b"[]"), SIGNING, NOW, "malformed"),
        (b"{", signed(b"{"), SIGNING, NOW, "malformed"),
        (b'{"object":"event"}', signed(b'{"object":"event"}'), SIGNING, NOW, "malformed"),
    ],
)
def test_refused(body: bytes, header: str, secret: str, now: float, code: str) -> None:
    with pytest.raises(WebhookRefused) as refused:
        verify(body, header, secret, now)
    assert refused.value.code == code


def test_an_event_at_the_edge_of_the_tolerance_is_taken() -> None:
    assert verify(BODY, signed(), SIGNING, NOW + 300).id == "evt_1"


@given(st.binary(max_size=200), st.text(max_size=120))
def test_garbage_is_refused_never_a_crash(body: bytes, header: str) -> None:
    with pytest.raises(WebhookRefused):
        verify(body, header, SIGNING, NOW)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["id", "type", "data", "object", "created", "livemode"]), inner)
        ),
    )
)
def test_json_that_is_no_event_is_a_value_error(raw: Any) -> None:
    with pytest.raises(ValueError, match="not an event"):
        event_from(raw)


def test_the_payment_intent_that_other_objects_are_about() -> None:
    raw = {"id": "evt_2", "object": "event", "type": "charge.refunded", "created": 1, "livemode": False}
    about = [({"payment_intent": "pi_2"}, "pi_2"), ({"payment_intent": {"id": "pi_3"}}, "pi_3"), ({}, None)]
    for obj, intent in about:
        assert event_from({**raw, "data": {"object": {"object": "charge", **obj}}}).payment_intent == intent


# Sending


@pytest.fixture
def wired(start: Start, inbox: Inbox) -> Any:
    return lambda **changes: start(
        webhook_url=inbox.url, webhook_secret=SIGNING, webhook_backoff_s=(0.01, 0.02), **changes
    )


async def pay(provider: Provider) -> str:
    paid: Any = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    return (await provider.api.v1.payment_intents.create_async(paid)).id


async def test_each_event_arrives_signed(wired: Any, inbox: Inbox) -> None:
    async with wired() as provider:
        intent = await pay(provider)
        await inbox.wait_for(3)
    for headers, body in inbox.received:
        ours = verify(body, headers["Stripe-Signature"], SIGNING, time.time())
        theirs = stripe.Webhook.construct_event(
            body, headers["Stripe-Signature"], SIGNING, api_key="sk_test_x"
        )
        assert (ours.id, ours.type, ours.payment_intent) == (theirs.id, theirs.type, intent)
    types = {event["type"] for event in inbox.events}
    assert types == {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}


async def test_an_event_is_sent_again_until_it_is_taken(wired: Any, inbox: Inbox) -> None:
    inbox.statuses = [500, 404, 302, 500]
    async with wired() as provider:
        await provider.customer()
        await inbox.wait_for(5)
        await _until_sent(provider)
    assert len({event["id"] for event in inbox.events}) == 1


async def test_given_up_after_the_last_attempt(wired: Any, inbox: Inbox) -> None:
    inbox.statuses = [500] * 50
    async with wired(webhook_attempts=3) as provider:
        await provider.customer()
        await inbox.wait_for(3)
        await _until_sent(provider)
    assert len(inbox.received) == 3


async def _until_sent(provider: Provider) -> None:
    async with asyncio.timeout(30):
        while (await provider.http.get("/healthz")).json()["parts"]["webhooks"]["waiting"]:
            await asyncio.sleep(0.02)


async def test_waiting_webhooks_outlive_the_program(wired: Any, start: Start, inbox: Inbox) -> None:
    async with start(
        webhook_url="http://127.0.0.1:9/", webhook_secret=SIGNING, webhook_backoff_s=(0.01,)
    ) as provider:
        await pay(provider)
    assert inbox.received == []
    async with wired():
        await inbox.wait_for(3)


async def test_the_queue_is_bounded_and_the_event_list_has_the_rest(start: Start) -> None:
    nowhere: Any = {
        "webhook_url": "http://127.0.0.1:9/",
        "webhook_secret": SIGNING,
        "webhooks_waiting_max": 4,
    }
    async with start(**nowhere) as provider:
        for _ in range(5):
            await pay(provider)
        assert (await provider.http.get("/healthz")).json()["parts"]["webhooks"]["waiting"] == 4
        assert len([e async for e in provider.gateway.events_between(0)]) == 15


async def test_webhooks_dropped_doubled_and_reordered(wired: Any, inbox: Inbox) -> None:
    async with wired() as provider:
        await provider.faults(webhook_drop=1)
        await pay(provider)
        await provider.faults(webhook_duplicate=1, webhook_reorder=1, reorder_s=0.1, seed=3)
        for _ in range(4):
            await provider.customer()
        await inbox.wait_for(8)
        assert len([e async for e in provider.gateway.events_between(0)]) == 7
    ids = [event["id"] for event in inbox.events]
    assert {event["type"] for event in inbox.events} == {"customer.created"}
    assert all(ids.count(event) == 2 for event in ids)
    created = [ids.index(event) for event in dict.fromkeys(sorted(ids, key=ids.index))]
    assert created == sorted(created)
