"""Auctions to look at: for rooms, bidders and staff. Changing them is store.auctions'."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from overlay.selling import AuctionState, BidView
from server.shop.auction_award import Offer
from server.store.pool import Connection
from server.store.sql import statement

SHOWN = 20
STAFF_SHOWN = 200
BOOK_PAGE = 500
_READ = statement("auction_read")


class OfferRow(Offer, frozen=True, kw_only=True):
    """`failure_code`: why its order was not paid."""

    alias: str
    failure_code: str | None = None


class AuctionRow(Struct, frozen=True):
    id: str
    shop_id: str
    show_id: str
    variant_id: str
    product_id: str
    currency: str
    version: int
    state: AuctionState
    start_minor: int
    increment_minor: int
    duration_ms: int
    extension_ms: int
    latency_window_ms: int
    misbid_ms: int
    reserve_minor: int
    price_minor: int
    next_minor: int
    bids: int
    reserve_met: bool
    ends_ms: int | None
    cap_ms: int | None
    created_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None
    leader: str | None
    recent: tuple[BidView, ...]
    offers: tuple[OfferRow, ...]


class OwnBids(Struct, frozen=True):
    """What a bidder has in an auction: the highest maximum that stands (0: none)."""

    auction_id: str
    user_id: str
    alias: str
    max_minor: int
    latest_ms: int | None
    took_back: bool
    leads: bool


async def auctions(db: Connection, ids: Sequence[str]) -> list[AuctionRow]:
    """Auctions in the order in which they were announced; unknown ids are left out."""
    rows = await db.fetch(_READ, list(ids)) if ids else []
    return [msgspec.json.decode(row[0], type=AuctionRow) for row in rows]


async def auction(db: Connection, auction_id: str) -> AuctionRow | None:
    return next(iter(await auctions(db, [auction_id])), None)


async def of_show(db: Connection, show_id: str, limit: int = SHOWN) -> list[AuctionRow]:
    """A show's newest auctions."""
    return await auctions(
        db,
        await _ids(
            db,
            "SELECT id::text FROM auctions WHERE show_id = $1 ORDER BY created_at DESC LIMIT $2",
            show_id,
            limit,
        ),
    )


async def of_bidder(db: Connection, user_id: str, limit: int = SHOWN) -> list[AuctionRow]:
    """The newest auctions that somebody has bid in."""
    query = """
        SELECT a.id::text FROM auctions a JOIN auction_bidders d ON d.auction_id = a.id
        WHERE d.user_id = $1 ORDER BY a.created_at DESC LIMIT $2"""
    return await auctions(db, await _ids(db, query, user_id, limit))


async def _ids(db: Connection, query: str, *args: object) -> list[str]:
    return [row[0] for row in await db.fetch(query, *args)]


async def book(db: Connection, auction_id: str, before: int | None, limit: int = BOOK_PAGE) -> list[BidView]:
    """The newest lines of the public book before a line's number, the oldest of them first."""
    rows = await db.fetch(
        """
        SELECT b.n, d.alias, b.amount_minor, unix_ms(b.received_at),
               EXISTS (SELECT FROM auction_book k WHERE k.auction_id = b.auction_id AND k.takes_back = b.n)
        FROM auction_book b JOIN auction_bidders d USING (auction_id, user_id)
        WHERE b.auction_id = $1 AND b.takes_back IS NULL AND ($2::int IS NULL OR b.n < $2)
        ORDER BY b.n DESC LIMIT $3
        """,
        auction_id,
        before,
        limit,
    )
    return [BidView(*row) for row in reversed(rows)]


_OWN = """
SELECT d.auction_id::text, d.user_id::text, d.alias,
       coalesce((SELECT max(b.max_minor) FROM auction_book b
                 WHERE b.auction_id = a.id AND b.user_id = d.user_id AND b.takes_back IS NULL AND NOT EXISTS (
                   SELECT FROM auction_book k WHERE k.auction_id = a.id AND k.takes_back = b.n)), 0),
       (SELECT unix_ms(max(b.received_at)) FROM auction_book b WHERE b.auction_id = a.id
          AND b.user_id = d.user_id AND b.takes_back IS NULL),
       EXISTS (SELECT FROM auction_book k WHERE k.auction_id = a.id AND k.user_id = d.user_id
               AND k.takes_back IS NOT NULL),
       coalesce(a.leader_id = d.user_id, false)
FROM auction_bidders d JOIN auctions a ON a.id = d.auction_id
WHERE d.auction_id = ANY($1::uuid[]) AND ($2::uuid IS NULL OR d.user_id = $2)
"""


async def own_bids(db: Connection, ids: Sequence[str], user_id: str | None) -> list[OwnBids]:
    """What one bidder, or each of them, has in these auctions."""
    return [OwnBids(*row) for row in await db.fetch(_OWN, list(ids), user_id)]
