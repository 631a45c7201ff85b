"""What a viewer of the synthetic stream saw: loss, order, repeats, delay. Pure: packets in, figures out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from loadtests.relay.signalling import OFFERED
from loadtests.relay.stream import payload, read_marks

_SLICE, _IDR, _FU_A = 1, 5, 28
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

    def take(self, seq: int) -> int | None:
        """The number without its wraps; None for one that was here before."""
        if self._top < 0:
            self._first = self._top = index = seq + 0x10000
        else:
            index = self._top + ((seq - self._top + 0x8000) & 0xFFFF) - 0x8000
        if index in self._seen:
            self.repeated += 1
            return None
        self._seen.add(index)
        self.received += 1
        self.reordered += index < self._top
        self._first, self._top = min(self._first, index), max(self._top, index)
        return index

    @property
    def lost(self) -> int:
        return self._top - self._first + 1 - self.received if self._top >= 0 else 0


@dataclass(slots=True)
class _Open:
    """A frame of which fragments are still missing; `parts` by number."""

    is_key: bool
    parts: dict[int, bytes] = field(default_factory=dict)
    first: int = -1
    last: int = -1
    arrived_ns: int = 0

    @property
    def is_whole(self) -> bool:
        return min(self.first, self.last) >= 0 and self.last - self.first + 1 == len(self.parts)

    def slice(self) -> bytes:
        return b"".join(self.parts[number] for number in range(self.first, self.last + 1))


class Watch:
    """Puts frames of one slice together again, however a relay has cut them.

    `since_ns`: frames that left the publisher before (a replayed GOP) are checked, but have no delay.
    """

    def __init__(self, since_ns: int, payload_types: dict[str, int] = OFFERED) -> None:
        self.video, self.audio, self.pictures = Numbers(), Numbers(), Numbers()
        self.delta_delays_ms: list[float] = []
        self.key_delays_ms: list[float] = []
        self.first_keyframe_ns = 0
        """Arrival of the last packet that the first decodable frame needs."""
        self._since_ns, self.payload_types = since_ns, payload_types
        self._open: dict[int, _Open] = {}

    @property
    def frames(self) -> int:
        """Whole ones. `pictures.lost` is how many between the first and the last were not."""
        return self.pictures.received

    def take(self, packet: bytes, at_ns: int) -> None:
        """One decrypted RTP packet, arrived at `at_ns` of the wall clock."""
        kind = packet[1] & 0x7F
        seq = int.from_bytes(packet[2:4], "big")
        if kind == self.payload_types.get("audio"):
            self.audio.take(seq)
        elif kind == self.payload_types["video"]:
            number = self.video.take(seq)
            if number is not None:
                self._take_part(number, packet, at_ns)

    def _take_part(self, number: int, packet: bytes, at_ns: int) -> None:
        part = _part_of_slice(payload(packet))
        if part is None:
            return
        timestamp = int.from_bytes(packet[4:8], "big")
        frame = self._open.setdefault(timestamp, _Open(part.is_key))
        frame.parts[number] = part.octets
        frame.first = number if part.is_first else frame.first
        frame.last = number if part.is_last else frame.last
        frame.arrived_ns = max(frame.arrived_ns, at_ns)
        if frame.is_whole:
            del self._open[timestamp]
            self._complete(frame)
        elif len(self._open) > _FRAMES_OPEN:
            del self._open[next(iter(self._open))]

    def _complete(self, frame: _Open) -> None:
        if frame.is_key and not self.first_keyframe_ns:
            self.first_keyframe_ns = frame.arrived_ns
        marks = read_marks(frame.slice())
        if not marks or len(marks) < marks[0].packets:
            return  # another publisher's, or a relay has lost the middle and numbered the rest
        self.pictures.take(marks[0].frame & 0xFFFF)
        left_at_ns = max(mark.left_at_ns for mark in marks)
        if left_at_ns >= self._since_ns:
            delays = self.key_delays_ms if frame.is_key else self.delta_delays_ms
            delays.append((frame.arrived_ns - left_at_ns) / 1e6)


class _Part(NamedTuple):
    octets: bytes
    is_key: bool
    is_first: bool
    is_last: bool


def _part_of_slice(octets: bytes) -> _Part | None:
    """A fragment (RFC 6184 5.8) or a unit alone (5.6); None when it is no picture, as parameter sets."""
    if not octets:
        return None
    if octets[0] & 0x1F != _FU_A:
        is_slice = octets[0] & 0x1F in (_SLICE, _IDR)
        return _Part(octets[1:], octets[0] & 0x1F == _IDR, True, True) if is_slice else None
    if len(octets) < 2 or octets[1] & 0x1F not in (_SLICE, _IDR):
        return None
    return _Part(octets[2:], octets[1] & 0x1F == _IDR, bool(octets[1] & 0x80), bool(octets[1] & 0x40))


def percentile(values: list[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)] if ordered else 0.0
