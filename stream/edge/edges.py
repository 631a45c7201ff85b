"""What a node pulls from others, and for how long.

    asked for ──▶ looking ── an origin ──▶ pulling ── nobody watches for `LINGER_S` ──▶ over
                     ▲                        │
                     └── closed, silent, leaving ──┘      the old pull stays until the new one has a keyframe

One keeper a broadcast. It also begins by itself where a broadcast that is watched here has lost its host: the
host may have moved to another node, and then what was an origin becomes an edge. Nobody pulls from an edge,
so there are no loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import aiohttp

from stream.ports import Admission, BroadcastId, BroadcastState, Grant, Origin, Origins, Purpose
from stream.sessions import Sessions
from stream.signal.errors import SignalError
from stream.wire.dtls import DtlsContext

from .pull import Line, Means, Pull
from .whep import PullError

log = logging.getLogger(__name__)

LINGER_S = 5.0
REACH_S = 4.0
"""How long a viewer's offer waits for the picture to come from an origin."""
START_S = 5.0
"""From an origin's answer to its first keyframe here."""
QUIET_S = 0.8
"""Without a packet of any kind (sound alone sends fifty a second): somebody else may have the picture."""
BROKEN_S = 3.0
"""Quiet, though the origin says that it is live: the session is begun again."""
LOOK_S = 0.25
_STEP_S = 0.02
_ASK_S = 3.0


class Edges:
    """`sweep` it with the sessions, `stop` it before them."""

    def __init__(
        self, sessions: Sessions, origins: Origins, http: aiohttp.ClientSession, dtls: DtlsContext, host: str
    ) -> None:
        self._sessions = sessions
        self._origins = origins
        self._http, self._dtls, self._host = http, dtls, host
        self._keepers: dict[BroadcastId, _Keeper] = {}
        self.is_stopped = False

    def __len__(self) -> int:
        return len(self._keepers)

    def pulls(self) -> dict[BroadcastId, Pull]:
        """What is pulled at this moment."""
        return {id: held.pull for id, held in self._keepers.items() if held.pull is not None}

    async def reach(self, broadcast: BroadcastId) -> None:
        """See to it that the broadcast is here, if it is anywhere; returns when it is, or after `REACH_S`."""
        held = self._sessions.broadcasts.get(broadcast)
        if held is not None and held.state is not BroadcastState.IDLE:
            return
        keeper = self._keepers.get(broadcast)
        if keeper is None:
            if await self.look(broadcast) is None:
                return
            keeper = self._keepers.get(broadcast) or self._keep(broadcast)
        await keeper.wait_for_picture()

    def sweep(self, now: float) -> None:
        for broadcast in self._sessions.broadcasts.values():
            is_lost = broadcast.state is BroadcastState.AWAY and broadcast.is_watched
            if is_lost and broadcast.id not in self._keepers:
                self._keep(broadcast.id)

    async def stop(self) -> None:
        self.is_stopped = True  # should a cancellation get lost in what we were handed
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.task.cancel()
        await asyncio.gather(*(keeper.task for keeper in keepers), return_exceptions=True)

    async def look(self, broadcast: BroadcastId) -> Origin | None:
        try:
            async with asyncio.timeout(_ASK_S):
                return await self._origins.origin_of(broadcast)
        except Exception as error:
            log.warning("nobody can say who has the picture: %r", error)
            return None

    def _keep(self, broadcast: BroadcastId) -> _Keeper:
        async def ticket() -> str:
            try:
                async with asyncio.timeout(_ASK_S):
                    return await self._origins.ticket(broadcast)
            except Exception as error:
                raise PullError("ticket_unavailable", repr(error)) from error

        means = Means(self._http, self._dtls, self._host, ticket)
        keeper = self._keepers[broadcast] = _Keeper(self, self._sessions, broadcast, means)
        keeper.task.add_done_callback(lambda _: self._keepers.pop(broadcast, None))
        return keeper


class _Keeper:
    """Keeps one broadcast here while somebody watches it."""

    def __init__(self, edges: Edges, sessions: Sessions, broadcast_id: BroadcastId, means: Means) -> None:
        self.pull: Pull | None = None
        self._edges, self._sessions, self._means = edges, sessions, means
        self._broadcast = sessions.broadcast(broadcast_id)
        self._line = Line()
        self._waiting = 0
        self._seen = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watched_at = self._loop.time()
        self._goodbyes: set[asyncio.Task[None]] = set()
        self.task = asyncio.create_task(self._run(), name=f"edge-{broadcast_id}")

    async def wait_for_picture(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(REACH_S):
                await self._seen.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1

    async def _run(self) -> None:
        try:
            while not self._is_over():
                origin = await self._edges.look(self._broadcast.id) if self._wants_origin() else None
                if origin is not None and not self._has(origin):
                    await self._pull_from(origin)
                elif self.pull is None:
                    self._seen.set()  # in vain
                await asyncio.sleep(LOOK_S)
        finally:
            self._seen.set()
            self._let_go(self.pull, "unwatched")
            if self._broadcast.publisher is None and not self._broadcast.is_watched:
                self._end("unwatched")
            await asyncio.gather(*self._goodbyes, return_exceptions=True)

    def _end(self, reason: str) -> None:
        if self._sessions.broadcasts.get(self._broadcast.id) is self._broadcast:
            self._sessions.end(self._broadcast.id, reason)

    def _is_over(self) -> bool:
        """Ended, a host of its own again, or nobody here for a while."""
        broadcast, now = self._broadcast, self._loop.time()
        if self._edges.is_stopped or self._sessions.broadcasts.get(broadcast.id) is not broadcast:
            return True
        if self.pull is not None and self.pull.close_reason:
            self._let_go(self.pull, self.pull.close_reason)
        has_host = broadcast.publisher is not None and broadcast.publisher.is_origin
        if has_host and broadcast.state is BroadcastState.LIVE:
            return True
        if broadcast.is_watched or self._waiting:
            self._watched_at = now
        return now - self._watched_at > LINGER_S

    def _wants_origin(self) -> bool:
        pull = self.pull
        return pull is None or pull.is_leaving or self._loop.time() - pull.last_at > QUIET_S

    def _has(self, origin: Origin) -> bool:
        """It is the one we pull from, as far as it can be told; or it has no more than we have: nothing."""
        pull = self.pull
        if not origin.is_live and self._broadcast.state is not BroadcastState.IDLE:
            return True
        if pull is None or (pull.origin.node, pull.origin.boot) != (origin.node, origin.boot):
            return False
        return not (origin.is_live and self._loop.time() - pull.last_at > BROKEN_S)

    async def _pull_from(self, origin: Origin) -> None:
        """The new pull takes over with its first keyframe; one that doesn't get there is given up."""
        held, pull = self.pull, Pull(self._broadcast, origin, self._line, self._means)
        try:
            async with asyncio.timeout(START_S):
                await pull.begin()
                if pull.close_reason:
                    raise PullError("pull_closed", pull.close_reason)
                self._broadcast.take(pull)
                await self._settled(pull)
        except (PullError, SignalError, OSError, TimeoutError) as error:
            log.warning("the picture can't be had from %s: %s", origin.node, error)
        finally:
            is_ours = self._broadcast.publisher is pull and not pull.close_reason
            self.pull = pull if is_ours else held
            self._let_go(held if is_ours else pull, "replaced")
        if self.pull is pull:
            log.info("%s is pulled from %s", self._broadcast.id, origin.node)

    async def _settled(self, pull: Pull) -> None:
        """It has the picture, or there is none to have yet and it waits in charge."""
        await pull.connected.wait()
        if not pull.origin.is_live and self._broadcast.publisher is pull:
            self._broadcast.expect(self._loop.time())
            self._seen.set()
            return
        while not pull.close_reason:
            broadcast = self._broadcast
            if broadcast.publisher is pull and broadcast.video.codec and pull.has_picture:
                self._seen.set()
                return
            await asyncio.sleep(_STEP_S)

    def _let_go(self, pull: Pull | None, reason: str) -> None:
        if pull is None:
            return
        pull.close(reason)
        if pull is self.pull:
            self.pull = None
        goodbye = asyncio.create_task(pull.goodbye())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


class EdgeAdmission:
    """Admission that also fetches: who is let in to view finds the broadcast here, if it is anywhere."""

    def __init__(self, admission: Admission, edges: Edges) -> None:
        self._admission, self._edges = admission, edges

    async def redeem(self, ticket: str) -> Grant | None:
        grant = await self._admission.redeem(ticket)
        if grant is not None and grant.purpose is Purpose.VIEW and not grant.is_edge:
            with contextlib.suppress(TimeoutError):
                await self._edges.reach(grant.broadcast)
        return grant
