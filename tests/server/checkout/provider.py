"""A payment provider that follows a script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.payments.outcomes import (
    STORED_ERROR,
    ActionNeeded,
    Cancelled,
    CancelOutcome,
    ChargeOutcome,
    Declined,
    NotCancellable,
    Paid,
    PaymentView,
    PaymentViews,
    Refunded,
    RefundOutcome,
    RefundRefused,
    RefundView,
    Unknown,
)


@dataclass
class Intent:
    id: str
    order_id: str
    amount: int
    status: str
    customer: str
    metadata: dict[str, str]
    refunded: int = 0
    created: float = field(default_factory=time.time)


@dataclass
class ScriptedProvider:
    """Stripe's rules that matter here, in memory: a key answers the same for ever, refunds never exceed a
    payment.

    `cards` says how a payment method answers: paid, declined or action. `lose` and `refuse`: how many of the
    next replies are lost after, or before, the provider acted. `fail` and `fail_after`: how many of the next
    new keys meet a 500 before, or after, it acted; the key then answers nothing else.
    """

    cards: dict[str, str] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    replies: dict[str, Any] = field(default_factory=dict)
    lose: int = 0
    refuse: int = 0
    fail: int = 0
    fail_after: int = 0
    errors: set[str] = field(default_factory=set)
    refunds: dict[str, tuple[str, RefundView]] = field(default_factory=dict)
    charges: int = 0
    delay_s: float = 0.0

    async def charge(
        self,
        *,
        order_id: str,
        amount_minor: int,
        currency: str,
        customer: str,
        payment_method: str,
        idempotency_key: str,
        off_session: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> ChargeOutcome:
        self.charges += 1
        await asyncio.sleep(self.delay_s)
        if self.refuse:
            self.refuse -= 1
            return Unknown("connection_lost")
        if idempotency_key in self.errors:
            return Unknown(STORED_ERROR)
        if idempotency_key not in self.replies and self._fails("fail", idempotency_key):
            return Unknown("provider_error")
        if idempotency_key not in self.replies:
            status = self.cards.get(payment_method, "paid")
            made = Intent(f"pi_{len(self.intents)}", order_id, amount_minor, status, customer, {})
            made.metadata = {**(metadata or {}), "order": order_id}
            self.intents[made.id] = made
            self.replies[idempotency_key] = self._outcome(made)
            if self._fails("fail_after", idempotency_key):
                return Unknown("provider_error")
        if self.lose:
            self.lose -= 1
            return Unknown("timeout")
        reply: ChargeOutcome = self.replies[idempotency_key]
        return reply

    def _fails(self, name: str, key: str) -> bool:
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
            self.errors.add(key)
        return left > 0

    def _outcome(self, intent: Intent) -> ChargeOutcome:
        match intent.status:
            case "paid":
                return Paid(intent.id, intent.amount)
            case "action":
                return ActionNeeded(intent.id, f"{intent.id}_secret")
            case "cancelled":
                return Declined(intent.id, "canceled", None, "cancelled")
            case _:
                return Declined(intent.id, "card_declined", "insufficient_funds", "No money.")

    async def retrieve(self, payment_intent: str) -> PaymentView:
        return self._view(self.intents[payment_intent])

    def _view(self, i: Intent) -> PaymentView:
        status = {
            "paid": "succeeded",
            "action": "requires_action",
            "cancelled": "canceled",
            "declined": "requires_payment_method",
            "unconfirmed": "requires_confirmation",
        }[i.status]
        failed = "card_declined" if i.status == "declined" else None
        return PaymentView(
            id=i.id,
            status=status,
            amount_minor=i.amount,
            currency="eur",
            amount_received_minor=i.amount if i.status == "paid" else 0,
            amount_capturable_minor=0,
            amount_refunded_minor=i.refunded,
            customer=i.customer,
            payment_method=None,
            order_id=i.order_id,
            metadata=i.metadata,
            created=int(i.created),
            capture_before=None,
            failure_code=failed,
            decline_code="insufficient_funds" if failed else None,
            failure_message="No money." if failed else None,
            client_secret=f"{i.id}_secret",
        )

    async def cancel(self, payment_intent: str) -> CancelOutcome:
        intent = self.intents[payment_intent]
        if intent.status == "paid":
            return NotCancellable(intent.id, "succeeded")
        intent.status = "cancelled"
        return Cancelled(intent.id)

    async def list_for_customer(
        self, customer: str, created_after: float, at_most: int = 1_000
    ) -> PaymentViews:
        theirs = [i for i in reversed(self.intents.values()) if i.customer == customer]
        return PaymentViews(tuple(self._view(i) for i in theirs if i.created >= created_after), True)

    async def refund(
        self,
        payment_intent: str,
        amount_minor: int | None,
        idempotency_key: str,
        *,
        refund_id: str | None = None,
    ) -> RefundOutcome:
        intent = self.intents[payment_intent]
        if idempotency_key in self.errors:
            return Unknown(STORED_ERROR)
        if idempotency_key not in self.replies and self._fails("fail", idempotency_key):
            return Unknown("provider_error")
        if idempotency_key not in self.replies:
            amount = amount_minor or intent.amount - intent.refunded
            if intent.refunded + amount > intent.amount:
                return RefundRefused("charge_already_refunded", "More than is left.")
            intent.refunded += amount
            made = Refunded(f"re_{len(self.replies)}", amount, "succeeded")
            self.replies[idempotency_key] = made
            self.refunds[made.refund] = (intent.id, RefundView(made.refund, refund_id, amount, "succeeded"))
            if self._fails("fail_after", idempotency_key):
                return Unknown("provider_error")
        if self.lose:
            self.lose -= 1
            return Unknown("timeout")
        reply: RefundOutcome = self.replies[idempotency_key]
        return reply

    async def list_refunds(self, payment_intent: str, at_most: int = 1_000) -> tuple[RefundView, ...]:
        return tuple(view for intent, view in self.refunds.values() if intent == payment_intent)

    def paid(self, order_id: str) -> list[Intent]:
        return [i for i in self.intents.values() if i.order_id == order_id and i.status == "paid"]

    def audit(self) -> list[dict[str, Any]]:
        """Every payment with its refunds, as the simulator's `/v1/_audit` lists them."""
        return [
            {
                "id": i.id,
                "status": "succeeded" if i.status == "paid" else i.status,
                "amount_received": i.amount if i.status == "paid" else 0,
                "customer": i.customer,
                "metadata": i.metadata,
                "refunds": [{"amount": i.refunded, "status": "succeeded"}] if i.refunded else [],
            }
            for i in self.intents.values()
        ]
