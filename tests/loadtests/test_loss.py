"""The bad network, the clip that is sent through it, and what is made of what comes out."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import pytest

from loadtests.relay.clip import HEIGHT, WIDTH, ClipTrack, encode
from loadtests.relay.loss import IN_TIME_S, Recovery
from loadtests.relay.lossy import LossyPath
from loadtests.relay.stream import Shape, payload

ROOT = Path(__file__).parents[2]
MEDIA, STUN = b"\x80" + bytes(99), b"\x00" + bytes(19)


class Ends:
    """A client and a server with a path in between."""

    def __init__(self, path: LossyPath) -> None:
        self.client, self.server = self._socket(), self._socket()
        path.target = self.server.getsockname()
        self.client.connect(("127.0.0.1", path.port))

    @staticmethod
    def _socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return sock

    @staticmethod
    def come(sock: socket.socket) -> list[bytes]:
        come = []
        while True:
            try:
                come.append(sock.recv(2048))
            except BlockingIOError:
                return come


@pytest.fixture
async def ends_of() -> AsyncIterator[object]:
    opened: list[tuple[LossyPath, Ends]] = []

    def open_(**how: float) -> tuple[LossyPath, Ends]:
        path = LossyPath(**({"loss": 0.0, "delay_s": 0.0, "seed": 1} | how))
        path.start(asyncio.get_running_loop())
        opened.append((path, Ends(path)))
        return opened[-1]

    yield open_
    for path, ends in opened:
        path.stop()
        ends.client.close()
        ends.server.close()


async def sent_and_come(
    path: LossyPath, ends: Ends, datagrams: list[bytes], sock: socket.socket
) -> list[bytes]:
    for datagram in datagrams:
        if sock is ends.client:
            sock.send(datagram)
        else:
            sock.sendto(datagram, next(iter(path._backs.values())).getsockname())
        await asyncio.sleep(0)  # what is read meanwhile needs no room in a socket
    way, other = ("up", ends.server) if sock is ends.client else ("down", ends.client)
    media, come = sum(datagram[0] >= 128 for datagram in datagrams), list[bytes]()
    async with asyncio.timeout(30):
        while path.counts[way] < media or len(come) < len(datagrams) - path.counts[f"{way}_lost"]:
            await asyncio.sleep(0.001)
            come += ends.come(other)
    return come


async def test_it_loses_its_share_of_the_media_both_ways_and_nothing_else(ends_of) -> None:
    path, ends = ends_of(loss=0.3)
    numbered = [MEDIA[:1] + i.to_bytes(2, "big") + MEDIA for i in range(200)]
    up = await sent_and_come(path, ends, [STUN, *numbered], ends.client)
    down = await sent_and_come(path, ends, [STUN, *numbered], ends.server)
    for come, way in ((up, "up"), (down, "down")):
        assert come[0] == STUN
        assert come[1:] == sorted(come[1:]), "the order is kept"
        assert path.counts[way] == 200
        assert path.counts[f"{way}_lost"] == 201 - len(come)
        assert 0.2 < path.counts[f"{way}_lost"] / 200 < 0.4


async def test_one_seed_loses_the_same_again(ends_of) -> None:
    numbered = [MEDIA[:1] + i.to_bytes(2, "big") for i in range(100)]
    come = []
    for seed in (5, 5, 6):
        path, ends = ends_of(loss=0.3, seed=seed)
        come.append(await sent_and_come(path, ends, numbered, ends.client))
    assert come[0] == come[1] != come[2]


async def test_what_comes_takes_as_long_as_it_should(ends_of) -> None:
    path, ends = ends_of(delay_s=0.05)
    began = time.monotonic()
    ends.client.send(MEDIA)
    assert await asyncio.get_running_loop().sock_recv(ends.server, 100) == MEDIA
    assert time.monotonic() - began >= 0.05
    assert path.counts["up_lost"] == 0


def test_only_what_came_in_time_is_recovered() -> None:
    recovery = Recovery()
    recovery.noticed(range(10, 14), 1.0)
    recovery.came(10, 1.1)
    recovery.came(11, 1.0 + IN_TIME_S + 0.1)
    recovery.came(9, 1.2)  # never missing
    recovery.noticed(range(20, 21), 9.9)
    recovery.settle(10.0)  # 20 may still come: it is not counted
    assert (recovery.lost, recovery.in_time, len(recovery.took_s)) == (4, 1, 2)


def depacketised(packets: list[bytes]) -> bytes:
    """One frame back as Annex B (RFC 6184)."""
    out, start = b"", b"\x00\x00\x00\x01"
    for body in map(payload, packets):
        kind = body[0] & 0x1F
        if kind == 24:
            at = 1
            while at < len(body):
                size = int.from_bytes(body[at : at + 2], "big")
                out += start + body[at + 2 : at + 2 + size]
                at += 2 + size
        elif kind == 28:
            if body[1] & 0x80:
                out += start + bytes((body[0] & 0xE0 | body[1] & 0x1F,))
            out += body[2:]
        else:
            out += start + body
    return out


def test_a_clip_has_its_rate_and_its_keyframes_and_plays() -> None:
    shape = Shape(bitrate=1_000_000, keyframe_every_s=1.0)
    clip = encode(shape, 2.0)
    track = ClipTrack(clip, shape.fps, ssrc=1, payload_type=102)
    frames = [track.frame() for _ in range(2 * len(clip))]
    octets = sum(len(packet) for frame in frames for packet in frame)
    assert octets * 8 / (len(frames) / shape.fps) == pytest.approx(shape.bitrate, rel=0.1)
    assert [at for at, frame in enumerate(frames) if payload(frame[0])[0] == 0x78] == [0, 30, 60, 90]
    assert all([packet[1] >> 7 for packet in frame] == [0] * (len(frame) - 1) + [1] for frame in frames)
    decoder = av.CodecContext.create("h264", "r")
    shown = [picture for frame in frames for picture in decoder.decode(av.Packet(depacketised(frame)))]
    shown += decoder.decode(None)
    assert (len(shown), shown[0].width, shown[0].height) == (len(frames), WIDTH, HEIGHT)


def measured(satisfied: Callable[[dict[str, Any]], bool], seconds: float, *arguments: str) -> None:
    """Its last line is as it should be. A measurement that a busy machine spoilt is taken again, in the end
    for longer: what is wrong with us is wrong each time."""
    said = []
    for times in (1, 1, 1, 2, 2, 3):
        command = [sys.executable, "-m", *arguments, "--seconds", str(times * seconds), "--json"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        if run.stdout.strip() and satisfied(json.loads(run.stdout.strip().split("\n")[-1])):
            return
        said.append(run.stdout + run.stderr[-2000:])
    raise AssertionError("\n".join(said))


@pytest.mark.browser
def test_a_picture_survives_a_bad_network_on_either_leg() -> None:
    def survived(figures: dict[str, Any]) -> bool:
        legs = [figures[leg] for leg in ("viewers_leg", "publishers_leg")]
        was_bad = all(leg["lost"] > 10 and leg["chromium"]["frames_shown"] > 20 for leg in legs)
        # A picture that broke would stand until the next keyframe.
        return was_bad and figures["recovered"] > 0.95 and figures["longest_freeze_ms"] < 2000

    measured(survived, 4, "loadtests.relay.loss")


@pytest.mark.browser
def test_bench_latency_ends_with_its_figures() -> None:
    def are_there(figures: dict[str, Any]) -> bool:
        return {"p50_ms", "floor_p50_ms"} <= figures.keys() and figures["samples"] > 5

    measured(are_there, 1.5, "loadtests.relay.latency", "--rounds", "1")
