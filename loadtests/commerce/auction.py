"""`make bench-auction`: five hundred bidders in the last ten seconds of an auction.

Overlays, worker, PostgreSQL, Valkey and the payment simulator as in production, under the real supervisor;
bidders on websockets of their own, two bids a second each, until after the close. Meanwhile one of the
overlays and Valkey are killed. What everybody was told is then held against the book, and the winner and the
price are worked out from the book by arithmetic of its own. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import uvloop
from websockets.asyncio.client import connect

from loadtests.commerce import rig
from loadtests.commerce.books import read_books
from loadtests.commerce.crowd import Crowd, tell
from loadtests.commerce.rig import Rig, Role
from loadtests.commerce.shop import BenchShop, open_shop, scratch
from overlay.log import open_redis
from server.tickets import RoomTicket, Tickets

Row = Mapping[str, Any] | asyncpg.Record
BIDDERS = 500
OVERLAYS, CROWDS = 2, 2
LAST_S = 10.0
DURATION_S, EXTENSION_S, MAX_EXTENSION_S = 12, 5, 4
AFTER_S = 3.0  # bidders don't stop at the hammer
SETTLED_S = 60.0
KILL_AFTER_S = 2.5  # the overlay; Valkey after twice that
CALM_S = 0.5  # after everybody is back, what had queued up is worked off
START_MINOR, INCREMENT_MINOR = 1_000, 10


@dataclass(frozen=True, slots=True)
class Told:
    """What one bid's bidder was told; Unix seconds of this machine, whose clock PostgreSQL has, too."""

    user: str
    id: str
    sent_s: float
    answered_s: float
    told: str


@dataclass
class Kills:
    """When something was killed until everybody was in the room again."""

    windows: list[tuple[float, float]] = field(default_factory=list)

    def touches(self, told: Told) -> bool:
        return any(told.sent_s <= end and told.answered_s >= start for start, end in self.windows)


class Host:
    """The one who holds the auction, over a websocket like everybody."""

    def __init__(self, shop_rig: Rig, shop: BenchShop, user_id: str) -> None:
        self._rig, self._shop, self._user_id = shop_rig, shop, user_id

    async def ask(self, *commands: dict[str, Any]) -> None:
        async with open_redis(self._rig.redis_url) as redis:
            ticket = RoomTicket(self._shop.show_id, self._user_id, None, "Host", ("host",))
            token = await Tickets(redis).issue(ticket)
        async with connect(self._rig.url("overlay-1", "ws")) as socket:
            hello = {"type": "hello", "protocol": 1, "show_id": self._shop.show_id, "ticket": token}
            await socket.send(json.dumps(hello))
            for command in commands:
                id = uuid4().hex
                await socket.send(json.dumps({"id": id, **command}))
                await self._answered(socket, id)

    async def _answered(self, socket: Any, id: str) -> None:
        async with asyncio.timeout(10):
            async for message in socket:
                said = msgspec.json.decode(message)
                if said.get("id") == id:
                    if said["type"] != "ack":
                        raise RuntimeError(f"the auction could not be held: {said}")
                    return


async def measure(bidders: int) -> dict[str, object]:
    names = [*(f"overlay-{n}" for n in range(OVERLAYS)), "worker", "simulator"]
    ports = dict(zip(names, rig.free_ports(len(names)), strict=True))
    ports["overlay"] = ports["overlay-0"]
    with scratch("auction") as directory:
        async with rig.opened(directory, ports) as shop_rig:
            shop = await open_shop(shop_rig.database_url, buyers=bidders + 1, units=1)
            await rig.give_cards(shop_rig, shop, [("pm_card_visa",)] * (bidders + 1))
            host, _ = await rig.make_owner(shop_rig.database_url, shop)
            await shop_rig.start(Role("simulator", "simulator", ports["simulator"]))
            await shop_rig.start(*(Role(n, n.split("-")[0], ports[n]) for n in names[:-1]))
            found = await _auction(shop_rig, shop, Host(shop_rig, shop, host), shop.buyers[:-1])
            return {**found, "overlays": OVERLAYS, "cores": os.cpu_count()}


async def _auction(shop_rig: Rig, shop: BenchShop, host: Host, people: list[Any]) -> dict[str, object]:
    crowds: list[Crowd] = []
    try:
        for n in range(CROWDS):
            what = {
                "ports": [shop_rig.ports[f"overlay-{m}"] for m in range(OVERLAYS)],
                "redis_url": shop_rig.redis_url,
                "show_id": shop.show_id,
                "users": people[n::CROWDS],
            }
            crowds.append(await Crowd.start("loadtests.commerce.auction_bidders", what))
        async with asyncio.timeout(120):
            entered = await asyncio.gather(*(crowd.hear("entered") for crowd in crowds))
        tell(f"{sum(entered)} bidders are in the room")
        auction_id, cap_s = await _opened(shop_rig, shop, host)
        at_s = cap_s - LAST_S
        go = {"auction_id": auction_id, "next_minor": START_MINOR, "at_s": at_s, "until_s": cap_s + AFTER_S}
        await asyncio.gather(*(crowd.say(go) for crowd in crowds))
        telling = [asyncio.create_task(crowd.hear("told")) for crowd in crowds]
        kills = await _kill(shop_rig, crowds, at_s)
        told = [Told(*one) for some in await asyncio.gather(*telling) for one in some]
        ups = await asyncio.gather(*(crowd.hear("ups_and_downs") for crowd in crowds))
        falls, again = (sum(column) for column in zip(*ups, strict=True))
        tell(f"{len(told)} bids; {falls} falls; told {again} times to ask again")
        return await _report(shop_rig, auction_id, told, kills)
    finally:
        await asyncio.gather(*(crowd.end() for crowd in crowds))


async def _opened(shop_rig: Rig, shop: BenchShop, host: Host) -> tuple[str, float]:
    """An auction whose clock runs: its id, and the latest second at which the hammer can fall."""
    terms = {
        "start_minor": START_MINOR,
        "increment_minor": INCREMENT_MINOR,
        "duration_s": DURATION_S,
        "extension_s": EXTENSION_S,
        "max_extension_s": MAX_EXTENSION_S,
    }
    await host.ask({"type": "announce_auction", "variant_id": shop.variant_id, **terms})
    connection = await asyncpg.connect(shop_rig.database_url)
    try:
        auction_id = await connection.fetchval("SELECT id::text FROM auctions")
        await host.ask({"type": "open_auction", "auction_id": auction_id})
        cap = await connection.fetchval("SELECT extract(epoch FROM cap_at)::float8 FROM auctions")
    finally:
        await connection.close()
    return auction_id, cap


async def _kill(shop_rig: Rig, crowds: list[Crowd], at_s: float) -> Kills:
    one_s = KILL_AFTER_S
    windows = await asyncio.gather(
        _killed(shop_rig, crowds, "overlay-0", at_s + one_s),
        _killed(shop_rig, crowds, "valkey", at_s + 2 * one_s),
    )
    return Kills(list(windows))


async def _killed(shop_rig: Rig, crowds: list[Crowd], name: str, when_s: float) -> tuple[float, float]:
    """From the kill until it runs again and everybody is in the room."""
    await asyncio.sleep(when_s - time.time())
    start, pid = time.time(), shop_rig.box.supervisor.pids().get(name)
    if not shop_rig.kill(name):
        raise RuntimeError(f"{name} was not running when it was to be killed")
    async with asyncio.timeout(30):
        while shop_rig.box.supervisor.pids().get(name) in (None, pid):
            await asyncio.sleep(0.05)
        for crowd in crowds:
            await crowd.all_here.wait()
    tell(f"killed {name}; all well again after {time.time() - start:.1f} s")
    return start, time.time() + CALM_S


# What came of it


async def _report(shop_rig: Rig, auction_id: str, told: list[Told], kills: Kills) -> dict[str, object]:
    connection = await asyncpg.connect(shop_rig.database_url)
    try:
        await _settled(connection)
        row = await connection.fetchrow(_AUCTION, auction_id)
        book = await connection.fetch(_BOOK, auction_id)
        offers = await connection.fetch(_OFFERS, auction_id)
    finally:
        await connection.close()
    assert row is not None
    accepted = {(t.user, t.id) for t in told if t.told == "accepted"}
    written = {(line["user_id"], line["command_id"]) for line in book}
    calm = sorted((t.answered_s - t.sent_s) * 1000 for t in told if t.told and not kills.touches(t))
    violations = await read_books(shop_rig.database_url, provider_audit=None, told=[])
    for violation in violations[:8]:
        tell(f"{violation.kind}: {violation.subject}: {violation.expected}, is {violation.found}")
    return {
        "bids": len(told),
        "accepted": len(accepted),
        "winner_ok": winner_ok(book, offers) and row["state"] == "sold" and not violations,
        "late_accepted": late(row, book, told),
        "missing_from_book": len(accepted - written),
        "kills": len(kills.windows),
        "p99_ms": round(calm[int(len(calm) * 0.99)]),
        "p50_ms": round(calm[len(calm) // 2]),
        "unanswered": sum(not t.told for t in told),
        "gaps_in_book": len(book) - max((line["n"] for line in book), default=0),
        "bids_per_s": round(len([t for t in told if t.sent_s <= row["ends"]]) / LAST_S),
        "measured": len(calm),
    }


_AUCTION = """
SELECT state, extract(epoch FROM ends_at)::float8 AS ends, latency_window_ms / 1000.0::float8 AS window
FROM auctions WHERE id = $1
"""
_BOOK = """
SELECT n, user_id::text, command_id, max_minor, extract(epoch FROM received_at)::float8 AS received,
       extract(epoch FROM decided_at)::float8 AS decided FROM auction_book WHERE auction_id = $1 ORDER BY n
"""
_OFFERS = """
SELECT f.user_id::text, f.price_minor, o.state, o.subtotal_minor, (SELECT count(*) FROM orders) AS orders
FROM auction_offers f JOIN orders o ON o.id = f.order_id WHERE f.auction_id = $1
"""


async def _settled(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async with asyncio.timeout(SETTLED_S):
        while await connection.fetchval("SELECT state NOT IN ('sold', 'unsold') FROM auctions"):
            await asyncio.sleep(0.2)


def winner_ok(book: Sequence[Row], offers: Sequence[Row]) -> bool:
    """One paid order, for the highest maximum (the earlier of equals), at the second price."""
    best: dict[str, tuple[int, int]] = {}
    for line in book:
        best[line["user_id"]] = max(
            best.get(line["user_id"], (0, 0)), (line["max_minor"], -line["n"]), key=lambda b: b[0]
        )
    ranked = sorted(best.items(), key=lambda item: item[1], reverse=True)
    if not ranked or len(offers) != 1:
        return False
    price = START_MINOR if len(ranked) < 2 else min(ranked[0][1][0], ranked[1][1][0] + INCREMENT_MINOR)
    offer = offers[0]
    right = (ranked[0][0], price, "paid", price, 1)
    found = tuple(offer[name] for name in ("user_id", "price_minor", "state", "subtotal_minor", "orders"))
    if right != found:
        tell(f"winner, price, state, subtotal, orders: should be {right}, is {found}")
    return right == found


def late(row: Row, book: Sequence[Row], told: Sequence[Told]) -> int:
    """Accepted though decided, or first sent, after the hammer and its latency window."""
    closed = row["ends"] + row["window"]
    sent_late = {(t.user, t.id) for t in told if t.told == "accepted" and t.sent_s > closed}
    decided_late = {(line["user_id"], line["command_id"]) for line in book if line["decided"] > closed}
    return len(sent_late | decided_late)


def main() -> None:
    parser = argparse.ArgumentParser(description="The last ten seconds of an auction, with kills.")
    parser.add_argument("--bidders", type=int, default=BIDDERS)
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(args.bidders))))


if __name__ == "__main__":
    main()
