"""Malformed input over real sockets at a real node, while a show is on air there that must not notice.

    a show:      publisher ──▶ node ──▶ viewer, whose packets are checked one by one
    strangers:   datagrams from addresses nobody knows, TCP frames, HTTP that isn't
    insiders:    publishers and viewers with good keys and bad packets, one of them in the very show
    forgers:     garbage from the viewer's and the publisher's own sockets, as if their address were forged

The node is held to a pace that its socket can take: what the kernel drops would test nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from loadtests.fuzz.mutator import mutate, mutate_text
from loadtests.fuzz.seeds import PAYLOAD_TYPES, Seeds, collect, packet
from loadtests.fuzz.targets import Targets
from loadtests.fuzz.worker import Found
from loadtests.relay.counted_node import CountedNode, counted_node
from loadtests.relay.peer import CONNECT_S, Identity, Peer
from loadtests.relay.publisher import Publisher
from loadtests.relay.signalling import RefusedError, offer, post, read_answer
from loadtests.relay.stream import Shape
from loadtests.relay.watch import Watch
from stream.wire.dtls import DtlsContext

TICK_S = 0.002
SETTLE_S = 75.0
"""Longer than any timeout of the node: handshake 20 s, consent 30 s, silent TCP 40 s."""
LONGEST_SILENCE_S = 1.0
RSS_BOUND_KB = 24 * 1024
_STRANGERS = 24
_WEIGHTS = {
    "stranger": 40,
    "insider_rtp": 20,
    "insider_rtcp": 20,
    "forged": 12,
    "tcp": 6,
    "http": 0.4,
    "body": 0.4,
}


@dataclass(slots=True)
class Show:
    """The viewer's side of what must go on."""

    watch: Watch = field(default_factory=lambda: Watch(0))
    last_at: float = 0.0
    longest_silence_s: float = 0.0

    def take(self, data: bytes, at_ns: int) -> None:
        now = time.monotonic()
        if self.last_at:
            self.longest_silence_s = max(self.longest_silence_s, now - self.last_at)
        self.last_at = now
        self.watch.take(data, at_ns)

    def disturbed(self) -> list[str]:
        video, audio = self.watch.video, self.watch.audio
        silence_s = max(self.longest_silence_s, time.monotonic() - self.last_at)
        found = []
        if not video.received or not audio.received:
            found.append("the viewer saw nothing")
        if video.lost or audio.lost:
            found.append(f"{video.lost} video and {audio.lost} audio packets never came")
        if silence_s > LONGEST_SILENCE_S:
            found.append(f"nothing came for {silence_s:.1f} s")
        return found


class Attack:
    def __init__(self, node: CountedNode, dice: random.Random, seeds: Seeds, found: Found) -> None:
        self.found = found
        self._node, self._dice, self._seeds = node, dice, seeds
        self._identity = Identity()
        self._raw = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_STRANGERS)]
        self._insiders: list[tuple[Peer, str]] = []
        self._streams: list[asyncio.StreamWriter | None] = [None] * 4
        self._plain = [
            packet(held, PAYLOAD_TYPES["H264"], 9, 0x1234, cc=3) for held in seeds.payloads["H264"]
        ]
        self._seq = dice.randrange(1 << 16)
        self._datagrams = [*seeds.stun, *seeds.dtls, *seeds.rtcp, *self._plain]

    async def run(self, http: aiohttp.ClientSession, inputs: int, rate: float, victims: list[Peer]) -> None:
        """`inputs` at `rate` a second; the insiders come first and are replaced when the node ends them."""
        for sock in self._raw:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", self._node.udp_port))
        await self._enter(http)
        started, done = time.monotonic(), 0
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        while done < inputs:
            due = min(inputs, int((time.monotonic() - started) * rate) + 1)
            for kind in self._dice.choices(kinds, weights, k=max(0, due - done)):
                await self._one(kind, http, victims)
                self.found.inputs[f"live_{kind}"] += 1
            done = max(due, done)
            if self._node.process.poll() is not None:
                raise ConnectionError(f"the node died: {self._node.process.returncode}")
            await asyncio.sleep(TICK_S)

    async def _enter(self, http: aiohttp.ClientSession) -> None:
        """Two publishers of shows of their own, and a viewer in the show."""
        for kind, show in (("whip", "evil"), ("whip", "worse"), ("whep", "live")):
            peer = Peer(self._identity)
            direction, ssrcs = ("sendonly", {"video": 7}) if kind == "whip" else ("recvonly", {})
            text = offer(peer.ice, self._identity.fingerprint, direction, ssrcs)
            peer.start(read_answer(await _admitted(http, self._node.url(kind, show), text)))
            await asyncio.wait_for(asyncio.shield(peer.connected), CONNECT_S)
            self._insiders.append((peer, kind))

    async def _one(self, kind: str, http: aiohttp.ClientSession, victims: list[Peer]) -> None:
        dice = self._dice
        match kind:
            case "stranger":
                with contextlib.suppress(OSError):
                    dice.choice(self._raw).send(mutate(dice, self._datagrams))
            case "forged":
                dice.choice(victims).send(mutate(dice, self._datagrams))
            case "insider_rtp":
                self._insider_rtp()
            case "insider_rtcp":
                with contextlib.suppress(Exception):  # libsrtp refuses what is no RTCP at all
                    dice.choice(self._insiders)[0].send_rtcp(mutate(dice, self._seeds.rtcp))
            case "tcp":
                await self._tcp()
            case "http":
                await self._http()
            case _:
                await self._body(http)

    def _insider_rtp(self) -> None:
        peer = self._dice.choice([peer for peer, kind in self._insiders if kind == "whip"])
        self._seq = self._seq + 1 & 0xFFFF
        payload = mutate(self._dice, self._seeds.payloads["H264"])
        built = packet(payload, PAYLOAD_TYPES["H264"], self._seq, 7)
        if self._dice.random() < 0.3:
            built = mutate(self._dice, [built])
        with contextlib.suppress(Exception):  # libsrtp refuses what is no RTP at all
            peer.send_rtp(built)

    async def _tcp(self) -> None:
        """RFC 4571 frames, some with lengths that lie."""
        place = self._dice.randrange(len(self._streams))
        stream = self._streams[place]
        with contextlib.suppress(OSError):
            if stream is None or stream.is_closing():
                _, stream = await asyncio.open_connection("127.0.0.1", self._node.udp_port)
                self._streams[place] = stream
            data = mutate(self._dice, self._datagrams)
            size = len(data) if self._dice.random() < 0.95 else self._dice.randrange(1 << 16)
            stream.write(size.to_bytes(2, "big") + data)
            if self._dice.random() < 0.01:
                stream.close()
                self._streams[place] = None

    async def _http(self) -> None:
        """Bytes that may or may not be HTTP."""
        seeds = [b"POST /whip?ticket=publish.x HTTP/1.1\r\nHost: a\r\nContent-Type: application/sdp\r\n"]
        seeds += [seeds[0] + b"Content-Length: 9\r\n\r\nv=0\r\no=-\r\n", b"OPTIONS /whep HTTP/1.0\r\n\r\n"]
        with contextlib.suppress(OSError):
            _, stream = await asyncio.open_connection("127.0.0.1", self._node.http_port)
            stream.write(mutate(self._dice, seeds))
            stream.close()

    async def _body(self, http: aiohttp.ClientSession) -> None:
        show = self._dice.choice(("live", "evil", "nobody"))
        text = mutate_text(self._dice, self._seeds.sdp)
        timeout = aiohttp.ClientTimeout(total=10)
        with contextlib.suppress(aiohttp.ClientConnectionError, TimeoutError):
            request = http.post(
                self._node.url("whep", show),
                data=text.encode(errors="replace"),
                headers={"content-type": "application/sdp"},
                timeout=timeout,
            )
            async with request as response:
                if response.status >= 500 and response.status != 503:
                    self.found.crash("live_body", text, RuntimeError(f"HTTP {response.status}"))
                if response.status in (201, 406) and self._dice.random() < 0.7:
                    async with http.delete(response.headers["location"], timeout=timeout):
                        pass

    def leave(self) -> None:
        for sock in self._raw:
            sock.close()
        for stream in filter(None, self._streams):
            stream.close()
        for peer, _ in self._insiders:
            peer.close()


def attack(inputs: int, seed: int, rate: float, settle_s: float) -> tuple[Found, list[str]]:
    """What was found, and what the show noticed of it."""
    seeds = collect()
    Targets(random.Random(1), seeds, DtlsContext()).rig.close()
    return asyncio.run(_attack(inputs, random.Random(seed), seeds, rate, settle_s))


async def _attack(
    inputs: int, dice: random.Random, seeds: Seeds, rate: float, settle_s: float
) -> tuple[Found, list[str]]:
    found = Found()
    show, live = Show(), asyncio.Event()
    with counted_node() as node:
        empty = node.held()
        seconds = inputs / rate + settle_s + 60
        publisher = Publisher(Identity(), Shape(1_000_000), ignore_pli=False, pace=20_000_000)
        running = asyncio.create_task(publisher.run(node.url("whip", "live"), "", seconds, live))
        async with asyncio.timeout(20):
            await live.wait()
        async with aiohttp.ClientSession() as http:
            viewer = await _watch(http, node, show)
            disturbed = []
            hostile = Attack(node, dice, seeds, found)
            try:
                await hostile.run(http, inputs, rate, [viewer, publisher._peer])
                await asyncio.sleep(1)
                disturbed = show.disturbed()
            except ConnectionError as error:
                found.crash("live", b"", error)
            finally:
                hostile.leave()
            if node.process.poll() is None:
                running.cancel()
                viewer.close()
                await asyncio.gather(running, return_exceptions=True)
                await _settled(node, empty, found, settle_s)
    return found, disturbed


async def _watch(http: aiohttp.ClientSession, node: CountedNode, show: Show) -> Peer:
    identity = Identity()
    viewer = Peer(identity)
    viewer.on_rtp = show.take
    text = offer(viewer.ice, identity.fingerprint, "recvonly", {})
    viewer.start(read_answer(await _admitted(http, node.url("whep", "live"), text)))
    await asyncio.wait_for(asyncio.shield(viewer.connected), CONNECT_S)
    return viewer


async def _admitted(http: aiohttp.ClientSession, url: str, text: str) -> str:
    """The answer, once the show is on air and the node has its breath back."""
    for _ in range(300):
        with contextlib.suppress(RefusedError):
            return (await post(http, url, "", text))[0]
        await asyncio.sleep(0.1)
    raise ConnectionError(f"the node takes nobody at {url}")


async def _settled(node: CountedNode, empty: dict[str, Any], found: Found, settle_s: float) -> None:
    """Everyone has gone: within the node's timeouts it must hold what it held when it was empty."""
    ends = time.monotonic() + settle_s
    while (left := more(node.held(), empty)) and time.monotonic() < ends:
        await asyncio.sleep(2)
    now = node.held()
    if left:
        found.leak(f"after {settle_s:.0f} s the node still holds {left}")
    if now["rss_kb"] - empty["rss_kb"] > RSS_BOUND_KB:
        found.leak(f"{now['rss_kb'] - empty['rss_kb']} kB more resident")
    for fault in now["faults"]:
        found.crash("live", b"", RuntimeError(fault))


def more(now: dict[str, Any], before: dict[str, Any]) -> dict[str, int]:
    """What is held beyond `before`. A broadcast waits ten minutes for its host: that is not a leak."""
    counts = {"fds": now["fds"] - before["fds"], "sessions": now["sessions"] - before["sessions"]}
    broadcasts = now["objects"]["Broadcast"] - before["objects"]["Broadcast"]
    counts |= {
        name: now["objects"][name] - before["objects"][name] for name in now["objects"] if name != "Broadcast"
    }
    counts["broadcasts"] = max(0, broadcasts - now["broadcasts"])
    return {name: count for name, count in counts.items() if count > 0}
