"""What is fed, and where: every parser by itself, and the whole relay behind them.

Each target takes one mutated input to the real code. A declared refusal (`SignalError`, None, a counted drop)
is the right answer; any other exception is a crash, also one that the relay caught and logged.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from aioice import stun

from loadtests.fuzz.mutator import mutate, mutate_text
from loadtests.fuzz.rig import Client, Rig
from loadtests.fuzz.seeds import EXTENSIONS, PAYLOAD_TYPES, RIDS, Seeds, packet, simulcast_offer
from loadtests.relay.signalling import Ice, offer
from stream.packet import rtcp, rtp
from stream.packet.codecs import CODECS
from stream.packet.h264 import ParameterSets
from stream.signal.answer import Local, read_publisher_offer, read_viewer_offer, write_answer
from stream.signal.errors import SignalError
from stream.wire.dtls import Dtls, DtlsContext, DtlsState
from stream.wire.ice import Credentials, parse_binding

ROUND = 4000
"""Inputs to one rig: then everything is closed, and what is left is counted."""
_HANDSHAKE_INPUTS = 12
_LOCAL = Local(Credentials("u", "p"), ("sha-256", "AB"), [("192.0.2.1", 5000), ("2001:db8::1", 5000)], True)
_SDP, _FRAGMENT, _JSON = "application/sdp", "application/trickle-ice-sdpfrag", "application/json"


class Targets:
    """One relay with a publisher a codec, with layers, and viewers; `shares` says how often each is hit."""

    def __init__(self, dice: random.Random, seeds: Seeds, context: DtlsContext) -> None:
        self.last: bytes | str = b""
        self.rig = Rig(context)
        self._dice, self._seeds = dice, seeds
        self._context = context
        self._fingerprint = context.fingerprint[1]
        self._seq = dice.randrange(65536)
        self._publishers = {codec: self._publisher(codec) for codec in ("H264", "VP8", "VP9", "AV1")}
        self._plain = [
            packet(payload, PAYLOAD_TYPES[codec], 5 + at, 0x1234, rid=rid, cc=at)
            for codec, payloads in seeds.payloads.items()
            for at, payload in enumerate(payloads)
            for rid in ("", RIDS[at % 3])
        ]
        for codec in self._publishers:
            self._on_air(codec)
        self._viewers = [self._viewer(codec) for codec in self._publishers]
        self._half_open: Client | None = None
        self._half_open_inputs = 0

    def shares(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.stun_unsigned, 0.12),
            (self.stun_signed, 0.06),
            (self.dtls_handshake, 0.05),
            (self.dtls_record, 0.05),
            (self.dtls_inside, 0.01),
            (self.rtp_parsers, 0.16),
            (self.rtp_from_publisher, 0.20),
            (self.srtp_from_publisher, 0.08),
            (self.srtp_unsigned, 0.05),
            (self.rtcp_parser, 0.06),
            (self.rtcp_from_publisher, 0.03),
            (self.rtcp_from_viewer, 0.05),
            (self.sdp_offer, 0.06),
            (self.http, 0.02),
        ]

    def pass_time(self) -> None:
        """Now and then: a turn of the clockwork."""
        self.rig.let_send()
        self.rig.clock.advance(0.02)
        if self._dice.random() < 0.02:
            self.rig.sweep(0.5)
            self._revive()

    # Who is there

    def _publisher(self, codec: str) -> Client:
        client = self.rig.publisher(codec, simulcast_offer(self._fingerprint, codec))
        said = client.connect()
        self._seeds.stun = said[:1] * 3 + self._seeds.stun[-8:]
        self._seeds.dtls = said[1:] + self._seeds.dtls[-24:]
        return client

    def _viewer(self, codec: str) -> Client:
        text = offer(Ice("light"), self._fingerprint, "recvonly", {})
        if codec != "H264":
            number = PAYLOAD_TYPES[codec]
            text = text.replace(" 102 103", f" {number} {number + 1}").replace("apt=102", f"apt={number}")
            text = text.replace(":103", f":{number + 1}").replace(":102", f":{number}").replace("H264", codec)
        client = self.rig.viewer(codec, text)
        client.connect()
        return client

    def _on_air(self, codec: str) -> None:
        for payload in self._seeds.payloads[codec]:
            for rid in RIDS:
                self._to_owner(self._publishers[codec], self._next(codec, payload, rid))

    def _next(self, codec: str, payload: bytes, rid: str) -> bytes:
        self._seq = self._seq + 1 & 0xFFFF
        ssrc = 0x1000 + list(PAYLOAD_TYPES).index(codec) * 8 + (RIDS.index(rid) if rid else 0)
        return packet(payload, PAYLOAD_TYPES[codec], self._seq, ssrc, rid=rid, cc=self._seq)

    def _to_owner(self, client: Client, plain: bytes, *, is_rtcp: bool = False) -> None:
        owner, now = client.session.peer.owner, self.rig.clock.time()
        if owner is not None:
            (owner.peer_sent_rtcp if is_rtcp else owner.peer_sent_rtp)(plain, now)

    def _revive(self) -> None:
        """A session that the input ended, as it may, is begun again."""
        for codec, client in list(self._publishers.items()):
            if client.session.peer.close_reason:
                self._publishers[codec] = self._publisher(codec)
                self._on_air(codec)
        for at, codec in enumerate(self._publishers):
            if self._viewers[at].session.peer.close_reason:
                self._viewers[at] = self._viewer(codec)

    def _any(self) -> Client:
        return self._dice.choice([*self._publishers.values(), *self._viewers])

    def _mutated(self, seeds: list[bytes]) -> bytes:
        self.last = data = mutate(self._dice, seeds)
        return data

    # STUN

    def stun_unsigned(self) -> None:
        datagram = self._mutated(self._seeds.stun)
        parse_binding(datagram)
        self.rig.feed(datagram, self.rig.address())

    def stun_signed(self) -> None:
        """Attributes changed, then signed with the session's own password: what a hostile client can send."""
        client, dice = self._any(), self._dice
        body = bytearray(client.check()[:-32])
        for _ in range(dice.choice((1, 1, 2))):
            at = dice.randrange(20, len(body))
            body[at] = dice.randrange(256)
        body[2:4] = (len(body) - 20).to_bytes(2, "big")
        signed = bytes(body)
        signed += b"\0\x08\0\x14" + stun.message_integrity(signed, client.password.encode())
        signed = stun.set_body_length(signed, len(signed) - 20)
        signed += b"\x80\x28\0\x04" + stun.message_fingerprint(signed).to_bytes(4, "big")
        self.last = datagram = stun.set_body_length(signed, len(signed) - 20)
        self.rig.feed(datagram, client.address if dice.random() < 0.9 else self.rig.address())

    # DTLS

    def dtls_handshake(self) -> None:
        """A session between its first check and the end of its handshake."""
        if self._half_open is None or self._half_open_inputs >= _HANDSHAKE_INPUTS:
            self._open_half()
        assert self._half_open is not None
        self._half_open_inputs += 1
        self.rig.feed(self._mutated(self._seeds.dtls), self._half_open.address)
        if self._half_open.session.peer.close_reason:
            self._half_open = None

    def _open_half(self) -> None:
        if self._half_open is not None:
            self._half_open.session.close("deleted")
        text = offer(Ice("light"), self._fingerprint, "recvonly", {})
        self._half_open, self._half_open_inputs = self.rig.viewer("H264", text), 0
        self.rig.feed(self._half_open.check(), self._half_open.address)

    def dtls_record(self) -> None:
        """To a finished handshake: an attacker who can forge the client's address."""
        client = self._any()
        self.rig.feed(self._mutated(self._seeds.dtls), client.address)
        if client.session.peer.close_reason:
            raise AssertionError(f"a forged record ended a session: {client.session.peer.close_reason}")

    def dtls_inside(self) -> None:
        """Records under the session's keys: nobody opens data channels here, so there is nothing to say."""
        client = self._any()
        if client.dtls.state is DtlsState.CONNECTED and not client.session.peer.close_reason:
            for record in client.application_data(self._mutated(self._seeds.rtcp)):
                self.rig.feed(record, client.address)

    # RTP

    def rtp_parsers(self) -> None:
        data = self._mutated(self._plain)
        parsed = rtp.parse(data)
        payload = parsed.payload if parsed is not None else data
        for number in EXTENSIONS:
            rtp.extension(parsed.extensions if parsed is not None else data, number)
        for codec in CODECS.values():
            codec.starts_keyframe(payload)
        ParameterSets().head(payload, 1)
        rtp.unwrap_rtx(payload)

    def _hostile(self) -> tuple[Client, bytes]:
        codec = self._dice.choice(tuple(self._publishers))
        payloads = self._seeds.payloads[codec if self._dice.random() < 0.9 else "OPUS"]
        rid = self._dice.choice(RIDS)
        if (
            self._dice.random() < 0.5
        ):  # a good header, so that the payload's parsers and the fan-out are reached
            return self._publishers[codec], self._next(codec, self._mutated(payloads), rid)
        good = self._next(codec, self._dice.choice(payloads), rid)
        return self._publishers[codec], self._mutated([good])

    def rtp_from_publisher(self) -> None:
        self._to_owner(*self._hostile())

    def srtp_from_publisher(self) -> None:
        client, plain = self._hostile()
        sealed = client.seal(plain, is_rtcp=False)
        if sealed is None:
            self._to_owner(client, plain)
        else:
            self.rig.feed(sealed, client.address)

    def srtp_unsigned(self) -> None:
        """A forged address, no key."""
        datagram = self._mutated(self._plain + self._seeds.rtcp)
        self.rig.feed(datagram, self._any().address)

    # RTCP

    def rtcp_parser(self) -> None:
        rtcp.parse(self._mutated(self._seeds.rtcp))

    def rtcp_from_publisher(self) -> None:
        self._rtcp_from(
            self._dice.choice(tuple(self._publishers.values())), 0x1000 + self._dice.randrange(40)
        )

    def rtcp_from_viewer(self) -> None:
        client = self._dice.choice(self._viewers)
        self._rtcp_from(client, client.session.broadcast.video.ssrc)

    def _rtcp_from(self, client: Client, ssrc: int) -> None:
        data = self._mutated(self._seeds.rtcp).replace(b"\0\0\x12\x34", ssrc.to_bytes(4, "big"))
        sealed = client.seal(data, is_rtcp=True) if self._dice.random() < 0.3 else None
        if sealed is None:
            self._to_owner(client, data, is_rtcp=True)
        else:
            self.rig.feed(sealed, client.address)

    # Text

    def sdp_offer(self) -> None:
        self.last = text = mutate_text(self._dice, self._seeds.sdp)
        for read in (read_publisher_offer, read_viewer_offer):
            try:
                accepted = read(text)
            except SignalError:
                continue
            answer = write_answer(accepted, _LOCAL, session="ab" * 16, outgoing=None)
            answer.encode()
            Dtls(self._context, is_client=accepted.is_dtls_server, fingerprints=accepted.fingerprints)

    def http(self) -> None:
        method, path, content_type, body = self._request()
        self.last = f"{method} {path}\n{content_type}\n{body!r}"
        status, answer = asyncio.run(_call(self.rig.app, method, path, content_type, body, self._if_match()))
        if status >= 500 and status != 503:
            raise AssertionError(f"{status}: {answer[:200]!r}")
        if 400 <= status != 406 and method != "HEAD":
            json.loads(answer)

    def _request(self) -> tuple[str, str, str, bytes]:
        dice, session = self._dice, self._any().session
        kind = "whip" if session in [client.session for client in self._publishers.values()] else "whep"
        show = dice.choice(("H264", "VP8", "new"))
        sdp_ = mutate_text(dice, self._seeds.sdp).encode(errors="replace")
        fragment = mutate_text(dice, self._seeds.fragments).encode(errors="replace")
        wish = mutate(dice, [text.encode() for text in self._seeds.json])
        method, path, content_type, body = dice.choice(
            (
                ("POST", f"/whip?ticket=publish.{show}", _SDP, sdp_),
                ("POST", f"/whep?ticket=view.{show}", _SDP, sdp_),
                ("PATCH", f"/{kind}/{session.session}", _FRAGMENT, fragment),
                ("PATCH", f"/{kind}/{session.session}", _SDP, sdp_),
                ("POST", f"/whep/{session.session}/layer", _JSON, wish),
                ("POST", f"/whep/{session.session}/sse", _JSON, wish),
            )
        )
        if dice.random() < 0.1:
            method = dice.choice(("PUT", "HEAD", "OPTIONS", "PROPFIND", "POST", "PATCH"))
        if dice.random() < 0.1:
            path = mutate_text(dice, [path, "/whep/" + "ab" * 16, "/%ff/%00", "/whip/../whep"])
        if dice.random() < 0.1:
            body = mutate(dice, [body])
        return method, path, content_type, body

    def _if_match(self) -> str:
        return self._dice.choice(("*", '"old"', "", f'"{self._any().session.generation}"'))


async def _call(
    app: Any, method: str, path: str, content_type: str, body: bytes, if_match: str
) -> tuple[int, bytes]:
    """One request to an ASGI application."""
    plain, _, query = path.partition("?")
    headers = [(b"content-type", content_type.encode())]
    if if_match:
        headers.append((b"if-match", if_match.encode()))
    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "raw_path": plain.encode(errors="replace"),
        "query_string": query.encode(errors="replace"),
        "headers": headers,
        "server": ("relay", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(asked, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
