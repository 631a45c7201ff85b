"""RTP (RFC 3550) as bytes: a view over one packet, and the canonical packet that the relay carries on.

The relay strips what only concerned the publisher's leg (CSRCs, header extensions, padding) once, at the
door. So every packet inside is a 12-byte header and its payload, and every lane rewrites the same offsets.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

HEADER = Struct("!BBHII")
HEADER_BYTES = 12
MAX_BYTES = 1498
"""An Ethernet payload less RTX's two bytes: what is larger came over a path that viewers don't have."""

_ONE_BYTE_EXTENSIONS = 0xBEDE  # RFC 8285 4.2
_TWO_BYTE_EXTENSIONS = 0x1000  # RFC 8285 4.3, the low four bits are free


class Rtp(NamedTuple):
    """The fields of one packet; `payload` excludes header, extensions and padding."""

    payload_type: int
    marker: bool
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes
    extensions: bytes
    """The raw header extension, profile and length included, or empty."""


def is_rtcp(datagram: bytes) -> bool:
    """Tells RTCP from RTP on one port (RFC 5761 4)."""
    return 192 <= datagram[1] <= 223


def parse(packet: bytes) -> Rtp | None:
    """The packet's fields, or None when it is not well-formed RTP, or larger than we could send it on."""
    if not HEADER_BYTES <= len(packet) <= MAX_BYTES:
        return None
    first, second, seq, timestamp, ssrc = HEADER.unpack_from(packet)
    if first >> 6 != 2:
        return None
    start, end = HEADER_BYTES + 4 * (first & 0x0F), len(packet)
    extensions = b""
    if first & 0x10:
        if start + 4 > end:
            return None
        after = start + 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        extensions = packet[start:after]
        start = after
    if first & 0x20 and end > start:
        end -= packet[-1]
    if start > end:
        return None
    return Rtp(second & 0x7F, second > 127, seq, timestamp, ssrc, packet[start:end], extensions)


def build(payload_type: int, marker: bool, seq: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """One canonical packet; `seq` and `timestamp` are taken modulo their fields."""
    return (
        HEADER.pack(0x80, (marker << 7) | payload_type, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload
    )


def extension(extensions: bytes, wanted: int) -> bytes | None:
    """The value of header extension `wanted` (RFC 8285), or None."""
    if len(extensions) < 4:
        return None
    profile = int.from_bytes(extensions[:2], "big")
    if profile == _ONE_BYTE_EXTENSIONS:
        return _one_byte_extension(extensions, wanted)
    if profile & 0xFFF0 == _TWO_BYTE_EXTENSIONS:
        return _two_byte_extension(extensions, wanted)
    return None


def _one_byte_extension(extensions: bytes, wanted: int) -> bytes | None:
    at, end = 4, len(extensions)
    while at < end:
        byte = extensions[at]
        if byte == 0:
            at += 1
            continue
        if byte >> 4 == 15:
            return None
        after = at + 2 + (byte & 0x0F)
        if byte >> 4 == wanted:
            return extensions[at + 1 : after] if after <= end else None
        at = after
    return None


def _two_byte_extension(extensions: bytes, wanted: int) -> bytes | None:
    at, end = 4, len(extensions)
    while at + 1 < end:
        if extensions[at] == 0:
            at += 1
            continue
        after = at + 2 + extensions[at + 1]
        if extensions[at] == wanted:
            return extensions[at + 2 : after] if after <= end else None
        at = after
    return None


def unwrap_rtx(payload: bytes) -> tuple[int, bytes] | None:
    """Original sequence number and payload inside an RTX payload (RFC 4588 4), None when it is padding."""
    if len(payload) <= 2:
        return None
    return int.from_bytes(payload[:2], "big"), payload[2:]


def ahead(of: int, seq: int) -> int:
    """How far `seq` is ahead of `of`, modulo 2¹⁶: −32768 … 32767."""
    return ((seq - of + 0x8000) & 0xFFFF) - 0x8000


def ahead32(of: int, timestamp: int) -> int:
    """How far `timestamp` is ahead of `of`, modulo 2³²."""
    return ((timestamp - of + 0x80000000) & 0xFFFFFFFF) - 0x80000000
