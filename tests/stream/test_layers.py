"""Simulcast end to end: a light publisher with three layers, viewers that move between them."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx
import pytest

from stream.packet import rtcp, rtp
from stream.packet.bandwidth import Path
from stream.packet.rtcp import KeyframeRequest, ReportBlock


@pytest.fixture
async def studio(node, light, on_three_layers):
    return await on_three_layers(light())


async def until(condition, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def layers_of(packets):
    return [packet.payload[6] for packet in packets]


def assert_one_stream(packets):
    """Nothing tells a player that layers were changed: numbers, ids and time go on."""
    assert all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))
    assert len({packet.ssrc for packet in packets}) == 1
    frames = list({packet.timestamp: packet for packet in packets}.values())
    steps = [b.timestamp - a.timestamp for a, b in itertools.pairwise(frames)]
    assert all(0 < step < 90_000 for step in steps), steps
    ids = [int.from_bytes(packet.payload[2:4], "big") & 0x7FFF for packet in frames]
    assert all((b - a) & 0x7FFF == 1 for a, b in itertools.pairwise(ids)), ids
    tl0 = [packet.payload[4] for packet in frames]
    assert all((b - a) & 0xFF == 1 for a, b in itertools.pairwise(tl0)), tl0


async def test_the_answer_takes_all_layers(studio):
    lines = set(studio.peer.answer.splitlines())
    assert {"a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"} <= lines
    assert "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" in lines


async def test_a_viewer_gets_the_best_layer_and_moves_on_keyframes_only(node, light, studio):
    viewer = await light().join("view.show", video=("VP8",))
    await viewer.until(lambda: len(viewer.video()) == 12)
    assert set(layers_of(viewer.video())) == {2}
    async with httpx.AsyncClient(timeout=30) as http:
        layer_url = f"{viewer.location}/layer"
        assert f'<{layer_url}>; rel="urn:ietf:params:whep:ext:core:layer"' in viewer.response.headers["link"]
        chosen = await http.post(layer_url, json={"mediaId": "0", "encodingId": "q"})
        assert chosen.status_code == 200
        studio.frame()
        await viewer.until(lambda: len(viewer.video()) == 15)
        assert viewer.video()[-1].payload[6] == 2, "no keyframe yet"
        await studio.peer.until(lambda: KeyframeRequest(1) in studio.peer.rtcp)
        studio.frame(key=(0,))
        studio.frame()
        await viewer.until(lambda: len(viewer.video()) == 17)
        assert layers_of(viewer.video())[15:] == [0, 0]
        assert (await http.delete(layer_url)).status_code == 200
        studio.frame(key=(2,))
        studio.frame()
        await viewer.until(lambda: len(viewer.video()) == 24)
        assert layers_of(viewer.video())[17:] == [0, *[2] * 6], "one moment in both layers, still in order"
        unknown = await http.post(layer_url, json={"encodingId": "x"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "layer_unknown")
        assert (await http.post(layer_url, json=[])).json()["code"] == "malformed_json"
    assert_one_stream(viewer.video())


async def test_what_was_lost_before_a_switch_still_comes_after_it(node, light, studio):
    viewer = await light().join("view.show", video=("VP8",), rtx=True)
    await viewer.until(lambda: len(viewer.video()) == 12)
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    node.sessions.prefer(session, "q")
    studio.frame(key=(0,))
    await viewer.until(lambda: len(viewer.video()) == 13)
    for wanted in (viewer.video()[4], viewer.video()[12]):
        before = len(viewer.rtp)
        viewer.send_rtcp(rtcp.nack(1, wanted.ssrc, [wanted.seq]))
        await viewer.until(lambda before=before: len(viewer.rtp) == before + 1)
        assert rtp.unwrap_rtx(viewer.rtp[-1].payload) == (wanted.seq, wanted.payload)


async def test_loss_leads_down_and_the_sound_outlives_the_picture(node, light, studio, monkeypatch):
    viewer = await light().join("view.show", video=("VP8",))
    await viewer.until(lambda: len(viewer.video()) == 12)
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    session.bandwidth.restarted(asyncio.get_running_loop().time() - 10)
    block = ReportBlock(viewer.video()[0].ssrc, 70, 1, 1, 1, 0, 0)
    viewer.send_rtcp(rtcp.receiver_report(1, [block], b"c"))
    await until(lambda: session.bandwidth.fraction_lost > 0.25)
    now, rates = asyncio.get_running_loop().time(), {0: 1e5, 1: 4e5, 2: 2e6}
    monkeypatch.setattr(session.broadcast, "rates", lambda _: rates)
    session.choose_layer(now)
    session.choose_layer(now + 1.1)
    assert session in session.broadcast.layers[1].waiting
    monkeypatch.setattr(session.bandwidth, "judge", lambda *_: Path.BROKEN)
    for step in range(16):
        session.choose_layer(now + 2 + step / 2)
    assert session.is_paused
    assert all(session not in layer.waiting for layer in session.broadcast.layers)
    studio.frame(key=(0, 1, 2))
    await asyncio.sleep(0.05)
    assert len(viewer.video()) == 12
    monkeypatch.setattr(session.bandwidth, "judge", lambda *_: Path.FAIR)
    session.choose_layer(now + 30)
    await viewer.until(lambda: len(viewer.video()) == 13)
    assert layers_of(viewer.video())[-1] == 0
    assert session.counts["pauses"] == 1


async def test_a_layer_that_falls_silent_is_left_at_once(node, light, studio):
    viewer = await light().join("view.show", video=("VP8",))
    await viewer.until(lambda: len(viewer.video()) == 12)
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    session.broadcast.layers[2].continuity.at -= 1_000
    studio.frame(only=(0, 1))
    await until(lambda: session.layer.index == 1)
    await viewer.until(lambda: viewer.video()[-1].payload[6] == 1)
    packets = viewer.video()
    assert all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))
    assert packets[12].payload[5] == 0, "a keyframe first"


async def test_viewers_hear_which_layers_are_on_air(node, light, studio):
    viewer = await light().join("view.show", video=("VP8",))
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    stream = node.sessions.watch(session, ["layers"])
    heard = stream.read()
    first = json.loads((await anext(heard)).partition("data: ")[2])
    assert [layer["rid"] for layer in first["0"]] == ["q", "h", "f"]
    session.broadcast.layers[2].continuity.at -= 1_000
    session.broadcast.sweep(asyncio.get_running_loop().time())
    then = json.loads((await anext(heard)).partition("data: ")[2])
    assert [layer["rid"] for layer in then["0"]] == ["q", "h"]
    await heard.aclose()
    assert viewer.status == 201


async def test_a_host_that_comes_back_without_layers_is_seen_at_once(node, light, camera, studio):
    viewer = await light().join("view.show", video=("VP8",))
    await viewer.until(lambda: len(viewer.video()) == 12)
    await studio.peer.delete()
    again = await light().join("publish.show.key", video=("VP8",))
    for layer in node.sessions.broadcasts["show"].layers:
        layer.continuity.at -= 1_000
    shot = camera(again, codec="VP8", ssrc=0x77)
    shot.frame(key=True)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    packets = viewer.video()
    assert all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))
    assert 1_000 * 90_000 < packets[12].timestamp - packets[11].timestamp < 1_100 * 90_000
