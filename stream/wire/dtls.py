"""DTLS 1.2 (RFC 6347) and the SRTP keys it exports (RFC 5764), without a socket: datagrams in, datagrams out.

One certificate and one context serve a whole node. DTLS 1.3 is left off until every client that matters
speaks it: nothing here would gain from it but a round trip.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable

from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from .fanout import SrtpKeys

MTU_BYTES = 1200
_DTLS_1_2 = 0xFEFD
_EXPORTER = b"EXTRACTOR-dtls_srtp"  # RFC 5764 4.2
_PROFILES = {  # in our order of preference: name → key and salt bytes
    "AEAD_AES_128_GCM": (16, 12),
    "AEAD_AES_256_GCM": (32, 12),
    "AES128_CM_SHA1_80": (16, 14),
}
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}

Fingerprint = tuple[str, str]
"""Digest name in lower case, and its value as pairs of hexadecimal digits with colons, in upper case."""


class DtlsContext:
    """A node's certificate, and the settings that all its sessions share."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = generate_certificate(key)
        self.fingerprint: Fingerprint = ("sha-256", _digest(certificate, "sha-256"))
        self.ssl = SSL.Context(SSL.DTLS_METHOD)
        self.ssl.set_min_proto_version(_DTLS_1_2)
        self.ssl.set_max_proto_version(_DTLS_1_2)
        self.ssl.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        # Certificates are self-signed; the fingerprint in the SDP is what vouches for them.
        self.ssl.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.ssl.use_certificate(certificate)
        self.ssl.use_privatekey(key)
        self.ssl.set_cipher_list(_CIPHERS)
        self.ssl.set_tlsext_use_srtp(":".join(f"SRTP_{name}" for name in _PROFILES).encode())


def _digest(certificate: object, name: str) -> str:
    return certificate.fingerprint(_DIGESTS[name]).hex(":").upper()  # type: ignore[attr-defined, no-any-return]


class DtlsState(enum.Enum):
    HANDSHAKE = enum.auto()
    CONNECTED = enum.auto()
    CLOSED = enum.auto()


class Dtls:
    """One association. Every method returns the datagrams to send, in order; `state` tells the rest.

    `failure` says why it is CLOSED: "dtls_closed" by the peer, or "dtls_failed", "fingerprint_mismatch",
    "srtp_profile_missing".
    """

    def __init__(self, context: DtlsContext, *, is_client: bool, fingerprints: Iterable[Fingerprint]) -> None:
        self.state = DtlsState.HANDSHAKE
        self.failure = ""
        self.outbound: SrtpKeys | None = None
        self.inbound: SrtpKeys | None = None
        self._is_client = is_client
        self._fingerprints = list(fingerprints)
        self._connection = SSL.Connection(context.ssl, None)
        self._connection.set_ciphertext_mtu(MTU_BYTES)
        if is_client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> list[bytes]:
        """The client's first flight; nothing for a server."""
        return self._advance() if self._is_client else []

    def receive(self, datagram: bytes) -> list[bytes]:
        if self.state is DtlsState.CLOSED:
            return []
        self._connection.bio_write(datagram)
        if self.state is DtlsState.HANDSHAKE:
            return self._advance()
        try:
            self._connection.recv(2048)
        except SSL.WantReadError:
            pass
        except (SSL.ZeroReturnError, SSL.SysCallError):
            self._close("dtls_closed")
        except SSL.Error:
            self._close("dtls_failed")
        return self._outgoing()

    def timeout_s(self) -> float | None:
        """Seconds until `retransmit` is due, None when nothing waits for an answer."""
        if self.state is not DtlsState.HANDSHAKE:
            return None
        timeout = self._connection.DTLSv1_get_timeout()
        return None if timeout is None else float(timeout)

    def retransmit(self) -> list[bytes]:
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self._close("dtls_failed")
        return self._outgoing()

    def close(self) -> list[bytes]:
        """Says goodbye (close_notify), when there is anyone to say it to."""
        if self.state is not DtlsState.CONNECTED:
            self.state = DtlsState.CLOSED
            return []
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()
        self.state = DtlsState.CLOSED
        return self._outgoing()

    def _advance(self) -> list[bytes]:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._outgoing()
        except SSL.Error:
            self._close("dtls_failed")
            return self._outgoing()
        if not self._peer_is_vouched_for():
            self._close("fingerprint_mismatch")
        elif not self._export_keys():
            self._close("srtp_profile_missing")
        else:
            self.state = DtlsState.CONNECTED
        return self._outgoing()

    def _close(self, failure: str) -> None:
        self.state = DtlsState.CLOSED
        self.failure = failure

    def _peer_is_vouched_for(self) -> bool:
        """At least one fingerprint that we can check, and none that differs (RFC 8122 5)."""
        try:
            certificate = self._connection.get_peer_certificate(as_cryptography=True)
        except ValueError:  # a certificate that cryptography can't read vouches for nobody
            return False
        known = [(name, value) for name, value in self._fingerprints if name in _DIGESTS]
        return bool(known) and all(_digest(certificate, name) == value for name, value in known)

    def _export_keys(self) -> bool:
        profile = self._connection.get_selected_srtp_profile().decode().removeprefix("SRTP_")
        if profile not in _PROFILES:
            return False
        key, salt = _PROFILES[profile]
        material = self._connection.export_keying_material(_EXPORTER, 2 * (key + salt))
        salts = material[2 * key :]
        client = SrtpKeys(profile, material[:key], salts[:salt])
        server = SrtpKeys(profile, material[key : 2 * key], salts[salt:])
        self.outbound, self.inbound = (client, server) if self._is_client else (server, client)
        return True

    def _outgoing(self) -> list[bytes]:
        flight = bytearray()
        while True:
            try:
                flight += self._connection.bio_read(16384)
            except SSL.Error:
                return _datagrams(bytes(flight))


def _datagrams(flight: bytes) -> list[bytes]:
    """Cuts a flight into datagrams at record borders (13-byte headers, the length in the last two)."""
    datagrams: list[bytes] = []
    at = 0
    while at + 13 <= len(flight):
        after = at + 13 + int.from_bytes(flight[at + 11 : at + 13], "big")
        record = flight[at:after]
        if datagrams and len(datagrams[-1]) + len(record) <= MTU_BYTES:
            datagrams[-1] += record
        else:
            datagrams.append(record)
        at = after
    return datagrams
