"""What the checkout needs from outside, as small protocols that the composition root fills.

Gate      Redis: the fast admission gate (store.inventory)
Writer    PostgreSQL: writes orders down in batches (store.placing)
Orders    PostgreSQL: an order under its row lock (store.orders)
Payments  PostgreSQL: leases, webhooks (store.payments), refunds (store.refunds)
Stock     PostgreSQL: stock and prices as the shop sets them (store.stock)
Gateway   Stripe (payments.gateway)
RoomNews  the rooms and the buyers' screens
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from overlay.messages import OrderView
from server.payments.outcomes import (
    CancelOutcome,
    ChargeOutcome,
    PaymentView,
    PaymentViews,
    RefundOutcome,
    RefundView,
)
from server.shop.allocation import Decision
from server.shop.gate import GateAnswer, GateView, StockRow, StockSet, StockTruth, VariantOnAir
from server.shop.ids import OrderId, ShopId, UserId
from server.shop.record import Change, OrderRecord
from server.shop.refunds import Seen
from server.shop.wish import Wish

# Errors, by what the caller can do.


class StoreTrouble(Exception):
    """A store gave no answer in time. Every call of these ports may be repeated."""


class GateDown(StoreTrouble):
    """Redis gave no answer; whether it acted is not known."""


class LedgerUnsure(StoreTrouble):
    """PostgreSQL gave no answer: it was written or not. Ask again with the same order id."""


class LedgerBusy(StoreTrouble):
    """Too many orders wait to be written; nothing was done for this one."""


class StockShort(Exception):
    """There are not enough units for an order that would hold them again; nothing was written."""


class NoSuchVariant(Exception):
    """The shop has no such variant."""


class Gate(Protocol):
    """Every method raises GateDown, and may be repeated."""

    async def reserve(
        self, shop_id: ShopId, order_id: OrderId, buyer: UserId, lines: Sequence[tuple[str, int]], ttl_ms: int
    ) -> GateAnswer: ...

    async def begin(self, shop_id: ShopId, order_id: OrderId) -> bool: ...

    async def confirm(self, shop_id: ShopId, order_id: OrderId) -> bool: ...

    async def release(self, shop_id: ShopId, order_id: OrderId, *, only_held: bool = False) -> bool: ...

    async def restore(
        self,
        shop_id: ShopId,
        order_id: OrderId,
        buyer: str,
        lines: Sequence[tuple[str, int]],
        flashes: Mapping[str, str] = ...,
        *,
        counted: bool = False,
    ) -> bool: ...

    async def set_terms(self, shop_id: ShopId, row: StockRow) -> bool: ...

    async def set_available(self, shop_id: ShopId, variant_id: str, delta: int, version: int) -> bool: ...

    async def forget(
        self,
        shop_id: ShopId,
        buyer: str,
        lines: Sequence[tuple[str, int]],
        flashes: Mapping[str, str] = ...,
    ) -> None: ...

    async def load(
        self,
        shop_id: ShopId,
        variant_id: str,
        *,
        seen_changes: str,
        available: int,
        buyer_limit: int,
        version: int,
        bought: Sequence[tuple[str, int]] = (),
    ) -> bool: ...

    async def read(self, shop_id: ShopId) -> GateView: ...


class Writer(Protocol):
    """Raises LedgerBusy, LedgerUnsure."""

    async def place(self, wish: Wish) -> Decision: ...

    async def find(self, wish: Wish) -> Decision | None: ...


class Locked(Protocol):
    """An order that nobody else can change until its block ends."""

    @property
    def record(self) -> OrderRecord: ...

    async def write(self, change: Change) -> None: ...

    async def over_limit(self) -> bool: ...

    async def barred(self) -> str | None: ...

    async def refunded(self, refund_id: str, refund_ref: str) -> None: ...

    async def refunded_there(self, payment_intent_ref: str, seen: Seen) -> None: ...

    async def refund_failed(self, refund_id: str, code: str, refund_ref: str | None = None) -> None: ...

    async def refund_returned(self, refund_id: str) -> None: ...


class Orders(Protocol):
    async def get(self, order_id: OrderId) -> OrderRecord | None: ...

    def locked(self, order_id: OrderId) -> AbstractAsyncContextManager[Locked | None]: ...

    async def buyers_card(self, user_id: str, card_id: str) -> tuple[str, str] | None: ...


class PaidOrders(Protocol):
    async def order_of(self, payment_intent: str) -> str | None: ...


class Leases(Protocol):
    """Who may charge an attempt. A lease that has run out is anybody's."""

    async def renew(self, order_id: str, attempt: int) -> bool: ...

    async def put_off(self, order_id: str, attempt: int, delay_s: float, *, tried: bool = True) -> None: ...


class Stock(Protocol):
    async def set_available(
        self, shop_id: ShopId, variant_id: str, available: int, actor_id: str | None
    ) -> StockSet: ...

    async def set_price(
        self, shop_id: ShopId, variant_id: str, price_minor: int, actor_id: str | None
    ) -> None: ...

    async def on_air(self, variant_ids: Collection[str]) -> list[VariantOnAir]: ...

    async def truth(
        self, shop_id: ShopId, variant_ids: Collection[str], order_ids: Collection[str], *, with_bought: bool
    ) -> StockTruth: ...


class Gateway(Protocol):
    """payments.gateway.StripeGateway, as far as the checkout uses it."""

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
    ) -> ChargeOutcome: ...

    async def retrieve(self, payment_intent: str) -> PaymentView: ...

    async def cancel(self, payment_intent: str) -> CancelOutcome: ...

    async def list_for_customer(
        self, customer: str, created_after: float, at_most: int = 1_000
    ) -> PaymentViews: ...

    async def refund(
        self,
        payment_intent: str,
        amount_minor: int | None,
        idempotency_key: str,
        *,
        refund_id: str | None = None,
    ) -> RefundOutcome: ...

    async def list_refunds(self, payment_intent: str, at_most: int = 1_000) -> tuple[RefundView, ...]: ...


class RoomNews(Protocol):
    """What the rooms and the buyers are told. `event_id`: the same news twice is one event."""

    async def stock_changed(self, show_id: str, event_id: str, variant_id: str, available: int) -> None: ...

    async def price_changed(
        self, show_id: str, event_id: str, variant_id: str, price_minor: int, compare_at_minor: int | None
    ) -> None: ...

    async def purchased(
        self, show_id: str, event_id: str, product_title: str, quantity: int, first_name: str | None
    ) -> None: ...

    async def personal(self, user_id: str, order: OrderView) -> None: ...
