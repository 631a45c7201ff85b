"""ICE-lite (RFC 8445 2.5): a STUN message in, an answer out.

The relay never sends checks of its own. Whoever proves by MESSAGE-INTEGRITY that it knows a session's
password is that session's peer, wherever it sends from: a new address with a valid check is a client that
moved (WiFi to 4G, a NAT that rebound), not an error. Its checks are also its consent (RFC 7675): when they,
and everything else it could authenticate, stay away for `CONSENT_S`, the peer is gone.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aioice import stun

Address = tuple[Any, ...]
"""As `socket.recvfrom` gives it."""

CONSENT_S = 30.0  # RFC 7675 5.1
SETTLED_S = 1.0
"""How long the address in use must have been silent before another one takes over without being nominated."""
MAX_ADDRESSES = 16
MAX_STUN_BYTES = 548  # RFC 8489 6.1: fits every path
_COOKIE = bytes.fromhex("2112a442")
_HEADER = struct.Struct("!HH")
_XOR_MAPPED = struct.Struct("!HHBBH")
_FINGERPRINT = struct.Struct("!HHI")


@dataclass(frozen=True, slots=True)
class Credentials:
    """One side's ufrag and password (RFC 8445 5.3)."""

    ufrag: str
    password: str = field(repr=False)

    @classmethod
    def random(cls) -> Credentials:
        return cls(secrets.token_hex(8), secrets.token_hex(16))


class Binding(NamedTuple):
    """A binding request, not yet authenticated."""

    ufrag: str
    """Ours: says which peer it is for."""
    remote_ufrag: str
    nominates: bool
    claims_control: bool
    message: stun.Message


def parse_binding(datagram: bytes) -> Binding | None:
    """The binding request in a datagram, or None when it is anything else. Never raises."""
    if len(datagram) > MAX_STUN_BYTES:
        return None
    try:
        message = stun.parse_message(datagram)
        local, _, remote = str(message.attributes["USERNAME"]).partition(":")
    except (ValueError, KeyError, IndexError, struct.error):
        return None
    if message.message_method != stun.Method.BINDING or message.message_class != stun.Class.REQUEST:
        return None
    attributes = message.attributes
    return Binding(local, remote, "USE-CANDIDATE" in attributes, "ICE-CONTROLLED" not in attributes, message)


class IceLite:
    """One peer's addresses: which have proven themselves, and which is in use.

    `generations` holds our credentials, those in use first and the newest last: after an ICE restart the old
    ones stay good until the client uses the new ones, so that restarts that fail, however many, leave the
    session as it was (RFC 9725 4.3.3). Chromium, too, goes on under the old ones where its new ports have
    found us before our answer has found it.
    """

    def __init__(self, local: Credentials, now: float, remote_ufrag: str = "") -> None:
        self.generations = [local]
        self.remote_ufrag = remote_ufrag
        self.selected: Address | None = None
        self.addresses: dict[Address, float] = {}
        self.last_heard = now
        self._evicted: list[Address] = []

    def take_evicted(self) -> list[Address]:
        """Addresses that gave way to newer ones since the last call."""
        evicted, self._evicted = self._evicted, []
        return evicted

    def restart(self, local: Credentials, remote_ufrag: str = "") -> None:
        """The client begins anew as `remote_ufrag`, when it says so."""
        self.generations = [self.generations[0], local]
        self.remote_ufrag = remote_ufrag or self.remote_ufrag

    def check(self, binding: Binding, address: Address, now: float) -> bytes | None:
        """Authenticates a request and answers it; None when it is not from this session's client.

        `selected` may have changed afterwards.
        """
        password = next((own.password for own in self.generations if own.ufrag == binding.ufrag), None)
        if password is None or not _is_authentic(binding.message, password):
            return None
        if not binding.claims_control:
            return _role_conflict(binding.message, password)
        if binding.ufrag == self.generations[-1].ufrag:
            del self.generations[:-1]
        self._prove(address, now, nominated=binding.nominates)
        return _success(binding.message.transaction_id, password, address)

    def heard(self, address: Address, now: float) -> None:
        """Authenticated media or DTLS came from `address`, which has proven itself before."""
        self.last_heard = now
        if address != self.selected:
            self._prove(address, now, nominated=False)
        else:
            self.addresses[address] = now

    def is_lost(self, now: float) -> bool:
        return now - self.last_heard > CONSENT_S

    def _prove(self, address: Address, now: float, *, nominated: bool) -> None:
        self.last_heard = now
        self.addresses[address] = now
        silent_s = now - self.addresses.get(self.selected or (), -SETTLED_S)
        if self.selected is None or nominated or silent_s >= SETTLED_S:
            self.selected = address
        if len(self.addresses) > MAX_ADDRESSES:
            unused = (known for known in self.addresses if known != self.selected)
            oldest = min(unused, key=self.addresses.__getitem__)
            del self.addresses[oldest]
            self._evicted.append(oldest)


def _is_authentic(message: stun.Message, password: str) -> bool:
    return bool(message.check_message_integrity(password.encode()))


def _role_conflict(request: stun.Message, password: str) -> bytes:
    answer = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.ERROR,
        transaction_id=request.transaction_id,
    )
    answer.attributes["ERROR-CODE"] = (487, "Role Conflict")
    answer.add_message_integrity(password.encode())
    return bytes(answer)


def _success(transaction_id: bytes, password: str, mapped: Address) -> bytes:
    """RFC 8489 14.2, 14.5, 14.7. Written by hand: each viewer asks every few seconds."""
    host = plain_host(mapped[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    mask = _COOKIE + transaction_id
    hidden = int.from_bytes(packed, "big") ^ int.from_bytes(mask[: len(packed)], "big")
    attribute = _XOR_MAPPED.pack(
        0x0020, 4 + len(packed), 0, 2 if family == socket.AF_INET6 else 1, mapped[1] ^ 0x2112
    ) + hidden.to_bytes(len(packed), "big")
    body = mask + attribute
    signed = _HEADER.pack(0x0101, len(attribute) + 24) + body  # as if the integrity were its end
    body += _HEADER.pack(0x0008, 20) + hmac.digest(password.encode(), signed, "sha1")
    whole = _HEADER.pack(0x0101, len(attribute) + 32) + body
    return whole + _FINGERPRINT.pack(0x8028, 4, zlib.crc32(whole) ^ 0x5354554E)


def plain_host(host: str) -> str:
    """The address as the client knows it: an IPv6 socket sees IPv4 as `::ffff:a.b.c.d`."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host.partition("%")[0]
