"""Half an hour of viewers coming and going in every way there is: what does the node keep of them?

    python -m loadtests.relay.soak --minutes 30 --rate 4      (make soak)

Each visit is one of `VISITS`, from the well-behaved to the rude; meanwhile the publisher leaves and comes
back, by DELETE, by goodbye, without a word, and by taking over from itself. The node is a process of its own.
At the end, when everyone has gone and its timeouts have passed, it must hold no socket, session, key, timer
or task more than when it was empty. At half-time everyone goes as well: pools, caches and what is remembered
are full then. What the second half adds, by join, is `rss_growth_kb_per_join`; since allocators keep whole
pages for one byte in use, `is_flat` looks at what is allocated: `heap_kb`, and `blocks` of Python's objects.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.fuzz.live import SETTLE_S, more
from loadtests.relay.counted_node import CountedNode, counted_node
from loadtests.relay.peer import Identity
from loadtests.relay.publisher import Publisher
from loadtests.relay.soak_visits import VISITS, Visit, vanish
from loadtests.relay.stream import Shape

SAMPLE_EVERY_S = 5.0
FLAT = {"heap_kb": (300.0, 0.1), "blocks": (1000.0, 0.3)}
"""Once, and by join. What is cached of the last picture is more or less, once; a session left behind is a
hundred kB and a thousand objects, so one in a thousand would show."""
MAX_INSIDE = 150


@dataclass(slots=True)
class Soak:
    node: CountedNode
    http: aiohttp.ClientSession
    dice: random.Random
    began: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    rss_kb: list[int] = field(default_factory=list)
    """While they come and go."""
    returns: int = 0
    _identity: Identity = field(default_factory=Identity)
    _inside: set[asyncio.Task[None]] = field(default_factory=set)
    _publishing: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float, rate: float) -> None:
        ends = time.monotonic() + seconds
        host = asyncio.create_task(self._host())
        sampling = asyncio.create_task(self._sample())
        await asyncio.sleep(2)
        for _ in range(MAX_INSIDE):
            self._begin()
        while time.monotonic() < ends:
            if len(self._inside) < MAX_INSIDE:
                self._begin()
            await asyncio.sleep(self.dice.expovariate(rate))
            if self.node.process.poll() is not None:
                raise ConnectionError(f"the node ended with {self.node.process.returncode}")
        await asyncio.gather(*self._inside, return_exceptions=True)
        for task in (host, sampling):
            task.cancel()
        await asyncio.gather(host, sampling, return_exceptions=True)

    def _begin(self) -> None:
        name = self.dice.choices(list(VISITS), [share for _, share in VISITS.values()])[0]
        visit = Visit(self.http, self.node.url("whep", "show"), self._identity, self.dice)
        self.began[name] += 1
        task = asyncio.create_task(self._visit(name, visit))
        self._inside.add(task)
        task.add_done_callback(self._inside.discard)

    async def _visit(self, name: str, visit: Visit) -> None:
        try:
            async with asyncio.timeout(90):
                await VISITS[name][0](visit)
        except Exception as error:
            self.failures.append(f"{visit.stage}: {name}: {type(error).__name__}: {error}")
        finally:
            visit.free()

    async def _host(self) -> None:
        """On air, away, back; now and then twice at once, which is a takeover."""
        on_air = self._publish()
        try:
            while True:
                await asyncio.sleep(self.dice.uniform(15, 60))
                self.returns += 1
                on_air = await self._return(*on_air)
        finally:
            for task in tuple(self._publishing):
                await _end(task)

    async def _return(
        self, publisher: Publisher, task: asyncio.Task[None]
    ) -> tuple[Publisher, asyncio.Task[None]]:
        if self.dice.random() < 0.25:
            successor = self._publish()
            await asyncio.sleep(2)
            await _end(task)
            return successor
        if self.dice.random() < 0.5 and hasattr(publisher, "_peer"):
            vanish(publisher._peer)
        await _end(task)
        await asyncio.sleep(self.dice.uniform(0.5, 6))
        return self._publish()

    def _publish(self) -> tuple[Publisher, asyncio.Task[None]]:
        publisher = Publisher(
            Identity(), Shape(400_000, keyframe_packets=20), ignore_pli=False, pace=20_000_000
        )
        url = self.node.url("whip", "show")
        task = asyncio.create_task(publisher.run(url, "", self.dice.uniform(20, 90)))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        return publisher, task

    async def _sample(self) -> None:
        while True:
            self.rss_kb.append(resident_kb(self.node.process.pid))
            await asyncio.sleep(SAMPLE_EVERY_S)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def resident_kb(pid: int) -> int:
    """Linux only."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def soak(seconds: float, rate: float, seed: int, settle_s: float) -> dict[str, Any]:
    with counted_node() as node:
        empty = node.held()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as http:
            run = Soak(node, http, random.Random(seed))
            await run.run(seconds / 2, rate)
            _, half = await settled(node, empty, settle_s)
            joins = run.began.total()
            await run.run(seconds / 2, rate)
        left, now = await settled(node, empty, settle_s)
    step = max(1, len(run.rss_kb) // 30)
    grown = growth_per_join(half, now, run.began.total() - joins)
    return {
        "minutes": round(seconds / 60, 1),
        "joins": run.began.total(),
        "rss_growth_kb_per_join": round(grown["rss_kb"], 3),
        "is_flat": is_flat(half, now, run.began.total() - joins),
        "when_empty": {name: [held[name] for held in (empty, half, now)] for name in grown},
        "leaked": sum(left.values()) + len(now["faults"]),
        "left": left,
        "faults": now["faults"],
        "returns": run.returns,
        "visits": dict(run.began),
        "failed": len(run.failures),
        "failures": Counter(text[:120] for text in run.failures).most_common(5),
        "rss_kb": run.rss_kb[::step],
    }


def is_flat(before: dict[str, Any], after: dict[str, Any], joins: int) -> bool:
    return all(after[name] - before[name] <= once + each * joins for name, (once, each) in FLAT.items())


def growth_per_join(before: dict[str, Any], after: dict[str, Any], joins: int) -> dict[str, float]:
    """Less than before is no growth."""
    return {
        name: max(0, after[name] - before[name]) / max(1, joins) for name in ("rss_kb", "heap_kb", "blocks")
    }


async def settled(
    node: CountedNode, empty: dict[str, Any], settle_s: float
) -> tuple[dict[str, int], dict[str, Any]]:
    """What is held beyond `empty` once the timeouts have passed, and everything that is held then."""
    ends = time.monotonic() + settle_s
    now = node.held()
    while more(now, empty) and time.monotonic() < ends:
        await asyncio.sleep(2)
        now = node.held()
    return more(now, empty), now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=4.0, help="visits a second, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds for the node's own timeouts")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    figures = asyncio.run(soak(options.minutes * 60, options.rate, options.seed, options.settle))
    if not options.json:
        for name in ("visits", "failures", "left", "faults", "rss_kb"):
            print(f"{name}: {figures[name]}")
    print(json.dumps({name: value for name, value in figures.items() if name not in ("visits", "failures")}))
    return 1 if figures["leaked"] or not figures["is_flat"] else 0


if __name__ == "__main__":
    sys.exit(main())
