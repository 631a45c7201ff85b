"""RTCP (RFC 3550 6, RFC 4585, REMB): compound packets into reports and requests, and the ones that we send.

Parsing never raises: what is not well-formed is left out, and the rest of its compound with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

_HEADER = Struct("!BBH")
_SR_BODY = Struct("!IQIII")
_BLOCK = Struct("!IIIIII")
_PAIR = Struct("!II")

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_NACK, _PLI, _FIR, _APP = 1, 1, 4, 15

MAX_NACKED = 1024
"""Sequence numbers taken from one NACK: more than our ring could answer for."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp: int
    """64 bits: seconds since 1900 and their fraction."""
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    ssrc: int
    fraction_lost: int
    """Of 256."""
    lost: int
    highest_seq: int
    jitter: int
    last_sr: int
    """The middle 32 bits of the last sender report's NTP time, 0 when none came."""
    since_last_sr: int
    """1/65536 s."""


@dataclass(frozen=True, slots=True)
class Nack:
    ssrc: int
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI or FIR."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class Remb:
    bits_per_s: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    ssrcs: tuple[int, ...]


Report = SenderReport | ReportBlock | Nack | KeyframeRequest | Remb | Bye


def parse(compound: bytes) -> list[Report]:
    """What a compound packet says, in order; SDES, transport-wide feedback and unknown types are left out."""
    reports: list[Report] = []
    at = 0
    while at + 4 <= len(compound):
        first, kind, words = _HEADER.unpack_from(compound, at)
        after = at + 4 + 4 * words
        if first >> 6 != 2 or after > len(compound):
            break
        body = compound[at + 4 : after]
        if first & 0x20:
            if not body or body[-1] > len(body):
                break
            body = body[: -body[-1]]
        reports.extend(_parse_one(kind, first & 0x1F, body))
        at = after
    return reports


def _parse_one(kind: int, count: int, body: bytes) -> Iterator[Report]:
    if kind == _SR and len(body) >= 24:
        yield SenderReport(*_SR_BODY.unpack_from(body))
        yield from _blocks(body[24:], count)
    elif kind == _RR:
        yield from _blocks(body[4:], count)
    elif kind == _BYE and len(body) >= 4 * count:
        yield Bye(tuple(int.from_bytes(body[4 * i : 4 * i + 4], "big") for i in range(count)))
    elif kind == _RTPFB and count == _NACK and len(body) >= 12:
        yield _parse_nack(body)
    elif kind == _PSFB and len(body) >= 8:
        yield from _parse_payload_feedback(count, body)


def _blocks(body: bytes, count: int) -> Iterator[ReportBlock]:
    for at in range(0, min(count * 24, len(body) - 23), 24):
        ssrc, loss, highest, jitter, last_sr, since = _BLOCK.unpack_from(body, at)
        lost = loss & 0xFFFFFF
        yield ReportBlock(ssrc, loss >> 24, lost - (lost >> 23 << 24), highest, jitter, last_sr, since)


def _parse_nack(body: bytes) -> Nack:
    seqs: list[int] = []
    for at in range(8, len(body) - 3, 4):
        first = int.from_bytes(body[at : at + 2], "big")
        more = int.from_bytes(body[at + 2 : at + 4], "big")
        seqs.append(first)
        seqs.extend((first + bit + 1) & 0xFFFF for bit in range(16) if more >> bit & 1)
        if len(seqs) >= MAX_NACKED:
            break
    return Nack(int.from_bytes(body[4:8], "big"), tuple(seqs[:MAX_NACKED]))


def _parse_payload_feedback(kind: int, body: bytes) -> Iterator[Report]:
    if kind == _PLI:
        yield KeyframeRequest(int.from_bytes(body[4:8], "big"))
    elif kind == _FIR:
        for at in range(8, len(body) - 7, 8):
            yield KeyframeRequest(int.from_bytes(body[at : at + 4], "big"))
    elif kind == _APP and body[8:12] == b"REMB" and len(body) >= 16:
        exponent, mantissa = body[13] >> 2, (body[13] & 3) << 16 | int.from_bytes(body[14:16], "big")
        ssrcs = range(16, min(16 + 4 * body[12], len(body) - 3), 4)
        yield Remb(mantissa << exponent, tuple(int.from_bytes(body[at : at + 4], "big") for at in ssrcs))


def _pack(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def sender_report(report: SenderReport, cname: bytes) -> bytes:
    """A compound of a sender report without blocks, and the SDES that every compound needs."""
    body = _SR_BODY.pack(report.ssrc, report.ntp, report.timestamp, report.packets, report.octets)
    return _pack(_SR, 0, body) + _sdes(report.ssrc, cname)


def receiver_report(sender_ssrc: int, blocks: Iterable[ReportBlock], cname: bytes) -> bytes:
    packed = [
        _BLOCK.pack(
            block.ssrc,
            (block.fraction_lost & 0xFF) << 24 | (max(-0x800000, min(block.lost, 0x7FFFFF)) & 0xFFFFFF),
            block.highest_seq & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_sr,
            block.since_last_sr,
        )
        for block in blocks
    ]
    return _pack(_RR, len(packed), sender_ssrc.to_bytes(4, "big") + b"".join(packed)) + _sdes(
        sender_ssrc, cname
    )


def _sdes(ssrc: int, cname: bytes) -> bytes:
    item = bytes((1, len(cname))) + cname
    chunk = ssrc.to_bytes(4, "big") + item + bytes(4 - len(item) % 4)
    return _pack(_SDES, 1, chunk)


def pli(sender_ssrc: int, media_ssrc: int) -> bytes:
    """Picture loss indication: a keyframe, please (RFC 4585 6.3.1)."""
    return _pack(_PSFB, _PLI, _PAIR.pack(sender_ssrc, media_ssrc))


def nack(sender_ssrc: int, media_ssrc: int, seqs: Iterable[int]) -> bytes:
    """Generic NACK of `seqs`, given in ascending order (RFC 4585 6.2.1)."""
    pairs: list[list[int]] = []
    for seq in seqs:
        behind = (seq - pairs[-1][0] - 1) & 0xFFFF if pairs else 16
        if behind < 16:
            pairs[-1][1] |= 1 << behind
        else:
            pairs.append([seq & 0xFFFF, 0])
    body = b"".join(first.to_bytes(2, "big") + more.to_bytes(2, "big") for first, more in pairs)
    return _pack(_RTPFB, _NACK, _PAIR.pack(sender_ssrc, media_ssrc) + body)


def transport_feedback(sender_ssrc: int, media_ssrc: int, fci: bytes) -> bytes:
    """Transport-wide congestion control feedback; `fci` comes from `twcc`, padded to words."""
    return _pack(_RTPFB, 15, _PAIR.pack(sender_ssrc, media_ssrc) + fci)


def bye(ssrc: int) -> bytes:
    return _pack(_BYE, 1, ssrc.to_bytes(4, "big"))
