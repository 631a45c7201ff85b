"""How fast the gate answers: our client against redis-benchmark, the same function on the same server."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import time
from uuid import uuid4

from overlay.log import open_redis
from server.shop.gate import Held
from server.shop.ids import OrderId, ShopId, UserId
from server.store.gate_link import Address, GateLink
from server.store.inventory import RedisInventory

CALLS, AT_ONCE = 40_000, 1_000
CONNECTIONS, PIPELINE = 16, 16  # what redis-benchmark is fastest with here
UNITS = 100_000_000
HOLD_MS = 600_000


class BenchmarkMissing(Exception):
    """redis-benchmark is not installed."""


async def gate_ratio(redis_url: str, rounds: int = 3) -> tuple[float, float, float]:
    """Reservations a second by our client and by redis-benchmark, taking turns; and the median ratio."""
    ours, theirs = [], []
    async with open_redis(redis_url) as redis:
        link = GateLink(Address.of(redis))
        try:
            gate, shop = RedisInventory(redis, link=link), ShopId(str(uuid4()))
            variant = str(uuid4())
            await gate.load(shop, variant, seen_changes="", available=UNITS, buyer_limit=0, version=1)
            for _ in range(rounds):
                theirs.append(await by_benchmark(redis_url, shop, variant))
                ours.append(await by_client(gate, shop, variant))
        finally:
            await link.close()
        await redis.flushall()
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    return sorted(ours)[rounds // 2], sorted(theirs)[rounds // 2], ratios[rounds // 2]


async def by_client(gate: RedisInventory, shop: ShopId, variant: str) -> float:
    buyer = UserId(str(uuid4()))
    orders = [OrderId(f"{uuid4()}") for _ in range(CALLS)]
    waiting = iter(orders)

    async def buyers() -> None:
        for order in waiting:
            if not isinstance(
                answer := await gate.reserve(shop, order, buyer, [(variant, 1)], HOLD_MS), Held
            ):
                raise RuntimeError(f"the gate did not hold a unit: {answer}")

    began = time.perf_counter()
    await asyncio.gather(*(buyers() for _ in range(AT_ONCE)))
    return CALLS / (time.perf_counter() - began)


async def by_benchmark(redis_url: str, shop: ShopId, variant: str) -> float:
    program = shutil.which("redis-benchmark")
    if program is None:
        raise BenchmarkMissing("redis-benchmark is needed: apt-get install redis-tools")
    tag = f"hawker:gate:{{{shop}}}"
    keys = [f"{tag}:{name}" for name in ("variants", "orders", "holds", "buyers")]
    socket = redis_url.removeprefix("unix://").split("?")[0]
    call = ["FCALL", "hawker_reserve", "4", *keys, f"{uuid4()}-__rand_int__", str(uuid4()), str(HOLD_MS)]
    process = await asyncio.create_subprocess_exec(
        program,
        *("-s", socket, "-n", str(CALLS), "-c", str(CONNECTIONS), "-P", str(PIPELINE)),
        *("-r", "100000000000", "--csv"),
        *call,
        variant,
        "1",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"redis-benchmark ended with {process.returncode}")
    rows = list(csv.reader(io.StringIO(out.decode())))
    return float(rows[-1][1])
