"""All that a node sends over SRTP: one thread seals and sends each frame to every viewer of it.

    event loop ── open, number, send, resend, close ──▶ queue ──▶ sender thread ──▶ one UDP socket
                                                     (bounded)    (numbers, seals, sends)

A frame comes in once and goes out N times, differing only in a few header fields and the key. So the loop
hands over the frame and the lanes (a viewer each), and the native path (`_fanout.c`) does the rest in one
call without the GIL: libsrtp on a buffer, then `sendmmsg` with UDP GSO, where the packets of one viewer
travel through the kernel as one. Without a compiler or off Linux the plain path (`_fanout_plain.py`) gives
the same results.

**One owner.** libsrtp contexts are not thread-safe and may be freed under a running call. Only the sender
thread touches a lane's context, and only it lets go of it. Everything else is a command in its queue, in
order.

**Nonces.** SRTP's nonce is (key, SSRC, roll-over counter, sequence number); two plaintexts under one give
both away. Each lane therefore remembers, per SSRC and for the last `WINDOW` sequence numbers, a fingerprint
of what it sealed: the packet as it came, how it is read, the numbering it got and its padded size. A repeat
must match, and gets the padding of the first time, so it is byte-identical; anything else is refused and
counted as `reused`. What is older than the window is refused as `stale`. A key of the last `KEYS_KEPT` opens
no second lane, which could repeat what the first did. RTX has an SSRC and sequence of its own, and is held to
the same.

**Bounds.** A frame or resend whose turn comes later than `LATE_S` is dropped whole, for everyone, and
counted as `late`: a live picture can't be caught up by queueing more. The queue holds `max_queued_frames`,
frames and RTCP packets; what finds it full is dropped too (`queue_full`). When the socket is full, the
sender waits up to `WAIT_MS` a burst and then drops that lane's frame to its end (`blocked`). Commands that
open, number, move and close lanes are never dropped; they are as few as the lanes.

**Pace.** A keyframe of 50 and more packets in one go overruns the queue of a home router. It leaves in bursts
of `BURST` packets a viewer, all viewers in turn, `PACE_S` apart at least; other shows go on meanwhile
(`_turns.py`). When the thread is behind, frames that wait for the same viewers leave as one burst, up to
`JOINED` packets: a viewer's context is then fetched from memory once, sound rides in the picture's train, and
what is behind is caught up.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from . import _fanout_plain as plain
from ._srtp import SrtpKeys, context_address, function_addresses, outbound_session
from ._turns import Step, Turns

try:
    from . import _fanout as native_path
except ImportError:  # no compiler when it was installed, or not Linux
    native_path = None  # type: ignore[assignment]

__all__ = ["Fanout", "FanoutStats", "Lane", "Numbering", "SrtpKeys", "even_sizes"]

log = logging.getLogger(__name__)

BURST = 16
"""Packets a viewer and burst: 20 kB, which the smallest home-router queues hold."""
JOINED = 32
"""Packets that frames which waited together may have, to leave as one burst."""
PACE_S = 0.003
"""Between the starts of two bursts: 16 packets in 3 ms are some 50 Mbit/s."""
LATE_S = 0.5
"""Longest wait for the sender thread: what is older has been asked for again, or been given up."""
WAIT_MS = 20
"""Longest wait for room in the socket, a burst: less than the time between two frames."""
KEYS_KEPT = 256
"""Keys remembered (as hashes under a secret of this process), so that none comes back. Every handshake makes
new ones, so a key twice is a mistake of ours, and would soon be made."""
MAX_PADDING = 64
"""Most padding a packet gets to even out a frame: 5 % of a full one. Encoders split evenly, a few bytes
apart."""

_DROPS = ("blocked", "unreachable", "reused", "stale", "unnumbered", "malformed")


class Lane(Protocol):
    """One viewer's way out, opaque: made by `Fanout.open`, good until `Fanout.close`. Hash and compare by
    identity."""

    def close(self) -> None:
        """For the sender thread alone: use `Fanout.close`."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """What a lane adds, modulo the field's size, to the relay's numbers of one track."""

    ssrc: int
    payload_type: int
    seq_delta: int
    timestamp_delta: int
    picture_id_delta: int = 0
    tl0_delta: int = 0

    def numbers(self) -> plain.Numbers:
        return (
            self.ssrc & 0xFFFFFFFF,
            self.payload_type & 0x7F,
            self.seq_delta & 0xFFFF,
            self.timestamp_delta & 0xFFFFFFFF,
            self.picture_id_delta & 0x7FFF,
            self.tl0_delta & 0xFF,
        )


@dataclass(slots=True)
class FanoutStats:
    """Counts since the start; packets are a lane's, so one packet to 500 viewers counts 500."""

    native: bool
    gso: bool
    queued: int = 0
    frames: int = 0
    packets: int = 0
    octets: int = 0
    """UDP payload, sealed."""
    drops: dict[str, int] = field(default_factory=dict)
    """By cause. Whole frames: late, queue_full; a lane's packets: blocked, unreachable, reused, stale,
    unnumbered, malformed."""
    last_fanout_s: float = 0.0
    sum_fanout_s: float = 0.0
    """From taking a frame off the queue to its last packet's send, pauses of the pace included."""


@dataclass(slots=True)
class _Frame:
    """What is sent of one frame, or of several that waited together; a resend has `numbers` of its own."""

    packets: tuple[bytes, ...]
    kinds: bytes
    numbers: plain.Numbers | None
    offered: float = field(default_factory=time.perf_counter)
    sizes: list[int] = field(default_factory=list)
    frames: int = 1
    id: int = 0
    sent: int = 0
    started: float = 0.0

    def append(self, behind: _Frame) -> None:
        self.packets += behind.packets
        self.kinds += behind.kinds
        self.sizes += behind.sizes
        self.frames += 1


def even_sizes(packets: Sequence[bytes], *, is_followed: bool = False) -> list[int]:
    """Sizes after padding, so that neighbours are equal and one GSO train.

    The last may stay shorter, unless it `is_followed` by what is shorter still.
    """
    target = max(map(len, packets), default=0)
    sizes = [_padded_size(packet, target) for packet in packets]
    if packets and not is_followed:
        sizes[-1] = len(packets[-1])
    return sizes


def _padded_size(packet: bytes, target: int) -> int:
    missing = target - len(packet)
    if 0 < missing <= MAX_PADDING and len(packet) >= 12 and missing <= plain.padding_room(packet):
        return target
    return len(packet)


class Fanout:
    """Owns the sending side of `sock`, which must be non-blocking; reading it stays the event loop's.

    Every method is cheap, returns at once and is called from one thread (the loop's). `native=None` takes the
    native path when it was built; True insists on it (RuntimeError), False declines it.
    """

    def __init__(
        self, sock: socket.socket, *, native: bool | None = None, max_queued_frames: int = 2048
    ) -> None:
        self._family = sock.family
        self._native = native_path is not None if native is None else native
        self._sender = self._sender_on(sock)
        self._max_queued_frames = max_queued_frames
        self._queue: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._turns = Turns()
        self._frame_ids = count(1)
        self._keys: dict[int, None] = {}
        self._lanes: set[Lane] = set()
        self._stats = FanoutStats(
            self._native, self._sender.gso, drops=dict.fromkeys((*_DROPS, "late", "queue_full"), 0)
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fanout", daemon=True)
        self._thread.start()

    def _sender_on(self, sock: socket.socket) -> Any:
        if not self._native:
            log.warning("fan-out runs on the plain Python path: about five times the CPU of the native one")
            return plain.Sender(sock)
        if native_path is None:
            raise RuntimeError(
                "fanout_native_missing: stream.wire._fanout is not built; run `pip install .` again"
            )
        sender = native_path.Sender(sock.fileno(), *function_addresses())
        log.info("fan-out runs on the native path, UDP GSO %s", "on" if sender.gso else "off")
        return sender

    # What a lane goes through

    def open(self, keys: SrtpKeys, address: tuple[Any, ...]) -> Lane:
        """A lane to `address` (IPv4 or IPv6, as `recvfrom` gives it).

        ValueError when the keys were used before, or nothing can be sent to the address.
        """
        key = hash(keys.key + keys.salt)
        if key in self._keys:
            raise ValueError(
                "srtp_key_used: a second lane under one key could repeat a nonce; do a new handshake"
            )
        session = outbound_session(keys)
        where = self._where(address)
        lane: Lane = (
            native_path.Lane(session, context_address(session), where)
            if self._native
            else plain.Lane(session, where)
        )
        self._keys[key] = None
        if len(self._keys) > KEYS_KEPT:
            del self._keys[next(iter(self._keys))]
        self._lanes.add(lane)
        return lane

    def move(self, lane: Lane, address: tuple[Any, ...]) -> None:
        """From here on this lane's packets go to `address`."""
        self._put(lane, self._apply, lane, "move", self._where(address))

    def number(self, lane: Lane, track: int, numbering: Numbering) -> None:
        """The lane's numbering of `track` (0 audio, 1 video, up to 3), for every `send` after this call."""
        _check_track(track)
        self._put(lane, self._apply, lane, "number", track, numbering.numbers())

    def close(self, lane: Lane) -> None:
        """The lane is gone after what is queued; again is nothing."""
        if lane in self._lanes:
            self._lanes.discard(lane)
            self._put(lane, self._apply, lane, "close")

    # What goes out

    def send(self, track: int, packets: Sequence[bytes], lanes: Sequence[Lane], codec: str = "") -> bool:
        """One frame's packets, in order, to all `lanes`; False when the queue was full and nobody gets them.

        A tuple of lanes that is kept between calls is not copied. `codec` "VP8" lets the picture ids be
        renumbered.
        """
        return bool(lanes) and self._offer_frame(tuple(lanes), _frame(track, packets, codec, None))

    def resend(
        self, lane: Lane, track: int, packets: Sequence[bytes], numbering: Numbering, codec: str = ""
    ) -> bool:
        """The very packets that `send` got, again, under the numbering of then; or RTX packets under RTX's
        own.

        Give the packets as `send` got them: the padding is remembered here. One that differs from what was
        sent under its sequence number is refused (`reused`), one too old is (`stale`).
        """
        return self._offer_frame((lane,), _frame(track, packets, codec, numbering.numbers()))

    def send_rtcp(self, lane: Lane, packet: bytes) -> bool:
        """One compound RTCP packet, sealed here; False when the queue was full."""
        return self._offer((lane,), self._send_rtcp, lane, packet)

    def stats(self) -> FanoutStats:
        """A copy; the sender thread may be a few counts ahead."""
        now = self._stats
        return FanoutStats(
            now.native,
            bool(self._sender.gso),
            self._behind(),
            now.frames,
            now.packets,
            now.octets,
            dict(now.drops),
            now.last_fanout_s,
            now.sum_fanout_s,
        )

    def stop(self) -> None:
        """Ends the thread after the burst in hand; what is queued is not sent.

        Close the socket after this, not before: its number may be another file by then.
        """
        self._stopping.set()
        self._queue.put(Step((), lambda: None))
        self._thread.join(timeout=5)

    def _offer(self, lanes: tuple[Lane, ...], run: Callable[..., None], *args: Any) -> bool:
        if self._behind() >= self._max_queued_frames:
            self._stats.drops["queue_full"] += 1
            return False
        self._queue.put(Step(lanes, run, args))
        return True

    def _offer_frame(self, lanes: tuple[Lane, ...], frame: _Frame) -> bool:
        return self._offer(lanes, self._send, frame, lanes)

    def _put(self, lane: Lane, run: Callable[..., None], *args: Any) -> None:
        self._queue.put(Step((lane,), run, args))

    def _behind(self) -> int:
        return self._queue.qsize() + len(self._turns)

    def _where(self, address: tuple[Any, ...]) -> tuple[Any, ...]:
        return _normalised(self._family, address, packed=self._native)

    # The sender thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            step = self._turns.next(time.perf_counter())
            if step is None:
                self._take_queued(self._turns.wait_s(time.perf_counter()))
                continue
            self._take_queued(0.0)
            try:
                step.run(*step.args)
            except Exception:  # a fault in one step must not silence everyone
                log.exception("fan-out step failed")

    def _take_queued(self, wait_s: float | None) -> None:
        """Whatever the loop has asked for; waits for something when nothing is due."""
        with contextlib.suppress(queue.Empty):
            self._turns.add(self._queue.get(wait_s != 0.0, wait_s))
            while True:
                self._turns.add(self._queue.get_nowait())

    def _apply(self, lane: Any, change: str, *args: Any) -> None:
        getattr(lane, change)(*args)

    def _send(self, frame: _Frame, lanes: tuple[Lane, ...]) -> None:
        """One burst of the frame; the rest is put back, to go on in its time."""
        now = time.perf_counter()
        if not frame.sent:
            if now - frame.offered > LATE_S:
                self._stats.drops["late"] += 1
                return
            self._begin(frame, lanes, now)
        size = JOINED if len(frame.packets) <= JOINED and frame.frames > 1 else BURST
        burst = slice(frame.sent, frame.sent + size)
        self._tally(
            self._sender.send(
                lanes,
                frame.packets[burst],
                frame.sizes[burst],
                frame.kinds[burst],
                frame.id,
                frame.numbers,
                WAIT_MS,
            )
        )
        frame.sent += size
        if frame.sent < len(frame.packets):
            self._turns.pause(Step(lanes, self._send, (frame, lanes)), now + PACE_S)
        else:
            self._end(frame)

    def _begin(self, frame: _Frame, lanes: tuple[Lane, ...], now: float) -> None:
        """Numbers it, evens its sizes out, and takes along what waits right behind it."""
        frame.id, frame.started = next(self._frame_ids), now
        me, parts = Step(lanes, self._send), [frame]
        while (behind := self._turns.behind(me)) and _fit(*parts, behind.args[0]):
            parts.append(self._turns.take_behind().args[0])
        for part in parts:
            part.sizes = even_sizes(part.packets, is_followed=part is not parts[-1])
        for part in parts[1:]:
            frame.append(part)

    def _end(self, frame: _Frame) -> None:
        self._stats.frames += frame.frames
        self._stats.last_fanout_s = time.perf_counter() - frame.started
        self._stats.sum_fanout_s += self._stats.last_fanout_s

    def _send_rtcp(self, lane: Lane, packet: bytes) -> None:
        self._tally(self._sender.send_rtcp(lane, packet))

    def _tally(self, tally: tuple[int, ...]) -> None:
        packets, octets, *drops = tally
        self._stats.packets += packets
        self._stats.octets += octets
        for cause, dropped in zip(_DROPS, drops, strict=True):
            if dropped:
                self._stats.drops[cause] += dropped


def _frame(track: int, packets: Sequence[bytes], codec: str, numbers: plain.Numbers | None) -> _Frame:
    _check_track(track)
    kind = track | (plain.VP8 if codec.rpartition("/")[2].upper() == "VP8" else 0)
    return _Frame(tuple(packets), bytes((kind,)) * len(packets), numbers)


def _check_track(track: int) -> None:
    if not 0 <= track < plain.TRACKS:
        raise ValueError(f"track_unknown: {track} is not under {plain.TRACKS}")


def _fit(*frames: _Frame) -> bool:
    """Whether these may leave as one burst, each lane under its own numbers."""
    return sum(len(frame.packets) for frame in frames) <= JOINED and all(
        frame.numbers is None for frame in frames
    )


def _normalised(family: int, address: tuple[Any, ...], *, packed: bool) -> tuple[Any, ...]:
    """`address` as the socket's family writes it: an IPv6 socket reaches IPv4 as `::ffff:a.b.c.d`.

    Packed for the native path: family, address bytes, port, flow info, scope id.
    """
    host, port, *more = address
    ip = ipaddress.ip_address(str(host).partition("%")[0])
    if family == socket.AF_INET6 and ip.version == 4:
        ip = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + ip.packed)
    elif family == socket.AF_INET and isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            raise ValueError(f"address_family: {host} is IPv6 and the socket is IPv4")
        ip = ip.ipv4_mapped
    flow, scope = (*more, 0, 0)[:2]
    if not 0 < port < 65536:
        raise ValueError(f"address_port: {port} is no port")
    if packed:
        return (int(family), ip.packed, port, flow, scope)
    return (str(ip), port) if family == socket.AF_INET else (str(ip), port, flow, scope)
