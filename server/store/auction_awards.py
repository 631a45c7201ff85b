"""Auctions that are over: which are due, their offers, and the orders that offers are."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec

from server.shop.auction_award import Offer
from server.shop.offer import Terms, totals
from server.store.auctions import LockedAuction
from server.store.database import Database
from server.store.for_sale import lock_stock
from server.store.placing import idempotency_key
from server.store.pool import Connection, Pool
from server.store.rows import tell
from server.store.sql import statement

_BUYER = statement("auction_buyer")
_AWARD = statement("auction_award")
AT_ONCE = 32

# Whose hammer is to fall, whose latency window is over, whose newest offer has ended, whose show has.
_DUE = """
SELECT a.id::text FROM auctions a
WHERE (a.state = 'open' AND a.ends_at < clock_timestamp())
   OR (a.state = 'closing'
       AND a.ends_at + a.latency_window_ms * interval '1 millisecond' < clock_timestamp())
   OR (a.state = 'charging' AND NOT EXISTS (
       SELECT FROM auction_offers f JOIN orders o ON o.id = f.order_id
       WHERE f.auction_id = a.id AND o.state IN ('charging', 'action_needed')))
   OR (a.state = 'announced' AND EXISTS (SELECT FROM shows w WHERE w.id = a.show_id AND w.state = 'ended'))
ORDER BY a.ends_at LIMIT $1
"""

_OFFERS = """
SELECT f.n, f.user_id::text, f.price_minor, f.on_session, f.order_id::text, o.state AS order_state, f.failure
FROM auction_offers f LEFT JOIN orders o ON o.id = f.order_id WHERE f.auction_id = $1 ORDER BY f.n
"""

_UNTOLD = """
SELECT id::text FROM auctions
WHERE told_version < version AND updated_at < clock_timestamp() - make_interval(secs => $1)
ORDER BY updated_at LIMIT $2
"""


class Card(msgspec.Struct, frozen=True):
    id: str
    payment_method_ref: str


class Buyer(msgspec.Struct, frozen=True):
    currency: str
    tax_rate_bp: int
    flat_shipping_minor: int
    title: str
    variant_title: str
    show_first_name: bool
    customer_ref: str | None
    card: Card | None
    address: dict[str, str] | None
    over_limit: bool

    def problem(self) -> str | None:
        """Why no order can be written for this buyer, any more."""
        if self.over_limit:
            return "buyer_limit"
        if self.card is None or self.customer_ref is None:
            return "no_card"
        return None if self.address else "no_address"


async def offers(connection: Connection, auction_id: str) -> list[Offer]:
    rows = await connection.fetch(_OFFERS, auction_id)
    return [msgspec.convert(dict(row), Offer) for row in rows]


async def make_offer(
    locked: LockedAuction,
    before: Sequence[Offer],
    user_id: str,
    price_minor: int,
    *,
    on_session: bool,
    owner: str,
    lease_s: float,
) -> Offer:
    """Write the next offer; with its order, where one can be made. The unit was out of sale before."""
    connection, auction_id, n = locked.connection, locked.head.id, len(before) + 1
    await lock_stock(connection, locked.head.variant_id)  # what a buyer has of it may grow by a tap
    text = await connection.fetchval(_BUYER, auction_id, user_id)
    buyer = msgspec.json.decode(text, type=Buyer) if text else None
    problem = "gone" if buyer is None else buyer.problem()
    if buyer is None or buyer.card is None or buyer.address is None or problem:
        await connection.execute(
            "INSERT INTO auction_offers (auction_id, n, user_id, price_minor, on_session, failure)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            *(auction_id, n, user_id, price_minor, on_session, problem),
        )
        return Offer(n, user_id, price_minor, on_session, failure=problem)
    order_id = str(uuid5(UUID(auction_id), f"offer:{n}"))
    terms = Terms(buyer.currency, buyer.tax_rate_bp, buyer.flat_shipping_minor)
    priced = totals([(price_minor, 1)], terms)
    await connection.execute(
        _AWARD,
        order_id,
        auction_id,
        n,
        user_id,
        price_minor,
        on_session,
        priced.shipping_minor,
        priced.tax_minor,
        priced.total_minor,
        buyer.currency,
        msgspec.json.encode(buyer.address).decode(),
        buyer.card.id,
        sha256(order_id.encode()).digest(),
        buyer.show_first_name,
        buyer.title,
        buyer.variant_title,
        idempotency_key(order_id, 1),
        buyer.customer_ref,
        buyer.card.payment_method_ref,
        owner,
        lease_s,
        _letter(before, user_id),
    )
    return Offer(n, user_id, price_minor, on_session, order_id)


def _letter(before: Sequence[Offer], user_id: str) -> str:
    if not before:
        return "auction_won"
    return "auction_again" if before[-1].user_id == user_id else "auction_next"


async def let_down(locked: LockedAuction, offer: Offer) -> None:
    """Write to whoever was offered it and did not pay, with the commit."""
    await tell(locked.connection, "auction_mail", {"auction_id": locked.head.id, "offer": offer.n})


async def show_has_ended(locked: LockedAuction) -> bool:
    state = await locked.connection.fetchval("SELECT state FROM shows WHERE id = $1", locked.head.show_id)
    return bool(state == "ended")


class DueAuctions:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def due(self, limit: int = AT_ONCE) -> list[str]:
        """Auctions for which it is time to do something."""
        return [row[0] for row in await self._database.fetch(_DUE, limit)]

    async def untold(self, quiet_s: float, limit: int = AT_ONCE) -> list[str]:
        """Auctions whose rooms may not know their newest version, and that have been quiet for a while."""
        return [row[0] for row in await self._database.fetch(_UNTOLD, quiet_s, limit)]

    async def told(self, auction_id: str, version: int) -> None:
        await self._database.execute(
            "UPDATE auctions SET told_version = $2 WHERE id = $1 AND told_version < $2", auction_id, version
        )
