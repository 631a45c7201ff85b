"""The storefront's catalogue."""

from __future__ import annotations

from uuid import UUID

from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation
from server.routes.schemas import Product, Products, Search, View, product_view
from server.store import catalogue
from server.store.pool import transaction


class ProductQuery(View, frozen=True):
    q: Search = ""
    cursor: UUID | None = None


async def products(call: Call, query: ProductQuery) -> Products:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await catalogue.products_page(
            db,
            shop.id,
            state="active",
            q=query.q.strip(),
            before=str(query.cursor) if query.cursor else None,
        )
    return page(found)


def page(found: list[catalogue.Product]) -> Products:
    """A page of products; `next` is the cursor of the page after a full one."""
    more = found[-1].id if len(found) == catalogue.PAGE else None
    return Products(tuple(product_view(product) for product in found), more)


async def product(call: Call) -> Product:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await catalogue.product_by_handle(db, shop.id, call.path("handle"))
    if found is None or found.state != "active":
        raise Problem("no_such_product")
    return product_view(found)


OPERATIONS = (
    Operation("GET", "/api/products", products, "Products on sale, the newest first", errors=("no_shop",)),
    Operation("GET", "/api/products/{handle}", product, "One product", errors=("no_such_product", "no_shop")),
)
