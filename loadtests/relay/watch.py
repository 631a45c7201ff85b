"""What a viewer of the synthetic stream saw: loss, order, repeats, delay. Pure: packets in, figures out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from loadtests.relay.signalling import AUDIO, VIDEO
from loadtests.relay.stream import Mark, payload, read_mark

_FRAMES_OPEN = 300
"""Frames that may be incomplete at once before the oldest is given up: ten seconds."""


@dataclass(slots=True)
class Numbers:
    """The sequence numbers of one SSRC."""

    received: int = 0
    repeated: int = 0
    reordered: int = 0
    _first: int = -1
    _top: int = -1
    _seen: set[int] = field(default_factory=set)

    def take(self, seq: int) -> None:
        if self._top < 0:
            self._first = self._top = index = seq + 0x10000
        else:
            index = self._top + ((seq - self._top + 0x8000) & 0xFFFF) - 0x8000
        if index in self._seen:
            self.repeated += 1
            return
        self._seen.add(index)
        self.received += 1
        self.reordered += index < self._top
        self._first, self._top = min(self._first, index), max(self._top, index)

    @property
    def lost(self) -> int:
        return self._top - self._first + 1 - self.received if self._top >= 0 else 0


@dataclass(slots=True)
class _Open:
    """A frame of which packets are still missing."""

    packets: set[int] = field(default_factory=set)
    last_left_ns: int = 0
    arrived_ns: int = 0


class Watch:
    """`since_ns`: frames that left the publisher before (a replayed GOP) are checked, but have no delay."""

    def __init__(self, since_ns: int) -> None:
        self.video, self.audio = Numbers(), Numbers()
        self.delta_delays_ms: list[float] = []
        self.key_delays_ms: list[float] = []
        self.first_keyframe_ns = 0
        """Arrival of the last packet that the first decodable frame needs."""
        self.frames = 0
        self.given_up = 0
        self._since_ns = since_ns
        self._open: dict[int, _Open] = {}

    def take(self, packet: bytes, at_ns: int) -> None:
        """One decrypted RTP packet, arrived at `at_ns` of the wall clock."""
        kind = packet[1] & 0x7F
        seq = int.from_bytes(packet[2:4], "big")
        if kind == AUDIO:
            self.audio.take(seq)
        elif kind == VIDEO:
            self.video.take(seq)
            mark = read_mark(payload(packet))
            if mark is not None:
                self._take_mark(mark, at_ns)

    def _take_mark(self, mark: Mark, at_ns: int) -> None:
        frame = self._open.setdefault(mark.frame, _Open())
        frame.packets.add(mark.packet)
        frame.last_left_ns = max(frame.last_left_ns, mark.left_at_ns)
        frame.arrived_ns = max(frame.arrived_ns, at_ns)
        if len(frame.packets) == mark.packets:
            del self._open[mark.frame]
            self._complete(mark, frame)
        elif len(self._open) > _FRAMES_OPEN:
            del self._open[min(self._open)]
            self.given_up += 1

    def _complete(self, mark: Mark, frame: _Open) -> None:
        self.frames += 1
        if mark.key and not self.first_keyframe_ns:
            self.first_keyframe_ns = frame.arrived_ns
        if frame.last_left_ns < self._since_ns:
            return
        delays = self.key_delays_ms if mark.key else self.delta_delays_ms
        delays.append((frame.arrived_ns - frame.last_left_ns) / 1e6)


def percentile(values: list[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)] if ordered else 0.0
