"""A flash price: less for a while.

Theory: a flash price is a window in time, `starts_ms <= now < ends_ms`, cut short where it is ended early or
another takes its place. It counts while `running`, and that is decided from the clock when it is looked at:
nobody has to end it in time for it to be over. Being over is written down once, by whoever notices first,
and only tells. There is no grace: a tap is charged the price of the moment in which its order is written,
and one that saw another price is refused with the new one. A second card after a decline keeps the order's
price until SECOND_CARD_GRACE_S after the window's end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

SECOND_CARD_GRACE_S = 300


class Over(StrEnum):
    TIME = "time"
    EARLY = "early"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Flash:
    """`buyer_limit` 0: as many as the variant allows. Times in Unix ms, amounts in minor units."""

    id: str
    variant_id: str
    price_minor: int
    buyer_limit: int
    starts_ms: int
    ends_ms: int
    over: Over | None = None
    over_ms: int | None = None


def problem(price_minor: int, base_minor: int) -> str | None:
    """Why this can't be a flash price, for people, or None."""
    if not 0 < price_minor < base_minor:
        return "A flash price is below the usual price, and above nothing."
    return None


def running(flash: Flash, now_ms: int) -> bool:
    return flash.over is None and flash.starts_ms <= now_ms < flash.ends_ms


def price(base_minor: int, flash: Flash | None, now_ms: int) -> int:
    """What one unit costs now: never more than without the flash."""
    if flash is None or not running(flash, now_ms):
        return base_minor
    return min(base_minor, flash.price_minor)


def ended(flash: Flash, why: Over, now_ms: int) -> Flash | None:
    """The flash price when it is over, or None where that changes nothing: it was over, or has time left.

    One whose time had run out before is over by time, whatever was meant to end it.
    """
    if flash.over is not None or (why is Over.TIME and now_ms < flash.ends_ms):
        return None
    return replace(flash, over=Over.TIME if now_ms >= flash.ends_ms else why, over_ms=now_ms)
