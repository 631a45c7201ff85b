"""What time does to flash prices, drops and waitlists. Jobs claim rows under their locks, so that with any
number of workers everything happens once; none is needed for anything to be true in time."""

from __future__ import annotations

from collections.abc import Mapping

from server.checkout.ways.wiring import Ways
from server.jobs.news import Handler, each
from server.jobs.runner import Job
from server.store.outbox import OutboxRow

PROMPT_S = 0.1  # rooms hear within 200 ms
POSITIONS_S = 1.0


def ways_jobs(ways: Ways) -> list[Job]:
    return [
        Job("flash", ways.flash_sales.end_due, PROMPT_S),
        Job("drops", ways.drops.advance, PROMPT_S),
        Job("waitlist", ways.waitlists.serve, 0.2),
        Job("places", ways.waitlists.tell_positions, POSITIONS_S, eager=False),
        Job("lines", ways.drops.tell_lines, POSITIONS_S, eager=False),
    ]


def ways_news(ways: Ways) -> Mapping[str, Handler]:
    """The outbox's kinds that tell of ways to sell."""

    async def flash(row: OutboxRow) -> None:
        await ways.flash_sales.tell(row.payload)

    async def drop(row: OutboxRow) -> None:
        await ways.drops.tell(row.payload)

    async def place(row: OutboxRow) -> None:
        await ways.waitlists.tell(row.payload)

    return {"flash": each(flash), "drop": each(drop), "place": each(place)}
