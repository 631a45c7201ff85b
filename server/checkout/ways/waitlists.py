"""Waitlists: joined and left by command or over HTTP, served by the worker; a tap buys an offer."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from overlay import selling
from overlay.ports import Actor, RoomSeed, SellingAnswer
from overlay.selling import JoinWaitlist, LeaveWaitlist, PlaceView, SellingCommand
from server.checkout.answers import refusal
from server.checkout.ports import Gate, GateDown
from server.checkout.selling import Handler
from server.checkout.ways.announcer import Announcer, at_once, refusing
from server.shop.changes import NotPossible
from server.shop.ids import ShopId
from server.shop.waitlist import PlaceState
from server.store.waitlist import BuyerLimit, PlaceRow, Served, WaitlistStore

_LOG = logging.getLogger("hawker.checkout.ways")


def view(row: PlaceRow) -> PlaceView:
    offered = row.state is PlaceState.OFFERED
    return PlaceView(
        variant_id=row.variant_id,
        state=selling.PlaceState(row.state.value),
        quantity=row.offered if offered and row.offered else row.quantity,
        position=row.position,
        offer_id=row.offer_id if offered else None,
        offer_ends_ms=row.offer_ends_ms if offered else None,
        unit_price_minor=row.price_minor if offered else None,
    )


class Waitlists:
    """A checkout.selling.Counter; `serve`, `tell_positions` and `tell` are the worker's."""

    def __init__(self, store: WaitlistStore, gate: Gate, announcer: Announcer) -> None:
        self._store, self._gate, self._announcer = store, gate, announcer

    def handlers(self) -> Mapping[type[SellingCommand], Handler]:
        return {JoinWaitlist: self._join, LeaveWaitlist: self._leave}

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        """A room knows nobody's place."""
        return seed

    async def join(
        self, variant_id: str, user_id: str, quantity: int, show_id: str | None = None
    ) -> PlaceView:
        """The person's place, which they may have had before.

        Raises Refusal `no_such_variant`, `not_open_yet`, `not_sold_out`, `already_waiting`, `buyer_limit`.
        """
        try:
            place = await self._store.join(variant_id, user_id, quantity, show_id)
        except BuyerLimit as error:
            raise refusal(error.code, lines=error.lines) from error
        except NotPossible as error:
            raise refusing(error) from error
        if place.position == 1:  # from now on the crowd gets none
            await at_once(self._announcer.gate(place.shop_id, place.variant_id))
        return view(place)

    async def leave(self, variant_id: str, user_id: str) -> PlaceView | None:
        """Give the place up, or turn an offer down. None: the person was never in line."""
        place, served = await self._store.leave(variant_id, user_id)
        if served is not None:
            await self._told(served)
        return view(place) if place else None

    async def of_user(self, user_id: str) -> list[PlaceRow]:
        return await self._store.of_user(user_id)

    async def _join(self, show_id: str, actor: Actor, command: JoinWaitlist) -> SellingAnswer:
        assert actor.user_id is not None
        place = await self.join(command.variant_id, actor.user_id, command.quantity, show_id)
        return SellingAnswer(place=place)

    async def _leave(self, show_id: str, actor: Actor, command: LeaveWaitlist) -> SellingAnswer:
        assert actor.user_id is not None
        return SellingAnswer(place=await self.leave(command.variant_id, actor.user_id))

    async def serve(self) -> int:
        """End offers that have run out, and offer what there is to who is next."""
        changed = 0
        for variant_id in await self._store.to_serve():
            served = await self._store.serve(variant_id)
            changed += len(served.place_ids)
            await self._told(served)
        return changed

    async def tell_positions(self) -> int:
        """Tell those who have moved up: best effort, and only the newest position."""
        moved = await self._store.moved_up()
        await at_once(*map(self._tell_place, moved))
        return len(moved)

    async def tell(self, payload: Mapping[str, str]) -> None:
        """The outbox's word that a place has changed: what is so by now."""
        place = await self._store.place(payload["place_id"])
        if place is not None:
            await self._tell_place(place)

    async def _told(self, served: Served) -> None:
        if not served.place_ids:
            return
        await at_once(
            self._stock_told(served),
            *(self.tell({"place_id": place_id}) for place_id in served.place_ids),
        )
        await at_once(self._announcer.gate(served.shop_id, served.variant_id))

    async def _stock_told(self, served: Served) -> None:
        try:
            await self._gate.set_available(
                ShopId(served.shop_id), served.variant_id, served.delta, served.version
            )
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"variant_id": served.variant_id, "error": str(error)})

    async def _tell_place(self, place: PlaceRow) -> None:
        if place.user_id is not None:
            await self._announcer.person(place.user_id, view(place))
