"""The seam to libsrtp: pylibsrtp's private binding is touched here for sending, and nowhere else.

pylibsrtp offers `Session.protect`, which holds the GIL's attention for every packet and copies twice. What
the fan-out needs is one step below: the C functions themselves and the context that they work on. Both are
there, in the cffi binding (`pylibsrtp._binding`) and in `Session._srtp[0]`. pylibsrtp is pinned for that
reason and `tests/stream/wire/test_fanout_seam.py` fails when an upgrade moves either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

WINDOW = 256
"""Packets back from the newest, per SSRC, that may still be repeated: libsrtp's replay window and ours."""

TRAILER = 144
"""Bytes that sealing may append: SRTP_MAX_TRAILER_LEN of libsrtp (tag and MKI)."""

_PROFILES = {  # name as in the DTLS use_srtp registry → libsrtp's profile, key and salt length
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    "AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Our sending half of what DTLS exported (RFC 5764 4.2). The key never shows in a repr."""

    profile: str
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.profile not in _PROFILES:
            raise ValueError(f"srtp_profile_unknown: {self.profile!r} is none of {', '.join(_PROFILES)}")
        _, key, salt = _PROFILES[self.profile]
        if (len(self.key), len(self.salt)) != (key, salt):
            raise ValueError(
                f"srtp_key_length: {self.profile} takes {key} + {salt} bytes, "
                f"got {len(self.key)} + {len(self.salt)}"
            )


def outbound_session(keys: SrtpKeys) -> Any:
    """A `pylibsrtp.Session` that seals any SSRC we send, and repeats of what it sealed."""
    policy = Policy(
        key=keys.key + keys.salt,
        ssrc_type=Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=_PROFILES[keys.profile][0],
    )
    # A repeat is byte-identical or refused before it comes here (see fanout.py on nonces).
    policy.allow_repeat_tx = True
    policy.window_size = WINDOW
    return Session(policy)


def context_address(session: Any) -> int:
    """The address of the session's `srtp_ctx_t`, good for as long as the session lives."""
    return int(ffi.cast("uintptr_t", session._srtp[0]))


def function_addresses() -> tuple[int, int]:
    """The addresses of `srtp_protect` and `srtp_protect_rtcp`: `int (*)(srtp_t, void *, int *)`."""
    return (
        int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect"))),
        int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect_rtcp"))),
    )


class Sealer:
    """Seals in place without the 1,356-byte bound of `Session.protect`, for the plain path."""

    def __init__(self, capacity: int) -> None:
        self._room = ffi.new("char[]", capacity + TRAILER)
        self._view = ffi.buffer(self._room)
        self._length = ffi.new("int *")

    def rtp(self, session: Any, packet: bytes | bytearray) -> bytes | None:
        return self._seal(lib.srtp_protect, session, packet)

    def rtcp(self, session: Any, packet: bytes) -> bytes | None:
        return self._seal(lib.srtp_protect_rtcp, session, packet)

    def _seal(self, function: Any, session: Any, packet: bytes | bytearray) -> bytes | None:
        self._view[0 : len(packet)] = packet
        self._length[0] = len(packet)
        if function(session._srtp[0], self._room, self._length) != lib.srtp_err_status_ok:
            return None
        return bytes(self._view[0 : self._length[0]])
