"""Products, their variants and their images. Stock and prices of existing variants change in the checkout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from server.problems import Problem
from server.store.pool import Connection
from server.store.rows import new_id, plain

PAGE = 50


class ImageView(Struct, frozen=True):
    id: str
    alt: str
    width: int
    height: int


class FlashOn(Struct, frozen=True):
    """A flash price that runs. `was_minor` is the usual price; times in Unix ms; `buyer_limit` 0: none."""

    flash_id: str
    price_minor: int
    was_minor: int
    starts_ms: int
    ends_ms: int
    buyer_limit: int


class DropOn(Struct, frozen=True):
    """The drop that a variant is in. `waiting` people are on its waitlist."""

    drop_id: str
    state: str
    opens_ms: int
    units: int
    waiting: int
    show_id: str | None


class Variant(Struct, frozen=True):
    """`price_minor` is what it costs now; while a flash price runs, `compare_at_minor` is the usual price."""

    id: str
    product_id: str
    title: str
    sku: str
    price_minor: int
    compare_at_minor: int | None
    buyer_limit: int
    available: int
    flash: FlashOn | None = None
    drop: DropOn | None = None


class Product(Struct, frozen=True):
    id: str
    handle: str
    title: str
    description: str
    vendor: str
    tags: tuple[str, ...]
    state: str
    images: tuple[ImageView, ...]
    variants: tuple[Variant, ...]


_VARIANT = """
    SELECT v.id, v.product_id, v.title, v.sku, least(v.price_minor, f.price_minor) AS price_minor,
           CASE WHEN f.id IS NULL THEN v.compare_at_minor ELSE v.price_minor END AS compare_at_minor,
           v.buyer_limit, coalesce(k.available, 0) AS available,
           CASE WHEN f.id IS NOT NULL THEN jsonb_build_object('flash_id', f.id,
             'price_minor', least(v.price_minor, f.price_minor), 'was_minor', v.price_minor,
             'starts_ms', (extract(epoch FROM f.starts_at) * 1000)::bigint,
             'ends_ms', (extract(epoch FROM f.ends_at) * 1000)::bigint,
             'buyer_limit', f.buyer_limit) END AS flash,
           CASE WHEN d.id IS NOT NULL THEN jsonb_build_object('drop_id', d.id,
             'state', CASE WHEN d.state <> 'scheduled' OR d.opens_at > now() THEN d.state ELSE 'open' END,
             'opens_ms', (extract(epoch FROM d.opens_at) * 1000)::bigint, 'units', d.units,
             'show_id', d.show_id, 'waiting', (SELECT count(*) FROM waitlist w
               WHERE w.variant_id = v.id AND w.state = 'waiting')) END AS drop
    FROM variants v LEFT JOIN stock k ON k.variant_id = v.id
    LEFT JOIN flash_prices f ON f.variant_id = v.id AND f.over_at IS NULL AND f.ends_at > now()
    LEFT JOIN drops d ON d.variant_id = v.id AND d.over_at IS NULL
"""


async def products_page(
    db: Connection, shop_id: str, *, state: str | None, q: str, before: str | None, limit: int = PAGE
) -> list[Product]:
    """Products, the newest first, whose title, handle, vendor, a tag or a SKU has `q` in it. `before` is the
    last id of the page before."""
    records = await db.fetch(
        """
        SELECT p.id FROM products p
        WHERE p.shop_id = $1 AND ($2::text IS NULL OR p.state = $2) AND ($4::uuid IS NULL OR p.id < $4)
          AND ($3 = '' OR strpos(lower(p.title), lower($3)) > 0 OR strpos(p.handle, lower($3)) > 0
               OR strpos(lower(p.vendor), lower($3)) > 0
               OR EXISTS (SELECT FROM unnest(p.tags) tag WHERE strpos(lower(tag), lower($3)) > 0)
               OR EXISTS (SELECT FROM variants v
                          WHERE v.product_id = p.id AND strpos(lower(v.sku), lower($3)) > 0))
        ORDER BY p.id DESC LIMIT $5
        """,
        shop_id,
        state,
        q,
        before,
        limit,
    )
    return await products(db, [str(record["id"]) for record in records])


async def products(db: Connection, product_ids: Sequence[str]) -> list[Product]:
    """Whole products, in the order asked for; unknown ids are left out."""
    ids = list(product_ids)
    if not ids:
        return []
    heads = await db.fetch(
        """
        SELECT id, handle, title, description, vendor, tags, state FROM products
        WHERE id = ANY($1::uuid[]) ORDER BY array_position($1::uuid[], id)
        """,
        ids,
    )
    images = await db.fetch(
        """
        SELECT pi.product_id, i.id, pi.alt, i.width, i.height
        FROM product_images pi JOIN images i ON i.id = pi.image_id
        WHERE pi.product_id = ANY($1::uuid[]) ORDER BY pi.position, i.id
        """,
        ids,
    )
    variants = await db.fetch(
        f"""{_VARIANT} WHERE v.product_id = ANY($1::uuid[]) AND v.state = 'active'
            ORDER BY v.position, v.id""",
        ids,
    )
    images_of, variants_of = _by_product(images), _by_product(variants)
    return [
        _product(plain(head), images_of.get(head["id"], []), variants_of.get(head["id"], []))
        for head in heads
    ]


def _by_product(records: Sequence[asyncpg.Record]) -> dict[UUID, list[dict[str, Any]]]:
    grouped: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        grouped[record["product_id"]].append(plain(record))
    return grouped


def _product(head: dict[str, Any], images: list[dict[str, Any]], variants: list[dict[str, Any]]) -> Product:
    return Product(
        **{**head, "tags": tuple(head["tags"])},
        images=tuple(ImageView(i["id"], i["alt"], i["width"], i["height"]) for i in images),
        variants=tuple(map(_variant, variants)),
    )


def _variant(fields: dict[str, Any]) -> Variant:
    flash, drop = fields["flash"], fields["drop"]
    ways = {"flash": FlashOn(**flash) if flash else None, "drop": DropOn(**drop) if drop else None}
    return Variant(**fields | ways)


async def product(db: Connection, product_id: str) -> Product | None:
    return next(iter(await products(db, [product_id])), None)


async def archived_variants(db: Connection, product_id: str) -> list[Variant]:
    """Variants that were taken off sale: orders may hold them, and they can be put back."""
    records = await db.fetch(
        f"{_VARIANT} WHERE v.product_id = $1 AND v.state = 'archived' ORDER BY v.position, v.id", product_id
    )
    return [_variant(plain(record)) for record in records]


async def product_by_handle(db: Connection, shop_id: str, handle: str) -> Product | None:
    product_id = await db.fetchval(
        "SELECT id FROM products WHERE shop_id = $1 AND handle = $2", shop_id, handle
    )
    return None if product_id is None else await product(db, str(product_id))


async def product_in_shop(db: Connection, shop_id: str, product_id: str) -> bool:
    return bool(
        await db.fetchval(
            "SELECT exists(SELECT FROM products WHERE shop_id = $1 AND id = $2)", shop_id, product_id
        )
    )


async def add_product(db: Connection, shop_id: str, fields: dict[str, Any]) -> str:
    """The new product's id. Raises Problem `handle_taken`."""
    product_id = await db.fetchval(
        """
        INSERT INTO products (id, shop_id, handle, title, description, vendor, tags, state)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (shop_id, handle) DO NOTHING RETURNING id
        """,
        new_id(),
        shop_id,
        fields["handle"],
        fields["title"],
        fields.get("description", ""),
        fields.get("vendor", ""),
        list(fields.get("tags", ())),
        fields.get("state", "active"),
    )
    if product_id is None:
        raise Problem("handle_taken", fields={"handle": "Another product has this handle."})
    return str(product_id)


async def free_handle(db: Connection, shop_id: str, wanted: str) -> str:
    """`wanted`, or `wanted-2`, `wanted-3` … if that is taken."""
    taken = {
        record["handle"]
        for record in await db.fetch(
            "SELECT handle FROM products WHERE shop_id = $1 AND starts_with(handle, $2)", shop_id, wanted
        )
    }
    handle, number = wanted, 2
    while handle in taken:
        handle, number = f"{wanted}-{number}", number + 1
    return handle


async def change_product(db: Connection, product_id: str, changes: dict[str, Any]) -> None:
    """Raises Problem `handle_taken`."""
    if "handle" in changes and await db.fetchval(
        """
        SELECT exists(SELECT FROM products other JOIN products mine ON mine.shop_id = other.shop_id
                      WHERE mine.id = $1 AND other.id <> $1 AND other.handle = $2)
        """,
        product_id,
        changes["handle"],
    ):
        raise Problem("handle_taken", fields={"handle": "Another product has this handle."})
    for column in ("handle", "title", "description", "vendor", "tags", "state"):
        if column in changes:
            await db.execute(
                f"UPDATE products SET {column} = $2, updated_at = now() WHERE id = $1",
                product_id,
                changes[column],
            )


# --- variants


async def variant(db: Connection, shop_id: str, variant_id: str) -> Variant | None:
    record = await db.fetchrow(
        f"{_VARIANT} JOIN products p ON p.id = v.product_id WHERE p.shop_id = $1 AND v.id = $2",
        shop_id,
        variant_id,
    )
    return None if record is None else _variant(plain(record))


async def add_variant(db: Connection, product_id: str, fields: dict[str, Any]) -> str:
    """A variant with an empty stock row; its id."""
    variant_id = new_id()
    await db.execute(
        """
        INSERT INTO variants
            (id, product_id, position, title, sku, price_minor, compare_at_minor, buyer_limit)
        VALUES ($1, $2, (SELECT count(*) FROM variants WHERE product_id = $2), $3, $4, $5, $6, $7)
        """,
        variant_id,
        product_id,
        fields.get("title", ""),
        fields.get("sku", ""),
        fields["price_minor"],
        fields.get("compare_at_minor"),
        fields.get("buyer_limit", 0),
    )
    await db.execute("INSERT INTO stock (variant_id) VALUES ($1)", variant_id)
    return variant_id


async def change_variant(db: Connection, variant_id: str, changes: dict[str, Any]) -> None:
    """Everything but price and stock."""
    for column in ("title", "sku", "compare_at_minor", "buyer_limit", "state"):
        if column in changes:
            await db.execute(f"UPDATE variants SET {column} = $2 WHERE id = $1", variant_id, changes[column])
