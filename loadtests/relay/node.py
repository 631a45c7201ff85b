"""A media node in a process of its own, with an in-memory admission: what the benches measure.

Any ticket `publish` or `view` is good, as often as it comes. On stdout a line of JSON with the ports, then,
for each line on stdin, one with what the process has used; it ends with stdin. `--announced HOST:PORT` is
where clients are told to send media, for what stands in between.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests.relay.signalling import address
from stream.node import Node, NodeSettings
from stream.ports import BroadcastId, Carried, Grant, Purpose

SHOW = BroadcastId("show")


class OpenAdmission:
    async def redeem(self, ticket: str) -> Grant | None:
        try:
            return Grant(SHOW, Purpose(ticket), credential=ticket)
        except ValueError:
            return None


class NoObserver:
    def broadcast_changed(self, broadcast: BroadcastId, carried: Carried) -> None: ...

    def node_beat(self, broadcasts: dict[BroadcastId, Carried]) -> None: ...


class NodeProcess:
    """The other end: a running node's addresses and figures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        ports = self._line()
        self._port = ports["http_port"]
        self.udp_port = int(ports["udp_port"])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def url(self, kind: str) -> str:
        ticket = {"whip": Purpose.PUBLISH, "whep": Purpose.VIEW}[kind]
        return f"{self.origin}/{kind}?ticket={ticket}"

    def used(self) -> dict[str, Any]:
        """`cpu_s` of the whole process, `rss_kb`, `packets` sent to viewers, `drops` by cause, `fanout_s`."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def running_node(*flags: str) -> Iterator[NodeProcess]:
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.relay.node", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield NodeProcess(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)


async def _serve(announced: tuple[tuple[str, int], ...]) -> None:
    node = Node(NodeSettings(announced=announced, tcp=not announced), OpenAdmission(), NoObserver())
    await node.start()
    print(json.dumps({"http_port": node.http_port, "udp_port": node.udp_port}), flush=True)
    try:
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(_used(node)), flush=True)
    finally:
        await node.stop()


def _used(node: Node) -> dict[str, Any]:
    stats = node.fanout.stats()
    return {
        "at_s": time.monotonic(),
        "cpu_s": time.process_time(),
        "rss_kb": _rss_kb(),
        "packets": stats.packets,
        "drops": stats.drops,
        "queued": stats.queued,
        "fanout_s": stats.sum_fanout_s,
    }


def _rss_kb() -> int:
    """Linux only; elsewhere 0."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--announced", type=address, action="append", default=[])
    options = parser.parse_args()
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(_serve(tuple(options.announced)))


if __name__ == "__main__":
    main()
