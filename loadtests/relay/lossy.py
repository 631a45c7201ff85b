"""A bad network in one UDP port: random loss and a fixed delay each way, between clients and one server.

    client ◀──▶ port ── loss, delay ──▶ a socket a client ◀──▶ target

Seeded, so that a run can be repeated. Only media is lost (SRTP and SRTCP, RFC 7983): how long a handshake
takes to get through is another question. Order is kept. A server behind it announces the port as its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_CLIENTS = 64
MAX_IN_FLIGHT = 20_000
"""Datagrams on their way; what comes beyond that is lost too, and counted as `overflow`."""
_READ_BURST = 64
_BUFFER_BYTES = 4 << 20


class _OnItsWay(NamedTuple):
    due: float
    sock: socket.socket
    datagram: bytes
    address: tuple[Any, ...]


class LossyPath:
    """Lives on a running event loop between `start` and `stop`; set `target` before clients come.

    `counts`: media datagrams `up` (to the target) and `down`, of which `up_lost` and `down_lost`.
    """

    def __init__(self, *, loss: float, delay_s: float, seed: int) -> None:
        self.target: tuple[str, int] | None = None
        self.counts: Counter[str] = Counter(up=0, up_lost=0, down=0, down_lost=0, overflow=0)
        self._loss, self._delay_s = loss, delay_s
        self._random = random.Random(seed)
        self._front = _socket()
        self._backs: dict[tuple[Any, ...], socket.socket] = {}
        self._way: deque[_OnItsWay] = deque()

    @property
    def port(self) -> int:
        return int(self._front.getsockname()[1])

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._front.fileno(), self._read_front)

    def stop(self) -> None:
        for sock in (self._front, *self._backs.values()):
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._way.clear()

    def _read_front(self) -> None:
        for datagram, address in _burst(self._front):
            back = self._backs.get(address) or self._open(address)
            if back is not None and self.target is not None:
                self._carry("up", back, datagram, self.target)

    def _open(self, client: tuple[Any, ...]) -> socket.socket | None:
        if len(self._backs) >= MAX_CLIENTS:
            return None
        back = self._backs[client] = _socket()
        self._loop.add_reader(back.fileno(), self._read_back, back, client)
        return back

    def _read_back(self, back: socket.socket, client: tuple[Any, ...]) -> None:
        for datagram, _ in _burst(back):
            self._carry("down", self._front, datagram, client)

    def _carry(self, way: str, sock: socket.socket, datagram: bytes, to: tuple[Any, ...]) -> None:
        if datagram and 128 <= datagram[0] < 192:
            self.counts[way] += 1
            if self._random.random() < self._loss:
                self.counts[f"{way}_lost"] += 1
                return
        if len(self._way) >= MAX_IN_FLIGHT:
            self.counts["overflow"] += 1
            return
        due = self._loop.time() + self._delay_s
        self._way.append(_OnItsWay(due, sock, datagram, to))
        if len(self._way) == 1:
            self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        now = self._loop.time()
        while self._way and self._way[0].due <= now:
            _, sock, datagram, address = self._way.popleft()
            with contextlib.suppress(OSError):
                sock.sendto(datagram, address)
        if self._way:
            self._loop.call_at(self._way[0].due, self._deliver)


@contextlib.contextmanager
def lossy_path(*, loss: float, delay_s: float, seed: int) -> Iterator[LossyPath]:
    """One in a thread of its own, so that nothing else holds its datagrams up."""
    path, loop = LossyPath(loss=loss, delay_s=delay_s, seed=seed), asyncio.new_event_loop()
    path.start(loop)
    thread = threading.Thread(target=loop.run_forever, name="lossy-path", daemon=True)
    thread.start()
    try:
        yield path
    finally:
        loop.call_soon_threadsafe(path.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def _burst(sock: socket.socket) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    for _ in range(_READ_BURST):
        try:
            yield sock.recvfrom(2048)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error about an earlier send
