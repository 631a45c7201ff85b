"""A media node in a process of its own that can say what it holds, for runs that look for what is left.

Tickets are `publish.SHOW` and `view.SHOW`, good as often as they come. For each line on stdin one line of
JSON: every socket, session, timer and key that is there now. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from loadtests.fuzz.rig import Faults, Nobody, OpenAdmission
from loadtests.fuzz.worker import rss_kb
from stream.node import Node, NodeSettings

_COUNTED = (
    *("Peer", "Viewer", "Publisher", "Broadcast", "Dtls", "IceLite", "Countered", "EventStream"),
    *("Lane", "Session", "Connection", "_Connection", "TimerHandle", "Task"),
)
"""By the names of their classes: ours, libsrtp's `Session`, OpenSSL's `Connection`, the loop's own."""


class CountedNode:
    """The other end of the pipe. `process.poll()` says whether it still lives."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        ports = self._line()
        self.http_port: int = ports["http_port"]
        self.udp_port: int = ports["udp_port"]

    def url(self, kind: str, show: str) -> str:
        ticket = {"whip": "publish", "whep": "view"}[kind]
        return f"http://127.0.0.1:{self.http_port}/{kind}?ticket={ticket}.{show}"

    def held(self) -> dict[str, Any]:
        """`objects` by class, `fds`, `threads`, `rss_kb`, `faults`, and what is allocated: `blocks` from
        Python's own pools, `heap_kb` from the C library. Waits for as long as that takes."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextlib.contextmanager
def counted_node() -> Iterator[CountedNode]:
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.relay.counted_node"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield CountedNode(process)
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


async def _serve() -> None:
    faults = Faults()
    logging.getLogger().addHandler(faults)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.seen.append(context.get("exception") or RuntimeError(context["message"]))
    )
    node = Node(NodeSettings(), OpenAdmission(), Nobody())
    await node.start()
    print(json.dumps({"http_port": node.http_port, "udp_port": node.udp_port}), flush=True)
    try:
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(_held(node, faults)), flush=True)
    finally:
        await node.stop()


def _held(node: Node, faults: Faults) -> dict[str, Any]:
    gc.collect()
    _return_free_memory()
    found = Counter(type(held).__name__ for held in gc.get_objects() if not _is_cancelled(held))
    stats = node.fanout.stats()
    return {
        "at_s": time.monotonic(),
        "sessions": len(node.sessions),
        "broadcasts": len(node.sessions.broadcasts),
        "objects": {name: found[name] for name in _COUNTED},
        "fds": len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0,
        "threads": threading.active_count(),
        "rss_kb": rss_kb(),
        "heap_kb": _heap_kb(),
        "blocks": sys.getallocatedblocks(),
        "faults": [repr(error) for error in faults.seen[:5]],
        "drops": {cause: count for cause, count in stats.drops.items() if count},
    }


def _return_free_memory() -> None:
    """glibc keeps what was freed, some megabytes more or less each time."""
    with contextlib.suppress(AttributeError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33, mallinfo(3)."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _heap_kb() -> int:
    """In use, not only held; 0 where the C library doesn't say."""
    with contextlib.suppress(AttributeError):
        ask = ctypes.CDLL(None).mallinfo2
        ask.restype = _MallInfo
        info = ask()
        return int(info.uordblks + info.hblkhd) // 1024
    return 0


def _is_cancelled(held: Any) -> bool:
    """A timer that was cancelled waits in the loop's heap for its time, and holds nothing."""
    return type(held) is asyncio.TimerHandle and held.cancelled()


if __name__ == "__main__":
    asyncio.run(_serve())
