"""One remote end: its addresses, its DTLS, and SRTP on the way in. What we send goes through the fan-out.

    new ── valid STUN check ──▶ reachable ── DTLS ──▶ connected ── DELETE, DTLS close, consent lost ──▶ closed

A peer closes once, says why, and tells its owner last; closing frees everything it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pylibsrtp

from stream.packet.rtp import is_rtcp

from .dtls import Dtls, DtlsState
from .fanout import Fanout, Lane, SrtpKeys
from .ice import Address, Binding, IceLite

HANDSHAKE_S = 20.0
"""From the offer to the end of the DTLS handshake; longer than a phone takes to find its candidates."""
_REPLAY_WINDOW = 1024

_PROFILES = {
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "AES128_CM_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """A running event loop is one."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Handle: ...


class Owner(Protocol):
    """Who acts for a peer: a publisher or a viewer."""

    def peer_connected(self, lane: Lane) -> None: ...

    def peer_sent_rtp(self, packet: bytes, now: float) -> None: ...

    def peer_sent_rtcp(self, compound: bytes, now: float) -> None: ...

    def peer_closed(self, reason: str) -> None: ...


class Peer:
    """Fed by the ingress; `send` puts a datagram on the socket at once."""

    def __init__(
        self, ice: IceLite, dtls: Dtls, fanout: Fanout, send: Callable[[bytes, Address], None], clock: Clock
    ) -> None:
        self.ice = ice
        self.lane: Lane | None = None
        self.close_reason = ""
        self.owner: Owner | None = None
        self._dtls = dtls
        self._fanout = fanout
        self._send = send
        self._clock = clock
        self._created_at = clock.time()
        self._started = False
        self._timer: Handle | None = None
        self._inbound: pylibsrtp.Session | None = None

    @property
    def is_connected(self) -> bool:
        return self.lane is not None

    def check(self, binding: Binding, address: Address, now: float) -> bool:
        """A binding request for our ufrag; answers and returns True when it proved itself."""
        before = self.ice.selected
        answer = self.ice.check(binding, address, now)
        if answer is None:
            return False
        self._send(answer, address)
        self._follow(before)
        if not self._started:
            self._started = True
            self._dispatch(self._dtls.start())
        return True

    def receive_dtls(self, datagram: bytes, address: Address, now: float) -> None:
        if not self._started or self.close_reason:
            return
        before = self._dtls.state
        self._dispatch(self._dtls.receive(datagram), address)
        if before is DtlsState.HANDSHAKE and self._dtls.state is DtlsState.CONNECTED:
            self.ice.heard(address, now)
            self._connected()
        if self._dtls.state is DtlsState.CLOSED:
            self.close(self._dtls.failure)

    def receive_srtp(self, datagram: bytes, address: Address, now: float) -> bool:
        """False when it is none that we can open: forged, a repeat, or from before the handshake."""
        if self._inbound is None or self.owner is None or len(datagram) < 12:
            return False
        rtcp = is_rtcp(datagram)
        try:
            plain = self._inbound.unprotect_rtcp(datagram) if rtcp else self._inbound.unprotect(datagram)
        except (pylibsrtp.Error, ValueError):
            return False
        before = self.ice.selected
        self.ice.heard(address, now)
        self._follow(before)
        if rtcp:
            self.owner.peer_sent_rtcp(plain, now)
        else:
            self.owner.peer_sent_rtp(plain, now)
        return True

    def sweep(self, now: float) -> None:
        """Called every second or so: ends what nobody else ends."""
        if not self.is_connected and now - self._created_at > HANDSHAKE_S:
            self.close("handshake_timeout")
        elif self.ice.is_lost(now):
            self.close("consent_lost")

    def close(self, reason: str) -> None:
        if self.close_reason:
            return
        self.close_reason = reason
        self._dispatch(self._dtls.close())
        if self._timer is not None:
            self._timer.cancel()
        if self.lane is not None:
            self._fanout.close(self.lane)
        self._inbound = None
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.peer_closed(reason)

    def _follow(self, before: Address | None) -> None:
        if self.lane is not None and self.ice.selected not in (None, before):
            self._fanout.move(self.lane, self.ice.selected)

    def _connected(self) -> None:
        keys, inbound = self._dtls.outbound, self._dtls.inbound
        if keys is None or inbound is None or self.ice.selected is None or self.owner is None:
            self.close("dtls_failed")
            return
        self._inbound = inbound_session(inbound)
        self.lane = self._fanout.open(keys, self.ice.selected)
        self.owner.peer_connected(self.lane)

    def _dispatch(self, datagrams: list[bytes], address: Address | None = None) -> None:
        to = address or self.ice.selected
        for datagram in datagrams:
            if to is not None:
                self._send(datagram, to)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        timeout_s = self._dtls.timeout_s()
        if timeout_s is not None and not self.close_reason:
            self._timer = self._clock.call_later(max(timeout_s, 0.05), self._retransmit)

    def _retransmit(self) -> None:
        self._timer = None
        self._dispatch(self._dtls.retransmit())
        if self._dtls.state is DtlsState.CLOSED:
            self.close(self._dtls.failure)


def inbound_session(keys: SrtpKeys) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=keys.key + keys.salt,
        ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND,
        srtp_profile=_PROFILES[keys.profile],
    )
    policy.window_size = _REPLAY_WINDOW
    return pylibsrtp.Session(policy)
