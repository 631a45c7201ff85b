"""What a buyer can do with an order that is there: confirm with the bank, call it off, try another card."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from overlay.messages import OrderView
from server.checkout.answers import refusal, view_of
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.ports import Gate, GateDown, Gateway, Orders, StockShort, StoreTrouble
from server.checkout.settle import Settler
from server.checkout.tap import HOLD_MS, OPENINGS
from server.payments.outcomes import Cancelled, NotCancellable, PaymentError
from server.shop import settlement
from server.shop.allocation import LineRefused
from server.shop.changes import NotPossible, retried
from server.shop.gate import GateClosed, GateRefused
from server.shop.ids import OrderId, ShopId, UserId
from server.shop.orders import OrderState
from server.shop.record import OrderRecord

_LOG = logging.getLogger("hawker.checkout.buyer")


class Buyer:
    """Each method answers with the order as it then is, or raises Refusal. Only an order's own buyer may."""

    def __init__(
        self,
        orders: Orders,
        gate: Gate,
        gatekeeper: Gatekeeper,
        gateway: Gateway,
        settler: Settler,
        charge: Callable[[OrderId, int], object],
        *,
        hold_ms: int = HOLD_MS,
    ) -> None:
        self._orders, self._gate, self._gatekeeper = orders, gate, gatekeeper
        self._gateway, self._settler, self._charge = gateway, settler, charge
        self._hold_ms = hold_ms

    async def order(self, order_id: OrderId, user_id: UserId) -> OrderRecord:
        """The buyer's own order. Raises Refusal `no_such_order`."""
        order = await self._orders.get(order_id)
        if order is None or order.user_id != user_id:
            raise refusal("no_such_order")
        return order

    async def authenticated(self, order_id: OrderId, user_id: UserId) -> OrderView:
        """After 3-D Secure in the page: ask the provider how it went, and settle. Raises Refusal."""
        order = await self.order(order_id, user_id)
        if order.state is OrderState.ACTION_NEEDED and order.newest.payment_intent_ref:
            await self._retrieve_and_settle(order.newest.payment_intent_ref)
        return view_of(await self.order(order_id, user_id))

    async def cancel(self, order_id: OrderId, user_id: UserId) -> OrderView:
        """Call off an order that waits for its buyer. A payment that went through meanwhile wins."""
        order = await self.order(order_id, user_id)
        if order.auction_id is not None:  # a winning bid binds
            raise refusal("not_cancellable")
        match order.state:
            case OrderState.CANCELLED:
                return view_of(order)
            case OrderState.CHARGING:
                raise refusal("being_charged")
            case OrderState.ACTION_NEEDED:
                await self.call_off(order)
                return view_of(await self.order(order_id, user_id))
            case _:
                raise refusal("not_cancellable")

    async def call_off(self, order: OrderRecord) -> None:
        """Cancel the payment an order waits for; where that is refused, settle by what it has become.

        Raises Refusal `provider_unavailable`.
        """
        newest = order.newest
        intent = newest.payment_intent_ref
        if intent is None:
            raise refusal("being_charged")
        match await self._gateway.cancel(intent):
            case Cancelled():
                answer = settlement.Cancelled(intent)
                await self._settler.settle(OrderId(order.id), newest.attempt, answer)
            case NotCancellable():
                await self._retrieve_and_settle(intent)
            case _:
                raise refusal("provider_unavailable")

    async def _retrieve_and_settle(self, intent: str) -> None:
        try:
            await self._settler.payment(await self._gateway.retrieve(intent))
        except PaymentError as error:
            _LOG.warning("retrieve_failed", extra={"payment_intent": intent, "error": error.code})
            raise refusal("provider_unavailable") from error

    async def retry(self, order_id: OrderId, user_id: UserId, card_id: str) -> OrderView:
        """Charge a declined order to another card, at the price it was placed for. Raises Refusal."""
        order = await self.order(order_id, user_id)
        card = await self._orders.buyers_card(user_id, card_id)
        if card is None:
            raise refusal("no_card")
        if order.state is not OrderState.DECLINED:
            raise refusal("not_declined")
        if order.auction_id is not None:  # it is the next in line's by now
            raise refusal("not_for_sale")
        await self._reserve(order, user_id)
        try:
            attempt = await self._write_retry(order_id, card, card_id)
        except (NotPossible, StockShort) as error:
            await self._told(self._gate.release(ShopId(order.shop_id), order_id, only_held=True))
            raise refusal(error.code if isinstance(error, NotPossible) else "sold_out") from error
        if not await self._told(self._gate.begin(ShopId(order.shop_id), order_id)):
            self._gatekeeper.suspect(ShopId(order.shop_id))
        self._charge(order_id, attempt)
        return view_of(await self.order(order_id, user_id))

    async def _write_retry(self, order_id: OrderId, card: tuple[str, str], card_id: str) -> int:
        async with self._orders.locked(order_id) as locked:
            if locked is None:
                raise NotPossible("no_such_order", "")
            change = retried(locked.record, *card, card_id)
            if await locked.over_limit():
                raise NotPossible("buyer_limit", "")
            if barred := await locked.barred():
                raise NotPossible(barred, "")
            await locked.write(change)
            return locked.record.newest.attempt + 1

    async def _reserve(self, order: OrderRecord, user_id: UserId) -> None:
        shop_id, lines = ShopId(order.shop_id), [(line.variant_id, line.quantity) for line in order.lines]
        for _ in range(OPENINGS):
            try:
                answer = await self._gate.reserve(shop_id, OrderId(order.id), user_id, lines, self._hold_ms)
                if isinstance(answer, GateClosed):
                    unknown = await self._gatekeeper.open(shop_id, answer.variant_ids)
                    if unknown:
                        gone = tuple(LineRefused(variant_id, "not_for_sale") for variant_id in unknown)
                        raise refusal("not_for_sale", lines=gone)
                    continue
            except StoreTrouble as error:
                raise refusal("unavailable") from error
            if isinstance(answer, GateRefused) and not answer.by_count:
                raise refusal(answer.lines[0].code, lines=answer.lines)
            return
        raise refusal("unavailable")

    async def _told(self, call: Awaitable[bool]) -> bool:
        try:
            return await call
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"error": str(error)})
            return False
