"""What the peers of the comparison say, read and answered; none of them runs here."""

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription

from loadtests.relay.peers import janus, livekit
from loadtests.relay.peers.relay import listening
from loadtests.relay.signalling import Ice, RefusedError, answer, offer, read_answer

FINGERPRINT = ":".join(["AB"] * 32)


def test_an_answer_takes_all_that_was_offered_but_header_extensions() -> None:
    offered = offer(Ice("them", "their password"), ":".join(["CD"] * 32), "sendonly", {"video": 7})
    offered = offered.replace("nack pli", "transport-cc").replace("a=mid:1", "a=mid:1\r\na=extmap:3 urn:any")
    text = answer(offered, Ice("us", "our password"), FINGERPRINT)
    theirs, ours = SessionDescription.parse(offered), SessionDescription.parse(text)
    assert ours.group == theirs.group
    for media, asked in zip(ours.media, theirs.media, strict=True):
        assert media.rtp.muxId == asked.rtp.muxId
        assert [codec.payloadType for codec in media.rtp.codecs] == [
            codec.payloadType for codec in asked.rtp.codecs
        ]
        assert (media.direction, media.dtls.role, media.ice.usernameFragment) == ("recvonly", "server", "us")
        assert media.dtls.fingerprints[0].value == FINGERPRINT
        assert media.rtp.headerExtensions == []
    assert "transport-cc" not in text


def test_an_offer_is_read_as_an_answer_is() -> None:
    text = offer(Ice("them", "their password"), FINGERPRINT, "sendonly", {"video": 7})
    text += "a=candidate:1 1 udp 2015363327 127.0.0.1 5000 typ host\r\n"
    read = read_answer(text.replace(" 102", " 107").replace(":102", ":107"))
    assert read.payload_types == {"audio": 111, "video": 107}
    assert not read.is_dtls_client  # actpass: the first word is ours


def test_a_janus_answers_in_an_event() -> None:
    data = {"videoroom": "event", "error_code": 428, "error": "No such feed (1)"}
    assert janus.sdp_of({"janus": "keepalive"}) == ""
    assert janus.sdp_of({"janus": "event", "jsep": {"type": "offer", "sdp": "v=0"}}) == "v=0"
    with pytest.raises(RefusedError, match="No such feed"):
        janus.sdp_of({"janus": "event", "plugindata": {"data": data}})


def test_a_token_says_who_may_do_what() -> None:
    def read(segment: str) -> bytes:
        return base64.urlsafe_b64decode(segment + "==")

    signed, _, signature = livekit.token("viewer", {"canPublish": False}).rpartition(".")
    secret = livekit._SECRET.encode()
    assert read(signature) == hmac.digest(secret, signed.encode(), "sha256")
    head, claims = (json.loads(read(part)) for part in signed.split("."))
    assert head["alg"] == "HS256"
    assert claims["sub"] == "viewer"
    assert claims["video"] == {"room": "show", "roomJoin": True, "canPublish": False}


def test_a_peer_that_does_not_start_is_named(tmp_path: Path, free_ports: Callable[[int], int]) -> None:
    program = tmp_path / "sfu"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with (
        pytest.raises(RuntimeError, match="does not listen"),
        listening(lambda _: [str(program)], free_ports(1)),
    ):
        pass
