"""One of our nodes against a relay that you have: the same host and viewers, one core each, in turn.

    python -m loadtests.relay.versus --kind janus --peer /usr/bin/janus --json
    make bench-versus ARGS="--kind mediamtx --peer ./mediamtx"

Each round starts a relay anew and pins it to one core, so that what it does is the work of one core; the host
and the viewers share the others. The host is `publisher`'s: 2.5 Mbit/s with keyframes of 50 packets every 2 s
and sound, deaf to keyframe requests, as OBS is. Every viewer answers consent checks and reads all that comes,
at either relay, since what a kernel drops unread is cheap to send. CPU is of the whole process, and packets
are those that viewers have read; `delivered` is their share of what the host sends to each. `cores` near 1
means that a relay was at its end: then look at `delivered` and `frames_missing`, and measure again with fewer
`--viewers`. `overflowed` above 0 means that the viewers were: the kernel dropped what they did not read in
time, and the machine was too busy to compare on. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.relay.crowd import SETTLE_S, publishing, wait_for_picture
from loadtests.relay.node import running_node
from loadtests.relay.peers import janus, livekit, mediamtx
from loadtests.relay.peers.relay import Kind, Relay
from loadtests.relay.publisher import AUDIO_EVERY_S
from loadtests.relay.stream import Shape
from loadtests.relay.viewers import Crowd

KINDS: dict[str, Kind] = {"mediamtx": mediamtx, "janus": janus, "livekit": livekit}
_COUNTS = ("lost", "overflowed", "frames_missing", "failed", "no_picture")
"""Added over the rounds; of everything else it is the median."""
_KEPT = ("delta_p95_ms", "all_p99_ms", "first_picture_p50_ms", "viewers", *_COUNTS)


@contextlib.contextmanager
def our_node() -> Iterator[Relay]:
    with running_node() as node:
        yield Relay(node.pid, node.url("whip"), node.url("whep"))


@contextlib.contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """This thread, and what is started meanwhile for as long as it runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def measure(relay: Relay, viewers: int, sample: int, rate: float, seconds: float) -> dict[str, Any]:
    """Joins the crowd, lets it settle, then looks at the relay for `seconds`."""
    crowd = Crowd(relay.whep, "", viewers, sample, drain=True)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as crowd.http:
        reports = asyncio.create_task(crowd.report())
        empty_kb = relay.rss_kb()
        await crowd.join(rate)
        await asyncio.sleep(SETTLE_S)
        crowd.start_over()
        began_s, load_s, relay_s, packets = time.monotonic(), time.process_time(), relay.cpu_s(), crowd.read()
        await asyncio.sleep(seconds)
        relay_s, packets = relay.cpu_s() - relay_s, max(crowd.read() - packets, 1)
        load_s, took_s = time.process_time() - load_s, time.monotonic() - began_s
        seen, full_kb = crowd.figures(), relay.rss_kb()
        reports.cancel()
        await crowd.leave()
    sent = packets_each_s(Shape()) * took_s * max(len(crowd.inside), 1)
    return {
        "cpu_us_per_packet": round(relay_s / packets * 1e6, 2),
        "packets_each_s": round(packets / took_s),
        "delivered": round(packets / sent, 3),
        "cores": round(relay_s / took_s, 2),
        "viewers_cores": round(load_s / took_s, 2),
        "kb_per_viewer": round((full_kb - empty_kb) / max(len(crowd.inside), 1), 1),
        **{name: seen[name] for name in _KEPT},
    }


def packets_each_s(shape: Shape) -> float:
    """That the host sends: picture, parameter sets with each keyframe, sound."""
    gop = sum(map(shape.packets_in, range(shape.gop))) + 1
    return gop / shape.keyframe_every_s + 1 / AUDIO_EVERY_S


def one_round(
    start: Callable[[], AbstractContextManager[Relay]], options: argparse.Namespace
) -> dict[str, Any]:
    cores = os.sched_getaffinity(0)
    of_relay = {min(cores)}
    of_load = cores - of_relay or cores
    lasts = options.viewers / options.rate + SETTLE_S + options.seconds + 60
    with contextlib.ExitStack() as running:
        with on_cores(of_relay):
            relay = running.enter_context(start())
        running.enter_context(on_cores(of_load))
        running.enter_context(publishing(relay.whip, lasts, "--ignore-pli"))
        wait_for_picture(relay.whep)
        return asyncio.run(measure(relay, options.viewers, options.sample, options.rate, options.seconds))


def over_rounds(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: sum(values) if name in _COUNTS else round(statistics.median(values), 2)
        for name in rounds[0]
        for values in [[figures[name] for figures in rounds]]
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    peer, program = KINDS[options.kind], options.peer.resolve()
    starts = {"hawker": our_node, options.kind: lambda: peer.running(program)}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    for turn in range(options.rounds):
        for name in list(starts)[:: 1 if turn % 2 == 0 else -1]:
            rounds[name].append(one_round(starts[name], options))
            if not options.json:
                print(name, json.dumps(rounds[name][-1]), flush=True)
    each = {name: over_rounds(figures) for name, figures in rounds.items()}
    return {
        "ratio": round(each["hawker"]["cpu_us_per_packet"] / each[options.kind]["cpu_us_per_packet"], 3),
        "peer": f"{peer.NAME} {peer.version(program)}",
        "seconds": options.seconds,
        "rounds": options.rounds,
    } | each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="the other relay's program")
    parser.add_argument("--kind", choices=KINDS, default="mediamtx", help="what it is")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--sample", type=int, default=10, help="viewers whose packets are looked at")
    parser.add_argument("--rate", type=float, default=25.0, help="joins a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each look")
    parser.add_argument("--rounds", type=int, default=3, help="of each relay")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    if not options.peer.is_file():
        parser.error(f"there is no {options.peer}: give the program of a {KINDS[options.kind].NAME}")
    figures = run(options)
    print(json.dumps(figures))
    return 0 if figures["hawker"]["delivered"] and figures[options.kind]["delivered"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
