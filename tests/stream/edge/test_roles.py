"""Stream processes as an operator runs them, with a registry in Valkey: killed, told to stop, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from overlay.log import open_redis
from server.media import NodeRegistry
from server.tickets import MediaTicket, Tickets
from stream.ports import BroadcastState, Purpose

from .conftest import SHOW, is_gapless, rolling, until

KEY = "x9K2mQ7vT4bN8wL1pR6sD3fG5hJ0zCyA-ei"


@dataclass
class Role:
    """One process, as a light peer and a test see it."""

    name: str
    http_port: int
    udp_port: int
    process: subprocess.Popen

    def kill(self):
        self.process.kill()
        self.process.wait(10)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        with contextlib.suppress(OSError):
            tcp.bind(udp.getsockname())
            return udp.getsockname()[1]
    return free_port()


@pytest.fixture
def start_role(redis_url, tmp_path):
    started = []

    def start(name):
        http, udp = free_port(), free_port()
        environ = {
            "HAWKER_REDIS_URL": redis_url,
            "HAWKER_SECRET_KEY": KEY,
            "HAWKER_NODE_ID": name,
            "HAWKER_STREAM_HTTP_PORT": str(http),
            "HAWKER_STREAM_UDP_PORT": str(udp),
            "HAWKER_STREAM_PUBLIC_URL": f"http://127.0.0.1:{http}",
            "HAWKER_STREAM_DRAIN_S": "2",
            "HAWKER_DATA_DIR": str(tmp_path),
        }
        with (tmp_path / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "server", "stream"],
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


async def test_nodes_die_and_drain_and_the_picture_goes_on(start_role, redis_url, at, camera):
    first, edge, second = [start_role(name) for name in ("first", "edge", "second")]
    async with open_redis(redis_url) as redis:
        registry, tickets = NodeRegistry(redis), Tickets(redis)

        async def nodes():
            return {node.id: node for node in await registry.nodes()}

        async def until_nodes(condition, timeout_s=15):
            async with asyncio.timeout(timeout_s):
                while not condition(await nodes()):
                    await asyncio.sleep(0.02)

        async def publish(role):
            ticket = await tickets.issue(MediaTicket(SHOW, "publish", "key:1"))
            return await at(role).join(ticket, kind="whip")

        await until_nodes(lambda held: len(held) == 3, 60)
        publisher = await publish(first)
        async with rolling(camera(publisher)):
            await until_nodes(lambda held: held["first"].state(SHOW) is BroadcastState.LIVE)
            viewer = await at(edge).join(
                await tickets.issue(MediaTicket(SHOW, "view", "viewer")), kind="whep"
            )
            assert viewer.status == 201
            await viewer.until(lambda: len(viewer.video()) > 30)
            await until_nodes(lambda held: held["edge"].broadcasts[SHOW].viewers == 1)
            assert (await registry.pictures())[SHOW].viewers == 1, "the pull is no viewer"
            assert not (await nodes())["edge"].broadcasts[SHOW].is_origin
            first.kill()
        killed_at = time.monotonic()
        again = await publish(second)
        before = len(viewer.video())
        async with rolling(camera(again, ssrc=0x9999, seq=40_000, timestamp=77)):
            await viewer.until(lambda: len(viewer.video()) > before + 30, 8)
            await until_nodes(lambda held: "first" not in held, 5)
            assert time.monotonic() - killed_at < 8
            assert is_gapless(viewer.video())

            second.process.send_signal(signal.SIGTERM)
            await until_nodes(lambda held: held["second"].is_draining)
            assert (await registry.node_for(SHOW, Purpose.PUBLISH)).id == "edge", "where its viewers are"
            moved = await publish(edge)
            assert moved.status == 201
            after = camera(moved, ssrc=0x7777, seq=9, timestamp=5)
            async with rolling(after):
                await until_nodes(lambda held: "second" not in held)
                before = len(viewer.video())
                await viewer.until(lambda: len(viewer.video()) > before + 30)
                await until_nodes(lambda held: held["edge"].broadcasts[SHOW].is_origin)
            assert is_gapless(viewer.video())
            await until(lambda: second.process.poll() is not None)
            assert second.process.returncode == 0
        edge.process.send_signal(signal.SIGTERM)
        await until(lambda: edge.process.poll() is not None, 5)
        assert await registry.nodes() == [], "the last one waits for nobody"
