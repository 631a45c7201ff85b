"""The auctions put together: what the overlay bids through, what the worker closes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from overlay.log import ShowLog
from server.checkout.auctions.auctioneer import Auctioneer
from server.checkout.auctions.counter import AuctionCounter
from server.checkout.auctions.floor import Floor
from server.checkout.auctions.presence import Presence
from server.checkout.auctions.teller import Teller
from server.checkout.ports import Gate
from server.shop.ids import OrderId
from server.store.auctions import AuctionStore
from server.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Auctions:
    counter: AuctionCounter
    auctioneer: Auctioneer
    teller: Teller


def auction_parts(
    pool: Pool,
    redis: Redis,
    gate: Gate,
    charge: Callable[[OrderId, int], object],
    *,
    owner: str,
    lease_s: float,
) -> Auctions:
    store, teller = AuctionStore(pool), Teller(pool, ShowLog(redis), redis)
    counter = AuctionCounter(pool, store, Floor(store, teller.placed), teller, gate)
    auctioneer = Auctioneer(pool, store, teller, gate, Presence(redis), charge, owner=owner, lease_s=lease_s)
    return Auctions(counter, auctioneer, teller)
