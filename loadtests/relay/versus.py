"""One of our nodes against a MediaMTX that you have: the same host and viewers, one core each, in turn.

    python -m loadtests.relay.versus --peer ./mediamtx --json
    make bench-versus ARGS="--peer ./mediamtx"

Each round starts a relay anew and pins it to one core, so that what it does is the work of one core; the host
and the viewers share the others. The host is `publisher`'s: 2.5 Mbit/s with keyframes of 50 packets every 2 s
and sound, deaf to keyframe requests, as OBS is. Every viewer answers consent checks and reads all that comes,
at either relay, since what a kernel drops unread is cheap to send. CPU is of the whole process, and packets
are those that viewers have read. `cores` near 1 means that a relay was at its end: then look at
`frames_missing`, and measure again with fewer `--viewers`. `overflowed` above 0 means that the viewers were:
the kernel dropped what they did not read in time, and the machine was too busy to compare on. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.relay.crowd import SETTLE_S, publishing, wait_for_picture
from loadtests.relay.node import running_node
from loadtests.relay.viewers import Crowd

START_S = 20.0
_COUNTS = ("lost", "overflowed", "frames_missing", "failed", "no_picture")
"""Added over the rounds; of everything else it is the median."""
_KEPT = ("delta_p95_ms", "all_p99_ms", "first_picture_p50_ms", "viewers", *_COUNTS)


@dataclass(frozen=True, slots=True)
class Relay:
    """A running one."""

    pid: int
    whip: str
    whep: str

    def cpu_s(self) -> float:
        """Of all its threads, in and for the kernel too (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024


@contextlib.contextmanager
def our_node() -> Iterator[Relay]:
    with running_node() as node:
        yield Relay(node.pid, node.url("whip"), node.url("whep"))


@contextlib.contextmanager
def mediamtx(program: Path) -> Iterator[Relay]:
    """Its defaults, on loopback, without the protocols that nobody speaks here."""
    http, udp = _free_port(socket.SOCK_STREAM), _free_port(socket.SOCK_DGRAM)
    settings = {
        **dict.fromkeys(("RTSP", "RTMP", "HLS", "SRT", "MOQ"), "no"),
        "LOGLEVEL": "error",
        "WEBRTCADDRESS": f"127.0.0.1:{http}",
        "WEBRTCLOCALUDPADDRESS": f"127.0.0.1:{udp}",
        "WEBRTCIPSFROMINTERFACES": "no",
        "WEBRTCADDITIONALHOSTS": "127.0.0.1",
        "PATHS_SHOW_SOURCE": "publisher",
    }
    environment = os.environ | {f"MTX_{name}": value for name, value in settings.items()}
    with (
        tempfile.TemporaryDirectory() as empty,
        subprocess.Popen([program], cwd=empty, env=environment, stdout=subprocess.DEVNULL) as process,
    ):
        try:
            _wait_until_it_listens(process, http)
            url = f"http://127.0.0.1:{http}/show"
            yield Relay(process.pid, f"{url}/whip", f"{url}/whep")
        finally:
            process.terminate()


def _free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen: does it run by itself?")


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
    return {
        "cpu_us_per_packet": round(relay_s / packets * 1e6, 2),
        "packets_each_s": round(packets / took_s),
        "cores": round(relay_s / took_s, 2),
        "viewers_cores": round(load_s / took_s, 2),
        "kb_per_viewer": round((full_kb - empty_kb) / max(len(crowd.inside), 1), 1),
        **{name: seen[name] for name in _KEPT},
    }


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
    program = options.peer.resolve()
    starts = {"hawker": our_node, "mediamtx": lambda: mediamtx(program)}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    for turn in range(options.rounds):
        for name in list(starts)[:: 1 if turn % 2 == 0 else -1]:
            rounds[name].append(one_round(starts[name], options))
            if not options.json:
                print(name, json.dumps(rounds[name][-1]), flush=True)
    each = {name: over_rounds(figures) for name, figures in rounds.items()}
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, timeout=START_S
    )
    return {
        "ratio": round(each["hawker"]["cpu_us_per_packet"] / each["mediamtx"]["cpu_us_per_packet"], 3),
        "peer": f"MediaMTX {version.stdout.strip()}",
        "seconds": options.seconds,
        "rounds": options.rounds,
    } | each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="the program mediamtx")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--sample", type=int, default=10, help="viewers whose packets are looked at")
    parser.add_argument("--rate", type=float, default=25.0, help="joins a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each look")
    parser.add_argument("--rounds", type=int, default=3, help="of each relay")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    if not options.peer.is_file():
        parser.error(f"there is no {options.peer}: give the program mediamtx, from its releases or built")
    figures = run(options)
    print(json.dumps(figures))
    return 0 if figures["hawker"]["packets_each_s"] and figures["mediamtx"]["packets_each_s"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
