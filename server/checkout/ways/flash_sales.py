"""Flash prices: begun and ended by command, over by themselves at the end of their window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from overlay.ports import Actor, RoomSeed, SellingAnswer
from overlay.selling import EndFlash, FlashEnded, FlashStarted, FlashView, SellingCommand, StartFlash
from server.checkout.selling import Handler
from server.checkout.ways.announcer import Announcer, Clock, at_once, refusing
from server.shop import flash as rules
from server.shop.changes import NotPossible
from server.store.flash import FlashRow, FlashStore


def view(row: FlashRow) -> FlashView:
    flash = row.flash
    return FlashView(
        flash_id=flash.id,
        variant_id=flash.variant_id,
        price_minor=rules.price(row.base_minor, flash, flash.starts_ms),
        was_minor=row.base_minor,
        starts_ms=flash.starts_ms,
        ends_ms=flash.ends_ms,
        buyer_limit=flash.buyer_limit,
    )


class FlashSales:
    """A checkout.selling.Counter; `end_due` and `tell` are the worker's."""

    def __init__(self, store: FlashStore, announcer: Announcer, clock: Clock) -> None:
        self._store, self._announcer, self._clock = store, announcer, clock

    def handlers(self) -> Mapping[type[SellingCommand], Handler]:
        return {StartFlash: self._start, EndFlash: self._end}

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        rows = await self._store.running(seed.stock)
        return replace(seed, flashes={row.flash.variant_id: view(row) for row in rows})

    async def running(self, variant_ids: Collection[str]) -> dict[str, FlashView]:
        return {row.flash.variant_id: view(row) for row in await self._store.running(variant_ids)}

    async def _start(self, show_id: str, actor: Actor, command: StartFlash) -> SellingAnswer:
        assert actor.user_id is not None
        try:
            changed = await self._store.start(
                show_id,
                command.variant_id,
                price_minor=command.price_minor,
                duration_s=command.duration_s,
                buyer_limit=command.buyer_limit,
                by=actor.user_id,
                key=f"{show_id}:{actor.user_id}:{command.id}",
            )
        except NotPossible as error:
            raise refusing(error) from error
        await self._told(changed)
        return SellingAnswer()

    async def _end(self, show_id: str, actor: Actor, command: EndFlash) -> SellingAnswer:
        assert actor.user_id is not None
        key = f"{show_id}:{actor.user_id}:{command.id}"
        try:
            over = await self._store.end(show_id, command.flash_id, actor.user_id, key)
        except NotPossible as error:
            raise refusing(error) from error
        await self._told(over)
        return SellingAnswer()

    async def end_due(self) -> int:
        """Tell of those whose time has run out; they count no more since then, told or not."""
        over = await self._store.end_due()
        await self._told(over)
        return len(over)

    async def tell(self, payload: Mapping[str, str]) -> None:
        """The outbox's word that a flash price began or ended: what is so by now."""
        await self._tell(payload["flash_id"], payload.get("again", ""))

    async def _told(self, rows: Iterable[FlashRow]) -> None:
        # What ended before what began: the room holds one flash price a variant.
        in_order = sorted(rows, key=lambda row: row.flash.over is None)
        await at_once(*(self._announcer.gate(row.shop_id, row.flash.variant_id) for row in in_order[-1:]))
        for row in in_order:
            await at_once(self._tell(row.flash.id))

    async def _tell(self, flash_id: str, again: str = "") -> None:
        async with self._store.telling(flash_id) as row:
            if row is not None:
                await self._tell_row(row, again)

    async def _tell_row(self, row: FlashRow, again: str) -> None:
        flash = row.flash
        if flash.over is None:
            started = FlashStarted(n=0, at_ms=self._clock(), flash=view(row))
            await self._announcer.rooms(row.show_ids, f"flash:{flash.id}:started{again}", started)
            return
        ended = FlashEnded(
            n=0,
            at_ms=self._clock(),
            flash_id=flash.id,
            variant_id=flash.variant_id,
            price_minor=row.base_minor,
        )
        await self._announcer.rooms(row.show_ids, f"flash:{flash.id}:ended", ended)
