"""The far end of a WebRTC connection reduced to its wire: ICE, DTLS, SRTP on one socket, and nothing decoded.

A browser costs a core; this costs 5 ms of CPU to connect and, once it no longer reads its socket, almost
nothing: so one process can be a thousand viewers. It serves any WHIP or WHEP server: lite or full ICE, either
DTLS role.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import Callable

from aioice import stun
from aiortc import rtp as rtcp
from aiortc.rtcdtlstransport import RTCCertificate
from OpenSSL import SSL
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from loadtests.relay.signalling import Answer, Ice

CHECK_EVERY_S = 0.05
CONSENT_EVERY_S = 4.0
CONNECT_S = 30.0
_PROFILES = {  # OpenSSL's name → libsrtp's, key and salt length
    b"SRTP_AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    b"SRTP_AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
_PRIORITY = 110 << 24 | 65535 << 8 | 255  # a peer-reflexive candidate, RFC 8445 5.1.2.1
SO_TIMESTAMPNS = 35  # asm-generic/socket.h: the kernel's time of arrival, so that our own delays don't count

SO_MEMINFO, _DROPS = 55, 8  # linux/sock_diag.h: where in its nine numbers the drops are


class Identity:
    """One certificate and TLS context for all peers of a process."""

    def __init__(self) -> None:
        certificate = RTCCertificate.generateCertificate()
        self.fingerprint = next(
            print_.value for print_ in certificate.getFingerprints() if print_.algorithm == "sha-256"
        )
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.context.use_certificate(certificate._cert)
        self.context.use_privatekey(certificate._key)
        self.context.set_tlsext_use_srtp(b":".join(_PROFILES))


class Peer:
    """`start` with the answer, then `connected` resolves. `on_rtp(packet, at_ns)` and `on_rtcp(packets)` get
    plaintext."""

    def __init__(self, identity: Identity) -> None:
        self.ice = Ice()
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_rtp: Callable[[bytes, int], None] | None = None
        self.on_rtcp: Callable[[list[rtcp.AnyRtcpPacket]], None] | None = None
        self.packets = 0
        """RTP datagrams read, opened or not."""
        self._loop = asyncio.get_running_loop()
        self._identity = identity
        self._reads = True
        self._sock: socket.socket | None = None
        self._remote: tuple[str, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tls: SSL.Connection | None = None
        self._inbound: Session | None = None
        self._outbound: Session | None = None

    @property
    def overflowed(self) -> int:
        """Datagrams that the kernel dropped because we were slow to read; 0 where it doesn't tell."""
        with contextlib.suppress(OSError):
            if self._sock is not None:
                return int(
                    struct.unpack_from("9I", self._sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[_DROPS]
                )
        return 0

    def start(self, answer: Answer) -> None:
        self._answer = answer
        family = socket.AF_INET6 if all(":" in host for host, _ in answer.candidates) else socket.AF_INET
        self._sock = sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._loop.add_reader(sock.fileno(), self._read)
        self._tls = SSL.Connection(self._identity.context)
        self._tls.set_ciphertext_mtu(1200)
        self._tls.set_accept_state() if answer.is_dtls_client else self._tls.set_connect_state()
        self._tick()

    def send_rtp(self, packet: bytes) -> bytes:
        """Seals and sends; returns what was sent, for a repeat."""
        assert self._outbound is not None
        sealed = self._outbound.protect(packet)
        self.send(sealed)
        return sealed

    def send_rtcp(self, packet: bytes) -> None:
        assert self._outbound is not None
        self.send(self._outbound.protect_rtcp(packet))

    def send(self, datagram: bytes) -> None:
        if self._sock is not None and self._remote is not None:
            with contextlib.suppress(OSError):
                self._sock.sendto(datagram, self._remote)

    def stop_reading(self) -> None:
        """From here on the kernel drops what comes, as soon as a small queue is full."""
        self._reads = False
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def close(self) -> None:
        """Says goodbye (DTLS close_notify) and frees the socket."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tls is not None and self._outbound is not None:
            with contextlib.suppress(SSL.Error):
                self._tls.shutdown()
            self._flush_tls()
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
        if not self.connected.done():
            self.connected.cancel()

    # ICE: we are controlling and nominate what answers first (RFC 8445 7.2, 8.1.1)

    def _tick(self) -> None:
        """Checks until connected, then keeps consent (RFC 7675); drives DTLS timers on the way."""
        every_s = CONSENT_EVERY_S if self.connected.done() else CHECK_EVERY_S
        self._timer = self._loop.call_later(every_s, self._tick)
        targets = [self._remote] if self._remote else self._answer.candidates
        check = self._binding_request()
        for target in targets:
            with contextlib.suppress(OSError):
                if self._sock is not None and target is not None:
                    self._sock.sendto(check, target)
        if self._tls is not None and self._remote and not self.connected.done():
            self._tls.DTLSv1_handle_timeout()
            self._flush_tls()

    def _binding_request(self) -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes |= {
            "USERNAME": f"{self._answer.ice.ufrag}:{self.ice.ufrag}",
            "PRIORITY": _PRIORITY,
            "ICE-CONTROLLING": secrets.randbits(64),
            "USE-CANDIDATE": None,
        }
        message.add_message_integrity(self._answer.ice.password.encode())
        message.add_fingerprint()  # RFC 8445 7.1; libnice passes over what has none
        return bytes(message)

    def _take_stun(self, datagram: bytes, source: tuple[str, int]) -> None:
        try:
            message = stun.parse_message(datagram)
        except ValueError:
            return
        if message.message_class == stun.Class.REQUEST:
            self._answer_check(message, source)
        elif message.message_class == stun.Class.RESPONSE and self._remote is None:
            self._remote = source
            self._handshake()

    def _answer_check(self, request: stun.Message, source: tuple[str, int]) -> None:
        """A server with full ICE checks us too."""
        response = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = source
        response.add_message_integrity(self.ice.password.encode())
        response.add_fingerprint()
        with contextlib.suppress(OSError):
            if self._sock is not None:
                self._sock.sendto(bytes(response), source)

    # DTLS

    def _handshake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush_tls()
        except SSL.Error as error:
            if not self.connected.done():
                self.connected.set_exception(ConnectionError(f"DTLS failed: {error}"))
        else:
            self._flush_tls()
            self._secure()

    def _flush_tls(self) -> None:
        assert self._tls is not None
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self.send(self._tls.bio_read(1500))

    def _secure(self) -> None:
        assert self._tls is not None
        certificate = self._tls.get_peer_certificate()
        if (
            certificate is None
            or certificate.digest(self._answer.digest).decode() != self._answer.fingerprint
        ):
            self.connected.set_exception(ConnectionError("the server's certificate is not the answer's"))
            return
        profile, key, salt = _PROFILES[self._tls.get_selected_srtp_profile()]
        material = self._tls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        ours, theirs = (server, client) if self._answer.is_dtls_client else (client, server)
        self._inbound = _srtp(theirs, profile, Policy.SSRC_ANY_INBOUND)
        self._outbound = _srtp(ours, profile, Policy.SSRC_ANY_OUTBOUND)
        self.connected.set_result(None)

    # The socket

    def _read(self) -> None:
        for _ in range(64):
            if self._sock is None or not self._reads:
                return
            try:
                datagram, ancillary, _, source = self._sock.recvmsg(2048, 64)
            except (BlockingIOError, ConnectionError):
                return
            self._take(datagram, ancillary, source)

    def _take(
        self, datagram: bytes, ancillary: list[tuple[int, int, bytes]], source: tuple[str, int]
    ) -> None:
        first = datagram[0] if datagram else 255  # RFC 7983 7
        if first < 4:
            self._take_stun(datagram, source)
        elif 20 <= first < 64 and self._tls is not None:
            self._tls.bio_write(datagram)
            if not self.connected.done():
                self._handshake()
        elif 128 <= first < 192:
            self._take_srtp(datagram, ancillary)

    def _take_srtp(self, datagram: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        is_rtcp = 64 <= datagram[1] & 0x7F < 96  # RFC 5761 4
        self.packets += not is_rtcp
        if self._inbound is None:
            return
        with contextlib.suppress(SrtpError, ValueError):
            if is_rtcp and self.on_rtcp is not None:
                self.on_rtcp(rtcp.RtcpPacket.parse(self._inbound.unprotect_rtcp(datagram)))
            elif not is_rtcp and self.on_rtp is not None:
                self.on_rtp(self._inbound.unprotect(datagram), _arrival_ns(ancillary))


def _srtp(key: bytes, profile: int, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    policy.window_size = 1024
    return Session(policy)


def _arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Wall-clock time of arrival; 0 where the kernel doesn't tell."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack_from("@qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0
