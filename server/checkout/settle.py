"""The one place where an order ends.

Whoever brings news of a payment (the charge itself, a webhook, the buyer's page, a deadline, a sweep) brings
it here; under the order's row lock it is decided and written once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from server.checkout.ports import Gate, GateDown, Gateway, Orders
from server.payments.outcomes import (
    ActionNeeded,
    Cancelled,
    ChargeOutcome,
    Declined,
    NotCancellable,
    Paid,
    PaymentView,
    ProviderBusy,
    ProviderUnavailable,
    RateLimited,
    Unknown,
    outcome_of,
)
from server.shop import changes, settlement
from server.shop.ids import OrderId, ShopId, canonical
from server.shop.orders import OrderState
from server.shop.record import NOTHING, Change, OrderRecord

_LOG = logging.getLogger("hawker.checkout.settle")
ACTION_DEADLINE_S = 600.0


def answer_of(outcome: ChargeOutcome) -> settlement.Answer | None:
    """The definite answer in an outcome; None where there is none yet."""
    match outcome:
        case Paid():
            return settlement.Paid(outcome.payment_intent, outcome.amount_received_minor)
        case Declined(code="canceled"):
            return settlement.Cancelled(outcome.payment_intent)
        case Declined():
            code = outcome.decline_code or outcome.code
            return settlement.Declined(code, outcome.message, outcome.payment_intent)
        case ActionNeeded():
            return settlement.ActionNeeded(outcome.payment_intent, outcome.client_secret)
        case _:
            return None


class Settler:
    def __init__(
        self, orders: Orders, gate: Gate, gateway: Gateway, *, action_deadline_s: float = ACTION_DEADLINE_S
    ) -> None:
        self._orders, self._gate, self._gateway = orders, gate, gateway
        self._action_deadline_s = action_deadline_s

    async def settle(self, order_id: OrderId, attempt: int, answer: settlement.Answer) -> bool:
        """Write what a definite answer about an attempt means. False: it was no news. Safe to repeat."""
        change = await self._write(
            order_id, lambda order: changes.settled(order, attempt, answer, self._action_deadline_s)
        )
        return change != NOTHING

    async def spent(self, order_id: OrderId, attempt: int) -> int | None:
        """The provider failed at an attempt, took nothing, and never will under its key. Safe to repeat.

        The number of the attempt that comes instead, which this process has been leased; None: there is none.
        """
        change = await self._write(order_id, lambda order: changes.spent(order, attempt))
        return change.new_attempt.attempt if change.new_attempt else None

    async def _write(self, order_id: OrderId, decide: Callable[[OrderRecord], Change]) -> Change:
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                _LOG.error("payment_without_order", extra={"order_id": order_id})
                return NOTHING
            change = decide(locked.record)
            if change != NOTHING:
                await locked.write(change)
        if change.state is not None:
            await self.tell_gate(locked.record, change.state)
        return change

    async def payment(self, payment: PaymentView) -> bool:
        """Settle by a payment intent just retrieved. False: not ours, undecided, or no news.

        Raises PaymentError where the provider must be asked once more and gives no answer.
        """
        order_id = canonical(payment.order_id or "")
        if order_id is None:
            return False
        outcome = outcome_of(payment)
        if isinstance(outcome, Declined):
            outcome = await self._for_good(OrderId(order_id), payment, outcome)
        answer = answer_of(outcome)
        if answer is None:
            return False
        return await self.settle(OrderId(order_id), attempt_of(payment), answer)

    async def _for_good(self, order_id: OrderId, payment: PaymentView, declined: Declined) -> ChargeOutcome:
        """Whoever has the client secret of a declined payment could still try another card with it. So it is
        cancelled before its units are let go; where that is refused, it is what it has become meanwhile."""
        if not declined.still_open:
            return _why_cancelled(payment, declined)
        order = await self._orders.get(order_id)
        attempt = order.attempt(attempt_of(payment)) if order else None
        if attempt is None or attempt.state not in settlement.ATTEMPT_OPEN:
            return declined
        match await self._gateway.cancel(payment.id):
            case Cancelled():
                return declined
            case NotCancellable():
                return outcome_of(await self._gateway.retrieve(payment.id))
            case RateLimited(retry_after_s=wait_s):
                raise ProviderBusy(wait_s)
            case Unknown(reason=reason):
                raise ProviderUnavailable(reason, "the payment could not be cancelled yet; try again")

    async def tell_gate(self, order: OrderRecord, state: OrderState) -> None:
        """Let the gate know. Where it can't be reached, mending does it later."""
        if order.auction_id is not None:  # its unit never passed the gate
            return
        shop_id, order_id = ShopId(order.shop_id), OrderId(order.id)
        try:
            if state is OrderState.PAID:
                await self._gate.confirm(shop_id, order_id)
            elif state in (OrderState.DECLINED, OrderState.CANCELLED):
                await self._gate.release(shop_id, order_id)
        except GateDown as error:
            _LOG.warning("gate_not_told", extra={"order_id": order_id, "error": str(error)})


def _why_cancelled(payment: PaymentView, declined: Declined) -> Declined:
    """A payment that was cancelled after its card had failed was declined: the buyer may try another card."""
    if payment.failure_code is None:
        return declined
    message = payment.failure_message or declined.message
    return Declined(payment.id, payment.failure_code, payment.decline_code, message)


def attempt_of(payment: PaymentView) -> int:
    """Which attempt a payment intent belongs to; 0 where it doesn't say."""
    text = payment.metadata.get("attempt", "")
    return int(text) if text.isascii() and text.isdigit() else 0
