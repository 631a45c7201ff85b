"""The ways to sell put together: the same in every role."""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis.asyncio import Redis

from overlay.log import ShowLog
from server.checkout.gatekeeper import Gatekeeper
from server.checkout.ports import Gate
from server.checkout.selling import Counter
from server.checkout.ways.announcer import Announcer
from server.checkout.ways.drops import Drops
from server.checkout.ways.flash_sales import FlashSales
from server.checkout.ways.waitlists import Waitlists
from server.store.drops import DropStore
from server.store.flash import FlashStore
from server.store.pool import Pool
from server.store.waitlist import WaitlistStore


@dataclass(frozen=True, slots=True)
class Ways:
    flash_sales: FlashSales
    drops: Drops
    waitlists: Waitlists

    def counters(self) -> tuple[Counter, ...]:
        return (self.flash_sales, self.drops, self.waitlists)


def ways_parts(pool: Pool, redis: Redis, gate: Gate, gatekeeper: Gatekeeper) -> Ways:
    announcer = Announcer(ShowLog(redis), redis, gatekeeper)
    return Ways(
        flash_sales=FlashSales(FlashStore(pool), announcer, _now_ms),
        drops=Drops(pool, DropStore(pool), gate, announcer, _now_ms),
        waitlists=Waitlists(WaitlistStore(pool), gate, announcer),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
