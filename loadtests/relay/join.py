"""How fast a viewer has a picture, when the publisher can't be asked for a keyframe.

    python -m loadtests.relay.join --json      (make bench-join)

100 joins over 20 s against a publisher with a keyframe every 2 s that ignores keyframe requests, as OBS does.
From before the POST to the arrival of the last packet of the first whole keyframe.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import aiohttp

from loadtests.relay.crowd import publishing, wait_for_picture
from loadtests.relay.node import NodeProcess, running_node
from loadtests.relay.viewers import Crowd, first_pictures_ms
from loadtests.relay.watch import percentile

LINGER_S = 2.5
BARS = {"p95_ms": 150.0, "plis_in_a_second": 1}


async def join(node: NodeProcess, joins: int, over_s: float) -> Crowd:
    crowd = Crowd(node.url("whep"), "", viewers=joins, sample=joins, only_first=True)
    async with aiohttp.ClientSession() as crowd.http:
        await crowd.join(joins / over_s)
        await asyncio.sleep(LINGER_S)
        await crowd.leave()
    return crowd


def run(joins: int, over_s: float) -> dict[str, Any]:
    lasts = over_s + LINGER_S + 6
    with running_node() as node, publishing(node.url("whip"), lasts, "--ignore-pli") as publisher:
        wait_for_picture(node.url("whep"))
        crowd = asyncio.run(join(node, joins, over_s))
        upstream = json.loads(publisher.communicate(timeout=lasts + 20)[0])
    pictures = list(first_pictures_ms(crowd.watched))
    return {
        "p50_ms": round(percentile(pictures, 50), 1),
        "p95_ms": round(percentile(pictures, 95), 1),
        "plis": upstream["plis"],
        "plis_in_a_second": upstream["plis_in_a_second"],
        "joins": len(pictures),
        "failed": joins - len(pictures),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--joins", type=int, default=100)
    parser.add_argument("--over", type=float, default=20.0, help="seconds")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout, nothing else")
    options = parser.parse_args()
    figures = run(options.joins, options.over)
    if not options.json:
        missed = [
            f"{name} is {figures[name]}, bar {bar}" for name, bar in BARS.items() if figures[name] > bar
        ]
        print("\n".join(missed) or "all bars held")
    print(json.dumps(figures))
    return 0 if figures["failed"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
