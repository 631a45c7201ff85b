"""The back office's catalogue: products, variants, stock, import."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict, replace

from server.auth import limits
from server.auth.roles import Action, may
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation, Upload, staff
from server.routes.product_import import import_products
from server.routes.products import page
from server.routes.schemas import (
    AmountMinor,
    Body,
    Line,
    OptionalLine,
    Product,
    Products,
    Search,
    Text,
    Variant,
    View,
    check_chargeable,
    check_unchanged,
    given,
    product_view,
    variant_view,
)
from server.shop.ids import ShopId
from server.store import catalogue as store
from server.store.pool import Connection, transaction
from server.store.rows import audit

State = Literal["draft", "active", "archived"]
Handle = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Units = Annotated[int, Meta(ge=0, le=1_000_000)]
BuyerLimit = Annotated[int, Meta(ge=0, le=1_000)]
Tags = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=60)], ...], Meta(max_length=50)]
_MOST_VARIANTS = 200


class NewVariant(Body, frozen=True):
    price_minor: AmountMinor
    title: OptionalLine = ""
    sku: OptionalLine = ""
    compare_at_minor: AmountMinor | None = None
    buyer_limit: BuyerLimit = 0
    available: Units = 0


class NewProduct(Body, frozen=True):
    """Without a handle one is made from the title."""

    title: Line
    handle: Handle | None = None
    description: Text = ""
    vendor: OptionalLine = ""
    tags: Tags = ()
    state: State = "active"
    variants: Annotated[tuple[NewVariant, ...], Meta(max_length=_MOST_VARIANTS)] = ()


class ProductFields(Body, frozen=True):
    title: Line | UnsetType = UNSET
    handle: Handle | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    vendor: OptionalLine | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    state: State | UnsetType = UNSET


class ChangeProduct(ProductFields, frozen=True):
    """`was`: what the change is based on; a field that is something else by now refuses it."""

    was: ProductFields | UnsetType = UNSET


class VariantFields(Body, frozen=True):
    title: OptionalLine | UnsetType = UNSET
    sku: OptionalLine | UnsetType = UNSET
    price_minor: AmountMinor | UnsetType = UNSET
    compare_at_minor: AmountMinor | UnsetType | None = UNSET
    buyer_limit: BuyerLimit | UnsetType = UNSET
    state: Literal["active", "archived"] | UnsetType = UNSET


class ChangeVariant(VariantFields, frozen=True):
    """`was` as for products; of prices the usual one."""

    was: VariantFields | UnsetType = UNSET


class StockFields(Body, frozen=True):
    available: Units


class SetStock(StockFields, frozen=True):
    """How many can be bought now; held units and sold ones are not touched. `was` as for products."""

    was: StockFields | UnsetType = UNSET


class StaffProduct(Product, frozen=True):
    """`archived` variants were taken off sale; PATCH one's `state` to put it back."""

    archived: tuple[Variant, ...]


class StaffProductQuery(View, frozen=True):
    state: State | None = None
    q: Search = ""
    cursor: UUID | None = None


class ImportProblem(View, frozen=True):
    line: int
    code: str
    detail: str


class Imported(View, frozen=True):
    created: int
    updated: int
    problems: tuple[ImportProblem, ...]


async def list_products(call: Call, query: StaffProductQuery) -> Products:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        before = str(query.cursor) if query.cursor else None
        found = await store.products_page(db, shop.id, state=query.state, q=query.q.strip(), before=before)
    return page(found)


async def one_product(call: Call) -> StaffProduct:
    return await _product(call, (await the_shop(call)).id, call.path("id"))


async def add_product(call: Call, body: NewProduct) -> StaffProduct:
    shop = await the_shop(call)
    for variant in body.variants:
        check_chargeable(shop.currency, price_minor=variant.price_minor)
    async with transaction(call.deps.pool) as db:
        handle = body.handle or await store.free_handle(db, shop.id, handle_of(body.title))
        fields = {**given(body), "handle": handle, "title": body.title.strip()}
        product_id = await store.add_product(db, shop.id, fields)
        variant_ids = [await store.add_variant(db, product_id, given(variant)) for variant in body.variants]
        await audit(db, shop.id, call.person.user_id, "add_product", product_id, {"title": body.title})
    for variant_id, variant in zip(variant_ids, body.variants, strict=True):
        await _set_stock(call, shop.id, variant_id, variant.available)
    return await _product(call, shop.id, product_id)


async def change_product(call: Call, body: ChangeProduct) -> StaffProduct:
    product_id, changes, shop = call.path("id"), given(body), await the_shop(call)
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        await db.execute("SELECT FROM products WHERE id = $1 FOR UPDATE", product_id)
        check_unchanged(body.was, changes, await store.product(db, product_id))
        await store.change_product(db, product_id, changes)
        await audit(db, shop.id, call.person.user_id, "edit_product", product_id, changes)
    return await _product(call, shop.id, product_id)


async def add_variant(call: Call, body: NewVariant) -> Variant:
    product_id, shop = call.path("id"), await the_shop(call)
    check_chargeable(shop.currency, price_minor=body.price_minor)
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop.id, product_id)
        await db.execute("SELECT FROM products WHERE id = $1 FOR UPDATE", product_id)
        count = await db.fetchval("SELECT count(*) FROM variants WHERE product_id = $1", product_id)
        if count >= _MOST_VARIANTS:
            raise Problem("too_many", f"A product has at most {_MOST_VARIANTS} variants.")
        variant_id = await store.add_variant(db, product_id, given(body))
        await audit(db, shop.id, call.person.user_id, "add_variant", variant_id, {"product_id": product_id})
    await _set_stock(call, shop.id, variant_id, body.available)
    return await _variant(call, shop.id, variant_id)


async def change_variant(call: Call, body: ChangeVariant) -> Variant:
    variant_id, changes, shop = call.path("id"), given(body), await the_shop(call)
    check_unchanged(body.was, changes, _at_usual_price(await _variant(call, shop.id, variant_id)))
    price_minor = changes.pop("price_minor", None)
    if price_minor is not None and not may(call.person.roles, Action.CHANGE_PRICES):
        raise Problem("not_allowed")
    check_chargeable(shop.currency, price_minor=price_minor)
    async with transaction(call.deps.pool) as db:
        await store.change_variant(db, variant_id, changes)
        if changes:
            await audit(db, shop.id, call.person.user_id, "edit_variant", variant_id, changes)
    if price_minor is not None:
        await call.deps.shopkeeper.set_price(ShopId(shop.id), variant_id, price_minor, call.person.user_id)
    return await _variant(call, shop.id, variant_id)


async def set_stock(call: Call, body: SetStock) -> Variant:
    shop, variant_id = await the_shop(call), call.path("id")
    check_unchanged(body.was, {"available": body.available}, await _variant(call, shop.id, variant_id))
    await call.deps.shopkeeper.set_stock(ShopId(shop.id), variant_id, body.available, call.person.user_id)
    async with transaction(call.deps.pool) as db:
        detail = {"available": body.available}
        await audit(db, shop.id, call.person.user_id, "set_stock", variant_id, detail)
    return await _variant(call, shop.id, variant_id)


async def import_csv(call: Call, raw: bytes) -> Imported:
    await call.deps.limits.take(limits.UPLOAD, call.person.user_id)
    shop = await the_shop(call)
    done = await import_products(
        call.deps.pool, call.deps.shopkeeper, shop.id, shop.currency, call.person.user_id, raw
    )
    problems = tuple(ImportProblem(fault.line, fault.code, fault.detail) for fault in done.faults)
    return Imported(done.created, done.updated, problems)


# --- inside


def handle_of(title: str) -> str:
    """`Crème brûlée, 2 pcs` → `creme-brulee-2-pcs`."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:100] or "product"


async def _set_stock(call: Call, shop_id: str, variant_id: str, available: int) -> None:
    if available:
        await call.deps.shopkeeper.set_stock(ShopId(shop_id), variant_id, available, call.person.user_id)


async def require_product(db: Connection, shop_id: str, product_id: str) -> None:
    if not await store.product_in_shop(db, shop_id, product_id):
        raise Problem("no_such_product")


async def _product(call: Call, shop_id: str, product_id: str) -> StaffProduct:
    async with transaction(call.deps.pool) as db:
        await require_product(db, shop_id, product_id)
        (found,) = await store.products(db, [product_id])
        archived = await store.archived_variants(db, product_id)
    return StaffProduct(**asdict(product_view(found)), archived=tuple(map(variant_view, archived)))


async def _variant(call: Call, shop_id: str, variant_id: str) -> Variant:
    async with transaction(call.deps.pool) as db:
        found = await store.variant(db, shop_id, variant_id)
    if found is None:
        raise Problem("no_such_variant")
    return variant_view(found)


def _at_usual_price(variant: Variant) -> Variant:
    return replace(variant, price_minor=variant.flash.was_minor) if variant.flash else variant


_PRODUCTS, PRODUCT = "/api/staff/products", "/api/staff/products/{id:uuid}"
_SEE, EDIT = staff(Action.SEE_CATALOGUE), staff(Action.EDIT_CATALOGUE)

OPERATIONS = (
    Operation("GET", _PRODUCTS, list_products, "All products, the newest first", _SEE, errors=("no_shop",)),
    Operation(
        "POST",
        _PRODUCTS,
        add_product,
        "Add a product, with its variants if they are known",
        EDIT,
        status=201,
        errors=("handle_taken", "amount_not_chargeable", "no_shop"),
    ),
    Operation(
        "POST",
        _PRODUCTS + "/import",
        import_csv,
        "Import products from Shopify's CSV; the header `X-Hawker: 1` is needed",
        EDIT,
        upload=Upload(("text/csv",)),
        errors=("not_a_csv", "rate_limited", "no_shop"),
    ),
    Operation(
        "GET",
        PRODUCT,
        one_product,
        "One product in whatever state, with the variants that were taken off sale",
        _SEE,
        errors=("no_such_product", "no_shop"),
    ),
    Operation(
        "PATCH",
        PRODUCT,
        change_product,
        "Change a product's text or state",
        EDIT,
        errors=("no_such_product", "handle_taken", "changed_meanwhile", "no_shop"),
    ),
    Operation(
        "POST",
        PRODUCT + "/variants",
        add_variant,
        "Add a variant",
        EDIT,
        status=201,
        errors=("no_such_product", "too_many", "amount_not_chargeable", "no_shop"),
    ),
    Operation(
        "PATCH",
        "/api/staff/variants/{id:uuid}",
        change_variant,
        "Change a variant; a new price is told to the rooms",
        EDIT,
        errors=("no_such_variant", "amount_not_chargeable", "changed_meanwhile", "no_shop"),
    ),
    Operation(
        "PUT",
        "/api/staff/variants/{id:uuid}/stock",
        set_stock,
        "Set how many units can be bought now; the rooms are told",
        staff(Action.CHANGE_STOCK),
        errors=("no_such_variant", "changed_meanwhile", "no_shop"),
    ),
)
