"""`make bench-orders`: orders on one hot variant, written in groups and written one statement a commit.

Both write the same rows into the same schema with all its constraints, each commit durable. The group writer
is production's (`server.store.placing.OrderWriter`): it reads and decides as well. The other is the fastest
we can think of: one prepared statement an order that does all of it, on 1 or on 16 connections, whichever is
faster. They take turns in one run. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import uuid_utils
import uvloop

from loadtests.commerce.shop import BenchShop, open_shop, scratch
from server.embedded import postgres
from server.shop.allocation import Placed
from server.shop.ids import OrderId, UserId, VariantId
from server.shop.wish import Wish, WishLine
from server.store import migrate
from server.store.placing import OrderWriter, idempotency_key
from server.store.pool import open_pool

BUYERS = 5_000
UNITS = 100_000_000
CONNECTIONS = (1, 16)
AT_ONCE = 1_024  # taps under way; far fewer than a drop has
ONE_COMMIT = Path(__file__).with_name("one_commit.sql").read_text()
Order = Callable[[UserId], Awaitable[None]]


def wish(shop: BenchShop, user_id: UserId) -> Wish:
    """One unit of the hot variant."""
    line = WishLine(VariantId(shop.variant_id), 1, shop.price_minor)
    return Wish(OrderId(str(uuid_utils.uuid7())), shop.shop_id, shop.show_id, user_id, (line,))


async def rate(shop: BenchShop, order: Order, at_once: int, seconds: float) -> float:
    """Orders a second while `at_once` buyers order one after another."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + seconds
    done = 0

    async def buyer(first: int) -> None:
        nonlocal done
        number = first
        while loop.time() < ends_s:
            await order(shop.buyers[number % len(shop.buyers)])
            done, number = done + 1, number + at_once

    began = time.perf_counter()
    await asyncio.gather(*map(buyer, range(at_once)))
    return done / (time.perf_counter() - began)


async def in_groups(url: str, shop: BenchShop, seconds: float) -> float:
    async with open_pool(url) as pool:
        writer = OrderWriter(pool, owner="bench")

        async def order(user_id: UserId) -> None:
            if not isinstance(decision := await writer.place(wish(shop, user_id)), Placed):
                raise RuntimeError(f"an order was not placed: {decision}")

        await rate(shop, order, AT_ONCE, 0.5)
        return await rate(shop, order, AT_ONCE, seconds)


async def one_a_commit(url: str, shop: BenchShop, connections: int, seconds: float) -> float:
    pool = await asyncpg.create_pool(url, min_size=connections, max_size=connections)
    free: asyncio.Queue[tuple[asyncpg.Connection, asyncpg.prepared_stmt.PreparedStatement]] = asyncio.Queue()
    async with pool:
        for _ in range(connections):
            connection = await pool.acquire()
            free.put_nowait((connection, await connection.prepare(ONE_COMMIT)))  # type: ignore[arg-type]

        async def order(user_id: UserId) -> None:
            one = wish(shop, user_id)
            mine = free.get_nowait()
            try:
                written = await mine[1].fetchval(
                    one.order_id,
                    one.shop_id,
                    one.show_id,
                    one.user_id,
                    shop.variant_id,
                    1,
                    shop.price_minor,
                    bytes.fromhex(one.digest()),
                    idempotency_key(one.order_id, 1),
                    "bench",
                )
            finally:
                free.put_nowait(mine)
            if written != 1:
                raise RuntimeError("an order was not written")

        await rate(shop, order, connections, 0.5)
        result = await rate(shop, order, connections, seconds)
        while not free.empty():
            await pool.release(free.get_nowait()[0])  # type: ignore[arg-type]
    return result


async def measure(rounds: int, seconds: float) -> dict[str, float | int]:
    with scratch("orders") as directory:
        server = await postgres.start(directory / "postgres", directory / "postgres.log")
        try:
            await migrate.upgrade(server.url)
            shop = await open_shop(server.url, buyers=BUYERS, units=UNITS)
            return await _take_turns(server.url, shop, rounds, seconds)
        finally:
            await server.stop()


async def _take_turns(url: str, shop: BenchShop, rounds: int, seconds: float) -> dict[str, float | int]:
    groups: list[float] = []
    singles: dict[int, list[float]] = {connections: [] for connections in CONNECTIONS}
    for number in range(rounds):
        for connections in CONNECTIONS:
            singles[connections].append(await one_a_commit(url, shop, connections, seconds))
        groups.append(await in_groups(url, shop, seconds))
        told = ", ".join(f"{n} connections {singles[n][-1]:,.0f}/s" for n in CONNECTIONS)
        print(f"round {number + 1}: in groups {groups[-1]:,.0f}/s; one a commit: {told}", file=sys.stderr)
    await shop.check(url)
    grouped = statistics.median(groups)
    single = max(statistics.median(rates) for rates in singles.values())
    return {
        "orders_per_s": round(grouped),
        "one_commit_per_s": round(single),
        "ratio": round(grouped / single, 2),
        "rounds": rounds,
        "cores": os.cpu_count() or 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each turn")
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    args = parser.parse_args()
    if args.json:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(args.rounds, args.seconds))))


if __name__ == "__main__":
    main()
