"""Stores that somebody else runs are checked before anything starts."""

from __future__ import annotations

import pytest

from server.embedded.errors import StartError
from server.embedded.stores import check_database, check_redis


async def test_good_stores_pass(database_url: str, redis_url: str) -> None:
    await check_database(database_url)
    await check_redis(redis_url)


async def test_a_database_that_is_down_is_told_without_its_password() -> None:
    with pytest.raises(StartError) as caught:
        await check_database("postgresql://shop:hunter2@127.0.0.1:9/hawker")
    assert caught.value.code == "database_down"
    assert "HAWKER_DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_valkey_that_is_down_is_told_without_its_password() -> None:
    with pytest.raises(StartError) as caught:
        await check_redis("redis://:hunter2@127.0.0.1:9/0")
    assert caught.value.code == "redis_down"
    assert "hunter2" not in str(caught.value)
