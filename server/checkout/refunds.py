"""What the provider says of refunds, written down: the one place where a refund's state changes.

Whoever brings news (the refund's own answer, a webhook, a sweep, the daily comparison) brings it here; under
the order's row lock it is decided (shop.refunds) and written once.
"""

from __future__ import annotations

import logging

from server.checkout.ports import Gate, GateDown, Gateway, Locked, Orders, PaidOrders
from server.checkout.settle import Settler
from server.payments.outcomes import RefundView
from server.shop import refunds
from server.shop.ids import OrderId, ShopId
from server.shop.orders import OrderState
from server.shop.record import NOTHING, Change, RefundRecord
from server.shop.refunds import News, Seen, news_of

_LOG = logging.getLogger("hawker.checkout.refunds")
GONE = ("failed", "canceled")  # the provider's words for a refund of which no money is with the buyer
_BANK_REFUSED = "The bank refused the refund."


def seen(view: RefundView) -> Seen:
    return Seen(view.id, view.refund_id, view.amount_minor, view.status in GONE)


class RefundBook:
    def __init__(
        self, orders: Orders, paid: PaidOrders, gateway: Gateway, settler: Settler, gate: Gate
    ) -> None:
        self._orders, self._paid, self._gateway = orders, paid, gateway
        self._settler, self._gate = settler, gate

    async def look(self, payment_intent: str) -> int:
        """Bring the books up to the provider's own list of a payment's refunds; how many were news.

        Raises PaymentError. Safe to repeat.
        """
        order_id = await self._paid.order_of(payment_intent)
        if order_id is None:  # perhaps its own news has yet to come
            await self._settler.payment(await self._gateway.retrieve(payment_intent))
            order_id = await self._paid.order_of(payment_intent)
        if order_id is None:
            return 0
        views = await self._gateway.list_refunds(payment_intent)
        order = await self._orders.get(OrderId(order_id))
        news = [view for view in reversed(views) if order and news_of(order, seen(view))]
        return sum([await self.enter(OrderId(order_id), payment_intent, seen(view)) for view in news])

    async def enter(self, order_id: OrderId, payment_intent: str, found: Seen) -> bool:
        """Write down one refund as the provider has it. False: it was known."""
        async with self._orders.locked(order_id) as locked:
            news = news_of(locked.record, found) if locked else None
            if locked is None or news is None:
                return False
            change = await self._write(locked, payment_intent, found, *news)
            await locked.write(change)
        _tell(news[0], order_id, found)
        if change.state is OrderState.REFUNDED:
            await self._tell_gate(order_id)
        return True

    async def refused(self, order_id: OrderId, refund_id: str, code: str, message: str) -> None:
        """The provider refused a refund of ours for good."""
        async with self._orders.locked(order_id) as locked:
            ours = next((r for r in locked.record.refunds if r.id == refund_id), None) if locked else None
            if locked is None or ours is None or ours.state != "queued":
                return
            await locked.refund_failed(refund_id, code)
            await locked.write(refunds.refund_failed(locked.record, ours, code, message))

    async def _write(
        self, locked: Locked, payment_intent: str, found: Seen, news: News, ours: RefundRecord | None
    ) -> Change:
        if ours is None:
            await locked.refunded_there(payment_intent, found)
            return refunds.refund_made_there(locked.record, payment_intent, found)
        match news:
            case News.DONE:
                await locked.refunded(ours.id, found.ref)
                return refunds.refund_done(locked.record, ours)
            case News.FAILED:
                await locked.refund_failed(ours.id, "failed", found.ref)
                return refunds.refund_failed(locked.record, ours, "failed", _BANK_REFUSED)
            case News.RETURNED:
                await locked.refund_returned(ours.id)
                return refunds.refund_returned(locked.record, ours)
            case _:
                return NOTHING

    async def _tell_gate(self, order_id: OrderId) -> None:
        """The units no longer count for the buyer. What is back on sale, mending brings to the gate."""
        order = await self._orders.get(order_id)
        if order is None or order.user_id is None:
            return
        lines = [(line.variant_id, line.quantity) for line in order.lines]
        flashes = {line.variant_id: line.flash_id for line in order.lines if line.flash_id}
        try:
            await self._gate.forget(ShopId(order.shop_id), order.user_id, lines, flashes)
        except GateDown as error:
            _LOG.warning("gate_not_told", extra={"order_id": order_id, "error": str(error)})


def _tell(news: News, order_id: str, found: Seen) -> None:
    about = {"order_id": order_id, "refund": found.ref, "amount_minor": found.amount_minor}
    if news is News.RETURNED:
        _LOG.critical("refund_came_back", extra=about)
    elif news is News.MADE_THERE and found.refund_id is not None:
        _LOG.critical("refund_made_twice", extra=about)
    elif news is News.MADE_THERE:
        _LOG.warning("refund_taken_over", extra=about)
