"""The waitlist in PostgreSQL. The line, and units on their way through offers, move under the lock of the
stock row, as orders do: nobody overtakes, and no unit is promised twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from server.shop.allocation import LineRefused
from server.shop.changes import NotPossible
from server.shop.drop import DropState, line_rules
from server.shop.ids import canonical
from server.shop.stock import DELTAS, Movement
from server.shop.waitlist import PlaceEvent, PlaceState, Waiting, promotion, step
from server.store.database import Database
from server.store.drops import run_out
from server.store.for_sale import lock_stock, terms_moved
from server.store.pool import Connection, Pool
from server.store.rows import new_id, tell

LINE_SERVED = 64  # of one variant at once
OFFER_S = 120  # where no drop's producer has chosen

_PLACES = """
SELECT w.id::text, w.shop_id::text, w.show_id::text, w.variant_id::text, w.user_id::text, w.quantity, w.state,
       w.offer_id::text, w.offered, (extract(epoch FROM w.offer_ends_at) * 1000)::bigint AS offer_ends_ms,
       CASE WHEN w.state = 'waiting' THEN 1 + (SELECT count(*) FROM waitlist b
         WHERE b.variant_id = w.variant_id AND b.state = 'waiting' AND b.number < w.number) END::int
         AS position,
       least(v.price_minor, f.price_minor) AS price_minor, v.title AS variant_title, p.title AS product_title,
       p.handle, (SELECT i.image_id::text FROM product_images i WHERE i.product_id = p.id
                  ORDER BY i.position, i.image_id LIMIT 1) AS image_id
FROM waitlist w JOIN variants v ON v.id = w.variant_id JOIN products p ON p.id = v.product_id
LEFT JOIN flash_prices f ON f.variant_id = v.id AND f.over_at IS NULL AND f.ends_at > now()
"""

# A variant as somebody who would wait for it finds it. $1 variant, $2 who.
_FOR_JOINING = """
SELECT p.shop_id::text, s.available, v.buyer_limit, d.id::text AS drop_id, d.state AS drop_state,
       (extract(epoch FROM d.opens_at - clock_timestamp()) * 1000)::bigint AS opens_in_ms,
       EXISTS (SELECT FROM waitlist w WHERE w.variant_id = v.id AND w.state = 'waiting') AS line,
       (SELECT coalesce(sum(l.quantity), 0)::int FROM order_lines l JOIN orders o ON o.id = l.order_id
        WHERE l.variant_id = v.id AND o.user_id = $2
          AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')) AS bought
FROM variants v JOIN products p ON p.id = v.product_id JOIN stock s ON s.variant_id = v.id
LEFT JOIN drops d ON d.variant_id = v.id AND d.over_at IS NULL
WHERE v.id = $1 AND v.state = 'active' AND p.state = 'active'
"""

_JOIN = """
INSERT INTO waitlist (id, shop_id, show_id, variant_id, user_id, quantity, state, position_told)
VALUES ($1, $2, $3, $4, $5, $6, 'waiting',
        1 + (SELECT count(*) FROM waitlist WHERE variant_id = $4 AND state = 'waiting'))
"""

_OVER = "UPDATE waitlist SET state = $2, over_at = now() WHERE id = $1"

_OFFER = """
UPDATE waitlist SET state = 'offered', offer_id = $2, offered = $3,
                    offer_ends_at = clock_timestamp() + make_interval(secs => $4) WHERE id = $1
"""

_MOVE = """
UPDATE stock SET available = available + $2, held = held + $3, version = version + 1, updated_at = now()
WHERE variant_id = $1
"""

_MOVED = """
INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta)
VALUES ($1, $2, $3, $4, 0)
"""

# Nobody is offered more than they may buy at a flash price that runs.
_LINE = """
SELECT w.id::text,
       CASE WHEN w.user_id IS NULL THEN 0 WHEN f.buyer_limit > 0 THEN least(w.quantity, f.buyer_limit - (
         SELECT coalesce(sum(l.quantity), 0)::int FROM order_lines l JOIN orders o ON o.id = l.order_id
         WHERE l.flash_id = f.id AND o.user_id = w.user_id
           AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')))
       ELSE w.quantity END AS quantity,
       (SELECT coalesce(sum(l.quantity), 0)::int FROM order_lines l JOIN orders o ON o.id = l.order_id
        WHERE l.variant_id = w.variant_id AND o.user_id = w.user_id
          AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')) AS bought
FROM waitlist w
LEFT JOIN flash_prices f
  ON f.variant_id = w.variant_id AND f.over_at IS NULL AND f.ends_at > clock_timestamp()
WHERE w.variant_id = $1 AND w.state = 'waiting' ORDER BY w.number LIMIT $2
"""

_STOCK = """
SELECT s.available, s.version, v.buyer_limit, p.shop_id::text, d.state AS drop_state, d.offer_s,
       v.state = 'active' AND p.state = 'active' AS active
FROM stock s JOIN variants v ON v.id = s.variant_id JOIN products p ON p.id = v.product_id
LEFT JOIN drops d ON d.variant_id = v.id AND d.over_at IS NULL WHERE s.variant_id = $1
"""

# Variants with an offer that is over, or with units and a line whose turn it is.
_TO_SERVE = """
SELECT variant_id::text FROM waitlist WHERE state = 'offered' AND offer_ends_at <= now()
UNION
SELECT w.variant_id::text FROM waitlist w JOIN stock s USING (variant_id)
JOIN variants v ON v.id = w.variant_id JOIN products p ON p.id = v.product_id
LEFT JOIN drops d ON d.variant_id = w.variant_id AND d.over_at IS NULL
WHERE w.state = 'waiting' AND s.available > 0 AND coalesce(d.state = 'sold_out', true)
  AND v.state = 'active' AND p.state = 'active'
LIMIT 64
"""

# Places whose position is another than their people were told. $1 how many.
_MOVED_UP = """
WITH line AS (
  SELECT id, position_told, row_number() OVER (PARTITION BY variant_id ORDER BY number)::int AS position
  FROM waitlist WHERE state = 'waiting'
), news AS (
  SELECT id, position FROM line WHERE position_told IS DISTINCT FROM position ORDER BY position LIMIT $1
)
UPDATE waitlist w SET position_told = news.position FROM news WHERE w.id = news.id RETURNING w.id::text
"""


class BuyerLimit(NotPossible):
    """More than one person may buy."""

    def __init__(self, variant_id: str, limit: int) -> None:
        super().__init__("buyer_limit", "You already have as many as one buyer may get.")
        self.lines = (LineRefused(variant_id, "buyer_limit", buyer_limit=limit),)


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A place, and what it is for. `price_minor` is what a unit costs now; `offered` units are set aside."""

    id: str
    shop_id: str
    show_id: str | None
    variant_id: str
    user_id: str | None
    quantity: int
    state: PlaceState
    offer_id: str | None
    offered: int | None
    offer_ends_ms: int | None
    position: int | None
    price_minor: int
    variant_title: str
    product_title: str
    handle: str
    image_id: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """What serving a line did: whose places changed, by how much `available` moved, the row's version."""

    shop_id: str
    variant_id: str
    place_ids: tuple[str, ...]
    delta: int
    version: int


class WaitlistStore:
    """Raises StoreTrouble, and NotPossible with the code of the refusal."""

    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def join(self, variant_id: str, user_id: str, quantity: int, show_id: str | None) -> PlaceRow:
        """The person's place: a new one at the end, or the one they have.

        Raises NotPossible `no_such_variant`, `not_open_yet`, `not_sold_out`, `already_waiting`, BuyerLimit.
        """
        wanted = canonical(variant_id)
        async with self._database.transaction() as connection:
            if wanted is None or not await lock_stock(connection, wanted):
                raise NotPossible("no_such_variant", "The shop has no such variant.")
            before = await _place_of(connection, wanted, user_id)
            if before and before.quantity == quantity:
                return before
            found = await connection.fetchrow(_FOR_JOINING, wanted, user_id)
            if found is None:
                raise NotPossible("no_such_variant", "This is not sold any more.")
            _may_join(found, wanted, quantity, waits=before is not None)
            return await _join(connection, found, wanted, user_id, quantity, show_id)

    async def leave(self, variant_id: str, user_id: str) -> tuple[PlaceRow | None, Served | None]:
        """Give the place up, with an offer's units. The person's last place, if they ever had one."""
        wanted = canonical(variant_id)
        async with self._database.transaction() as connection:
            if wanted is None or not await lock_stock(connection, wanted):
                return None, None
            place = await _place_of(connection, wanted, user_id)
            if place is None:
                condition = "w.variant_id = $1 AND w.user_id = $2 ORDER BY w.number DESC LIMIT 1"
                return next(iter(await _places(connection, condition, wanted, user_id)), None), None
            back = await _over(connection, place, PlaceEvent.LEFT)
            served = await _served(connection, wanted, [place.id], back)
            return (await _places(connection, "w.id = $1", place.id))[0], served

    async def to_serve(self) -> list[str]:
        """Variants whose line has something to get, or whose offers have run out."""
        return [row["variant_id"] for row in await self._database.fetch(_TO_SERVE)]

    async def serve(self, variant_id: str) -> Served:
        """End offers that have run out and offer what is there to the first in line: once, by one process."""
        async with self._database.transaction() as connection:
            await lock_stock(connection, variant_id)
            condition = "w.variant_id = $1 AND w.state = 'offered' AND w.offer_ends_at <= clock_timestamp()"
            expired = await _places(connection, condition, variant_id)
            back = sum([await _over(connection, place, PlaceEvent.EXPIRED) for place in expired])
            changed = [*(place.id for place in expired), *await self._promote(connection, variant_id)]
            units = await connection.fetchval(
                "SELECT coalesce(sum(offered), 0)::int FROM waitlist WHERE id = ANY($1::uuid[])"
                " AND state = 'offered'",
                changed,
            )
            return await _served(connection, variant_id, changed, back - units)

    async def _promote(self, connection: Connection, variant_id: str) -> list[str]:
        """The places that changed."""
        stock = await connection.fetchrow(_STOCK, variant_id)
        if stock is None or not stock["active"] or not line_rules(_drop_state(stock)):
            return []
        line = [Waiting(*row) for row in await connection.fetch(_LINE, variant_id, LINE_SERVED)]
        done = promotion(line, stock["available"], stock["buyer_limit"])
        stands_s = float(stock["offer_s"] or OFFER_S)
        for offer in done.offers:
            await connection.execute(_OFFER, offer.place_id, new_id(), offer.units, stands_s)
            await move(connection, variant_id, Movement.OFFER, offer.units)
            await tell(connection, "offer_mail", {"place_id": offer.place_id})
        for place_id in done.over_limit:
            await connection.execute(_OVER, place_id, PlaceState.LEFT)
        return [*(offer.place_id for offer in done.offers), *done.over_limit]

    async def moved_up(self, limit: int = 500) -> list[PlaceRow]:
        """Waiting places whose people have not been told of their position yet: from now on they count as
        told."""
        async with self._database.transaction() as connection:
            moved = [row["id"] for row in await connection.fetch(_MOVED_UP, limit)]
            return await _places(connection, "w.id = ANY($1::uuid[])", moved)

    async def of_user(self, user_id: str) -> list[PlaceRow]:
        """Offered first, then waiting, then what ended in the last week; the newest 100."""
        async with self._database.connection() as connection:
            condition = (
                "w.user_id = $1 AND (w.over_at IS NULL OR w.over_at > now() - interval '7 days')"
                " ORDER BY CASE w.state WHEN 'offered' THEN 0 WHEN 'waiting' THEN 1 ELSE 2 END, w.number DESC"
                " LIMIT 100"
            )
            return await _places(connection, condition, user_id)

    async def place(self, place_id: str) -> PlaceRow | None:
        async with self._database.connection() as connection:
            return next(iter(await _places(connection, "w.id = $1", place_id)), None)


async def move(connection: Connection, variant_id: str, movement: Movement, units: int) -> None:
    """Take units into or out of an offer. The stock row is locked."""
    delta = DELTAS[movement]
    moved = (delta.available * units, delta.held * units)
    await connection.execute(_MOVE, variant_id, *moved)
    await connection.execute(_MOVED, variant_id, movement, *moved)


def _may_join(found: asyncpg.Record, variant_id: str, quantity: int, *, waits: bool) -> None:
    if waits:
        raise NotPossible("already_waiting", "You are on this waitlist already. Leave it to change how many.")
    if found["opens_in_ms"] is not None and found["opens_in_ms"] > 0:
        raise NotPossible("not_open_yet", "This has not opened yet. Tap at the second.")
    if found["available"] > 0 and not (found["line"] and line_rules(_drop_state(found))):
        raise NotPossible("not_sold_out", "There is something left: no need to wait.")
    if found["buyer_limit"] and found["bought"] + quantity > found["buyer_limit"]:
        raise BuyerLimit(variant_id, found["buyer_limit"])


def _drop_state(row: asyncpg.Record) -> DropState | None:
    return DropState(row["drop_state"]) if row["drop_state"] else None


async def _join(
    connection: Connection,
    found: asyncpg.Record,
    variant_id: str,
    user_id: str,
    quantity: int,
    show_id: str | None,
) -> PlaceRow:
    if found["drop_id"]:
        await run_out(connection, found["drop_id"])
    if not found["line"]:
        await terms_moved(connection, variant_id)
    place_id = new_id()
    await connection.execute(_JOIN, place_id, found["shop_id"], show_id, variant_id, user_id, quantity)
    return (await _places(connection, "w.id = $1", place_id))[0]


async def _over(connection: Connection, place: PlaceRow, event: PlaceEvent) -> int:
    """End a place; the units of its offer that are back on sale."""
    state = step(place.state, event)
    if state is None:
        return 0
    await connection.execute(_OVER, place.id, state)
    if place.state is not PlaceState.OFFERED or not place.offered:
        return 0
    await move(connection, place.variant_id, Movement.OFFER_BACK, place.offered)
    return place.offered


async def _served(connection: Connection, variant_id: str, place_ids: Sequence[str], delta: int) -> Served:
    """Tell of what was done in this transaction."""
    if place_ids:
        await terms_moved(connection, variant_id)  # the line may have ended
        await tell(connection, "stock", {"variant_id": variant_id})
    for place_id in place_ids:
        await tell(connection, "place", {"place_id": place_id})
    row = await connection.fetchrow(_STOCK, variant_id)
    assert row is not None
    return Served(row["shop_id"], variant_id, tuple(place_ids), delta, row["version"])


async def _place_of(connection: Connection, variant_id: str, user_id: str) -> PlaceRow | None:
    """The place a person has now: waiting or offered."""
    condition = "w.variant_id = $1 AND w.user_id = $2 AND w.over_at IS NULL"
    return next(iter(await _places(connection, condition, variant_id, user_id)), None)


async def _places(connection: Connection, condition: str, *arguments: object) -> list[PlaceRow]:
    records = await connection.fetch(f"{_PLACES} WHERE {condition}", *arguments)
    return [PlaceRow(**dict(record) | {"state": PlaceState(record["state"])}) for record in records]
