"""Drops: scheduled and cancelled by command, opened by the clock, sold out by those who tap."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from overlay import selling
from overlay.frames import ProductCard
from overlay.ports import Actor, RoomSeed, SellingAnswer
from overlay.selling import CancelDrop, DropChanged, DropView, ScheduleDrop, SellingCommand
from server.checkout.ports import Gate, GateDown
from server.checkout.selling import Handler
from server.checkout.ways.announcer import Announcer, Clock, at_once, refusing
from server.checkout.ways.cards import cards_of
from server.shop.changes import NotPossible
from server.shop.drop import DropState
from server.shop.ids import ShopId
from server.store.database import Database
from server.store.drops import DropChange, DropRow, DropStore
from server.store.pool import Pool

_LOG = logging.getLogger("hawker.checkout.ways")


def view(row: DropRow, card: ProductCard) -> DropView:
    state = DropState.CANCELLED if row.state is DropState.CANCELLED else row.state_now
    return DropView(
        drop_id=row.id,
        variant_id=row.variant_id,
        card=card,
        state=selling.DropState(state.value),
        opens_ms=row.opens_ms,
        units=row.units,
        waiting=row.waiting,
    )


class Drops:
    """A checkout.selling.Counter; `advance` and `tell` are the worker's."""

    def __init__(self, pool: Pool, store: DropStore, gate: Gate, announcer: Announcer, clock: Clock) -> None:
        self._database, self._store, self._gate = Database(pool), store, gate
        self._announcer, self._clock = announcer, clock

    def handlers(self) -> Mapping[type[SellingCommand], Handler]:
        return {ScheduleDrop: self._schedule, CancelDrop: self._cancel}

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        rows = await self._store.current(seed.stock)
        async with self._database.connection() as connection:
            cards = await cards_of(connection, {row.product_id for row in rows})
        return replace(seed, drops={row.variant_id: view(row, cards[row.product_id]) for row in rows})

    async def _schedule(self, show_id: str, actor: Actor, command: ScheduleDrop) -> SellingAnswer:
        assert actor.user_id is not None
        try:
            change = await self._store.schedule(
                show_id,
                command.variant_id,
                opens_in_s=command.opens_in_s,
                units=command.units,
                offer_s=command.offer_s,
                by=actor.user_id,
                key=f"{show_id}:{actor.user_id}:{command.id}",
            )
        except NotPossible as error:
            raise refusing(error) from error
        await self._done(change)
        return SellingAnswer()

    async def _cancel(self, show_id: str, actor: Actor, command: CancelDrop) -> SellingAnswer:
        assert actor.user_id is not None
        key = f"{show_id}:{actor.user_id}:{command.id}"
        try:
            change = await self._store.cancel(show_id, command.drop_id, actor.user_id, key)
        except NotPossible as error:
            raise refusing(error) from error
        await self._done(change)
        return SellingAnswer()

    async def advance(self) -> int:
        """Tell of drops that have opened or sold out: they have since the moment, told or not."""
        moved = await self._store.advance()
        for row in moved:
            await at_once(self._announcer.gate(row.shop_id, row.variant_id), self._tell(row.id))
        return len(moved)

    async def tell_lines(self) -> int:
        """Tell the rooms of drops whose line has grown or shrunk."""
        moved = await self._store.lines_moved()
        await at_once(*(self._tell(drop_id) for drop_id in moved))
        return len(moved)

    async def tell(self, payload: Mapping[str, str]) -> None:
        """The outbox's word that a drop has changed: what is so by now."""
        await self._tell(payload["drop_id"])

    async def _done(self, change: DropChange) -> None:
        drop = change.drop
        # Closed before there is more to take.
        await at_once(self._announcer.gate(drop.shop_id, drop.variant_id))
        await at_once(self._stock_told(change), self._tell(drop.id))

    async def _stock_told(self, change: DropChange) -> None:
        drop = change.drop
        try:
            await self._gate.set_available(
                ShopId(drop.shop_id), drop.variant_id, change.delta, drop.stock_version
            )
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"variant_id": drop.variant_id, "error": str(error)})

    async def _tell(self, drop_id: str) -> None:
        async with self._store.telling(drop_id) as (connection, row):
            if row is None:
                return
            card = (await cards_of(connection, [row.product_id]))[row.product_id]
            changed = DropChanged(n=0, at_ms=self._clock(), drop=view(row, card))
            await self._announcer.rooms(row.show_ids, f"drop:{row.id}:{row.version}", changed)
