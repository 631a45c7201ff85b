"""What the fan-out borrows from pylibsrtp's private parts; an upgrade that moves them fails here first."""

import ctypes
import os
from importlib.metadata import version

import pytest
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from stream.wire import _srtp
from stream.wire.fanout import SrtpKeys

PACKET = bytes.fromhex("80600001000000020000000a") + b"payload of one packet"


def keys(profile: str = "AEAD_AES_128_GCM") -> SrtpKeys:
    _, key, salt = _srtp._PROFILES[profile]
    return SrtpKeys(profile, os.urandom(key), os.urandom(salt))


def test_pylibsrtp_is_the_pinned_one() -> None:
    assert version("pylibsrtp") == "1.0.0"


@pytest.mark.parametrize("name", ["srtp_protect", "srtp_protect_rtcp"])
def test_functions_take_a_context_a_buffer_and_a_length(name: str) -> None:
    kind = ffi.typeof(ffi.addressof(lib, name))
    assert [argument.cname for argument in kind.args] == ["struct srtp_ctx_t_ *", "void *", "int *"]


def test_sealing_by_address_is_what_the_session_does() -> None:
    shared = keys()
    session, other = _srtp.outbound_session(shared), _srtp.outbound_session(shared)
    protect, _ = _srtp.function_addresses()
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))(
        protect
    )
    room, length = ctypes.create_string_buffer(PACKET, 2000), ctypes.c_int(len(PACKET))
    assert call(_srtp.context_address(session), room, ctypes.byref(length)) == 0
    assert room.raw[: length.value] == other.protect(PACKET)


def test_sealed_packets_open_again() -> None:
    shared = keys("AES128_CM_SHA1_80")
    inbound = Session(
        Policy(
            key=shared.key + shared.salt,
            ssrc_type=Policy.SSRC_ANY_INBOUND,
            srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        )
    )
    sealed = _srtp.Sealer(1500).rtp(_srtp.outbound_session(shared), PACKET)
    assert sealed is not None
    assert inbound.unprotect(sealed) == PACKET


def test_a_repeat_within_the_window_is_sealed_alike() -> None:
    session = _srtp.outbound_session(keys())
    first = session.protect(PACKET)
    for seq in range(2, _srtp.WINDOW):
        session.protect(PACKET[:2] + seq.to_bytes(2, "big") + PACKET[4:])
    assert session.protect(PACKET) == first


@pytest.mark.parametrize(("profile", "key", "salt"), [("AEAD_AES_128_GCM", 16, 14), ("NULL", 16, 14)])
def test_wrong_keys_are_named(profile: str, key: int, salt: int) -> None:
    with pytest.raises(ValueError, match="srtp_"):
        SrtpKeys(profile, bytes(key), bytes(salt))


def test_keys_stay_out_of_logs() -> None:
    assert "key" not in repr(keys()).replace("SrtpKeys", "")
