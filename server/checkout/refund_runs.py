"""Giving money back for many orders: a show that is cancelled, a product that is withdrawn.

The wish is a row. A worker asks for each order's refund under that order's lock, by an id that follows from
both: begun again after a crash, by any number of workers, each order is asked for once. What was given back
before counts; the refunds themselves are carried out like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from uuid import UUID, uuid5

from overlay.frames import UserId
from overlay.ports import Actor, Refusal
from overlay.selling import CancelAuction, CancelDrop, EndFlash, SellingCommand
from server.checkout.ports import Orders
from server.checkout.selling import Selling
from server.shop.changes import NotPossible
from server.shop.ids import OrderId
from server.shop.refunds import left_minor, refund_asked, run_amount_minor
from server.store.refund_runs import Run, RunStore

_LOG = logging.getLogger("hawker.checkout.refund_runs")
AT_A_TIME = 64
_CALLS_OFF: Mapping[str, Callable[[str, str], SellingCommand]] = {
    "drop": lambda command_id, number: CancelDrop(id=command_id, drop_id=number),
    "auction": lambda command_id, number: CancelAuction(id=command_id, auction_id=number),
    "flash": lambda command_id, number: EndFlash(id=command_id, flash_id=number),
}
_LOOK_AGAIN_S = 1.0


class RefundRuns:
    """`run` is the worker's."""

    def __init__(self, store: RunStore, orders: Orders, selling: Selling) -> None:
        self._store, self._orders, self._selling = store, orders, selling

    async def run(self) -> int:
        """Goes on with one run; how many orders were asked for."""
        run = await self._store.due()
        if run is None:
            return 0
        if run.cancels_show and run.show_id:
            await self._call_off(run, run.show_id)
        variants = await self._store.variants(run.product_id) if run.product_id else None
        waiting = await self._store.undecided(run)  # asked first: what is decided since is seen next
        orders = await self._store.next_orders(run, AT_A_TIME)
        for order_id in orders:
            await self._ask(run, OrderId(order_id), variants)
        if orders or waiting:
            await self._store.go_on(run, 0.0 if orders else _LOOK_AGAIN_S)
        else:
            await self._store.done(run)
        return len(orders)

    async def _ask(self, run: Run, order_id: OrderId, variants: frozenset[str] | None) -> None:
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                return
            order, refund_id = locked.record, str(uuid5(UUID(run.id), order_id))
            amount_minor = run_amount_minor(order, variants)
            if not amount_minor or any(refund.id == refund_id for refund in order.refunds):
                return
            restock = run.restock and amount_minor == left_minor(order)
            try:
                change = refund_asked(
                    order, refund_id, amount_minor, run.reason, run.asked_by, restock=restock, run_id=run.id
                )
            except NotPossible as error:
                _LOG.warning("run_left_order_out", extra={"order_id": order_id, "code": error.code})
                return
            await locked.write(change)

    async def _call_off(self, run: Run, show_id: str) -> None:
        """What has not begun, or is before its hammer, sells nothing any more. Repeated, it does nothing."""
        actor = Actor(UserId(run.asked_by), None, "")
        for way, number in await self._store.open_ways(show_id):
            command_id = str(uuid5(UUID(run.id), number))
            try:
                await self._selling.sell(show_id, actor, _CALLS_OFF[way](command_id, number))
            except Refusal as refusal:  # it opened, or its hammer fell
                _LOG.info("not_called_off", extra={"way": way, "id": number, "code": refusal.code})
