"""A synthetic stream: the packets a steady encoder would send, without an encoder.

H.264 in shape (STAP-A of SPS and PPS, then FU-A fragments; RFC 6184), so that a relay finds its keyframes,
but no decoder would show it. Each video packet carries its place and when it was made, so that any receiver
can say what is late. In hexadecimal, since a slice must not hold the bytes of a start code (H.264 7.4.1):

    FU indicator, FU header │ "HWK1" │ frame u32 │ packet u16 │ of u16 │ left at, ns u64 │ filler
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

VIDEO_CLOCK = 90_000
AUDIO_STEP = 960
"""Samples of one 20 ms Opus packet."""
PACKET_BYTES = 1180
"""RTP packet with header: with the SRTP tag it stays under the 1,200 bytes that WebRTC keeps to."""

_MAGIC = b"HWK1"
_MARK = re.compile(_MAGIC + b"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{16})")
_LEFT_AT = len(_MAGIC) + 8 + 4 + 4
# Constrained Baseline 3.1, 1280×720; the fields only have to parse.
_SPS = bytes.fromhex("6742c01fd9005005bb016a02020280000003008000001e478c1924")
_PPS = bytes.fromhex("68ce3c80")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the stream looks like: rates in bit/s and frames/s, keyframes in packets and seconds."""

    bitrate: int = 2_500_000
    fps: int = 30
    keyframe_every_s: float = 2.0
    keyframe_packets: int = 50

    @property
    def gop(self) -> int:
        return round(self.fps * self.keyframe_every_s)

    def packets_in(self, frame: int) -> int:
        """Packets of the frame's number: a keyframe's fixed count, the rest of the bitrate spread evenly."""
        at = frame % self.gop
        if at == 0:
            return self.keyframe_packets
        total = round(self.bitrate * self.keyframe_every_s / 8 / PACKET_BYTES)
        rest, deltas = max(total - self.keyframe_packets, self.gop - 1), self.gop - 1
        return rest * at // deltas - rest * (at - 1) // deltas


class Mark(NamedTuple):
    """What a video packet says about itself."""

    frame: int
    packet: int
    packets: int
    left_at_ns: int


def read_marks(octets: bytes) -> list[Mark]:
    """The marks in a payload, or in a slice that a relay has cut anew; none in another publisher's."""
    return [Mark(*(int(digits, 16) for digits in found.groups())) for found in _MARK.finditer(octets)]


def stamp(packet: bytes, now_ns: int) -> bytes:
    """The same packet, leaving now: wall-clock time, so that another process or machine can compare."""
    mark = packet.find(_MAGIC, 12, 14 + len(_MAGIC))
    if mark < 0:
        return packet
    at = mark + _LEFT_AT
    return packet[:at] + b"%016x" % now_ns + packet[at + 16 :]


def payload(packet: bytes) -> bytes:
    """Between the RTP header with its CSRCs and extensions, and the padding (RFC 3550 5.1)."""
    at = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return packet[at : len(packet) - packet[-1] if packet[0] & 0x20 else None]


class VideoTrack:
    """Numbers and fills frames. One `frame()` a frame interval."""

    def __init__(self, shape: Shape, ssrc: int, payload_type: int, seq: int = 1000) -> None:
        self.shape = shape
        self._ssrc, self.payload_type = ssrc, payload_type
        self._seq, self._frames = seq, count()
        self._gop_begins = 0
        self._key_wanted = False

    def request_keyframe(self) -> None:
        """The next frame is one, and its GOP begins there."""
        self._key_wanted = True

    def frame(self) -> list[bytes]:
        """The next frame's RTP packets, of nearly equal size, as encoders cut them. `stamp` each as it
        goes."""
        number = next(self._frames)
        if self._key_wanted:
            self._gop_begins, self._key_wanted = number, False
        packets = self.shape.packets_in(number - self._gop_begins)
        timestamp = round(number * VIDEO_CLOCK / self.shape.fps) & 0xFFFFFFFF
        key = (number - self._gop_begins) % self.shape.gop == 0
        payloads = list(_payloads(number, packets, key))
        last = len(payloads) - 1
        return [self._packet(payload, timestamp, i == last) for i, payload in enumerate(payloads)]

    def _packet(self, payload: bytes, timestamp: int, marker: bool) -> bytes:
        self._seq = (self._seq + 1) & 0xFFFF
        return rtp(self.payload_type, self._seq, timestamp, self._ssrc, payload, marker=marker)


class AudioTrack:
    """Opus in shape: 20 ms packets of some 32 kbit/s."""

    def __init__(self, ssrc: int, payload_type: int, seq: int = 5000) -> None:
        self._ssrc, self.payload_type, self._seq = ssrc, payload_type, seq
        self._timestamp = 0

    @property
    def timestamp(self) -> int:
        return self._timestamp

    def packet(self) -> bytes:
        self._seq = (self._seq + 1) & 0xFFFF
        self._timestamp = (self._timestamp + AUDIO_STEP) & 0xFFFFFFFF
        return rtp(
            self.payload_type, self._seq, self._timestamp, self._ssrc, b"\xfc" + bytes(79), marker=False
        )


def _payloads(frame: int, packets: int, key: bool) -> Iterator[bytes]:
    if key:
        yield b"\x78" + b"".join(struct.pack("!H", len(unit)) + unit for unit in (_SPS, _PPS))
    kind = 5 if key else 1
    for i in range(packets):
        start, end = 0x80 * (i == 0), 0x40 * (i == packets - 1)
        # One fragment alone is forbidden (RFC 6184 5.8): then it is the whole unit.
        head = bytes((0x60 | 28, start | end | kind) if packets > 1 else (0x60 | kind,))
        head += _MAGIC + b"%08x%04x%04x%016x" % (frame, i, packets, 0)
        size = PACKET_BYTES - 12 - i % 3  # encoders cut a frame to within a few bytes
        yield head + b"\xa5" * (size - len(head))


def rtp(payload_type: int, seq: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool) -> bytes:
    """A bare RTP packet (RFC 3550 5.1), without extensions."""
    return struct.pack("!BBHII", 0x80, payload_type | marker << 7, seq, timestamp, ssrc) + payload
