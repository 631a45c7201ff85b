"""The rooms a process has open, and what it hears about them and about people.

A room opens with its first member and closes a while after its last. All rooms share one listener and one
pulse.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from overlay import signals
from overlay.crowd import Crowd
from overlay.frames import ShowId
from overlay.listener import Listener
from overlay.live import LiveRoom
from overlay.log import ShowLog, events_channel, parse_published
from overlay.messages import CloseCode, PersonalFrame, Pulse
from overlay.metrics import Metrics
from overlay.ports import Actor, Shop
from overlay.session import Session
from overlay.tasks import end

logger = logging.getLogger(__name__)

PULSE_EVERY_S = 1.0
STORE_DEADLINE_S = 1.0
VIEWERS_LAST_MS = 5_000
EMPTY_FOR_S = 30.0

_PERSONAL: msgspec.json.Decoder[PersonalFrame] = msgspec.json.Decoder(PersonalFrame)


class Rooms:
    """`await start()` first, `await stop()` last."""

    def __init__(self, process: str, redis: Redis, log: ShowLog, shop: Shop, metrics: Metrics) -> None:
        self._process = process
        self._redis = redis
        self._log = log
        self._shop = shop
        self._metrics = metrics
        self._rooms: dict[ShowId, LiveRoom] = {}
        self._opening: dict[ShowId, asyncio.Task[LiveRoom]] = {}
        self._empty_since: dict[ShowId, float] = {}
        self._by_channel: dict[str, Callable[[bytes], None]] = {signals.REVOKED_CHANNEL: self._revoked}
        self._by_user: defaultdict[str, set[Session]] = defaultdict(set)
        self._by_session: defaultdict[str, set[Session]] = defaultdict(set)
        self._listener = Listener(redis, self._heard, self._back)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._listener.subscribe(signals.REVOKED_CHANNEL)
        self._spawn(self._listener.run())
        self._spawn(self._pulse())

    async def stop(self) -> None:
        await end([*self._tasks, *self._opening.values()])
        for show_id in tuple(self._rooms):
            await self._close(show_id)

    @property
    def hears(self) -> bool:
        """Whether the store is heard just now."""
        return self._listener.hears

    def __len__(self) -> int:
        return len(self._rooms)

    # --- coming and going ---

    async def room(self, show_id: ShowId) -> LiveRoom:
        """The room, opened if need be, once for all who ask at the same time.

        Raises what LiveRoom.open raises.
        """
        if room := self._rooms.get(show_id):
            self._note_empty(room)
            return room
        opening = self._opening.get(show_id)
        if opening is None:
            opening = self._opening[show_id] = asyncio.create_task(self._open(show_id))
            opening.add_done_callback(lambda task: self._opened(show_id, task))
        return await asyncio.shield(opening)

    def _opened(self, show_id: ShowId, opening: asyncio.Task[LiveRoom]) -> None:
        del self._opening[show_id]
        if not opening.cancelled() and (error := opening.exception()):
            logger.info("room %s did not open: %r", show_id, error)

    def _note_empty(self, room: LiveRoom) -> None:
        if not room.actors:
            self._empty_since[room.show_id] = asyncio.get_running_loop().time()

    def enter(self, room: LiveRoom, member: Session, actor: Actor) -> None:
        """To be called right after the welcome was written, without an await in between."""
        room.actors[member] = actor
        room.fanout.join(member)
        self._empty_since.pop(room.show_id, None)
        if actor.user_id is not None:
            self._by_user[actor.user_id].add(member)
            self._by_channel[signals.user_channel(actor.user_id)] = self._personal(actor.user_id)
        if actor.session_id is not None:
            self._by_session[actor.session_id].add(member)

    async def leave(self, room: LiveRoom, member: Session, actor: Actor) -> None:
        room.actors.pop(member, None)
        room.fanout.leave(member)
        self._note_empty(room)
        if actor.session_id is not None:
            _remove(self._by_session, actor.session_id, member)
        if actor.user_id is not None and _remove(self._by_user, actor.user_id, member):
            channel = signals.user_channel(actor.user_id)
            self._by_channel.pop(channel, None)
            await self._listener.unsubscribe(channel)

    async def listen_for(self, actor: Actor) -> None:
        """Hear what is for this person alone."""
        if actor.user_id is not None:
            await self._listener.subscribe(signals.user_channel(actor.user_id))

    async def _open(self, show_id: ShowId) -> LiveRoom:
        room = LiveRoom(
            show_id,
            self._log,
            self._shop,
            Crowd(self._process),
            observe_fanout=self._metrics.fanout_s.observe,
            observe_event=lambda kind: self._metrics.events.labels(kind).inc(),
        )
        loop, channels = asyncio.get_running_loop(), _channels(show_id)
        try:
            for channel in channels:
                await self._listener.subscribe(channel)
            await room.open()
        except BaseException:
            await self._listener.unsubscribe(*channels)
            raise
        self._by_channel[channels[0]] = lambda data: room.receive(*parse_published(data))
        self._by_channel[channels[1]] = lambda data: room.crowd.hear(data, loop.time())
        self._rooms[show_id] = room
        room.look()  # for what was published between reading the log and hearing it
        self._note_empty(room)
        self._metrics.rooms.set(len(self._rooms))
        return room

    async def _close(self, show_id: ShowId) -> None:
        room = self._rooms.pop(show_id)
        self._empty_since.pop(show_id, None)
        self._metrics.rooms.set(len(self._rooms))
        for channel in _channels(show_id):
            self._by_channel.pop(channel, None)
        await self._listener.unsubscribe(*_channels(show_id))
        await room.close()

    # --- hearing ---

    def _heard(self, channel: str, data: bytes) -> None:
        if handle := self._by_channel.get(channel):
            handle(data)

    def _back(self) -> None:
        for room in self._rooms.values():
            room.look()
        self._spawn(self._close_revoked())

    def _personal(self, user_id: str) -> Callable[[bytes], None]:
        def handle(data: bytes) -> None:
            message = _PERSONAL.decode(data)
            for member in tuple(self._by_user.get(user_id, ())):
                member.send(message)

        return handle

    def _revoked(self, data: bytes) -> None:
        for member in tuple(self._by_session.get(data.decode(), ())):
            member.close(CloseCode.REVOKED, "the session was revoked: sign in again")

    async def _close_revoked(self) -> None:
        """Those revoked while the store was not heard."""
        try:
            async with asyncio.timeout(STORE_DEADLINE_S):
                revoked = await signals.revoked_recently(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("cannot read which sessions were revoked: %s", error)
            return
        for session_id in revoked & self._by_session.keys():
            self._revoked(session_id.encode())

    # --- the pulse ---

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(PULSE_EVERY_S)
            try:
                await self._beat()
            except Exception:
                logger.exception("the pulse missed a beat")

    async def _beat(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._metrics.store_up.set(self.hears)
        shares = {}
        for show_id, room in self._rooms.items():
            shares[show_id] = room.crowd.share(room.viewers)
            if pulse := room.crowd.pulse(room.viewers, now_s):
                room.fanout.tell(pulse)
        if shares and self.hears:
            await self._tell_others(shares)
        for show_id, since_s in tuple(self._empty_since.items()):
            if now_s - since_s > EMPTY_FOR_S:
                await self._close(show_id)

    async def _tell_others(self, shares: dict[ShowId, bytes]) -> None:
        try:
            async with asyncio.timeout(STORE_DEADLINE_S), self._redis.pipeline(transaction=False) as pipe:
                for show_id, share in shares.items():
                    pipe.publish(signals.pulse_channel(show_id), share)
                    count = self._rooms[show_id].crowd.viewers
                    pipe.set(signals.viewers_key(show_id), count, px=VIEWERS_LAST_MS)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("the others did not hear of our viewers: %s", error)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _channels(show_id: ShowId) -> tuple[str, str]:
    return events_channel(show_id), signals.pulse_channel(show_id)


def last_pulse(room: LiveRoom) -> Pulse:
    """For one who comes in between two pulses."""
    return Pulse(viewers=room.crowd.viewers, reactions={})


def _remove(index: dict[str, set[Session]], key: str, member: Session) -> bool:
    """Whether this was the last under its key."""
    members = index.get(key)
    if members is None:
        return False
    members.discard(member)
    if not members:
        del index[key]
    return not members
