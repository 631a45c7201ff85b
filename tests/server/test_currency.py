"""Currencies: which are taken, and that the pages count as the server does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server import currency

PAGES = Path(__file__).resolve().parents[2] / "web" / "core" / "format.ts"


@pytest.mark.parametrize("name", ["NO_DECIMALS", "THREE_DECIMALS", "WHOLE"])
def test_the_pages_have_the_same_lists(name: str) -> None:
    match = re.search(rf"const {name}: .*?'([A-Z ]+)'", PAGES.read_text())
    assert match is not None
    assert frozenset(match[1].split()) == getattr(currency, name)
    assert getattr(currency, name) <= currency.TAKEN


def test_an_amount_is_what_is_charged() -> None:
    units = {code: 10 ** currency.decimals(code) for code in ("EUR", "HUF", "JPY", "ISK", "KWD")}
    assert units == {"EUR": 100, "HUF": 100, "JPY": 1, "ISK": 100, "KWD": 1000}
    steps = {code: currency.step_minor(code) for code in ("EUR", "JPY", "ISK", "KWD")}
    assert steps == {"EUR": 1, "JPY": 1, "ISK": 100, "KWD": 10}
