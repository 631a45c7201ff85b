"""An order as it is in PostgreSQL, whole, and a change to it: what decisions read and what they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.shop.orders import OrderEvent, OrderState
from server.shop.settlement import AttemptState, OrderNow
from server.shop.stock import Movement


class LineRecord(msgspec.Struct, frozen=True):
    variant_id: str
    title: str
    variant_title: str
    quantity: int
    unit_price_minor: int = 0
    flash_id: str | None = None


class AttemptRecord(msgspec.Struct, frozen=True):
    """One charge. All that is sent to the provider is kept here, so that a replay is the same request."""

    attempt: int
    state: AttemptState
    idempotency_key: str
    customer_ref: str
    payment_method_ref: str
    amount_minor: int
    tries: int
    age_s: float
    payment_intent_ref: str | None = None
    client_secret: str | None = None
    off_session: bool = False
    failure_code: str | None = None


class RefundRecord(msgspec.Struct, frozen=True):
    """`state`: queued, done, failed (nothing went back), returned (carried out, sent back by the bank)."""

    id: str
    payment_intent_ref: str
    amount_minor: int
    state: str
    restock: bool
    refund_ref: str | None = None
    failure_code: str | None = None


class OrderRecord(msgspec.Struct, frozen=True):
    """Attempts and lines in their order; there is at least one of each."""

    id: str
    shop_id: str
    show_id: str | None
    user_id: str | None
    first_name: str | None  # only with the buyer's consent
    number: int
    state: OrderState
    currency: str
    total_minor: int
    refunded_minor: int
    payment_intent_ref: str | None
    failure_code: str | None
    failure_message: str | None
    lines: list[LineRecord]
    attempts: list[AttemptRecord]
    refunds: list[RefundRecord]
    auction_id: str | None = None
    drop_position: int | None = None
    owed_minor: int = 0
    repaid_minor: int = 0

    @property
    def newest(self) -> AttemptRecord:
        return self.attempts[-1]

    def attempt(self, number: int) -> AttemptRecord | None:
        return next((a for a in self.attempts if a.attempt == number), None)

    def now(self) -> OrderNow:
        return OrderNow(self.state, self.total_minor, self.payment_intent_ref, self.newest.attempt)

    def promised_back_minor(self) -> int:
        """What refunds of the order's own payment have given back or are going to."""
        return sum(
            refund.amount_minor
            for refund in self.refunds
            if refund.payment_intent_ref == self.payment_intent_ref
            and refund.state not in ("failed", "returned")
        )


@dataclass(frozen=True, slots=True)
class AttemptChange:
    attempt: int
    state: AttemptState
    payment_intent_ref: str | None = None
    client_secret: str | None = None
    failure_code: str | None = None


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """`card_id` None: the card the order already has."""

    attempt: int
    customer_ref: str
    payment_method_ref: str
    amount_minor: int
    card_id: str | None
    off_session: bool = False


@dataclass(frozen=True, slots=True)
class NewRefund:
    """`key` is the idempotency key: the same refund asked for twice is one."""

    id: str
    payment_intent_ref: str
    amount_minor: int
    reason: str
    key: str
    restock: bool = False
    requested_by: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Charged:
    """Money the provider took, for the ledger."""

    payment_intent_ref: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class News:
    """A row for the outbox."""

    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What is written to an order in one transaction. Empty: nothing."""

    state: OrderState | None = None
    event: OrderEvent | str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    actor_id: str | None = None
    stock: Movement | None = None
    payment_intent_ref: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    action_deadline_s: float | None = None  # from now
    refunded_minor: int | None = None
    owed_minor: int | None = None
    repaid_minor: int | None = None
    attempt: AttemptChange | None = None
    new_attempt: NewAttempt | None = None
    refund: NewRefund | None = None
    charged: Charged | None = None
    news: tuple[News, ...] = ()


NOTHING = Change()
