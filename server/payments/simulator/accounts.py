"""Connected accounts, and the event list."""

from server.payments.simulator import form
from server.payments.simulator.call import EXPAND, PAGE, Call, merge_metadata
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import EVENTS_KEPT_S, Obj, new_id

_CAPABILITIES = form.nested(
    {name: form.nested({"requested": form.boolean}) for name in ("card_payments", "transfers")}
)
ACCOUNT_UPDATE = {
    "email": form.text,
    "business_type": form.choice("company", "individual", "non_profit", "government_entity"),
    "capabilities": _CAPABILITIES,
    "metadata": form.metadata,
    **EXPAND,
}
ACCOUNT_CREATE = ACCOUNT_UPDATE | {
    "type": form.choice("custom", "express", "standard"),
    "country": form.text,
    "default_currency": form.currency,
}
EVENT_LIST = PAGE | {
    "type": form.text,
    "types": form.listing(form.text),
    "created": form.created,
}


def create_account(call: Call, params: Params) -> Obj:
    """POST /v1/accounts; ready at once, there is nothing to verify here."""
    asked = params.get("capabilities", {})
    account = {
        "id": new_id("acct"),
        "object": "account",
        "type": params.get("type", "standard"),
        "business_type": params.get("business_type"),
        "capabilities": {name: "active" for name, wish in asked.items() if wish.get("requested")},
        "charges_enabled": True,
        "country": params.get("country", "US"),
        "created": call.now,
        "default_currency": params.get("default_currency", "usd"),
        "details_submitted": True,
        "email": params.get("email"),
        "metadata": params.get("metadata", {}),
        "payouts_enabled": True,
        "requirements": {"currently_due": [], "past_due": [], "disabled_reason": None},
    }
    return call.save(account, "account.updated")


def retrieve_account(call: Call, params: Params, account_id: str) -> Obj:
    """GET /v1/accounts/:id"""
    return call.fetch("account", account_id)


def update_account(call: Call, params: Params, account_id: str) -> Obj:
    """POST /v1/accounts/:id"""
    account = call.fetch("account", account_id)
    merge_metadata(account, params.get("metadata", {}))
    for name, wish in params.get("capabilities", {}).items():
        account["capabilities"][name] = "active" if wish.get("requested") else "inactive"
    account.update({name: params[name] for name in ("email", "business_type") if name in params})
    return call.save(account, "account.updated")


def list_accounts(call: Call, params: Params) -> Obj:
    """GET /v1/accounts"""
    return call.page("account", params)


def list_events(call: Call, params: Params) -> Obj:
    """GET /v1/events, 30 days back."""
    bounds = params.get("created", {})
    params["created"] = bounds | {"gte": max(bounds.get("gte", 0), call.now - EVENTS_KEPT_S)}
    return call.page("event", params, {"type": params.get("types") or params.get("type")})


def retrieve_event(call: Call, params: Params, event_id: str) -> Obj:
    """GET /v1/events/:id"""
    return call.fetch("event", event_id)


def audit(call: Call, params: Params) -> Obj:
    """GET /v1/_audit, ours alone: every payment intent with its charges and refunds, oldest first."""
    by_intent: dict[str, Obj] = {}
    for intent in reversed(call.ledger.find("payment_intent")):
        by_intent[intent["id"]] = {name: intent[name] for name in _AUDITED} | {"charges": [], "refunds": []}
    for kind, name in (("charge", "charges"), ("refund", "refunds")):
        for obj in reversed(call.ledger.find(kind)):
            by_intent[obj["payment_intent"]][name].append(obj)
    return {"object": "audit", "payment_intents": list(by_intent.values())}


_AUDITED = (
    "id", "status", "amount", "amount_received", "amount_capturable", "currency", "customer", "metadata",
    "created", "payment_method", "latest_charge",
)  # fmt: skip
