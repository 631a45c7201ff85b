"""`make bench-chaos`: people buy while everything breaks; afterwards nothing may be wrong and nothing stuck.

Each seed is a shop of its own: web, overlay, two workers, PostgreSQL, Valkey and the payment simulator under
the real supervisor. While some 240 taps with confirmations, cancels, second cards and refunds are under way,
every process and both stores are killed, the gate is wiped, the provider goes down, loses replies and
webhooks; money is given back in its dashboard, banks return refunds, and half-way all who have paid get their
money back. Then it is left alone, and once nothing is open any more an independent reader holds the books
against the provider's list and against what every tap was told. One more run, the control, charges with a
fresh key at each attempt: that one must be found out. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import redis
import uvloop

from loadtests.commerce import rig
from loadtests.commerce.books import Violation, read_books
from loadtests.commerce.chaos_actors import ACTORS, Stage
from loadtests.commerce.chaos_client import Client, Provider
from loadtests.commerce.chaos_faults import RATES, bring_on, set_faults
from loadtests.commerce.rig import Rig, Role
from loadtests.commerce.shop import BenchShop, add_variant, open_shop, scratch
from overlay.log import open_redis
from server.checkout.ports import GateDown
from server.store.inventory import RedisInventory

BUYERS, TAPS_EACH, WITHIN_S = 60, 4, 14.0
BIDDERS = 10
FAULTS_S = 20.0  # into the last taps
UNITS = (80, 60, 40)  # of three variants: fewer than are wanted
DRAIN_MOST_S = 30.0
NOT_THERE = (OSError, TimeoutError, aiohttp.ClientError)
PROCESSES = ("web", "overlay", "worker", "worker-2", "simulator")
CARDS = (
    (("pm_card_visa", "pm_card_mastercard"), 60),
    (("pm_card_chargeCustomerFail", "pm_card_visa"), 20),
    (("pm_card_threeDSecure2Required", "pm_card_visa"), 20),
)


@dataclass(slots=True)
class Outcome:
    """What one run came to. `drain_s`: from the last answer until nothing was open."""

    seed: int
    taps: int
    faults: list[str]
    violations: list[Violation]
    open: list[Violation]
    unanswered: list[str]
    drain_s: float
    did: Counter[str] = field(default_factory=Counter)

    @property
    def stuck(self) -> int:
        """What never ended, and taps that never had an answer."""
        return len(self.open) + len(self.unanswered)


async def run_seed(seed: int, *, random_keys: bool = False, aloud: bool = False) -> Outcome:
    ports = dict(zip(PROCESSES, rig.free_ports(len(PROCESSES)), strict=True))
    with scratch(f"chaos-{seed}") as directory:
        async with rig.opened(directory, ports, aloud=aloud) as shop_rig:
            shop, variants = await _stock_shelves(shop_rig, seed)
            await shop_rig.start(Role("simulator", "simulator", ports["simulator"]))
            more = ("--random-keys",) if random_keys else ()
            await shop_rig.start(*(_role(name, ports[name], more) for name in PROCESSES[:-1]))
            return await _chaos(shop_rig, shop, variants, seed)


def _role(name: str, port: int, more: tuple[str, ...]) -> Role:
    role = name.split("-", maxsplit=1)[0]
    return Role(name, role, port, ("loadtests.commerce.chaos_role", role, *more))


async def _stock_shelves(shop_rig: Rig, seed: int) -> tuple[BenchShop, list[str]]:
    shop = await open_shop(shop_rig.database_url, buyers=BUYERS + 1, units=UNITS[0])
    others = [
        await add_variant(shop_rig.database_url, shop, units, limit)
        for units, limit in ((UNITS[1], 0), (UNITS[2], 3))
    ]
    chance = random.Random(f"cards:{seed}")
    kinds = [kind for kind, weight in CARDS for _ in range(weight)]
    await rig.give_cards(shop_rig, shop, chance.choices(kinds, k=len(shop.buyers)))
    return shop, [shop.variant_id, *others]


async def _chaos(shop_rig: Rig, shop: BenchShop, variants: list[str], seed: int) -> Outcome:
    cookies = await rig.sign_in(shop_rig.database_url, shop.buyers)
    staff_id, staff_cookie = await rig.make_owner(shop_rig.database_url, shop)
    happened: list[str] = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:

        def client(user_id: str, cookie: str) -> Client:
            return Client(shop_rig, http, shop.show_id, user_id, cookie)

        people = [client(user_id, cookies[user_id]) for user_id in shop.buyers[:-1]]
        stage = Stage(
            shop,
            variants,
            people,
            [client(staff_id, staff_cookie), *(client(u, cookies[u]) for u in shop.buyers[:BIDDERS])],
            client(staff_id, staff_cookie),
            Provider(shop_rig, http),
            random.Random(seed),
            TAPS_EACH,
            WITHIN_S,
        )
        await set_faults(shop_rig, seed=seed, **RATES)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bring_on(shop_rig, seed, FAULTS_S, happened))
            for actor in ACTORS:
                tasks.create_task(actor(stage))
        await set_faults(shop_rig, seed=seed)
        drain_s = await _drained(shop_rig, shop, stage.provider)
        await asyncio.gather(*(person.close() for person in people), return_exceptions=True)
        return await _judged(shop_rig, shop, stage, seed, happened, drain_s)


_AUCTIONS = """
SELECT a.id::text, a.state, count(o.id) FILTER (WHERE o.state IN ('paid', 'fulfilled', 'refunded'))
FROM auctions a LEFT JOIN orders o ON o.auction_id = a.id GROUP BY a.id
"""
_OPEN = """
SELECT (SELECT count(*) FROM orders WHERE state IN ('charging', 'action_needed'))
     + (SELECT count(*) FROM payment_attempts WHERE state IN ('ready', 'leased', 'unknown', 'action_needed'))
     + (SELECT count(*) FROM refunds WHERE state = 'queued')
     + (SELECT count(*) FROM refund_runs WHERE done_at IS NULL)
     + (SELECT count(*) FROM auctions WHERE state NOT IN ('sold', 'unsold', 'cancelled'))
"""


async def _drained(shop_rig: Rig, shop: BenchShop, provider: Provider) -> float:
    """Seconds until nothing is open, all that happened at the provider is known and the gate agrees with the
    stock, or DRAIN_MOST_S."""
    began = time.monotonic()
    while time.monotonic() - began < DRAIN_MOST_S:
        try:
            open_things = await _open_things(shop_rig) or await _unknown_refunds(shop_rig, provider)
            if not open_things and not await gate_violations(shop_rig, shop):
                break
        except (*NOT_THERE, asyncpg.PostgresError, redis.RedisError, GateDown):
            pass  # a store that is starting again
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def _open_things(shop_rig: Rig) -> int:
    connection = await asyncpg.connect(shop_rig.database_url, timeout=5)
    try:
        return int(await connection.fetchval(_OPEN))
    finally:
        await connection.close(timeout=5)


async def _unknown_refunds(shop_rig: Rig, provider: Provider) -> int:
    """Refunds of which the shop doesn't know as yet that they were made, or returned."""
    theirs = {
        (refund["id"], "done" if refund["status"] == "succeeded" else "returned")
        for intent in await provider.payments()
        for refund in intent["refunds"]
    }
    connection = await asyncpg.connect(shop_rig.database_url, timeout=5)
    try:
        rows = await connection.fetch("SELECT refund_ref, state FROM refunds WHERE refund_ref IS NOT NULL")
    finally:
        await connection.close(timeout=5)
    known = {tuple(row) for row in rows}
    return len({one for one in theirs - known if one[1] == "done" or (one[0], "done") in known})


async def gate_violations(shop_rig: Rig, shop: BenchShop) -> list[Violation]:
    """Variants for which the gate at rest lets more, or fewer, through than there are."""
    connection = await asyncpg.connect(shop_rig.database_url, timeout=5)
    try:
        rows = await connection.fetch("SELECT variant_id::text, available FROM stock")
    finally:
        await connection.close(timeout=5)
    async with open_redis(shop_rig.redis_url) as client:
        view = await RedisInventory(client).read(shop.shop_id)
    return [
        Violation("gate_wrong", f"variant {row[0]}", str(row[1]), str(view.variants[row[0]].available))
        for row in rows
        if row[0] in view.variants and view.variants[row[0]].available != row[1]
    ]


async def auction_violations(shop_rig: Rig, accepted: list[str]) -> list[Violation]:
    """Accepted bids that the book doesn't have, auctions that never ended or were sold twice."""
    connection = await asyncpg.connect(shop_rig.database_url, timeout=5)
    try:
        book = {row[0] for row in await connection.fetch("SELECT command_id FROM auction_book")}
        auctions = await connection.fetch(_AUCTIONS)
    finally:
        await connection.close(timeout=5)
    found = [
        Violation("lost_bid", f"bid {bid}", "in the book", "absent") for bid in accepted if bid not in book
    ]
    for auction_id, state, paid in auctions:
        if state not in ("sold", "unsold", "cancelled"):
            found.append(Violation("stuck", f"auction {auction_id}", "ended", state))
        elif paid != (state == "sold"):
            found.append(Violation("auction_paid", f"auction {auction_id}", state, f"{paid} paid orders"))
    return found


def charged_twice(audit: Any) -> Iterator[Violation]:
    """Orders whose buyer was charged more than once at any time, also where all but one went back since."""
    taken = Counter(
        intent["metadata"].get("order") for intent in audit["payment_intents"] if intent["amount_received"]
    )
    for order_id, times in taken.items():
        if times > 1:
            yield Violation("double_charge", f"order {order_id}", "charged once", f"{times} times")


async def _judged(
    shop_rig: Rig, shop: BenchShop, stage: Stage, seed: int, happened: list[str], drain_s: float
) -> Outcome:
    headers = {"Authorization": f"Bearer {shop_rig.secret_key}"}
    async with aiohttp.ClientSession() as http:
        async with http.get(shop_rig.url("simulator") + "/v1/_audit", headers=headers) as answer:
            audit = await answer.json()
    found = await read_books(shop_rig.database_url, provider_audit=audit, told=stage.told())
    found += [*charged_twice(audit), *await gate_violations(shop_rig, shop)]
    found += await auction_violations(shop_rig, stage.bids)
    return Outcome(
        seed=seed,
        taps=len(stage.answers),
        faults=happened,
        violations=[violation for violation in found if violation.kind != "stuck"],
        open=[violation for violation in found if violation.kind == "stuck"],
        unanswered=stage.unanswered,
        drain_s=drain_s,
        did=stage.did,
    )


# The command


def _tell(outcome: Outcome, what: str, took_s: float) -> None:
    wrong = f"{len(outcome.violations)} violations, {outcome.stuck} stuck"
    drained = f"drained in {outcome.drain_s:.1f} s ({took_s:.0f} s in all)"
    print(f"{what}: {outcome.taps} taps, {len(outcome.faults)} faults, {wrong}, {drained}", file=sys.stderr)
    print(f"  {', '.join(f'{name} {n}' for name, n in sorted(outcome.did.items()))}", file=sys.stderr)
    for violation in [*outcome.violations[:8], *outcome.open[:4]]:
        expected = f"expected {violation.expected}, is {violation.found}"
        print(f"  {violation.kind}: {violation.subject}: {expected}", file=sys.stderr)


async def measure(seeds: list[int], *, aloud: bool) -> dict[str, object]:
    outcomes = []
    for seed in seeds:
        began = time.monotonic()
        outcomes.append(await run_seed(seed, aloud=aloud))
        _tell(outcomes[-1], f"seed {seed}", time.monotonic() - began)
    began = time.monotonic()
    control = await run_seed(seeds[0], random_keys=True, aloud=aloud)
    _tell(control, "control (a fresh key at each attempt)", time.monotonic() - began)
    return {
        "seeds": len(outcomes),
        "taps": sum(outcome.taps for outcome in outcomes),
        "faults": sum(len(outcome.faults) for outcome in outcomes),
        "violations": sum(len(outcome.violations) for outcome in outcomes),
        "stuck": sum(outcome.stuck for outcome in outcomes),
        "drain_s": round(max(outcome.drain_s for outcome in outcomes), 1),
        "control_violations": len(control.violations),
        "taps_least": min(outcome.taps for outcome in outcomes),
        "faults_least": min(len(outcome.faults) for outcome in outcomes),
        "actors": [actor.__name__ for actor in ACTORS],
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Break everything while people buy; then read the books.")
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS") or 10))
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--aloud", action="store_true", help="tell what the supervisor does")
    args = parser.parse_args()
    seeds = list(range(args.first, args.first + args.seeds))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(seeds, aloud=args.aloud))))


if __name__ == "__main__":
    main()
