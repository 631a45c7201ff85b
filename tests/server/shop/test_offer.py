"""What an order costs: tax is a part of the total, rounded half up, once."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.shop.money import Money
from server.shop.offer import Terms, included_tax_minor, totals

AMOUNT = st.integers(0, 10**9)
RATE = st.integers(0, 10_000)


@given(AMOUNT, RATE)
def test_tax_is_the_nearest_minor_unit(total: int, rate: int) -> None:
    exact = Fraction(total * rate, 10_000 + rate)
    tax = included_tax_minor(total, rate)
    assert Fraction(-1, 2) < tax - exact <= Fraction(1, 2)
    assert 0 <= tax <= total


@given(RATE, AMOUNT, AMOUNT)
def test_more_money_has_no_less_tax(rate: int, a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert included_tax_minor(low, rate) <= included_tax_minor(high, rate)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 99)), max_size=20), RATE, st.integers(0, 10**5)
)
def test_totals_add_up(lines: list[tuple[int, int]], rate: int, shipping: int) -> None:
    result = totals(lines, Terms("EUR", rate, shipping))
    assert result.subtotal_minor == sum(price * quantity for price, quantity in lines)
    assert result.total_minor == result.subtotal_minor + shipping


@pytest.mark.parametrize(
    ("total", "rate", "tax"), [(11_900, 1_900, 1_900), (1, 1_900, 0), (2_490, 1_900, 398)]
)
def test_known_taxes(total: int, rate: int, tax: int) -> None:
    assert included_tax_minor(total, rate) == tax


def test_currencies_never_meet() -> None:
    assert Money(100, "EUR") + Money(20, "EUR") - Money(5, "EUR") == Money(115, "EUR")
    assert Money(100, "JPY") * 3 == Money(300, "JPY")
    with pytest.raises(ValueError, match="can't be added"):
        Money(1, "EUR") + Money(1, "USD")
