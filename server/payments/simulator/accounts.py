"""Connected accounts, transfers to them, the balance they are paid from; and the event list."""

from server.payments.simulator import form
from server.payments.simulator.call import EXPAND, PAGE, Call, merge_metadata
from server.payments.simulator.errors import InvalidRequest, WrongState
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
TRANSFER_CREATE = {
    "amount": form.integer,
    "currency": form.currency,
    "destination": form.text,
    "source_transaction": form.text,
    "transfer_group": form.text,
    "description": form.text,
    "metadata": form.metadata,
    **EXPAND,
}
TRANSFER_LIST = PAGE | {"destination": form.text, "transfer_group": form.text, "created": form.created}
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


def create_transfer(call: Call, params: Params) -> Obj:
    """POST /v1/transfers; never more than the balance, nor than its charge."""
    if params["amount"] < 1:
        raise InvalidRequest("Amount must be at least 1.", code="parameter_invalid_integer", param="amount")
    call.fetch("account", params["destination"], "destination")
    _check_funds(call, params)
    transfer = {
        "id": new_id("tr"),
        "object": "transfer",
        **{name: params[name] for name in ("amount", "currency", "destination")},
        **{name: params.get(name) for name in ("description", "source_transaction", "transfer_group")},
        "amount_reversed": 0,
        "created": call.now,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "reversed": False,
    }
    return call.save(transfer, "transfer.created")


def _check_funds(call: Call, params: Params) -> None:
    left = _available(call, params["currency"])
    if params.get("source_transaction"):
        source = call.fetch("charge", params["source_transaction"], "source_transaction")
        given = call.ledger.find("transfer", {"source_transaction": source["id"]})
        left = source["amount_captured"] - sum(transfer["amount"] for transfer in given)
    if params["amount"] > left:
        raise WrongState(
            f"You have insufficient funds for this transfer: {left} {params['currency']} left.",
            code="balance_insufficient",
        )


def _available(call: Call, currency: str) -> int:
    took_in = call.ledger.total("charge", "amount_captured", currency)
    gave_back = call.ledger.total("refund", "amount", currency)
    return took_in - gave_back - call.ledger.total("transfer", "amount", currency)


def retrieve_transfer(call: Call, params: Params, transfer_id: str) -> Obj:
    """GET /v1/transfers/:id"""
    return call.fetch("transfer", transfer_id)


def list_transfers(call: Call, params: Params) -> Obj:
    """GET /v1/transfers"""
    return call.page(
        "transfer", params, {name: params.get(name) for name in ("destination", "transfer_group")}
    )


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
