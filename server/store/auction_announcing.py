"""Putting a unit up for auction: it leaves what is on sale in the same transaction."""

from __future__ import annotations

import secrets

from msgspec import Struct

from server.shop.auction_book import Terms
from server.store.auctions import move_stock
from server.store.pool import Connection
from server.store.rows import audit

_PLACE = """
SELECT w.shop_id::text, w.state, EXISTS (
  SELECT FROM variants v JOIN products p ON p.id = v.product_id JOIN show_items i ON i.product_id = p.id
  WHERE v.id = $2 AND i.show_id = w.id AND v.state = 'active' AND p.state = 'active') AS in_show
FROM shows w WHERE w.id = $1
"""

_INSERT = """
INSERT INTO auctions (id, shop_id, show_id, variant_id, state, start_minor, increment_minor, duration_ms,
  extension_ms, max_extension_ms, latency_window_ms, misbid_ms, reserve_minor, alias_key, price_minor,
  next_minor, announced_by)
VALUES ($1, $2, $3, $4, 'announced', $5, $6, $7, $8, $9, $10, $11, $12, $13, $5, $5, $14)
ON CONFLICT (id) DO NOTHING RETURNING 1
"""


class NewAuction(Struct, frozen=True):
    """`id` comes from the command, so that a repeated one announces nothing."""

    id: str
    show_id: str
    variant_id: str
    terms: Terms
    by: str


class CannotAnnounce(Exception):
    """`code`: wrong_state, not_in_show, not_enough_stock. Nothing was written."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Announced(Struct, frozen=True):
    """`stock_version`: of the stock row after its unit left; None where it was announced before."""

    shop_id: str
    stock_version: int | None


async def announce(db: Connection, new: NewAuction) -> Announced:
    """In a transaction of the caller's. Raises CannotAnnounce."""
    place = await db.fetchrow(_PLACE, new.show_id, new.variant_id)
    if place is None or not place["in_show"]:
        raise CannotAnnounce("not_in_show")
    if place["state"] == "ended":
        raise CannotAnnounce("wrong_state")
    terms = new.terms
    written = await db.fetchval(
        _INSERT,
        new.id,
        place["shop_id"],
        new.show_id,
        new.variant_id,
        terms.start_minor,
        terms.increment_minor,
        terms.duration_ms,
        terms.extension_ms,
        terms.max_extension_ms,
        terms.latency_window_ms,
        terms.misbid_ms,
        terms.reserve_minor,
        secrets.token_bytes(32),
        new.by,
    )
    if not written:
        return Announced(place["shop_id"], None)
    version = await move_stock(db, new.variant_id, "auction", 1)
    if version is None:
        raise CannotAnnounce("not_enough_stock")
    await audit(db, place["shop_id"], new.by, "auction_announced", new.id, {"variant_id": new.variant_id})
    return Announced(place["shop_id"], version)
