"""Who is charged for what was won, one after another.

Theory. After the last bid that counts, the auction's unit is offered to the leader. An offer is an order of
its own, so that money has its usual one end. While it is open nothing else happens; an offer that was paid
sells the auction. One that definitely failed makes its bidder's bids count for nothing: the next in line
pays the price as if they had never been there. Who is in the room is asked to confirm with the bank; who is
not, or does not confirm in time, is charged without. After MOST_BIDDERS failures the auction is unsold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from server.shop.auction import Auction
from server.shop.orders import OPEN, OrderState

MOST_BIDDERS = 3
_PAID = frozenset({OrderState.PAID, OrderState.FULFILLED, OrderState.REFUNDED})


class Offer(msgspec.Struct, frozen=True):
    """An offer that was made. Without an order it could not even be written: `failure` says why."""

    n: int
    user_id: str
    price_minor: int
    on_session: bool
    order_id: str | None = None
    order_state: OrderState | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom to charge next. `on_session` None: as they are in the room or not."""

    user_id: str
    price_minor: int
    on_session: bool | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The newest offer is undecided."""


@dataclass(frozen=True, slots=True)
class Sold:
    offer: Offer


@dataclass(frozen=True, slots=True)
class Unsold:
    """Nobody bid, the reserve was not met, or nobody could pay."""


Award = Candidate | Waiting | Sold | Unsold


def award(auction: Auction, offers: Sequence[Offer]) -> Award:
    """What is to be done for an auction that is over."""
    newest = offers[-1] if offers else None
    if newest is not None and newest.order_state in OPEN:
        return Waiting()
    if newest is not None and newest.order_state in _PAID:
        return Sold(newest)
    if newest is not None and newest.on_session and newest.order_state is OrderState.CANCELLED:
        return Candidate(newest.user_id, newest.price_minor, on_session=False)
    return _next_in_line(auction, failed(offers))


def failed(offers: Sequence[Offer]) -> frozenset[str]:
    """Bidders who were offered it and did not pay."""
    return frozenset(
        offer.user_id
        for offer in offers
        if offer.order_state is None or offer.order_state not in OPEN | _PAID
    )


def _next_in_line(auction: Auction, passed: Collection[str]) -> Candidate | Unsold:
    ranking = auction.ranking_without(passed)
    if ranking.leader is None or len(passed) >= MOST_BIDDERS or not ranking.reserve_met(auction.terms):
        return Unsold()
    return Candidate(ranking.leader.user_id, ranking.price_minor(auction.terms))
