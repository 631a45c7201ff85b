"""Finishing charges: attempts nobody has a lease on, buyers who let a deadline pass, webhooks, refunds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from overlay.ports import Refusal
from server.checkout.buyer import Buyer
from server.checkout.charge import KEY_TRUSTED_S, Charger
from server.checkout.ports import Gate, GateDown, Gateway, Orders
from server.checkout.settle import Settler
from server.payments.outcomes import (
    STORED_ERROR,
    PaymentError,
    ProviderRefused,
    RateLimited,
    Refunded,
    RefundOutcome,
    RefundRefused,
    Unknown,
)
from server.payments.webhooks import event_from
from server.shop.changes import refund_done
from server.shop.ids import OrderId, ShopId
from server.shop.orders import OrderState
from server.shop.patience import again_after_s
from server.store.payments import DueRefund, PaymentStore, Webhook

_LOG = logging.getLogger("hawker.jobs.charges")
AT_ONCE = 16
_BLIND_TRIES = 2
Item = TypeVar("Item")

# What is worth a look at the payment it is about. Everything else is kept and marked as processed.
_ABOUT_PAYMENTS = ("payment_intent.", "charge.")
_ABOUT_REFUNDS = frozenset({"refund.failed", "refund.updated", "charge.refund.updated"})


async def _all(work: Callable[[Item], Awaitable[None]], items: Sequence[Item]) -> int:
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
        return await _all(self._charge, await self._store.due_attempts(self._limit))

    async def _charge(self, due: tuple[str, int]) -> None:
        await self._charger.charge(OrderId(due[0]), due[1])


class ActionDeadlines:
    """Calls off orders whose buyer did not confirm in time. A payment that went through meanwhile wins."""

    def __init__(self, store: PaymentStore, orders: Orders, buyer: Buyer, *, limit: int = 64) -> None:
        self._store, self._orders, self._buyer, self._limit = store, orders, buyer, limit

    async def run(self) -> int:
        return await _all(self._call_off, await self._store.due_actions(self._limit))

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

    def __init__(self, store: PaymentStore, gateway: Gateway, settler: Settler, *, limit: int = 64) -> None:
        self._store, self._gateway, self._settler, self._limit = store, gateway, settler, limit

    async def run(self) -> int:
        due = await self._store.due_webhooks(self._limit)
        known = await self._store.no_news([webhook.event_id for webhook in due]) if due else set()
        await _all(self._process, [webhook for webhook in due if webhook.event_id not in known])
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
        if not webhook.kind.startswith(_ABOUT_PAYMENTS) and webhook.kind not in _ABOUT_REFUNDS:
            return
        try:
            event = event_from(webhook.payload)
        except ValueError:
            return
        if webhook.kind in _ABOUT_REFUNDS:
            await self._look_at_refund(str(event.object.get("id")))
        elif (intent := event.payment_intent) is not None:
            await self._settler.payment(await self._gateway.retrieve(intent))

    async def _look_at_refund(self, refund: str) -> None:
        """A bank may send money back days later: it is the shop's again, and a person has to find a way."""
        status = await self._gateway.refund_status(refund)
        if status in ("failed", "canceled") and await self._store.refund_came_back(refund, status):
            _LOG.critical("refund_came_back", extra={"refund": refund, "status": status})


class Refunds:
    """Carries refunds out, each under a key of its own: however often it is sent, money goes back once.

    After the second time, or where the provider may have forgotten the key, the payment's refunds are looked
    through first. Where it repeats a stored 500, they are looked through after that, and another key is used
    once it is on record that this one did nothing.
    """

    def __init__(
        self, store: PaymentStore, orders: Orders, gateway: Gateway, gate: Gate, *, limit: int = 32
    ) -> None:
        self._store, self._orders, self._gateway, self._gate = store, orders, gateway, gate
        self._limit = limit

    async def run(self) -> int:
        return await _all(self._refund, await self._store.due_refunds(self._limit))

    async def _refund(self, due: DueRefund) -> None:
        try:
            outcome = await self._outcome(due)
        except PaymentError as error:
            outcome = Unknown(error.code)
        match outcome:
            case None:
                await self._store.refund_spent(due)
            case Refunded(status="failed" | "canceled"):
                await self._store.refund_failed(due, "failed", "The bank refused the refund.")
            case Refunded():
                await self._done(due, outcome.refund)
            case RefundRefused():
                await self._store.refund_failed(due, outcome.code, outcome.message)
            case RateLimited():
                await self._store.refund_put_off(due.id, max(outcome.retry_after_s, 0.2))
            case _:
                await self._store.refund_put_off(due.id, again_after_s(due.tries, 300.0))

    async def _outcome(self, due: DueRefund) -> RefundOutcome | None:
        """None: nothing went back, and under this key nothing ever will."""
        look_first = due.tries > _BLIND_TRIES or due.age_s > KEY_TRUSTED_S
        if look_first and (found := await self._look_up(due)):
            return found
        outcome = await self._gateway.refund(
            due.payment_intent_ref, due.amount_minor, due.idempotency_key, refund_id=due.id
        )
        return await self._look_up(due) if outcome == Unknown(STORED_ERROR) else outcome

    async def _look_up(self, due: DueRefund) -> Refunded | None:
        """This refund, among those of its payment."""
        for view in await self._gateway.list_refunds(due.payment_intent_ref):
            if view.refund_id == due.id:
                return Refunded(view.id, view.amount_minor, view.status)
        return None

    async def _done(self, due: DueRefund, refund_ref: str) -> None:
        async with self._orders.locked(OrderId(due.order_id)) as locked:
            if locked is None:
                return
            refund = next((r for r in locked.record.refunds if r.id == due.id), None)
            if refund is None or refund.state == "done":
                return
            change = refund_done(locked.record, refund)
            await locked.refunded(due.id, refund_ref)
            await locked.write(change)
        if change.state is OrderState.REFUNDED:
            await self._tell_gate(locked.record.id)

    async def _tell_gate(self, order_id: str) -> None:
        """The units no longer count for the buyer. What is back on sale, mending brings to the gate."""
        order = await self._orders.get(OrderId(order_id))
        if order is None or order.user_id is None:
            return
        lines = [(line.variant_id, line.quantity) for line in order.lines]
        flashes = {line.variant_id: line.flash_id for line in order.lines if line.flash_id}
        try:
            await self._gate.forget(ShopId(order.shop_id), order.user_id, lines, flashes)
        except GateDown as error:
            _LOG.warning("gate_not_told", extra={"order_id": order_id, "error": str(error)})
