"""What breaks, and when: a schedule drawn from a seed. Each fault is brought on once, in a random order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import redis.asyncio

from loadtests.commerce.rig import Rig

# All the time while there is chaos (see server.payments.simulator.faults): shares of calls and of webhooks.
RATES = {
    "reply_lost": 0.2,
    "rate_limited": 0.05,
    "server_error": 0.05,
    "server_error_after": 0.05,
    "webhook_drop": 0.2,
    "webhook_duplicate": 0.3,
    "webhook_reorder": 0.3,
    "only": ["/v1/payment_intents", "/v1/refunds"],
}
DOWN_S = 1.0

Fault = Callable[[Rig, int], Awaitable[None]]


async def set_faults(rig: Rig, **plan: Any) -> None:
    """Replace the simulator's plan."""
    headers = {"Authorization": f"Bearer {rig.secret_key}"}
    async with aiohttp.ClientSession() as http:
        async with http.post(rig.url("simulator") + "/_faults", json=plan, headers=headers) as answer:
            answer.raise_for_status()


def killed(name: str) -> Fault:
    async def fault(rig: Rig, seed: int) -> None:
        for _ in range(100):  # it may be starting again from the last time
            if rig.kill(name):
                return
            await asyncio.sleep(0.05)

    fault.__name__ = f"{name} killed"
    return fault


async def gate_wiped(rig: Rig, seed: int) -> None:
    """FLUSHALL, as soon as the store is there."""
    for _ in range(100):
        try:
            async with redis.asyncio.Redis.from_url(rig.redis_url, socket_timeout=1) as client:
                await client.flushall()
                return
        except (redis.RedisError, OSError):
            await asyncio.sleep(0.05)


def provider_down(how: str) -> Fault:
    async def fault(rig: Rig, seed: int) -> None:
        await set_faults(rig, seed=seed, **RATES, down=how)
        await asyncio.sleep(DOWN_S)
        await set_faults(rig, seed=seed + 1, **RATES)

    fault.__name__ = f"provider down ({how})"
    return fault


FAULTS: tuple[Fault, ...] = (
    killed("web"),
    killed("overlay"),
    killed("overlay"),
    killed("worker"),
    killed("worker-2"),
    killed("postgres"),
    killed("postgres"),
    killed("valkey"),
    killed("valkey"),
    gate_wiped,
    gate_wiped,
    provider_down("503"),
    provider_down("refused"),
)


async def bring_on(rig: Rig, seed: int, within_s: float, happened: list[str]) -> None:
    """All faults, one after another in the seed's order, spread over `within_s`."""
    chance = random.Random(f"faults:{seed}")
    order = chance.sample(FAULTS, len(FAULTS))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, fault in enumerate(order):
        due_s = began_s + within_s * (number + chance.random()) / len(order)
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        await fault(rig, seed * 100 + number)
        happened.append(fault.__name__)
