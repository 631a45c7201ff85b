"""Which images a product has, in which order, and what they show."""

from __future__ import annotations

from collections.abc import Sequence

from server.problems import Problem
from server.store.pool import Connection
from server.store.rows import touched


async def add_product_image(db: Connection, product_id: str, image_id: str, alt: str) -> None:
    """Put an image behind the others; one that is there already stays where it is."""
    await db.execute(
        """
        INSERT INTO product_images (product_id, image_id, position, alt)
        VALUES ($1, $2, (SELECT coalesce(max(position) + 1, 0) FROM product_images WHERE product_id = $1), $3)
        ON CONFLICT (product_id, image_id) DO UPDATE SET alt = excluded.alt
        """,
        product_id,
        image_id,
        alt,
    )


async def describe_product_image(db: Connection, product_id: str, image_id: str, alt: str) -> bool:
    status = await db.execute(
        "UPDATE product_images SET alt = $3 WHERE product_id = $1 AND image_id = $2",
        product_id,
        image_id,
        alt,
    )
    return touched(status) > 0


async def order_product_images(db: Connection, product_id: str, image_ids: Sequence[str]) -> None:
    """These first, in this order; others, added meanwhile, after them. Raises Problem `no_such_image`."""
    ids = list(image_ids)
    await db.execute("SELECT FROM products WHERE id = $1 FOR UPDATE", product_id)
    known = await db.fetchval(
        "SELECT count(*) FROM product_images WHERE product_id = $1 AND image_id = ANY($2::uuid[])",
        product_id,
        ids,
    )
    if known != len(ids):
        raise Problem("no_such_image", "One of them is not an image of this product.")
    await db.execute(
        """
        UPDATE product_images mine SET position = wanted.n - 1
        FROM (SELECT image_id, row_number() OVER (
                  ORDER BY array_position($2::uuid[], image_id) NULLS LAST, position, image_id) AS n
              FROM product_images WHERE product_id = $1) AS wanted
        WHERE mine.product_id = $1 AND mine.image_id = wanted.image_id
        """,
        product_id,
        ids,
    )


async def remove_product_image(db: Connection, product_id: str, image_id: str) -> bool:
    """The image's files stay: orders, mails and caches may still show it."""
    status = await db.execute(
        "DELETE FROM product_images WHERE product_id = $1 AND image_id = $2", product_id, image_id
    )
    return touched(status) > 0
