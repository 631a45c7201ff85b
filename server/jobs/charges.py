"""Finishing charges: attempts nobody has a lease on, buyers who let a deadline pass, webhooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from overlay.ports import Refusal
from server.checkout.buyer import Buyer
from server.checkout.charge import Charger
from server.checkout.ports import Gateway, Orders
from server.checkout.refunds import RefundBook
from server.checkout.settle import Settler
from server.payments.outcomes import PaymentError, ProviderRefused
from server.payments.webhooks import event_from
from server.shop.ids import OrderId
from server.shop.orders import OrderState
from server.shop.patience import again_after_s
from server.store.payments import PaymentStore, Webhook

_LOG = logging.getLogger("hawker.jobs.charges")
AT_ONCE = 16
Item = TypeVar("Item")

# What is worth a look at the payment it is about. Everything else is kept and marked as processed.
_ABOUT_PAYMENTS = ("payment_intent.", "charge.")
_ABOUT_REFUNDS = ("refund.", "charge.refund")


async def worked_off(work: Callable[[Item], Awaitable[None]], items: Sequence[Item]) -> int:
    """Some at a time; what fails is logged and comes again when its lease has run out."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with slots:
            try:
                await work(item)
            except Exception as error:
                _LOG.warning("item_failed", extra={"item": repr(item)[:200]}, exc_info=error)

    await asyncio.gather(*map(one, items))
    return len(items)


class StaleCharges:
    """Charges what a process died with, what found its queue full, and what had no definite answer."""

    def __init__(self, store: PaymentStore, charger: Charger, *, limit: int = 64) -> None:
        self._store, self._charger, self._limit = store, charger, limit

    async def run(self) -> int:
        return await worked_off(self._charge, await self._store.due_attempts(self._limit))

    async def _charge(self, due: tuple[str, int]) -> None:
        await self._charger.charge(OrderId(due[0]), due[1])


class ActionDeadlines:
    """Calls off orders whose buyer did not confirm in time. A payment that went through meanwhile wins."""

    def __init__(self, store: PaymentStore, orders: Orders, buyer: Buyer, *, limit: int = 64) -> None:
        self._store, self._orders, self._buyer, self._limit = store, orders, buyer, limit

    async def run(self) -> int:
        return await worked_off(self._call_off, await self._store.due_actions(self._limit))

    async def _call_off(self, due: tuple[str, int]) -> None:
        order = await self._orders.get(OrderId(due[0]))
        if order is None or order.state is not OrderState.ACTION_NEEDED:
            return
        try:
            await self._buyer.call_off(order)
        except Refusal as refusal:
            _LOG.info("call_off_later", extra={"order_id": order.id, "code": refusal.code})


class WebhookInbox:
    """Acts on webhooks by asking the provider: a payload is never believed, only what it is about.

    Most tell of charges that were answered already. Asking about those, too, would take half of the calls
    that the provider allows.
    """

    def __init__(
        self, store: PaymentStore, gateway: Gateway, settler: Settler, refunds: RefundBook, *, limit: int = 64
    ) -> None:
        self._store, self._gateway, self._settler = store, gateway, settler
        self._refunds, self._limit = refunds, limit

    async def run(self) -> int:
        due = await self._store.due_webhooks(self._limit)
        known = await self._store.no_news([webhook.event_id for webhook in due]) if due else set()
        await worked_off(self._process, [webhook for webhook in due if webhook.event_id not in known])
        return len(due)

    async def _process(self, webhook: Webhook) -> None:
        try:
            await self._act(webhook)
        except ProviderRefused as error:  # not there (any more): nothing to settle
            _LOG.warning("webhook_about_nothing", extra={"event_id": webhook.event_id, "code": error.code})
        except PaymentError as error:
            delay_s = again_after_s(webhook.attempts, 600.0)
            await self._store.webhook_failed(webhook.event_id, error.code, delay_s)
            return
        await self._store.webhook_done(webhook.event_id)

    async def _act(self, webhook: Webhook) -> None:
        if not webhook.kind.startswith(_ABOUT_PAYMENTS + _ABOUT_REFUNDS):
            return
        try:
            intent = event_from(webhook.payload).payment_intent
        except ValueError:
            return
        if intent is None:
            return
        if webhook.kind.startswith(_ABOUT_REFUNDS):
            await self._refunds.look(intent)
        else:
            await self._settler.payment(await self._gateway.retrieve(intent))
