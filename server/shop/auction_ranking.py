"""Who leads, and at what price: the highest maximum pays one increment more than the second highest."""

from __future__ import annotations

from dataclasses import dataclass

from server.shop.auction_book import Terms


@dataclass(frozen=True, slots=True)
class Best:
    """A bidder's highest standing bid."""

    user_id: str
    max_minor: int
    n: int

    def beats(self, other: Best | None) -> bool:
        return other is None or (self.max_minor, -self.n) > (other.max_minor, -other.n)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The two who matter."""

    leader: Best | None = None
    second: Best | None = None

    def joined(self, best: Best) -> Ranking:
        """The ranking with a bidder's new best bid, which is above that bidder's former ones."""
        others = [b for b in (self.leader, self.second) if b is not None and b.user_id != best.user_id]
        first, *rest = sorted([*others, best], key=lambda b: (-b.max_minor, b.n))
        return Ranking(first, rest[0] if rest else None)

    def price_minor(self, terms: Terms) -> int:
        if self.leader is None:
            return terms.start_minor
        top = self.leader.max_minor
        price = terms.start_minor
        if self.second is not None:
            price = min(top, self.second.max_minor + terms.increment_minor)
        return max(price, terms.reserve_minor) if top >= terms.reserve_minor else price

    def reserve_met(self, terms: Terms) -> bool:
        return terms.reserve_minor == 0 or (
            self.leader is not None and self.leader.max_minor >= terms.reserve_minor
        )
