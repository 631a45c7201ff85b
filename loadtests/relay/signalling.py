"""Offer, answer and HTTP of WHIP (RFC 9725) and WHEP, as little as a load client needs."""

from __future__ import annotations

import argparse
import secrets
from dataclasses import dataclass, field
from urllib.parse import urljoin

import aiohttp

VIDEO, VIDEO_RTX, AUDIO = 102, 103, 111
"""The payload types that we offer, and so receive. What we send has the answer's (RFC 3264 6.1)."""
OFFERED = {"video": VIDEO, "audio": AUDIO}
SDP = "application/sdp"
POST_S = 10.0


class RefusedError(Exception):
    """The server said no: its status and what it wrote."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Ice:
    """One side's ICE credentials."""

    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client has to know about the server."""

    ice: Ice
    digest: str
    """Which one the fingerprint is, as `sha256`."""
    fingerprint: str
    """Upper case with colons."""
    is_dtls_client: bool
    candidates: list[tuple[str, int]]
    """UDP only, as the server ordered them."""
    ssrcs: dict[str, int]
    """By kind, where the server says."""
    payload_types: dict[str, int]
    """By kind; a kind that was refused has none."""


def offer(ice: Ice, fingerprint: str, direction: str, ssrcs: dict[str, int]) -> str:
    """Audio and video on one bundled transport; `ssrcs` by kind, for a sender."""
    session = ["v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
    transport = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ice.ufrag}",
        f"a=ice-pwd:{ice.password}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a={direction}",
    ]
    audio = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO}",
        *transport,
        "a=mid:0",
        f"a=rtpmap:{AUDIO} opus/48000/2",
        f"a=fmtp:{AUDIO} minptime=10;useinbandfec=1",
    ]
    video = [
        f"m=video 9 UDP/TLS/RTP/SAVPF {VIDEO} {VIDEO_RTX}",
        *transport,
        "a=mid:1",
        f"a=rtpmap:{VIDEO} H264/90000",
        f"a=fmtp:{VIDEO} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        *(f"a=rtcp-fb:{VIDEO} {feedback}" for feedback in ("goog-remb", "nack", "nack pli", "ccm fir")),
        f"a=rtpmap:{VIDEO_RTX} rtx/90000",
        f"a=fmtp:{VIDEO_RTX} apt={VIDEO}",
    ]
    lines = session + audio + _source("audio", ssrcs) + video + _source("video", ssrcs)
    return "\r\n".join(lines) + "\r\n"


def _source(kind: str, ssrcs: dict[str, int]) -> list[str]:
    return [f"a=msid:load {kind}", f"a=ssrc:{ssrcs[kind]} cname:load"] if kind in ssrcs else []


_ANSWERED = ("mid", "rtpmap", "fmtp", "rtcp-fb")
"""Of an offer's attributes; header extensions that nobody wants are not among them (RFC 8285 6)."""


def answer(text: str, ice: Ice, fingerprint: str) -> str:
    """To a server's offer of one host's sound and picture, all of which we take.

    The server is the DTLS client, and begins when it is ready: what we said too early would be lost, and said
    again after a second.
    """
    ours = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ice.ufrag}",
        f"a=ice-pwd:{ice.password}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=recvonly",
    ]
    lines = ["v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    for line in text.splitlines():
        name, _, value = line.removeprefix("a=").partition(":")
        if line.startswith("m="):
            lines += [line, *ours]
        elif line.startswith("a=group:BUNDLE") or (name in _ANSWERED and not value.endswith(" transport-cc")):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def read_answer(text: str) -> Answer:
    """Of a server's offer, too. ValueError when it lacks what a connection needs."""
    values: dict[str, str] = {}
    ssrcs: dict[str, int] = {}
    payload_types: dict[str, int] = {}
    candidates: list[tuple[str, int]] = []
    kind = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        name, _, value = line.removeprefix("a=").partition(":")
        if line.startswith("m="):
            kind, port, _, first, *_ = line[2:].split(" ")
            if port != "0":  # refused (RFC 3264 6)
                payload_types[kind] = int(first)
        elif name == "candidate":
            candidates += _udp_candidate(value)
        elif name == "ssrc":
            ssrcs.setdefault(kind, int(value.split(" ")[0]))
        elif line.startswith("a="):
            values.setdefault(name, value.strip())
    try:
        ice = Ice(values["ice-ufrag"], values["ice-pwd"])
        digest, _, fingerprint = values["fingerprint"].partition(" ")
    except KeyError as missing:
        raise ValueError(f"the answer has no {missing}") from missing
    if "video" not in payload_types:
        raise ValueError("the answer has no video: H.264 was refused")
    if not candidates:
        raise ValueError("the answer has no UDP candidate")
    return Answer(
        ice,
        digest.lower().replace("-", ""),
        fingerprint.upper(),
        values.get("setup") == "active",
        list(dict.fromkeys(candidates)),
        ssrcs,
        payload_types,
    )


def _udp_candidate(value: str) -> list[tuple[str, int]]:
    parts = value.split()
    wanted = len(parts) >= 6 and parts[1] == "1" and parts[2].lower() == "udp"
    return [(parts[4], int(parts[5]))] if wanted else []


async def post(
    http: aiohttp.ClientSession, url: str, token: str, sdp: str, more: dict[str, str] | None = None
) -> tuple[str, str]:
    """The answer and the session's URL. RefusedError when it isn't 201. A 307 is followed."""
    timeout = aiohttp.ClientTimeout(total=POST_S)
    headers = {"content-type": SDP} | _bearer(token) | (more or {})
    async with http.post(url, data=sdp.encode(), headers=headers, timeout=timeout) as response:
        text = await response.text()
        if response.status != 201:
            raise RefusedError(response.status, text)
        return text, urljoin(str(response.url), response.headers.get("Location", ""))


async def delete(http: aiohttp.ClientSession, url: str, token: str) -> None:
    """Ends a session; that it is gone already is fine."""
    async with http.delete(url, headers=_bearer(token), timeout=aiohttp.ClientTimeout(total=POST_S)):
        pass


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def url_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The server, given as `--url` or by itself."""
    url = str(options.url or options.where)
    if not url:
        parser.error("a URL is needed: --url https://host/whep/show")
    return url


def address(text: str) -> tuple[str, int]:
    """HOST:PORT of the command line; ValueError when it is neither."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
