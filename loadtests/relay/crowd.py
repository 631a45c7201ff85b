"""A thousand WHEP viewers of one node: does it play, in time, and for how much CPU and memory?

    python -m loadtests.relay.crowd --json      (make bench-viewers)

Four processes: the node, a publisher with keyframes of 50 packets every 2 s and audio, the crowd, and,
before them, the fan-out bench, for the CPU that one sealed packet costs on this machine. `cpu_ratio` is the
node's whole CPU a packet against it. Delays are from the publisher's send of a frame's last packet to its
arrival in the viewer's socket, as the kernel stamps it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp

from loadtests.relay.node import NodeProcess, running_node
from loadtests.relay.viewers import Crowd

SETTLE_S = 6.0
BARS = {"lost": 0, "delta_p95_ms": 33.0, "all_p99_ms": 150.0, "cpu_ratio": 1.8, "kb_per_viewer": 250.0}


def fanout_us_per_packet(seconds: float) -> float:
    """What the fan-out bench says on this machine, now."""
    command = [sys.executable, "-m", "loadtests.relay.fanout", "--json", "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=seconds + 60)
    return float(json.loads(done.stdout)["us_per_packet"])


@contextlib.contextmanager
def publishing(url: str, seconds: float, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A publisher in a process of its own, for `seconds` at most."""
    command = [
        sys.executable,
        "-m",
        "loadtests.relay.publisher",
        url,
        "--json",
        "--seconds",
        str(seconds),
        *flags,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
        try:
            yield publisher
        finally:
            publisher.terminate()


async def measure(
    node: NodeProcess, viewers: int, sample: int, rate: float, seconds: float
) -> dict[str, Any]:
    """Joins the crowd, lets it settle, then looks at the node for `seconds`."""
    crowd = Crowd(node.url("whep"), "", viewers, sample)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as crowd.http:
        reports = asyncio.create_task(crowd.report())
        empty = node.used()
        await crowd.join(rate)
        await asyncio.sleep(SETTLE_S)
        crowd.start_over()
        before = node.used()
        await asyncio.sleep(seconds)
        after = node.used()
        figures = crowd.figures()
        reports.cancel()
        await crowd.leave()
    packets = max(after["packets"] - before["packets"], 1)
    cpu_s = after["cpu_s"] - before["cpu_s"]
    return figures | {
        "packets_sent": packets,
        "cpu_us_per_packet": round(cpu_s / packets * 1e6, 3),
        "cores": round(cpu_s / (after["at_s"] - before["at_s"]), 2),
        "kb_per_viewer": round((after["rss_kb"] - empty["rss_kb"]) / max(len(crowd.inside), 1), 1),
        "drops": sum(after["drops"].values()) - sum(before["drops"].values()),
        "failures": sorted(set(crowd.failures))[:3],
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    bare = fanout_us_per_packet(options.fanout_seconds)
    lasts = options.viewers / options.rate + SETTLE_S + options.seconds + 60
    with running_node() as node, publishing(node.url("whip"), lasts, "--ignore-pli"):
        wait_for_picture(node.url("whep"))
        figures = asyncio.run(measure(node, options.viewers, options.sample, options.rate, options.seconds))
    ratio = round(figures["cpu_us_per_packet"] / bare, 3)
    return {"seconds": options.seconds, "fanout_us_per_packet": bare, "cpu_ratio": ratio} | figures


def wait_for_picture(whep: str) -> None:
    """One viewer, until it has a picture: then the publisher is on air."""

    async def look() -> None:
        async with asyncio.timeout(120):
            while True:
                crowd = Crowd(whep, "", viewers=1, sample=1)
                async with aiohttp.ClientSession() as crowd.http:
                    await crowd.join(100)
                    await asyncio.sleep(0.5)
                    await crowd.leave()
                if any(viewer.watch.video.received for viewer in crowd.watched):
                    return

    asyncio.run(look())


def misses(figures: dict[str, Any]) -> list[str]:
    """The bars that were not held, for people; a benchmark that ran whole is not a failure."""
    return [f"{name} is {figures[name]}, bar {bar}" for name, bar in BARS.items() if figures[name] > bar]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=10)
    parser.add_argument("--rate", type=float, default=30.0, help="joins a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fanout-seconds", type=float, default=8.0)
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    figures = run(options)
    if not options.json:
        print("\n".join(misses(figures)) or "all bars held")
    print(json.dumps(figures))
    return 0 if figures["viewers"] == options.viewers else 1


if __name__ == "__main__":
    raise SystemExit(main())
