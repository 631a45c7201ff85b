"""A publisher's stream in the relay's own numbers, which never break while publishers come and go.

    publisher's session 1:  seq 900 901 902 …        → relay: 900 901 902 …          (as they came)
    publisher's session 2:  seq 17 18 …, other SSRC  → relay: 903 904 …, timestamps on from where they were

`Continuity` outlives the sessions; each `Source` (one SSRC of one session) has one offset, found at its first
packet. A video source starts at a keyframe: what comes before refers to frames that no viewer has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from . import codecs, rtp
from .codecs import H264, VP8, Codec
from .h264 import ParameterSets
from .reception import Reception
from .rtcp import SenderReport
from .rtp import Rtp

REPORTS_WITHIN_S = 3.0
"""How long a layer waits for the sender reports that put it in step with the others."""


_MAX_OFFSETS = 32
"""Keyframes that got a head, as far back as packets may still come late."""


class Carried(NamedTuple):
    """A packet as the relay carries it on: canonical header, SSRC 0, payload type 0."""

    seq: int
    """Extended: it does not wrap."""
    timestamp: int
    """Modulo 2³²."""
    marker: bool
    starts_keyframe: bool
    late: bool
    """It was overtaken: a retransmission, or the network's doing."""
    packet: bytes


class Continuity:
    """Where a track's numbers stand, over all its sources."""

    def __init__(self) -> None:
        self.seq = -1
        self.timestamp = 0
        self.at = 0.0
        self.picture_id = -1
        self.tl0 = -1

    def follow(self, others: Iterable[Continuity]) -> None:
        """Takes over the line of timestamps of whichever was last: layers share one."""
        newest = max(others, key=lambda held: held.at)
        self.timestamp, self.at = newest.timestamp, newest.at


class Source:
    """One SSRC of one publisher session, bound to a track for its life."""

    def __init__(self, ssrc: int, codec: Codec, continuity: Continuity) -> None:
        self.codec = codec
        self.reception = Reception(ssrc, codec.clock_rate_hz)
        self.started = False
        self.octets = 0
        self._continuity = continuity
        self._first = 0
        self._offsets: deque[tuple[int, int]] = deque([(0, 0)], maxlen=_MAX_OFFSETS)
        self._heads: list[Carried] = []
        self._sets = ParameterSets() if codec is H264 else None
        self._timestamp_offset: int | None = None
        self.last_report: SenderReport | None = None
        self._first_at = 0.0
        self._picture_id_offset = 0
        self._tl0_offset = 0

    @property
    def awaits_keyframe(self) -> bool:
        return not self.started and self.codec.kind == "video"

    @property
    def timestamp_offset(self) -> int:
        """What its timestamps are moved by."""
        return self._timestamp_offset or 0

    @timestamp_offset.setter
    def timestamp_offset(self, offset: int) -> None:
        """Before it starts: put it where streams of the same origin are."""
        self._timestamp_offset = offset

    def align(self, other: Source, timestamp: int, now: float) -> bool:
        """Puts a layer that has not started on the line of timestamps of `other`, which has.

        Encodings of one picture have clocks with offsets of their own; sender reports relate them. A
        publisher that sends none is aligned by the arrival of `timestamp`, after `REPORTS_WITHIN_S`.
        False: not yet.
        """
        self._first_at = self._first_at or now
        if self.last_report is not None and other.last_report is not None:
            ours, theirs = self.last_report, other.last_report
            passed = (ours.ntp - theirs.ntp) * self.codec.clock_rate_hz / (1 << 32)
            moved = theirs.timestamp + other.timestamp_offset + round(passed)
            self._timestamp_offset = (moved - ours.timestamp) & 0xFFFFFFFF
            return True
        if now - self._first_at <= REPORTS_WITHIN_S:
            return False
        at = other._continuity
        passed = (now - at.at) * self.codec.clock_rate_hz
        self._timestamp_offset = (at.timestamp + round(passed) - timestamp) & 0xFFFFFFFF
        return True

    def take(self, packet: Rtp, now: float) -> Carried | None:
        """The packet on its way, or None when it is a repeat, too old, or before the first keyframe."""
        seq = self.reception.accept(packet.seq, packet.timestamp, now)
        if seq is None:
            return None
        payload = packet.payload
        starts_keyframe = self.codec.starts_keyframe(payload)
        if not self.started:
            if self.awaits_keyframe and not starts_keyframe:
                return None
            self._start(seq, packet, now)
        if seq < self._first:
            return None
        self.octets += len(payload)
        late = seq < self.reception.highest
        timestamp = (packet.timestamp + self.timestamp_offset) & 0xFFFFFFFF
        if self.codec is VP8:
            payload = self._vp8(payload, late)
        elif self._sets is not None and not late:
            self._put_head(self._sets.head(payload, packet.timestamp), seq, timestamp)
        out = seq + self._offset(seq)
        if not late:
            self._continuity.seq, self._continuity.timestamp, self._continuity.at = out, timestamp, now
        built = rtp.build(0, packet.marker, out, timestamp, 0, payload)
        return Carried(out, timestamp, packet.marker, starts_keyframe, late, built)

    def take_heads(self) -> list[Carried]:
        """Packets of our own that go before the one just taken."""
        heads, self._heads = self._heads, []
        return heads

    def _put_head(self, payload: bytes, seq: int, timestamp: int) -> None:
        """Takes the number of `seq`; that packet, and all behind it, count one more from now on."""
        if payload:
            out = seq + self._offset(seq)
            built = rtp.build(0, False, out, timestamp, 0, payload)
            self._heads.append(Carried(out, timestamp, False, True, False, built))
            self._offsets.append((seq, out + 1 - seq))

    def _offset(self, seq: int) -> int:
        """What its number is moved by; what was overtaken counts as it would have then."""
        return next(
            (offset for first, offset in reversed(self._offsets) if first <= seq), self._offsets[0][1]
        )

    def sender_report(self, report: SenderReport, now: float) -> SenderReport | None:
        """The publisher's clock mapping in the relay's timestamps; None before the source has started."""
        self.reception.sender_report(report.ntp, now)
        self.last_report = report
        if not self.started:
            return None
        timestamp = (report.timestamp + self.timestamp_offset) & 0xFFFFFFFF
        return SenderReport(0, report.ntp, timestamp, report.packets, report.octets)

    def _start(self, seq: int, packet: Rtp, now: float) -> None:
        held = self._continuity
        self.started, self._first = True, seq
        if held.seq >= 0:  # else it is the first source of all: its numbers are ours
            self._offsets.append((0, held.seq + 1 - seq))
        if self._timestamp_offset is None and held.at:
            passed = max(1, round((now - held.at) * self.codec.clock_rate_hz))
            self._timestamp_offset = (held.timestamp + passed - packet.timestamp) & 0xFFFFFFFF
        numbers = codecs.vp8_numbers(packet.payload) if self.codec is VP8 else None
        if numbers is not None and held.picture_id >= 0 <= numbers[0]:
            self._picture_id_offset = held.picture_id + 1 - numbers[0]
        if numbers is not None and held.tl0 >= 0 <= numbers[1]:
            self._tl0_offset = held.tl0 + 1 - numbers[1]

    def _vp8(self, payload: bytes, late: bool) -> bytes:
        if self._picture_id_offset or self._tl0_offset:
            payload = codecs.vp8_renumber(payload, self._picture_id_offset, self._tl0_offset)
        numbers = None if late else codecs.vp8_numbers(payload)
        if numbers is not None:
            self._continuity.picture_id, self._continuity.tl0 = numbers
        return payload
