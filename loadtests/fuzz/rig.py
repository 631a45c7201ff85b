"""A whole relay inside one thread: real sessions, ICE, DTLS, SRTP and fan-out, without event loop or network.

Datagrams go in through `Ingress.read`, as they would from the socket; what it answers is handed to the client
at that address. Time is a number that the caller advances, so twenty minutes of timeouts cost nothing.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pylibsrtp
from aioice import stun

from stream.node import IceServer
from stream.ports import BroadcastId, Grant, Purpose
from stream.sessions import Session, Sessions
from stream.signal import sdp
from stream.signal.answer import read_publisher_offer, read_viewer_offer
from stream.signal.errors import UnavailableError
from stream.signal.resources import Resources
from stream.wire._srtp import outbound_session
from stream.wire.dtls import Dtls, DtlsContext, DtlsState
from stream.wire.fanout import Fanout
from stream.wire.ingress import Ingress

Address = tuple[str, int]
_AWAY_S = 700.0
QUEUED = 200
"""Steps that the sender may be behind: a tenth of its bound."""


class Timer:
    def __init__(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.run: Callable[[], None] | None = lambda: callback(*args)

    def cancel(self) -> None:
        self.run = None


class Clock:
    """`stream.wire.peer.Clock` that stands still until it is advanced."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(callback, args)
        heapq.heappush(self._timers, (self._now + delay, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            self._now, _, timer = heapq.heappop(self._timers)
            if timer.run is not None:
                timer.run()
        self._now = until

    @property
    def pending(self) -> int:
        return sum(timer.run is not None for _, _, timer in self._timers)


class Faults(logging.Handler):
    """Whatever the relay caught and logged with a traceback: there it goes on, here it is a crash."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.seen.append(error or RuntimeError(record.getMessage()))


class _Wire:
    """Stands for the UDP socket that `Ingress` reads."""

    def __init__(self) -> None:
        self.arriving: deque[tuple[bytes, Address]] = deque()
        self.sent: deque[tuple[bytes, Address]] = deque(maxlen=256)

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        if not self.arriving:
            raise BlockingIOError
        datagram, address = self.arriving.popleft()
        return datagram[:size], address

    def sendto(self, datagram: bytes, address: Address) -> None:
        self.sent.append((datagram, address))


class Nobody:
    """An observer that doesn't look."""

    def broadcast_changed(self, *_: Any, **__: Any) -> None: ...

    def node_beat(self, *_: Any, **__: Any) -> None: ...


class OpenAdmission:
    """`publish.SHOW` and `view.SHOW` are good, as often as they come."""

    async def redeem(self, ticket: str) -> Grant | None:
        purpose, _, show = ticket.partition(".")
        with contextlib.suppress(ValueError):
            return Grant(BroadcastId(show), Purpose(purpose), "fuzz")
        return None


class Client:
    """The other side of one session, as far as the rig plays it."""

    def __init__(self, rig: Rig, session: Session, answer: str, address: Address) -> None:
        described = sdp.parse(answer).sections[0]
        self.session = session
        self.address = address
        self.ufrag = described.get("ice-ufrag") or ""
        self.password = described.get("ice-pwd") or ""
        name, _, value = (described.get("fingerprint") or "").partition(" ")
        self.dtls = Dtls(rig.dtls, is_client=True, fingerprints=[(name, value)])
        self.outbound: Any = None
        self._rig = rig

    def check(self) -> bytes:
        """A signed binding request of this session."""
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes |= {
            "USERNAME": f"{self.ufrag}:light",
            "PRIORITY": 1,
            "ICE-CONTROLLING": 7,
            "USE-CANDIDATE": None,
        }
        message.add_message_integrity(self.password.encode())
        return bytes(message)

    def connect(self) -> list[bytes]:
        """ICE and DTLS to the end; the datagrams that this side sent."""
        said = [self.check()]
        self._rig.feed(said[0], self.address)
        flight = self.dtls.start()
        while flight:
            for datagram in flight:
                self._rig.feed(datagram, self.address)
            said += flight
            flight = [out for heard in self._rig.heard(self.address) for out in self._take(heard)]
        if self.dtls.state is not DtlsState.CONNECTED or self.dtls.outbound is None:
            raise RuntimeError(
                f"the rig's own handshake failed: {self.dtls.failure or self.session.peer.close_reason}"
            )
        self.outbound = outbound_session(self.dtls.outbound)
        return said

    def _take(self, datagram: bytes) -> list[bytes]:
        return self.dtls.receive(datagram) if 20 <= datagram[0] < 64 else []

    def seal(self, packet: bytes, *, is_rtcp: bool) -> bytes | None:
        """None when libsrtp won't have the packet at all."""
        try:
            protect = self.outbound.protect_rtcp if is_rtcp else self.outbound.protect
            return bytes(protect(packet))
        except (pylibsrtp.Error, TypeError, ValueError):
            return None

    def application_data(self, data: bytes) -> list[bytes]:
        """DTLS records under the session's keys."""
        connection = self.dtls._connection
        connection.send(data or b"\0")
        return self.dtls._outgoing()


class Rig:
    """`close` frees everything and says what was left behind."""

    def __init__(self, dtls: DtlsContext) -> None:
        self.dtls = dtls
        self.clock = Clock()
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp.bind(("127.0.0.1", 0))
        self.fanout = Fanout(self._udp)
        self._wire = _Wire()
        self.ingress = Ingress(self._wire, self.clock)  # type: ignore[arg-type]
        self._hosts = itertools.count(1)
        self.sessions = Sessions(
            self.ingress,
            self.fanout,
            dtls,
            self.clock,
            Nobody(),
            candidates=[("127.0.0.1", 5000)],
            max_sessions=500,
            takes_tcp=True,
        )
        self.app = Resources(
            self.sessions,
            OpenAdmission(),
            public_base_url="http://relay",
            ice_servers=(IceServer("turn:turn.example", "name", "word"),),
            healthz=_absent,
            metrics=_absent,
        ).app

    def address(self) -> Address:
        """A new one; of every 200, one hears what it is sent."""
        number = next(self._hosts)
        port: int = self.sink.getsockname()[1]
        return f"127.{number >> 16 & 127}.{number >> 8 & 255}.{number & 255}", port

    def feed(self, datagram: bytes, address: Address) -> None:
        self._wire.arriving.append((datagram, address))
        self.ingress.read()

    def heard(self, address: Address) -> list[bytes]:
        """What was sent to `address` since the last call."""
        mine = [datagram for datagram, to in self._wire.sent if to == address]
        self._wire.sent.clear()
        return mine

    def publisher(self, show: str, offer: str) -> Client:
        grant = Grant(BroadcastId(show), Purpose.PUBLISH, secrets.token_hex(4))
        return Client(self, *self.sessions.publish(grant, read_publisher_offer(offer)), self.address())

    def viewer(self, show: str, offer: str) -> Client:
        grant = Grant(BroadcastId(show), Purpose.VIEW, "")
        self.let_send()
        while True:
            try:
                return Client(self, *self.sessions.view(grant, read_viewer_offer(offer)), self.address())
            except UnavailableError:  # the sender fell behind, on a busy machine
                self.sweep(1)

    def let_send(self) -> None:
        """Inputs come faster than any network brings them: the sender thread gets its turn."""
        while self.fanout.stats().queued > QUEUED:
            time.sleep(0.001)

    def sweep(self, seconds: float) -> None:
        """Half seconds of the node's clockwork."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            self.sessions.sweep(self.clock.time())

    def refused(self) -> dict[str, int]:
        """What the fan-out should never have been given: it would repeat a nonce, or has no number."""
        drops = self.fanout.stats().drops
        return {cause: drops[cause] for cause in ("reused", "unnumbered") if drops[cause]}

    def close(self) -> dict[str, int]:
        """What is held after every session ran into its timeout: all zero, or it leaks."""
        self.sweep(_AWAY_S)
        left = {
            "sessions": len(self.sessions),
            "broadcasts": len(self.sessions.broadcasts),
            "peers": len(self.ingress),
            "ufrags": len(self.ingress._by_ufrag),
            "addresses": len(self.ingress._by_address),
            "lanes": len(self.fanout._lanes),
            "timers": self.clock.pending,
            "event_streams": len(self.sessions.events),
        }
        self.fanout.stop()
        self._udp.close()
        self.sink.close()
        return {name: count for name, count in left.items() if count}


async def _absent(request: Any) -> Any:
    raise LookupError("not in the rig")
