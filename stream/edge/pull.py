"""One pull: a broadcast as one origin has it, a WHEP session a layer, into our broadcast of the same name.

All layers on air are pulled, whether somebody watches each or not: a viewer changes layers at the next
keyframe and can't wait for a session to begin, and three layers cost the path between two nodes half as much
again as the best one alone. The first session carries the sound, too, and the origin's events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from stream.broadcast import Broadcast, Layer
from stream.ends import BroadcastViewer
from stream.intake import TURN_S, Intake
from stream.ports import Origin
from stream.signal.errors import SignalError
from stream.wire.dtls import DtlsContext
from stream.wire.ice import Credentials

from . import whep
from .description import read_answer, write_offer
from .link import Link
from .whep import PullError, Resource

log = logging.getLogger(__name__)

MAX_LEGS = 4
_EVENTS_AGAIN_S = 1.0


@dataclass(slots=True)
class Line:
    """The line of timestamps that a broadcast is on: the origin's name for it, and what we move it by.

    The latter by kind of track. Whoever pulls the same broadcast of the same origin again goes on without a
    seam.
    """

    cname: str = ""
    offsets: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Means:
    """What pulling takes: the node's HTTP client, its certificate, its address, tickets."""

    http: aiohttp.ClientSession
    dtls: DtlsContext
    host: str
    ticket: Callable[[], Awaitable[str]]


class Leg:
    """One WHEP session of a pull: a layer, the first with sound."""

    def __init__(self, pull: Pull, layer: Layer[BroadcastViewer], means: Means, *, audio: bool) -> None:
        self.layer = layer
        self.link: Link | None = None
        self.resource: Resource | None = None
        self.intake: Intake | None = None
        self._pull, self._means, self._audio = pull, means, audio

    async def begin(self, rid: str) -> None:
        """PullError, or SignalError when the answer won't do."""
        means, pull, local = self._means, self._pull, Credentials.random()
        text = write_offer(local, means.dtls.fingerprint, audio=self._audio)
        self.resource, answer = await whep.begin(means.http, pull.origin.url, await means.ticket(), text)
        remote = read_answer(answer)
        offsets = pull.offsets_on(remote.cname)
        self.intake = Intake(
            pull, pull.broadcast, remote.media, self._send, layer=self.layer, offsets=offsets
        )
        if rid:
            await self.resource.prefer(rid)
        if not pull.close_reason:
            loop = asyncio.get_running_loop()
            self.link = Link(self, local, remote, means.host, means.dtls, loop)

    def close(self, reason: str) -> None:
        if self.link is not None:
            self.link.close(reason)

    def _send(self, packet: bytes) -> bool:
        return self.link is not None and self.link.send_rtcp(packet)

    def link_connected(self) -> None:
        self._pull.leg_connected()

    def link_sent_rtp(self, packet: bytes, now: float) -> None:
        if self.intake is not None:
            self.intake.receive_rtp(packet, now)

    def link_sent_rtcp(self, compound: bytes, now: float) -> None:
        if self.intake is not None:
            self.intake.receive_rtcp(compound, now)

    def link_closed(self, reason: str) -> None:
        self._pull.leg_closed(self, reason)


class Pull:
    """A `BroadcastPublisher`. `begin` it once; it closes once, and `ended` is then set."""

    kind = "pull"
    is_origin = False

    def __init__(self, broadcast: Broadcast, origin: Origin, line: Line, means: Means) -> None:
        self.broadcast = broadcast
        self.origin = origin
        self.close_reason = ""
        self.is_leaving = False
        """The origin asked us to find another."""
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self._line, self._means = line, means
        self._loop = asyncio.get_running_loop()
        self._begun_at = self._loop.time()
        self._legs: dict[str, Leg | None] = {}
        """By rid, in the order of the broadcast's layers; None: to begin once the layer is on air again."""
        self._first: Leg | None = None
        self._offsets: dict[str, int] | None = None
        self._turns: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def last_at(self) -> float:
        """When the newest packet of any layer came."""
        arrivals = (leg.intake.last_at for leg in self._all() if leg.intake is not None)
        return max(arrivals, default=0.0) or self._begun_at

    @property
    def has_picture(self) -> bool:
        """A layer has had its first keyframe."""
        return any(leg.intake is not None and leg.intake.has_picture for leg in self._all())

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for leg in self._all():
            for event, count in (leg.intake.counts if leg.intake else {}).items():
                counts[event] = counts.get(event, 0) + count
        return counts

    async def begin(self) -> None:
        """Returns once the first session has its answer; PullError or SignalError, and then it is closed."""
        self._first = first = Leg(self, self.broadcast.video, self._means, audio=True)
        try:
            await first.begin("")
        except BaseException:
            self.close("pull_failed")
            raise
        if not self.close_reason and first.resource is not None:
            self._spawn(self._listen(first.resource))

    def offsets_on(self, cname: str) -> dict[str, int]:
        """What to move timestamps by on this line; it is found with the first packets of a new one."""
        if self._offsets is None:
            if not cname or self._line.cname != cname:
                self._line.cname, self._line.offsets = cname, {}
            self._offsets = self._line.offsets
        return self._offsets

    def leg_connected(self) -> None:
        self.connected.set()
        if self._turns is None:
            self._turns = self._loop.call_later(TURN_S, self._take_turn)

    def leg_closed(self, leg: Leg, reason: str) -> None:
        if self.close_reason:
            return
        if leg is self._first:
            self.close(reason)
        else:  # its layer is silent, and its viewers change to another; news of layers bring it back
            self._lose(leg)

    def request_keyframe(self, layer: Layer[BroadcastViewer]) -> None:
        for leg in self._all():
            if leg.layer is layer and leg.intake is not None:
                leg.intake.request_keyframe(layer)

    def close(self, reason: str) -> None:
        if self.close_reason:
            return
        self.close_reason = reason
        if self._turns is not None:
            self._turns.cancel()
        for task in self._tasks:
            task.cancel()
        for leg in self._all():
            leg.close(reason)
        self.broadcast.publisher_left(self, self._loop.time())
        self.connected.set()
        self.ended.set()

    async def goodbye(self) -> None:
        """After closing: the sessions at the origin are deleted, should the DTLS alert have been lost."""
        resources = [leg.resource for leg in self._all() if leg.resource is not None]
        await asyncio.gather(
            *(resource.delete() for resource in resources), *self._tasks, return_exceptions=True
        )

    def _all(self) -> list[Leg]:
        return [leg for leg in dict.fromkeys((self._first, *self._legs.values())) if leg is not None]

    def _take_turn(self) -> None:
        self._turns = self._loop.call_later(TURN_S, self._take_turn)
        now = self._loop.time()
        for leg in self._all():
            if leg.intake is not None:
                leg.intake.take_turn(now)
        self.broadcast.take_turn(self, now, TURN_S)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, resource: Resource) -> None:
        """To the origin's news, for as long as the pull lasts."""
        while not self.close_reason:
            try:
                async for event, data in resource.events():
                    if event == "reconnect":
                        self.is_leaving = True
                    elif event == "layers":
                        await self._follow_layers(resource, _rids(data))
            except (PullError, aiohttp.ClientError, OSError, TimeoutError, SignalError) as error:
                log.info("no news of an origin for a moment: %s", error)
            await asyncio.sleep(_EVENTS_AGAIN_S)

    async def _follow_layers(self, resource: Resource, rids: list[str]) -> None:
        """A session for each layer on air that has none; one that goes off the air keeps its own, silent."""
        for rid in rids:
            if len(self._legs) < MAX_LEGS:
                self._legs.setdefault(rid, None)
        layers = self.broadcast.announce(list(self._legs))
        for (rid, held), layer in zip(list(self._legs.items()), layers, strict=False):
            if held is None and rid in rids:
                await self._begin_leg(resource, rid, layer)

    async def _begin_leg(self, resource: Resource, rid: str, layer: Layer[BroadcastViewer]) -> None:
        if layer is self.broadcast.video and self._first is not None:
            await resource.prefer(rid)
            self._legs[rid] = self._first
            return
        leg = self._legs[rid] = Leg(self, layer, self._means, audio=False)
        try:
            await leg.begin(rid)
        except BaseException:
            self._lose(leg)
            leg.close("pull_failed")
            if leg.resource is not None:
                self._spawn(leg.resource.delete())
            raise

    def _lose(self, leg: Leg) -> None:
        self._legs = {rid: None if held is leg else held for rid, held in self._legs.items()}


def _rids(data: dict[str, Any]) -> list[str]:
    layers = data.get("0")
    found = (
        [layer.get("rid") for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    )
    return [rid for rid in found if isinstance(rid, str) and rid]
