"""Product cards, as views of ways to sell hold them."""

from __future__ import annotations

from collections.abc import Iterable

from overlay.frames import ProductCard
from server.checkout.room_shop import card_of
from server.store import catalogue
from server.store.pool import Connection


async def cards_of(connection: Connection, product_ids: Iterable[str]) -> dict[str, ProductCard]:
    """The cards of these products, by id."""
    products = await catalogue.products(connection, list(product_ids))
    rows = await connection.fetch(
        "SELECT p.id::text, s.currency FROM products p JOIN shops s ON s.id = p.shop_id"
        " WHERE p.id = ANY($1::uuid[])",
        [product.id for product in products],
    )
    currency = {row["id"]: row["currency"] for row in rows}
    return {product.id: card_of(product, currency[product.id]) for product in products}
