"""The waitlist: a line for what is sold out, and timed offers out of it.

Theory: a place has a number, and numbers are handed out under the stock row's lock, so the line is in the
order of joining. While anybody waits for a variant, units that come back belong to the line: the crowd is
told that it is sold out. They are offered to the first in line and set aside for a time (they move to
`held`); whoever lets the time pass or turns the offer down makes room for the next. A person who would go
over the buyer limit by then loses the place; one who wants more units than there are is offered what there
is.

    waiting --offered--> offered --bought-->  bought
    waiting --left-->    left    --expired--> expired     (from offered)
                         left    <--left--    offered
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class PlaceState(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    BOUGHT = "bought"
    EXPIRED = "expired"
    LEFT = "left"


class PlaceEvent(StrEnum):
    OFFERED = "offered"
    BOUGHT = "bought"
    EXPIRED = "expired"
    LEFT = "left"


_S, _E = PlaceState, PlaceEvent

STEPS: dict[tuple[PlaceState, PlaceEvent], PlaceState] = {
    (_S.WAITING, _E.OFFERED): _S.OFFERED,
    (_S.WAITING, _E.LEFT): _S.LEFT,
    (_S.OFFERED, _E.BOUGHT): _S.BOUGHT,
    (_S.OFFERED, _E.EXPIRED): _S.EXPIRED,
    (_S.OFFERED, _E.LEFT): _S.LEFT,
}


def step(state: PlaceState, event: PlaceEvent) -> PlaceState | None:
    """Where `event` takes a place, or None: it changes nothing (late, or doubled)."""
    return STEPS.get((state, event))


@dataclass(frozen=True, slots=True)
class Waiting:
    """One place in line. `bought`: units of the variant that count for the person's limit already."""

    place_id: str
    quantity: int
    bought: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    place_id: str
    units: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is to be done with units that are there: offers, and places lost to the buyer limit."""

    offers: tuple[Offer, ...]
    over_limit: tuple[str, ...]

    @property
    def units(self) -> int:
        return sum(offer.units for offer in self.offers)


def promotion(line: Sequence[Waiting], available: int, buyer_limit: int) -> Promotion:
    """Serve the line, its first first, until nothing is left. `buyer_limit` 0 means none."""
    offers: list[Offer] = []
    over: list[str] = []
    for waiting in line:
        if available <= 0:
            break
        allowed = waiting.quantity
        if buyer_limit:
            allowed = min(allowed, buyer_limit - waiting.bought)
        if allowed <= 0:
            over.append(waiting.place_id)
            continue
        units = min(allowed, available)
        offers.append(Offer(waiting.place_id, units))
        available -= units
    return Promotion(tuple(offers), tuple(over))
