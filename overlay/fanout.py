"""A room's events of a tick → one frame of bytes → every connection. Never awaits a viewer.

A server's frame is not masked (RFC 6455 §5.1), so it is the same bytes for all: encoded once, framed once,
written to each connection as is. The first event goes out at once; what follows is gathered for a tick that
widens with the room, so a viewer's cost is bounded whatever the talk does. A large room is written in slices,
so that the loop breathes.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from overlay.frames import ServerFrame
from overlay.messages import AnyEvent, Events, Reset, Snapshot

TICK_PER_MEMBER_S = 50e-6
TICK_MIN_S, TICK_MAX_S = 0.005, 1.0
TICK_PER_WRITING = 5  # a fifth of the process at most, also where writing is slow
SLICE = 500
EVENTS_A_FRAME = 500
EVENTS_WAITING = 2_000

_encode = msgspec.json.Encoder().encode


def framed(payload: bytes) -> bytes:
    """One unmasked text frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def frame(message: ServerFrame) -> bytes:
    return framed(_encode(message))


def tick_s(members: int, wrote_s: float = 0.0) -> float:
    """How long to gather: 5 ms for a handful, 50 ms for a thousand, half a second for ten thousand; longer
    where the last frame took long to write."""
    return min(TICK_MAX_S, max(TICK_MIN_S, members * TICK_PER_MEMBER_S, wrote_s * TICK_PER_WRITING))


class Member(Protocol):
    """One connection in the room."""

    def write(self, frame: bytes, *, stale_soon: bool = False) -> None:
        """Returns at once. `stale_soon`: may be left out when the connection is slow."""
        ...


class Fanout:
    """Writes a room's events to its members, in order. `snapshot` gives the room as it is now."""

    def __init__(self, snapshot: Callable[[], Snapshot], observe: Callable[[float], None]) -> None:
        self.members: set[Member] = set()
        self._snapshot = snapshot
        self._observe = observe
        self._waiting: deque[AnyEvent] = deque()
        self._newcomers: dict[Member, int] = {}
        self._must_reset = False
        self._writing = False
        self._wake = asyncio.Event()

    def join(self, member: Member) -> None:
        """The member has been welcomed with the snapshot as it is now, so it skips the events in it."""
        self.members.add(member)
        if self._waiting or self._writing:
            self._newcomers[member] = self._snapshot().offset.number

    def leave(self, member: Member) -> None:
        self.members.discard(member)
        self._newcomers.pop(member, None)

    def offer(self, event: AnyEvent) -> None:
        """More events waiting than anybody could follow: the members get a snapshot in their place."""
        self._waiting.append(event)
        if len(self._waiting) > EVENTS_WAITING:
            self.reset()
        self._wake.set()

    def reset(self) -> None:
        """The members shall start from the snapshot as it will be when it is their turn."""
        self._waiting.clear()
        self._must_reset = True
        self._wake.set()

    def tell(self, message: ServerFrame) -> None:
        """Now, once, to those who keep up."""
        data = frame(message)
        for member in tuple(self.members):
            member.write(data, stale_soon=True)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._must_reset:
                began_s = loop.time()
                self._writing = True
                await self._write_next()
                self._writing = False
                wrote_s = loop.time() - began_s
                self._observe(wrote_s)
                await asyncio.sleep(tick_s(len(self.members), wrote_s))

    async def _write_next(self) -> None:
        if self._must_reset:
            self._must_reset = False
            self._waiting.clear()  # the snapshot holds them
            self._newcomers.clear()
            await self._write_all(frame(Reset(snapshot=self._snapshot())), ())
            return
        count = min(len(self._waiting), EVENTS_A_FRAME)
        events = tuple(self._waiting.popleft() for _ in range(count))
        await self._write_all(self._frame_of(events), events)
        if not self._waiting:
            self._newcomers.clear()

    async def _write_all(self, data: bytes, events: Sequence[AnyEvent]) -> None:
        members = tuple(self.members)
        for start in range(0, len(members), SLICE):
            for member in members[start : start + SLICE]:
                if self._newcomers and member in self._newcomers:
                    self._write_newer(member, events)
                else:
                    member.write(data)
            await asyncio.sleep(0)

    def _write_newer(self, member: Member, events: Sequence[AnyEvent]) -> None:
        known = self._newcomers[member]
        newer = tuple(event for event in events if event.n > known)
        if newer:
            member.write(self._frame_of(newer))

    def _frame_of(self, events: tuple[AnyEvent, ...]) -> bytes:
        return frame(Events(epoch=self._snapshot().offset.epoch, events=events))
