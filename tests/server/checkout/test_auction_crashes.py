"""PostgreSQL is killed while two processes take bids: what was answered is in the book, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from overlay.frames import UserId
from overlay.log import open_redis
from overlay.ports import Actor, Refusal
from overlay.selling import Bid
from server.checkout.ports import StoreTrouble
from server.checkout.wiring import Checkout, checkout
from server.embedded import postgres
from server.store import migrate
from server.store.pool import open_pool

from .test_auctions import Saleroom
from .world import World, build, seed

BIDDERS, BIDS = 8, 12


class MortalStore:
    """A PostgreSQL that is killed and started again where it was."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server: postgres.Server | None = None

    async def start(self) -> str:
        self._server = await postgres.start(self._home / "postgres", self._home / "postgres.log")
        return self._server.url

    async def kill(self) -> None:
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGKILL)
        await self._server.stop()  # it is gone: this waits for the rest of it
        await self.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()


@pytest.fixture
async def store(store_directory: Path) -> AsyncIterator[MortalStore]:
    home = store_directory / "mortal"
    home.mkdir(mode=0o711)
    store = MortalStore(home)
    yield store
    await store.stop()


async def bid_on(
    shop: Checkout, world: World, auction: str, who: str, answered: asyncio.Queue[str], *, seed: int
) -> dict[str, str]:
    """One bidder's bids by command id: `accepted` or why not. Without an answer, the same bid again."""
    chance, told = random.Random(seed), dict[str, str]()
    for n in range(BIDS):
        most = 1_000 + 250 * n + chance.randrange(400)
        command = Bid(id=f"{who}-{n}"[-40:], auction_id=auction, max_minor=most)
        while command.id not in told:
            try:
                async with asyncio.timeout(30):
                    await shop.selling.sell(world.show_id, Actor(UserId(who), None, "A"), command)
                told[command.id] = "accepted"
            except Refusal as refusal:
                told[command.id] = refusal.code
            except (StoreTrouble, TimeoutError):
                await asyncio.sleep(0.1)
        answered.put_nowait(command.id)
    return told


async def test_postgres_is_killed_under_the_bids(store: MortalStore, redis_url: str) -> None:
    url = await store.start()
    await migrate.upgrade(url)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url, max_size=8))
        redis = await stack.enter_async_context(open_redis(redis_url))
        world = build(pool, redis)
        await seed(world)
        saleroom, other = Saleroom(world), checkout(pool, redis, world.provider)
        auction = await saleroom.opened(await world.variant(1), duration_s=300)
        people = [await world.person() for _ in range(BIDDERS)]
        answered: asyncio.Queue[str] = asyncio.Queue()
        bidding = [
            asyncio.create_task(bid_on((world.checkout, other)[n % 2], world, auction, who, answered, seed=n))
            for n, who in enumerate(people)
        ]
        for _ in range(BIDDERS * BIDS // 3):
            await answered.get()
        await store.kill()
        told = {id: what for one in await asyncio.gather(*bidding) for id, what in one.items()}
        await world.teller.close()
        await other.teller.close()

        assert set(told.values()) <= {"accepted", "bid_too_low"}
        rows = await pool.fetch("SELECT n, command_id, user_id::text, max_minor FROM auction_book ORDER BY n")
        assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
        assert {row["command_id"] for row in rows} == {id for id, what in told.items() if what == "accepted"}
        charging = asyncio.create_task(world.queue.run())
        await saleroom.closed(auction)
        charging.cancel()
        best = max(rows, key=lambda row: (row["max_minor"], -row["n"]))
        ((winner, _, state),) = await saleroom.offers(auction)
        assert (winner, state) == (best["user_id"], "paid")
        await world.teller.close()
        await world.gatekeeper.close()
        await other.gatekeeper.close()
