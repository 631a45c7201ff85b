"""The publisher against a real relay: on air, off air, and back after the relay was gone."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import av
import pytest

from server.demo import programme
from server.embedded.program import Program
from stream.node import Node, NodeSettings
from stream.ports import BroadcastId, BroadcastState, Carried, Grant, Purpose

_SHOW = BroadcastId("show")


class _OpenDoor:
    """Any ticket publishes."""

    async def redeem(self, ticket: str) -> Grant | None:
        return Grant(_SHOW, Purpose.PUBLISH, "programme", hashlib.sha256(ticket.encode()).digest())


class _Watcher:
    def __init__(self) -> None:
        self.states: asyncio.Queue[BroadcastState] = asyncio.Queue()

    def broadcast_changed(self, broadcast: BroadcastId, carried: Carried) -> None:
        self.states.put_nowait(carried.state)

    def node_beat(self, broadcasts: dict[BroadcastId, Carried]) -> None:
        pass

    async def until(self, wanted: BroadcastState) -> None:
        async with asyncio.timeout(120):
            while await self.states.get() is not wanted:
                pass


@asynccontextmanager
async def _relay(port: int, watcher: _Watcher) -> AsyncIterator[Node]:
    node = Node(NodeSettings(http_port=port), _OpenDoor(), watcher)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@pytest.fixture
def port(free_ports: Callable[[int], int]) -> int:
    return free_ports(1)


def _programme(directory: Path, port: int) -> Program:
    """The role as the demo starts it, in a process of its own: FFmpeg keeps the GIL while it says goodbye."""
    return Program(
        "programme",
        [sys.executable, "-m", "server", "programme"],
        {
            **os.environ,
            "HAWKER_PROGRAMME_URL": f"http://127.0.0.1:{port}/whip?ticket=key",
            "HAWKER_PROGRAMME_TOKEN": "key",
            "HAWKER_READY_FILE": str(directory / "ready"),
        },
        directory / "programme.log",
        ready_file=directory / "ready",
        ready_s=120,
    )


async def test_it_goes_on_air_by_whip_and_leaves_in_order(tmp_path: Path, port: int) -> None:
    watcher = _Watcher()
    async with _relay(port, watcher):
        running = await _programme(tmp_path, port).start()
        await watcher.until(BroadcastState.LIVE)
        await running.stop()
        assert running.process.returncode == 0
        await watcher.until(BroadcastState.AWAY)


async def test_it_waits_for_a_relay_and_keeps_the_key_out_of_the_log(tmp_path: Path, port: int) -> None:
    watcher = _Watcher()
    program = _programme(tmp_path, port)
    starting = asyncio.create_task(program.start())
    async with asyncio.timeout(120):
        while not program.log.exists() or "publish_failed" not in program.log.read_text():
            await asyncio.sleep(0.05)
    assert not starting.done()
    async with _relay(port, watcher):
        running = await starting
        await watcher.until(BroadcastState.LIVE)
        await running.stop()
    assert "ticket=key" not in program.log.read_text()


def test_picture_and_sound_decode_with_a_keyframe_a_second() -> None:
    made = io.BytesIO()
    stop = threading.Event()
    with av.open(made, "w", format="matroska") as output:
        video, audio = programme._add_video(output, 900_000), programme._add_audio(output)
        studio = programme._Studio("Shop")
        pictures = 0
        for picture, sound in studio.frames(stop):
            output.mux([packet for block in sound for packet in audio.encode(block)])
            if picture is not None:  # a busy machine misses some
                output.mux(video.encode(picture))
                pictures += 1
            if pictures == 45:
                break
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    made.seek(0)
    with av.open(made) as read:
        frames = list(read.decode(video=0))
    made.seek(0)
    with av.open(made) as read:
        loudest = max(max(bytes(frame.planes[0])) for frame in read.decode(audio=0))
    assert len(frames) == 45
    assert [k for k, frame in enumerate(frames) if frame.key_frame] == [0, 30]
    assert bytes(frames[0].planes[0]) != bytes(frames[40].planes[0])
    assert loudest > 0
