"""What an order costs. Prices include tax, so tax is a part of the total and never added to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """A shop's terms. `tax_rate_bp` in basis points (1900 is 19 %), included in prices and shipping."""

    currency: str
    tax_rate_bp: int
    flat_shipping_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """total = subtotal + shipping; `tax_minor` is the part of the total that is tax."""

    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int


def included_tax_minor(total_minor: int, tax_rate_bp: int) -> int:
    """total * rate / (10000 + rate), rounded half up to a minor unit, once for the whole order."""
    share, whole = total_minor * tax_rate_bp, 10_000 + tax_rate_bp
    return (2 * share + whole) // (2 * whole)


def totals(lines: Iterable[tuple[int, int]], terms: Terms) -> Totals:
    """The totals of (unit price in minor units, quantity) lines. One flat shipping an order."""
    subtotal = sum(price * quantity for price, quantity in lines)
    total = subtotal + terms.flat_shipping_minor
    return Totals(
        subtotal_minor=subtotal,
        shipping_minor=terms.flat_shipping_minor,
        tax_minor=included_tax_minor(total, terms.tax_rate_bp),
        total_minor=total,
    )
