"""A broadcast on several nodes: pulled once, served on, whoever dies or leaves."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from stream.ports import BroadcastState

from .conftest import SHOW, until


def is_gapless(packets):
    seqs = [packet.seq for packet in packets]
    return all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(seqs))


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


def state(node):
    return node.sessions.counts().get(SHOW, (BroadcastState.IDLE, 0))[0]


async def test_a_node_that_is_asked_pulls_once_and_serves_many(start, at, camera):
    origin, edge = await start("origin"), await start("edge")
    _, shot = await on_air(at(origin), camera, rtx=True)
    await until(lambda: state(origin) is BroadcastState.LIVE)
    viewers = await asyncio.gather(*(at(edge).join("view.show", rtx=True) for _ in range(3)))
    assert [viewer.status for viewer in viewers] == [201] * 3
    for _ in range(5):
        shot.frame()
    for viewer in viewers:
        await viewer.until(lambda viewer=viewer: shot.timestamp in {p.timestamp for p in viewer.video()})
        assert is_gapless(viewer.video())
        assert viewer.video()[0].payload[0] == 0x67, "from the keyframe on"
    assert len(origin.sessions) == 2, "the publisher and one pull"
    assert origin.sessions.counts()[SHOW][1] == 0, "a node is no viewer"
    assert edge.sessions.counts()[SHOW][1] == 3
    assert edge.edges.pulls() == {SHOW: "origin"}
