"""Five million malformed STUN, DTLS, RTP, RTCP, SDP and HTTP inputs: no crash, no leak, no show disturbed.

    python -m loadtests.fuzz --inputs 5000000 --seed 1      (make fuzz)

Inputs are real packets and offers, changed (`mutator`), some of them signed or sealed with a session's
own keys so that they reach the parsers behind. Most go to a whole relay within each worker (`rig`), a
tenth over real UDP, TCP and HTTP to a node with a show on air (`live`). A crash is an exception that is
no declared refusal, or a process that ends; a leak is anything still held when everyone has gone, or memory
beyond a stated bound. A seed repeats the choices, not the keys; each crash is printed with its
input.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests.fuzz.live import SETTLE_S, attack
from loadtests.fuzz.native import build, environment

LIVE_SHARE = 0.1
SANITIZED_SHARE = 0.02
"""On the C file with sanitizers, where a compiler has them."""
LIVE_RATE = 1500.0
MAX_LIVE_S = 330.0
"""At a pace that leaves the show its CPU; a larger run sends more to the workers."""


def run(inputs: int, seed: int, workers: int, settle_s: float) -> dict[str, Any]:
    live = min(int(inputs * LIVE_SHARE), int(LIVE_RATE * MAX_LIVE_S))
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        sanitized = int(inputs * SANITIZED_SHARE) if library else 0
        each = -(-(inputs - live - sanitized) // workers)
        running = [_worker(each, seed * 1000 + number) for number in range(workers)]
        if library:
            running.append(_worker(sanitized, seed * 1000 + 999, library))
        try:
            found, disturbed = attack(live, seed, LIVE_RATE, settle_s)
            results = [_result(process) for process in running]
        finally:
            for process in running:
                process.kill()
    by_target: dict[str, int] = dict(found.inputs)
    for result in results:
        for target, count in result["inputs"].items():
            by_target[target] = by_target.get(target, 0) + count
    for example in [
        *found.examples,
        *(text for result in results for text in result["examples"]),
        *disturbed,
    ]:
        print(example, file=sys.stderr)
    return {
        "inputs": sum(by_target.values()),
        "crashes": found.crashes + sum(result["crashes"] for result in results),
        "leaks": found.leaks + sum(result["leaks"] for result in results),
        "disturbed": len(disturbed),
        "sanitized": sanitized,
        "by_target": by_target,
    }


def _worker(inputs: int, seed: int, library: Path | None = None) -> subprocess.Popen[str]:
    program = ["loadtests.fuzz.sanitized", str(library)] if library else ["loadtests.fuzz.worker"]
    command = [sys.executable, "-m", *program, "--inputs", str(inputs), "--seed", str(seed)]
    environ = environment() if library else None
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_step_back, env=environ)


def _step_back() -> None:
    """The show on air goes first."""
    os.nice(15)


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    if process.returncode or not out:
        died = f"a worker ended with {process.returncode}: {' '.join(map(str, process.args))}"  # type: ignore[arg-type]
        return {"inputs": {}, "crashes": 1, "leaks": 0, "examples": [died]}
    result: dict[str, Any] = json.loads(out)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds for the node's own timeouts")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    started = time.monotonic()
    figures = run(options.inputs, options.seed, options.workers, options.settle)
    by_target = figures.pop("by_target")
    if not options.json:
        print("\n".join(f"{count:>9} {target}" for target, count in sorted(by_target.items())))
    figures["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(figures))
    return 1 if figures["crashes"] or figures["leaks"] or figures["disturbed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
