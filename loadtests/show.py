"""`make bench-show`: what a person feels on the running demo, measured with real browsers and sockets.

Starts the demo twice on its own data and ports; the second start is timed and then measured:
first frame (WHEP POST to the first painted frame, with the browser's own candidate handling), glass to glass
against the floor of one page looped to itself, a comment on another viewer's socket, a tap until its order is
durable, and the memory of all processes (PSS). Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import uuid_utils
from playwright.async_api import Browser
from websockets.asyncio.client import ClientConnection, connect

from loadtests.browser import chromium, glass_to_glass

# Notes the WHEP POST and the first painted frame, whatever the page itself does.
FIRST_FRAME_PROBE = """
(() => {
  const send = window.fetch;
  window.fetch = (input, init) => {
    const url = String(input.url ?? input);
    const method = init?.method ?? input.method;
    if (method === 'POST' && url.includes('/whep/')) window.__whepPost ??= performance.now();
    return send(input, init);
  };
  window.__firstFrame = new Promise((painted) => {
    let watched = null;
    const watch = () => {
      const video = document.querySelector('video');
      if (video && video !== watched) video.requestVideoFrameCallback(painted);
      watched = video;
      requestAnimationFrame(watch);
    };
    watch();
  });
})();
"""


def p95(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


@contextlib.contextmanager
def running_demo(data: Path, port: int) -> Iterator[tuple[dict[str, Any], float, int]]:
    """The demo's line of JSON, its start in seconds, the supervisor's pid; stopped by Ctrl-C at the end."""
    began = time.monotonic()
    with (data.parent / "demo.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "demo", "--json", "--port", str(port), "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the demo did not start; see {data.parent / 'demo.log'}")
        yield json.loads(line), time.monotonic() - began, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def pss_mb(root: int) -> float:
    """Proportional memory of a process and all its descendants, MB."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    total_kb = 0
    for pid in family:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total_kb += int(next(row for row in rollup.splitlines() if row.startswith("Pss:")).split()[1])
    return total_kb / 1024


# --- the picture


async def first_frames(browser: Browser, viewer_url: str, joins: int) -> list[float]:
    took = []
    for _ in range(joins):
        context = await browser.new_context(viewport={"width": 390, "height": 844})
        page = await context.new_page()
        await page.add_init_script(FIRST_FRAME_PROBE)
        await page.goto(viewer_url)
        async with asyncio.timeout(15):
            took.append(float(await page.evaluate("__firstFrame.then((at) => at - window.__whepPost)")))
        await context.close()
    return took


# --- the talk and the money


async def api(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    answer = await client.request(method, path, json=body)
    if answer.status_code >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


async def buyer(demo: dict[str, Any], number: int) -> httpx.AsyncClient:
    """A fresh signed-in person with an address and a card that pays."""
    origin = demo["web_url"]
    client = httpx.AsyncClient(base_url=origin, headers={"Origin": origin}, timeout=10)
    who = {
        "email": f"bench-{uuid_utils.uuid7()}@example.com",
        "password": f"Bench-{os.urandom(6).hex()}",
        "display_name": f"Bench {number}",
    }
    await api(client, "POST", "/api/auth/sign-up", who)
    config = await api(client, "GET", "/api/config")
    address = {
        "name": "Bench",
        "line1": "1 Main St",
        "city": "Berlin",
        "postal_code": "10115",
        "country": config["shop"]["country"],
    }
    await api(
        client,
        "POST",
        "/api/me/addresses",
        address | {"line2": "", "region": "", "phone": "", "is_default": True},
    )
    setup = await api(client, "POST", "/api/me/cards/setup", {})
    async with httpx.AsyncClient(base_url=config["payments"]["api_url"], timeout=10) as provider:
        confirmed = await provider.post(
            f"/v1/setup_intents/{setup['setup_intent']}/confirm",
            data={"payment_method": "pm_card_visa", "client_secret": setup["client_secret"]},
            headers={"Authorization": f"Bearer {setup['publishable_key']}"},
        )
        confirmed.raise_for_status()
    await api(client, "POST", "/api/me/cards", {"setup_intent": setup["setup_intent"]})
    return client


@contextlib.asynccontextmanager
async def in_room(
    demo: dict[str, Any], client: httpx.AsyncClient | None
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    hello: dict[str, Any] = {"type": "hello", "protocol": 1, "show_id": demo["show_id"]}
    if client is not None:
        hello["ticket"] = (await api(client, "POST", f"/api/shows/{demo['show_id']}/room-ticket", {}))[
            "ticket"
        ]
    async with connect(demo["overlay_url"], compression=None) as socket:
        await socket.send(json.dumps(hello))
        yield socket, json.loads(await socket.recv())


async def until(socket: ClientConnection, wanted: Any, timeout_s: float = 5) -> dict[str, Any]:
    async with asyncio.timeout(timeout_s):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if wanted(frame):
                return frame


async def comments(demo: dict[str, Any], writers: list[httpx.AsyncClient], each: int) -> list[float]:
    """From a comment sent to the same comment on another viewer's socket, ms."""
    took = []
    async with in_room(demo, None) as (reader, _):
        for writer in writers:
            async with in_room(demo, writer) as (socket, _):
                for _ in range(each):
                    text = f"bench {uuid_utils.uuid7()}"
                    began = time.perf_counter()
                    await socket.send(json.dumps({"type": "say", "id": os.urandom(8).hex(), "text": text}))
                    await until(reader, lambda frame, text=text: text in json.dumps(frame))
                    took.append((time.perf_counter() - began) * 1000)
                    await asyncio.sleep(0.05)
    return took


async def taps(demo: dict[str, Any], buyers: list[httpx.AsyncClient], each: int) -> list[float]:
    """From a tap to "sold out" or an order durable in PostgreSQL, ms."""
    took = []
    show = await api(buyers[0], "GET", f"/api/shows/{demo['show_id']}")
    variants = [
        variant
        for item in show["items"]
        for variant in item["product"]["variants"]
        if not variant["buyer_limit"]
    ]
    for person in buyers:
        async with in_room(demo, person) as (socket, _):
            for _ in range(each):
                variant = random.choice(variants)
                line = {
                    "variant_id": variant["id"],
                    "quantity": 1,
                    "unit_price_minor": variant["price_minor"],
                }
                command = {
                    "type": "buy",
                    "id": os.urandom(8).hex(),
                    "order_id": str(uuid_utils.uuid7()),
                    "lines": [line],
                }
                began = time.perf_counter()
                await socket.send(json.dumps(command))
                answer = await until(socket, lambda frame, command=command: frame.get("id") == command["id"])
                took.append((time.perf_counter() - began) * 1000)
                if answer["type"] == "refused" and answer["code"] != "sold_out":
                    raise RuntimeError(f"tap refused: {answer}")
                await asyncio.sleep(0.2)
    return took


async def measure(demo: dict[str, Any], root: int, joins: int) -> dict[str, float]:
    people = [await buyer(demo, number) for number in range(5)]
    comment_ms = await comments(demo, people, 5)
    tap_ms = await taps(demo, people, 8)
    rss = pss_mb(root)
    whip = demo["whip"]
    async with chromium() as browser:
        frames_ms = await first_frames(browser, demo["viewer_url"], joins)
        rss = max(rss, pss_mb(root))
        page, host = f"{demo['web_url']}/api/config", (whip["url"], whip["token"])
        ages = await glass_to_glass(browser, page, host, whip["whep_url"], seconds=5)
    for person in people:
        await person.aclose()
    return {
        "first_frame_p95_ms": round(p95(frames_ms), 1),
        "first_frame_p50_ms": round(statistics.median(frames_ms), 1),
        "glass_p50_ms": round(statistics.median(ages.relay), 1),
        "floor_p50_ms": round(statistics.median(ages.floor), 1),
        "comment_p95_ms": round(p95(comment_ms), 1),
        "tap_p95_ms": round(p95(tap_ms), 1),
        "rss_mb": round(rss),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9500)
    parser.add_argument("--joins", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hawker-bench-") as scratch:
        data = Path(scratch) / "data"
        with running_demo(data, options.port) as (_, first_s, _):
            print(f"first start {first_s:.1f} s", file=sys.stderr)
        with running_demo(data, options.port) as (demo, second_s, root):
            figures = asyncio.run(measure(demo, root, options.joins))
    print(json.dumps({"second_start_s": round(second_s, 1)} | figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
