"""Two nodes, our own page code in a real browser: the node that everybody is on ends, and nobody sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import async_playwright

from overlay.log import open_redis
from server.media import NodeRegistry
from server.tickets import MediaTicket, Tickets
from stream.ports import BroadcastState, Purpose
from tests import chromium

from .conftest import SHOW, until

pytestmark = pytest.mark.browser

WEB = Path(__file__).resolve().parents[3] / "web"
PATIENCE_S = 120
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-expose-headers": "location, link, etag",
}

PUBLISH = """async () => {
  const media = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 360}, audio: true});
  window.states = [];
  const onState = state => states.push(state);
  window.publisher = new hawker.WhipPublisher({url: '/whip', token: 'key', onState});
  publisher.start(media);
}"""

WATCH = """() => {
  const element = document.createElement('video');
  Object.assign(element, {autoplay: true, muted: true});
  document.body.append(element);
  const canvas = new OffscreenCanvas(16, 16), pen = canvas.getContext('2d', {willReadFrequently: true});
  window.frames_ = []; window.dark = []; window.states = []; window.streams = 0;
  const seen = now => { frames_.push(now); element.requestVideoFrameCallback(seen); };
  element.requestVideoFrameCallback(seen);
  const look = () => {
    pen.clearRect(0, 0, 16, 16);
    pen.drawImage(element, 0, 0, 16, 16);
    const isLit = pen.getImageData(0, 0, 16, 16).data.some((value, at) => at % 4 < 3 && value > 0);
    if (frames_.length && !isLit) dark.push(performance.now());
    requestAnimationFrame(look);
  };
  look();
  window.player = new hawker.WhepPlayer({url: '/whep', onState: state => states.push(state),
    onStream: stream => { streams++; element.srcObject = stream; }});
  player.start();
}"""


@pytest.fixture(scope="module")
def our_code(tmp_path_factory):
    """The page's WHIP and WHEP as one script."""
    folder = tmp_path_factory.mktemp("code")
    entry = folder / "entry.ts"
    entry.write_text(
        f"export {{ WhepPlayer }} from '{WEB}/core/whep.ts';\n"
        f"export {{ WhipPublisher }} from '{WEB}/core/whip.ts';\n"
    )
    made = folder / "hawker.js"
    rolldown = [str(WEB / "node_modules/.bin/rolldown"), str(entry), "--format", "iife", "--name", "hawker"]
    subprocess.run([*rolldown, "--file", str(made)], check=True, capture_output=True, timeout=300, cwd=WEB)
    return made.read_text()


@contextlib.asynccontextmanager
async def public_address(send):
    """`send(kind)` says where to: (base URL of a node, ticket)."""

    async def send_on(request):
        kind = request.path[1:]
        base, ticket = await send(kind)
        location = f"{base}/{kind}?ticket={ticket}"
        return web.Response(status=307, headers={**CORS, "location": location})

    async def page(_request):
        return web.Response(text="<!doctype html><title>show</title>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/whip", send_on)
    app.router.add_post("/whep", send_on)
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.fixture
async def door(register):
    """Sends everybody to the first node that stays."""

    async def send(kind):
        node = next(held for held in register.nodes.values() if not held.sessions.is_draining)
        return f"http://127.0.0.1:{node.http_port}", "publish.show.key" if kind == "whip" else "view.show"

    async with public_address(send) as url:
        yield url


@pytest.fixture
async def open_page(our_code):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.PATH, args=chromium.FLAGS, timeout=PATIENCE_S * 1000
        )
        context = await browser.new_context(permissions=["camera", "microphone"])
        context.set_default_timeout(PATIENCE_S * 1000)

        async def open_page(url):
            page = await context.new_page()
            await page.goto(url)
            await page.evaluate(our_code + "; window.hawker = hawker;")
            return page

        yield open_page
        await browser.close()


async def test_a_node_ends_under_a_live_show_and_nobody_sees_it(start, open_page, door):
    old = await start("old")
    new = await start("new")
    host, viewer = await open_page(door), await open_page(door)
    await host.evaluate(PUBLISH)
    await until(lambda: old.sessions.counts().get(SHOW, (None,))[0] is BroadcastState.LIVE, PATIENCE_S)
    await viewer.evaluate(WATCH)
    await viewer.wait_for_function("frames_.length > 30")
    await until(lambda: len(old.sessions.events) == 2, PATIENCE_S)
    assert len(old.sessions) == 2
    said = [await page.evaluate("states.length") for page in (host, viewer)]
    first = len(await viewer.evaluate("frames_"))

    async with asyncio.timeout(PATIENCE_S):
        await old.drain(2 * PATIENCE_S)
    assert len(old.sessions) == 0
    await viewer.evaluate("mark = frames_.length")
    await viewer.wait_for_function("frames_.length > mark + 60")
    assert new.sessions.carried()[SHOW].is_origin
    assert new.sessions.counts()[SHOW] == (BroadcastState.LIVE, 1)
    frames = await viewer.evaluate("frames_")
    longest_ms = max(b - a for a, b in itertools.pairwise(frames[first - 5 :]))
    assert longest_ms < 15_000, f"the picture stood still for {longest_ms:.0f} ms"
    assert await viewer.evaluate("dark") == []
    assert await viewer.evaluate("streams") == 1
    assert [await page.evaluate("states.length") for page in (host, viewer)] == said, "somebody noticed"
    assert await viewer.evaluate("states.at(-1)") == "watching"
    assert await host.evaluate("states.at(-1)") == "live"


async def test_a_viewer_whose_node_is_killed_is_back_in_seconds(start_role, redis_url, open_page):
    origin, edge = start_role("origin"), start_role("edge")
    only = {"whip": "origin", "whep": "edge"}
    async with open_redis(redis_url) as redis:
        registry, tickets = NodeRegistry(redis), Tickets(redis)

        async def send(kind):
            purpose = Purpose.PUBLISH if kind == "whip" else Purpose.VIEW
            nodes = {node.id: node for node in await registry.nodes()}
            node = nodes.get(only[kind]) or await registry.node_for(SHOW, purpose)
            return node.url, await tickets.issue(MediaTicket(SHOW, purpose, "key"))

        async def until_registered(condition, timeout_s=180):
            async with asyncio.timeout(timeout_s):
                while not condition({node.id: node for node in await registry.nodes()}):
                    await asyncio.sleep(0.02)

        await until_registered(lambda nodes: len(nodes) == 2)
        async with public_address(send) as url:
            host, viewer = await open_page(url), await open_page(url)
            await host.evaluate(PUBLISH)
            await until_registered(lambda nodes: nodes["origin"].state(SHOW) is BroadcastState.LIVE)
            await viewer.evaluate(WATCH)
            await viewer.wait_for_function("frames_.length > 30")
            await until_registered(lambda nodes: nodes["edge"].viewers == 1)
            edge.kill()
            before = await viewer.evaluate("[frames_.length, performance.now()]")
            await viewer.wait_for_function(f"frames_.length > {before[0]} + 30")
            frames = await viewer.evaluate("frames_")
            gap_ms = max(b - a for a, b in itertools.pairwise(frames[before[0] - 5 :]))
            assert gap_ms < 60_000, f"the picture was away for {gap_ms:.0f} ms"
            await until_registered(lambda nodes: nodes["origin"].viewers == 1)
    assert origin.process.poll() is None
