"""The schema: made once, however many starts race for it; refused where the server is not ours to use."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from server.store import migrate
from server.store.migrate import newest_revision, upgrade
from server.store.pool import StoreError, connect, open_pool
from server.store.verify import verify


async def test_two_starts_at_once_make_one_schema(database_url: str) -> None:
    await asyncio.gather(upgrade(database_url), upgrade(database_url))
    connection = await connect(database_url)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == newest_revision()
    assert await connection.fetchval("SELECT count(*) FROM stock") == 0
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(StoreError) as refused:
        await upgrade(database_url)
    assert refused.value.code == "database_newer"


async def test_an_old_server_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST_POSTGRES", 990_000)
    with pytest.raises(StoreError) as refused:
        await upgrade(database_url)
    assert refused.value.code == "postgres_too_old"


async def test_no_server_is_said_plainly() -> None:
    with pytest.raises(StoreError) as refused:
        await upgrade("postgresql://nobody@/nothing?host=/nonexistent")
    assert refused.value.code == "database_down"
    assert "HAWKER_DATABASE_URL" in refused.value.remedy


async def test_json_is_python_and_locks_have_an_end(migrated_database_url: str) -> None:
    async with open_pool(migrated_database_url) as pool:
        assert await pool.fetchval("SELECT $1::jsonb", {"a": [1, None]}) == {"a": [1, None]}
        assert await pool.fetchval("SHOW lock_timeout") == "8s"
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(
                "INSERT INTO shops (id, slug, name, currency, country, tax_rate_bp)"
                " VALUES (gen_random_uuid(), 's', 's', 'EUR', 'DE', 10001)"
            )


_BEFORE = """
INSERT INTO shops (id, slug, name, currency, country) VALUES ('{shop}', 's', 'S', 'EUR', 'DE');
INSERT INTO products (id, shop_id, handle, title) VALUES ('{shop}', '{shop}', 'cup', 'Cup');
INSERT INTO variants (id, product_id, price_minor) VALUES ('{shop}', '{shop}', 500);
INSERT INTO stock (variant_id, available, sold) VALUES ('{shop}', 2, 1);
INSERT INTO stock_movements (variant_id, kind, available_delta, held_delta, sold_delta, order_id)
VALUES ('{shop}', 'set', 3, 0, 0, NULL), ('{shop}', 'hold', -1, 1, 0, '{order}'),
       ('{shop}', 'sell', 0, -1, 1, '{order}');
INSERT INTO orders (id, shop_id, state, currency, subtotal_minor, shipping_minor, total_minor, tax_minor,
                    refunded_minor, address, request_sha256, payment_intent_ref)
VALUES ('{order}', '{shop}', 'paid', 'EUR', 500, 0, 500, 0, 200, '{{}}', '', 'pi_1');
INSERT INTO order_lines (order_id, position, variant_id, title, quantity, unit_price_minor)
VALUES ('{order}', 0, '{shop}', 'Cup', 1, 500);
INSERT INTO payment_attempts (order_id, attempt, idempotency_key, customer_ref, payment_method_ref,
                              amount_minor, state, payment_intent_ref)
VALUES ('{order}', 1, 'k', 'c', 'p', 500, 'paid', 'pi_1');
INSERT INTO refunds (id, order_id, payment_intent_ref, amount_minor, reason, idempotency_key, state,
                     refund_ref, done_at)
VALUES (gen_random_uuid(), '{order}', 'pi_1', 200, 'late', 'a', 'done', 're_1', now()),
       (gen_random_uuid(), '{order}', 'pi_2', 500, 'extra_payment', 'b', 'done', 're_2', now() + '1 s'),
       (gen_random_uuid(), '{order}', 'pi_1', 100, 'late', 'c', 'queued', NULL, NULL);
"""


async def test_what_was_paid_before_there_was_a_ledger_is_in_it(fresh_migrated_database_url: str) -> None:
    versions = Path(migrate.__file__).with_name("migrations") / "versions"
    connection = await connect(fresh_migrated_database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for name in ("0001_ground.sql", "0002_restock.sql"):
        await connection.execute((versions / name).read_text())
    await connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    await connection.execute("INSERT INTO alembic_version VALUES ('0002')")
    await connection.execute(_BEFORE.format(shop=uuid4(), order=uuid4()))
    await upgrade(fresh_migrated_database_url)
    rows = await connection.fetch("SELECT kind, payment_intent_ref, amount_minor FROM payments ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("charge", "pi_1", 500),
        ("charge", "pi_2", 500),
        ("refund", "pi_1", 200),
        ("refund", "pi_2", 500),
    ]
    await connection.close()
    assert (await verify(fresh_migrated_database_url)).faults == []
