"""The gateway against the simulator: every answer that decides about stock and money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.payments.gateway import StripeGateway
from server.payments.outcomes import (
    ActionNeeded,
    Authorized,
    Cancelled,
    Declined,
    NotCancellable,
    Paid,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    Refunded,
    RefundRefused,
    Unknown,
    outcome_of,
)

from .conftest import SECRET, Provider


async def charge(provider: Provider, key: str = "order:1", **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "order_id": "order",
        "amount_minor": 2500,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "idempotency_key": key,
    }
    asked["customer"] = changes.pop("customer", None) or await provider.customer()
    return await provider.gateway.charge(**{**asked, **changes})


async def test_paid(provider: Provider) -> None:
    customer = await provider.gateway.create_customer("user-1", "ada@example.org", "customer:user-1")
    paid = await charge(provider, customer=customer.id, metadata={"show": "s1"})
    assert isinstance(paid, Paid)
    assert paid.amount_received_minor == 2500
    view = await provider.gateway.retrieve(paid.payment_intent)
    assert (view.order_id, view.metadata["show"], view.status) == ("order", "s1", "succeeded")
    assert (view.amount_minor, view.currency, view.amount_refunded_minor) == (2500, "eur", 0)
    assert outcome_of(view) == paid
    assert await provider.gateway.create_customer("user-1", "ada@example.org", "customer:user-1") == customer


async def test_declined_is_definite_and_names_its_intent(provider: Provider) -> None:
    declined = await charge(provider, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert isinstance(declined, Declined)
    assert (declined.code, declined.decline_code) == ("card_declined", "insufficient_funds")
    assert declined.message == "Your card has insufficient funds."
    assert outcome_of(await provider.gateway.retrieve(declined.payment_intent or "")) == declined


async def test_a_card_that_is_gone_is_a_definite_no_without_an_intent(provider: Provider) -> None:
    declined = await charge(provider, payment_method="pm_gone")
    assert isinstance(declined, Declined)
    assert (declined.payment_intent, declined.code) == (None, "resource_missing")
    assert await provider.audit() == []


async def test_action_needed_then_approved(provider: Provider) -> None:
    asked = await charge(provider, payment_method="pm_card_authenticationRequired")
    assert isinstance(asked, ActionNeeded)
    assert asked.client_secret not in repr(asked)
    await provider.authenticate(asked.payment_intent, asked.client_secret, "approve")
    assert outcome_of(await provider.gateway.retrieve(asked.payment_intent)) == Paid(
        asked.payment_intent, 2500
    )


async def test_action_needed_then_refused(provider: Provider) -> None:
    asked = await charge(provider, payment_method="pm_card_authenticationRequired")
    await provider.authenticate(asked.payment_intent, asked.client_secret, "refuse")
    refused = outcome_of(await provider.gateway.retrieve(asked.payment_intent))
    assert isinstance(refused, Declined)
    assert (refused.code, refused.still_open) == ("payment_intent_authentication_failure", True)
    confirm = f"/v1/payment_intents/{asked.payment_intent}/confirm"
    cancelled = await provider.gateway.cancel(asked.payment_intent)
    assert cancelled == Cancelled(asked.payment_intent)
    late = await provider.browser(confirm, client_secret=asked.client_secret, payment_method="pm_card_visa")
    assert late.json()["error"]["code"] == "payment_intent_unexpected_state"


async def test_off_session_needs_no_page(provider: Provider) -> None:
    declined = await charge(provider, payment_method="pm_card_authenticationRequired", off_session=True)
    assert isinstance(declined, Declined)
    assert declined.code == "authentication_required"


async def test_what_somebody_else_authorised_is_told_and_can_be_cancelled(provider: Provider) -> None:
    made = await provider.api.v1.payment_intents.create_async(
        {
            "amount": 2500,
            "currency": "eur",
            "customer": await provider.customer(),
            "payment_method": "pm_card_visa",
            "confirm": True,
            "capture_method": "manual",
        }
    )
    held = await provider.gateway.retrieve(made.id)
    assert held.capture_before is not None
    assert held.capture_before > held.created
    assert outcome_of(held) == Authorized(made.id, 2500, held.capture_before)
    assert await provider.gateway.cancel(made.id) == Cancelled(made.id)


async def test_a_cancel_that_comes_too_late_says_so(provider: Provider) -> None:
    asked = await charge(provider, payment_method="pm_card_authenticationRequired")
    assert await provider.gateway.cancel(asked.payment_intent) == Cancelled(asked.payment_intent)
    assert await provider.gateway.cancel(asked.payment_intent) == Cancelled(asked.payment_intent)
    paid = await charge(provider, key="order:2")
    assert await provider.gateway.cancel(paid.payment_intent) == NotCancellable(
        paid.payment_intent, "succeeded"
    )
    assert await provider.gateway.cancel("pi_none") == Unknown("unexpected_answer")
    ended = outcome_of(await provider.gateway.retrieve(asked.payment_intent))
    assert isinstance(ended, Declined)
    assert ended.code == "canceled"


async def test_refunds(provider: Provider) -> None:
    paid = await charge(provider)
    some = await provider.gateway.refund(paid.payment_intent, 1000, "rf:1")
    assert isinstance(some, Refunded)
    assert await provider.gateway.refund(paid.payment_intent, 1000, "rf:1") == some
    too_much = await provider.gateway.refund(paid.payment_intent, 1501, "rf:2")
    assert isinstance(too_much, RefundRefused)
    rest = await provider.gateway.refund(paid.payment_intent, None, "rf:3")
    assert isinstance(rest, Refunded)
    assert rest.amount_minor == 1500
    none_left = await provider.gateway.refund(paid.payment_intent, 1, "rf:4")
    assert isinstance(none_left, RefundRefused)
    assert none_left.code == "charge_already_refunded"
    assert (await provider.gateway.retrieve(paid.payment_intent)).amount_refunded_minor == 2500


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"once": {"reply_lost": 1}}, Unknown("connection_lost")),
        ({"down": "refused"}, Unknown("connection_lost")),
        ({"down": "503"}, Unknown("provider_error")),
        ({"once": {"server_error": 1}}, Unknown("provider_error")),
        ({"once": {"server_error_after": 1}}, Unknown("provider_error")),
        ({"once": {"rate_limited": 1}}, RateLimited(1.0)),
    ],
)
async def test_what_is_not_definite_is_never_a_decline(provider: Provider, fault: Any, reason: Any) -> None:
    customer = await provider.customer()
    await provider.faults(**fault)
    assert await charge(provider, customer=customer) == reason


async def test_a_lost_reply_is_answered_by_the_same_key(provider: Provider) -> None:
    customer = await provider.customer()
    await provider.faults(once={"reply_lost": 2})
    outcomes = [await charge(provider, customer=customer) for _ in range(3)]
    assert outcomes[:2] == [Unknown("connection_lost")] * 2
    assert isinstance(outcomes[2], Paid)
    assert [intent["id"] for intent in await provider.audit()] == [outcomes[2].payment_intent]


@pytest.mark.parametrize("fault", ["server_error", "server_error_after"])
async def test_a_stored_500_is_told_apart_and_looked_up(provider: Provider, fault: str) -> None:
    customer = await provider.customer()
    await provider.faults(once={fault: 1})
    outcomes = [await charge(provider, customer=customer) for _ in range(3)]
    assert outcomes == [Unknown("provider_error"), Unknown("stored_error"), Unknown("stored_error")]
    found = await provider.gateway.list_for_customer(customer, created_after=0)
    assert [payment.order_id for payment in found.payments] == ["order"] * (fault == "server_error_after")


async def test_refunds_are_listed_with_our_ids(provider: Provider) -> None:
    paid, other = await charge(provider), await charge(provider, key="order:2")
    await provider.faults(once={"server_error_after": 1})
    for number in (1, 2):
        await provider.gateway.refund(
            paid.payment_intent, 100 * number, f"rf:{number}", refund_id=f"r{number}"
        )
    found = await provider.gateway.list_refunds(paid.payment_intent)
    assert [(refund.refund_id, refund.amount_minor) for refund in found] == [("r2", 200), ("r1", 100)]
    assert {refund.status for refund in found} == {"succeeded"}
    assert await provider.gateway.list_refunds(other.payment_intent) == ()
    with pytest.raises(ProviderRefused, match="too_many_refunds"):
        await provider.gateway.list_refunds(paid.payment_intent, at_most=1)


async def test_no_answer_in_time_is_unknown_and_two_at_once_charge_once(provider: Provider) -> None:
    customer = await provider.customer()
    hasty = StripeGateway(SECRET, base_url=provider.url, timeout_s=0.05)
    await provider.faults(latency_s=0.8, seed=5)
    asked: dict[str, Any] = {"order_id": "o", "amount_minor": 900, "currency": "eur", "customer": customer}
    asked |= {"payment_method": "pm_card_visa", "idempotency_key": "o:1"}
    assert await hasty.charge(**asked) == Unknown("timeout")
    outcome = await provider.gateway.charge(**asked)
    while outcome == Unknown("key_in_use"):
        await asyncio.sleep(0.05)
        outcome = await provider.gateway.charge(**asked)
    assert isinstance(outcome, Paid)
    assert len(await provider.audit()) == 1
    await hasty.close()


async def test_a_mismatched_key_is_unknown_since_the_first_request_may_have_charged(
    provider: Provider,
) -> None:
    customer = await provider.customer()
    await charge(provider, customer=customer)
    assert await charge(provider, customer=customer, amount_minor=2600) == Unknown("key_reused")


async def test_a_refused_api_key_is_unknown(provider: Provider) -> None:
    stranger = StripeGateway("sk_test_other", base_url=provider.url)
    outcome = await stranger.charge(
        order_id="o",
        amount_minor=900,
        currency="eur",
        customer="cus_1",
        payment_method="pm_card_visa",
        idempotency_key="k",
    )
    assert outcome == Unknown("not_authorized")
    with pytest.raises(ProviderUnavailable, match="not_authorized"):
        await stranger.retrieve("pi_1")
    await stranger.close()


async def test_nobody_listens(free_ports: Callable[[int], int]) -> None:
    gateway = StripeGateway(SECRET, base_url=f"http://127.0.0.1:{free_ports(1)}")
    with pytest.raises(ProviderUnavailable, match="connection_lost"):
        await gateway.create_customer("u", "a@example.org", "k")
    await gateway.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"id":1}',
        b"\xff\xfe",
        b'{"object":"payment_intent","id":"pi_1"}',
    ],
)
async def test_an_answer_that_cannot_be_read_is_unknown(body: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    gateway = StripeGateway(SECRET, base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    outcome = await gateway.charge(
        order_id="o",
        amount_minor=900,
        currency="eur",
        customer="cus_1",
        payment_method="pm_card_visa",
        idempotency_key="k",
    )
    assert outcome == Unknown("unexpected_answer")
    await gateway.close()
    server.close()
    await server.wait_closed()


async def test_an_answer_cut_off_in_the_middle_is_unknown() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 402 No\r\nContent-Length: 900\r\n\r\n{"error": {"type": "card_error"')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    gateway = StripeGateway(SECRET, base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    outcome = await gateway.cancel("pi_1")
    assert outcome == Unknown("connection_lost")
    await gateway.close()
    server.close()
    await server.wait_closed()


async def test_orders_are_found_again_through_the_customer(provider: Provider) -> None:
    customer = await provider.customer()
    paid = await charge(provider, customer=customer)
    declined = await charge(
        provider, key="order:2", customer=customer, payment_method="pm_card_visa_chargeDeclined"
    )
    await charge(provider, key="other:1")
    found = await provider.gateway.list_for_customer(customer, created_after=0)
    assert [payment.id for payment in found.payments] == [declined.payment_intent, paid.payment_intent]
    assert found.complete
    assert [outcome_of(payment) for payment in found.payments] == [declined, paid]
    bounded = await provider.gateway.list_for_customer(customer, created_after=0, at_most=1)
    assert (len(bounded.payments), bounded.complete) == (1, False)
    assert (await provider.gateway.list_for_customer(customer, created_after=4e9)).payments == ()


async def test_all_events_come_newest_first_over_many_pages(provider: Provider) -> None:
    customer = await provider.customer()
    paid = [
        (await charge(provider, key=f"o:{number}", customer=customer)).payment_intent for number in range(52)
    ]
    types = ["payment_intent.created", "payment_intent.succeeded"]
    events = [event async for event in provider.gateway.events_between(0, types=types)]
    assert [event.payment_intent for event in events] == [i for i in reversed(paid) for _ in range(2)]
    first, last = events[-1].created, events[0].created
    assert [e async for e in provider.gateway.events_between(0, first, types)] == []
    assert [e async for e in provider.gateway.events_between(last + 1)] == []


async def test_a_card_is_saved_shown_and_forgotten(provider: Provider) -> None:
    customer = await provider.customer()
    setup = await provider.gateway.create_setup_intent(customer, "setup:1")
    assert setup.client_secret not in repr(setup)
    await provider.browser(
        f"/v1/setup_intents/{setup.id}/confirm",
        client_secret=setup.client_secret,
        payment_method="pm_card_visa",
    )
    saved = await provider.gateway.retrieve_setup_intent(setup.id)
    assert (saved.status, saved.customer) == ("succeeded", customer)
    card = await provider.gateway.retrieve_payment_method(saved.payment_method or "")
    assert (card.brand, card.last4, card.customer) == ("visa", "4242", customer)
    assert await provider.cards(customer) == [card.payment_method]
    await provider.gateway.detach(card.payment_method)
    await provider.gateway.detach(card.payment_method)
    assert await provider.cards(customer) == []
    with pytest.raises(ProviderRefused, match="resource_missing"):
        await provider.gateway.detach("pm_none")


class Line:
    """`Turns` that are given out as listed."""

    def __init__(self, *turns: float | None) -> None:
        self.left = list(turns)

    async def take(self) -> float | None:
        return self.left.pop(0)

    def wait_s(self) -> float:
        return 1.0


async def test_calls_wait_for_their_turn_and_a_full_line_is_told_at_once(provider: Provider) -> None:
    line = Line(0.0, 0.01, None, None, 0.0)
    gateway = StripeGateway(SECRET, base_url=provider.url, turns=line)
    for _ in range(2):
        with pytest.raises(ProviderRefused):
            await gateway.retrieve("pi_none")
    with pytest.raises(ProviderBusy) as busy:
        await gateway.retrieve("pi_none")
    assert busy.value.retry_after_s == 1.0
    assert await gateway.cancel("pi_none") == RateLimited(1.0)
    with pytest.raises(ProviderRefused):
        await gateway.retrieve("pi_none")
    assert line.left == []
    await gateway.close()


async def test_the_simulators_own_limit_is_felt_as_a_429(start: Any) -> None:
    async with start(lambda: 1_800_000_000.0, rate_limit_per_s=3) as provider:
        outcomes = await asyncio.gather(*(provider.gateway.cancel("pi_none") for _ in range(12)))
    limited = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
    assert len(limited) == 9


async def test_a_cancelled_caller_is_cancelled(provider: Provider) -> None:
    await provider.faults(latency_s=0.8, seed=5)
    task = asyncio.create_task(charge_slowly(provider))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def charge_slowly(provider: Provider) -> Any:
    return await charge(provider, customer="cus_1")
