"""The schema: made once, however many starts race for it; refused where the server is not ours to use."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from server.store import migrate
from server.store.migrate import newest_revision, upgrade
from server.store.pool import StoreError, connect, open_pool


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
