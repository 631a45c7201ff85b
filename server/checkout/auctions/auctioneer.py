"""Brings auctions to their end: the hammer, the award, the next in line, the unit back on sale. One that
was never opened ends with its show.

Any number of workers may call it: an auction's row lock says whose turn it is, and every step is decided
again under it. Being late changes nothing but when people hear of it, since whether a bid counts is decided
by the time it is written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from overlay.log import LogError
from overlay.selling import AuctionState, StandingState, StandingView
from server.checkout.auctions.presence import Presence
from server.checkout.auctions.teller import Teller
from server.checkout.auctions.views import standing_view
from server.checkout.ports import Gate, GateDown, StoreTrouble
from server.shop.auction import AuctionEvent
from server.shop.auction_award import Candidate, Offer, Sold, Unsold, Waiting, award
from server.shop.ids import OrderId, ShopId
from server.store import auction_views
from server.store.auction_awards import DueAuctions, let_down, make_offer, offers, show_has_ended
from server.store.auctions import AuctionStore, LockedAuction
from server.store.database import Database
from server.store.pool import Pool

_LOG = logging.getLogger("hawker.auctions")
QUIET_S = 0.5
_MOST_STEPS = 8  # of one auction in one run


@dataclass(frozen=True, slots=True)
class _Ask:
    """Whether this person is in the room has to be known before the next step."""

    user_id: str


@dataclass(frozen=True, slots=True)
class _Done:
    order_id: str | None = None
    stock_version: int | None = None
    shop_id: str = ""
    variant_id: str = ""


class Auctioneer:
    """`charge(order_id, attempt)` queues a charge and never waits."""

    def __init__(
        self,
        pool: Pool,
        auctions: AuctionStore,
        teller: Teller,
        gate: Gate,
        presence: Presence,
        charge: Callable[[OrderId, int], object],
        *,
        owner: str,
        lease_s: float,
    ) -> None:
        self._database, self._auctions, self._due = Database(pool), auctions, DueAuctions(pool)
        self._teller, self._gate, self._presence, self._charge = teller, gate, presence, charge
        self._owner, self._lease_s = owner, lease_s

    async def run(self) -> int:
        """How many steps were taken. An auction that fails waits for the next run, and holds up no other."""
        taken = 0
        for auction_id in await self._due.due():
            try:
                taken += await self._advance(auction_id)
            except Exception as error:
                _LOG.warning("auction_not_advanced", extra={"auction_id": auction_id}, exc_info=error)
        return taken

    async def tell_untold(self) -> int:
        """Tell rooms what a process that died, or a store that was away, has not told them."""
        told = 0
        for auction_id in await self._due.untold(QUIET_S):
            try:
                await self._due.told(auction_id, await self._teller.tell(auction_id))
                told += 1
            except LogError as error:
                _LOG.warning("auction_not_told", extra={"auction_id": auction_id, "error": str(error)})
        return told

    async def _advance(self, auction_id: str) -> int:
        here: dict[str, bool] = {}
        for taken in range(_MOST_STEPS):
            async with self._auctions.locked(auction_id) as locked:
                step = await self._step(locked, here) if locked else None
            if step is None:
                return taken
            if isinstance(step, _Ask):
                here[step.user_id] = await self._presence.is_here(step.user_id)
            else:
                await self._carry_out(auction_id, step)
        return _MOST_STEPS

    async def _step(self, locked: LockedAuction, here: dict[str, bool]) -> _Done | _Ask | None:
        auction = locked.auction
        if auction.hammer(locked.now_ms):
            await locked.write()
            return _Done()
        if auction.state is AuctionState.ANNOUNCED and await show_has_ended(locked):
            return await self._pass(locked, AuctionEvent.CALLED_OFF)
        over = auction.state is AuctionState.CLOSING and auction.is_over(locked.now_ms)
        if not over and auction.state is not AuctionState.CHARGING:
            return None
        made = await offers(locked.connection, locked.head.id)
        match award(auction, made):
            case Waiting():
                return None
            case Sold(offer=offer):
                auction.award(AuctionEvent.PAID)
                await locked.write(awarded=(offer.user_id, offer.price_minor))
                return _Done()
            case Unsold():
                if made:
                    await let_down(locked, made[-1])
                return await self._pass(locked, AuctionEvent.PASSED)
            case Candidate() as next_in_line:
                return await self._offer(locked, made, next_in_line, here)

    async def _pass(self, locked: LockedAuction, event: AuctionEvent) -> _Done:
        locked.auction.award(event)
        await locked.write()
        version = await locked.put_back_on_sale()
        return _Done(None, version, locked.head.shop_id, locked.head.variant_id)

    async def _offer(
        self, locked: LockedAuction, made: list[Offer], to: Candidate, here: dict[str, bool]
    ) -> _Done | _Ask:
        if to.on_session is None and to.user_id not in here:
            return _Ask(to.user_id)
        if made and made[-1].user_id != to.user_id:
            await let_down(locked, made[-1])
        on_session = here[to.user_id] if to.on_session is None else to.on_session
        locked.auction.award(AuctionEvent.AWARDED)
        await locked.write(awarded=(to.user_id, to.price_minor))
        offer = await make_offer(
            locked,
            made,
            to.user_id,
            to.price_minor,
            on_session=on_session,
            owner=self._owner,
            lease_s=self._lease_s,
        )
        return _Done(offer.order_id)

    async def _carry_out(self, auction_id: str, done: _Done) -> None:
        """What follows a step that is committed; what fails here is mended or told later."""
        if done.order_id:
            self._charge(OrderId(done.order_id), 1)
        if done.stock_version is not None:
            try:
                await self._gate.set_available(ShopId(done.shop_id), done.variant_id, 1, done.stock_version)
            except GateDown as error:
                _LOG.warning("gate_not_told", extra={"variant_id": done.variant_id, "error": str(error)})
        await self._teller.changed(auction_id)
        await self._tell_bidders(auction_id)

    async def _tell_bidders(self, auction_id: str) -> None:
        """Who won, who could not pay; and once it has ended, everybody."""
        try:
            async with self._database.connection() as connection:
                row = await auction_views.auction(connection, auction_id)
                if row is None or row.state not in _WORTH_TELLING:
                    return
                own = await auction_views.own_bids(connection, [auction_id], None)
        except StoreTrouble as error:
            _LOG.info("bidders_not_told", extra={"auction_id": auction_id, "error": str(error)})
            return
        standings: dict[str, StandingView] = {one.user_id: standing_view(row, one) for one in own}
        await self._teller.standings(
            {who: view for who, view in standings.items() if view.state is not StandingState.OUTBID}
        )


_WORTH_TELLING = frozenset({AuctionState.CHARGING, AuctionState.SOLD, AuctionState.UNSOLD})
