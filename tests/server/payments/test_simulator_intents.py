"""Payment intents, charges and refunds as the real stripe client sees them."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from .conftest import Clock, Provider, Raised, Start

DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_visa_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "pm_card_chargeCustomerFail": ("card_declined", "generic_decline"),
    "pm_sim_savedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_sim_savedExpiredCard": ("expired_card", "expired_card"),
}


async def pay(provider: Provider, card: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    params = {"amount": 1999, "currency": "eur", "payment_method": card, "confirm": True, **more}
    return await provider.api.v1.payment_intents.create_async(params)


async def test_a_good_card_pays_at_once(provider: Provider) -> None:
    customer = await provider.customer()
    card = await provider.saved_card(customer)
    intent = await pay(provider, card, customer=customer, metadata={"order": "7"}, expand=["latest_charge"])
    assert (intent.status, intent.amount_received, intent.metadata["order"]) == ("succeeded", 1999, "7")
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.paid, charge.captured, charge.payment_intent) == (True, True, intent.id)
    assert charge.payment_method_details.card.last4 == "4242"
    assert not charge.livemode


@pytest.mark.parametrize("card", DECLINES)
async def test_declines_say_why_and_leave_the_intent_open(
    provider: Provider, refusal: Raised, card: str
) -> None:
    error = await refusal(pay(provider, card))
    assert isinstance(error, stripe.CardError)
    assert error.http_status == 402
    assert (error.code, error.error.decline_code) == DECLINES[card]
    intent = await provider.api.v1.payment_intents.retrieve_async(error.error.payment_intent.id)
    assert (intent.status, intent.amount_received) == ("requires_payment_method", 0)
    assert intent.last_payment_error.code == DECLINES[card][0]
    charges = await provider.api.v1.charges.list_async({"payment_intent": intent.id})
    assert [(charge.status, charge.paid) for charge in charges.data] == [("failed", False)]
    again = await provider.api.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert again.status == "succeeded"


async def test_three_d_secure_approved_pays_and_refused_does_not(provider: Provider) -> None:
    for outcome, status in (("approve", "succeeded"), ("refuse", "requires_payment_method")):
        intent = await pay(provider, "pm_card_authenticationRequired", use_stripe_sdk=True)
        assert intent.status == "requires_action"
        assert intent.next_action.type == "use_stripe_sdk"
        answer = await provider.authenticate(intent.id, intent.client_secret, outcome)
        assert answer.json()["status"] == status
        later = await provider.api.v1.payment_intents.retrieve_async(intent.id)
        assert (later.status, later.amount_received) == (status, 1999 if outcome == "approve" else 0)
    assert later.last_payment_error.code == "payment_intent_authentication_failure"


async def test_three_d_secure_wants_the_right_secret_and_happens_once(provider: Provider) -> None:
    intent = await pay(provider, "pm_card_authenticationRequired")
    assert (await provider.authenticate(intent.id, "pi_x_secret_y", "approve")).status_code == 401
    assert (await provider.authenticate(intent.id, intent.client_secret, "maybe")).status_code == 400
    assert (await provider.authenticate("pi_none", intent.client_secret, "approve")).status_code == 404
    await provider.authenticate(intent.id, intent.client_secret, "approve")
    again = await provider.authenticate(intent.id, intent.client_secret, "refuse")
    assert again.json()["error"]["code"] == "payment_intent_unexpected_state"
    assert (await provider.api.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_card_can_decline_after_authentication(provider: Provider) -> None:
    intent = await pay(provider, "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds")
    answer = await provider.authenticate(intent.id, intent.client_secret, "approve")
    assert answer.json()["status"] == "requires_payment_method"
    assert answer.json()["last_payment_error"]["decline_code"] == "insufficient_funds"


async def test_off_session_an_authentication_need_is_a_decline(provider: Provider, refusal: Raised) -> None:
    customer = await provider.customer()
    error = await refusal(
        pay(provider, "pm_card_authenticationRequired", customer=customer, off_session=True)
    )
    assert (error.code, error.http_status) == ("authentication_required", 402)
    assert (await provider.audit())[0]["status"] == "requires_payment_method"


async def test_cancelled_before_the_bank_approves_stays_cancelled(provider: Provider) -> None:
    intent = await pay(provider, "pm_card_authenticationRequired")
    cancelled = await provider.api.v1.payment_intents.cancel_async(intent.id)
    assert cancelled.status == "canceled"
    assert (await provider.authenticate(intent.id, intent.client_secret, "approve")).status_code == 400
    assert (await provider.audit())[0]["charges"] == []


async def test_a_paid_intent_cannot_be_cancelled(provider: Provider, refusal: Raised) -> None:
    intent = await pay(provider)
    error = await refusal(provider.api.v1.payment_intents.cancel_async(intent.id))
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.error.payment_intent.status == "succeeded"


async def test_manual_capture_takes_part_and_releases_the_rest(provider: Provider, refusal: Raised) -> None:
    intent = await pay(provider, capture_method="manual", expand=["latest_charge"])
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1999)
    assert intent.latest_charge.payment_method_details.card.capture_before > intent.created + 6 * 86_400
    too_much = provider.api.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 2000})
    assert (await refusal(too_much)).code == "amount_too_large"
    captured = await provider.api.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 1500})
    assert (captured.status, captured.amount_received) == ("succeeded", 1500)
    refund = await provider.api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.amount == 1500


async def test_an_authorisation_runs_out(start: Start) -> None:
    clock = Clock()
    async with start(clock=clock) as provider:
        intent = await pay(provider, capture_method="manual")
        clock.ahead_s = 7 * 86_400 + 1
        late = await provider.api.v1.payment_intents.retrieve_async(intent.id)
        assert (late.status, late.cancellation_reason) == ("canceled", "automatic")


async def test_refunds_never_exceed_what_was_taken(provider: Provider, refusal: Raised) -> None:
    refunds = provider.api.v1.refunds
    intent = await pay(provider)
    await refunds.create_async(
        {"payment_intent": intent.id, "amount": 1500, "reason": "requested_by_customer"}
    )
    error = await refusal(refunds.create_async({"payment_intent": intent.id, "amount": 500}))
    assert error.http_status == 400
    rest = await refunds.create_async({"payment_intent": intent.id})
    assert rest.amount == 499
    error = await refusal(refunds.create_async({"payment_intent": intent.id}))
    assert error.code == "charge_already_refunded"
    listed = await refunds.list_async({"payment_intent": intent.id})
    assert [refund.amount for refund in listed.data] == [499, 1500]
    [audited] = await provider.audit()
    assert (
        sum(refund["amount"] for refund in audited["refunds"])
        == audited["charges"][0]["amount_refunded"]
        == 1999
    )


async def test_nothing_to_refund_before_money_moved(provider: Provider, refusal: Raised) -> None:
    intent = await pay(provider, "pm_card_authenticationRequired")
    error = await refusal(provider.api.v1.refunds.create_async({"payment_intent": intent.id}))
    assert error.code == "charge_not_refundable"


async def test_a_refund_can_fail_at_the_bank(provider: Provider) -> None:
    intent = await pay(provider, "pm_card_refundFail")
    refund = await provider.api.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    assert (await provider.api.v1.refunds.retrieve_async(refund.id)).status == "failed"
    assert "refund.failed" in [event.type async for event in provider.gateway.events_between(0)]


async def test_customers_intents_are_listed_newest_first_a_page_at_a_time(provider: Provider) -> None:
    mine, other = await provider.customer(), await provider.customer()
    made = [(await pay(provider, customer=mine)).id for _ in range(5)]
    await pay(provider, customer=other)
    intents = provider.api.v1.payment_intents
    first = await intents.list_async({"customer": mine, "limit": 3})
    assert ([intent.id for intent in first.data], first.has_more) == (made[:1:-1], True)
    rest = await intents.list_async({"customer": mine, "limit": 3, "starting_after": first.data[-1].id})
    assert ([intent.id for intent in rest.data], rest.has_more) == (made[1::-1], False)
    back = await intents.list_async({"customer": mine, "limit": 3, "ending_before": rest.data[0].id})
    assert [intent.id for intent in back.data] == made[:1:-1]
    none = await intents.list_async({"customer": mine, "created": {"lt": 1_000}})
    assert none.data == []


async def test_another_customers_card_is_refused(provider: Provider, refusal: Raised) -> None:
    owner, thief = await provider.customer(), await provider.customer()
    card = await provider.saved_card(owner)
    error = await refusal(pay(provider, card, customer=thief))
    assert error.code == "payment_method_unexpected_state"
    assert await provider.audit() == []


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 10}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "euro"}, "invalid_currency", "currency"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"confirm": "yes"}, "parameter_invalid_boolean", "confirm"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"automatic_payment_methods": {"enabled": True, "shiny": 1}}, "parameter_unknown", None),
        ({"amount": None}, "parameter_missing", "amount"),
    ],
)
async def test_wrong_parameters_are_refused_as_stripe_does(
    provider: Provider, refusal: Raised, params: dict[str, Any], code: str, param: str | None
) -> None:
    error = await refusal(
        pay(provider, **{"card": "pm_card_visa", **params} if "payment_method" not in params else params)
    )
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code) == (400, code)
    assert param is None or error.param == param


async def test_unknown_objects_urls_and_keys(provider: Provider, refusal: Raised) -> None:
    error = await refusal(provider.api.v1.payment_intents.retrieve_async("pi_none"))
    assert (error.http_status, error.code) == (404, "resource_missing")
    error = await refusal(provider.api.v1.products.list_async())
    assert error.http_status == 404
    wrong = await provider.http.get("/v1/events", headers={"Authorization": "Bearer sk_test_other"})
    assert wrong.status_code == 401
    assert (await provider.http.get("/v1/events")).status_code == 401
    assert (await provider.http.get("/v1/events", auth=("sk_test_shop", ""))).status_code == 200


async def test_a_disputed_charge_answered_with_evidence(provider: Provider, refusal: Raised) -> None:
    intent = await pay(provider, "pm_card_createDispute")
    [dispute] = (await provider.api.v1.disputes.list_async({"payment_intent": intent.id})).data
    assert (dispute.status, dispute.amount) == ("needs_response", 1999)
    error = await refusal(provider.api.v1.refunds.create_async({"payment_intent": intent.id}))
    assert error.code == "charge_disputed"
    evidence: Any = {"evidence": {"uncategorized_text": "winning_evidence"}}
    assert (await provider.api.v1.disputes.update_async(dispute.id, evidence)).status == "won"
    assert (await refusal(provider.api.v1.disputes.close_async(dispute.id))).code == "dispute_closed"


async def test_transfers_to_accounts_never_exceed_what_there_is(provider: Provider, refusal: Raised) -> None:
    account = await provider.api.v1.accounts.create_async(
        {"type": "express", "capabilities": {"transfers": {"requested": True}}}
    )
    assert (await provider.api.v1.accounts.retrieve_async(account.id)).capabilities.transfers == "active"
    intent = await pay(provider)
    charge = str(intent.latest_charge)
    send: Any = {"amount": 1500, "currency": "eur", "destination": account.id, "source_transaction": charge}
    await provider.api.v1.transfers.create_async(send)
    error = await refusal(provider.api.v1.transfers.create_async(send))
    assert error.code == "balance_insufficient"
    listed = await provider.api.v1.transfers.list_async({"destination": account.id})
    assert [transfer.amount for transfer in listed.data] == [1500]


async def test_a_transfer_is_taken_back_in_parts_and_the_balance_knows(
    provider: Provider, refusal: Raised
) -> None:
    api = provider.api.v1
    account = await api.accounts.create_async({"type": "express"})
    intent = await pay(provider)

    async def left() -> int:
        (amount,) = [part.amount for part in (await api.balance.retrieve_async()).available]
        return int(amount)

    assert await left() == intent.amount
    sent = await api.transfers.create_async({"amount": 1500, "currency": "eur", "destination": account.id})
    assert await left() == intent.amount - 1500
    back = await api.transfers.reversals.create_async(sent.id, {"amount": 600})
    assert (back.amount, await left()) == (600, intent.amount - 900)
    error = await refusal(api.transfers.reversals.create_async(sent.id, {"amount": 901}))
    assert error.param == "amount"
    await api.transfers.reversals.create_async(sent.id)
    assert await left() == intent.amount
    transfer = await api.transfers.retrieve_async(sent.id)
    assert (transfer.amount_reversed, transfer.reversed) == (1500, True)
    assert [one.amount for one in (await api.transfers.reversals.list_async(sent.id)).data] == [900, 600]
    assert (await api.transfers.reversals.retrieve_async(sent.id, back.id)).transfer == sent.id


async def test_events_tell_what_happened_for_thirty_days(start: Start) -> None:
    clock = Clock()
    async with start(clock=clock) as provider:
        await pay(provider, "pm_card_visa")
        types = {"types": ["payment_intent.succeeded", "charge.succeeded"]}
        listed = await provider.api.v1.events.list_async(types)
        assert [event.type for event in listed.data] == ["payment_intent.succeeded", "charge.succeeded"]
        assert listed.data[0].data.object["status"] == "succeeded"
        one = await provider.api.v1.events.list_async({"type": "payment_intent.created"})
        assert len(one.data) == 1
        clock.ahead_s = 31 * 86_400
        assert (await provider.api.v1.events.list_async()).data == []
