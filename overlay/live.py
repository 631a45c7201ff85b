"""A live room in one process: the state, kept in step with the show log, and its members.

Events arrive by pub/sub and are applied when they are the next. Whatever does not fit (a gap, another epoch,
a number seen before with another event) is never guessed at: the room reads the log. It also does so every
few seconds, so a lost message is found without a later one. Three things can have happened to the log:

- it went on: the missing entries are applied and shown;
- it was wiped: whoever holds the state gives the new epoch its base; members start again from a snapshot;
- it lost its end (a failover): the state held here and what was written since are joined into a new epoch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from overlay.crowd import Crowd
from overlay.fanout import Fanout
from overlay.frames import Offset, ShowId
from overlay.log import HISTORY, Entry, LogUnavailable, ShowLog, Stored
from overlay.messages import AnyEvent, Snapshot
from overlay.moderation import RANK
from overlay.ports import Actor, Shop
from overlay.room import apply, opened
from overlay.tasks import end

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
RETRY_AFTER_S = 0.3
CHECKPOINT_EVERY = 500
TRIES = 5


class LiveRoom:
    """`await open()` first. `state` is what everything else reads; only events change it."""

    def __init__(
        self,
        show_id: ShowId,
        log: ShowLog,
        shop: Shop,
        crowd: Crowd,
        *,
        observe_fanout: Callable[[float], None],
        observe_event: Callable[[str], None],
    ) -> None:
        self.show_id = show_id
        self.crowd = crowd
        self.actors: dict[Any, Actor] = {}
        self.fanout = Fanout(lambda: self.state, observe_fanout)
        self.state: Snapshot
        self._log = log
        self._shop = shop
        self._observe_event = observe_event
        self._recent: deque[Entry] = deque(maxlen=HISTORY)
        self._based_at = 0
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Load the room and begin to follow its log. Raises LogUnavailable, or whatever Shop.seed raises."""
        seed = await self._shop.seed(self.show_id)
        start = opened(
            Offset("", 0),
            seed.show_state,
            seed.pin,
            seed.stock,
            seed.picture,
            seed.flashes,
            seed.drops,
            seed.auctions,
        )
        self._hold(await self._load(start))
        self._tasks = [asyncio.create_task(self.fanout.run()), asyncio.create_task(self._follow())]

    async def close(self) -> None:
        await end(self._tasks)

    # --- members ---

    @property
    def viewers(self) -> int:
        """Connections of people who are not staff."""
        return sum(not actor.roles for actor in self.actors.values())

    def missed(self, offset: Offset) -> tuple[AnyEvent, ...] | None:
        """The events after an offset; None when it is unknown here or too long ago."""
        at = self.state.offset
        oldest = self._recent[0].event.n - 1 if self._recent else at.number
        if offset.epoch != at.epoch or not oldest <= offset.number <= at.number:
            return None
        return tuple(entry.event for entry in self._recent if entry.event.n > offset.number)

    def badge_of(self, user_id: str) -> str | None:
        """The highest role a person is known to hold: from a connection here, or from a comment."""
        roles = {role for actor in self.actors.values() if actor.user_id == user_id for role in actor.roles}
        badges = {view.badge for view in self.state.comments if view.user_id == user_id and view.badge}
        return max((roles | badges) & RANK.keys(), key=RANK.__getitem__, default=None)

    # --- the log ---

    def receive(self, epoch: str, entry: Entry) -> None:
        """An entry as it was published."""
        at = self.state.offset
        if epoch == at.epoch and entry.event.n == at.number + 1:
            self._apply(entry)
        elif epoch != at.epoch or entry.event.n > at.number or self._contradicts(entry):
            self.look()

    def look(self) -> None:
        """Compare with the log soon."""
        self._look.set()

    def _apply(self, entry: Entry) -> None:
        self.state = apply(self.state, entry.event)
        self._recent.append(entry)
        self._observe_event(type(entry.event).__struct_config__.tag)  # type: ignore[arg-type]
        self.fanout.offer(entry.event)

    def _contradicts(self, entry: Entry) -> bool:
        """Whether the room holds another event under the entry's number."""
        back = self.state.offset.number - entry.event.n
        return 0 <= back < len(self._recent) and self._recent[-1 - back].event_id != entry.event_id

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self._catch_up()
                await self._checkpoint()
            except LogUnavailable as error:
                logger.warning("room %s cannot read its log: %s", self.show_id, error)
                await asyncio.sleep(RETRY_AFTER_S)
                self._look.set()
            except Exception:
                logger.exception("room %s could not catch up with its log", self.show_id)
                await asyncio.sleep(RETRY_AFTER_S)

    async def _catch_up(self) -> None:
        last = self._recent[-1].event_id if self._recent else None
        entries = await self._log.tail(self.show_id, self.state.offset, last)
        if entries is None:
            await self._start_again()
            return
        for entry in entries:
            self.receive(self.state.offset.epoch, entry)

    async def _start_again(self) -> None:
        stored = await self._load(self.state)
        if self._was_cut(stored):
            logger.warning("the log of room %s lost its end: beginning a new epoch", self.show_id)
            await self._log.open(self.show_id, self._joined(stored), replaces=stored.offset)
            stored = await self._load(self.state)
        logger.info("room %s starts from offset %s", self.show_id, stored.offset)
        self._hold(stored)
        self.fanout.reset()

    async def _load(self, base: Snapshot) -> Stored:
        """The log whole; it is given `base` where it has none, and a new epoch where it has a hole."""
        hole: Offset | None = None
        for _ in range(TRIES):
            stored = await self._log.whole(self.show_id)
            if isinstance(stored, Stored):
                return stored
            await self._log.open(self.show_id, base, replaces=hole)
            hole = stored
        raise LogUnavailable("the log changes faster than it can be read")

    def _hold(self, stored: Stored) -> None:
        state = stored.base
        for entry in stored.entries:
            if entry.event.n > state.offset.number:
                state = apply(state, entry.event)
        self.state = state
        self._based_at = stored.base.offset.number
        self._recent = deque(stored.entries, maxlen=HISTORY)

    def _was_cut(self, stored: Stored) -> bool:
        """Whether the log holds less than, or other than, what was read from it before."""
        if stored.offset.epoch != self.state.offset.epoch:
            return False
        return stored.offset.number < self.state.offset.number or any(map(self._contradicts, stored.entries))

    def _joined(self, stored: Stored) -> Snapshot:
        known, state = {entry.event_id for entry in self._recent}, self.state
        for entry in stored.entries:
            if entry.event_id not in known:
                state = apply(state, replace(entry.event, n=state.offset.number + 1))
        return state

    async def _checkpoint(self) -> None:
        if self.state.offset.number - self._based_at >= CHECKPOINT_EVERY:
            state = self.state
            await self._log.checkpoint(self.show_id, state)
            self._based_at = state.offset.number
