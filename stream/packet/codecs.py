"""The codecs that the relay knows, as far as it must look inside: where a keyframe starts, VP8's numbering.

A new codec is a line in `CODECS` and, for video, a keyframe test. The tests look at one packet's payload. VP9
and AV1 carry nothing that must be renumbered: their references reach no further back than the last keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_H264_IDR, _H264_SPS, _H264_STAP_A, _H264_FU_A = 5, 7, 24, 28
_AV1_SEQUENCE_HEADER, _AV1_TEMPORAL_DELIMITER = 1, 2


@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    """As in the rtpmap, in upper case."""
    kind: str
    """"audio" or "video"."""
    clock_rate_hz: int
    starts_keyframe: Callable[[bytes], bool]
    """Whether this payload belongs to the head of a frame that needs no other."""
    profile_parameter: str = ""
    """The fmtp parameter that names a profile; we take profile 0, which every browser decodes."""


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


def _vp9_starts_keyframe(payload: bytes) -> bool:
    # RFC 9628 4.2: not predicted from another picture, the start of a frame, the lowest spatial layer.
    if not payload or payload[0] & 0x48 != 0x08:
        return False
    if not payload[0] & 0x20:
        return True
    at = 1
    if payload[0] & 0x80:
        at += 2 if len(payload) > 1 and payload[1] & 0x80 else 1
    return len(payload) > at and payload[at] >> 1 & 0x07 == 0


def _av1_starts_keyframe(payload: bytes) -> bool:
    # AV1 RTP 4.4: the N bit; senders that leave it out still head the frame with a sequence header.
    if len(payload) < 2 or payload[0] & 0x80:
        return False
    return payload[0] & 0x08 != 0 or _AV1_SEQUENCE_HEADER in _av1_first_obus(payload)


def _av1_first_obus(payload: bytes) -> list[int]:
    """The types of the first OBU, and of the second where the first only delimits."""
    kinds: list[int] = []
    elements, at = payload[0] >> 4 & 0x03, 1
    while at < len(payload) and len(kinds) < 2:
        size = len(payload) - at
        if elements == 0 or len(kinds) + 1 < elements:
            size, at = _leb128(payload, at)
        if at >= len(payload) or not size:
            break
        kinds.append(payload[at] >> 3 & 0x0F)
        if kinds[-1] != _AV1_TEMPORAL_DELIMITER:
            break
        at += size
    return kinds


def _leb128(payload: bytes, at: int) -> tuple[int, int]:
    """The value and where it ends; 0 when it is cut short or longer than a packet's sizes need."""
    value = 0
    for place in range(3):
        if at + place >= len(payload):
            break
        byte = payload[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    return 0, len(payload)


def _never(payload: bytes) -> bool:
    return False


OPUS = Codec("OPUS", "audio", 48000, _never)
VP8 = Codec("VP8", "video", 90000, _vp8_starts_keyframe)
H264 = Codec("H264", "video", 90000, _h264_starts_keyframe)
VP9 = Codec("VP9", "video", 90000, _vp9_starts_keyframe, "profile-id")
AV1 = Codec("AV1", "video", 90000, _av1_starts_keyframe, "profile")

CODECS: dict[str, Codec] = {codec.name: codec for codec in (OPUS, VP8, H264, VP9, AV1)}
