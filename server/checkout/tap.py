"""One tap, up to the moment it is durable.

    1  the gate holds the units (Redis), or says sold out: the crowd ends here
    2  the order is written down: price frozen, stock allocated, attempt 1 with its key (PostgreSQL)
    3  the gate's hold no longer ends by itself
       -> only now the buyer hears "charging"; the charge is queued

A crash after 1: the hold ends by itself. After 2: a worker charges, mending tells the gate. The client's
order id names all of it, so a tap repeated at any moment gets the order that is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from overlay.messages import OrderView
from overlay.ports import Refusal
from server.checkout.answers import refusal, view_of_existing
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.metrics import Counts, Uncounted
from server.checkout.ports import Gate, GateDown, LedgerBusy, StoreTrouble, Writer
from server.shop.allocation import Decision, LineRefused, Placed, Refused, Repeated
from server.shop.gate import GateClosed, GateRefused, GateReused, Held
from server.shop.ids import OrderId
from server.shop.orders import OPEN
from server.shop.wish import Wish, problem

_LOG = logging.getLogger("hawker.checkout.tap")
HOLD_MS = 15_000
CLOCKS_APART_MS = 500
OPENINGS = 4  # of a gate that is wiped again and again


class _OverCount(Exception):
    """By the gate's count the buyer has enough."""


class Tap:
    """`charge(order_id, attempt)` queues a charge and never waits."""

    def __init__(
        self,
        gate: Gate,
        gatekeeper: Gatekeeper,
        writer: Writer,
        charge: Callable[[OrderId, int], object],
        *,
        hold_ms: int = HOLD_MS,
        counts: Counts | None = None,
    ) -> None:
        self._gate, self._gatekeeper, self._writer = gate, gatekeeper, writer
        self._charge, self._hold_ms, self._counts = charge, hold_ms, counts or Uncounted()

    async def buy(self, wish: Wish) -> OrderView:
        """The order, durable and charging, or as it is by now. Raises Refusal (see answers)."""
        began_s, answer = time.perf_counter(), "unanswered"
        try:
            order = await self._buy(wish)
            answer = order.state
            return order
        except Refusal as refused:
            answer = refused.code
            raise
        finally:
            self._counts.tap(answer, time.perf_counter() - began_s)

    async def _buy(self, wish: Wish) -> OrderView:
        wrong = problem(wish)
        if wrong:
            raise refusal("bad_order", detail=wrong)
        try:
            if wish.offer_id:
                return await self._past_gate(wish)
            try:
                position = await self._reserve(wish)
            except _OverCount:
                return await self._past_gate(wish)
            return await self._write(replace(wish, position=position) if position else wish)
        except StoreTrouble as error:
            _LOG.warning("tap_unsure", extra={"order_id": wish.order_id, "error": str(error)})
            raise refusal("unavailable") from error

    async def _past_gate(self, wish: Wish) -> OrderView:
        """Units that are set aside, or a buyer for whom the gate may count too much. Raises Refusal."""
        decision = await self._writer.place(wish)
        match decision:
            case Placed():
                await self._admit(wish, decision)
                self._charge(wish.order_id, 1)
                return view_of_existing(decision.as_existing())
            case Repeated(order=order):
                return view_of_existing(order)
            case Refused(code=code, lines=lines):
                raise refusal(code, lines=lines)

    async def _admit(self, wish: Wish, placed: Placed) -> None:
        lines = [(line.variant_id, line.quantity) for line in wish.lines]
        flashes = {t.variant.id: t.variant.flash.id for t in placed.lines if t.variant.flash}
        try:
            await self._gate.restore(wish.shop_id, wish.order_id, wish.user_id, lines, flashes, counted=True)
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"order_id": wish.order_id, "error": str(error)})
        if placed.unclaimed or not wish.offer_id:
            self._gatekeeper.suspect(wish.shop_id)

    async def _reserve(self, wish: Wish) -> int | None:
        """Return when the units are held, or the order is there already: its position in a drop.

        Raises Refusal, _OverCount.
        """
        for _ in range(OPENINGS):
            began_s = time.perf_counter()
            answer = await self._gate.reserve(
                wish.shop_id,
                wish.order_id,
                wish.user_id,
                [(line.variant_id, line.quantity) for line in wish.lines],
                self._hold_ms,
            )
            self._counts.gate(time.perf_counter() - began_s)
            match answer:
                case Held(position=position):
                    return position
                case GateReused():
                    await self._unless_there(wish, Refused("order_id_reused"))
                    return None
                case GateRefused(by_count=True):
                    raise _OverCount
                case GateRefused(lines=lines):
                    await self._unless_there(wish, Refused(lines[0].code, lines))
                    return None
                case GateClosed(variant_ids=variant_ids):
                    unknown = await self._gatekeeper.open(wish.shop_id, variant_ids)
                    if unknown:
                        lines = tuple(LineRefused(variant_id, "not_for_sale") for variant_id in unknown)
                        await self._unless_there(wish, Refused("not_for_sale", lines))
                        return None
        raise GateDown("the gate is wiped faster than it can be loaded")

    async def _unless_there(self, wish: Wish, refused: Refused) -> None:
        """The gate forgets orders that have ended, so before a no: is this a tap that was answered before?"""
        found = await self._writer.find(wish)
        if isinstance(found, Refused):
            raise refusal(found.code)
        if found is None:
            raise refusal(refused.code, lines=refused.lines)

    async def _write(self, wish: Wish) -> OrderView:
        try:
            decision = await self._writer.place(wish)
            if early_ms := _early_ms(decision):
                await asyncio.sleep(early_ms / 1000)
                decision = await self._writer.place(wish)
        except LedgerBusy:  # certainly not written
            await self._give_back(wish)
            raise
        return await self._answer(wish, decision)

    async def _answer(self, wish: Wish, decision: Decision) -> OrderView:
        match decision:
            case Placed():
                await self._begin(wish)
                self._charge(wish.order_id, 1)
                return view_of_existing(decision.as_existing())
            case Repeated(order=order):  # perhaps another of its taps was faster, perhaps it ended long ago
                await (self._begin(wish) if order.state in OPEN else self._give_back(wish))
                return view_of_existing(order)
            case Refused(code=code, lines=lines):
                await self._give_back(wish)
                if code in ("sold_out", "buyer_limit", "not_open_yet"):  # the gate thought otherwise
                    self._gatekeeper.suspect(wish.shop_id)
                raise refusal(code, lines=lines)

    async def _begin(self, wish: Wish) -> None:
        """The order stands whatever the gate says now: a gate that is down or was wiped is mended later."""
        try:
            if not await self._gate.begin(wish.shop_id, wish.order_id):
                self._gatekeeper.suspect(wish.shop_id)
        except GateDown as error:
            _LOG.warning("gate_not_told", extra={"order_id": wish.order_id, "error": str(error)})

    async def _give_back(self, wish: Wish) -> None:
        try:
            await self._gate.release(wish.shop_id, wish.order_id, only_held=True)
        except GateDown as error:  # the hold ends by itself
            _LOG.info("hold_left", extra={"order_id": wish.order_id, "error": str(error)})


def _early_ms(decision: Decision) -> int:
    """How long to wait where the gate's clock is ahead of PostgreSQL's: who was first must not lose by it."""
    if not isinstance(decision, Refused) or decision.code != "not_open_yet":
        return 0
    early_ms = max(line.retry_after_ms or 0 for line in decision.lines)
    return early_ms if early_ms <= CLOCKS_APART_MS else 0
