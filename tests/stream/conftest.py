"""Real peers for a real node: a light one that the test drives packet by packet, and FFmpeg's WHIP muxer.

Everything runs over loopback sockets with real ICE, DTLS and SRTP.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pylibsrtp
import pytest
from aioice import stun

from stream.node import Node, NodeSettings
from stream.packet import rtcp, rtp
from stream.packet.rtcp import SenderReport
from stream.ports import BroadcastId, BroadcastState, Carried, Grant, Purpose
from stream.signal import sdp
from stream.wire._srtp import outbound_session
from stream.wire.dtls import Dtls, DtlsContext, DtlsState
from stream.wire.peer import inbound_session


class Admission:
    """Tickets are `publish.BROADCAST.CREDENTIAL` and `view.BROADCAST`, good once when `spend` is set."""

    def __init__(self) -> None:
        self.spent: set[str] = set()
        self.bearers: dict[str, bytes] = {}
        self.failure: Exception | None = None

    async def redeem(self, ticket: str) -> Grant | None:
        if self.failure is not None:
            raise self.failure
        purpose, _, rest = ticket.partition(".")
        broadcast, _, credential = rest.partition(".")
        if purpose not in ("publish", "view") or ticket in self.spent:
            return None
        return Grant(BroadcastId(broadcast), Purpose(purpose), credential, self.bearers.get(ticket))


class Observer:
    def __init__(self) -> None:
        self.changes: list[tuple[str, BroadcastState, int]] = []
        self.beats: list[dict[BroadcastId, Carried]] = []

    def broadcast_changed(self, broadcast: BroadcastId, carried: Carried) -> None:
        self.changes.append((broadcast, carried.state, carried.viewers))

    def node_beat(self, broadcasts: dict[BroadcastId, Carried]) -> None:
        self.beats.append(broadcasts)


def offer(
    direction: str,
    fingerprint: str,
    *,
    video: tuple[str, ...] = ("H264",),
    audio: bool = True,
    rtx: bool = False,
    setup: str = "actpass",
    mids: bool = True,
    ufrag: str = "light",
) -> str:
    """What a client would say; payload types: H264 102, VP8 96, their RTX one up, Opus 111."""
    numbers = {"VP8": 96, "H264": 102, "AV1": 45, "VP9": 98}
    transport = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        "a=ice-pwd:0123456789012345678901",
        f"a=fingerprint:sha-256 {fingerprint}",
        f"a=setup:{setup}",
        "a=rtcp-mux",
        f"a={direction}",
    ]
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if mids:
        lines.append("a=group:BUNDLE 0 1" if audio and video else "a=group:BUNDLE 0")
    if video:
        types = [
            str(n)
            for name in video
            for n in ((numbers[name], numbers[name] + 1) if rtx else (numbers[name],))
        ]
        lines += [
            f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(types)}",
            *transport,
            *(["a=mid:0"] if mids else []),
        ]
        for name in video:
            number = numbers[name]
            lines.append(f"a=rtpmap:{number} {name}/90000")
            lines += [
                f"a=rtcp-fb:{number} {kind}" for kind in ("nack", "nack pli", "goog-remb", "transport-cc")
            ]
            if name == "H264":
                lines.append(f"a=fmtp:{number} packetization-mode=1;profile-level-id=42e01f")
            if rtx:
                lines += [f"a=rtpmap:{number + 1} rtx/90000", f"a=fmtp:{number + 1} apt={number}"]
    if audio:
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 111", *transport, *(["a=mid:1"] if mids else [])]
        lines += ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]
    return "\r\n".join(lines) + "\r\n"


class LightPeer(asyncio.DatagramProtocol):
    """A WebRTC client in a page of code: the test decides about every packet."""

    context: DtlsContext | None = None

    def __init__(self, node: Node) -> None:
        if LightPeer.context is None:
            LightPeer.context = DtlsContext()
        self.node = node
        self.host = "127.0.0.1"
        self.dtls: Dtls | None = None
        self.answer = ""
        self.location = ""
        self.status = 0
        self.problem: dict[str, Any] = {}
        self.response: httpx.Response | None = None
        self.rtp: list[rtp.Rtp] = []
        self.rtcp: list[rtcp.Report] = []
        self.stun_answers = 0
        self._ssrc = 0x1234
        self._changed = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._tx: Any = None
        self._rx: Any = None

    async def join(self, ticket: str, *, kind: str = "", **options: Any) -> LightPeer:
        """Offer, answer, ICE, DTLS; returns connected, or with `status` and `problem` when refused."""
        kind = kind or ("whip" if ticket.startswith("publish") else "whep")
        direction = "sendonly" if kind == "whip" else "recvonly"
        assert self.context is not None
        text = offer(direction, self.context.fingerprint[1], **options)
        await self.post(kind, ticket, text)
        if self.status == 201:
            await self.connect(client=options.get("setup") != "passive")
        return self

    async def post(self, kind: str, ticket: str, text: str, **headers: str) -> None:
        async with httpx.AsyncClient(base_url=self.base, timeout=30) as http:
            self.response = await http.post(
                f"/{kind}",
                params={"ticket": ticket},
                content=text,
                headers={"content-type": "application/sdp", **headers},
            )
        self.status = self.response.status_code
        if self.status in (201, 406):
            self.answer, self.location = self.response.text, self.response.headers["location"]
        else:
            self.problem = self.response.json()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.node.http_port}"

    async def connect(self, *, client: bool = True, timeout_s: float = 30) -> None:
        described = sdp.parse(self.answer).sections[0]
        name, _, value = (described.get("fingerprint") or "").partition(" ")
        assert self.context is not None
        self.dtls = Dtls(self.context, is_client=client, fingerprints=[(name, value)])
        await self.open_socket()
        self.check()
        await self.until(lambda: self.stun_answers > 0, timeout_s)
        self._put(self.dtls.start())
        await self.until(lambda: self.dtls is not None and self.dtls.state is DtlsState.CONNECTED, timeout_s)
        assert self.dtls.outbound is not None
        assert self.dtls.inbound is not None
        self._tx, self._rx = outbound_session(self.dtls.outbound), inbound_session(self.dtls.inbound)

    async def open_socket(self) -> None:
        """The first one, or another: the client has moved."""
        if self._transport is not None:
            self._transport.close()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, remote_addr=(self.host, self.node.udp_port)
        )
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def check(self, *, nominate: bool = True, password: str = "", ufrag: str = "") -> None:
        described = sdp.parse(self.answer).sections[0]
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{ufrag or described.get('ice-ufrag')}:light"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 7
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or described.get("ice-pwd") or "").encode())
        self.send(bytes(request))

    def send(self, datagram: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(datagram)

    def send_rtp(self, packet: bytes) -> None:
        self.send(self._tx.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        self.send(self._tx.protect_rtcp(packet))

    def _put(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.send(datagram)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[0] < 4:
            self.stun_answers += stun.parse_message(data).message_class is stun.Class.RESPONSE
        elif data[0] < 64:
            if self.dtls is not None:
                self._put(self.dtls.receive(data))
        elif self._rx is not None:
            self._receive_media(data)
        self._changed.set()

    def _receive_media(self, data: bytes) -> None:
        if rtp.is_rtcp(data):
            self.rtcp.extend(rtcp.parse(self._rx.unprotect_rtcp(data)))
            return
        try:
            parsed = rtp.parse(self._rx.unprotect(data))
        except pylibsrtp.Error:
            return  # a repeat
        if parsed is not None:
            self.rtp.append(parsed)

    def error_received(self, exc: Exception) -> None:
        """The port may be closed at the end of a test."""

    async def until(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def video(self) -> list[rtp.Rtp]:
        return [packet for packet in self.rtp if packet.payload_type in (96, 102, 98, 45)]

    @property
    def is_closed(self) -> bool:
        return self.dtls is not None and self.dtls.state is DtlsState.CLOSED

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def delete(self, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as http:
            return await http.delete(self.location, headers=headers)


class Camera:
    """Synthetic H.264 or VP8 by the packet: a keyframe when told, three packets a frame."""

    peer_class = LightPeer

    def __init__(
        self,
        peer: LightPeer,
        *,
        codec: str = "H264",
        ssrc: int = 0x1234,
        seq: int = 100,
        timestamp: int = 9000,
    ) -> None:
        self.peer = peer
        self.codec = codec
        self.ssrc = ssrc
        self.seq = seq
        self.timestamp = timestamp
        self.picture_id = 50
        self.lost: list[bytes] = []

    def frame(self, *, key: bool = False, packets: int = 3, lose: tuple[int, ...] = ()) -> None:
        self.timestamp += 3000
        self.picture_id += 1
        for place in range(packets):
            packet = rtp.build(
                {"H264": 102, "VP8": 96}[self.codec],
                place == packets - 1,
                self.seq,
                self.timestamp,
                self.ssrc,
                self._payload(key, place),
            )
            self.seq += 1
            if place in lose:
                self.lost.append(packet)
            else:
                self.peer.send_rtp(packet)

    def _payload(self, key: bool, place: int) -> bytes:
        body = bytes((self.seq & 0xFF, place)) * 50
        if self.codec == "VP8":
            head = bytes((0x90 if place == 0 else 0x80, 0xC0)) + (0x8000 | self.picture_id).to_bytes(2, "big")
            return head + bytes((self.picture_id & 0xFF, 0 if key else 1)) + body
        if key:
            return (b"\x67", b"\x68", b"\x65")[min(place, 2)] + body
        return b"\x41" + body


class Encoder:
    """`whip_encoder.py` as a context: sends while it is open."""

    def __init__(self, url: str, folder: Path, *, gop: int = 30, codec: str = "libx264") -> None:
        self._command = [str(Path(__file__).with_name("whip_encoder.py")), url, str(folder), codec, str(gop)]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Encoder:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self._command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        async with asyncio.timeout(60):
            _, errors = await self._process.communicate(b"")
        assert self._process.returncode == 0, errors.decode()


RIDS = ("q", "h", "f")
SIMULCAST = (
    "a=mid:0\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
    "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n"
    + "".join(f"a=rid:{rid} send\r\n" for rid in RIDS)
    + "a=simulcast:send q;h;f"
)
START_NTP = 5 << 32


class Studio:
    """Three cameras of one picture, each with an SSRC, sequence numbers, a clock and VP8 ids of its own."""

    def __init__(self, peer):
        self.peer = peer
        self.frames = 0
        self.seqs = [100, 20_000, 65_530]
        self.picture_ids = [7, 900, 32_000]
        self.named = True

    def timestamp(self, layer):
        return 1_000_000 * (layer + 1) + self.frames * 3000

    def report(self):
        ntp = START_NTP + self.frames * (1 << 32) // 30
        for layer in range(3):
            self.peer.send_rtcp(
                rtcp.sender_report(SenderReport(layer + 1, ntp, self.timestamp(layer), 1, 1), b"c")
            )

    def frame(self, *, key=(), only=(0, 1, 2)):
        self.frames += 1
        for layer in only:
            self.picture_ids[layer] = (self.picture_ids[layer] + 1) & 0x7FFF
            packets = 1 + layer
            for place in range(packets):
                self.peer.send_rtp(self._packet(layer, place, packets, layer in key))
                self.seqs[layer] += 1

    def _packet(self, layer, place, packets, key):
        head = bytes((0x90 if place == 0 else 0x80, 0xC0))
        head += (0x8000 | self.picture_ids[layer]).to_bytes(2, "big") + bytes(
            (self.picture_ids[layer] & 0xFF,)
        )
        payload = head + bytes((0 if key else 1, layer)) + bytes(200)
        packet = rtp.build(
            96, place == packets - 1, self.seqs[layer], self.timestamp(layer), layer + 1, payload
        )
        if not self.named:
            return packet
        extension = b"\xbe\xde\x00\x01" + bytes((0x40,)) + RIDS[layer].encode() + bytes(2)
        return bytes((packet[0] | 0x10,)) + packet[1:12] + extension + packet[12:]


PATIENCE_S = 600.0
WAITS = {
    "stream.broadcast": ("SILENT_S", "LAYER_SILENT_S"),
    "stream.intake": ("_SOURCE_SILENT_S",),
    "stream.packet.cache": ("RING_S", "GOP_S"),
    "stream.packet.repeats": ("FORGOTTEN_S",),
    "stream.viewer": ("FRESH_S",),
    "stream.wire.fanout": ("LATE_S",),
    "stream.wire.ice": ("CONSENT_S",),
    "stream.wire.peer": ("HANDSHAKE_S",),
    "stream.signal.resources": ("REDEEM_S",),
    "stream.edge.edges": ("REACH_S", "START_S", "BROKEN_S", "_ASK_S"),
    "stream.edge.whep": ("ASK_S",),
    "stream.edge.checks": ("LOST_S",),
}


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sends packet by packet, and a busy machine takes its time: silence is what a test says it is."""
    if {"packet", "test_ice.py", "test_fuzz.py"} & set(request.path.parts):
        return  # they say what the time is
    for module, names in WAITS.items():
        for name in names:
            monkeypatch.setattr(f"{module}.{name}", PATIENCE_S)


@pytest.fixture
def admission() -> Admission:
    return Admission()


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
async def node(admission: Admission, observer: Observer) -> AsyncIterator[Node]:
    running = Node(NodeSettings(), admission, observer)
    await running.start()
    yield running
    drops = {**running.fanout.stats().drops, "fault": running.sessions.faults}
    await running.stop()
    wrong = {
        cause: drops[cause]
        for cause in ("reused", "stale", "unnumbered", "malformed", "fault")
        if drops[cause]
    }
    assert not wrong, "the fan-out was given what it must refuse, or a datagram broke us"


@pytest.fixture
async def light(node: Node) -> AsyncIterator[Callable[[], LightPeer]]:
    """Makes light peers, and closes their sockets."""
    made: list[LightPeer] = []

    def make() -> LightPeer:
        made.append(LightPeer(node))
        return made[-1]

    make.made = made
    yield make
    for peer in made:
        peer.leave()


@pytest.fixture
def camera() -> type[Camera]:
    return Camera


@pytest.fixture
def encoder(node: Node, tmp_path: Path) -> Callable[..., Encoder]:
    def make(ticket: str, **options: Any) -> Encoder:
        return Encoder(f"http://127.0.0.1:{node.http_port}/whip?ticket={ticket}", tmp_path, **options)

    return make


@pytest.fixture
def make_offer() -> Callable[..., str]:
    return lambda direction, **options: offer(direction, "AA:" * 31 + "AA", **options)


@pytest.fixture
def taken_port() -> AsyncIterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def on_three_layers(make_offer: Callable[..., str]) -> Callable[..., Any]:
    """A light peer goes on air in simulcast; returns its `Studio` when every layer has a picture."""

    async def start(peer: LightPeer) -> Studio:
        assert peer.context is not None
        text = make_offer("sendonly", video=("VP8",)).replace("a=mid:0", SIMULCAST)
        await peer.post(
            "whip", "publish.show.key", text.replace("AA:" * 31 + "AA", peer.context.fingerprint[1])
        )
        assert peer.status == 201
        await peer.connect()
        running = Studio(peer)
        running.frame(key=(0, 1, 2))
        running.report()
        sessions = peer.node.sessions
        await _until(lambda: "live" in [str(state) for state, _ in sessions.counts().values()])
        await asyncio.sleep(0.05)
        running.frame(key=(0, 1, 2))
        broadcast = sessions.broadcasts[BroadcastId("show")]
        await _until(
            lambda: len(broadcast.layers) == 3 and all(held.gop.is_open for held in broadcast.layers)
        )
        broadcast.sweep(began := asyncio.get_running_loop().time())
        for _ in range(3):
            running.frame()
        await _until(lambda: all(len(layer.gop.frames) == 4 for layer in broadcast.layers))
        running.named = False
        broadcast.sweep(began + 0.1)
        return running

    return start


async def _until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
