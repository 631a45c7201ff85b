"""Payment intents and their charges.

    requires_payment_method ─▶ requires_confirmation ─▶ [requires_action ─▶] succeeded
                 ▲                                              │
                 └────────────── declined, refused ◀────────────┴─▶ requires_capture ─▶ succeeded
    every state but succeeded ─▶ canceled

Each arrow is one transaction that also writes the charge and the events.
Source: docs.stripe.com/payments/paymentintents/lifecycle.
"""

from server.payments.simulator import cards, form
from server.payments.simulator.call import EXPAND, PAGE, Call, check_secret, merge_metadata, public
from server.payments.simulator.disputes import open_dispute
from server.payments.simulator.errors import Declined, InvalidRequest, WrongState, card_declined
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import Obj, new_id
from server.payments.simulator.saving import (
    AUTOMATIC,
    SHIPPING,
    attach,
    card_of,
    next_action,
    payment_method_of,
    setup_error,
)

AUTHORISED_S = 7 * 86_400
_MINIMUM = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "cad": 50, "aud": 50}
_MAXIMUM = 99_999_999

_CONFIRM = {
    "payment_method": form.text,
    "off_session": form.boolean,
    "return_url": form.text,
    "use_stripe_sdk": form.boolean,
    "receipt_email": form.text,
    "setup_future_usage": form.choice("off_session", "on_session"),
    "shipping": SHIPPING,
    **EXPAND,
}
CONFIRM = _CONFIRM | {"client_secret": form.text}
UPDATE = {
    "amount": form.integer,
    "currency": form.currency,
    "customer": form.text,
    "description": form.text,
    "metadata": form.metadata,
    "payment_method": form.text,
    "receipt_email": form.text,
    "setup_future_usage": form.choice("off_session", "on_session"),
    "shipping": SHIPPING,
    "statement_descriptor": form.text,
    "statement_descriptor_suffix": form.text,
    "transfer_group": form.text,
    **EXPAND,
}
CREATE = (
    _CONFIRM
    | UPDATE
    | {
        "automatic_payment_methods": AUTOMATIC,
        "capture_method": form.choice("automatic", "automatic_async", "manual"),
        "confirm": form.boolean,
        "confirmation_method": form.choice("automatic", "manual"),
    }
)
LIST = PAGE | {"customer": form.text, "created": form.created}
CAPTURE = {"amount_to_capture": form.integer, "metadata": form.metadata, **EXPAND}
CANCEL = {
    "cancellation_reason": form.choice("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
    **EXPAND,
}
CHARGE_LIST = PAGE | {
    "customer": form.text,
    "payment_intent": form.text,
    "transfer_group": form.text,
    "created": form.created,
}


def create(call: Call, params: Params) -> Obj:
    """POST /v1/payment_intents; with `confirm` it charges at once."""
    _check_amount(params["amount"], params["currency"])
    if params.get("off_session") and not params.get("confirm"):
        raise InvalidRequest("off_session may only be used with confirm=true.", param="off_session")
    if params.get("customer"):
        call.fetch("customer", params["customer"], "customer")
    intent = _blank(call, params)
    call.save(intent, "payment_intent.created")
    if params.get("payment_method"):
        intent["payment_method"] = payment_method_of(call, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
        call.save(intent)
    return _confirm(call, intent, params) if params.get("confirm") else intent


_FROM_PARAMS = (
    "amount",
    "currency",
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "automatic_payment_methods",
)


def _blank(call: Call, params: Params) -> Obj:
    intent_id = new_id("pi")
    intent: Obj = {
        "id": intent_id,
        "object": "payment_intent",
        **{name: params.get(name) for name in _FROM_PARAMS},
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": new_id(f"{intent_id}_secret"),
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": call.now,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "processing": None,
        "status": "requires_payment_method",
    }
    return intent


def _check_amount(amount: int, currency: str) -> None:
    if amount < max(1, _MINIMUM.get(currency, 1)):
        raise InvalidRequest(
            f"Amount must be at least {_MINIMUM.get(currency, 1)} {currency}, in minor units.",
            code="amount_too_small",
            param="amount",
        )
    if amount > _MAXIMUM:
        raise InvalidRequest(
            f"Amount must be no more than {_MAXIMUM}.", code="amount_too_large", param="amount"
        )


def retrieve(call: Call, params: Params, intent_id: str) -> Obj:
    """GET /v1/payment_intents/:id"""
    intent = _load(call, intent_id)
    check_secret(call, intent, params.get("client_secret"))
    return intent


def _load(call: Call, intent_id: str) -> Obj:
    """The intent; an authorisation that has run out ends here, on first sight."""
    intent = call.fetch("payment_intent", intent_id)
    if intent["status"] == "requires_capture":
        charge = call.fetch("charge", intent["latest_charge"])
        if call.now >= charge["payment_method_details"]["card"]["capture_before"]:
            return _cancel(call, intent, "automatic")
    return intent


def list_intents(call: Call, params: Params) -> Obj:
    """GET /v1/payment_intents"""
    return call.page("payment_intent", params, {"customer": params.get("customer")})


def update(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/payment_intents/:id"""
    intent = _load(call, intent_id)
    merge_metadata(intent, params.pop("metadata", {}))
    params.pop("expand", None)
    if params:
        _allow(intent, "update", "requires_payment_method", "requires_confirmation", "requires_action")
    wanted = intent | params
    _check_amount(wanted["amount"], wanted["currency"])
    method = params.pop("payment_method", None)
    if params.get("customer"):
        call.fetch("customer", params["customer"], "customer")
    intent.update({name: value or None for name, value in params.items()})
    if method:
        intent |= {"payment_method": payment_method_of(call, method)["id"], "status": "requires_confirmation"}
    return call.save(intent)


def confirm(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/payment_intents/:id/confirm, by the server or by the browser."""
    intent = _load(call, intent_id)
    check_secret(call, intent, params.get("client_secret"))
    if call.browser and params.get("off_session"):
        raise InvalidRequest("off_session needs the secret key.", param="off_session")
    _allow(intent, "confirm", "requires_payment_method", "requires_confirmation", "requires_action")
    for name in ("receipt_email", "setup_future_usage", "shipping"):
        if params.get(name):
            intent[name] = params[name]
    return _confirm(call, intent, params)


def _confirm(call: Call, intent: Obj, params: Params) -> Obj:
    wanted = params.get("payment_method") or intent["payment_method"]
    if not wanted:
        raise WrongState(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    method = payment_method_of(call, wanted)
    _check_owner(method, intent)
    intent |= {"payment_method": method["id"], "last_payment_error": None, "next_action": None}
    return _charge(call, intent, method, off_session=params.get("off_session", False), authenticated=False)


def _check_owner(method: Obj, intent: Obj) -> None:
    if method.get("_spent"):
        raise InvalidRequest(
            "The PaymentMethod was detached from a customer, or used without one; it may not be used again.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )
    if method["customer"] and method["customer"] != intent["customer"]:
        raise InvalidRequest(
            f"The PaymentMethod {method['id']} does not belong to the customer of this PaymentIntent.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )


def _charge(call: Call, intent: Obj, method: Obj, *, off_session: bool, authenticated: bool) -> Obj:
    card = card_of(method)
    saved = bool(method.get("_set_up"))
    verdict = cards.on_charge(card, off_session=off_session, saved=saved, authenticated=authenticated)
    if isinstance(verdict, cards.Decline):
        raise decline(call, intent, method, verdict)
    if verdict == "authenticate":
        intent |= {"status": "requires_action", "next_action": next_action(intent)}
        return call.save(intent, "payment_intent.requires_action")
    return _approve(call, intent, method, card)


def _approve(call: Call, intent: Obj, method: Obj, card: cards.TestCard) -> Obj:
    if intent["setup_future_usage"] and intent["customer"]:
        method = attach(call, method, intent["customer"]) | {"_set_up": True}
    if not method["customer"]:
        method["_spent"] = True
    call.ledger.put(method)
    charge = _new_charge(call, intent, method)
    manual = intent["capture_method"] == "manual"
    _capture(charge, 0 if manual else intent["amount"])
    intent |= {"latest_charge": charge["id"], "next_action": None}
    if manual:
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
    else:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    call.save(charge, "charge.succeeded")
    call.save(intent, "payment_intent.amount_capturable_updated" if manual else "payment_intent.succeeded")
    if card.disputed and not manual:
        open_dispute(call, charge)
    return intent


def _new_charge(call: Call, intent: Obj, method: Obj) -> Obj:
    card = {
        key: method["card"][key] for key in ("brand", "last4", "exp_month", "exp_year", "funding", "country")
    }
    card["capture_before"] = call.now + AUTHORISED_S if intent["capture_method"] == "manual" else None
    return {
        "id": new_id("ch"),
        "object": "charge",
        **{
            name: intent[name]
            for name in ("amount", "currency", "customer", "description", "shipping", "transfer_group")
        },
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "captured": False,
        "created": call.now,
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "outcome": {"network_status": "approved_by_network", "type": "authorized", "reason": None},
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"type": "card", "card": card},
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "status": "succeeded",
        "_refund_fails": card_of(method).refund_fails,
    }


def _capture(charge: Obj, amount: int) -> None:
    charge |= {"captured": amount > 0, "amount_captured": amount}


def decline(call: Call, intent: Obj, method: Obj, reason: cards.Decline) -> Declined:
    """Record a decline: a failed charge, the intent open for another card. Returns the 402 to raise."""
    charge = _new_charge(call, intent, method) | {
        "paid": False,
        "status": "failed",
        "failure_code": reason.code,
        "failure_message": reason.message,
        "outcome": {
            "network_status": "declined_by_network",
            "type": "issuer_declined",
            "reason": reason.decline_code,
        },
    }
    call.save(charge, "charge.failed")
    _reopen(call, intent, method, reason)
    intent["latest_charge"] = charge["id"]
    call.save(intent, "payment_intent.payment_failed")
    return card_declined(
        reason.message, reason.code, reason.decline_code, charge=charge["id"], payment_intent=public(intent)
    )


def _reopen(call: Call, intent: Obj, method: Obj, reason: cards.Decline) -> None:
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": setup_error(method, reason),
    }


def authenticate(call: Call, intent: Obj, *, approved: bool) -> Obj:
    """The 3-D Secure page's answer. A decline after it is not raised: the page reads it from the intent."""
    _allow(intent, "authenticate", "requires_action")
    method = call.fetch("payment_method", intent["payment_method"])
    if approved:
        return _charge(call, intent, method, off_session=False, authenticated=True)
    _reopen(call, intent, method, REFUSED)
    return call.save(intent, "payment_intent.payment_failed")


REFUSED = cards.Decline(
    "payment_intent_authentication_failure",
    None,
    "The provided payment method has failed authentication. Provide another to attempt this payment again.",
)


def capture(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/payment_intents/:id/capture; what is not captured is released."""
    intent = _load(call, intent_id)
    _allow(intent, "capture", "requires_capture")
    amount: int = ({"amount_to_capture": intent["amount_capturable"]} | params)["amount_to_capture"]
    if not 0 < amount <= intent["amount_capturable"]:
        raise InvalidRequest(
            f"amount_to_capture must be between 1 and {intent['amount_capturable']}.",
            code="amount_too_large" if amount > 0 else "amount_too_small",
            param="amount_to_capture",
        )
    merge_metadata(intent, params.get("metadata", {}))
    charge = call.fetch("charge", intent["latest_charge"])
    _capture(charge, amount)
    call.save(charge, "charge.captured")
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    return call.save(intent, "payment_intent.succeeded")


def cancel(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/payment_intents/:id/cancel"""
    intent = _load(call, intent_id)
    _allow(
        intent,
        "cancel",
        "requires_payment_method",
        "requires_capture",
        "requires_confirmation",
        "requires_action",
    )
    return _cancel(call, intent, params.get("cancellation_reason"))


def _cancel(call: Call, intent: Obj, reason: str | None) -> Obj:
    if intent["status"] == "requires_capture":
        charge = call.fetch("charge", intent["latest_charge"])
        charge |= {"refunded": True, "amount_refunded": charge["amount"]}
        call.save(charge, "charge.refunded")
    intent |= {
        "status": "canceled",
        "canceled_at": call.now,
        "cancellation_reason": reason,
        "amount_capturable": 0,
        "next_action": None,
    }
    return call.save(intent, "payment_intent.canceled")


def _allow(intent: Obj, wish: str, *states: str) -> None:
    if intent["status"] not in states:
        raise WrongState(
            f"You cannot {wish} this PaymentIntent because it has a status of {intent['status']}. "
            f"Only a PaymentIntent with one of these statuses allows it: {', '.join(states)}.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )


def retrieve_charge(call: Call, params: Params, charge_id: str) -> Obj:
    """GET /v1/charges/:id"""
    return call.fetch("charge", charge_id)


def list_charges(call: Call, params: Params) -> Obj:
    """GET /v1/charges"""
    return call.page(
        "charge",
        params,
        {name: params.get(name) for name in ("customer", "payment_intent", "transfer_group")},
    )
