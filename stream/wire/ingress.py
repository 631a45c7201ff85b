"""The one UDP port of a node: datagrams in, to peers by ufrag (STUN), then by address (all else).

Only an address that passed a STUN check is in the table, so DTLS and SRTP from anyone else end here: a
forged source can't make us work or answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Iterable

from .ice import Address, Credentials, parse_binding
from .peer import Clock, Peer

log = logging.getLogger(__name__)

READ_BURST = 128
"""Datagrams taken before the event loop gets its turn again."""
_MAX_DATAGRAM = 2048
_OWNED_S = 5.0
"""An address stays with the peer that it was heard from this recently, whoever else claims it."""


class Ingress:
    """Reads `sock` on the event loop. `drops` counts by cause what nobody wanted."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self.drops: Counter[str] = Counter()
        self.received = 0
        self._sock = sock
        self._clock = clock
        self._by_ufrag: dict[str, Peer] = {}
        self._ufrags: dict[Peer, list[str]] = {}
        self._by_address: dict[Address, Peer] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._sock.fileno(), self.read)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._sock.fileno())

    def __len__(self) -> int:
        """Peers."""
        return len(self._ufrags)

    def add(self, peer: Peer, local: Credentials) -> None:
        """From now on checks that name `local.ufrag` go to `peer`."""
        self._by_ufrag[local.ufrag] = peer
        known = {own.ufrag for own in peer.ice.generations}
        held = [*self._ufrags.get(peer, ()), local.ufrag]
        for ufrag in held:
            if ufrag not in known:  # of a restart that came to nothing, or was long ago
                del self._by_ufrag[ufrag]
        self._ufrags[peer] = [ufrag for ufrag in held if ufrag in known]

    def remove(self, peer: Peer) -> None:
        for ufrag in self._ufrags.pop(peer, ()):
            del self._by_ufrag[ufrag]
        self._forget(peer, peer.ice.addresses)

    def send(self, datagram: bytes, address: Address) -> None:
        try:
            self._sock.sendto(datagram, address)
        except OSError:
            self.drops["unsendable"] += 1

    def read(self) -> None:
        now = self._clock.time()
        receive, route = self._sock.recvfrom, self._route
        for _ in range(READ_BURST):
            try:
                datagram, address = receive(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier send
            self.received += 1
            try:
                route(datagram, address, now)
            except Exception:  # one peer's datagram must not cost another its turn
                self.drops["fault"] += 1
                log.exception("a datagram could not be handled")

    def _route(self, datagram: bytes, address: Address, now: float) -> None:
        first = datagram[0] if datagram else 255
        if 128 <= first < 192:  # RFC 7983 7
            peer = self._by_address.get(address)
            if peer is not None:
                if not peer.receive_srtp(datagram, address, now):
                    self.drops["undecryptable"] += 1
                return
        elif first < 4:
            if self._check(datagram, address, now):
                return
        elif 20 <= first < 64:
            peer = self._by_address.get(address)
            if peer is not None:
                peer.receive_dtls(datagram, address, now)
                return
        self.drops["stun_refused" if first < 4 else "unknown_address" if first < 192 else "garbage"] += 1

    def _check(self, datagram: bytes, address: Address, now: float) -> bool:
        binding = parse_binding(datagram)
        peer = self._by_ufrag.get(binding.ufrag) if binding is not None else None
        if binding is None or peer is None:
            return False
        owner = self._by_address.get(address)
        is_others = owner is not None and owner is not peer
        if owner and is_others and now - owner.ice.addresses.get(address, 0.0) < _OWNED_S:
            return False
        if not peer.check(binding, address, now):
            return False
        if address in peer.ice.addresses and not peer.close_reason:  # it has proven itself
            if owner and is_others:
                owner.ice.addresses.pop(address, None)
            self._by_address[address] = peer
            self._forget(peer, peer.ice.take_evicted())
        return True

    def _forget(self, peer: Peer, addresses: Iterable[Address]) -> None:
        for address in addresses:
            if self._by_address.get(address) is peer:
                del self._by_address[address]
