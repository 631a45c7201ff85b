"""A bad network: 5 % of the media lost each way and 50 ms there and back. Does the picture keep moving?

    python -m loadtests.relay.loss --json      (make bench-loss)

    publisher ── (its leg) ──▶ node ── (the viewers' leg) ──▶ Chromium, and a light viewer that counts

A clip of real H.264 at 2.5 Mbit/s with a keyframe every 2 s, from a publisher that ignores keyframe requests:
a picture that breaks stays broken until the next. First the viewers' leg is bad, then the publisher's.
Chromium says how long the picture stood still (`requestVideoFrameCallback`, less the source's own frame
interval); the light viewer says which packets were missing and how many came in time, by RTX or otherwise.
What is sent again is lost as often as anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from playwright.async_api import Browser

from loadtests.browser import blank_page, chromium
from loadtests.relay.crowd import publishing, wait_for_picture
from loadtests.relay.lossy import LossyPath, lossy_path
from loadtests.relay.node import NodeProcess, running_node
from loadtests.relay.peer import CONNECT_S, Identity, Peer
from loadtests.relay.signalling import VIDEO, VIDEO_RTX, delete, offer, post, read_answer
from loadtests.relay.stream import Shape
from loadtests.relay.viewers import receiver_report
from loadtests.relay.watch import percentile
from stream.packet import rtcp, rtp
from stream.packet.reception import Reception

BARS = {"longest_freeze_ms": 500.0, "recovered": 0.99}
IN_TIME_S = 0.4
"""After this a picture that waits for the packet has stood still for too long."""
LOOK_EVERY_S = 0.01
_SSRC = 1


@dataclass(slots=True)
class Recovery:
    """What was missing of one stream, and what became of it. Pure: sequence numbers and times in."""

    missing: dict[int, float] = field(default_factory=dict)
    """Since when."""
    took_s: list[float] = field(default_factory=list)
    lost: int = 0

    def noticed(self, seqs: range, now: float) -> None:
        for seq in seqs:
            self.missing[seq] = now
        self.lost += len(seqs)

    def came(self, seq: int, now: float) -> None:
        since = self.missing.pop(seq, None)
        if since is not None:
            self.took_s.append(now - since)

    def settle(self, now: float) -> None:
        """What may still come in time is not counted."""
        for seq in [seq for seq, since in self.missing.items() if now - since < IN_TIME_S]:
            del self.missing[seq]
            self.lost -= 1

    @property
    def in_time(self) -> int:
        return sum(took <= IN_TIME_S for took in self.took_s)


class LightViewer:
    """Joins, asks for what is missing, and counts."""

    def __init__(self, identity: Identity) -> None:
        self.recovery = Recovery()
        self.received = 0
        self.nacked = 0
        self._identity = identity
        self._peer = Peer(identity)
        self._reception: Reception | None = None
        self._ssrc = 0

    async def run(self, url: str, seconds: float) -> None:
        async with aiohttp.ClientSession() as http:
            peer, sdp = self._peer, offer(self._peer.ice, self._identity.fingerprint, "recvonly", {})
            text, session = await post(http, url, "", sdp)
            answer = read_answer(text)
            self._ssrc = answer.ssrcs.get("video", 0)
            self._reception = Reception(self._ssrc, 90_000)
            peer.on_rtp = self._take
            try:
                peer.start(answer)
                await asyncio.wait_for(peer.connected, CONNECT_S)
                await self._ask(time.monotonic() + seconds)
                self.recovery.settle(time.monotonic())
                await delete(http, session, "")
            finally:
                peer.close()

    async def _ask(self, ends: float) -> None:
        reports_at = 0.0
        while (now := time.monotonic()) < ends:
            assert self._reception is not None
            wanted = self._reception.wanted(now)
            if wanted:
                self.nacked += len(wanted)
                self._peer.send_rtcp(rtcp.nack(_SSRC, self._ssrc, wanted))
            if now >= reports_at:
                reports_at = now + 1
                self._peer.send_rtcp(receiver_report(self._ssrc))
            await asyncio.sleep(LOOK_EVERY_S)

    def _take(self, packet: bytes, at_ns: int) -> None:
        parsed, now = rtp.parse(packet), time.monotonic()
        if parsed is None or self._reception is None:
            return
        if parsed.payload_type == VIDEO_RTX:
            original = rtp.unwrap_rtx(parsed.payload)
            if original is not None:
                self._count(original[0], parsed.timestamp, now)
        elif parsed.payload_type == VIDEO:
            self._count(parsed.seq, parsed.timestamp, now)

    def _count(self, seq: int, timestamp: int, now: float) -> None:
        assert self._reception is not None
        before = self._reception.highest
        full = self._reception.accept(seq, timestamp, now)
        if full is None:
            return
        self.received += 1
        if 0 <= before < full:
            self.recovery.noticed(range(before + 1, full), now)
        self.recovery.came(full, now)


@dataclass(slots=True)
class Leg:
    """What was seen while one leg was bad."""

    light: LightViewer
    stands: dict[str, Any]
    path: LossyPath

    def figures(self) -> dict[str, Any]:
        recovery, inbound = self.light.recovery, self.stands["inbound"]
        took_ms = [took * 1000 for took in recovery.took_s]
        counts = self.path.counts
        return {
            "longest_freeze_ms": round(self.stands["longest"], 1),
            "recovered": round(recovery.in_time / recovery.lost, 5) if recovery.lost else 1.0,
            "longest_freeze_at_s": round(self.stands["longestAt"], 1),
            "lost": recovery.lost,
            "recovery_p50_ms": round(percentile(took_ms, 50), 1),
            "recovery_p99_ms": round(percentile(took_ms, 99), 1),
            "media_lost": [round(counts[f"{way}_lost"] / max(counts[way], 1), 4) for way in ("up", "down")],
            "chromium": {
                "frames_shown": self.stands["shown"],
                "stands_over_100_ms": self.stands["over100"],
                "packets_lost": inbound.get("packetsLost", 0),
                "retransmitted": inbound.get("retransmittedPacketsReceived", 0),
                "nacks": inbound.get("nackCount", 0),
                "plis": inbound.get("pliCount", 0),
                "freezes": inbound.get("freezeCount", 0),
            },
        }


async def watch(node: NodeProcess, browser: Browser, path: LossyPath, seconds: float) -> Leg:
    """Both viewers at once, from their first frame on."""
    light = LightViewer(Identity())
    page = await blank_page(browser, f"{node.origin}/healthz")
    script = "async ([url, s, fps]) => glass.stands(await glass.watch(url), s, fps)"
    async with asyncio.TaskGroup() as both:
        both.create_task(light.run(node.url("whep"), seconds))
        stands = both.create_task(page.evaluate(script, [node.url("whep"), seconds, Shape().fps]))
    await page.context.close()
    return Leg(light, stands.result(), path)


def bad_viewers_leg(options: argparse.Namespace) -> Leg:
    with ExitStack() as stack:
        path = stack.enter_context(_path(options))
        node = stack.enter_context(running_node("--announced", f"127.0.0.1:{path.port}"))
        path.target = ("127.0.0.1", node.udp_port)
        return _look(node, path, f"127.0.0.1:{node.udp_port}", options.seconds, stack)


def bad_publishers_leg(options: argparse.Namespace) -> Leg:
    with ExitStack() as stack:
        path = stack.enter_context(_path(options))
        node = stack.enter_context(running_node())
        path.target = ("127.0.0.1", node.udp_port)
        return _look(node, path, f"127.0.0.1:{path.port}", options.seconds, stack)


LEGS = {"viewers_leg": bad_viewers_leg, "publishers_leg": bad_publishers_leg}


def _path(options: argparse.Namespace) -> Any:
    return lossy_path(loss=options.loss, delay_s=options.rtt_ms / 2000, seed=options.seed)


def _look(node: NodeProcess, path: LossyPath, via: str, seconds: float, stack: ExitStack) -> Leg:
    flags = ("--clip", "--ignore-pli", "--via", via)
    stack.enter_context(publishing(node.url("whip"), seconds + 60, *flags))
    wait_for_picture(node.url("whep"))

    async def look() -> Leg:
        async with chromium() as browser:
            return await watch(node, browser, path, seconds)

    return asyncio.run(look())


def run(options: argparse.Namespace) -> dict[str, Any]:
    legs = {name: LEGS[name](options).figures() for name in options.leg or LEGS}
    return {
        "longest_freeze_ms": max(leg["longest_freeze_ms"] for leg in legs.values()),
        "recovered": min(leg["recovered"] for leg in legs.values()),
        "loss": options.loss,
        "rtt_ms": options.rtt_ms,
        "seconds": options.seconds,
        **legs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each leg")
    parser.add_argument("--loss", type=float, default=0.05, help="share of datagrams, each way")
    parser.add_argument("--rtt-ms", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leg", choices=LEGS, action="append", help="only this one")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    figures = run(options)
    if not options.json:
        held = (
            figures["longest_freeze_ms"] <= BARS["longest_freeze_ms"]
            and figures["recovered"] >= BARS["recovered"]
        )
        print("both bars held" if held else f"bars: {BARS}")
    print(json.dumps(figures))
    legs = [figures[name] for name in LEGS if name in figures]
    ran = all(leg["chromium"]["frames_shown"] and bool(leg["lost"]) == bool(options.loss) for leg in legs)
    return 0 if ran else 1


if __name__ == "__main__":
    raise SystemExit(main())
