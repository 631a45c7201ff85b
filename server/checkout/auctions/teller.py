"""Tells rooms and bidders of auctions right after the commit, a room's bids gathered for a tick.

Nothing waits for it and nothing is lost with it: an auction's row remembers up to which version its room was
told for certain, and the worker tells what is left (`tell`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from overlay.log import LogError, ShowLog
from overlay.room import BIDS_SHOWN
from overlay.selling import AuctionChanged, BidsPlaced, BidView, Standing, StandingView
from overlay.signals import publish_personal
from overlay.tasks import end
from server.checkout.auctions.views import auction_views
from server.checkout.ports import StoreTrouble
from server.store import auction_views as store
from server.store.database import Database
from server.store.pool import Pool

_LOG = logging.getLogger("hawker.auctions")
TICK_S = 0.1
_DEADLINE_S = 2.0
_PEOPLE_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an auction stands after a group of bids, and what is new."""

    show_id: str
    auction_id: str
    version: int
    bids: list[BidView]
    price_minor: int
    next_minor: int
    count: int
    leader: str | None
    ends_ms: int | None
    reserve_met: bool
    moved: dict[str, StandingView]
    """By person: those whose standing changed by others' bids."""


@dataclass(slots=True)
class _Pending:
    newest: Placed
    bids: list[BidView] = field(default_factory=list)
    moved: dict[str, StandingView] = field(default_factory=dict)

    def add(self, placed: Placed) -> None:
        """The newest ten lines of a flood are told; the book has them all."""
        self.newest = placed
        self.bids = [*self.bids, *placed.bids][-BIDS_SHOWN:]
        self.moved.update(placed.moved)


class Teller:
    def __init__(
        self,
        pool: Pool,
        log: ShowLog,
        redis: Redis,
        *,
        tick_s: float = TICK_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._log, self._redis = Database(pool), log, redis
        self._tick_s, self._wall_clock = tick_s, wall_clock
        self._pending: dict[str, _Pending] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}

    def placed(self, placed: Placed) -> None:
        """The first goes out at once, what follows within a tick goes together."""
        waiting = self._pending.setdefault(placed.auction_id, _Pending(placed))
        waiting.add(placed)
        if placed.auction_id not in self._telling:
            task = asyncio.create_task(self._tell_placed(placed.auction_id))
            self._telling[placed.auction_id] = task
            task.add_done_callback(lambda _: self._telling.pop(placed.auction_id, None))

    async def close(self) -> None:
        """Tell what was gathered, bounded; a worker tells what is left."""
        telling = list(self._telling.values())
        if telling:
            await asyncio.wait(telling, timeout=_DEADLINE_S)
        await end(telling)

    async def _tell_placed(self, auction_id: str) -> None:
        while waiting := self._pending.pop(auction_id, None):
            await self._quietly(self._append_bids(waiting.newest, waiting.bids))
            await self.standings(waiting.moved)
            await asyncio.sleep(self._tick_s)

    async def _append_bids(self, placed: Placed, bids: list[BidView]) -> None:
        event = BidsPlaced(
            n=0,
            at_ms=self._now_ms(),
            auction_id=placed.auction_id,
            bids=tuple(bids),
            price_minor=placed.price_minor,
            next_minor=placed.next_minor,
            count=placed.count,
            leader=placed.leader,
            ends_ms=placed.ends_ms,
            reserve_met=placed.reserve_met,
        )
        await self._log.append(placed.show_id, f"auction:{placed.auction_id}:{placed.version}", event)

    async def changed(self, auction_id: str) -> None:
        """A step of the auction's; what can't be told now is told later."""
        await self._quietly(self.tell(auction_id, again=False))

    async def tell(self, auction_id: str, *, again: bool = True) -> int:
        """Tell the room the auction as it is; the version that was told.

        `again`: it may have been told before, by news that overtook each other. Raises LogError,
        StoreTrouble.
        """
        async with self._database.transaction() as connection:
            rows = await store.auctions(connection, [auction_id])
            views = await auction_views(connection, rows)
        for row, view in zip(rows, views, strict=True):
            event = AuctionChanged(n=0, at_ms=self._now_ms(), auction=view)
            event_id = f"auction:{row.id}:{row.version}{':again' if again else ''}:{row.state}"
            await self._log.append(row.show_id, event_id, event)
            return row.version
        return 0

    async def standings(self, moved: dict[str, StandingView]) -> None:
        """Tell people where they stand; who is not there asks over HTTP."""
        people = list(moved.items())
        for start in range(0, len(people), _PEOPLE_AT_ONCE):
            some = people[start : start + _PEOPLE_AT_ONCE]
            await asyncio.gather(*(self._quietly(self._standing(who, view)) for who, view in some))

    async def _standing(self, user_id: str, view: StandingView) -> None:
        await publish_personal(self._redis, user_id, Standing(standing=view))

    async def _quietly(self, telling: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await telling
        except (LogError, RedisError, StoreTrouble, OSError, TimeoutError) as error:
            _LOG.info("auction_not_told", extra={"error": f"{type(error).__name__}: {error}"})

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)
