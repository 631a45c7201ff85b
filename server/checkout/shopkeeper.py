"""What the shop's own people do: give money back, send goods, count stock again, change a price."""

from __future__ import annotations

import logging

import uuid_utils

from server.checkout.ports import Gate, GateDown, Orders, Stock
from server.shop.changes import NotPossible, fulfilled
from server.shop.gate import VariantOnAir
from server.shop.ids import OrderId, ShopId
from server.shop.record import NOTHING, OrderRecord
from server.shop.refunds import owed_paid, refund_asked

_LOG = logging.getLogger("hawker.checkout.shopkeeper")


class Shopkeeper:
    """Who may is decided before. Methods raise NotPossible (`code`, `reason`) and NoSuchVariant."""

    def __init__(self, orders: Orders, stock: Stock, gate: Gate) -> None:
        self._orders, self._stock, self._gate = orders, stock, gate

    async def refund(
        self,
        order_id: OrderId,
        amount_minor: int,
        reason: str,
        actor_id: str,
        *,
        refund_id: str | None = None,
        restock: bool = False,
    ) -> OrderRecord:
        """Queue a refund for a worker. `refund_id`, a UUID of the caller's, makes a repeat harmless."""
        number = refund_id or str(uuid_utils.uuid7())
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                raise NotPossible("no_such_order", "There is no such order.")
            if not any(refund.id == number for refund in locked.record.refunds):
                await locked.write(
                    refund_asked(locked.record, number, amount_minor, reason, actor_id, restock=restock)
                )
        return await self._again(order_id)

    async def owed_paid(self, order_id: OrderId, how: str, actor_id: str) -> OrderRecord:
        """What a refund could not give back, its buyer has got in another way: nothing is owed any more."""
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                raise NotPossible("no_such_order", "There is no such order.")
            await locked.write(owed_paid(locked.record, how, actor_id))
        return await self._again(order_id)

    async def fulfil(self, order_id: OrderId, actor_id: str) -> OrderRecord:
        """Mark an order as sent. Twice is once."""
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                raise NotPossible("no_such_order", "There is no such order.")
            change = fulfilled(locked.record, actor_id)
            if change != NOTHING:
                await locked.write(change)
        return await self._again(order_id)

    async def set_stock(self, shop_id: ShopId, variant_id: str, available: int, actor_id: str | None) -> int:
        """Set how many can be taken now; units held for orders and sold ones are not touched."""
        done = await self._stock.set_available(shop_id, variant_id, available, actor_id)
        try:
            await self._gate.set_available(shop_id, variant_id, done.delta, done.version)
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"variant_id": variant_id, "error": str(error)})
        return done.available

    async def set_price(
        self, shop_id: ShopId, variant_id: str, price_minor: int, actor_id: str | None
    ) -> None:
        """Change a price. Orders already placed keep theirs; taps that saw the old one are refused."""
        await self._stock.set_price(shop_id, variant_id, price_minor, actor_id)

    async def on_air(self, variant_id: str) -> VariantOnAir:
        """A variant as the crowd finds it now."""
        (found,) = await self._stock.on_air([variant_id])
        return found

    async def _again(self, order_id: OrderId) -> OrderRecord:
        order = await self._orders.get(order_id)
        if order is None:
            raise NotPossible("no_such_order", "There is no such order.")
        return order
