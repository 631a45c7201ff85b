"""Where a unit is. Theory: every unit a shop has put on sale is in exactly one of three places,

    stock = available + held + sold

`available` can be taken by a tap, `held` belongs to an order that is charging, `sold` is paid for. A movement
takes units from one place to another, so the sum changes only when the shop itself sets or takes back stock.
Every movement is written down; the sums of a variant's movements are its stock.

    hold:     available -> held       a tap
    sell:     held      -> sold       paid
    release:  held      -> available  declined, cancelled
    return:   sold      -> available  refunded and put back on sale
    set:      (shop)    -> available  the producer counts again

Units that are offered to the first on a waitlist are kept for them for a time:

    offer:      available -> held       offered
    offer_back: held      -> available  the time has passed, turned down, or about to be held by its order

A unit that is up for auction is off sale, and goes from there to whoever won:

    auction:      available -> (auction)  announced
    auction_back: (auction) -> available  unsold, called off
    award:        (auction) -> held       the winner is charged
    award_back:   held      -> (auction)  declined: the next in line is
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Movement(StrEnum):
    SET = "set"
    HOLD = "hold"
    SELL = "sell"
    RELEASE = "release"
    RETURN = "return"
    OFFER = "offer"
    OFFER_BACK = "offer_back"
    AUCTION = "auction"
    AUCTION_BACK = "auction_back"
    AWARD = "award"
    AWARD_BACK = "award_back"


@dataclass(frozen=True, slots=True)
class Delta:
    """What one unit's movement does to each place."""

    available: int
    held: int
    sold: int


DELTAS = {
    Movement.SET: Delta(1, 0, 0),
    Movement.HOLD: Delta(-1, 1, 0),
    Movement.SELL: Delta(0, -1, 1),
    Movement.RELEASE: Delta(1, -1, 0),
    Movement.RETURN: Delta(1, 0, -1),
    Movement.OFFER: Delta(-1, 1, 0),
    Movement.OFFER_BACK: Delta(1, -1, 0),
    Movement.AUCTION: Delta(-1, 0, 0),
    Movement.AUCTION_BACK: Delta(1, 0, 0),
    Movement.AWARD: Delta(0, 1, 0),
    Movement.AWARD_BACK: Delta(0, -1, 0),
}
