"""One transport to an origin: a UDP socket of its own, ICE, DTLS, SRTP in, and RTCP out.

Where no answer comes over UDP, the origin's TCP candidates are asked as well, each through a stream that
looks like one more UDP address (`wire.tcp`).

The node's one media port can't serve here: an origin tells its peers apart by their address, and several
pulls of one edge would share it. What we send is feedback alone, sealed on the event loop in a context that
nothing else uses, so that the fan-out's thread keeps all the others to itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

import pylibsrtp

from stream.packet.rtp import is_rtcp
from stream.wire._srtp import outbound_session
from stream.wire.dtls import Dtls, DtlsContext, DtlsState
from stream.wire.ice import Address, Credentials
from stream.wire.ingress import READ_BURST
from stream.wire.peer import inbound_session
from stream.wire.sockets import open_udp
from stream.wire.tcp import Connection, reach

from .checks import Checks
from .description import Remote

log = logging.getLogger(__name__)

TICK_S = 0.05
TCP_AFTER_S = 0.6
"""Half a world there and back, twice."""
REFUSALS = 2
"""So many times the origin's host says that nobody is there (ICMP), then nobody is."""
_MAX_DATAGRAM = 2048


class LinkOwner(Protocol):
    def link_connected(self) -> None: ...

    def link_sent_rtp(self, packet: bytes, now: float) -> None: ...

    def link_sent_rtcp(self, compound: bytes, now: float) -> None: ...

    def link_closed(self, reason: str) -> None: ...


class Link:
    """Opens at once (OSError when there is no socket to be had), closes once, and tells its owner why."""

    def __init__(
        self,
        owner: LinkOwner,
        local: Credentials,
        remote: Remote,
        host: str,
        dtls: DtlsContext,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        is_ipv6 = ":" in remote.candidates[0][0]
        candidates = [address for address in remote.candidates if (":" in address[0]) == is_ipv6]
        self.close_reason = ""
        self._owner = owner
        self._loop = loop
        self._sock = open_udp(_bindable(host, ipv6=is_ipv6), 0)
        self._checks = Checks(local, remote.credentials, candidates, loop.time())
        self._dtls = Dtls(dtls, is_client=remote.is_dtls_server, fingerprints=remote.fingerprints)
        self._tcp_at = loop.time() + TCP_AFTER_S
        self._tcp_candidates = [
            address for address in remote.tcp_candidates if (":" in address[0]) == is_ipv6
        ]
        self._reaching: set[asyncio.Task[None]] = set()
        self._tunnels: list[Connection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._inbound: pylibsrtp.Session | None = None
        self._outbound: Any = None
        self._refusals = 0
        loop.add_reader(self._sock.fileno(), self._read)
        self._tick()

    def send_rtcp(self, packet: bytes) -> bool:
        if self._outbound is None:
            return False
        self._put(self._outbound.protect_rtcp(packet))
        return True

    def close(self, reason: str) -> None:
        if self.close_reason:
            return
        self.close_reason = reason
        if self._timer is not None:
            self._timer.cancel()
        self._put_all(self._dtls.close())
        for task in self._reaching:
            task.cancel()
        for tunnel in self._tunnels:
            tunnel.end()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._inbound = self._outbound = None
        self._owner.link_closed(reason)

    def _tick(self) -> None:
        now = self._loop.time()
        for datagram, address in self._checks.due(now):
            self._put(datagram, address)
        if self._tcp_candidates and self._checks.selected is None and now >= self._tcp_at:
            self._try_tcp()
        if self._dtls.state is DtlsState.HANDSHAKE and self._checks.selected is not None:
            self._put_all(self._dtls.retransmit())
        if self._refusals >= REFUSALS:
            self.close("origin_gone")
        elif self._checks.is_lost(now):
            self.close("origin_lost")
        elif self._dtls.state is DtlsState.CLOSED:
            self.close(self._dtls.failure)
        else:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def _try_tcp(self) -> None:
        candidates, self._tcp_candidates = self._tcp_candidates, []
        for address in candidates:
            task = self._loop.create_task(self._reach(address), name="edge-tcp")
            self._reaching.add(task)
            task.add_done_callback(self._reaching.discard)

    async def _reach(self, address: Address) -> None:
        """As long as the link lives: one that hears from nobody is soon closed."""
        with contextlib.suppress(OSError, ValueError):  # then it is UDP or nothing
            tunnel = await reach(self._sock, *address)
            self._tunnels.append(tunnel)
            self._checks.add(tunnel.address, self._loop.time())

    def _read(self) -> None:
        now = self._loop.time()
        for _ in range(READ_BURST):
            if self.close_reason:
                return
            try:
                datagram, _ = self._sock.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._refusals += 1  # the next tick draws the conclusion
                continue
            except OSError:
                continue
            try:
                self._receive(datagram, now)
            except Exception:  # one datagram must not end the others
                log.exception("a datagram of an origin could not be handled")

    def _receive(self, datagram: bytes, now: float) -> None:
        first = datagram[0] if datagram else 255
        if 128 <= first < 192 and len(datagram) >= 12:  # RFC 7983 7
            self._receive_srtp(datagram, now)
        elif first < 4:
            before = self._checks.selected
            if self._checks.receive(datagram, now) and before is None and self._checks.selected:
                self._selected(self._checks.selected)
        elif 20 <= first < 64 and self._checks.selected is not None:
            self._receive_dtls(datagram)

    def _selected(self, address: Address) -> None:
        """The kernel then lets in nothing but the origin's, and tells when its port is closed."""
        self._sock.connect(address)
        self._put_all(self._dtls.start())

    def _receive_dtls(self, datagram: bytes) -> None:
        self._put_all(self._dtls.receive(datagram))
        keys = self._dtls.inbound, self._dtls.outbound
        if self._dtls.state is DtlsState.CLOSED:
            self.close(self._dtls.failure)
        elif self._inbound is None and keys[0] is not None and keys[1] is not None:
            self._inbound, self._outbound = inbound_session(keys[0]), outbound_session(keys[1])
            self._owner.link_connected()

    def _receive_srtp(self, datagram: bytes, now: float) -> None:
        if self._inbound is None:
            return
        rtcp = is_rtcp(datagram)
        try:
            plain = self._inbound.unprotect_rtcp(datagram) if rtcp else self._inbound.unprotect(datagram)
        except (pylibsrtp.Error, ValueError):
            return  # nobody but the origin gets here: a repeat
        self._checks.heard(now)
        if rtcp:
            self._owner.link_sent_rtcp(plain, now)
        else:
            self._owner.link_sent_rtp(plain, now)

    def _put_all(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self._put(datagram)

    def _put(self, datagram: bytes, address: Address | None = None) -> None:
        """To the selected address, or to one that is still asked. What can't be sent is as good as lost:
        checks and feedback come again."""
        try:
            if self._checks.selected is not None:
                self._sock.send(datagram)
            elif address is not None:
                self._sock.sendto(datagram, address)
        except OSError as error:
            self._refusals += isinstance(error, ConnectionRefusedError)


def _bindable(host: str, *, ipv6: bool) -> str:
    """The node's own address where it is of the right kind, else any."""
    if (":" in host) == ipv6:
        return host
    return "::" if ipv6 else "0.0.0.0"
