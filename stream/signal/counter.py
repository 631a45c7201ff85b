"""The counter-offer of WHEP (draft-ietf-wish-whep 4.2): what we would send, when a viewer's offer won't do.

It is the answer that a viewer who knows all our codecs would get, with the roles turned round: there is one
way to describe our side, not two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from stream.packet.codecs import CODECS, H264, Codec
from stream.ports import Grant
from stream.wire.ice import Credentials

from .answer import Offer, read_viewer_offer

ANSWER_WITHIN_S = 30.0  # draft-ietf-wish-whep 4.2
_PAYLOAD_TYPES = {"VP8": 96, "VP9": 98, "H264": 102, "AV1": 104}
_BASELINE = "42e01f"


@dataclass(slots=True)
class Countered:
    """A viewer session to be: it holds credentials and its place, no more, until the answer comes."""

    kind: ClassVar[str] = "whep"
    session: str
    grant: Grant
    local: Credentials
    until: float
    close: Callable[[str], None] = field(repr=False)

    @property
    def generation(self) -> str:
        return self.local.ufrag


def able_viewer(profile_level_id: str) -> Offer:
    """The offer of a viewer who can receive whatever we carry."""
    video = [codec for codec in CODECS.values() if codec.kind == "video"]
    transport = (
        "a=ice-ufrag:able\r\na=ice-pwd:able\r\na=fingerprint:sha-256 00\r\na=setup:actpass\r\na=recvonly\r\n"
    )
    numbers = [str(n) for codec in video for n in (_payload_type(codec), _payload_type(codec) + 1)]
    return read_viewer_offer(
        "v=0\r\na=group:BUNDLE 0 1\r\n"
        f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(numbers)}\r\na=mid:0\r\n{transport}"
        + "".join(_format_lines(codec, profile_level_id or _BASELINE) for codec in video)
        + f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n{transport}"
        "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n"
    )


def as_offer(answer: str) -> str:
    """An offer leaves it to the other side who begins the handshake (RFC 8842 5.2)."""
    return answer.replace("a=setup:passive\r\n", "a=setup:actpass\r\n")


def _payload_type(codec: Codec) -> int:
    return _PAYLOAD_TYPES[codec.name]


def _format_lines(codec: Codec, profile_level_id: str) -> str:
    number = _payload_type(codec)
    lines = [f"a=rtpmap:{number} {codec.name}/{codec.clock_rate_hz}"]
    lines += [f"a=rtcp-fb:{number} {name}" for name in ("goog-remb", "ccm fir", "nack", "nack pli")]
    if codec is H264:
        shape = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile_level_id}"
        lines.append(f"a=fmtp:{number} {shape}")
    lines += [f"a=rtpmap:{number + 1} rtx/{codec.clock_rate_hz}", f"a=fmtp:{number + 1} apt={number}"]
    return "\r\n".join(lines) + "\r\n"
