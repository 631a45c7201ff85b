"""Money in minor units. Amounts of different currencies never meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`amount_minor` in the currency's smallest unit (cents, yen); `currency` in ISO 4217, upper case."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __mul__(self, quantity: int) -> Money:
        return Money(self.amount_minor * quantity, self.currency)

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} can't be added up")
        return other.amount_minor
