"""Simulcast end to end: a light publisher with three layers, viewers that move between them."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx
import pytest

from stream.packet import rtcp, rtp
from stream.packet.bandwidth import Path
from stream.packet.rtcp import KeyframeRequest, ReportBlock, SenderReport

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


@pytest.fixture
async def studio(node, light, make_offer):
    peer = light()
    text = make_offer("sendonly", video=("VP8",)).replace("a=mid:0", SIMULCAST)
    text = text.replace("AA:" * 31 + "AA", type(peer).context.fingerprint[1])
    await peer.post("whip", "publish.show.key", text)
    assert peer.status == 201
    await peer.connect()
    running = Studio(peer)
    running.frame(key=(0, 1, 2))
    running.report()
    await until(lambda: "live" in [str(state) for state, _ in node.sessions.counts().values()])
    await asyncio.sleep(0.05)
    running.frame(key=(0, 1, 2))
    broadcast = node.sessions.broadcasts["show"]
    await until(lambda: all(layer.gop.is_open for layer in broadcast.layers) and len(broadcast.layers) == 3)
    for _ in range(3):
        running.frame()
    running.named = False
    broadcast.sweep(asyncio.get_running_loop().time())
    await asyncio.sleep(0.02)
    broadcast.sweep(asyncio.get_running_loop().time())
    return running


async def until(condition, timeout_s=5):
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
    async with httpx.AsyncClient() as http:
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
    session.broadcast.layers[2].continuity.at -= 10
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
    assert [layer["encodingId"] for layer in first["0"]["layers"]] == ["q", "h", "f"]
    session.broadcast.layers[2].continuity.at -= 10
    session.broadcast.sweep(asyncio.get_running_loop().time())
    then = json.loads((await anext(heard)).partition("data: ")[2])
    assert [layer["encodingId"] for layer in then["0"]["layers"]] == ["q", "h"]
    await heard.aclose()
    assert viewer.status == 201


async def test_a_host_that_comes_back_without_layers_is_seen_at_once(node, light, camera, studio):
    viewer = await light().join("view.show", video=("VP8",))
    await viewer.until(lambda: len(viewer.video()) == 12)
    await studio.peer.delete()
    again = await light().join("publish.show.key", video=("VP8",))
    for layer in node.sessions.broadcasts["show"].layers:
        layer.continuity.at -= 2
    shot = camera(again, codec="VP8", ssrc=0x77)
    shot.frame(key=True)
    shot.frame()
    await viewer.until(lambda: len(viewer.video()) == 18)
    packets = viewer.video()
    assert all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))
    assert 0 < packets[12].timestamp - packets[11].timestamp < 20 * 90_000
