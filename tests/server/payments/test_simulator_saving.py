"""Saving a card: customers, payment methods, setup intents, and the browser's part in it."""

from __future__ import annotations

import pytest
import stripe

from .conftest import PUBLISHABLE, Provider, Raised


async def setup(provider: Provider, customer: str) -> stripe.SetupIntent:
    return await provider.api.v1.setup_intents.create_async(
        {
            "customer": customer,
            "usage": "off_session",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )


async def test_the_browser_saves_a_card_with_the_publishable_key(provider: Provider) -> None:
    customer = await provider.customer()
    intent = await setup(provider, customer)
    answer = await provider.browser(
        f"/v1/setup_intents/{intent.id}/confirm",
        client_secret=intent.client_secret,
        payment_method="pm_card_mastercard",
    )
    assert answer.json()["status"] == "succeeded"
    assert "customer" not in answer.json()
    saved = await provider.api.v1.setup_intents.retrieve_async(intent.id, {"expand": ["payment_method"]})
    assert saved.payment_method.card.last4 == "4444"
    assert saved.payment_method.customer == customer
    assert await provider.cards(customer) == [saved.payment_method.id]


async def test_a_wrong_client_secret_saves_nothing(provider: Provider) -> None:
    intent = await setup(provider, await provider.customer())
    for secret in ({}, {"client_secret": "seti_x_secret_y"}):
        answer = await provider.browser(
            f"/v1/setup_intents/{intent.id}/confirm", payment_method="pm_card_visa", **secret
        )
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "setup_intent_client_secret_mismatch"


async def test_a_publishable_key_opens_nothing_else(provider: Provider) -> None:
    for path in ("/v1/refunds", "/v1/customers", "/v1/payment_intents"):
        assert (await provider.browser(path)).status_code == 403
    headers = {"Authorization": f"Bearer {PUBLISHABLE}"}
    for path in ("/v1/_audit", "/v1/events", "/v1/payment_intents"):
        assert (await provider.http.get(path, headers=headers)).status_code == 403
    for path in ("/_faults", "/_clock"):
        assert (await provider.http.get(path, headers=headers)).status_code == 401


async def test_browsers_may_call_from_the_shops_origin(provider: Provider) -> None:
    preflight = await provider.http.options(
        "/v1/setup_intents/seti_1/confirm",
        headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    refused = await provider.browser("/v1/setup_intents/seti_1/confirm")
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_a_card_that_must_authenticate_is_saved_after_approval(provider: Provider) -> None:
    customer = await provider.customer()
    for outcome, status in (("refuse", "requires_payment_method"), ("approve", "succeeded")):
        intent = await setup(provider, customer)
        answer = await provider.browser(
            f"/v1/setup_intents/{intent.id}/confirm",
            client_secret=intent.client_secret,
            payment_method="pm_card_authenticationRequiredOnSetup",
        )
        assert answer.json()["status"] == "requires_action"
        done = await provider.authenticate(intent.id, intent.client_secret, outcome)
        assert done.json()["status"] == status
    card = done.json()["payment_method"]
    paid = await provider.api.v1.payment_intents.create_async(
        {
            "amount": 900,
            "currency": "usd",
            "customer": customer,
            "payment_method": card,
            "confirm": True,
            "off_session": True,
        }
    )
    assert paid.status == "succeeded"


async def test_a_declining_card_is_not_saved(provider: Provider) -> None:
    customer = await provider.customer()
    intent = await setup(provider, customer)
    answer = await provider.browser(
        f"/v1/setup_intents/{intent.id}/confirm",
        client_secret=intent.client_secret,
        payment_method="pm_card_visa_chargeDeclined",
    )
    assert answer.status_code == 402
    assert answer.json()["error"]["setup_intent"]["status"] == "requires_payment_method"
    view = await provider.gateway.retrieve_setup_intent(intent.id)
    assert (view.status, view.failure_code, view.payment_method) == (
        "requires_payment_method",
        "card_declined",
        None,
    )
    assert await provider.cards(customer) == []


async def test_a_card_that_declines_only_when_charged_can_be_saved(provider: Provider) -> None:
    customer = await provider.customer()
    await provider.saved_card(customer, "pm_card_chargeCustomerFail")
    assert len(await provider.cards(customer)) == 1


async def test_a_setup_intent_can_be_cancelled_once(provider: Provider, refusal: Raised) -> None:
    intent = await setup(provider, await provider.customer())
    assert (await provider.api.v1.setup_intents.cancel_async(intent.id)).status == "canceled"
    error = await refusal(provider.api.v1.setup_intents.cancel_async(intent.id))
    assert error.code == "setup_intent_unexpected_state"
    error = await refusal(
        provider.api.v1.setup_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    )
    assert error.code == "setup_intent_unexpected_state"


async def test_a_detached_card_never_works_again(provider: Provider, refusal: Raised) -> None:
    customer = await provider.customer()
    card = await provider.saved_card(customer)
    await provider.api.v1.payment_methods.detach_async(card)
    assert (await provider.api.v1.payment_methods.list_async({"customer": customer})).data == []
    error = await refusal(provider.api.v1.payment_methods.attach_async(card, {"customer": customer}))
    assert error.code == "payment_method_unexpected_state"
    error = await refusal(provider.api.v1.payment_methods.detach_async(card))
    assert error.code == "payment_method_unexpected_state"


async def test_no_card_number_is_taken(provider: Provider, refusal: Raised) -> None:
    error = await refusal(
        provider.api.v1.payment_methods.create_async(
            {"type": "card", "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2040}}
        )
    )
    assert error.code == "parameter_unknown"
    made = await provider.api.v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    assert made.card.last4 == "4242"


async def test_customers_are_updated_found_and_deleted(provider: Provider) -> None:
    customers = provider.api.v1.customers
    made = await customers.create_async({"email": "a@example.org", "metadata": {"user": "1", "old": "x"}})
    changed = await customers.update_async(made.id, {"name": "Ada", "metadata": {"old": "", "new": "y"}})
    assert (changed.name, changed.metadata.to_dict()) == ("Ada", {"user": "1", "new": "y"})
    assert [found.id for found in (await customers.list_async({"email": "a@example.org"})).data] == [made.id]
    card = await provider.saved_card(made.id)
    assert (await customers.delete_async(made.id)).deleted
    assert (await customers.retrieve_async(made.id)).deleted
    assert (await provider.api.v1.payment_methods.retrieve_async(card)).customer is None


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_amex"])
async def test_what_may_be_shown_of_a_card(provider: Provider, card: str) -> None:
    saved = await provider.saved_card(await provider.customer(), card)
    view = await provider.gateway.retrieve_payment_method(saved)
    assert (view.payment_method, view.exp_year > 2030, len(view.last4)) == (saved, True, 4)
