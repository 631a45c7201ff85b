"""What the relay keeps of a track: the last GOP for whoever joins, the last packets for whoever lost some.

Both are bounded in bytes and in seconds. A GOP that outgrows its bounds is let go whole, since without its
keyframe the rest is worth nothing; the next keyframe starts a new one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from dataclasses import dataclass, field

from .reception import GIVE_UP_S
from .source import Carried

RING_PACKETS = 1024  # as many as a lane's nonce guard remembers
RING_S = 3.0
RING_BYTES = 4 << 20
GOP_S = 12.0
GOP_BYTES = 12 << 20
REACH = 64
"""Packets by which the head of a keyframe may be late."""


class Ring:
    """Packets by extended sequence number, the newest `RING_PACKETS`."""

    def __init__(self) -> None:
        self._packets: dict[int, bytes] = {}
        self._order: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, seq: int, packet: bytes, now: float) -> None:
        if seq in self._packets:
            return
        self._packets[seq] = packet
        self._order.append((now, seq))
        self._bytes += len(packet)
        while self._order and (
            len(self._order) > RING_PACKETS or self._bytes > RING_BYTES or now - self._order[0][0] > RING_S
        ):
            self._bytes -= len(self._packets.pop(self._order.popleft()[1]))

    def get(self, seq: int) -> bytes | None:
        return self._packets.get(seq)

    def clear(self) -> None:
        self._packets.clear()
        self._order.clear()
        self._bytes = 0


@dataclass(slots=True)
class Frame:
    """One picture: its packets in order, as far as they have come."""

    timestamp: int
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    at: float = 0.0
    """When its first packet came."""

    @property
    def first_seq(self) -> int:
        return self.packets[0][0]

    @property
    def last_seq(self) -> int:
        return self.packets[-1][0]


class Gop:
    """Frames since the last keyframe, that one first. `generation` changes whenever it starts anew."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.generation = 0
        self._bytes = 0
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        """There is a keyframe to start from."""
        return bool(self.frames)

    def age_s(self, now: float) -> float:
        return now - self._since

    def add(self, carried: Carried, now: float) -> None:
        """The next packet in order; one that starts a keyframe starts the GOP."""
        last = self.frames[-1] if self.frames else None
        same = last is not None and last.timestamp == carried.timestamp
        if carried.starts_keyframe and not (same and len(self.frames) == 1):
            self._restart(carried.timestamp, now)
        elif not self.frames:
            return
        elif not same:
            self.frames.append(Frame(carried.timestamp, at=now))
        self.frames[-1].packets.append((carried.seq, carried.packet))
        self._bytes += len(carried.packet)
        if self._bytes > GOP_BYTES or now - self._since > GOP_S:
            self.clear()

    def add_late(self, carried: Carried) -> None:
        """A packet that was overtaken, into its frame, or as a frame of its own between the others."""
        if not self.frames or carried.seq < self.frames[0].first_seq - REACH:
            return
        place = bisect_left(self.frames, carried.seq, key=lambda frame: frame.first_seq)
        for frame in self.frames[max(0, place - 1) : place + 1]:
            if frame.timestamp == carried.timestamp:
                insort(frame.packets, (carried.seq, carried.packet))
                break
        else:
            if place == 0:
                return  # before the keyframe, and no part of it
            before = self.frames[place - 1]
            self.frames.insert(place, Frame(carried.timestamp, [(carried.seq, carried.packet)], before.at))
        self._bytes += len(carried.packet)

    def awaits_more(self, place: int, now: float) -> bool:
        """Between this frame and the next packets are missing that the publisher may still send again."""
        if place + 1 >= len(self.frames):
            return False
        following = self.frames[place + 1]
        is_missing = following.first_seq > self.frames[place].last_seq + 1
        return is_missing and now - following.at < GIVE_UP_S

    def get(self, seq: int) -> bytes | None:
        """A packet by its number: what was replayed may have left the ring long ago."""
        place = bisect_right(self.frames, seq, key=lambda frame: frame.first_seq) - 1
        packets = self.frames[place].packets if place >= 0 else []
        return next((packet for held, packet in packets if held == seq), None)

    def clear(self) -> None:
        self.frames = []
        self.generation += 1
        self._bytes = 0

    def _restart(self, timestamp: int, now: float) -> None:
        self.clear()
        self.frames = [Frame(timestamp, at=now)]
        self._since = now
