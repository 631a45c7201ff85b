"""The load clients against a real node, and the commands' last line."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from loadtests.relay.crowd import publishing, wait_for_picture
from loadtests.relay.node import NoObserver, OpenAdmission, running_node
from loadtests.relay.peer import Identity
from loadtests.relay.publisher import Publisher
from loadtests.relay.signalling import RefusedError, post
from loadtests.relay.stream import Shape
from loadtests.relay.viewers import Crowd
from stream.node import Node, NodeSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node(NodeSettings(), OpenAdmission(), NoObserver())
    await made.start()
    yield made
    await made.stop()


def url(node: Node, kind: str, ticket: str) -> str:
    return f"http://127.0.0.1:{node.http_port}/{kind}?ticket={ticket}"


async def test_a_crowd_sees_what_the_publisher_sends(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.wire.fanout.LATE_S", 60.0)
    publisher = Publisher(
        Identity(), Shape(bitrate=200_000, keyframe_packets=20), ignore_pli=True, pace=50_000_000
    )
    on_air = asyncio.Event()
    publishing = asyncio.create_task(publisher.run(url(node, "whip", "publish"), "", 600, on_air))
    await asyncio.wait_for(on_air.wait(), 60)
    crowd = Crowd(url(node, "whep", "view"), "", viewers=6, sample=2)
    async with aiohttp.ClientSession() as crowd.http:
        reports = asyncio.create_task(crowd.report())
        await crowd.join(50)
        async with asyncio.timeout(60):
            while crowd.figures()["no_picture"] or crowd.figures()["frames"] < 40:
                await asyncio.sleep(0.05)
        reports.cancel()
        figures = crowd.figures()
        await crowd.leave()
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    assert (figures["viewers"], figures["failed"], figures["sample"], figures["no_picture"]) == (6, 0, 2, 0)
    assert figures["lost"] <= figures["overflowed"], "what the kernel drops where we are slow to read"
    assert (figures["repeated"], figures["reordered"]) == (0, 0)
    async with asyncio.timeout(30):
        while len(node.sessions):
            await asyncio.sleep(0.02)


async def test_a_refusal_carries_its_status(node: Node) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(RefusedError) as refused:
            await post(http, url(node, "whep", "wrong"), "", "v=0\r\n")
    assert refused.value.status in (400, 401, 403, 422)


async def test_a_crowd_that_is_refused_says_why(node: Node) -> None:
    crowd = Crowd(url(node, "whep", "wrong"), "", viewers=2, sample=1)
    async with aiohttp.ClientSession() as crowd.http:
        await crowd.join(100)
    assert len(crowd.failures) == 2
    assert crowd.figures()["viewers"] == 0


def last_line(*arguments: str) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, (run.stdout[-500:], run.stderr[-2000:])
    figures: dict[str, object] = json.loads(run.stdout)
    return figures


def test_bench_fanout_ends_with_its_figures() -> None:
    figures = last_line("loadtests.relay.fanout", "--viewers", "5", "--seconds", "0.3", "--json")
    assert {"viewers", "ratio", "us_per_packet", "sendmmsg_us_per_packet", "drops"} <= figures.keys()
    assert figures["drops"] == 0


def test_the_commands_run_against_a_node() -> None:
    with running_node() as node:
        published = last_line("loadtests.relay.publisher", node.url("whip"), "--seconds", "1", "--json")
        with publishing(node.url("whip"), 100):
            wait_for_picture(node.url("whep"))
            viewers = last_line(
                "loadtests.relay.viewers", node.url("whep"), "--viewers", "3", "--seconds", "0.5", "--json"
            )
        used = node.used()
    assert published["frames"]
    assert (viewers["viewers"], viewers["failed"]) == (3, 0)
    assert used["packets"] > 0
