"""Offers from the waitlist as an order takes them, in its own transaction, under the stock row's lock."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from server.shop.allocation import Reading
from server.shop.stock import Movement
from server.shop.wish import Wish
from server.store.pool import Connection
from server.store.rows import row, tell
from server.store.waitlist import move

_OPEN = """
SELECT id AS place_id, variant_id, offered AS units FROM waitlist
WHERE offer_id = $1 AND user_id = $2 AND variant_id = $3 AND state = 'offered'
  AND offer_ends_at > clock_timestamp()
FOR UPDATE
"""


class Offer(Struct, frozen=True):
    place_id: str
    variant_id: str
    units: int


async def take(connection: Connection, wish: Wish) -> Offer | None:
    """Put the units of the wish's offer back on sale, in this transaction. None: it is over, or was taken."""
    variant_id = wish.lines[0].variant_id
    found = await connection.fetchrow(_OPEN, wish.offer_id, wish.user_id, variant_id)
    offer = row(Offer, found)
    if offer is not None:
        await move(connection, offer.variant_id, Movement.OFFER_BACK, offer.units)
    return offer


def for_holder(reading: Reading, offer: Offer) -> Reading:
    """The shop as the offer's holder finds it: as many units as were offered, no line before them, and no
    drop that was scheduled since."""
    variants = [
        replace(v, waiting=False, opens_ms=None, available=min(v.available, offer.units))
        if v.id == offer.variant_id
        else v
        for v in reading.variants
    ]
    return replace(reading, variants=variants)


async def bought(connection: Connection, offer: Offer, order_id: str) -> None:
    await connection.execute(
        "UPDATE waitlist SET state = 'bought', order_id = $2, over_at = now() WHERE id = $1",
        offer.place_id,
        order_id,
    )
    await tell(connection, "place", {"place_id": offer.place_id})
