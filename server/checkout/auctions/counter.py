"""The room's commands about auctions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID, uuid5

from overlay.ports import Actor, RoomSeed, SellingAnswer
from overlay.selling import (
    AnnounceAuction,
    AuctionState,
    Bid,
    CancelAuction,
    OpenAuction,
    RetractBid,
    SellingCommand,
    StandingState,
)
from server.checkout.auctions.floor import Floor
from server.checkout.auctions.refusals import refusal
from server.checkout.auctions.teller import Teller
from server.checkout.auctions.views import auction_views
from server.checkout.ports import Gate, GateDown
from server.checkout.selling import Handler
from server.shop.auction_book import Terms
from server.shop.ids import ShopId, canonical
from server.store import auction_views as store
from server.store.auction_announcing import CannotAnnounce, NewAuction, announce
from server.store.auctions import AuctionStore, LockedAuction
from server.store.database import Database
from server.store.pool import Pool
from server.store.rows import audit

_LOG = logging.getLogger("hawker.auctions")


class AuctionCounter:
    """server.checkout.selling.Counter for auctions."""

    def __init__(self, pool: Pool, auctions: AuctionStore, floor: Floor, teller: Teller, gate: Gate) -> None:
        self._database, self._auctions, self._floor = Database(pool), auctions, floor
        self._teller, self._gate = teller, gate

    def handlers(self) -> Mapping[type[SellingCommand], Handler]:
        return {
            AnnounceAuction: self._announce,
            OpenAuction: self._open,
            CancelAuction: self._call_off,
            Bid: self._bid,
            RetractBid: self._take_back,
        }

    async def seed(self, show_id: str, seed: RoomSeed) -> RoomSeed:
        async with self._database.transaction() as connection:
            views = await auction_views(connection, await store.of_show(connection, show_id))
        return replace(seed, auctions={view.auction_id: view for view in views})

    # --- bidders ---

    async def _bid(self, show_id: str, actor: Actor, command: Bid) -> SellingAnswer:
        return await self._on_the_floor(
            show_id, actor, command.auction_id, command.id, command.max_minor, command.media_time
        )

    async def _take_back(self, show_id: str, actor: Actor, command: RetractBid) -> SellingAnswer:
        return await self._on_the_floor(show_id, actor, command.auction_id, command.id, None, None)

    async def _on_the_floor(
        self,
        show_id: str,
        actor: Actor,
        auction_id: str,
        command_id: str,
        max_minor: int | None,
        media_time: int | None,
    ) -> SellingAnswer:
        if actor.roles:
            raise refusal("staff_may_not_bid")
        assert actor.user_id is not None
        known = _known(auction_id)
        standing = await self._floor.bid(known, show_id, actor.user_id, command_id, max_minor, media_time)
        return SellingAnswer(standing=standing)

    # --- the shop ---

    async def _announce(self, show_id: str, actor: Actor, command: AnnounceAuction) -> SellingAnswer:
        variant_id = canonical(command.variant_id)
        if variant_id is None:
            raise refusal("not_in_show")
        new = NewAuction(
            id=str(uuid5(UUID(show_id), f"auction:{actor.user_id}:{command.id}")),
            show_id=show_id,
            variant_id=variant_id,
            terms=_terms(command),
            by=str(actor.user_id),
        )
        try:
            async with self._database.transaction() as connection:
                done = await announce(connection, new)
        except CannotAnnounce as error:
            raise refusal(error.code) from error
        await self._tell_gate(done.shop_id, variant_id, -1, done.stock_version)
        await self._teller.changed(new.id)
        return SellingAnswer()

    async def _open(self, show_id: str, actor: Actor, command: OpenAuction) -> SellingAnswer:
        auction_id = _known(command.auction_id)
        async with self._auctions.locked(auction_id) as locked:
            found = _of_show(locked, show_id)
            if found.auction.state is AuctionState.OPEN:
                return SellingAnswer()
            if not found.auction.open(found.now_ms):
                raise refusal("wrong_state")
            await found.write()
            await _audit(found, actor, "auction_opened")
            standings = {who: found.standing(who) for who in found.auction.standing}
        await self._teller.changed(auction_id)
        await self._teller.standings(standings)
        return SellingAnswer()

    async def _call_off(self, show_id: str, actor: Actor, command: CancelAuction) -> SellingAnswer:
        auction_id = _known(command.auction_id)
        async with self._auctions.locked(auction_id) as locked:
            found = _of_show(locked, show_id)
            if found.auction.state is AuctionState.CANCELLED:
                return SellingAnswer()
            if not found.auction.call_off(found.now_ms):
                raise refusal("wrong_state")
            await found.write()
            version = await found.put_back_on_sale()
            await _audit(found, actor, "auction_cancelled")
            standings = {who: found.standing(who, StandingState.LOST) for who in found.auction.standing}
        await self._tell_gate(found.head.shop_id, found.head.variant_id, 1, version)
        await self._teller.changed(auction_id)
        await self._teller.standings(standings)
        return SellingAnswer()

    async def _tell_gate(self, shop_id: str, variant_id: str, delta: int, version: int | None) -> None:
        if version is None:
            return
        try:
            await self._gate.set_available(ShopId(shop_id), variant_id, delta, version)
        except GateDown as error:  # mended later
            _LOG.warning("gate_not_told", extra={"variant_id": variant_id, "error": str(error)})


def _known(auction_id: str) -> str:
    known = canonical(auction_id)
    if known is None:
        raise refusal("no_such_auction")
    return known


def _of_show(locked: LockedAuction | None, show_id: str) -> LockedAuction:
    if locked is None or locked.head.show_id != show_id:
        raise refusal("no_such_auction")
    return locked


def _terms(command: AnnounceAuction) -> Terms:
    return Terms(
        start_minor=command.start_minor,
        increment_minor=command.increment_minor,
        duration_ms=command.duration_s * 1000,
        extension_ms=command.extension_s * 1000,
        max_extension_ms=command.max_extension_s * 1000,
        reserve_minor=command.reserve_minor,
    )


async def _audit(locked: LockedAuction, actor: Actor, action: str) -> None:
    await audit(locked.connection, locked.head.shop_id, actor.user_id, action, locked.head.id)
