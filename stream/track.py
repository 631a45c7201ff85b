"""What of a broadcast outlives its publishers: numbers, caches, clocks, a track or a layer at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from .packet import rtcp
from .packet.cache import Gop, Ring
from .packet.codecs import Codec
from .packet.gather import Gather
from .packet.keyframes import KeyframeRequests
from .packet.rtcp import ReportBlock, SenderReport
from .packet.source import Continuity
from .wire.fanout import Lane
from .wire.peer import Handle

AUDIO, VIDEO, RTX = 0, 1, 2
"""The fan-out's names for our tracks."""
_NTP = 1 << 32
ROUND_TRIP_MAX_S = 30.0
"""Longer is no round trip: the host's clock was set in between, or its answer is made up."""
_RATE_WEIGHT = 0.3

V = TypeVar("V")


class Track:
    """Numbers, caches, the clock of its last sender report."""

    def __init__(self, number: int, clock_rate_hz: int, ssrc: int) -> None:
        self.number = number
        self.clock_rate_hz = clock_rate_hz
        self.ssrc = ssrc
        self.codec: Codec | None = None
        self.continuity = Continuity()
        self.ring = Ring()
        self.newest = -1
        """The last packet that live viewers were sent."""
        self.lanes: tuple[Lane, ...] = ()
        self.packets = 0
        self.octets = 0
        self._clock_map: tuple[SenderReport, float] | None = None

    @property
    def codec_name(self) -> str:
        return self.codec.name if self.codec else ""

    def learn_clock(self, report: SenderReport, now: float) -> None:
        self._clock_map = (report, now)

    def forget_clock(self) -> None:
        self._clock_map = None

    def sender_report(self, now: float, cname: bytes) -> bytes:
        """A report for this moment, the same for every viewer; empty before the publisher's first."""
        if self._clock_map is None:
            return b""
        report, at = self._clock_map
        return rtcp.sender_report(
            SenderReport(
                self.ssrc,
                self._ntp(report, at, now),
                report.timestamp + round((now - at) * self.clock_rate_hz) & 0xFFFFFFFF,
                self.packets & 0xFFFFFFFF,
                self.octets & 0xFFFFFFFF,
            ),
            cname,
        )

    def round_trip_s(self, block: ReportBlock, now: float) -> float | None:
        """How long a report of ours and its answer were on their way (RFC 3550 6.4.1); None: not known."""
        if self._clock_map is None or not block.last_sr:
            return None
        then = block.last_sr + block.since_last_sr
        elapsed_s = ((self._ntp(*self._clock_map, now) >> 16) - then & 0xFFFFFFFF) / 65536
        return elapsed_s if elapsed_s < ROUND_TRIP_MAX_S else None

    def _ntp(self, report: SenderReport, at: float, now: float) -> int:
        return report.ntp + round((now - at) * _NTP)


class Layer(Track, Generic[V]):
    """One encoding of the picture (RFC 8853); a broadcast without simulcast has just one.

    All layers share one SSRC and one line of timestamps; sequence numbers are each layer's own.
    """

    def __init__(self, index: int, ssrc: int) -> None:
        super().__init__(VIDEO, 90000, ssrc)
        self.index = index
        self.rid = ""
        self.gop = Gop()
        self.keyframes = KeyframeRequests()
        self.gather = Gather()
        self.flush_timer: Handle | None = None
        self.joining: list[V] = []
        """Viewers that read its GOP."""
        self.waiting: dict[V, None] = {}
        """Viewers of other layers that come over at the next keyframe."""
        self.bits_per_s = 0.0
        self._counted = (0, 0.0)

    def measure(self, now: float) -> None:
        """Called every half second or so."""
        octets, at = self._counted
        self._counted = (self.octets, now)
        if at and now > at:
            rate = (self.octets - octets) * 8 / (now - at)
            self.bits_per_s += (rate - self.bits_per_s) * (_RATE_WEIGHT if self.bits_per_s else 1.0)


def rates_on_air(layers: Iterable[Layer[V]], now: float, silent_s: float) -> dict[int, float]:
    """Bits a second of the layers that send; an encoder that runs out of uplink drops the upper ones."""
    return {
        layer.index: layer.bits_per_s
        for layer in layers
        if layer.codec is not None and now - layer.continuity.at <= silent_s
    }
