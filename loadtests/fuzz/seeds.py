"""Good inputs to begin with: real offers, real pictures and sound in RTP, every kind of RTCP we meet.

Pictures come from real encoders where there is one at hand (VP8, H.264, Opus); VP9 and AV1 are written by
hand as browsers put them on the wire.
"""

from __future__ import annotations

import asyncio
import fractions
import struct
from dataclasses import dataclass, field

import av
from aiortc import RTCPeerConnection, RTCRtpCodecParameters
from aiortc.codecs import get_encoder
from aiortc.rtp import RtcpByePacket, RtcpSdesPacket, RtcpSourceInfo, pack_remb_fci

from loadtests.relay.signalling import Ice, offer
from stream.packet import rtcp, rtp

PAYLOAD_TYPES = {"OPUS": 111, "H264": 102, "VP8": 96, "VP9": 98, "AV1": 45}
EXTENSIONS = {1: "transport-cc", 2: "rid", 3: "repaired rid"}
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
RIDS = ("q", "h", "f")
_VP9 = (b"\x8c\x80\x01\x82\x49\x83\x42\x00", b"\xac\x80\x02\x00\x05\x86\x00", b"\x88\x81\x01\x10\x00")
_AV1 = (b"\x18\x0a\x0b\x00\x00\x00\x24\xcf\x7f\x0d\xbf", b"\x10\x32\x0e\x10\x00\xac", b"\x50\x05\x12\x00\x0a")


@dataclass(slots=True)
class Seeds:
    """`payloads` by codec; `rtp` and `rtcp` are plaintext; `sdp` and `fragments` are text."""

    payloads: dict[str, list[bytes]] = field(default_factory=dict)
    rtcp: list[bytes] = field(default_factory=list)
    sdp: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    json: list[str] = field(default_factory=list)
    stun: list[bytes] = field(default_factory=list)
    dtls: list[bytes] = field(default_factory=list)


def collect() -> Seeds:
    """Everything but STUN and DTLS, which a rig captures from its handshakes."""
    return Seeds(
        payloads={
            "OPUS": [b"\xfc\xff\xfe", b"\x78" + bytes(range(70))],
            "VP8": _encoded("VP8"),
            "H264": [*_encoded("H264"), b"\x78\x00\x04\x67\x42\xe0\x1f\x00\x02\x68\xce", b"\x65\x88\x80"],
            "VP9": [head + bytes(40) for head in _VP9],
            "AV1": [head + bytes(40) for head in _AV1],
        },
        rtcp=_rtcp(),
        sdp=[*asyncio.run(_aiortc_offers()), *_light_offers(), simulcast_offer("00")],
        fragments=_fragments(),
        json=[
            '["active", "layers"]',
            '{"encodingId": "h"}',
            '{"mediaId": "0", "encodingId": "q"}',
            "null",
            "[]",
        ],
    )


def _encoded(codec: str) -> list[bytes]:
    encoder = get_encoder(RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90000))
    payloads: list[bytes] = []
    for number in range(3):
        frame = av.VideoFrame(320, 240, "yuv420p")
        for at, plane in enumerate(frame.planes):
            plane.update(bytes((number * 40 + at * 7 + i * i) & 0xFF for i in range(plane.buffer_size)))
        frame.pts, frame.time_base = number * 3000, fractions.Fraction(1, 90000)
        payloads += encoder.encode(frame, force_keyframe=number == 0)[0][:8]
    return payloads


def packet(
    payload: bytes, payload_type: int, seq: int, ssrc: int, *, rid: str = "", cc: int | None = None
) -> bytes:
    """RTP as a browser sends it: with its header extensions when there are any."""
    built = rtp.build(payload_type, seq % 3 == 0, seq, seq // 3 * 3000, ssrc, payload)
    values = {1: struct.pack("!H", cc & 0xFFFF)} if cc is not None else {}
    if rid:
        values[2] = rid.encode()
    if not values:
        return built
    body = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in values.items())
    body += bytes(-len(body) % 4)
    return (
        bytes((built[0] | 0x10,))
        + built[1:12]
        + struct.pack("!HH", 0xBEDE, len(body) // 4)
        + body
        + built[12:]
    )


def _rtcp() -> list[bytes]:
    report = rtcp.SenderReport(0x1234, 0xE5000000_80000000, 90000, 5, 600)
    block = rtcp.ReportBlock(0x1234, 12, 3, 70000, 9, 77, 88)
    remb = struct.pack("!II", 1, 0) + pack_remb_fci(2_000_000, [0x1234])
    fir = struct.pack("!IIIB3x", 1, 0, 0x1234, 7)
    twcc = struct.pack("!HH3sB", 1, 2, b"\0\0\1", 0) + b"\x20\x02\x04\x08"
    sdes = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=0x1234, items=[(1, b"cname")])])
    return [
        rtcp.sender_report(report, b"name"),
        rtcp.receiver_report(1, [block, block], b"name"),
        rtcp.pli(1, 0x1234),
        rtcp.nack(1, 0x1234, [1, 2, 3, 40, 65535]),
        rtcp.transport_feedback(1, 0x1234, twcc),
        rtcp.bye(0x1234),
        bytes(RtcpByePacket(sources=[1, 2, 3])),
        bytes(sdes),
        struct.pack("!BBH", 0x8F, 206, len(remb) // 4) + remb,
        struct.pack("!BBH", 0x84, 206, len(fir) // 4) + fir,
        rtcp.receiver_report(1, [block], b"n") + rtcp.pli(1, 0x1234) + rtcp.nack(1, 0x1234, [9]),
        struct.pack("!BBHIII", 0x80, 207, 3, 1, 0x04000002, 5),
    ]


def _light_offers() -> list[str]:
    ice = Ice("light", "0123456789012345678901")
    print_ = ":".join(["AB"] * 32)
    return [
        offer(ice, print_, "sendonly", {"video": 0x1234, "audio": 0x4321}),
        offer(ice, print_, "recvonly", {}),
    ]


async def _aiortc_offers() -> list[str]:
    connection = RTCPeerConnection()
    connection.addTransceiver("video", direction="recvonly")
    connection.addTransceiver("audio", direction="recvonly")
    connection.createDataChannel("chat")
    await connection.setLocalDescription(await connection.createOffer())
    text = connection.localDescription.sdp
    await connection.close()
    return [text, text.replace("a=recvonly", "a=sendonly")]


def simulcast_offer(fingerprint: str, codec: str = "VP8") -> str:
    """As Chromium offers three layers of one camera."""
    number = PAYLOAD_TYPES[codec]
    shape = ["a=fmtp:102 packetization-mode=1;profile-level-id=42e01f"] if codec == "H264" else []
    transport = [
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:light",
        "a=ice-pwd:0123456789012345678901",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=sendonly",
    ]
    extensions = (TRANSPORT_CC, STREAM_ID, REPAIRED_STREAM_ID)
    lines = [
        *("v=0", "o=- 7 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"),
        *(f"m=video 9 UDP/TLS/RTP/SAVPF {number} {number + 1}", *transport, "a=mid:0"),
        *(f"a=extmap:{place} {uri}" for place, uri in enumerate(extensions, 1)),
        f"a=rtpmap:{number} {codec}/90000",
        *shape,
        *(f"a=rtcp-fb:{number} {kind}" for kind in ("nack", "nack pli", "transport-cc", "ccm fir")),
        *(f"a=rtpmap:{number + 1} rtx/90000", f"a=fmtp:{number + 1} apt={number}"),
        *(f"a=rid:{rid} send" for rid in RIDS),
        "a=simulcast:send q;h;f",
        *("m=audio 9 UDP/TLS/RTP/SAVPF 111", *transport, "a=mid:1", f"a=extmap:1 {TRANSPORT_CC}"),
        *("a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"),
    ]
    return "\r\n".join(lines) + "\r\n"


def _fragments() -> list[str]:
    restart = "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\na=ice-ufrag:next\r\n"
    restart += "a=ice-pwd:0123456789012345678901\r\n"
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    candidate = "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw\r\n"
    return [
        restart,
        restart + section,
        restart + section + candidate + "a=end-of-candidates\r\n",
        section + candidate,
    ]
