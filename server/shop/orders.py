"""An order's life, as a table.

Theory: an order begins `charging`, with its stock held and its price frozen. Only news of money ends that:
definite news, from Stripe, through one function (see settlement). While the news is unknown the order stays
where it is and its stock stays held, however long. `action_needed` waits for the buyer (3-D Secure) until a
deadline. A `declined` order may be tried again with another card: it holds stock again first. What is paid
is never undone in silence: money goes back by refunds, which are counted against the total.

Each step says where the order's units go, so that stock and money move together, in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.shop.stock import Movement


class OrderState(StrEnum):
    CHARGING = "charging"
    ACTION_NEEDED = "action_needed"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    FULFILLED = "fulfilled"
    REFUNDED = "refunded"


class OrderEvent(StrEnum):
    """What happens to an order; also the kinds of its history."""

    ACTION_NEEDED = "action_needed"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    FULFILLED = "fulfilled"
    REFUNDED = "refunded"  # in full


@dataclass(frozen=True, slots=True)
class Step:
    to: OrderState
    stock: Movement | None = None


_O, _E = OrderState, OrderEvent

STEPS: dict[tuple[OrderState, OrderEvent], Step] = {
    (_O.CHARGING, _E.ACTION_NEEDED): Step(_O.ACTION_NEEDED),
    (_O.CHARGING, _E.PAID): Step(_O.PAID, Movement.SELL),
    (_O.CHARGING, _E.DECLINED): Step(_O.DECLINED, Movement.RELEASE),
    (_O.CHARGING, _E.CANCELLED): Step(_O.CANCELLED, Movement.RELEASE),
    (_O.ACTION_NEEDED, _E.PAID): Step(_O.PAID, Movement.SELL),
    (_O.ACTION_NEEDED, _E.DECLINED): Step(_O.DECLINED, Movement.RELEASE),
    (_O.ACTION_NEEDED, _E.CANCELLED): Step(_O.CANCELLED, Movement.RELEASE),
    (_O.DECLINED, _E.RETRIED): Step(_O.CHARGING, Movement.HOLD),
    (_O.PAID, _E.FULFILLED): Step(_O.FULFILLED),
    (_O.PAID, _E.REFUNDED): Step(_O.REFUNDED),
    (_O.FULFILLED, _E.REFUNDED): Step(_O.REFUNDED),
}

OPEN = frozenset({OrderState.CHARGING, OrderState.ACTION_NEEDED})  # stock held, money undecided
REFUNDABLE = frozenset({OrderState.PAID, OrderState.FULFILLED})


def step(state: OrderState, event: OrderEvent) -> Step | None:
    """Where `event` takes an order, or None: it changes nothing (late, doubled or out of order)."""
    return STEPS.get((state, event))
