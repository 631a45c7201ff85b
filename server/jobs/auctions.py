"""Auctions in the worker: the hammer on time, the winner charged, the rooms told what they missed."""

from __future__ import annotations

from server.checkout.auctions.auctioneer import Auctioneer
from server.jobs.runner import Job

HAMMER_TICK_S = 0.1


def auction_jobs(auctioneer: Auctioneer) -> list[Job]:
    return [
        Job("auctions", auctioneer.run, HAMMER_TICK_S),
        Job("auction_news", auctioneer.tell_untold, 0.5, eager=False),
    ]
