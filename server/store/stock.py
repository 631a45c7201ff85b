"""Stock and prices as the shop sets them, and the truth that the gate is loaded from."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from server.checkout.ports import NoSuchVariant
from server.shop.gate import OpenOrder, SaleTerms, StockRow, StockSet, StockTruth, VariantOnAir
from server.shop.ids import ShopId
from server.store import flash
from server.store.database import Database
from server.store.for_sale import lock_stock
from server.store.pool import Connection, Pool

_SET = """
UPDATE stock SET available = $2, version = version + 1, updated_at = now() WHERE variant_id = $1
RETURNING version
"""

_TRUTH_ROWS = """
SELECT s.variant_id::text, s.available, v.buyer_limit, s.version, d.id::text AS drop_id,
       (extract(epoch FROM d.opens_at) * 1000)::bigint AS opens_ms, f.id::text AS flash_id,
       f.buyer_limit AS flash_limit, (extract(epoch FROM f.ends_at) * 1000)::bigint AS flash_ends_ms,
       coalesce(d.state = 'sold_out', true)
         AND EXISTS (SELECT FROM waitlist w WHERE w.variant_id = v.id AND w.state = 'waiting') AS waiting,
       coalesce((SELECT max(o.drop_position) FROM orders o WHERE o.drop_id = d.id), 0)::bigint AS position
FROM stock s JOIN variants v ON v.id = s.variant_id JOIN products p ON p.id = v.product_id
LEFT JOIN drops d ON d.variant_id = s.variant_id AND d.over_at IS NULL
LEFT JOIN flash_prices f ON f.variant_id = s.variant_id AND f.over_at IS NULL AND f.ends_at > now()
                        AND f.buyer_limit > 0
WHERE s.variant_id = ANY($1::uuid[]) AND p.shop_id = $2
"""

_TRUTH_OPEN = """
SELECT o.id::text, o.user_id::text, array_agg(l.variant_id::text ORDER BY l.variant_id) AS variants,
       array_agg(l.quantity ORDER BY l.variant_id) AS quantities,
       array_agg(l.flash_id::text ORDER BY l.variant_id) AS flashes
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE o.state IN ('charging', 'action_needed') AND o.shop_id = $1 AND o.auction_id IS NULL
GROUP BY o.id
"""

_TRUTH_BOUGHT = """
SELECT l.variant_id::text, o.user_id::text, sum(l.quantity)::int AS units
FROM order_lines l JOIN orders o ON o.id = l.order_id JOIN variants v ON v.id = l.variant_id
WHERE l.variant_id = ANY($1::uuid[]) AND v.buyer_limit > 0 AND o.user_id IS NOT NULL
  AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')
GROUP BY 1, 2
UNION ALL
SELECT l.variant_id::text, o.user_id::text || '|' || f.id::text, sum(l.quantity)::int AS units
FROM flash_prices f JOIN order_lines l ON l.flash_id = f.id JOIN orders o ON o.id = l.order_id
WHERE f.variant_id = ANY($1::uuid[]) AND f.over_at IS NULL AND f.ends_at > now() AND f.buyer_limit > 0
  AND o.user_id IS NOT NULL AND o.state IN ('charging', 'action_needed', 'paid', 'fulfilled')
GROUP BY l.variant_id, o.user_id, f.id
"""

# `available` for everyone: what the line is going to be offered is not.
_ON_AIR = """
SELECT v.id::text AS variant_id,
       CASE WHEN coalesce(d.state = 'sold_out', true)
             AND EXISTS (SELECT FROM waitlist q WHERE q.variant_id = v.id AND q.state = 'waiting')
         THEN 0 ELSE s.available END AS available,
       s.version, least(v.price_minor, f.price_minor) AS price_minor,
       CASE WHEN f.id IS NULL THEN v.compare_at_minor ELSE v.price_minor END AS compare_at_minor,
       coalesce(array_agg(w.id::text) FILTER (WHERE w.id IS NOT NULL), '{}') AS show_ids
FROM variants v JOIN stock s ON s.variant_id = v.id
LEFT JOIN flash_prices f ON f.variant_id = v.id AND f.over_at IS NULL AND f.ends_at > now()
LEFT JOIN drops d ON d.variant_id = v.id AND d.over_at IS NULL
LEFT JOIN show_items i ON i.product_id = v.product_id
LEFT JOIN shows w ON w.id = i.show_id AND w.state <> 'ended'
WHERE v.id = ANY($1::uuid[])
GROUP BY v.id, s.variant_id, f.id, d.id
"""

_ON_AIR_SHOPS = """
SELECT shop_id::text FROM shows WHERE state = 'live'
UNION SELECT shop_id::text FROM orders WHERE state IN ('charging', 'action_needed')
UNION SELECT p.shop_id::text FROM stock s JOIN variants v ON v.id = s.variant_id
  JOIN products p ON p.id = v.product_id WHERE s.updated_at > now() - interval '1 hour'
"""


class StockStore:
    def __init__(self, pool: Pool) -> None:
        self._database = Database(pool)

    async def set_available(
        self, shop_id: ShopId, variant_id: str, available: int, actor_id: str | None
    ) -> StockSet:
        """How many can be taken now; units held or sold stay. Raises NoSuchVariant."""
        async with self._database.transaction() as connection:
            await _require(connection, shop_id, variant_id)
            await connection.execute(
                "INSERT INTO stock (variant_id) VALUES ($1) ON CONFLICT DO NOTHING", variant_id
            )
            before: int = await connection.fetchval(
                "SELECT available FROM stock WHERE variant_id = $1 FOR UPDATE", variant_id
            )
            delta = available - before
            version: int = await connection.fetchval(_SET, variant_id, available)
            await connection.execute(
                "INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta,"
                " actor_id) VALUES ($1, 'set', $2, 0, 0, $3)",
                variant_id,
                delta,
                actor_id,
            )
            await _tell(connection, "stock", variant_id)
            # once more: the room's own news of the change may arrive after that of a later sale
            await _tell(connection, "stock", variant_id, after_s=1.0)
        return StockSet(available, delta, version)

    async def set_price(
        self, shop_id: ShopId, variant_id: str, price_minor: int, actor_id: str | None
    ) -> None:
        """Orders already placed keep theirs; a flash price that is no less any more is over. Raises
        NoSuchVariant."""
        async with self._database.transaction() as connection:
            await _require(connection, shop_id, variant_id)
            await lock_stock(connection, variant_id)
            before = await connection.fetchval(
                "SELECT price_minor FROM variants WHERE id = $1 FOR NO KEY UPDATE", variant_id
            )
            await connection.execute(
                "UPDATE variants SET price_minor = $2 WHERE id = $1", variant_id, price_minor
            )
            await connection.execute(
                "INSERT INTO audit (shop_id, actor_id, action, subject, detail)"
                " VALUES ($1, $2, 'price_set', $3, $4)",
                shop_id,
                actor_id,
                variant_id,
                {"from_minor": before, "to_minor": price_minor},
            )
            await _tell(connection, "price", variant_id)
            await flash.repriced(connection, variant_id)

    async def truth(
        self, shop_id: ShopId, variant_ids: Collection[str], order_ids: Collection[str], *, with_bought: bool
    ) -> StockTruth:
        """What the gate should know, at one moment. `with_bought` for variants that are new to it."""
        options = {"isolation": "repeatable_read", "readonly": True}
        async with self._database.transaction(**options) as connection:
            rows = await connection.fetch(_TRUTH_ROWS, list(variant_ids), shop_id)
            open_orders = await connection.fetch(_TRUTH_OPEN, shop_id)
            states = await connection.fetch(
                "SELECT id::text, state FROM orders WHERE id = ANY($1::uuid[])", list(order_ids)
            )
            bought = await connection.fetch(_TRUTH_BOUGHT, list(variant_ids)) if with_bought else []
        return StockTruth(
            rows=tuple(map(_stock_row, rows)),
            open_orders=tuple(_open_order(row) for row in open_orders),
            states={row["id"]: row["state"] for row in states},
            bought=tuple((row[0], row[1], row[2]) for row in bought),
        )

    async def on_air(self, variant_ids: Collection[str]) -> list[VariantOnAir]:
        """What there is to tell the rooms about these variants."""
        rows = await self._database.fetch(_ON_AIR, list(variant_ids))
        return [VariantOnAir(*row.values()) for row in rows]

    async def shops_on_air(self) -> list[ShopId]:
        """Shops with a live show, with orders that are charging, or whose stock moved lately."""
        rows = await self._database.fetch(_ON_AIR_SHOPS)
        return [ShopId(row["shop_id"]) for row in rows]


def _stock_row(row: asyncpg.Record) -> StockRow:
    terms = SaleTerms(
        drop_id=row["drop_id"] or "",
        opens_ms=row["opens_ms"] or 0,
        flash_id=row["flash_id"] or "",
        flash_limit=row["flash_limit"] or 0,
        flash_ends_ms=row["flash_ends_ms"] or 0,
        waiting=row["waiting"],
    )
    numbers = (row["available"], row["buyer_limit"], row["version"])
    return StockRow(row["variant_id"], *numbers, terms=terms, position=row["position"])


def _open_order(row: asyncpg.Record) -> OpenOrder:
    lines = tuple(zip(row["variants"], row["quantities"], strict=True))
    flashes = {v: flash for v, flash in zip(row["variants"], row["flashes"], strict=True) if flash}
    return OpenOrder(row["id"], row["user_id"] or "", lines, flashes)


async def _require(connection: Connection, shop_id: str, variant_id: str) -> None:
    found = await connection.fetchval(
        "SELECT 1 FROM variants v JOIN products p ON p.id = v.product_id WHERE v.id = $1 AND p.shop_id = $2",
        variant_id,
        shop_id,
    )
    if not found:
        raise NoSuchVariant(variant_id)


async def _tell(connection: Connection, kind: str, variant_id: str, after_s: float = 0.0) -> None:
    await connection.execute(
        "INSERT INTO outbox (kind, payload, due_at) VALUES ($1, $2, now() + make_interval(secs => $3))",
        kind,
        {"variant_id": variant_id},
        after_s,
    )
