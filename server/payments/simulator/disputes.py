"""Disputes: opened by the test card that is always disputed, answered with evidence.

As in Stripe's test mode, `evidence[uncategorized_text]` decides: `winning_evidence` or `losing_evidence`.
"""

from server.payments.simulator import form
from server.payments.simulator.call import EXPAND, PAGE, Call, merge_metadata
from server.payments.simulator.errors import WrongState
from server.payments.simulator.form import Params
from server.payments.simulator.ledger import Obj, new_id

LIST = PAGE | {"charge": form.text, "payment_intent": form.text, "created": form.created}
UPDATE = {
    "evidence": form.nested(
        dict.fromkeys(("uncategorized_text", "product_description", "shipping_tracking_number"), form.text)
    ),
    "metadata": form.metadata,
    "submit": form.boolean,
    **EXPAND,
}
_OPEN = ("needs_response", "under_review")
_ANSWER_WITHIN_S = 7 * 86_400


def open_dispute(call: Call, charge: Obj) -> Obj:
    """The buyer's bank takes the money back, for now."""
    call.ledger.put(charge | {"disputed": True})
    dispute = {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": charge["amount"],
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "evidence": {},
        "evidence_details": {
            "due_by": call.now + _ANSWER_WITHIN_S,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": "needs_response",
    }
    return call.save(dispute, "charge.dispute.created", "charge.dispute.funds_withdrawn")


def retrieve(call: Call, params: Params, dispute_id: str) -> Obj:
    """GET /v1/disputes/:id"""
    return call.fetch("dispute", dispute_id)


def list_disputes(call: Call, params: Params) -> Obj:
    """GET /v1/disputes"""
    return call.page("dispute", params, {name: params.get(name) for name in ("charge", "payment_intent")})


def update(call: Call, params: Params, dispute_id: str) -> Obj:
    """POST /v1/disputes/:id; submits unless `submit=false`."""
    dispute = _open_one(call, dispute_id)
    merge_metadata(dispute, params.get("metadata", {}))
    dispute["evidence"] |= params.get("evidence", {})
    dispute["evidence_details"]["has_evidence"] = bool(dispute["evidence"])
    if not params.get("submit", True):
        return call.save(dispute, "charge.dispute.updated")
    dispute["evidence_details"]["submission_count"] += 1
    verdict = {"winning_evidence": "won", "losing_evidence": "lost"}
    text = dispute["evidence"].get("uncategorized_text", "")
    dispute["status"] = verdict.get(text, "under_review")
    if dispute["status"] == "won":
        return call.save(dispute, "charge.dispute.closed", "charge.dispute.funds_reinstated")
    return call.save(
        dispute, "charge.dispute.closed" if dispute["status"] == "lost" else "charge.dispute.updated"
    )


def close(call: Call, params: Params, dispute_id: str) -> Obj:
    """POST /v1/disputes/:id/close: accept the loss."""
    dispute = _open_one(call, dispute_id)
    dispute["status"] = "lost"
    return call.save(dispute, "charge.dispute.closed")


def _open_one(call: Call, dispute_id: str) -> Obj:
    dispute = call.fetch("dispute", dispute_id)
    if dispute["status"] not in _OPEN:
        raise WrongState(f"This dispute is already closed: {dispute['status']}.", code="dispute_closed")
    return dispute
