"""One line for all processes: together never faster than allowed, by themselves while the store is away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from overlay.log import open_redis
from server.payments.rate_limit import RateLimit
from server.store.turns import SharedTurns


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


async def test_two_processes_share_one_line(redis: Redis) -> None:
    limit = RateLimit(per_s=0.01, burst=3, max_wait_s=450)
    one, other = SharedTurns(redis, "sk_a", limit), SharedTurns(redis, "sk_a", limit)
    waits = [await turns.take() for turns in (one, other) * 5]
    booked = [wait for wait in waits if wait is not None]
    assert booked[:3] == [0, 0, 0]
    assert booked == sorted(booked)
    assert 300 <= booked[-1] <= 400
    assert waits[-1] is None  # the line is full: nothing was booked
    assert await SharedTurns(redis, "sk_b", limit).take() == 0  # another account has its own


async def test_an_idle_line_has_its_burst_again_and_leaves_nothing_behind(redis: Redis) -> None:
    turns = SharedTurns(redis, "sk_c", RateLimit(per_s=0.1, burst=2, max_wait_s=0))
    assert await turns.take() == 0
    (key,) = [key async for key in redis.scan_iter("hawker:provider:*")]
    assert 0 < await redis.pttl(key) <= 21_000


async def test_without_the_store_each_goes_by_itself_and_slower(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    limit = RateLimit(per_s=40, burst=8, max_wait_s=0.2)
    turns = SharedTurns(redis, "sk_d", limit, clock=lambda: now)

    async def gone(*_: object, **__: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr(redis, "evalsha", gone)
    monkeypatch.setattr(redis, "script_load", gone)
    assert [await turns.take() for _ in range(5)] == [0, 0, pytest.approx(0.1), pytest.approx(0.2), None]
