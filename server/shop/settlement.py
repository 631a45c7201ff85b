"""What news of a payment means for an order: the one decision that ends a charge.

Theory: Stripe's news comes from the charge's own answer, from webhooks, from the buyer's page, from deadlines
and from sweeps: doubled, late, in any order. All of it is turned into an answer about *one attempt* and
decided here against the order as it is, under its row lock. So:

- the first money that arrives for an open order pays it; any other money for it goes back (an extra payment);
- a definite failure ends the order only when it is about the newest attempt, the one that is waited for;
- news that changes nothing is no error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.shop.orders import OPEN, OrderEvent, OrderState, Step, step


class AttemptState(StrEnum):
    READY = "ready"
    LEASED = "leased"
    UNKNOWN = "unknown"
    ACTION_NEEDED = "action_needed"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"


ATTEMPT_OPEN = frozenset(
    {AttemptState.READY, AttemptState.LEASED, AttemptState.UNKNOWN, AttemptState.ACTION_NEEDED}
)


@dataclass(frozen=True, slots=True)
class Paid:
    intent_ref: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Declined:
    """A definite no. `code` is the provider's (`card_declined`, `insufficient_funds`, …)."""

    code: str
    message: str
    intent_ref: str | None = None


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    intent_ref: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    intent_ref: str | None = None
    code: str = "cancelled"


Answer = Paid | Declined | ActionNeeded | Cancelled


@dataclass(frozen=True, slots=True)
class OrderNow:
    """What the decision reads of an order. `attempt` is the newest attempt's number."""

    state: OrderState
    total_minor: int
    payment_intent_ref: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is to be written. `step` None: the order stays. `refund` names money that goes back."""

    attempt_state: AttemptState | None = None
    event: OrderEvent | None = None
    step: Step | None = None
    refund_minor: int = 0


_EVENTS = {
    Declined: (OrderEvent.DECLINED, AttemptState.DECLINED),
    ActionNeeded: (OrderEvent.ACTION_NEEDED, AttemptState.ACTION_NEEDED),
    Cancelled: (OrderEvent.CANCELLED, AttemptState.CANCELLED),
}


def settlement(order: OrderNow, attempt: int, attempt_state: AttemptState, answer: Answer) -> Settlement:
    """Decide what `answer` about `attempt` changes. Deciding the same answer twice changes nothing more."""
    if isinstance(answer, Paid):
        return _paid(order, answer)
    if attempt_state not in ATTEMPT_OPEN:
        return Settlement()
    event, becomes = _EVENTS[type(answer)]
    taken = step(order.state, event) if attempt == order.attempt else None
    return Settlement(becomes, event if taken else None, taken)


def _paid(order: OrderNow, answer: Paid) -> Settlement:
    if order.payment_intent_ref == answer.intent_ref:
        return Settlement(AttemptState.PAID)
    if order.state in OPEN and answer.amount_minor == order.total_minor:
        return Settlement(AttemptState.PAID, OrderEvent.PAID, step(order.state, OrderEvent.PAID))
    return Settlement(AttemptState.PAID, refund_minor=answer.amount_minor)
