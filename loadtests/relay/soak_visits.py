"""The ways in which a viewer comes and goes, one function each."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import aiohttp

from loadtests.relay.peer import CONNECT_S, Identity, Peer
from loadtests.relay.signalling import SDP, Answer, delete, offer, post, read_answer
from loadtests.relay.viewers import receiver_report

FRAGMENT = "application/trickle-ice-sdpfrag"


@dataclass(slots=True)
class Visit:
    """One viewer. `free` closes what is left of it on our side, without a word to the node."""

    http: aiohttp.ClientSession
    url: str
    identity: Identity
    dice: random.Random
    pace: float = 1.0
    """How long it stays, as a factor."""
    peer: Peer = field(init=False)
    session: str = ""
    stage: str = ""
    """How far it got, for when it fails."""
    answer: Answer = field(init=False)
    tunnel: TcpTunnel | None = None

    async def post(self) -> None:
        self.stage = "post"
        self.peer = Peer(self.identity)
        text = offer(self.peer.ice, self.identity.fingerprint, "recvonly", {})
        answer, self.session = await post(self.http, self.url, "", text)
        self.answer = read_answer(answer)
        self.stage = "connect"

    async def join(self) -> None:
        await self.post()
        self.peer.start(self.answer)
        await asyncio.wait_for(asyncio.shield(self.peer.connected), CONNECT_S)

    async def stay(self, most_s: float = 12.0) -> None:
        """Watches, and reports as players do."""
        self.stage = "stay"
        report = receiver_report(self.answer.ssrcs.get("video", 0))
        for _ in range(self.dice.randrange(1, max(2, round(most_s)))):
            self.peer.send_rtcp(report)
            await asyncio.sleep(self.dice.uniform(0.3, 1.0) * self.pace)

    async def delete(self) -> None:
        self.stage = "delete"
        await delete(self.http, self.session, "")

    def free(self) -> None:
        if hasattr(self, "peer"):
            vanish(self.peer)
        if self.tunnel is not None:
            self.tunnel.close()


def vanish(peer: Peer) -> None:
    """Gone without a goodbye: a flat battery."""
    peer._tls = None
    peer.close()


async def leaves_by_delete(visit: Visit) -> None:
    await visit.join()
    await visit.stay()
    await visit.delete()


async def says_goodbye(visit: Visit) -> None:
    await visit.join()
    await visit.stay()
    visit.peer.close()


async def vanishes(visit: Visit) -> None:
    await visit.join()
    await visit.stay()


async def only_posts(visit: Visit) -> None:
    await visit.post()


async def changes_its_mind(visit: Visit) -> None:
    await visit.post()
    await visit.delete()


async def half_a_handshake(visit: Visit) -> None:
    """ICE, the first flight of DTLS, then nothing."""
    await visit.post()
    visit.peer.start(visit.answer)
    for _ in range(200):
        if visit.peer._remote is not None:
            break
        await asyncio.sleep(0.01)


async def restarts_ice(visit: Visit) -> None:
    """Once or several times; with the new credentials used or not."""
    await visit.join()
    for _ in range(visit.dice.choice((1, 1, 2, 8))):
        fragment = f"a=ice-ufrag:{secrets.token_hex(4)}\r\na=ice-pwd:{secrets.token_hex(12)}\r\n"
        headers = {"content-type": FRAGMENT, "if-match": "*"}
        async with visit.http.patch(visit.session, data=fragment, headers=headers) as response:
            text = await response.text()
        if visit.dice.random() < 0.7:
            values = dict(line[2:].split(":", 1) for line in text.split("\r\n") if ":" in line)
            ice = replace(visit.answer.ice, ufrag=values["ice-ufrag"], password=values["ice-pwd"])
            visit.answer = visit.peer._answer = replace(visit.answer, ice=ice)
        await visit.stay(3)
    await visit.delete()


async def moves(visit: Visit) -> None:
    """From WiFi to 4G: the same session from another address."""
    await visit.join()
    await visit.stay(3)
    old = visit.peer._sock
    assert old is not None
    loop = asyncio.get_running_loop()
    loop.remove_reader(old.fileno())
    old.close()
    visit.peer._sock = new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.setblocking(False)
    loop.add_reader(new.fileno(), visit.peer._read)
    visit.peer.send(visit.peer._binding_request())
    await visit.stay(5)
    await visit.delete()


async def comes_by_tcp(visit: Visit) -> None:
    await visit.post()
    visit.tunnel = await TcpTunnel.to(*visit.answer.candidates[0])
    visit.peer.start(replace(visit.answer, candidates=[visit.tunnel.address]))
    await asyncio.wait_for(asyncio.shield(visit.peer.connected), CONNECT_S)
    await visit.stay(6)
    if visit.dice.random() < 0.5:
        await visit.delete()


async def reads_events(visit: Visit) -> None:
    """Server-sent events, left open when it goes."""
    await visit.join()
    headers = {"content-type": "application/json"}
    async with visit.http.post(f"{visit.session}/sse", data='["active"]', headers=headers) as subscribed:
        location = subscribed.headers["location"]
    async with visit.http.get(location) as stream:
        await stream.content.readline()
        await visit.stay(4)
        if visit.dice.random() < 0.5:
            await visit.delete()


async def is_countered(visit: Visit) -> None:
    """An offer without our codec gets ours; nobody answers it."""
    visit.peer = Peer(visit.identity)
    text = offer(visit.peer.ice, visit.identity.fingerprint, "recvonly", {}).replace("H264", "H266")
    async with visit.http.post(visit.url, data=text, headers={"content-type": SDP}) as response:
        location = response.headers.get("location", "")
    if location and visit.dice.random() < 0.5:
        await delete(visit.http, location, "")


VISITS: dict[str, tuple[Callable[[Visit], Awaitable[None]], float]] = {
    "leaves_by_delete": (leaves_by_delete, 0.3),
    "says_goodbye": (says_goodbye, 0.12),
    "vanishes": (vanishes, 0.12),
    "only_posts": (only_posts, 0.06),
    "changes_its_mind": (changes_its_mind, 0.08),
    "half_a_handshake": (half_a_handshake, 0.06),
    "restarts_ice": (restarts_ice, 0.08),
    "moves": (moves, 0.06),
    "comes_by_tcp": (comes_by_tcp, 0.06),
    "reads_events": (reads_events, 0.03),
    "is_countered": (is_countered, 0.03),
}


class TcpTunnel(asyncio.DatagramProtocol):
    """A UDP address on this host whose datagrams travel to the node over TCP, framed (RFC 4571)."""

    address: tuple[str, int]

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._udp: asyncio.DatagramTransport | None = None
        self._client: tuple[str, int] | None = None
        self._back = asyncio.create_task(self._read())

    @classmethod
    async def to(cls, host: str, port: int) -> TcpTunnel:
        reader, writer = await asyncio.open_connection(host, port)
        tunnel = cls(reader, writer)
        udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: tunnel, local_addr=("127.0.0.1", 0)
        )
        tunnel._udp, tunnel.address = udp, udp.get_extra_info("sockname")
        return tunnel

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._client = addr
        self._writer.write(len(data).to_bytes(2, "big") + data)

    async def _read(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
                data = await self._reader.readexactly(size)
                if self._udp is not None and self._client is not None:
                    self._udp.sendto(data, self._client)

    def error_received(self, exc: Exception) -> None:
        """The client's socket may be closed already."""

    def close(self) -> None:
        self._back.cancel()
        self._writer.close()
        if self._udp is not None:
            self._udp.close()
