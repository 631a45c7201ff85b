"""A variant as a show sells it, under the lock of its stock row: where every way to sell begins."""

from __future__ import annotations

from msgspec import Struct

from server.shop.changes import NotPossible
from server.shop.ids import canonical
from server.store.pool import Connection
from server.store.rows import row, tell

_LOCK = """
SELECT p.shop_id, v.id AS variant_id, v.price_minor, s.available,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM shows w JOIN show_items i ON i.show_id = w.id JOIN products p ON p.id = i.product_id
JOIN variants v ON v.product_id = p.id JOIN stock s ON s.variant_id = v.id
WHERE w.id = $1 AND v.id = $2 AND w.state <> 'ended' AND p.state = 'active' AND v.state = 'active'
FOR UPDATE OF s
"""

# The shows not yet ended in whose run-of-show the product of variant `v` is.
SHOWS_OF_V = """
ARRAY(SELECT w.id::text FROM show_items i JOIN shows w ON w.id = i.show_id
      WHERE i.product_id = v.product_id AND w.state <> 'ended' ORDER BY w.id)
"""


class ForSale(Struct, frozen=True):
    """`now_ms` is the database's clock, once the lock was had."""

    shop_id: str
    variant_id: str
    price_minor: int
    available: int
    now_ms: int


async def lock_for_sale(connection: Connection, show_id: str, variant_id: str) -> ForSale:
    """Raises NotPossible `not_in_show`."""
    wanted = canonical(variant_id)
    found = row(ForSale, await connection.fetchrow(_LOCK, show_id, wanted)) if wanted else None
    if found is None:
        raise NotPossible("not_in_show", "This is not in the show's run-of-show.")
    # The row may have been read before the lock was had.
    now = await connection.fetchrow(
        "SELECT available, (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM stock"
        " WHERE variant_id = $1",
        wanted,
    )
    assert now is not None
    return ForSale(found.shop_id, found.variant_id, found.price_minor, now[0], now[1])


async def terms_moved(connection: Connection, variant_id: str) -> None:
    """The gate knows newer terms by the version of the stock row, which must be locked."""
    await connection.execute(
        "UPDATE stock SET version = version + 1, updated_at = now() WHERE variant_id = $1", variant_id
    )


async def lock_stock(connection: Connection, variant_id: str) -> bool:
    """False: there is no such stock row."""
    found = await connection.fetchval("SELECT 1 FROM stock WHERE variant_id = $1 FOR UPDATE", variant_id)
    return bool(found)


async def set_available(
    connection: Connection, variant_id: str, before: int, available: int, actor_id: str | None
) -> int:
    """Set what can be taken, as the shop, in a stock row that is locked; by how much it moved."""
    await connection.execute(
        "UPDATE stock SET available = $2, version = version + 1, updated_at = now() WHERE variant_id = $1",
        variant_id,
        available,
    )
    if available != before:
        await connection.execute(
            "INSERT INTO stock_movements"
            " (variant_id, kind, available_delta, held_delta, sold_delta, actor_id)"
            " VALUES ($1, 'set', $2, 0, 0, $3)",
            variant_id,
            available - before,
            actor_id,
        )
        await tell(connection, "stock", {"variant_id": variant_id})
    return available - before
