"""The codecs that the relay knows, as far as it must look inside: where a keyframe starts, VP8's numbering.

A new codec is a line in `CODECS` and, for video, a keyframe test. The tests look at one packet's payload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_H264_IDR, _H264_SPS, _H264_STAP_A, _H264_FU_A = 5, 7, 24, 28


@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    """As in the rtpmap, in upper case."""
    kind: str
    """"audio" or "video"."""
    clock_rate_hz: int
    starts_keyframe: Callable[[bytes], bool]
    """Whether this payload belongs to the head of a frame that needs no other."""


class Vp8Descriptor(NamedTuple):
    """Where the numbers of a VP8 payload descriptor lie (RFC 7741 4.2); 0 where there is none."""

    picture_id_at: int
    picture_id_bits: int
    tl0_at: int
    header_bytes: int


def vp8_descriptor(payload: bytes) -> Vp8Descriptor | None:
    """None when the payload is cut short."""
    if not payload:
        return None
    at, picture_id_at, bits, tl0_at = 1, 0, 0, 0
    if payload[0] & 0x80:
        flags = payload[1] if len(payload) > 1 else 0
        at = 2
        if flags & 0x80:
            picture_id_at = at
            bits = 15 if len(payload) > at and payload[at] & 0x80 else 7
            at += 2 if bits == 15 else 1
        if flags & 0x40:
            tl0_at = at
            at += 1
        if flags & 0x30:
            at += 1
    if len(payload) < at:
        return None
    return Vp8Descriptor(picture_id_at, bits, tl0_at, at)


def vp8_numbers(payload: bytes) -> tuple[int, int] | None:
    """Picture id and TL0PICIDX of the payload, −1 for the one it doesn't carry; None when it is cut short."""
    where = vp8_descriptor(payload)
    if where is None:
        return None
    picture_id = -1
    if where.picture_id_bits == 15:
        picture_id = int.from_bytes(payload[where.picture_id_at : where.picture_id_at + 2], "big") & 0x7FFF
    elif where.picture_id_bits:
        picture_id = payload[where.picture_id_at]
    return picture_id, payload[where.tl0_at] if where.tl0_at else -1


def vp8_renumber(payload: bytes, picture_id_delta: int, tl0_delta: int) -> bytes:
    """The payload with both numbers moved on, modulo their fields; as it came when it carries none."""
    where = vp8_descriptor(payload)
    if where is None or not (where.picture_id_at or where.tl0_at):
        return payload
    out = bytearray(payload)
    if where.picture_id_bits == 15:
        at = where.picture_id_at
        moved = (int.from_bytes(out[at : at + 2], "big") + picture_id_delta) & 0x7FFF
        out[at : at + 2] = (0x8000 | moved).to_bytes(2, "big")
    elif where.picture_id_bits:
        out[where.picture_id_at] = (out[where.picture_id_at] + picture_id_delta) & 0x7F
    if where.tl0_at:
        out[where.tl0_at] = (out[where.tl0_at] + tl0_delta) & 0xFF
    return bytes(out)


def _vp8_starts_keyframe(payload: bytes) -> bool:
    # S bit set, partition 0, and the frame header's P bit clear (RFC 7741 4.3).
    where = vp8_descriptor(payload)
    return (
        where is not None
        and payload[0] & 0x17 == 0x10
        and len(payload) > where.header_bytes
        and not payload[where.header_bytes] & 1
    )


def _h264_starts_keyframe(payload: bytes) -> bool:
    # RFC 6184 5.4. Parameter sets count: they head the keyframe, in packets of their own or aggregated.
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == _H264_STAP_A:
        return any(nal in (_H264_SPS, _H264_IDR) for nal in h264_aggregated(payload))
    if kind == _H264_FU_A:
        return len(payload) > 1 and payload[1] & 0x80 != 0 and payload[1] & 0x1F in (_H264_SPS, _H264_IDR)
    return kind in (_H264_SPS, _H264_IDR)


def h264_aggregated(payload: bytes) -> list[int]:
    """The NAL unit types inside a STAP-A, as far as it is whole."""
    kinds, at = [], 1
    while at + 2 < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        kinds.append(payload[at + 2] & 0x1F)
        at += 2 + size
    return kinds


def _never(payload: bytes) -> bool:
    return False


OPUS = Codec("OPUS", "audio", 48000, _never)
VP8 = Codec("VP8", "video", 90000, _vp8_starts_keyframe)
H264 = Codec("H264", "video", 90000, _h264_starts_keyframe)

CODECS: dict[str, Codec] = {codec.name: codec for codec in (OPUS, VP8, H264)}
