"""Which images the shop has; their bytes are in the image store."""

from __future__ import annotations

from msgspec import Struct

from server.store.pool import Connection
from server.store.rows import new_id, row


class Image(Struct, frozen=True):
    id: str
    width: int
    height: int


async def image_by_digest(db: Connection, shop_id: str, sha256: bytes) -> Image | None:
    """An image that was uploaded before, byte for byte."""
    return row(
        Image,
        await db.fetchrow(
            "SELECT id, width, height FROM images WHERE shop_id = $1 AND sha256 = $2", shop_id, sha256
        ),
    )


async def add_image(
    db: Connection, shop_id: str, image_id: str, sha256: bytes, width: int, height: int, size_bytes: int
) -> Image:
    """Keep an image whose files are stored already; the one kept first wins."""
    await db.execute(
        """
        INSERT INTO images (id, shop_id, sha256, content_type, width, height, size_bytes)
        VALUES ($1, $2, $3, 'image/webp', $4, $5, $6) ON CONFLICT (shop_id, sha256) DO NOTHING
        """,
        image_id,
        shop_id,
        sha256,
        width,
        height,
        size_bytes,
    )
    image = await image_by_digest(db, shop_id, sha256)
    assert image is not None
    return image


def new_image_id() -> str:
    return new_id()
