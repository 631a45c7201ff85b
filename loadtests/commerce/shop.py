"""A shop for benchmarks: one product, one hot variant, many buyers who could buy at once, written as rows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg

from server.shop.ids import ShopId, ShowId, UserId

PRICE_MINOR = 1_900


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A directory of its own for one run, that PostgreSQL's user can walk through."""
    directory = Path(tempfile.mkdtemp(prefix=f"hawker-{name}-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class BenchShop:
    """What was written. `buyers` have an address and a saved card `card_ref(n)` each."""

    shop_id: ShopId = field(default_factory=lambda: ShopId(str(uuid4())))
    show_id: ShowId = field(default_factory=lambda: ShowId(str(uuid4())))
    product_id: str = field(default_factory=lambda: str(uuid4()))
    variant_id: str = field(default_factory=lambda: str(uuid4()))
    price_minor: int = PRICE_MINOR
    buyers: list[UserId] = field(default_factory=list)

    async def check(self, url: str) -> None:
        """Every unit is accounted for, every order whole. Raises AssertionError."""
        connection = await asyncpg.connect(url)
        try:
            wrong = await connection.fetchrow(_WRONG, self.variant_id)
        finally:
            await connection.close()
        assert wrong is not None
        if any(wrong.values()):
            raise AssertionError(f"the books do not balance: {dict(wrong)}")


_WRONG = """
SELECT s.held - (SELECT sum(quantity) FROM order_lines WHERE variant_id = $1) AS held_not_ordered,
       s.held - m.held AS held_not_moved, s.available - m.available AS available_not_moved,
       (SELECT count(*) FROM orders) - (SELECT count(*) FROM payment_attempts) AS orders_without_attempt,
       (SELECT count(*) FROM orders) - (SELECT count(*) FROM order_events) AS orders_without_history
FROM stock s, (SELECT sum(held_delta) AS held, sum(available_delta) AS available
               FROM stock_movements WHERE variant_id = $1) m
WHERE s.variant_id = $1
"""


async def open_shop(url: str, *, buyers: int, units: int, buyer_limit: int = 0) -> BenchShop:
    """Write a live show that sells `units` of one variant to `buyers` people."""
    shop = BenchShop(buyers=[UserId(str(uuid4())) for _ in range(buyers)])
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await _write_shop(connection, shop, units, buyer_limit)
            await _write_buyers(connection, shop.buyers)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return shop


async def _write_shop(
    connection: asyncpg.Connection[asyncpg.Record], shop: BenchShop, units: int, buyer_limit: int
) -> None:
    await connection.execute(
        "INSERT INTO shops (id, slug, name, currency, country, tax_rate_bp, flat_shipping_minor)"
        " VALUES ($1, 'bench', 'Bench', 'EUR', 'DE', 1900, 490)",
        shop.shop_id,
    )
    await connection.execute(
        "INSERT INTO products (id, shop_id, handle, title) VALUES ($1, $2, 'cup', 'Stoneware cup')",
        shop.product_id,
        shop.shop_id,
    )
    await _write_variant(connection, shop, shop.variant_id, units, buyer_limit)
    await connection.execute(
        "INSERT INTO shows (id, shop_id, title, state, playback_id, starts_at, started_at)"
        " VALUES ($1, $2, 'Drop', 'live', 'bench', now(), now())",
        shop.show_id,
        shop.shop_id,
    )
    await connection.execute(
        "INSERT INTO show_items (show_id, product_id, position) VALUES ($1, $2, 0)",
        shop.show_id,
        shop.product_id,
    )


async def add_variant(url: str, shop: BenchShop, units: int, buyer_limit: int = 0) -> str:
    """One more variant of the product, at the same price; its id."""
    connection = await asyncpg.connect(url)
    variant_id = str(uuid4())
    try:
        async with connection.transaction():
            await _write_variant(connection, shop, variant_id, units, buyer_limit)
    finally:
        await connection.close()
    return variant_id


async def _write_variant(
    connection: asyncpg.Connection[asyncpg.Record],
    shop: BenchShop,
    variant_id: str,
    units: int,
    buyer_limit: int,
) -> None:
    await connection.execute(
        "INSERT INTO variants (id, product_id, title, price_minor, buyer_limit)"
        " VALUES ($1, $2, 'blue', $3, $4)",
        variant_id,
        shop.product_id,
        shop.price_minor,
        buyer_limit,
    )
    await connection.execute("INSERT INTO stock (variant_id, available) VALUES ($1, $2)", variant_id, units)
    await connection.execute(
        "INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta)"
        " VALUES ($1, 'set', $2, 0, 0)",
        variant_id,
        units,
    )


async def _write_buyers(connection: asyncpg.Connection[asyncpg.Record], buyers: list[UserId]) -> None:
    people = "unnest($1::uuid[]) WITH ORDINALITY AS b (id, n)"
    for statement in (
        "INSERT INTO users (id, email, password_hash, display_name, email_verified_at)"
        f" SELECT id, 'buyer' || n || '@example.com', 'none', 'Buyer ' || n, now() FROM {people}",
        f"INSERT INTO payment_customers (user_id, customer_ref) SELECT id, 'cus_' || n FROM {people}",
        "INSERT INTO cards (id, user_id, payment_method_ref, brand, last4, exp_month, exp_year, is_default)"
        f" SELECT gen_random_uuid(), id, 'pm_' || n, 'visa', '4242', 12, 2040, true FROM {people}",
        "INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country, is_default)"
        " SELECT gen_random_uuid(), id, 'Buyer ' || n, n || ' Main Street', 'Berlin', '10115', 'DE', true"
        f" FROM {people}",
    ):
        await connection.execute(statement, buyers)
