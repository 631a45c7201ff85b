import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.signal.answer import (
    Local,
    Outgoing,
    one_per_codec,
    read_publisher_offer,
    read_viewer_offer,
    write_answer,
)
from stream.signal.errors import SdpError, SignalError, UnsupportedError
from stream.signal.sdp import parse
from stream.wire.ice import Credentials

LOCAL = Local(
    Credentials("uuuu", "p" * 24), ("sha-256", "AB:CD"), [("203.0.113.5", 4000), ("2001:db8::1", 4001)]
)

# As libdatachannel writes it for OBS Studio: video 96, audio 111, sources declared, no feedback but NACK.
OBS = """v=0
o=rtc 2718281828 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=ice-options:ice2,trickle
a=fingerprint:sha-256 11:22:33
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=ssrc:1111 cname:obs
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=setup:actpass
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdef012345
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=ssrc:2222 cname:obs
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
a=setup:actpass
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdef012345
""".replace("\n", "\r\n")

# FFmpeg's muxer: DTLS server, no mids, no extensions.
FFMPEG = """v=0
o=FFmpeg 1 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:ffff
a=ice-pwd:0123456789abcdef0123456789abcdef
a=fingerprint:sha-256 11:22:33
a=setup:passive
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:5 cname:FFmpeg
m=video 9 UDP/TLS/RTP/SAVPF 106
c=IN IP4 0.0.0.0
a=ice-ufrag:ffff
a=ice-pwd:0123456789abcdef0123456789abcdef
a=fingerprint:sha-256 11:22:33
a=setup:passive
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f
a=rtcp-fb:106 nack
a=ssrc:6 cname:FFmpeg
"""


def answered(offer, outgoing=None):
    return parse(write_answer(offer, LOCAL, session="ab" * 16, outgoing=outgoing))


def test_obs_is_answered_line_by_line():
    answer = answered(read_publisher_offer(OBS))
    assert answer.session.get("group") == "BUNDLE 0 1"
    assert answer.session.get("ice-lite") == ""
    for section, kind, numbers in zip(answer.sections, ("audio", "video"), (["111"], ["96"]), strict=True):
        assert (section.kind, section.formats, section.direction) == (kind, numbers, "recvonly")
        assert section.get("setup") == "passive"
        assert section.get("ice-ufrag") == "uuuu"
        assert section.get("rtcp-mux") == ""
        assert [line.split()[4:6] for line in section.all("candidate")] == [
            ["203.0.113.5", "4000"],
            ["2001:db8::1", "4001"],
        ]
    assert set(answer.sections[1].all("rtcp-fb")) == {"96 nack", "96 nack pli"}


def test_ffmpeg_which_is_the_dtls_server_and_has_no_mids():
    offer = read_publisher_offer(FFMPEG)
    assert offer.is_dtls_server
    answer = answered(offer)
    assert all(section.get("mid") is None for section in answer.sections)
    assert all(section.get("setup") == "active" for section in answer.sections)


def test_a_viewer_gets_one_format_a_codec_and_the_profile_on_air(make_offer):
    text = make_offer("recvonly", video=("VP8", "H264"), rtx=True)
    text = text.replace(
        "UDP/TLS/RTP/SAVPF 96 97 102 103", "UDP/TLS/RTP/SAVPF 96 97 102 103 104 106 108"
    ).replace(
        "a=rtpmap:102",
        "a=rtpmap:104 H264/90000\r\na=fmtp:104 packetization-mode=1;profile-level-id=640c1f\r\n"
        "a=rtpmap:106 H264/90000\r\na=fmtp:106 packetization-mode=0;profile-level-id=42e01f\r\na=rtpmap:102",
    )
    offer = read_viewer_offer(text)

    def numbers(profile):
        return [choice.payload_type for choice in one_per_codec(offer.video.choices, profile)]

    assert numbers("42e01f") == [96, 102]
    assert numbers("640c1f") == [96, 104]
    assert numbers("") == [96, 102]


def test_a_viewer_learns_our_sources_and_is_offered_no_extension(make_offer):
    text = make_offer("recvonly", rtx=True).replace("a=mid:0", "a=mid:0\r\na=extmap:3 urn:x")
    outgoing = {kind: Outgoing(ssrc, ssrc + 1, "show", "cn") for kind, ssrc in (("video", 10), ("audio", 20))}
    video, audio = answered(read_viewer_offer(text), outgoing).sections
    assert video.get("ssrc-group") == "FID 10 11"
    assert video.ssrcs() == [10]
    assert audio.ssrcs() == [20]
    assert video.direction == audio.direction == "sendonly"
    assert video.get("extmap") is None
    assert {"102 nack", "102 nack pli", "102 goog-remb"} <= set(video.all("rtcp-fb"))
    assert "102 transport-cc" not in set(video.all("rtcp-fb"))


def test_a_data_channel_is_refused_and_the_rest_goes_on(make_offer):
    text = (
        make_offer("sendonly")
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n"
    )
    answer = answered(read_publisher_offer(text))
    assert [section.port > 0 for section in answer.sections] == [True, True, False]
    assert answer.session.get("group") == "BUNDLE 0 1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: "", "malformed_sdp"),
        (lambda text: "hello", "malformed_sdp"),
        (lambda text: "v=0\r\n", "malformed_sdp"),
        (lambda text: text.replace("m=video 9", "m=video x"), "malformed_sdp"),
        (lambda text: text.replace("a=mid:0", "a=mid:0\ra=inactive"), "malformed_sdp"),
        (lambda text: text.replace("a=mid:0", "a=mid:\0"), "malformed_sdp"),
        (lambda text: text.replace("a=fingerprint:sha-256", "a=x:"), "malformed_sdp"),
        (lambda text: text.replace("a=ice-ufrag:light", "a=x"), "malformed_sdp"),
        (lambda text: text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "malformed_sdp"),
        (lambda text: text.replace("a=sendonly", "a=recvonly"), "unsupported_media"),
        (lambda text: text.replace("H264/90000", "H266/90000"), "unsupported_media"),
        (lambda text: text.replace("m=video", "m=text"), "video_missing"),
        (lambda text: text + text[text.index("m=video") : text.index("m=audio")], "too_many_tracks"),
        (lambda text: text + "a=x\r\n" * 5000, "malformed_sdp"),
        (lambda text: text + "m=x 0 y z\r\n" * 50, "malformed_sdp"),
    ],
)
def test_what_we_cannot_use_has_a_code(make_offer, change, code):
    with pytest.raises(SignalError) as raised:
        read_publisher_offer(change(make_offer("sendonly")))
    assert raised.value.code == code
    assert raised.value.detail


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text):
    for body in (text, "v=0\r\n" + text, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" + text):
        with pytest.raises((SdpError, UnsupportedError)):
            read_publisher_offer(body)


@given(st.data())
def test_no_mangled_offer_breaks_the_answer(data):
    lines = data.draw(st.sampled_from((OBS, FFMPEG))).splitlines()
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[at])))
        lines[at] = lines[at][:cut] + data.draw(st.text(max_size=8, alphabet="a=:0 96/;mv\x00ü-*"))
    for read in (read_publisher_offer, read_viewer_offer):
        with contextlib.suppress(SignalError):
            answered(read("\r\n".join(lines)), {"video": Outgoing(1, 2, "s", "c")})


def test_of_vp9_and_av1_the_profile_that_everyone_decodes(make_offer):
    text = make_offer("sendonly", video=("VP9", "AV1"))
    high = text.replace("a=rtpmap:98", "a=fmtp:98 profile-id=2\r\na=rtpmap:98")
    assert [choice.codec.name for choice in read_publisher_offer(text).video.choices] == ["VP9"]
    assert [choice.codec.name for choice in read_publisher_offer(high).video.choices] == ["AV1"]


def test_tcp_is_offered_behind_udp(make_offer):
    local = Local(LOCAL.credentials, LOCAL.fingerprint, LOCAL.candidates, takes_tcp=True)
    answer = parse(
        write_answer(read_publisher_offer(make_offer("sendonly")), local, session="ab", outgoing=None)
    )
    lines = [line.split() for line in answer.sections[0].all("candidate")]
    assert [line[2] for line in lines] == ["udp", "udp", "tcp", "tcp"]
    assert [line[4:6] for line in lines[2:]] == [line[4:6] for line in lines[:2]]
    assert lines[2][6:] == ["typ", "host", "tcptype", "passive"]
    priorities = [int(line[3]) for line in lines]
    assert priorities == sorted(priorities, reverse=True)
    assert len({line[0] for line in lines}) == 4
