"""A crowd of light viewers at any WHEP server: real ICE and DTLS, most sockets undrained, a sample looked at.

    python -m loadtests.relay.viewers --url https://host/whep/show --viewers 500 --seconds 30 --json

The sample's packets are decrypted and checked for sequence, loss, order and delay; delays need the stream of
`publisher` and clocks that agree. The others keep consent and send receiver reports, but leave what
comes to the kernel. A server with full ICE checks its viewers in turn: give `--drain` so that all of them
answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiortc.rtp import pack_remb_fci

from loadtests.relay.entrance import Entrance, entrance
from loadtests.relay.peer import CONNECT_S, Identity, Peer
from loadtests.relay.signalling import url_of
from loadtests.relay.watch import Watch, percentile

REPORT_EVERY_S = 1.0
_REPORT_TURNS = 20
_SENDER_SSRC = 1


@dataclass(slots=True)
class Viewer:
    peer: Peer
    session: str
    watch: Watch
    asked_ns: int
    report: bytes
    overflowed_before: int = 0


@dataclass(slots=True)
class Crowd:
    """Joins, stays, leaves. `sample` viewers, spread evenly over the joins, read all that comes."""

    url: str
    token: str
    viewers: int
    sample: int
    drain: bool = False
    only_first: bool = False
    """The sample looks until its first whole keyframe, then leaves its sockets alone like the others."""
    door: Entrance = field(init=False)
    http: aiohttp.ClientSession = field(init=False)
    inside: list[Viewer] = field(default_factory=list)
    watched: list[Viewer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    identity: Identity = field(default_factory=Identity)

    def __post_init__(self) -> None:
        self.door = entrance(self.url, self.token)

    async def join(self, each_second: float) -> None:
        """Everyone, at a steady rate; returns when all are connected or have failed."""
        every = max(self.viewers // max(self.sample, 1), 1)
        started = time.monotonic()
        async with asyncio.TaskGroup() as joins:
            for i in range(self.viewers):
                await asyncio.sleep(max(started + i / each_second - time.monotonic(), 0))
                joins.create_task(self._join_one(i % every == 0 and i // every < self.sample))

    async def _join_one(self, is_watched: bool) -> None:
        peer = Peer(self.identity)
        asked_ns = time.time_ns()
        session = ""
        try:
            answer, session = await self.door.view(self.http, peer.ice, self.identity.fingerprint)
            watch = Watch(time.time_ns(), answer.payload_types)
            if is_watched:
                peer.on_rtp = self._look_once(watch, peer) if self.only_first else watch.take
            peer.start(answer)
            await asyncio.wait_for(asyncio.shield(peer.connected), CONNECT_S)
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            await self._give_up(peer, session)
            return
        viewer = Viewer(peer, session, watch, asked_ns, receiver_report(answer.ssrcs.get("video", 0)))
        self.inside.append(viewer)
        if is_watched:
            self.watched.append(viewer)
        elif not self.drain:
            peer.stop_reading()

    async def _give_up(self, peer: Peer, session: str) -> None:
        """What the server still sends for this session would reach whoever gets our port next."""
        peer.close()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            if session:
                await self.door.leave(self.http, session)

    @staticmethod
    def _look_once(watch: Watch, peer: Peer) -> Callable[[bytes, int], None]:
        def take(packet: bytes, at_ns: int) -> None:
            watch.take(packet, at_ns)
            if watch.first_keyframe_ns:
                peer.on_rtp = None
                peer.stop_reading()

        return take

    async def report(self) -> None:
        """Receiver reports of everyone, each second, evenly; until cancelled."""
        while True:
            for turn in range(_REPORT_TURNS):
                for viewer in self.inside[turn::_REPORT_TURNS]:
                    viewer.peer.send_rtcp(viewer.report)
                await asyncio.sleep(REPORT_EVERY_S / _REPORT_TURNS)

    def start_over(self) -> None:
        """What was seen until now, while everyone joined, is forgotten."""
        for viewer in self.watched:
            first_keyframe_ns = viewer.watch.first_keyframe_ns
            viewer.watch = Watch(time.time_ns(), viewer.watch.payload_types)
            viewer.watch.first_keyframe_ns = first_keyframe_ns
            viewer.peer.on_rtp = viewer.watch.take
            viewer.overflowed_before = viewer.peer.overflowed

    async def leave(self) -> None:
        async with asyncio.TaskGroup() as leaving:
            for viewer in self.inside:
                leaving.create_task(self._leave_one(viewer))

    async def _leave_one(self, viewer: Viewer) -> None:
        try:
            await self.door.leave(self.http, viewer.session)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(f"leaving: {type(error).__name__}: {error}")
        viewer.peer.close()

    def read(self) -> int:
        """RTP packets that those inside have read; all that came, with `drain`."""
        return sum(viewer.peer.packets for viewer in self.inside)

    def figures(self) -> dict[str, Any]:
        watches = [viewer.watch for viewer in self.watched]
        deltas = [delay for watch in watches for delay in watch.delta_delays_ms]
        keys = [delay for watch in watches for delay in watch.key_delays_ms]
        joins = list(first_pictures_ms(self.watched))
        return {
            "viewers": len(self.inside),
            "failed": len(self.failures),
            "sample": len(watches),
            "packets": sum(watch.video.received + watch.audio.received for watch in watches),
            "lost": sum(watch.video.lost + watch.audio.lost for watch in watches),
            "overflowed": sum(viewer.peer.overflowed - viewer.overflowed_before for viewer in self.watched),
            "repeated": sum(watch.video.repeated + watch.audio.repeated for watch in watches),
            "reordered": sum(watch.video.reordered + watch.audio.reordered for watch in watches),
            "frames": sum(watch.frames for watch in watches),
            "frames_missing": sum(watch.pictures.lost for watch in watches),
            "delta_p50_ms": round(percentile(deltas, 50), 2),
            "delta_p95_ms": round(percentile(deltas, 95), 2),
            "key_p50_ms": round(percentile(keys, 50), 2),
            "all_p99_ms": round(percentile(deltas + keys, 99), 2),
            "first_picture_p50_ms": round(percentile(joins, 50), 1),
            "first_picture_p95_ms": round(percentile(joins, 95), 1),
            "no_picture": len(watches) - len(joins),
        }


def first_pictures_ms(watched: list[Viewer]) -> Iterator[float]:
    """From before the POST to the last packet of the first whole keyframe."""
    for viewer in watched:
        if viewer.watch.first_keyframe_ns:
            yield (viewer.watch.first_keyframe_ns - viewer.asked_ns) / 1e6


def receiver_report(media_ssrc: int) -> bytes:
    """An empty receiver report (RFC 3550 6.4.2) and a REMB of 20 Mbit/s: a viewer with room for any layer."""
    estimate = struct.pack("!II", _SENDER_SSRC, 0) + pack_remb_fci(20_000_000, [media_ssrc])
    return (
        struct.pack("!BBHI", 0x80, 201, 1, _SENDER_SSRC)
        + struct.pack("!BBH", 0x80 | 15, 206, len(estimate) // 4)
        + estimate
    )


async def run(options: argparse.Namespace) -> Crowd:
    crowd = Crowd(options.url, options.token, options.viewers, options.sample, options.drain)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as crowd.http:
        reports = asyncio.create_task(crowd.report())
        await crowd.join(options.rate)
        await asyncio.sleep(options.seconds)
        reports.cancel()
        await crowd.leave()
    return crowd


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("where", nargs="?", default="", metavar="URL", help="as --url")
    parser.add_argument("--url", default="", help="where to POST the offers")
    parser.add_argument("--token", default="", help="bearer token")
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--sample", type=int, default=5, help="viewers whose packets are looked at")
    parser.add_argument("--rate", type=float, default=25.0, help="joins a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to stay after the last join")
    parser.add_argument("--drain", action="store_true", help="read every socket")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    options.url = url_of(parser, options)
    crowd = asyncio.run(run(options))
    figures = crowd.figures() | {"seconds": options.seconds}
    if not options.json:
        print("\n".join(sorted(set(crowd.failures))[:10]) or "everyone came and went")
    print(json.dumps(figures))
    return 0 if not crowd.failures else 1


if __name__ == "__main__":
    raise SystemExit(main())
