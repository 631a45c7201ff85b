"""Money back: refunds that can't exceed what was captured."""

from server.payments.simulator import form
from server.payments.simulator.call import EXPAND, PAGE, Call, merge_metadata
from server.payments.simulator.errors import InvalidRequest, WrongState
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import Obj, new_id

CREATE = {
    "payment_intent": form.text,
    "charge": form.text,
    "amount": form.integer,
    "reason": form.choice("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": form.metadata,
    **EXPAND,
}
RETURN = {"refund": form.text}
UPDATE = {"metadata": form.metadata, **EXPAND}
LIST = PAGE | {"payment_intent": form.text, "charge": form.text, "created": form.created}


def create(call: Call, params: Params) -> Obj:
    """POST /v1/refunds, of the rest or of `amount`."""
    charge = _charge(call, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["refunded"] or left <= 0:
        raise WrongState(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"]:
        raise WrongState(f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    amount = params.get("amount", left)
    if amount < 1:
        raise InvalidRequest(
            "Refund amount must be at least 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount > left:
        raise WrongState(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount"
        )
    return _refund(call, charge, amount, params)


def _charge(call: Call, params: Params) -> Obj:
    if params.get("charge"):
        charge = call.fetch("charge", params["charge"], "charge")
    elif params.get("payment_intent"):
        intent = call.fetch("payment_intent", params["payment_intent"], "payment_intent")
        charge = call.ledger.get("charge", intent["latest_charge"] or "") or {"status": "missing"}
    else:
        raise InvalidRequest("One of charge or payment_intent must be provided.", code="parameter_missing")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise WrongState("There is no successful, captured charge to refund.", code="charge_not_refundable")
    return charge


def _refund(call: Call, charge: Obj, amount: int, params: Params) -> Obj:
    refund = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "failure_reason": None,
        "metadata": params.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "status": "succeeded",
    }
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    call.save(refund, "refund.created")
    call.save(charge, "charge.refunded")
    if charge["_refund_fails"]:
        _fail(call, charge, refund)
    return refund


def returned(call: Call, params: Params) -> Obj:
    """The bank sends a refund back, days later: an act of its own, no call of the API."""
    refund = call.fetch("refund", params["refund"], "refund")
    if refund["status"] != "succeeded":
        raise WrongState(f"Refund {refund['id']} is {refund['status']}.", param="refund")
    return _fail(call, call.fetch("charge", refund["charge"]), refund)


def _fail(call: Call, charge: Obj, refund: Obj) -> Obj:
    """The bank sends it back. The answer still says `succeeded`; the event and a later look say `failed`."""
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    call.save(charge, "charge.updated")
    failed = refund | {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    return call.save(failed, "refund.updated", "refund.failed")


def retrieve(call: Call, params: Params, refund_id: str) -> Obj:
    """GET /v1/refunds/:id"""
    return call.fetch("refund", refund_id)


def update(call: Call, params: Params, refund_id: str) -> Obj:
    """POST /v1/refunds/:id"""
    refund = call.fetch("refund", refund_id)
    merge_metadata(refund, params.get("metadata", {}))
    return call.save(refund, "refund.updated")


def list_refunds(call: Call, params: Params) -> Obj:
    """GET /v1/refunds"""
    return call.page("refund", params, {name: params.get(name) for name in ("payment_intent", "charge")})
