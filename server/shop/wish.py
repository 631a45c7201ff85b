"""What a buyer asks for with one tap, before anything is promised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from server.shop.ids import OrderId, ShopId, ShowId, UserId, VariantId

MAX_LINES = 20
MAX_QUANTITY = 99


@dataclass(frozen=True, slots=True)
class WishLine:
    """`unit_price_minor` is the price the buyer saw."""

    variant_id: VariantId
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Wish:
    """One tap. `order_id` is the buyer's own and names the order, whatever happens on the way."""

    order_id: OrderId
    shop_id: ShopId
    show_id: ShowId | None
    user_id: UserId
    lines: tuple[WishLine, ...]
    card_id: str | None = None
    address_id: str | None = None
    show_first_name: bool = False
    media_time: int | None = None
    offer_id: str | None = None  # a waitlist's
    position: int | None = None  # in a drop, as the gate counted it

    def digest(self) -> str:
        """SHA-256 of what is asked for: the same id with another digest is another request.

        The media time is left out: a client that asks again has moved on in the picture. So is the position,
        which is ours.
        """
        lines = sorted((line.variant_id, line.quantity, line.unit_price_minor) for line in self.lines)
        asked = (self.user_id, self.show_id, lines, self.card_id, self.address_id, self.show_first_name)
        content = (*asked, self.offer_id) if self.offer_id else asked
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def problem(wish: Wish) -> str | None:
    """What is wrong with the wish itself, for people, or None."""
    if not 1 <= len(wish.lines) <= MAX_LINES:
        return f"An order has 1 to {MAX_LINES} lines."
    if len({line.variant_id for line in wish.lines}) != len(wish.lines):
        return "Each variant may be on one line only."
    if any(not 1 <= line.quantity <= MAX_QUANTITY for line in wish.lines):
        return f"A line has 1 to {MAX_QUANTITY} units."
    if wish.offer_id and len(wish.lines) != 1:
        return "An offer is bought by itself."
    if any(line.unit_price_minor < 0 for line in wish.lines):
        return "A price can't be negative."
    return None
