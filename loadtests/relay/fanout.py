"""What a packet to a viewer costs: our sealed fan-out against a bare, unencrypted sendmmsg a packet.

    python -m loadtests.relay.fanout --json      (make bench-fanout)

Both run in the same process, on the same socket, to the same receivers, each in a thread of its own that
waits for frames, frame by frame in turn: so the machine's mood hits both, and for both the receiving is
another thread's. Every packet is delivered: the receive queues hold a keyframe and are emptied after each
frame, and packets that don't come out count as drops. What is compared is CPU time of the sending threads;
on loopback that includes the kernel's work of delivering, which the network card's interrupt would do
elsewhere.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.relay.stream import Shape, VideoTrack
from stream.wire import fanout as wire_fanout
from stream.wire.fanout import Fanout, Lane, Numbering, SrtpKeys

BAR = 0.6
_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_IoVec)),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("sent", ctypes.c_uint))


class BareSendmmsg:
    """One sendmmsg a packet, to all receivers, nothing else: the yardstick."""

    def __init__(self, sock: socket.socket, ports: list[int]) -> None:
        self._sock, self._count = sock, len(ports)
        self._iov = _IoVec()
        self._names = [
            ctypes.create_string_buffer(
                socket.AF_INET.to_bytes(2, sys.byteorder)
                + port.to_bytes(2, "big")
                + socket.inet_aton("127.0.0.1")
                + bytes(8),
                16,
            )
            for port in ports
        ]
        self._frames: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._messages = (_MMsgHdr * self._count)()
        self.frames = 0
        self.failure: OSError | None = None
        for message, name in zip(self._messages, self._names, strict=True):
            message.header.name = ctypes.addressof(name)
            message.header.name_length = 16
            message.header.iov = ctypes.pointer(self._iov)
            message.header.iov_count = 1
        self._thread = threading.Thread(target=self._run, name="bare", daemon=True)
        self._thread.start()

    def offer(self, frame: list[bytes]) -> None:
        """Sent by the thread; `frames` counts when it has left."""
        self._frames.put(frame)

    def stop(self) -> None:
        self._frames.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (frame := self._frames.get()) is not None:
            try:
                for packet in frame:
                    self._send(packet)
            except OSError as error:
                self.failure = error
            self.frames += 1

    def _send(self, packet: bytes) -> None:
        room = ctypes.create_string_buffer(packet, len(packet))
        self._iov.base, self._iov.length = ctypes.addressof(room), len(packet)
        sent = 0
        while sent < self._count:  # a call takes 1,024 messages at most
            at = ctypes.byref(self._messages, sent * ctypes.sizeof(_MMsgHdr))
            done = _libc.sendmmsg(self._sock.fileno(), at, self._count - sent, 0)
            if done <= 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += done


class Receivers:
    """A socket a viewer, each with room for a keyframe, emptied and counted on demand."""

    def __init__(self, viewers: int) -> None:
        self._sockets = [self._socket() for _ in range(viewers)]
        self.ports = [int(sock.getsockname()[1]) for sock in self._sockets]
        self.sender = ("127.0.0.1", 0)
        self._room = bytearray(2048)

    @staticmethod
    def _socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock

    def empty(self) -> int:
        """How many packets had arrived from `sender`, and from nobody else on a busy machine."""
        packets = 0
        for sock in self._sockets:
            try:
                while True:
                    packets += sock.recvfrom_into(self._room)[1] == self.sender
            except BlockingIOError:
                pass
        return packets

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@dataclass(slots=True)
class Result:
    viewers: int
    sealed_s: float = 0.0
    bare_s: float = 0.0
    sealed: int = 0
    bare: int = 0
    drops: int = 0
    notes: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        ours, theirs = self.sealed_s / self.sealed * 1e6, self.bare_s / self.bare * 1e6
        return {
            "viewers": self.viewers,
            "ratio": round(ours / theirs, 3),
            "us_per_packet": round(ours, 3),
            "sendmmsg_us_per_packet": round(theirs, 3),
            "drops": self.drops,
            **self.notes,
        }


class Bench:
    def __init__(self, viewers: int, shape: Shape, profile: str) -> None:
        self._receivers = Receivers(viewers)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self._receivers.sender = self._sock.getsockname()
        wire_fanout.LATE_S = 600.0  # every frame is waited for: one dropped as late would not come
        self._fanout = Fanout(self._sock)
        self._lanes = tuple(self._lane(profile, port) for port in self._receivers.ports)
        self._bare = BareSendmmsg(self._sock, self._receivers.ports)
        self._track = VideoTrack(shape, ssrc=1, payload_type=96)
        self._result = Result(viewers)

    def _lane(self, profile: str, port: int) -> Lane:
        key, salt = {"AEAD_AES_128_GCM": (16, 12), "AEAD_AES_256_GCM": (32, 12)}.get(profile, (16, 14))
        lane = self._fanout.open(SrtpKeys(profile, os.urandom(key), os.urandom(salt)), ("127.0.0.1", port))
        self._fanout.number(lane, 1, Numbering(ssrc=port, payload_type=96, seq_delta=port, timestamp_delta=7))
        return lane

    def run(self, seconds: float) -> Result:
        ends = time.monotonic() + seconds
        self._both(self._track.frame(), Result(self._result.viewers))  # warms caches, is not counted
        self._settle()
        while not self._result.bare or time.monotonic() < ends:
            self._both(self._track.frame(), self._result)
        self._result.drops -= self._settle()
        stats = self._fanout.stats()
        self._result.drops += sum(stats.drops.values())
        self._result.notes = {"native": stats.native, "gso": stats.gso}
        return self._result

    def _settle(self) -> int:
        """What was still on its way: the kernel may deliver a little later than it takes."""
        time.sleep(0.1)
        return self._receivers.empty()

    def _both(self, frame: list[bytes], result: Result) -> None:
        expected = len(frame) * len(self._lanes)
        result.sealed_s += self._send_sealed(frame)
        result.sealed += expected
        result.drops += expected - self._receivers.empty()
        result.bare_s += self._send_bare([bytes(len(packet) + 16) for packet in frame])
        result.bare += expected
        result.drops += expected - self._receivers.empty()

    def _send_sealed(self, frame: list[bytes]) -> float:
        """CPU seconds of handing the frame over and of the sender thread until it has left."""
        sent = self._fanout.stats().frames

        def offer() -> None:
            self._fanout.send(1, frame, self._lanes)

        return _cpu_s("fanout", offer, lambda: self._fanout.stats().frames > sent)

    def _send_bare(self, frame: list[bytes]) -> float:
        sent = self._bare.frames
        took_s = _cpu_s("bare", lambda: self._bare.offer(frame), lambda: self._bare.frames > sent)
        if self._bare.failure is not None:
            raise self._bare.failure
        return took_s

    def close(self) -> None:
        self._bare.stop()
        self._fanout.stop()
        self._sock.close()
        self._receivers.close()


def _cpu_s(thread: str, offer: Callable[[], None], has_left: Callable[[], bool]) -> float:
    """CPU seconds of `offer` here and of what it sets off in the thread of that name."""
    before, started = _cpu_of(thread), time.thread_time()
    offer()
    offered_s = time.thread_time() - started
    while not has_left():
        time.sleep(0.002)
    return offered_s + _cpu_of(thread) - before


def _cpu_of(name: str) -> float:
    """CPU seconds of the thread of that name."""
    ident = next(thread.ident for thread in threading.enumerate() if thread.name == name)
    return time.clock_gettime(time.pthread_getcpuclockid(ident or 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--viewers", type=int, default=500)
    parser.add_argument("--bitrate", type=int, default=2_500_000, help="bit/s of the stream")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure")
    parser.add_argument("--profile", default="AEAD_AES_128_GCM")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    bench = Bench(options.viewers, Shape(bitrate=options.bitrate), options.profile)
    try:
        figures = bench.run(options.seconds).as_json()
    finally:
        bench.close()
    if not options.json:
        print(f"{figures['viewers']} viewers, sealed against bare sendmmsg: {figures['ratio']} (bar: {BAR})")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
