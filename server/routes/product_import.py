"""Products from a CSV file into the catalogue: each product whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server.checkout.shopkeeper import Shopkeeper
from server.problems import Problem
from server.shop.ids import ShopId
from server.shopify import Fault, ImportedProduct, ImportedVariant, NotACsv, Parsed, parse
from server.store import catalogue
from server.store.catalogue import Product
from server.store.pool import Connection, Pool, transaction
from server.store.rows import audit


@dataclass(frozen=True, slots=True)
class ImportDone:
    created: int
    updated: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """What is left to do once a product's rows are committed: stock, and prices that changed."""

    is_new: bool
    stock: tuple[tuple[str, int], ...]
    prices: tuple[tuple[str, int], ...]


async def import_products(
    pool: Pool, shopkeeper: Shopkeeper, shop_id: str, currency: str, actor_id: str, raw: bytes
) -> ImportDone:
    """Products are known by their handle, variants by their title. What the file leaves out stays.

    Raises Problem `not_a_csv`.
    """
    parsed = await _parsed(raw, currency)
    created = updated = 0
    for product in parsed.products:
        async with transaction(pool) as db:
            written = await _write(db, shop_id, product)
        for variant_id, available in written.stock:
            await shopkeeper.set_stock(ShopId(shop_id), variant_id, available, actor_id)
        for variant_id, price_minor in written.prices:
            await shopkeeper.set_price(ShopId(shop_id), variant_id, price_minor, actor_id)
        created, updated = created + written.is_new, updated + (not written.is_new)
    async with transaction(pool) as db:
        detail = {"created": created, "updated": updated}
        await audit(db, shop_id, actor_id, "import_products", "", detail)
    return ImportDone(created, updated, parsed.faults)


async def _parsed(raw: bytes, currency: str) -> Parsed:
    try:
        return await asyncio.to_thread(parse, raw, currency)
    except NotACsv as error:
        raise Problem("not_a_csv", str(error)) from None


async def _write(db: Connection, shop_id: str, product: ImportedProduct) -> _Written:
    before = await catalogue.product_by_handle(db, shop_id, product.handle)
    fields = {
        "handle": product.handle,
        "title": product.title,
        "description": product.description,
        "vendor": product.vendor,
        "tags": list(product.tags),
        "state": product.state,
    }
    if before is None:
        product_id = await catalogue.add_product(db, shop_id, fields)
    else:
        product_id = before.id
        await catalogue.change_product(db, product_id, fields)
    stock, prices = [], []
    for variant in product.variants:
        variant_id, price_changed = await _write_variant(db, product_id, before, variant)
        if variant.available is not None:
            stock.append((variant_id, variant.available))
        if price_changed:
            prices.append((variant_id, variant.price_minor))
    return _Written(before is None, tuple(stock), tuple(prices))


async def _write_variant(
    db: Connection, product_id: str, before: Product | None, variant: ImportedVariant
) -> tuple[str, bool]:
    known = next((v for v in before.variants if v.title == variant.title), None) if before else None
    fields = {
        "title": variant.title,
        "sku": variant.sku,
        "price_minor": variant.price_minor,
        "compare_at_minor": variant.compare_at_minor,
    }
    if known is None:
        return await catalogue.add_variant(db, product_id, fields), False
    await catalogue.change_variant(db, known.id, fields)
    return known.id, known.price_minor != variant.price_minor
