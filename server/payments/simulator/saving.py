"""Customers, payment methods and setup intents: how a card is saved without a number in sight."""

from typing import Any

from server.payments.simulator import cards, form
from server.payments.simulator.call import EXPAND, PAGE, Call, check_secret, merge_metadata
from server.payments.simulator.errors import Declined, InvalidRequest, WrongState, card_declined
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import Obj, new_id

_ADDRESS = form.nested(
    dict.fromkeys(("line1", "line2", "city", "state", "postal_code", "country"), form.text)
)
SHIPPING = form.nested({"name": form.text, "phone": form.text, "address": _ADDRESS})
_BILLING = form.nested({"name": form.text, "email": form.text, "phone": form.text, "address": _ADDRESS})
AUTOMATIC = form.nested({"enabled": form.boolean, "allow_redirects": form.choice("always", "never")})

CUSTOMER = {
    **dict.fromkeys(("email", "name", "description", "phone"), form.text),
    "metadata": form.metadata,
    "address": _ADDRESS,
    "shipping": SHIPPING,
    "preferred_locales": form.listing(form.text),
    "invoice_settings": form.nested({"default_payment_method": form.text}),
    **EXPAND,
}
CUSTOMER_CREATE = CUSTOMER | {"payment_method": form.text}
CUSTOMER_LIST = PAGE | {"email": form.text, "created": form.created}


def create_customer(call: Call, params: Params) -> Obj:
    """POST /v1/customers"""
    customer = {
        "id": new_id("cus"),
        "object": "customer",
        "created": call.now,
        "livemode": False,
        **{
            name: params.get(name)
            for name in ("email", "name", "description", "phone", "address", "shipping")
        },
        "preferred_locales": params.get("preferred_locales", []),
        "invoice_settings": params.get("invoice_settings", {"default_payment_method": None}),
        "metadata": params.get("metadata", {}),
    }
    call.save(customer, "customer.created")
    if params.get("payment_method"):
        attach(call, payment_method_of(call, params["payment_method"]), customer["id"])
    return customer


def retrieve_customer(call: Call, params: Params, customer_id: str) -> Obj:
    """GET /v1/customers/:id; a deleted one answers with `deleted: true`."""
    stored = call.ledger.get("customer", customer_id)
    return stored if stored and stored.get("deleted") else call.fetch("customer", customer_id)


def update_customer(call: Call, params: Params, customer_id: str) -> Obj:
    """POST /v1/customers/:id"""
    customer = call.fetch("customer", customer_id)
    merge_metadata(customer, params.pop("metadata", {}))
    params.pop("expand", None)
    customer.update({name: value or None for name, value in params.items()})
    return call.save(customer, "customer.updated")


def delete_customer(call: Call, params: Params, customer_id: str) -> Obj:
    """DELETE /v1/customers/:id; its cards are detached."""
    customer = call.fetch("customer", customer_id)
    for method in call.ledger.find("payment_method", {"customer": customer_id}):
        _let_go(call, method)
    call.emit("customer.deleted", customer)
    return call.save({"id": customer_id, "object": "customer", "deleted": True})


def list_customers(call: Call, params: Params) -> Obj:
    """GET /v1/customers"""
    return call.page("customer", params, {"email": params.get("email")})


# Payment methods

METHOD_CREATE = {
    "type": form.choice("card"),
    "card": form.nested({"token": form.text}),
    "billing_details": _BILLING,
    "metadata": form.metadata,
    **EXPAND,
}
METHOD_LIST = PAGE | {"customer": form.text, "type": form.choice("card")}
METHOD_UPDATE = {"metadata": form.metadata, "billing_details": _BILLING, **EXPAND}
ATTACH = {"customer": form.text, **EXPAND}


def create_method(call: Call, params: Params) -> Obj:
    """POST /v1/payment_methods. Takes `card[token]=tok_visa`, never a card number."""
    token = params.get("card", {}).get("token", "")
    method = payment_method_of(call, token.replace("tok_", "pm_card_", 1), "card[token]")
    method["billing_details"] |= params.get("billing_details", {})
    method["metadata"] = params.get("metadata", {})
    return call.save(method)


def payment_method_of(call: Call, method_id: str, param: str = "payment_method") -> Obj:
    """A saved payment method; or a new one, when the id is one of Stripe's test names (`pm_card_visa`)."""
    card = cards.CARDS.get(method_id)
    return _new_method(call, method_id, card) if card else call.fetch("payment_method", method_id, param)


def _new_method(call: Call, name: str, card: cards.TestCard) -> Obj:
    method = {
        "id": new_id("pm"),
        "object": "payment_method",
        "created": call.now,
        "livemode": False,
        "type": "card",
        "customer": None,
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "card": {
            "brand": card.brand,
            "display_brand": card.brand,
            "last4": card.last4,
            "exp_month": 12,
            "exp_year": 2034,
            "country": "US",
            "funding": card.funding,
            "fingerprint": f"sim{name[-13:]}",
            "checks": {"cvc_check": "pass"},
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "metadata": {},
        "_test_card": name,
    }
    return call.ledger.put(method)


def card_of(method: Obj) -> cards.TestCard:
    """The test card behind a payment method."""
    return cards.CARDS[method["_test_card"]]


def attach(call: Call, method: Obj, customer_id: str) -> Obj:
    """Bind a payment method to its customer, for good."""
    call.fetch("customer", customer_id, "customer")
    if method["customer"] == customer_id:
        return method
    if method["customer"] or method.get("_spent"):
        raise InvalidRequest(
            "This payment method is attached elsewhere, or was detached, and may not be used again. "
            "Create a new one.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = customer_id
    return call.save(method, "payment_method.attached")


def attach_method(call: Call, params: Params, method_id: str) -> Obj:
    """POST /v1/payment_methods/:id/attach"""
    method = payment_method_of(call, method_id, "payment_method")
    card = card_of(method)
    if card.declines_saving and card.decline:
        raise card_declined(card.decline.message, card.decline.code, card.decline.decline_code)
    return attach(call, method, params["customer"])


def detach_method(call: Call, params: Params, method_id: str) -> Obj:
    """POST /v1/payment_methods/:id/detach; it can't be used again."""
    method = call.fetch("payment_method", method_id)
    if not method["customer"]:
        raise WrongState(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    return _let_go(call, method)


def _let_go(call: Call, method: Obj) -> Obj:
    method |= {"customer": None, "_spent": True}
    return call.save(method, "payment_method.detached")


def update_method(call: Call, params: Params, method_id: str) -> Obj:
    """POST /v1/payment_methods/:id"""
    method = call.fetch("payment_method", method_id)
    merge_metadata(method, params.get("metadata", {}))
    method["billing_details"] |= params.get("billing_details", {})
    return call.save(method, "payment_method.updated")


def retrieve_method(call: Call, params: Params, method_id: str) -> Obj:
    """GET /v1/payment_methods/:id"""
    return call.fetch("payment_method", method_id)


def list_methods(call: Call, params: Params) -> Obj:
    """GET /v1/payment_methods"""
    return call.page(
        "payment_method", params, {"customer": params.get("customer"), "type": params.get("type")}
    )


def list_customer_methods(call: Call, params: Params, customer_id: str) -> Obj:
    """GET /v1/customers/:id/payment_methods"""
    call.fetch("customer", customer_id)
    return call.page("payment_method", params, {"customer": customer_id, "type": params.get("type")})


def retrieve_customer_method(call: Call, params: Params, customer_id: str, method_id: str) -> Obj:
    """GET /v1/customers/:id/payment_methods/:id"""
    method = call.fetch("payment_method", method_id)
    return method if method["customer"] == customer_id else call.fetch("payment_method", "")


# Setup intents:  requires_payment_method ─▶ requires_confirmation ─▶ [requires_action ─▶] succeeded
#                 every state but succeeded ─▶ canceled; a refusal goes back to requires_payment_method

_CONFIRM = {
    "payment_method": form.text,
    "return_url": form.text,
    "use_stripe_sdk": form.boolean,
    **EXPAND,
}
SETUP_CONFIRM = _CONFIRM | {"client_secret": form.text}
SETUP_CREATE = _CONFIRM | {
    "customer": form.text,
    "usage": form.choice("off_session", "on_session"),
    "confirm": form.boolean,
    "automatic_payment_methods": AUTOMATIC,
    "description": form.text,
    "metadata": form.metadata,
}
SETUP_LIST = PAGE | {"customer": form.text, "payment_method": form.text, "created": form.created}
CANCEL_SETUP = {
    "cancellation_reason": form.choice("abandoned", "requested_by_customer", "duplicate"),
    **EXPAND,
}


def create_setup(call: Call, params: Params) -> Obj:
    """POST /v1/setup_intents"""
    if params.get("customer"):
        call.fetch("customer", params["customer"], "customer")
    intent_id = new_id("seti")
    intent: Obj = {
        "id": intent_id,
        "object": "setup_intent",
        "created": call.now,
        "livemode": False,
        "status": "requires_payment_method",
        "client_secret": new_id(f"{intent_id}_secret"),
        "customer": params.get("customer"),
        "usage": params.get("usage", "off_session"),
        "description": params.get("description"),
        "metadata": params.get("metadata", {}),
        "automatic_payment_methods": params.get("automatic_payment_methods"),
        "payment_method": None,
        "payment_method_types": ["card"],
        "last_setup_error": None,
        "next_action": None,
        "cancellation_reason": None,
    }
    call.save(intent, "setup_intent.created")
    if params.get("payment_method"):
        intent["payment_method"] = payment_method_of(call, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
        call.save(intent)
    return _confirm(call, intent, params) if params.get("confirm") else intent


def retrieve_setup(call: Call, params: Params, intent_id: str) -> Obj:
    """GET /v1/setup_intents/:id"""
    intent = call.fetch("setup_intent", intent_id)
    check_secret(call, intent, params.get("client_secret"))
    return intent


def list_setups(call: Call, params: Params) -> Obj:
    """GET /v1/setup_intents"""
    match = {name: params.get(name) for name in ("customer", "payment_method")}
    return call.page("setup_intent", params, match)


def confirm_setup(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/setup_intents/:id/confirm, by the server or by the browser."""
    intent = call.fetch("setup_intent", intent_id)
    check_secret(call, intent, params.get("client_secret"))
    if intent["status"] in ("succeeded", "canceled"):
        raise _setup_state(intent, "confirm")
    return _confirm(call, intent, params)


def _confirm(call: Call, intent: Obj, params: Params) -> Obj:
    wanted = params.get("payment_method") or intent["payment_method"]
    if not wanted:
        raise _setup_state(intent, "confirm without a payment method")
    method = payment_method_of(call, wanted)
    if method.get("_spent") or method["customer"] not in (None, intent["customer"]):
        raise InvalidRequest(
            "The payment method belongs to another customer, or was detached.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )
    intent |= {"payment_method": method["id"], "last_setup_error": None, "next_action": None}
    return _conclude(call, intent, method, authenticated=False)


def _conclude(call: Call, intent: Obj, method: Obj, *, authenticated: bool) -> Obj:
    verdict = cards.on_setup(card_of(method), authenticated=authenticated)
    if isinstance(verdict, cards.Decline):
        raise refuse_setup(call, intent, method, verdict)
    if verdict == "authenticate":
        intent |= {"status": "requires_action", "next_action": next_action(intent)}
        return call.save(intent, "setup_intent.requires_action")
    if intent["customer"]:
        attach(call, method, intent["customer"])
    call.ledger.put(method | {"_set_up": True})
    intent |= {"status": "succeeded", "next_action": None}
    return call.save(intent, "setup_intent.succeeded")


def refuse_setup(call: Call, intent: Obj, method: Obj, decline: cards.Decline) -> Declined:
    """Record a refusal on the intent; returns the error that tells of it."""
    error = setup_error(method, decline)
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_setup_error": error,
    }
    call.save(intent, "setup_intent.setup_failed")
    return card_declined(decline.message, decline.code, decline.decline_code, setup_intent=intent)


def setup_error(method: Obj, decline: cards.Decline) -> dict[str, Any]:
    """What an intent remembers of a refusal."""
    return {
        "type": "card_error",
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "payment_method": {key: value for key, value in method.items() if not key.startswith("_")},
    }


def next_action(intent: Obj) -> dict[str, Any]:
    """What the browser must do: the simulator's 3-D Secure page takes approve or refuse there."""
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {
            "type": "three_d_secure_redirect",
            "source": intent["id"],
            "stripe_js": f"/_3ds/{intent['id']}",
        },
    }


def authenticate_setup(call: Call, intent: Obj, *, approved: bool) -> Obj:
    """The 3-D Secure page's answer."""
    if intent["status"] != "requires_action":
        raise _setup_state(intent, "authenticate")
    method = call.fetch("payment_method", intent["payment_method"])
    if approved:
        return _conclude(call, intent, method, authenticated=True)
    refuse_setup(call, intent, method, REFUSED_SETUP)
    return intent


REFUSED_SETUP = cards.Decline(
    "setup_intent_authentication_failure",
    None,
    "The payment method has failed authentication. Provide another to try this SetupIntent again.",
)


def cancel_setup(call: Call, params: Params, intent_id: str) -> Obj:
    """POST /v1/setup_intents/:id/cancel"""
    intent = call.fetch("setup_intent", intent_id)
    if intent["status"] in ("succeeded", "canceled"):
        raise _setup_state(intent, "cancel")
    intent |= {
        "status": "canceled",
        "next_action": None,
        "cancellation_reason": params.get("cancellation_reason"),
    }
    return call.save(intent, "setup_intent.canceled")


def _setup_state(intent: Obj, wish: str) -> WrongState:
    return WrongState(
        f"You cannot {wish} this SetupIntent because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
        setup_intent={key: value for key, value in intent.items() if not key.startswith("_")},
    )
