"""Shopify's CSV, in both generations: pure parsing."""

from __future__ import annotations

import pytest

from server.shopify import NotACsv, minor, parse, plain_text

HEAD = "Handle,Title,Variant Price,Variant Inventory Qty,Option1 Value,Published,Status\n"


def faults(rows: str, currency: str = "EUR") -> list[tuple[int, str]]:
    return [(fault.line, fault.code) for fault in parse((HEAD + rows).encode(), currency).faults]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("a,A,x,1,,,", "bad_price"),
        ("a,A,-1,1,,,", "bad_price"),
        ("a,A,1.999,1,,,", "bad_price"),
        ("a,A,1e9,1,,,", "bad_price"),
        ("a,A,NaN,1,,,", "bad_price"),
        ("a,A,1,many,,,", "bad_quantity"),
        ("a,,1,1,,,", "no_title"),
        ("a b/c,A,1,1,,,", "bad_handle"),
        ("a,A,,,Red,,", "no_price"),
        ("a,A,,,,,", "no_variant"),
    ],
)
def test_a_bad_row_is_named_by_its_line(row: str, code: str) -> None:
    assert faults("good,Good,1,1,,,\n" + row + "\n") == [(3, code)]


def test_a_variant_twice_is_a_fault() -> None:
    assert faults("a,A,1,1,Red,,\na,,2,1,Red,,\n") == [(3, "duplicate_variant")]


def test_states_and_oversold_stock() -> None:
    rows = "a,A,1,-3,,TRUE,draft\nb,B,1,,,FALSE,\nc,C,1,5,,TRUE,active\n"
    parsed = parse((HEAD + rows).encode(), "EUR")
    assert [product.state for product in parsed.products] == ["draft", "draft", "active"]
    assert [product.variants[0].available for product in parsed.products] == [0, None, 5]


def test_lines_inside_quotes_count() -> None:
    assert faults('good,"Two\nlines",1,1,,,\nbad,Bad,x,1,,,\n') == [(4, "bad_price")]


def test_excels_byte_order_mark_is_no_column() -> None:
    assert len(parse(("﻿" + HEAD + "a,A,1,1,,,\n").encode(), "EUR").products) == 1


def test_money_follows_the_currency() -> None:
    assert minor("12.5", "EUR") == 1250
    assert minor("1250", "JPY") == 1250
    assert minor("1.230", "KWD") == 1230
    assert minor("500", "ISK") == 50_000
    assert faults("cup,Cup,1.234,1,,,\n", "KWD") == faults("cup,Cup,5.50,1,,,\n", "ISK") == [(2, "bad_price")]


def test_missing_columns_are_named() -> None:
    with pytest.raises(NotACsv, match="'Title', 'Variant Price'"):
        parse(b"Handle,Foo\na,b\n", "EUR")


def test_html_becomes_text() -> None:
    assert plain_text("<p>One &amp; two</p><ul><li>a<li>b</ul><script>x()</script>") == "One & two\n\na\nb"
