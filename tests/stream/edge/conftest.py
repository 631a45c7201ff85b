"""Several real nodes in one process, over loopback, and one register of who has what."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from stream.node import Node, NodeSettings
from stream.packet.rtp import Rtp
from stream.ports import BroadcastId, BroadcastState, Grant, Origin, Purpose

SHOW = BroadcastId("show")


class Register:
    """What the nodes of a test carry, read from the nodes themselves; tickets that any of them redeems."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.looks = 0
        self._tickets = itertools.count()

    def origin_of(self, broadcast: BroadcastId, but: str) -> Origin | None:
        self.looks += 1
        found = [
            Origin(
                name, str(id(node)), f"http://127.0.0.1:{node.http_port}", held.state is BroadcastState.LIVE
            )
            for name, node in self.nodes.items()
            if name != but
            and (held := node.sessions.carried().get(broadcast)) is not None
            and held.is_origin
            and held.state is not BroadcastState.IDLE
        ]
        return max(
            found,
            key=lambda origin: (origin.is_live, not self.nodes[origin.node].sessions.is_draining),
            default=None,
        )


class Origins:
    """One node's view of the register."""

    def __init__(self, register: Register, name: str) -> None:
        self._register, self._name = register, name
        self.failure: Exception | None = None

    async def origin_of(self, broadcast: BroadcastId) -> Origin | None:
        if self.failure is not None:
            raise self.failure
        return self._register.origin_of(broadcast, self._name)

    async def ticket(self, broadcast: BroadcastId) -> str:
        return f"edge.{broadcast}"


class EdgeTickets:
    """`publish.SHOW.KEY`, `view.SHOW`, and `edge.SHOW` for nodes."""

    async def redeem(self, ticket: str) -> Grant | None:
        kind, _, rest = ticket.partition(".")
        broadcast, _, credential = rest.partition(".")
        if kind == "edge":
            return Grant(BroadcastId(broadcast), Purpose.VIEW, "edge", is_edge=True)
        return Grant(BroadcastId(broadcast), Purpose(kind), credential)


@pytest.fixture
async def register() -> AsyncIterator[Register]:
    made = Register()
    yield made
    for node in list(made.nodes.values()):
        assert not node.sessions.faults, "a datagram broke us"
        await node.stop()


@pytest.fixture
def start(register, observer) -> Callable[..., object]:
    """Starts a node under a name."""

    async def start_node(name: str, **settings: object) -> Node:
        node = Node(NodeSettings(**settings), EdgeTickets(), observer, Origins(register, name))
        await node.start()
        register.nodes[name] = node
        return node

    return start_node


@pytest.fixture
async def at(request) -> AsyncIterator[Callable[[Node], object]]:
    """Makes a light peer for a node, and closes its socket in the end."""
    light_peer = request.getfixturevalue("camera").peer_class
    made: list[object] = []

    def make(node: Node) -> object:
        made.append(light_peer(node))
        return made[-1]

    yield make
    for peer in made:
        peer.leave()


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def on_air(peer, camera, **options):
    publisher = await peer.join("publish.show.key", **options)
    assert publisher.status == 201
    shot = camera(publisher, codec=options.get("video", ("H264",))[0])
    shot.frame(key=True)
    for _ in range(4):
        shot.frame()
    return publisher, shot


@contextlib.asynccontextmanager
async def rolling(shot, every_s=0.02, key_every=25):
    """The camera runs by itself."""

    async def roll():
        for place in itertools.count(1):
            shot.frame(key=place % key_every == 0)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(roll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def origins_of(node: Node) -> dict[str, str]:
    """What a node pulls, and from where."""
    assert node.edges is not None
    return {str(id): pull.origin.node for id, pull in node.edges.pulls().items()}


def is_gapless(packets: list[Rtp]) -> bool:
    """None is missing; one that was asked for again may have come late."""
    first = packets[0].seq
    seen = {(packet.seq - first) & 0xFFFF for packet in packets}
    return seen == set(range(len(seen)))


KEY = "x9K2mQ7vT4bN8wL1pR6sD3fG5hJ0zCyA-ei"
ROLE = """
import sys
from server.__main__ import main
from stream.wire import fanout
fanout.LATE_S = 60.0  # on a busy machine, too, viewers get every packet
sys.argv = ["hawker", "stream"]
main()
"""


@dataclass
class Role:
    """One process, as a light peer and a test see it."""

    name: str
    http_port: int
    udp_port: int
    process: subprocess.Popen

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def start_role(redis_url, tmp_path, free_ports):
    started = []

    def start(name, drain_s=60):
        http, udp = free_ports(1), free_ports(1)
        environ = {
            "HAWKER_REDIS_URL": redis_url,
            "HAWKER_SECRET_KEY": KEY,
            "HAWKER_NODE_ID": name,
            "HAWKER_STREAM_HTTP_PORT": str(http),
            "HAWKER_STREAM_UDP_PORT": str(udp),
            "HAWKER_STREAM_PUBLIC_URL": f"http://127.0.0.1:{http}",
            "HAWKER_STREAM_DRAIN_S": str(drain_s),
            "HAWKER_DATA_DIR": str(tmp_path),
        }
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", ROLE],
                env={**os.environ, **environ},
                stderr=log,
                stdout=log,
            )
        started.append(Role(name, http, udp, process))
        return started[-1]

    yield start
    for role in started:
        if role.process.poll() is None:
            role.kill()
