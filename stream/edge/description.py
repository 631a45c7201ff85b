"""What an edge offers its origin, and what it reads from the answer (RFC 8829)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.packet.codecs import CODECS, H264
from stream.signal.answer import Offer, read_origin_answer
from stream.signal.errors import SdpError
from stream.signal.sdp import Section
from stream.wire.dtls import Fingerprint
from stream.wire.ice import Address, Credentials

_H264_PROFILES = ("42e01f", "42001f", "4d001f", "64001f")
"""The origin answers with the one nearest to what is on air, so that we can tell our own viewers."""
_FIRST_VIDEO = 96


@dataclass(frozen=True, slots=True)
class Remote:
    """The origin's side of one session. `cname` names its broadcast: the same one, the same timestamps."""

    media: Offer
    credentials: Credentials
    candidates: Sequence[Address]
    tcp_candidates: Sequence[Address]
    fingerprints: Sequence[Fingerprint]
    is_dtls_server: bool
    cname: str


def write_offer(local: Credentials, fingerprint: Fingerprint, *, audio: bool) -> str:
    transport = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:{fingerprint[0]} {fingerprint[1]}",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=recvonly",
    ]
    formats = [line for number, name, shape in _formats() for line in _format_lines(number, name, shape)]
    numbers = " ".join(f"{number} {number + 1}" for number, _, _ in _formats())
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {'0 1' if audio else '0'}"]
    lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {numbers}", *transport, "a=mid:0", *formats]
    if audio:
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 63", *transport, "a=mid:1"]
        lines += ["a=rtpmap:63 opus/48000/2", "a=fmtp:63 minptime=10;useinbandfec=1;stereo=1"]
    return "\r\n".join(lines) + "\r\n"


def _formats() -> list[tuple[int, str, str]]:
    """Payload type (its RTX one up), codec and fmtp."""
    shapes = [
        (H264.name, f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}")
        for profile in _H264_PROFILES
    ]
    shapes += [(codec.name, "") for codec in CODECS.values() if codec.kind == "video" and codec is not H264]
    return [(_FIRST_VIDEO + 2 * place, name, shape) for place, (name, shape) in enumerate(shapes)]


def _format_lines(number: int, name: str, shape: str) -> list[str]:
    return [
        f"a=rtpmap:{number} {name}/90000",
        f"a=rtcp-fb:{number} nack",
        f"a=rtcp-fb:{number} nack pli",
        *([f"a=fmtp:{number} {shape}"] if shape else []),
        f"a=rtpmap:{number + 1} rtx/90000",
        f"a=fmtp:{number + 1} apt={number}",
    ]


def read_answer(text: str) -> Remote:
    """SdpError or UnsupportedError when it is no answer to our offer."""
    media = read_origin_answer(text)
    section = media.video.section
    password = media.description.of(section, "ice-pwd") or ""
    candidates = _candidates(section, "udp")
    if not candidates:
        raise SdpError("the origin names no UDP candidate")
    return Remote(
        media,
        Credentials(media.remote_ufrag, password),
        candidates,
        _candidates(section, "tcp"),
        media.fingerprints,
        media.is_dtls_server,
        _cname(section),
    )


def _candidates(section: Section, protocol: str) -> list[Address]:
    lines = [value.split() for value in section.all("candidate")]
    return [
        (words[4], int(words[5]))
        for words in lines
        if len(words) > 5 and words[2].lower() == protocol and _is_port(words[5])
    ]


def _is_port(word: str) -> bool:
    return len(word) < 6 and word.isdecimal() and 0 < int(word) < 65536


def _cname(section: Section) -> str:
    return next((text.partition("cname:")[2] for text in section.all("ssrc") if "cname:" in text), "")
