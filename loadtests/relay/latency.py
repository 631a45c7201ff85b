"""Glass to glass in Chromium: how old is the picture that a viewer sees, and how old without a relay?

    python -m loadtests.relay.latency --json      (make bench-latency)

A page publishes a clock in the picture, another page of the same machine reads it off each frame it shows.
The floor is a page that sends to itself, by the same encoder, player and network stack: what is left is the
relay's. Both in turn, several times, so that the machine's mood hits both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from typing import Any

from loadtests.browser import Ages, chromium, glass_to_glass
from loadtests.relay.node import running_node
from loadtests.relay.watch import percentile

BAR_MS = 20.0
"""What the relay may add to the floor."""
MIN_SAMPLES = 200


async def measure(options: argparse.Namespace) -> Ages:
    with running_node() as node:
        whip = (options.whip or node.url("whip"), options.token)
        page = options.page or f"{node.origin}/healthz"
        async with chromium() as browser:
            return await glass_to_glass(
                browser,
                page,
                whip,
                options.whep or node.url("whep"),
                seconds=options.seconds,
                rounds=options.rounds,
            )


def figures(ages: Ages) -> dict[str, Any]:
    return {
        "p50_ms": round(statistics.median(ages.relay), 1),
        "floor_p50_ms": round(statistics.median(ages.floor), 1),
        "p95_ms": round(percentile(ages.relay, 95), 1),
        "floor_p95_ms": round(percentile(ages.floor, 95), 1),
        "samples": len(ages.relay),
        "floor_samples": len(ages.floor),
        "unreadable": ages.unreadable,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each look")
    parser.add_argument("--rounds", type=int, default=3, help="looks at the relay and at the floor")
    parser.add_argument("--whip", default="", help="another server's URL to publish to, with --whep")
    parser.add_argument("--whep", default="", help="and to play from")
    parser.add_argument("--page", default="", help="a page whose scripts may ask that server")
    parser.add_argument("--token", default="", help="bearer token of the publisher")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    ages = asyncio.run(measure(options))
    seen = figures(ages) if ages.relay and ages.floor else {}
    if not options.json and seen:
        print(f"the relay adds {seen['p50_ms'] - seen['floor_p50_ms']:.1f} ms (bar: {BAR_MS:.0f})")
    print(json.dumps(seen))
    return 0 if min(len(ages.relay), len(ages.floor)) >= MIN_SAMPLES else 1


if __name__ == "__main__":
    raise SystemExit(main())
