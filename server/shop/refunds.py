"""Money back: what may be asked for, and what news of a refund changes in its order.

Theory: a refund is promised when it is asked for, and counted against what was paid from then on; so whatever
is asked for at once, no more is promised than there is. Carried out, it is `done`, and `refunded_minor` says
so. The provider's own list is the truth: a refund that is there and not here was made in its dashboard, and
is taken over. A bank may return one days later: the money is the shop's again, the sale stays undone, and
what the buyer has not got is `owed_minor`, until it is refunded again or paid in another way.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from server.shop.changes import NotPossible, order_mail, personal_news, stock_news
from server.shop.orders import REFUNDABLE, OrderEvent, OrderState, step
from server.shop.record import Change, NewRefund, OrderRecord, RefundRecord
from server.shop.stock import Movement

AT_PROVIDER = "refunded at Stripe"
# Refused since the buyer has the money already, gets it from the bank, or more was asked for than is left.
_NOT_OWED = frozenset({"charge_already_refunded", "charge_disputed", "invalid_request"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A refund as the provider has it. `refund_id` is our own, where it has one; `gone`: no money went back,
    or it was returned."""

    ref: str
    refund_id: str | None
    amount_minor: int
    gone: bool


class News(StrEnum):
    """What a refund that was seen at the provider is, to the books."""

    DONE = "done"  # one of ours, carried out
    FAILED = "failed"  # one of ours, and no money went back
    RETURNED = "returned"  # carried out as we know, and returned since
    MADE_THERE = "made_there"  # not ours


def news_of(order: OrderRecord, seen: Seen) -> tuple[News, RefundRecord | None] | None:
    """What a refund of one of the order's payments tells, and which of our refunds it is. None: no news."""
    known = next((r for r in order.refunds if r.refund_ref == seen.ref), None)
    if known is not None:
        return (News.RETURNED, known) if seen.gone and known.state == "done" else None
    ours = next((r for r in order.refunds if r.id == seen.refund_id and r.refund_ref is None), None)
    if seen.gone:
        return (News.FAILED, ours) if ours is not None and ours.state == "queued" else None
    return (News.DONE, ours) if ours is not None else (News.MADE_THERE, None)


def left_minor(order: OrderRecord) -> int:
    """What can still be given back to the card that paid for the order; 0 where it is not paid."""
    if order.payment_intent_ref is None or order.state not in (*REFUNDABLE, OrderState.REFUNDED):
        return 0
    return max(0, order.total_minor - order.promised_back_minor() - order.repaid_minor)


def refund_asked(
    order: OrderRecord,
    refund_id: str,
    amount_minor: int,
    reason: str,
    actor_id: str,
    *,
    restock: bool,
    run_id: str | None = None,
) -> Change:
    """Queue a refund. All refunds together never exceed what was paid."""
    left = left_minor(order)
    if order.payment_intent_ref is None or (order.state not in REFUNDABLE and not left):
        raise NotPossible("not_paid", "Only a paid order can be refunded.")
    if not 0 < amount_minor <= left:
        raise NotPossible("refund_too_large", f"At most {left} (minor units) can still be refunded.")
    refund = NewRefund(
        id=refund_id,
        payment_intent_ref=order.payment_intent_ref,
        amount_minor=amount_minor,
        reason=reason,
        key=f"rf:{refund_id}",
        restock=restock and order.state in REFUNDABLE,  # what was refunded in full has its units back, or not
        requested_by=actor_id,
        run_id=run_id,
    )
    return Change(
        event="refund_asked",
        detail={"amount_minor": amount_minor, "reason": reason},
        actor_id=actor_id,
        owed_minor=max(0, order.owed_minor - amount_minor),
        refund=refund,
    )


def refund_done(order: OrderRecord, refund: RefundRecord) -> Change:
    """The provider gave the money back. In full: the order is refunded, its units perhaps back on sale.

    Where it had been taken for refused, it is no longer owed.
    """
    detail: dict[str, object] = {"amount_minor": refund.amount_minor, "refund": refund.id}
    was_owed = refund.state == "failed" and refund.failure_code not in _NOT_OWED
    owed_minor = max(0, order.owed_minor - refund.amount_minor) if was_owed else None
    if refund.payment_intent_ref != order.payment_intent_ref:
        return Change(event="extra_payment_returned", detail=detail, owed_minor=owed_minor)
    return _given_back(order, refund.amount_minor, detail, owed_minor)


def refund_made_there(order: OrderRecord, payment_intent_ref: str, seen: Seen) -> Change:
    """Somebody gave money back in the provider's dashboard: it counts like a refund of ours."""
    detail: dict[str, object] = {"amount_minor": seen.amount_minor, "reason": AT_PROVIDER}
    owed_minor = max(0, order.owed_minor - seen.amount_minor)
    if payment_intent_ref != order.payment_intent_ref:
        return Change(event="extra_payment_returned", detail=detail, owed_minor=owed_minor)
    return _given_back(order, seen.amount_minor, detail, owed_minor)


def refund_returned(order: OrderRecord, refund: RefundRecord) -> Change:
    """The bank sent it back: the shop has the money, and owes it. The sale stays undone."""
    own = refund.payment_intent_ref == order.payment_intent_ref
    return Change(
        event="refund_came_back",
        detail={"amount_minor": refund.amount_minor, "refund": refund.id},
        refunded_minor=order.refunded_minor - refund.amount_minor if own else None,
        owed_minor=order.owed_minor + refund.amount_minor,
        news=(personal_news(order),),
    )


def refund_failed(order: OrderRecord, refund: RefundRecord, code: str, message: str) -> Change:
    """The provider, or the bank, refused: nothing went back."""
    owed = code not in _NOT_OWED
    return Change(
        event="refund_failed",
        detail={"amount_minor": refund.amount_minor, "code": code, "message": message},
        owed_minor=order.owed_minor + refund.amount_minor if owed else None,
    )


def owed_paid(order: OrderRecord, how: str, actor_id: str) -> Change:
    """The buyer got what was owed in another way than by the card."""
    if not order.owed_minor:
        raise NotPossible("nothing_owed", "Nothing is owed for this order.")
    detail = {"amount_minor": order.owed_minor, "reason": how}
    repaid = order.repaid_minor + order.owed_minor
    return Change(event="owed_paid", detail=detail, actor_id=actor_id, owed_minor=0, repaid_minor=repaid)


def run_amount_minor(order: OrderRecord, variants: Collection[str] | None) -> int:
    """How much of an order a wish for many gives back: all that is left, or, of a bag in which only some
    things are meant (`variants`), what these cost, at most what is left."""
    left = left_minor(order)
    if variants is None or all(line.variant_id in variants for line in order.lines):
        return left
    meant = [line for line in order.lines if line.variant_id in variants]
    return min(left, sum(line.quantity * line.unit_price_minor for line in meant))


def _given_back(
    order: OrderRecord, amount_minor: int, detail: dict[str, object], owed_minor: int | None = None
) -> Change:
    total = order.refunded_minor + amount_minor
    whole = total == order.total_minor
    taken = step(order.state, OrderEvent.REFUNDED) if whole else None
    back = taken is not None and any(r.restock for r in order.refunds)
    return Change(
        state=taken.to if taken else None,
        event=OrderEvent.REFUNDED if whole else "refunded_in_part",
        detail=detail,
        stock=Movement.RETURN if back else None,
        refunded_minor=total,
        owed_minor=owed_minor,
        news=(
            personal_news(order),
            order_mail(order, "refund", amount_minor=amount_minor),
            *(stock_news(order) if back else ()),
        ),
    )
