"""One process of the fuzz run: a seed and a count in, what it found out as a line of JSON."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import logging
import os
import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.fuzz.rig import Faults
from loadtests.fuzz.seeds import Seeds, collect
from loadtests.fuzz.targets import ROUND, Targets
from stream.wire.dtls import DtlsContext

WARM_UP_ROUNDS = 5
RSS_BOUND_KB = 24 * 1024
"""What a worker may grow by, first rounds aside: caches, arenas, fragmentation. A leak of a byte an input
would be more, soon."""
_KEPT = 20


@dataclass(slots=True)
class Found:
    inputs: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    places: Counter[str] = field(default_factory=Counter)
    leaks: int = 0
    examples: list[str] = field(default_factory=list)
    rss_kb: list[int] = field(default_factory=list)

    def crash(self, target: str, data: bytes | str, error: BaseException) -> None:
        """One example is kept of each place."""
        self.crashes += 1
        frames = traceback.extract_tb(error.__traceback__)[-1:]
        place = (
            f"{type(error).__name__} at {frames[0].filename}:{frames[0].lineno}" if frames else repr(error)
        )
        if place not in self.places and len(self.examples) < _KEPT:
            where = "".join(traceback.format_exception(error)[-6:])
            self.examples.append(f"{target}: {data.hex() if isinstance(data, bytes) else data!r}\n{where}")
        self.places[place] += 1

    def leak(self, what: str) -> None:
        self.leaks += 1
        if len(self.examples) < _KEPT:
            self.examples.append(f"leak: {what}")


def run(inputs: int, seed: int, *, seconds: float = float("inf"), rss_bound_kb: int = RSS_BOUND_KB) -> Found:
    """`inputs` of them, or as many as fit into `seconds`."""
    dice, found, context, seeds = random.Random(seed), Found(), DtlsContext(), collect()
    faults = Faults()
    logger = logging.getLogger("stream")
    logger.addHandler(faults)
    logger.propagate = False
    ends = time.monotonic() + seconds
    try:
        while found.inputs.total() < inputs and time.monotonic() < ends:
            _round(dice, seeds, context, faults, found, min(ROUND, inputs - found.inputs.total()))
            gc.collect()
            found.rss_kb.append(rss_kb())
    finally:
        logger.removeHandler(faults)
        logger.propagate = True
    grown = max(found.rss_kb[WARM_UP_ROUNDS:], default=0) - max(found.rss_kb[:WARM_UP_ROUNDS], default=0)
    if len(found.rss_kb) > 2 * WARM_UP_ROUNDS and grown > rss_bound_kb:
        found.leak(f"{grown} kB more resident than after the first rounds")
    return found


def _round(
    dice: random.Random, seeds: Seeds, context: DtlsContext, faults: Faults, found: Found, inputs: int
) -> None:
    targets = Targets(dice, seeds, context)
    calls, weights = zip(*targets.shares(), strict=True)
    for number, call in enumerate(dice.choices(calls, weights, k=inputs)):
        found.inputs[call.__name__] += 1
        try:
            call()
            if number % 8 == 0:
                targets.pass_time()
        except Exception as error:
            found.crash(call.__name__, targets.last, error)
        if faults.seen:
            found.crash(call.__name__, targets.last, faults.seen.pop())
            faults.seen.clear()
    left = targets.rig.close()
    if left:
        found.leak(f"after a round: {left}")
    if targets.rig.refused():
        found.crash("fanout", b"", RuntimeError(f"given what it must refuse: {targets.rig.refused()}"))


def rss_kb() -> int:
    """Linux only; elsewhere 0."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0


def main(rss_bound_kb: int = RSS_BOUND_KB) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    faulthandler.enable()
    logging.getLogger("stream").setLevel(logging.ERROR)
    found = run(options.inputs, options.seed, rss_bound_kb=rss_bound_kb)
    result: dict[str, Any] = {
        "inputs": dict(found.inputs),
        "crashes": found.crashes,
        "leaks": found.leaks,
        "examples": found.examples,
        "rss_kb": found.rss_kb[:: max(1, len(found.rss_kb) // 20)],
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
