"""A real browser on both ends: one page publishes its camera, others play it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from playwright.async_api import async_playwright

from tests import chromium

pytestmark = pytest.mark.browser
PATIENCE_S = 120

PUBLISH = """async ([base, codec, rids]) => {
  const size = rids ? {width: 1280, height: 720} : {width: 640, height: 360};
  const media = await navigator.mediaDevices.getUserMedia({video: size, audio: true});
  const pc = window.pc = new RTCPeerConnection();
  const video = pc.addTransceiver(media.getVideoTracks()[0], {direction: 'sendonly',
    ...(rids && {sendEncodings: rids.map((rid, at) => (
      {rid, scaleResolutionDownBy: 2 ** (rids.length - 1 - at), maxBitrate: 150_000 * 4 ** at}))})});
  pc.addTransceiver(media.getAudioTracks()[0], {direction: 'sendonly'});
  // A busy machine may send fewer frames, never smaller ones: tests look for a layer by its width.
  await video.sender.setParameters(
    {...video.sender.getParameters(), degradationPreference: 'maintain-resolution'});
  const codecs = RTCRtpSender.getCapabilities('video').codecs, is = c => c.mimeType === 'video/' + codec;
  video.setCodecPreferences([...codecs.filter(is), ...codecs.filter(c => !is(c))]);
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch(base + '/whip?ticket=publish.show.key',
    {method: 'POST', headers: {'content-type': 'application/sdp'}, body: pc.localDescription.sdp});
  window.resource = response.headers.get('location');
  await pc.setRemoteDescription({type: 'answer', sdp: await response.text()});
}"""

PLAY = """async ([base, without]) => {
  const pc = window.pc = new RTCPeerConnection();
  for (const kind of ['video', 'audio']) pc.addTransceiver(kind, {direction: 'recvonly'});
  const element = document.createElement('video');
  Object.assign(element, {autoplay: true, muted: true, srcObject: new MediaStream()});
  document.body.append(element);
  pc.ontrack = event => element.srcObject.addTrack(event.track);
  window.frames_ = [];
  const seen = (now, frame) => {
    window.frames_.push([now, frame.rtpTimestamp]);
    element.requestVideoFrameCallback(seen);
  };
  element.requestVideoFrameCallback(seen);
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch(base + '/whep?ticket=view.show',
    {method: 'POST', headers: {'content-type': 'application/sdp'}, body: pc.localDescription.sdp});
  window.resource = response.headers.get('location');
  const sdp = (await response.text()).split('\\r\\n').filter(line => !without || !line.includes(without));
  await pc.setRemoteDescription({type: 'answer', sdp: sdp.join('\\r\\n')});
}"""

VIDEO_STATS = """async () => Object.fromEntries(
  [...await pc.getStats()].map(([, s]) => s)
    .filter(s => s.type === 'inbound-rtp' || s.type === 'transport').map(s => [s.kind || s.type, s]))"""


RESTART = """async () => {
  const offer = await pc.createOffer({iceRestart: true}), answer = pc.remoteDescription.sdp;
  await pc.setLocalDescription(offer);
  const line = (sdp, name) => sdp.match(new RegExp(`a=${name}:.*`))[0].trim();
  const names = ['ice-ufrag', 'ice-pwd'];
  const headers = {'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*'};
  const body = names.map(name => line(offer.sdp, name)).join('\\r\\n');
  const response = await fetch(resource, {method: 'PATCH', headers, body}), ours = await response.text();
  const sdp = names.reduce(
    (sdp, name) => sdp.replace(new RegExp(`a=${name}:.*`, 'g'), line(ours, name)), answer);
  await pc.setRemoteDescription({type: 'answer', sdp});
}"""

PROTOCOL = """async () => {
  const all = new Map((await pc.getStats()).entries());
  const transport = [...all.values()].find(s => s.type === 'transport');
  return all.get(all.get(transport.selectedCandidatePairId).remoteCandidateId).protocol;
}"""

CODEC = """async () => {
  const all = new Map((await pc.getStats()).entries());
  const video = [...all.values()].find(s => s.type === 'inbound-rtp' && s.kind === 'video');
  return all.get(video.codecId).mimeType;
}"""


@pytest.fixture
async def open_page(node):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.PATH, args=chromium.FLAGS, timeout=PATIENCE_S * 1000
        )
        context = await browser.new_context(permissions=["camera", "microphone"])
        context.set_default_timeout(PATIENCE_S * 1000)

        async def open_page():
            page = await context.new_page()
            await page.goto(f"http://127.0.0.1:{node.http_port}/healthz")
            return page

        yield open_page
        await browser.close()


async def frames_at(page, count):
    async with asyncio.timeout(PATIENCE_S):
        while await page.evaluate("frames_.length") < count:
            await asyncio.sleep(0.05)
    return await page.evaluate("frames_")


async def video_of(node, page):
    """The newest viewer's statistics. What a busy machine's sockets lost was there to be sent again: a gap
    in the relay's numbers would be asked for in vain."""
    session = [held for held in node.sessions if held.kind == "whep"][-1]
    async with asyncio.timeout(PATIENCE_S):
        while (stats := await page.evaluate(VIDEO_STATS))["video"]["packetsLost"] > session.counts["resent"]:
            await asyncio.sleep(0.05)
    return stats


async def is_heard(page):
    async with asyncio.timeout(PATIENCE_S):
        while (await page.evaluate(VIDEO_STATS)).get("audio", {}).get("packetsReceived", 0) <= 20:
            await asyncio.sleep(0.05)


async def on_air(node):
    async with asyncio.timeout(PATIENCE_S):
        while "live" not in [str(state) for state, _ in node.sessions.counts().values()]:
            await asyncio.sleep(0.02)


async def is_played_from_the_middle(node, open_page, codec):
    """Who comes between two keyframes sees the picture from the cache, and asks for none."""
    ends = asyncio.get_running_loop().time() + PATIENCE_S
    while await joins_in_the_middle(node, open_page, codec):
        late = asyncio.get_running_loop().time() > ends  # a page that a busy machine held up asks, too
        assert not late, "what the cache begins with is no keyframe"


async def joins_in_the_middle(node, open_page, codec):
    """How often the page asked for a keyframe."""
    late = await open_page()
    broadcast = node.sessions.broadcasts["show"]
    before = broadcast.video.gop.generation
    async with asyncio.timeout(PATIENCE_S):
        while (gop := broadcast.video.gop).generation == before:  # young, or it is let go before it is seen
            broadcast.request_keyframe(asyncio.get_running_loop().time(), broadcast.video)
            await asyncio.sleep(0.05)
        while len(gop.frames) < 20:
            await asyncio.sleep(0.05)
    await late.evaluate(PLAY, [f"http://127.0.0.1:{node.http_port}"])
    frames = await frames_at(late, 20)
    assert all(0 < (b - a) % 2**32 < 2**31 for (_, a), (_, b) in itertools.pairwise(frames))
    stats = await video_of(node, late)
    assert await late.evaluate(CODEC) == f"video/{codec}"
    await late.evaluate("pc.close()")
    await late.close()
    async with asyncio.timeout(PATIENCE_S):
        while sum(held.kind == "whep" for held in node.sessions) > 1:
            await asyncio.sleep(0.02)
    return stats["video"]["pliCount"]


@pytest.mark.parametrize(("first", "second"), [("VP8", "H264"), ("VP9", "AV1")])
async def test_a_page_plays_what_another_publishes_through_a_change_of_codec(node, open_page, first, second):
    base = f"http://127.0.0.1:{node.http_port}"
    host, viewer = await open_page(), await open_page()
    await host.evaluate(PUBLISH, [base, first])
    await on_air(node)
    await viewer.evaluate(PLAY, [base])
    frames = await frames_at(viewer, 30)
    stats = await video_of(node, viewer)
    assert stats["transport"]["srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
    await is_played_from_the_middle(node, open_page, first)

    await host.evaluate("async () => { await fetch(resource, {method: 'DELETE'}); pc.close(); }")
    await host.evaluate(PUBLISH, [base, second])
    before = len(await viewer.evaluate("frames_"))
    frames = await frames_at(viewer, before + 30)
    timestamps = [timestamp for _, timestamp in frames]
    assert all(0 < (b - a) % 2**32 < 2**31 for a, b in itertools.pairwise(timestamps))
    await video_of(node, viewer)
    await is_heard(viewer)
    assert await viewer.evaluate(CODEC) == f"video/{second}"
    await is_played_from_the_middle(node, open_page, second)
    # AV1's dependency descriptor names frames by number: agreed with nobody, there is nothing to renumber.
    for page in (host, viewer):
        assert "dependency-descriptor" not in await page.evaluate("pc.remoteDescription.sdp")


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_a_page_publishes_layers_and_a_viewer_moves_between_them(node, open_page, codec):
    base = f"http://127.0.0.1:{node.http_port}"
    host, viewer = await open_page(), await open_page()
    await host.evaluate(PUBLISH, [base, codec, ["q", "h", "f"]])
    async with asyncio.timeout(PATIENCE_S):
        while (
            len(layers := [layer for held in node.sessions.broadcasts.values() for layer in held.layers]) < 3
        ):
            await asyncio.sleep(0.02)
        while not all(layer.gop.is_open for layer in layers[:2]):
            await asyncio.sleep(0.02)
    await viewer.evaluate(PLAY, [base])
    (session,) = [held for held in node.sessions if held.kind == "whep"]
    for rid in ("q", "h", "q"):
        node.sessions.prefer(session, rid)
        await width_becomes(viewer, {"q": 320, "h": 640}[rid])
    await video_of(node, viewer)
    timestamps = [timestamp for _, timestamp in await viewer.evaluate("frames_")]
    assert all(0 < (b - a) % 2**32 < 2**31 for a, b in itertools.pairwise(timestamps))
    assert session.counts["switches"] >= 2


async def width_becomes(page, width):
    async with asyncio.timeout(PATIENCE_S):
        while await page.evaluate("document.querySelector('video').videoWidth") != width:
            await asyncio.sleep(0.05)


async def test_a_page_plays_where_no_udp_gets_through(node, open_page):
    base = f"http://127.0.0.1:{node.http_port}"
    host, viewer = await open_page(), await open_page()
    await host.evaluate(PUBLISH, [base, "VP8"])
    await on_air(node)
    await viewer.evaluate(PLAY, [base, " udp "])
    await frames_at(viewer, 30)
    await video_of(node, viewer)
    await is_heard(viewer)
    assert await viewer.evaluate(PROTOCOL) == "tcp"


async def test_pages_restart_ice_and_go_on_in_their_sessions(node, open_page):
    base = f"http://127.0.0.1:{node.http_port}"
    host, viewer = await open_page(), await open_page()
    await host.evaluate(PUBLISH, [base, "VP8"])
    await on_air(node)
    await viewer.evaluate(PLAY, [base])
    await frames_at(viewer, 10)
    sessions = list(node.sessions)
    for page, session in zip((host, viewer), sessions, strict=True):
        ice = session.peer.ice
        before = ice.selected
        await page.evaluate(RESTART)
        async with asyncio.timeout(PATIENCE_S):
            while ice.selected == before:
                await asyncio.sleep(0.02)
        await frames_at(viewer, len(await viewer.evaluate("frames_")) + 30)
    assert list(node.sessions) == sessions
