"""Offer and answer (RFC 8829, 9725): what a publisher may send us, what a viewer gets from us.

A publisher's answer names one video codec, so that its stream can't change under its viewers. A viewer's
answer names every codec it shares with us, so that it goes on by itself when a host comes back with another
one. No header extension is ever offered to viewers: there is then nothing to rewrite a viewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stream.packet.codecs import CODECS, H264, OPUS, Codec
from stream.wire.dtls import Fingerprint
from stream.wire.ice import Credentials

from .errors import SdpError, UnsupportedError
from .sdp import Description, Format, Section, parse

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
_PUBLISHER_EXTENSIONS = (TRANSPORT_CC, STREAM_ID, REPAIRED_STREAM_ID)
MAX_RIDS = 4
_PUBLISHER_FEEDBACK = ("transport-cc", "ccm fir", "nack", "nack pli")
_VIEWER_FEEDBACK = ("goog-remb", "ccm fir", "nack", "nack pli")
_UDP_PRIORITY = 2130706431  # a host candidate, RFC 8445 5.1.2.1
_TCP_PRIORITY = 1518149375  # below any over UDP, RFC 6544 4.2


@dataclass(frozen=True, slots=True)
class Choice:
    """A codec under the payload types that the other side gave it."""

    codec: Codec
    payload_type: int
    rtx_payload_type: int | None
    format: Format

    @property
    def numbers(self) -> list[int]:
        """Its payload types."""
        return [self.payload_type, *([] if self.rtx_payload_type is None else [self.rtx_payload_type])]


@dataclass(slots=True)
class Accepted:
    """One m-line of the offer, and what we make of it; no choices: refused."""

    section: Section
    choices: list[Choice] = field(default_factory=list)
    extensions: dict[str, int] = field(default_factory=dict)
    rids: list[str] = field(default_factory=list)
    """The layers of simulcast (RFC 8853) that a publisher will send; empty for a single one."""

    @property
    def kind(self) -> str:
        return self.section.kind


@dataclass(slots=True)
class Offer:
    """What either resource needs to know about an offer."""

    description: Description
    accepted: list[Accepted]
    remote_ufrag: str
    is_dtls_server: bool
    """The peer offers setup:passive, so that we are the DTLS client."""
    fingerprints: list[Fingerprint]

    def media(self, kind: str) -> Accepted | None:
        return next((media for media in self.accepted if media.kind == kind and media.choices), None)

    @property
    def video(self) -> Accepted:
        video = self.media("video")
        if video is None:
            raise UnsupportedError("no video", code="video_missing")
        return video

    @property
    def audio(self) -> Accepted | None:
        return self.media("audio")


def read_publisher_offer(text: str) -> Offer:
    """SdpError or UnsupportedError; of each kind the first codec that we know is chosen."""
    return _read_offer(text, wanted=("sendrecv", "sendonly"), single=True)


def read_viewer_offer(text: str) -> Offer:
    """SdpError or UnsupportedError; of each kind all codecs that we know are kept, in the viewer's order."""
    return _read_offer(text, wanted=("sendrecv", "recvonly"), single=False)


def read_origin_answer(text: str) -> Offer:
    """The answer of another node to our own offer: what it sends, under the payload types that we gave."""
    return _read_offer(text, wanted=("sendrecv", "sendonly"), single=False)


def _read_offer(text: str, *, wanted: Sequence[str], single: bool) -> Offer:
    description = parse(text)
    accepted = [Accepted(section) for section in description.sections]
    for kind in ("video", "audio"):
        open_ = [
            media
            for media in accepted
            if media.kind == kind and media.section.direction in wanted and _is_offered(media.section)
        ]
        if len(open_) > 1:
            raise UnsupportedError(
                f"the offer has {len(open_)} {kind} tracks; send one of each kind", code="too_many_tracks"
            )
        for media in open_:
            media.choices = _choices(media.section, single=single)
            media.extensions = media.section.extensions()
            media.rids = _rids(media) if single else []
    _require_video(accepted)
    if single:
        _require_all(accepted)
    first = next(media.section for media in accepted if media.choices)
    return Offer(description, accepted, *_transport(description, first))


def _is_offered(section: Section) -> bool:
    """Port 0 means refused, but of an m-line that only comes with its bundle (RFC 9143 6)."""
    return section.port > 0 or section.get("bundle-only") is not None


def _require_all(accepted: list[Accepted]) -> None:
    """No half of a broadcast: an offer is taken whole, or the publisher hears why not (RFC 9725 4.4.3)."""
    for media in accepted:
        if media.kind in ("video", "audio") and not media.choices and _is_offered(media.section):
            raise UnsupportedError(
                f"the {media.kind} can't be taken: it is {media.section.direction}, or we know none of its"
                " codecs; mend it or leave it out",
                code=f"{media.kind}_unsupported",
            )
    numbers = [number for media in accepted for choice in media.choices for number in choice.numbers]
    if len(set(numbers)) < len(numbers):
        raise SdpError("two streams share a payload type; in one bundle each has its own (RFC 9143 9.1)")
    sections = [media.section for media in accepted if media.choices]
    streams = {value.partition(" ")[0] for section in sections for value in section.all("msid")}
    if len(streams) > 1:
        raise UnsupportedError(
            f"the offer has {len(streams)} media streams; put its tracks into one", code="too_many_streams"
        )


def _rids(media: Accepted) -> list[str]:
    """Of `a=simulcast:send q;h;f` those with an `a=rid:… send`; alternatives and pauses are left out."""
    words = (media.section.get("simulcast") or "").split()
    sent = words[words.index("send") + 1] if "send" in words[:-1] else ""
    declared = {value.split()[0] for value in media.section.all("rid") if value.split()[1:2] == ["send"]}
    asked = [stream.split(",")[0].lstrip("~") for stream in sent.split(";")]
    rids = [rid for rid in dict.fromkeys(asked) if rid in declared][:MAX_RIDS]
    return rids if media.kind == "video" and len(rids) > 1 and STREAM_ID in media.extensions else []


def _require_video(accepted: list[Accepted]) -> None:
    videos = [media for media in accepted if media.kind == "video"]
    if any(media.choices for media in videos):
        return
    if any(media.section.rtp_formats() for media in videos):
        known = ", ".join(codec.name for codec in CODECS.values() if codec.kind == "video")
        raise UnsupportedError(f"no video codec in common, or the wrong direction; we carry {known}")
    raise UnsupportedError("the offer has no video track; a broadcast needs one", code="video_missing")


def _transport(description: Description, section: Section) -> tuple[str, bool, list[Fingerprint]]:
    if "SAVPF" not in section.protocol:
        raise SdpError(f"{section.protocol} is not WebRTC media; offer UDP/TLS/RTP/SAVPF")
    ufrag = description.of(section, "ice-ufrag")
    if not ufrag or not description.of(section, "ice-pwd"):
        raise SdpError("the offer has no ice-ufrag and ice-pwd")
    stated = list(section.all("fingerprint")) or list(description.session.all("fingerprint"))
    fingerprints = [
        (name.lower(), value.strip().upper()) for name, _, value in (text.partition(" ") for text in stated)
    ]
    if not fingerprints:
        raise SdpError("the offer has no DTLS fingerprint")
    return ufrag, description.of(section, "setup") == "passive", fingerprints


def _choices(section: Section, *, single: bool) -> list[Choice]:
    formats = section.rtp_formats()
    rtx = {
        format_.parameters.get("apt"): format_.payload_type for format_ in formats if format_.name == "RTX"
    }
    choices: list[Choice] = []
    for format_ in formats:
        codec = CODECS.get(format_.name)
        if codec is None or codec.kind != section.kind or format_.clock_rate_hz != codec.clock_rate_hz:
            continue
        if codec is H264 and single and format_.parameters.get("packetization-mode", "0") == "2":
            continue  # interleaved; nobody sends it
        if format_.parameters.get(codec.profile_parameter, "0") != "0":
            continue
        choices.append(Choice(codec, format_.payload_type, rtx.get(str(format_.payload_type)), format_))
    return choices[:1] if single else choices


def one_per_codec(choices: Iterable[Choice], profile_level_id: str) -> list[Choice]:
    """A choice for each codec; of a viewer's many H.264 formats the one nearest to what is on air."""
    best: dict[str, Choice] = {}
    for choice in choices:
        held = best.get(choice.codec.name)
        if held is None or _h264_fit(choice, profile_level_id) > _h264_fit(held, profile_level_id):
            best[choice.codec.name] = choice
    return list(best.values())


def _h264_fit(choice: Choice, profile_level_id: str) -> int:
    """Packets in fragments (mode 1) matter most, then the profile."""
    if choice.codec is not H264:
        return 0
    parameters = choice.format.parameters
    offered = parameters.get("profile-level-id", "42e01f").lower()
    fit = 4 * (parameters.get("packetization-mode", "0") == "1")
    if profile_level_id:
        return fit + 2 * (offered[:2] == profile_level_id[:2]) + (offered[:4] == profile_level_id[:4])
    return fit + (offered[:4] == "42e0")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """How a viewer hears of one of our tracks."""

    ssrc: int
    rtx_ssrc: int
    stream: str
    cname: str


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the transport."""

    credentials: Credentials
    fingerprint: Fingerprint
    candidates: Sequence[tuple[str, int]]
    """Announced (ip, port), the preferred first."""
    takes_tcp: bool = False


def write_answer(offer: Offer, local: Local, *, session: str, outgoing: dict[str, Outgoing] | None) -> str:
    """The answer; with `outgoing` (by kind) to a viewer, without to a publisher."""
    mids = [media.section.get("mid") for media in offer.accepted if media.choices]
    lines = ["v=0", f"o=- {int(session, 16) % 2**62} 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if offer.description.session.get("group") is not None:
        lines.append("a=group:BUNDLE " + " ".join(filter(None, mids)))
    lines += ["a=ice-lite", "a=msid-semantic: WMS *"]
    for media in offer.accepted:
        lines += _section_lines(media, offer, local, (outgoing or {}).get(media.kind))
    return "\r\n".join(lines) + "\r\n"


def _section_lines(media: Accepted, offer: Offer, local: Local, outgoing: Outgoing | None) -> list[str]:
    section = media.section
    mid = section.get("mid")
    mid_lines = [] if mid is None else [f"a=mid:{mid}"]
    if not media.choices:
        refused = f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}"
        return [refused, "c=IN IP4 0.0.0.0", *mid_lines, "a=inactive"]
    return [
        *_media_line(media, local),
        *mid_lines,
        "a=sendonly" if outgoing else "a=recvonly",
        *_transport_lines(offer, local),
        *_codec_lines(media, outgoing is not None),
        *_extension_lines(media, outgoing is not None),
        *(_source_lines(media, outgoing) if outgoing else ()),
    ]


def _media_line(media: Accepted, local: Local) -> list[str]:
    types = [str(number) for choice in media.choices for number in choice.numbers]
    host, port = local.candidates[0] if local.candidates else ("0.0.0.0", 9)
    return [
        f"m={media.kind} {port} {media.section.protocol} {' '.join(types)}",
        f"c=IN {'IP6' if ':' in host else 'IP4'} {host}",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
    ]


def _transport_lines(offer: Offer, local: Local) -> list[str]:
    name, value = local.fingerprint
    return [
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        f"a=fingerprint:{name} {value}",
        f"a=setup:{'active' if offer.is_dtls_server else 'passive'}",
        *candidate_lines(local.candidates, takes_tcp=local.takes_tcp),
        "a=end-of-candidates",
    ]


def candidate_lines(candidates: Sequence[tuple[str, int]], *, takes_tcp: bool) -> list[str]:
    """UDP first: some clients look no further."""
    lines = [
        f"a=candidate:{place} 1 udp {_UDP_PRIORITY - place} {host} {port} typ host"
        for place, (host, port) in enumerate(candidates, 1)
    ]
    if takes_tcp:
        lines += [
            f"a=candidate:{100 + place} 1 tcp {_TCP_PRIORITY - place} {host} {port} typ host tcptype passive"
            for place, (host, port) in enumerate(candidates, 1)
        ]
    return lines


def _codec_lines(media: Accepted, to_viewer: bool) -> list[str]:
    lines = []
    allowed: tuple[str, ...] = _VIEWER_FEEDBACK if to_viewer else _PUBLISHER_FEEDBACK
    if media.kind == "audio":
        allowed = () if to_viewer else ("transport-cc", "nack")
    for choice in media.choices:
        number, codec = choice.payload_type, choice.codec
        channels = "/2" if codec is OPUS else ""
        lines.append(
            f"a=rtpmap:{number} {choice.format.name.lower() if codec is OPUS else codec.name}/"
            f"{codec.clock_rate_hz}{channels}"
        )
        if choice.format.parameters:
            text = ";".join(
                f"{key}={value}" if value else key for key, value in choice.format.parameters.items()
            )
            lines.append(f"a=fmtp:{number} {text}")
        lines += [f"a=rtcp-fb:{number} {name}" for name in allowed if name in choice.format.feedback]
        if choice.rtx_payload_type is not None:
            lines.append(f"a=rtpmap:{choice.rtx_payload_type} rtx/{codec.clock_rate_hz}")
            lines.append(f"a=fmtp:{choice.rtx_payload_type} apt={number}")
    return lines


def _extension_lines(media: Accepted, to_viewer: bool) -> list[str]:
    if to_viewer:
        return []
    wanted = _PUBLISHER_EXTENSIONS if media.rids else (TRANSPORT_CC,)
    lines = [f"a=extmap:{media.extensions[uri]} {uri}" for uri in wanted if uri in media.extensions]
    if media.rids:
        lines += [f"a=rid:{rid} recv" for rid in media.rids]
        lines.append(f"a=simulcast:recv {';'.join(media.rids)}")
    return lines


def _source_lines(media: Accepted, outgoing: Outgoing) -> list[str]:
    lines = [f"a=msid:{outgoing.stream} {media.kind}"]
    sources = [outgoing.ssrc]
    if any(choice.rtx_payload_type is not None for choice in media.choices):
        sources.append(outgoing.rtx_ssrc)
        lines.append(f"a=ssrc-group:FID {outgoing.ssrc} {outgoing.rtx_ssrc}")
    for ssrc in sources:
        lines.append(f"a=ssrc:{ssrc} cname:{outgoing.cname}")
        lines.append(f"a=ssrc:{ssrc} msid:{outgoing.stream} {media.kind}")
    return lines
