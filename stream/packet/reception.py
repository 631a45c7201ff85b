"""One incoming SSRC: extended sequence numbers, what is missing, and the statistics of RFC 3550 A.

A gap is asked for again (NACK) after a moment that lets packets overtake each other, and again until it is
filled or too old to be of use: one lost NACK must not cost a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .rtcp import ReportBlock
from .rtp import ahead

REORDER_S = 0.010
RETRY_S = 0.060
GIVE_UP_S = 0.6
"""A live picture can't wait longer: a keyframe then mends more than the packet would."""
MAX_MISSING = 512
MAX_JUMP = 3000
"""A step further than this is not loss: the sender started over (RFC 3550 A.1)."""
_STRANGE_LIMIT = 3
_STALE_LIMIT = 100
"""So many repeats and stragglers, and nothing new: the sender started over a little lower."""


@dataclass(slots=True)
class _Gap:
    since: float
    ask_at: float


class Reception:
    """`accept` each packet of one SSRC. `lost_track` says that the sender's numbers started over."""

    def __init__(self, ssrc: int, clock_rate_hz: int) -> None:
        self.ssrc = ssrc
        self.highest = -1
        self.received = 0
        self.recovered = 0
        self.given_up = 0
        self.last_at = 0.0
        self.last_sr = 0
        self.last_sr_at = 0.0
        self._clock_rate_hz = clock_rate_hz
        self._first = 0
        self._jitter = 0.0
        self._transit = 0.0
        self._missing: dict[int, _Gap] = {}
        self._strange = self._stale = 0
        self._reported = (0, 0)

    @property
    def lost_track(self) -> bool:
        return self._strange >= _STRANGE_LIMIT or self._stale >= _STALE_LIMIT

    @property
    def expected(self) -> int:
        return self.highest - self._first + 1 if self.highest >= 0 else 0

    @property
    def jitter_s(self) -> float:
        return self._jitter / self._clock_rate_hz

    def accept(self, seq: int, timestamp: int, now: float) -> int | None:
        """The packet's extended sequence number; None for a repeat or one that is too old or far off."""
        if self.highest < 0:
            # One cycle up, so that what was overtaken by the first packet is still above zero.
            self._first = self.highest = seq + 0x10000
            self._count(now)
            return self.highest
        step = ahead(self.highest & 0xFFFF, seq)
        if not -MAX_JUMP < step < MAX_JUMP:
            self._strange += 1
            return None
        full = self.highest + step
        if step > 0:
            for gap in range(max(self.highest + 1, full - MAX_MISSING), full):
                self._missing[gap] = _Gap(now, now + REORDER_S)
            self._bound()
            self.highest = full
            self._time(timestamp, now)
        elif self._missing.pop(full, None) is None:
            self._stale += 1
            return None
        else:
            self.recovered += 1
        self._count(now)
        return full

    def misses(self, seq: int) -> bool:
        """Whether it is the number of a gap: nothing else can be sent again."""
        return self.highest + ahead(self.highest & 0xFFFF, seq) in self._missing

    def wanted(self, now: float) -> list[int]:
        """Extended sequence numbers to ask for now, ascending."""
        for seq in [seq for seq, gap in self._missing.items() if now - gap.since > GIVE_UP_S]:
            del self._missing[seq]
            self.given_up += 1
        due = sorted(seq for seq, gap in self._missing.items() if gap.ask_at <= now)
        for seq in due:
            self._missing[seq].ask_at = now + RETRY_S
        return due

    @property
    def has_gaps(self) -> bool:
        return bool(self._missing)

    def report(self, now: float) -> ReportBlock:
        """The reception report since the last one."""
        expected, received = self.expected - self._reported[0], self.received - self._reported[1]
        self._reported = (self.expected, self.received)
        lost = max(0, expected - received)
        return ReportBlock(
            self.ssrc,
            min(255, lost * 256 // expected) if expected > 0 else 0,
            self.expected - self.received,
            self.highest - 0x10000 & 0xFFFFFFFF,
            int(self._jitter),
            self.last_sr,
            int((now - self.last_sr_at) * 65536) & 0xFFFFFFFF if self.last_sr else 0,
        )

    def sender_report(self, ntp: int, now: float) -> None:
        self.last_sr, self.last_sr_at = ntp >> 16 & 0xFFFFFFFF, now

    def _count(self, now: float) -> None:
        self.received += 1
        self.last_at = now
        self._strange = self._stale = 0

    def _time(self, timestamp: int, now: float) -> None:
        transit = now * self._clock_rate_hz - timestamp
        change = abs(transit - self._transit)
        if change < self._clock_rate_hz * 10:  # not the first, not a wrap
            self._jitter += (change - self._jitter) / 16
        self._transit = transit

    def _bound(self) -> None:
        while len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]


def in_order(seqs: list[int], limit: int) -> Iterator[list[int]]:
    """Slices of at most `limit`: one NACK packet each."""
    for at in range(0, len(seqs), limit):
        yield seqs[at : at + limit]
