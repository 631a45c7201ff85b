"""A shop on real stores, wired as a process wires it, and what tests ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import uuid_utils

from loadtests.commerce.books import OPEN, intents_of, open_books, violations
from server.checkout.wiring import Checkout, checkout
from server.shop.ids import OrderId, ShopId, ShowId, UserId, VariantId
from server.shop.wish import Wish, WishLine
from server.store.pool import Pool

from .provider import ScriptedProvider


@dataclass
class World:
    """The checkout wired as a process wires it, and what tests ask of its stores."""

    checkout: Checkout
    redis: Any
    provider: ScriptedProvider
    shop_id: ShopId
    show_id: ShowId
    product_id: str

    def __getattr__(self, name: str) -> Any:
        """The checkout's parts by their names."""
        return getattr(self.checkout, name)

    async def variant(self, available: int, *, price: int = 1_000, limit: int = 0) -> VariantId:
        variant_id = VariantId(str(uuid4()))
        await self.pool.execute(
            "INSERT INTO variants (id, product_id, title, price_minor, buyer_limit)"
            " VALUES ($1, $2, 'M', $3, $4)",
            variant_id,
            self.product_id,
            price,
            limit,
        )
        await self.shopkeeper.set_stock(self.shop_id, variant_id, available, None)
        return variant_id

    async def person(self, card: str = "paid", *, address: bool = True) -> UserId:
        user_id = UserId(str(uuid4()))
        await self.pool.execute(
            "INSERT INTO users (id, email, password_hash, display_name) VALUES ($1, $2, 'x', 'Ada Byron')",
            user_id,
            f"{user_id}@example.org",
        )
        await self.pool.execute("INSERT INTO payment_customers VALUES ($1, $2)", user_id, f"cus_{user_id}")
        if card:
            await self.card(user_id, card)
        if address:
            await self.pool.execute(
                "INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country)"
                " VALUES ($1, $2, 'Ada', 'Main Street 1', 'Berlin', '10115', 'DE')",
                str(uuid4()),
                user_id,
            )
        return user_id

    async def card(self, user_id: str, behaviour: str) -> str:
        card_id, method = str(uuid4()), f"pm_{uuid4()}"
        self.provider.cards[method] = behaviour
        await self.pool.execute(
            "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year)"
            " VALUES ($1, $2, $3, 'visa', '4242', 12, 2040)",
            card_id,
            user_id,
            method,
        )
        return card_id

    async def charged(self, wish: Wish) -> None:
        """A tap whose charge has been answered."""
        await self.tap.buy(wish)
        await self.queue.idle()

    def wish(self, user_id: UserId, *lines: tuple[str, int], price: int = 1_000, **more: Any) -> Wish:
        return Wish(
            order_id=more.pop("order_id", None) or OrderId(str(uuid_utils.uuid7())),
            shop_id=self.shop_id,
            show_id=self.show_id,
            user_id=user_id,
            lines=tuple(WishLine(VariantId(v), q, price) for v, q in lines),
            **more,
        )

    async def state(self, order_id: str) -> str | None:
        found: str | None = await self.pool.fetchval("SELECT state FROM orders WHERE id = $1", order_id)
        return found

    async def stock_of(self, variant_id: str) -> tuple[int, int, int]:
        row = await self.pool.fetchrow(
            "SELECT available, held, sold FROM stock WHERE variant_id=$1", variant_id
        )
        assert row is not None
        return (row[0], row[1], row[2])

    async def gate_says(self, variant_id: str) -> int | None:
        view = await self.gate.read(self.shop_id)
        known = view.variants.get(variant_id)
        return known.available if known else None

    async def assert_books_balance(self) -> None:
        """An independent reader of the database and of the provider finds nothing wrong."""
        async with self.pool.acquire() as connection:
            books = await open_books(connection)
        books.intents = list(intents_of(self.provider.audit()))
        under_way = any(order["state"] in OPEN for order in books.orders.values()) or any(
            refund["state"] == "queued" for refunds in books.refunds.values() for refund in refunds
        )
        assert violations(books, at_rest=not under_way) == []

    async def assert_gate_agrees(self) -> None:
        rows = await self.pool.fetch("SELECT variant_id::text, available FROM stock")
        view = await self.gate.read(self.shop_id)
        truth = {row["variant_id"]: row["available"] for row in rows if row["variant_id"] in view.variants}
        assert {v: known.available for v, known in view.variants.items()} == truth


def build(pool: Pool, redis: Any, **more: Any) -> World:
    provider = ScriptedProvider()
    return World(
        checkout(pool, redis, more.pop("gateway", provider), **more),
        redis,
        provider,
        shop_id=ShopId(str(uuid4())),
        show_id=ShowId(str(uuid4())),
        product_id=str(uuid4()),
    )


async def seed(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO shops (id, slug, name, currency, country, tax_rate_bp, flat_shipping_minor)"
        " VALUES ($1, $2, 'Shop', 'EUR', 'DE', 1900, 490)",
        world.shop_id,
        world.shop_id,
    )
    await world.pool.execute(
        "INSERT INTO products (id, shop_id, handle, title) VALUES ($1, $2, 'cup', 'Cup')",
        world.product_id,
        world.shop_id,
    )
    await world.pool.execute(
        "INSERT INTO shows (id, shop_id, title, state, playback_id, starts_at)"
        " VALUES ($1, $2, 'Evening', 'live', $3, now())",
        world.show_id,
        world.shop_id,
        world.show_id,
    )
    await world.pool.execute(
        "INSERT INTO show_items (show_id, product_id, position) VALUES ($1, $2, 0)",
        world.show_id,
        world.product_id,
    )


async def empty(pool: Pool) -> None:
    """Forget what the test before wrote. The ledger refuses that, but not to a superuser who insists."""
    async with pool.acquire() as connection:
        await connection.execute(
            "SET session_replication_role = replica;"
            "TRUNCATE shops, users, outbox, webhook_inbox, refunds, ledger_blocks, book_checks, job_marks"
            " CASCADE;"
            "SET session_replication_role = origin"
        )
