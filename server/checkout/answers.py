"""What the checkout says to people: stable codes, plain reasons, and the order as its buyer sees it."""

from __future__ import annotations

from overlay.messages import OrderView, RefusedLine
from overlay.ports import Refusal
from server.shop.allocation import Existing, LineRefused
from server.shop.orders import OrderState
from server.shop.record import OrderRecord

RETRY_MS = 1_000

_REASONS = {
    "not_open_yet": "This has not opened yet. Tap at the second.",
    "offer_over": "This offer has ended, or was taken.",
    "sold_out": "Sold out: somebody was faster.",
    "buyer_limit": "You already have as many as one buyer may get.",
    "price_changed": "The price has changed. Have a look and tap again.",
    "not_for_sale": "This is not for sale any more.",
    "no_card": "Save a card first, then one tap is enough.",
    "no_address": "Add a delivery address first.",
    "not_signed_in": "Sign in to buy.",
    "order_id_reused": "This order id belongs to another purchase. Start a new one.",
    "bad_order": "This purchase can't be understood.",
    "unavailable": "The shop could not answer in time. Nothing is lost: try again in a moment.",
    "no_such_order": "There is no such order.",
    "not_declined": "Only a declined order can be tried again.",
    "being_charged": "The card is being charged right now. Wait for the answer.",
    "not_cancellable": "This order can't be cancelled any more.",
    "provider_unavailable": "The payment provider doesn't answer right now. Nothing is lost: try again soon.",
}

_FAILURES = {
    "card_declined": "Your bank declined the card. Try another one.",
    "generic_decline": "Your bank declined the card. Try another one.",
    "insufficient_funds": "There is not enough money on the card. Try another one.",
    "expired_card": "The card has expired. Try another one.",
    "incorrect_cvc": "The card's security code is wrong. Save the card again.",
    "authentication_required": "Your bank wants to hear from you first. Try again and confirm.",
    "payment_intent_authentication_failure": "The confirmation with your bank failed. Try again.",
    "amount_too_large": "This is more than can be charged at once. Nothing was taken. Order less.",
    "amount_too_small": "This is less than can be charged. Nothing was taken.",
    "provider_error": "The payment provider had a fault. Nothing was taken. Try again in a moment.",
    "cancelled": "The order was cancelled. Nothing was charged.",
    "canceled": "The order was cancelled. Nothing was charged.",
}
# What a bank suspects is not for whoever holds the card to read (docs.stripe.com/declines/codes).
_SUSPICIONS = frozenset(
    {"fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card", "security_violation"}
    | {"stolen_card"}
)
_OTHER_FAILURE = "The card could not be charged. Nothing was taken. Try another one."


def refusal(code: str, *, detail: str = "", lines: tuple[LineRefused, ...] = ()) -> Refusal:
    """The refusal of a command or request. Those where waiting helps say when to come back."""
    waits = RETRY_MS if code in ("unavailable", "provider_unavailable") else None
    if code == "not_open_yet":
        waits = max((line.retry_after_ms or 0 for line in lines), default=None)
    reason = f"{_REASONS[code]} {detail}".strip()
    return Refusal(code, reason, retry_after_ms=waits, lines=tuple(map(_line, lines)))


def _line(line: LineRefused) -> RefusedLine:
    return RefusedLine(
        variant_id=line.variant_id,
        code=line.code,
        available=line.available,
        price_minor=line.price_minor,
        buyer_limit=line.buyer_limit,
    )


def failure_message(code: str | None) -> str | None:
    """Why an order failed, for its buyer. The provider's words may name what is not for buyers."""
    return None if code is None else _FAILURES.get(code, _OTHER_FAILURE)


def failure_code(code: str | None) -> str | None:
    """Why an order failed, for its buyer's program."""
    return "card_declined" if code in _SUSPICIONS else code


def view_of_existing(order: Existing) -> OrderView:
    return OrderView(
        order_id=order.id,
        state=order.state,
        total_minor=order.total_minor,
        currency=order.currency,
        code=failure_code(order.failure_code),
        message=failure_message(failure_code(order.failure_code)),
        client_secret=order.client_secret,
        position=order.position,
    )


def view_of(order: OrderRecord) -> OrderView:
    waiting = order.state is OrderState.ACTION_NEEDED
    return OrderView(
        order_id=order.id,
        state=order.state.value,
        total_minor=order.total_minor,
        currency=order.currency,
        code=failure_code(order.failure_code),
        message=failure_message(failure_code(order.failure_code)),
        client_secret=order.newest.client_secret if waiting else None,
        position=order.drop_position,
    )
