"""Idempotency keys, by Stripe's rules."""

from __future__ import annotations

import asyncio
from typing import Any

import stripe

from .conftest import Clock, Provider, Raised, Start

PAY: Any = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}


async def pay(provider: Provider, key: str, **more: Any) -> stripe.PaymentIntent:
    return await provider.api.v1.payment_intents.create_async({**PAY, **more}, {"idempotency_key": key})


async def test_the_same_key_answers_the_same_and_charges_once(provider: Provider) -> None:
    first = await pay(provider, "k")
    second = await pay(provider, "k")
    assert first.to_dict() == second.to_dict()
    assert second.last_response.headers["idempotent-replayed"] == "true"
    assert len(await provider.audit()) == 1


async def test_a_replay_tells_what_was_answered_then_not_what_is_now(provider: Provider) -> None:
    first = await pay(provider, "k", payment_method="pm_card_authenticationRequired")
    await provider.authenticate(first.id, first.client_secret, "approve")
    assert (
        await pay(provider, "k", payment_method="pm_card_authenticationRequired")
    ).status == "requires_action"
    assert (await provider.api.v1.payment_intents.retrieve_async(first.id)).status == "succeeded"


async def test_a_decline_is_replayed_too(provider: Provider, refusal: Raised) -> None:
    errors = [
        await refusal(pay(provider, "k", payment_method="pm_card_visa_chargeDeclined")) for _ in range(2)
    ]
    assert errors[0].json_body == errors[1].json_body
    assert len(await provider.audit()) == 1


async def test_other_parameters_or_another_endpoint_under_a_used_key_are_refused(
    provider: Provider, refusal: Raised
) -> None:
    await pay(provider, "k")
    for error in (
        await refusal(pay(provider, "k", amount=701)),
        await refusal(provider.api.v1.customers.create_async({}, {"idempotency_key": "k"})),
    ):
        assert isinstance(error, stripe.IdempotencyError)
        assert error.http_status == 400
    assert len(await provider.audit()) == 1


async def test_a_request_that_failed_validation_leaves_its_key_free(
    provider: Provider, refusal: Raised
) -> None:
    assert (await refusal(pay(provider, "k", amount=1))).code == "amount_too_small"
    assert (await pay(provider, "k")).status == "succeeded"


async def test_a_key_in_use_is_a_conflict_that_is_not_kept(provider: Provider, refusal: Raised) -> None:
    await provider.faults(latency_s=0.6, seed=5)
    results = await asyncio.gather(*(pay(provider, "k") for _ in range(4)), return_exceptions=True)
    conflicts = [error for error in results if isinstance(error, stripe.APIError)]
    assert {(error.http_status, error.error.code) for error in conflicts} == {(409, "idempotency_key_in_use")}
    assert len(conflicts) == 3
    assert (await pay(provider, "k")).status == "succeeded"
    assert len(await provider.audit()) == 1


async def test_a_500_is_kept_with_or_without_its_effects(provider: Provider, refusal: Raised) -> None:
    for fault, intents in (("server_error", 0), ("server_error_after", 1)):
        await provider.faults(once={fault: 1})
        met, replay = [await refusal(pay(provider, fault)) for _ in range(2)]
        assert met.http_status == replay.http_status == 500
        assert met.json_body == replay.json_body
        assert [error.headers.get("idempotent-replayed") for error in (met, replay)] == [None, "true"]
        assert len(await provider.audit()) == intents


async def test_a_500_hides_a_decline_too(provider: Provider, refusal: Raised) -> None:
    await provider.faults(once={"server_error_after": 1})
    for _ in range(2):
        error = await refusal(pay(provider, "k", payment_method="pm_card_visa_chargeDeclined"))
        assert error.http_status == 500
    assert [intent["status"] for intent in await provider.audit()] == ["requires_payment_method"]


async def test_a_429_comes_before_the_key(provider: Provider, refusal: Raised) -> None:
    await provider.faults(once={"rate_limited": 1})
    assert isinstance(await refusal(pay(provider, "k")), stripe.RateLimitError)
    assert (await pay(provider, "k")).status == "succeeded"


async def test_keys_are_forgotten_after_a_day(start: Start) -> None:
    clock = Clock()
    async with start(clock=clock) as provider:
        first = await pay(provider, "k")
        clock.ahead_s = 86_000
        assert (await pay(provider, "k")).id == first.id
        clock.ahead_s = 86_500
        assert (await pay(provider, "k")).id != first.id


async def test_an_operator_of_tests_moves_the_clock_from_outside(provider: Provider) -> None:
    first = await pay(provider, "k")
    answer = await provider.admin("/_clock", {"advance_s": 90_000})
    assert answer.json()["ahead_s"] == 90_000
    assert (await pay(provider, "k")).id != first.id
    assert (await provider.admin("/_clock", {"advance_s": "soon"})).status_code == 400


async def test_a_write_lost_on_the_way_back_is_found_by_its_key(provider: Provider, refusal: Raised) -> None:
    await provider.faults(once={"reply_lost": 1}, only=["/v1/payment_intents"])
    assert isinstance(await refusal(pay(provider, "k")), stripe.APIConnectionError)
    [lost] = await provider.audit()
    assert lost["status"] == "succeeded"
    assert (await pay(provider, "k")).id == lost["id"]
    assert len(await provider.audit()) == 1
