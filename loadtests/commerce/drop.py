"""`make bench-drop`: ten thousand buyers tap at once for a thousand units.

Overlays, worker, web, PostgreSQL, Valkey and the payment simulator as in production, under the real
supervisor; the buyers are in processes of their own, each on a websocket of its own. Everybody is told "sold
out" or that an order is charging, which is true only once it is durable; what each was told is then held
against the database and against the provider's list. The simulator takes no more requests a second than
Stripe does. Before that the gate alone is measured against redis-benchmark. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass

import aiohttp
import asyncpg
import uvloop

from loadtests.commerce import rig
from loadtests.commerce.books import Told, read_books
from loadtests.commerce.crowd import Crowd, tell
from loadtests.commerce.drop_simulator import PER_S
from loadtests.commerce.gate import gate_ratio
from loadtests.commerce.rig import Rig, Role
from loadtests.commerce.shop import BenchShop, open_shop, scratch
from overlay.log import open_redis
from server.checkout.gatekeeper import Gatekeeper
from server.store.inventory import RedisInventory
from server.store.pool import open_pool
from server.store.stock import StockStore

BUYERS, UNITS = 10_000, 1_000
OVERLAYS, CROWDS = 2, 2  # processes; 5,000 sockets in each is well below the limit on open files
PAID_MOST_S = 60.0
READY_S = 180.0


@dataclass(frozen=True, slots=True)
class Tap:
    """What one buyer was told; times by the monotonic clock, which all processes of a machine share."""

    user: str
    order_id: str
    told: str
    sent_s: float
    answered_s: float


async def measure(buyers: int, units: int, overlays: int) -> dict[str, object]:
    names = [*(f"overlay-{n}" for n in range(overlays)), "web", "worker", "simulator"]
    ports = dict(zip(names, rig.free_ports(len(names)), strict=True))
    ports["overlay"] = ports["overlay-0"]
    with scratch("drop") as directory:
        async with rig.opened(directory, ports) as shop_rig:
            ours, theirs, ratio = await gate_ratio(shop_rig.redis_url)
            tell(f"gate: {ours:,.0f}/s, redis-benchmark {theirs:,.0f}/s")
            shop = await open_shop(shop_rig.database_url, buyers=buyers, units=units)
            await rig.give_cards(shop_rig, shop, [("pm_card_visa",)] * buyers)
            await shop_rig.start(
                Role("simulator", "simulator", ports["simulator"], ("loadtests.commerce.drop_simulator",))
            )
            await shop_rig.start(*(_role(n, ports[n]) for n in names[:-1]))
            found = await _drop(shop_rig, shop, units, [ports[n] for n in names[:overlays]])
            gate = {"gate_ratio": round(ratio, 2), "gate_per_s": round(ours)}
            return {**found, **gate, "overlays": overlays, "cores": os.cpu_count()}


def _role(name: str, port: int) -> Role:
    """Production's, which keep to what the provider allows by one line for all of them."""
    env = (("HAWKER_STRIPE_PER_S", str(int(PER_S))),)
    return Role(name, name.partition("-")[0], port, env=env)


async def _drop(shop_rig: Rig, shop: BenchShop, units: int, ports: list[int]) -> dict[str, object]:
    line = {"variant_id": shop.variant_id, "quantity": 1, "unit_price_minor": shop.price_minor}
    crowds = []
    try:
        for n in range(CROWDS):
            what = {
                "host": "127.0.0.1",
                "port": ports[n % len(ports)],
                "redis_url": shop_rig.redis_url,
                "show_id": shop.show_id,
                "line": line,
                "users": shop.buyers[n::CROWDS],
            }
            crowds.append(await Crowd.start("loadtests.commerce.drop_buyers", what))
        async with asyncio.timeout(READY_S):
            entered = await asyncio.gather(*(crowd.hear("entered") for crowd in crowds))
        tell(f"{sum(entered):,} buyers are in the room")
        await _open_gate(shop_rig, shop)
        at = time.monotonic() + 3
        await asyncio.gather(*(crowd.say({"at": at}) for crowd in crowds))
        paying = asyncio.create_task(_paid(shop_rig, units, at))
        told = await asyncio.gather(*(crowd.hear("told") for crowd in crowds))
        taps = [Tap(*one) for some in told for one in some]
        _tell_of(taps, at)
        paid_s = await paying
        await asyncio.gather(*(crowd.say({}) for crowd in crowds))
        seen = [await crowd.hear("seen") for crowd in crowds]
        found = await _report(shop_rig, taps, units, at, paid_s)
        return {
            **found,
            "stock_frames": max(one["stock_frames"] for one in seen),
            "taps_again": sum(one["again"] for one in seen),
        }
    finally:
        await asyncio.gather(*(crowd.end() for crowd in crowds))


async def _open_gate(shop_rig: Rig, shop: BenchShop) -> None:
    """As any earlier tap does: the gate learns what there is."""
    async with open_pool(shop_rig.database_url) as pool, open_redis(shop_rig.redis_url) as redis:
        await Gatekeeper(RedisInventory(redis), StockStore(pool)).open(shop.shop_id, [shop.variant_id])


async def _paid(shop_rig: Rig, units: int, at: float) -> float:
    """Seconds from the first tap until as many orders are paid as there are units, or PAID_MOST_S."""
    connection = await asyncpg.connect(shop_rig.database_url)
    try:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        while time.monotonic() - at < PAID_MOST_S:
            paid = await connection.fetchval("SELECT count(*) FROM orders WHERE state = 'paid'")
            if paid >= units:
                break
            await asyncio.sleep(0.1)
        return time.monotonic() - at
    finally:
        await connection.close()


async def _report(shop_rig: Rig, taps: list[Tap], units: int, at: float, paid_s: float) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {shop_rig.secret_key}"}
    async with aiohttp.ClientSession() as http:
        async with http.get(shop_rig.url("simulator") + "/v1/_audit", headers=headers) as answer:
            audit = await answer.json()
    accepted = {tap.order_id for tap in taps if tap.told in ("charging", "paid")}
    refused = {tap.order_id for tap in taps if tap.told == "refused sold_out"}
    told = [Told(order_id, order_id in accepted) for order_id in accepted | refused]
    wrong = len(taps) - len(told) + abs(len(accepted) - units)
    violations = await read_books(shop_rig.database_url, provider_audit=audit, told=told)
    for violation in violations[:8]:
        tell(f"{violation.kind}: {violation.subject}: {violation.expected}, is {violation.found}")
    took_ms = sorted((tap.answered_s - tap.sent_s) * 1000 for tap in taps)
    sold = sum(intent["amount_received"] > 0 for intent in audit["payment_intents"])
    return {
        "taps": len(taps),
        "units": units,
        "sold": sold,
        "wrong_answers": wrong + len(violations),
        "answered_s": round(max(tap.answered_s for tap in taps) - at, 2),
        "paid_s": round(paid_s, 1),
        "p99_ms": round(took_ms[int(len(took_ms) * 0.99)]),
        "p50_ms": round(took_ms[len(took_ms) // 2]),
    }


def _tell_of(taps: list[Tap], at: float) -> None:
    counts = Counter(tap.told for tap in taps)
    last = max(tap.answered_s for tap in taps) - at
    tell(f"all told within {last:.2f} s: {dict(counts.most_common(6))}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten thousand buyers tap at once for a thousand units.")
    parser.add_argument("--buyers", type=int, default=BUYERS)
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--overlays", type=int, default=OVERLAYS)
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(args.buyers, args.units, args.overlays))))


if __name__ == "__main__":
    main()
