"""The account's balance, transfers from it to connected accounts, and what of them is taken back."""

from server.payments.simulator import form
from server.payments.simulator.call import EXPAND, PAGE, Call, merge_metadata
from server.payments.simulator.errors import InvalidRequest, Missing, WrongState
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import Obj, new_id

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
REVERSAL_CREATE = {
    "amount": form.integer,
    "description": form.text,
    "metadata": form.metadata,
    "refund_application_fee": form.boolean,
    **EXPAND,
}
REVERSAL_UPDATE = {"metadata": form.metadata, **EXPAND}


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
    sent = call.ledger.total("transfer", "amount", currency)
    return took_in - gave_back - sent + call.ledger.total("transfer", "amount_reversed", currency)


def retrieve_transfer(call: Call, params: Params, transfer_id: str) -> Obj:
    """GET /v1/transfers/:id"""
    return call.fetch("transfer", transfer_id)


def list_transfers(call: Call, params: Params) -> Obj:
    """GET /v1/transfers"""
    return call.page(
        "transfer", params, {name: params.get(name) for name in ("destination", "transfer_group")}
    )


def create_reversal(call: Call, params: Params, transfer_id: str) -> Obj:
    """POST /v1/transfers/:id/reversals; without an amount all that is left, never more."""
    transfer = call.fetch("transfer", transfer_id)
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = params.get("amount", left)
    if amount < 1 or amount > left:
        raise WrongState(
            f"Reversal amount ({amount}) must be between 1 and what is left of the transfer ({left}).",
            param="amount",
        )
    reversal = {
        "id": new_id("trr"),
        "object": "transfer_reversal",
        "amount": amount,
        "created": call.now,
        "currency": transfer["currency"],
        "metadata": params.get("metadata", {}),
        "transfer": transfer["id"],
    }
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    call.save(transfer, "transfer.reversed")
    return call.save(reversal)


def retrieve_reversal(call: Call, params: Params, transfer_id: str, reversal_id: str) -> Obj:
    """GET /v1/transfers/:id/reversals/:id"""
    reversal = call.fetch("transfer_reversal", reversal_id)
    if reversal["transfer"] != transfer_id:
        raise Missing("transfer_reversal", reversal_id, "id")
    return reversal


def update_reversal(call: Call, params: Params, transfer_id: str, reversal_id: str) -> Obj:
    """POST /v1/transfers/:id/reversals/:id"""
    reversal = retrieve_reversal(call, params, transfer_id, reversal_id)
    merge_metadata(reversal, params.get("metadata", {}))
    return call.save(reversal)


def list_reversals(call: Call, params: Params, transfer_id: str) -> Obj:
    """GET /v1/transfers/:id/reversals"""
    transfer = call.fetch("transfer", transfer_id)
    return call.page("transfer_reversal", params, {"transfer": transfer["id"]})


def balance(call: Call, params: Params) -> Obj:
    """GET /v1/balance; nothing is ever pending here."""
    currencies = sorted({charge["currency"] for charge in call.ledger.find("charge")})
    available = [{"amount": _available(call, currency), "currency": currency} for currency in currencies]
    pending = [{"amount": 0, "currency": currency} for currency in currencies]
    return {"object": "balance", "available": available, "pending": pending, "livemode": False}
