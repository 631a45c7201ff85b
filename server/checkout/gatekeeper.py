"""Keeps the gate in Redis true to PostgreSQL: opens variants it doesn't know, mends what a crash left.

Theory: a variant's number at the gate must be PostgreSQL's `available` less the units that are held at the
gate and not yet in PostgreSQL. Taps keep that so by themselves; it breaks only when a message was lost (a
crash between commit and call) or the gate was wiped. Mending looks at the gate, then at PostgreSQL, brings
every order's record to its state there, and sets a number only if nothing has moved since it looked: a busy
variant is mended in a calmer moment, and until then PostgreSQL refuses what the gate wrongly let through.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from overlay.tasks import end
from server.checkout.ports import Gate, GateDown, Stock, StoreTrouble
from server.shop.gate import GateRecord, GateView, OpenOrder, StockRow, StockTruth
from server.shop.ids import OrderId, ShopId
from server.shop.orders import OPEN, OrderState

_LOG = logging.getLogger("hawker.checkout.gate")
SUSPECT_GAP_S, SUSPECT_LOOKS = 0.5, 20
OPEN_TRIES = 8
_SETTLED_WELL = frozenset({OrderState.PAID, OrderState.FULFILLED, OrderState.REFUNDED})


@dataclass(frozen=True, slots=True)
class _Compared:
    """`calm`: nothing moved meanwhile, so all that was wrong is right now."""

    mended: int
    calm: bool


class Gatekeeper:
    """One a process. Opening the same variant from many taps at once is one load."""

    def __init__(self, gate: Gate, stock: Stock) -> None:
        self._gate, self._stock = gate, stock
        self._opening: dict[tuple[ShopId, str], asyncio.Task[bool]] = {}
        self._suspected: set[ShopId] = set()
        self._mending: dict[ShopId, asyncio.Task[None]] = {}

    async def open(self, shop_id: ShopId, variant_ids: Collection[str]) -> list[str]:
        """Load variants that the gate doesn't know; returns those that the shop doesn't have either.

        Raises StoreTrouble: also where a variant moved each time it was about to be loaded.
        """
        for variant_id in variant_ids:
            key = (shop_id, variant_id)
            if key not in self._opening:
                task = asyncio.create_task(self._open(shop_id, variant_id))
                self._opening[key] = task
                task.add_done_callback(lambda _, key=key: self._opening.pop(key, None))  # type: ignore[misc]
        tasks = {v: self._opening[shop_id, v] for v in variant_ids}
        found = await asyncio.gather(*map(asyncio.shield, tasks.values()))
        return [variant_id for variant_id, known in zip(tasks, found, strict=True) if not known]

    async def _open(self, shop_id: ShopId, variant_id: str) -> bool:
        for _ in range(OPEN_TRIES):
            view = await self._gate.read(shop_id)
            if variant_id in view.variants:
                return True
            truth = await self._stock.truth(shop_id, [variant_id], list(view.orders), with_bought=True)
            if not truth.rows:
                return False
            for order in truth.open_orders:
                if order.order_id not in view.orders and any(v == variant_id for v, _ in order.lines):
                    await self._restore(shop_id, order)
            seen = view.closed.get(variant_id, "")  # an order restored by an earlier try may have ended
            await self._gate.set_terms(shop_id, truth.rows[0])
            if await self._load(shop_id, truth.rows[0], seen, _pending(view, truth), truth):
                return True
        raise GateDown(f"variant {variant_id} moves faster than it can be loaded")

    async def tell_terms(self, shop_id: ShopId, variant_id: str) -> None:
        """A way to sell the variant has begun or ended. Raises StoreTrouble: then mending does it later."""
        truth = await self._stock.truth(shop_id, [variant_id], [], with_bought=False)
        for row in truth.rows:
            await self._gate.set_terms(shop_id, row)

    def suspect(self, shop_id: ShopId) -> None:
        """The gate and PostgreSQL disagreed: mend now, not when the worker does. Twice a second at most."""
        self._suspected.add(shop_id)
        if shop_id not in self._mending:
            task = asyncio.create_task(self._mend_suspected(shop_id))
            self._mending[shop_id] = task
            task.add_done_callback(lambda _: self._mending.pop(shop_id, None))

    async def _mend_suspected(self, shop_id: ShopId) -> None:
        """Until a look was calm: one that was taken while orders moved may have had to leave things be."""
        for _ in range(SUSPECT_LOOKS):
            self._suspected.discard(shop_id)
            try:
                calm = (await self._compare(shop_id)).calm
            except StoreTrouble as error:
                calm = False
                _LOG.warning("gate_not_mended", extra={"shop_id": shop_id, "error": str(error)})
            await asyncio.sleep(SUSPECT_GAP_S)
            if calm and shop_id not in self._suspected:
                return

    async def close(self) -> None:
        """Stop mending what was suspected: the worker does it."""
        await end(list(self._mending.values()))

    async def mend(self, shop_id: ShopId) -> int:
        """Compare everything the gate believes of a shop with PostgreSQL. The number of corrections."""
        return (await self._compare(shop_id)).mended

    async def _compare(self, shop_id: ShopId) -> _Compared:
        view, truth = await self._look(shop_id)
        mended = await self._mend_orders(shop_id, view, truth)
        if mended:  # numbers have moved
            view, truth = await self._look(shop_id)
        numbers = await self._mend_numbers(shop_id, view, truth)
        mended += numbers.mended
        if mended:
            _LOG.warning("gate_mended", extra={"shop_id": shop_id, "corrections": mended})
        return _Compared(mended, numbers.calm)

    async def _look(self, shop_id: ShopId) -> tuple[GateView, StockTruth]:
        view = await self._gate.read(shop_id)
        return view, await self._stock.truth(
            shop_id, list(view.variants), list(view.orders), with_bought=False
        )

    async def _mend_orders(self, shop_id: ShopId, view: GateView, truth: StockTruth) -> int:
        """Bring the gate's records to their orders' states. A held one without an order ends by itself."""
        mended = 0
        for order_id, record in view.orders.items():
            mended += await self._mend_record(shop_id, OrderId(order_id), record, truth.states.get(order_id))
        for order in truth.open_orders:
            if order.order_id not in view.orders and _touches(order, view):
                mended += await self._restore(shop_id, order)
        return mended

    async def _restore(self, shop_id: ShopId, order: OpenOrder) -> bool:
        order_id = OrderId(order.order_id)
        return await self._gate.restore(shop_id, order_id, order.buyer, order.lines, order.flashes)

    async def _mend_record(
        self, shop_id: ShopId, order_id: OrderId, record: GateRecord, state: str | None
    ) -> int:
        if state in _SETTLED_WELL:
            return await self._gate.confirm(shop_id, order_id)
        if record.state == "held":  # without an open order it ends by itself; a retry may be about to begin
            return state in OPEN and await self._gate.begin(shop_id, order_id)
        return state not in OPEN and await self._gate.release(shop_id, order_id)

    async def _mend_numbers(self, shop_id: ShopId, view: GateView, truth: StockTruth) -> _Compared:
        pending, unsure = _pending(view, truth), _unsure(view, truth)
        mended, calm = 0, not unsure
        for row in truth.rows:
            known = view.variants.get(row.variant_id)
            if known is not None and known.terms != row.terms.text():
                mended += await self._gate.set_terms(shop_id, row)
            if known is None or row.variant_id in unsure:
                continue
            right = (row.available - pending[row.variant_id], row.buyer_limit)
            if right != (known.available, known.buyer_limit):
                loaded = await self._load(shop_id, row, known.changes, pending, truth)
                mended, calm = mended + loaded, calm and loaded
        return _Compared(mended, calm)

    async def _load(
        self, shop_id: ShopId, row: StockRow, seen: str, pending: Counter[str], truth: StockTruth
    ) -> bool:
        return await self._gate.load(
            shop_id,
            row.variant_id,
            seen_changes=seen,
            available=row.available - pending[row.variant_id],
            buyer_limit=row.buyer_limit,
            version=row.version,
            bought=[(buyer, units) for variant, buyer, units in truth.bought if variant == row.variant_id],
        )


def _pending(view: GateView, truth: StockTruth) -> Counter[str]:
    """Units held at the gate that PostgreSQL doesn't know of yet, by variant."""
    pending: Counter[str] = Counter()
    for order_id, record in view.orders.items():
        if record.state == "held" and _agree(record, truth.states.get(order_id)):
            pending.update(dict(record.lines))
    return pending


def _unsure(view: GateView, truth: StockTruth) -> set[str]:
    """Variants of orders whose record differs from their state: a message about them is under way."""
    return {
        variant
        for order_id, record in view.orders.items()
        if not _agree(record, truth.states.get(order_id))
        for variant, _ in record.lines
    }


def _agree(record: GateRecord, state: str | None) -> bool:
    if record.state == "paying":
        return state in OPEN
    return state not in OPEN and state not in _SETTLED_WELL


def _touches(order: OpenOrder, view: GateView) -> bool:
    return any(variant in view.variants for variant, _ in order.lines)
