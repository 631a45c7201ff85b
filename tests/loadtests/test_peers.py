"""What the peers of the comparison say, read and answered; none of them runs here."""

import pytest
from aiortc.sdp import SessionDescription

from loadtests.relay.peers import janus
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
        assert (media.direction, media.dtls.role, media.ice.usernameFragment) == ("recvonly", "client", "us")
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
