"""The plain path of the fan-out: what `_fanout.c` does, in Python, for platforms without it.

Same names, same results, byte for byte: the tests run both over the same inputs. It costs about five times
the CPU, which a small audience doesn't notice. Read this file to understand the C one.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ._srtp import WINDOW, Sealer

MAX_PACKET = 1500
"""Bytes of one plain packet: an Ethernet frame's payload; WebRTC stays under 1,200."""
TRACKS = 4
VP8 = 8
"""In a packet's kind, beside its track: renumber the payload descriptor."""
STREAMS = 8
"""SSRCs that one lane may ever send: audio, video, their RTX, and room for a change of numbering."""

Numbers = tuple[int, int, int, int, int, int]
"""ssrc, payload type, and the deltas of sequence, timestamp, picture id and TL0PICIDX."""


class Tally(NamedTuple):
    """What became of `packets × lanes`."""

    packets: int = 0
    octets: int = 0
    blocked: int = 0
    unreachable: int = 0
    reused: int = 0
    stale: int = 0
    unnumbered: int = 0
    malformed: int = 0


class Window:
    """What one SSRC of a lane has sealed: the guard against sealing two plaintexts under one nonce."""

    __slots__ = ("_slots", "_top")

    def __init__(self) -> None:
        self._top = -1
        self._slots: list[tuple[int, int] | None] = [None] * WINDOW

    def admit(self, seq: int, fingerprint: int, size: int) -> int | str:
        """The padded size to seal under `seq`, or why not: "stale" or "reused".

        A sequence number is free, or it holds this very plaintext; a repeat takes the size of the first time.
        """
        if self._top < 0:
            self._top = index = seq
        else:
            ahead = ((seq - self._top + 0x8000) & 0xFFFF) - 0x8000
            index = self._top + ahead
            # Below zero would be before the first roll-over: libsrtp would take it for the far future.
            if ahead <= -WINDOW or index < 0:
                return "stale"
            for skipped in range(max(self._top + 1, index - WINDOW + 1), index + 1):
                self._slots[skipped % WINDOW] = None
            self._top = max(self._top, index)
        held = self._slots[index % WINDOW]
        if held is None:
            self._slots[index % WINDOW] = (fingerprint, size)
            return size
        return held[1] if held[0] == fingerprint else "reused"


class Lane:
    """One viewer's way out: SRTP context, address, numbering. Belongs to the sender thread."""

    __slots__ = ("_address", "_broken", "_session", "_tracks", "_windows")

    def __init__(self, session: Any, address: tuple[Any, ...]) -> None:
        self._session = session
        self._address = address
        self._tracks: list[Numbers | None] = [None] * TRACKS
        self._windows: dict[int, Window] = {}
        self._broken = 0  # the frame whose rest this lane won't get

    def move(self, address: tuple[Any, ...]) -> None:
        self._address = address

    def number(self, track: int, numbers: Numbers) -> None:
        self._tracks[track] = numbers

    def close(self) -> None:
        self._session = None
        self._windows.clear()

    def window(self, ssrc: int) -> Window | None:
        window = self._windows.get(ssrc)
        if window is None and len(self._windows) < STREAMS:
            window = self._windows[ssrc] = Window()
        return window


class Source(NamedTuple):
    packet: bytes
    size: int
    """Bytes after padding."""
    fingerprint: int
    track: int
    picture_id_at: int = 0
    picture_id_mask: int = 0
    tl0_at: int = 0


def payload_offset(packet: bytes) -> int | None:
    """Where the RTP payload starts (RFC 3550 5.1), or None when the header is not RTP or runs past the
    end."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return None
    offset = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < offset + 4:
            return None
        offset += 4 + 4 * int.from_bytes(packet[offset + 2 : offset + 4], "big")
    return offset if offset <= len(packet) else None


def padding_room(packet: bytes) -> int:
    """Bytes of RTP padding that still fit in: its count is one byte (RFC 3550 5.1)."""
    return 255 - packet[-1] if packet[0] & 0x20 else 255


def read_source(packet: bytes, size: int, kind: int) -> Source | None:
    """One packet, ready for all lanes; None when it is not RTP, too long, or its VP8 descriptor is cut
    short."""
    at = payload_offset(packet)
    size = max(size, len(packet))
    if at is None or size > MAX_PACKET or size - len(packet) > padding_room(packet):
        return None
    source = Source(packet, size, hash(packet) ^ (kind & VP8), kind & ~VP8)
    if not kind & VP8 or at == len(packet) or not packet[at] & 0x80:
        return source
    return _read_vp8(source, packet, at)


def _read_vp8(source: Source, packet: bytes, at: int) -> Source | None:
    # RFC 7741 4.2: X, then I L T K, then a picture id of 7 or 15 bits, then TL0PICIDX.
    bits = packet[at + 1 : at + 2]
    at += 2
    picture_id_at = picture_id_mask = tl0_at = 0
    if bits and bits[0] & 0x80:
        picture_id_at, wide = at, packet[at : at + 1] >= b"\x80"
        picture_id_mask = 0x7FFF if wide else 0x7F
        at += 2 if wide else 1
    if bits and bits[0] & 0x40:
        tl0_at = at
        at += 1
    if at > len(packet):
        return None
    return source._replace(picture_id_at=picture_id_at, picture_id_mask=picture_id_mask, tl0_at=tl0_at)


def renumber(source: Source, numbers: Numbers, size: int) -> bytearray:
    """The plaintext that a lane seals: header, VP8 descriptor and padding rewritten, all else as it came."""
    ssrc, payload_type, seq_delta, timestamp_delta, picture_id_delta, tl0_delta = numbers
    out = bytearray(source.packet)
    _, marker_type, seq, timestamp = struct.unpack_from("!BBHI", out)
    struct.pack_into(
        "!BHII",
        out,
        1,
        (marker_type & 0x80) | payload_type,
        (seq + seq_delta) & 0xFFFF,
        (timestamp + timestamp_delta) & 0xFFFFFFFF,
        ssrc,
    )
    if source.picture_id_mask == 0x7FFF:
        (was,) = struct.unpack_from("!H", out, source.picture_id_at)
        struct.pack_into("!H", out, source.picture_id_at, 0x8000 | ((was + picture_id_delta) & 0x7FFF))
    elif source.picture_id_mask:
        out[source.picture_id_at] = (out[source.picture_id_at] + picture_id_delta) & 0x7F
    if source.tl0_at:
        out[source.tl0_at] = (out[source.tl0_at] + tl0_delta) & 0xFF
    _pad(out, size)
    return out


def _pad(packet: bytearray, size: int) -> None:
    """RTP padding up to `size` (RFC 3550 5.1); a packet that is padded already gets a longer padding."""
    extra = size - len(packet)
    if not extra:
        return
    padded = packet[-1] if packet[0] & 0x20 else 0
    packet[0] |= 0x20
    packet.extend(bytes(extra - 1))
    packet.append(extra + padded)


class Sender:
    """Seals and sends, one packet at a time, on a socket that never blocks."""

    gso = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sealer = Sealer(MAX_PACKET)

    def send(
        self,
        lanes: tuple[Lane, ...],
        packets: Sequence[bytes],
        sizes: Sequence[int],
        kinds: bytes,
        frame: int,
        numbers: Numbers | None,
        wait_ms: int,
    ) -> Tally:
        """One burst, all to every lane, under `numbers` or each lane's own.

        `kinds` is a byte a packet: its track, and `VP8`. Bursts of one `frame` share its fate in a lane.
        """
        sources = [read_source(*each) for each in zip(packets, sizes, kinds, strict=True)]
        good = [source for source in sources if source is not None]
        counts = dict.fromkeys(Tally._fields, 0)
        counts["malformed"] = (len(sources) - len(good)) * len(lanes)
        deadline = time.monotonic() + wait_ms / 1000
        start = frame % len(lanes) if lanes else 0
        for lane in lanes[start:] + lanes[:start]:
            if lane._session is None:
                continue
            for source in good:
                use = numbers or lane._tracks[source.track]
                cause, octets = self._send_one(lane, source, use, frame, deadline)
                counts[cause] += 1
                counts["octets"] += octets
        return Tally(**counts)

    def send_rtcp(self, lane: Lane, packet: bytes) -> Tally:
        if lane._session is None:
            return Tally()
        sealed = self._sealer.rtcp(lane._session, packet) if 8 <= len(packet) <= MAX_PACKET else None
        if sealed is None:
            return Tally(malformed=1)
        cause = self._transmit(lane, sealed, time.monotonic())
        return Tally(**{cause: 1})

    def _send_one(
        self, lane: Lane, source: Source, use: Numbers | None, frame: int, deadline: float
    ) -> tuple[str, int]:
        if lane._broken == frame:
            return "blocked", 0
        if use is None:
            return "unnumbered", 0
        sealed = self._seal(lane, source, use)
        if isinstance(sealed, str):
            return sealed, 0
        cause = self._transmit(lane, sealed, deadline)
        if cause == "blocked":
            lane._broken = frame
        return cause, len(sealed) if cause == "packets" else 0

    def _seal(self, lane: Lane, source: Source, use: Numbers) -> bytes | str:
        window = lane.window(use[0])
        if window is None:
            return "malformed"
        seq = (int.from_bytes(source.packet[2:4], "big") + use[2]) & 0xFFFF
        plaintext_of = hash((source.fingerprint, use[1], use[3:]))
        size = window.admit(seq, plaintext_of, source.size)
        if isinstance(size, str):
            return size
        return self._sealer.rtp(lane._session, renumber(source, use, size)) or "malformed"

    def _transmit(self, lane: Lane, datagram: bytes, deadline: float) -> str:
        while True:
            try:
                self._sock.sendto(datagram, lane._address)
            except BlockingIOError:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not _writable(self._sock, left_s):
                    return "blocked"
            except OSError:
                return "unreachable"
            else:
                return "packets"


def _writable(sock: socket.socket, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return bool(poller.poll(timeout_s * 1000))
