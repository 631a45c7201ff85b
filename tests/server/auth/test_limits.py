"""Rate limits, with Redis and without."""

from __future__ import annotations

import pytest

from overlay.log import open_redis
from server.auth.limits import Limit, Limits, network_of
from server.problems import Problem

THRICE = Limit("test", 3, 60)


async def tries(limits: Limits, count: int, key: str = "k") -> list[str]:
    done = []
    for _ in range(count):
        try:
            await limits.take(THRICE, key)
            done.append("ok")
        except Problem as problem:
            told = problem.retry_after_s or 0
            done.append(problem.code if 0 < told <= 60 else "no time")
    return done


async def test_the_fourth_try_is_refused_for_its_key_alone(redis_url: str) -> None:
    async with open_redis(redis_url) as redis:
        limits = Limits(redis, lambda: 0.0)
        assert await tries(limits, 4) == ["ok", "ok", "ok", "rate_limited"]
        assert await tries(limits, 1, "other") == ["ok"]
        assert await tries(Limits(redis, lambda: 0.0), 1) == ["rate_limited"]  # another process
        assert 0 < await redis.ttl("hawker:limit:test:k") <= 60


async def test_without_redis_each_process_counts() -> None:
    now = 0.0
    async with open_redis("redis://127.0.0.1:9") as nowhere:
        limits = Limits(nowhere, lambda: now)
        assert await tries(limits, 4) == ["ok", "ok", "ok", "rate_limited"]
        now = 61.0
        assert await tries(limits, 1) == ["ok"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_one_customer_is_one_network(address: str, network: str) -> None:
    assert network_of(address) == network
