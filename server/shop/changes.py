"""From decisions to changes: what each of an order's steps writes, and who is told."""

from __future__ import annotations

from server.shop.orders import OrderEvent, OrderState, Step, step
from server.shop.record import (
    NOTHING,
    AttemptChange,
    Change,
    Charged,
    NewAttempt,
    NewRefund,
    News,
    OrderRecord,
)
from server.shop.settlement import (
    ATTEMPT_OPEN,
    ActionNeeded,
    Answer,
    AttemptState,
    Cancelled,
    Declined,
    Paid,
    Settlement,
    settlement,
)
from server.shop.stock import Movement

WINNER_CONFIRMS_S = 120.0
PROVIDER_ERROR = "provider_error"
MOST_PROVIDER_ERRORS = 3  # in an order's life; then it is declined


class NotPossible(Exception):
    """The order can't do that now. `code` is stable, the message is for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def settled(order: OrderRecord, attempt: int, answer: Answer, action_deadline_s: float) -> Change:
    """What an answer about one attempt changes; NOTHING where it is no news."""
    if isinstance(answer, Paid) and _goes_back(order, answer.intent_ref):
        return NOTHING
    known = order.attempt(attempt)
    state = known.state if known else AttemptState.UNKNOWN
    decision = settlement(order.now(), attempt, state, answer)
    if decision == Settlement() or (known and decision == Settlement(state)):
        return NOTHING
    taken = decision.step
    return Change(
        state=taken.to if taken else None,
        event=decision.event or ("extra_payment" if decision.refund_minor else None),
        detail=_detail(attempt, answer),
        stock=_where_to(order, taken),
        payment_intent_ref=answer.intent_ref if taken and isinstance(answer, Paid) else None,
        failure_code=answer.code if taken and isinstance(answer, Declined | Cancelled) else None,
        failure_message=answer.message if taken and isinstance(answer, Declined) else None,
        action_deadline_s=_deadline_s(order, action_deadline_s)
        if taken and isinstance(answer, ActionNeeded)
        else None,
        attempt=_attempt_change(attempt, decision, answer) if known else None,
        refund=_extra_refund(order, decision, answer),
        charged=_charged(decision, answer),
        news=_settled_news(order, taken.to) if taken else (),
    )


def _goes_back(order: OrderRecord, intent_ref: str) -> bool:
    """Money that came once too often pays for nothing, also where its news is doubled while the order is open
    again."""
    own = intent_ref == order.payment_intent_ref
    return not own and any(refund.payment_intent_ref == intent_ref for refund in order.refunds)


def _deadline_s(order: OrderRecord, usual_s: float) -> float:
    """Others wait for what a winner does not confirm."""
    return usual_s if order.auction_id is None else min(usual_s, WINNER_CONFIRMS_S)


def _where_to(order: OrderRecord, taken: Step | None) -> Movement | None:
    """A unit that was won and is not paid for goes to the next in line, not on sale."""
    if taken is None:
        return None
    won = order.auction_id is not None and taken.stock is Movement.RELEASE
    return Movement.AWARD_BACK if won else taken.stock


def _attempt_change(attempt: int, decision: Settlement, answer: Answer) -> AttemptChange | None:
    if decision.attempt_state is None:
        return None
    return AttemptChange(
        attempt,
        decision.attempt_state,
        payment_intent_ref=answer.intent_ref,
        client_secret=answer.client_secret if isinstance(answer, ActionNeeded) else None,
        failure_code=answer.code if isinstance(answer, Declined | Cancelled) else None,
    )


def _charged(decision: Settlement, answer: Answer) -> Charged | None:
    if not isinstance(answer, Paid) or not (decision.step or decision.refund_minor):
        return None
    return Charged(answer.intent_ref, answer.amount_minor)


def _detail(attempt: int, answer: Answer) -> dict[str, object]:
    detail: dict[str, object] = {"attempt": attempt, "payment_intent": answer.intent_ref}
    if isinstance(answer, Declined | Cancelled):
        detail["code"] = answer.code
    return detail


def _extra_refund(order: OrderRecord, decision: Settlement, answer: Answer) -> NewRefund | None:
    if not decision.refund_minor or not isinstance(answer, Paid):
        return None
    return NewRefund(
        id="",
        payment_intent_ref=answer.intent_ref,
        amount_minor=decision.refund_minor,
        reason="extra_payment",
        key=f"rf:{answer.intent_ref}:extra",
    )


def _settled_news(order: OrderRecord, state: OrderState) -> tuple[News, ...]:
    news = [personal_news(order)]
    if state is OrderState.PAID:
        news += _purchases(order)
        news.append(order_mail(order, "receipt"))
    elif state in (OrderState.DECLINED, OrderState.CANCELLED):
        news += stock_news(order)
    return tuple(news)


def personal_news(order: OrderRecord) -> News:
    return News("personal", {"order_id": order.id, "user_id": order.user_id})


def order_mail(order: OrderRecord, letter: str, **more: object) -> News:
    return News("order_mail", {"letter": letter, "order_id": order.id, **more})


def stock_news(order: OrderRecord) -> list[News]:
    return [News("stock", {"variant_id": line.variant_id}) for line in order.lines]


def _purchases(order: OrderRecord) -> list[News]:
    if order.show_id is None:
        return []
    return [
        News(
            "purchased",
            {
                "show_id": order.show_id,
                "product_title": line.title,
                "quantity": line.quantity,
                "first_name": order.first_name,
            },
        )
        for line in order.lines
    ]


def spent(order: OrderRecord, attempt: int) -> Change:
    """The provider failed at an attempt, took nothing, and its key will never say more: written down as a
    definite failure together with the attempt that comes instead, with a key of its own. The order stays as
    it is, its stock held, until that has happened too often.
    """
    known = order.attempt(attempt)
    if known is None or known.state not in ATTEMPT_OPEN:
        return NOTHING
    errors = 1 + sum(a.failure_code == PROVIDER_ERROR for a in order.attempts)
    waited_for = order.state is OrderState.CHARGING and attempt == order.newest.attempt
    if errors >= MOST_PROVIDER_ERRORS or not waited_for:
        return settled(order, attempt, Declined(PROVIDER_ERROR, "The payment provider had a fault."), 0.0)
    instead = NewAttempt(
        attempt + 1,
        known.customer_ref,
        known.payment_method_ref,
        known.amount_minor,
        card_id=None,
        off_session=known.off_session,
    )
    return Change(
        event="charge_repeated",
        detail={"attempt": instead.attempt, "code": PROVIDER_ERROR},
        attempt=AttemptChange(attempt, AttemptState.DECLINED, failure_code=PROVIDER_ERROR),
        new_attempt=instead,
    )


def retried(order: OrderRecord, customer_ref: str, payment_method_ref: str, card_id: str) -> Change:
    """Another card after a definite failure: stock is held again, the frozen price stays."""
    taken = step(order.state, OrderEvent.RETRIED)
    if taken is None:
        raise NotPossible("not_declined", "Only a declined order can be tried again.")
    attempt = NewAttempt(
        order.newest.attempt + 1, customer_ref, payment_method_ref, order.total_minor, card_id
    )
    return Change(
        state=taken.to,
        event=OrderEvent.RETRIED,
        detail={"attempt": attempt.attempt},
        actor_id=order.user_id,
        stock=taken.stock,
        new_attempt=attempt,
        news=(personal_news(order), *stock_news(order)),
    )


def fulfilled(order: OrderRecord, actor_id: str) -> Change:
    """Sent or handed over. Twice is once."""
    if order.state is OrderState.FULFILLED:
        return NOTHING
    taken = step(order.state, OrderEvent.FULFILLED)
    if taken is None:
        raise NotPossible("not_paid", "Only a paid order can be fulfilled.")
    if 0 < order.total_minor <= order.promised_back_minor():
        raise NotPossible("not_paid", "All of its money is being given back.")
    news = (personal_news(order), order_mail(order, "shipped"))
    return Change(state=taken.to, event=OrderEvent.FULFILLED, actor_id=actor_id, news=news)
