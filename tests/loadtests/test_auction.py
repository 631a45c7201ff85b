"""The auction benchmark's own arithmetic: it must be able to see a wrong winner and a late bid."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.commerce.auction import Kills, Told, late, winner_ok
from loadtests.commerce.auction_bidders import Prices


def line(n: int, user: str, most: int, decided: float = 1.0) -> dict[str, Any]:
    return {"n": n, "user_id": user, "command_id": f"b{n}", "max_minor": most, "decided": decided}


def offer(user: str, price: int, state: str = "paid", orders: int = 1) -> dict[str, Any]:
    return {
        "user_id": user,
        "price_minor": price,
        "state": state,
        "subtotal_minor": price,
        "orders": orders,
    }


BOOK = [line(1, "ada", 5_000), line(2, "bob", 5_000), line(3, "eve", 2_000), line(4, "eve", 3_000)]


def test_the_earlier_of_equal_maxima_at_the_second_price() -> None:
    assert winner_ok(BOOK, [offer("ada", 5_000)])
    assert winner_ok(BOOK[:1], [offer("ada", 1_000)])
    assert winner_ok([BOOK[0], BOOK[3]], [offer("ada", 3_010)])


@pytest.mark.parametrize(
    "offers",
    [
        [],
        [offer("bob", 5_000)],
        [offer("ada", 4_000)],
        [offer("ada", 5_000, "declined")],
        [offer("ada", 5_000, orders=2)],
        [offer("ada", 5_000), offer("bob", 5_000)],
    ],
)
def test_everything_else_is_wrong(offers: list[dict[str, Any]]) -> None:
    assert not winner_ok(BOOK, offers)


def test_a_bid_after_the_close_is_seen_from_both_sides() -> None:
    row = {"ends": 10.0, "window": 1.5}
    fine = Told("ada", "b1", 11.4, 11.6, "accepted")
    assert late(row, [line(1, "ada", 5_000, decided=11.5)], [fine]) == 0
    assert late(row, [line(1, "ada", 5_000, decided=11.51)], [fine]) == 1
    assert late(row, [], [Told("ada", "b1", 11.6, 11.7, "accepted")]) == 1
    assert late(row, [], [Told("ada", "b1", 11.6, 11.7, "auction_closed")]) == 0


def test_what_a_kill_touched_is_not_measured() -> None:
    kills = Kills([(5.0, 7.0)])
    assert kills.touches(Told("ada", "b1", 4.9, 5.1, "accepted"))
    assert kills.touches(Told("ada", "b1", 6.9, 7.4, "accepted"))
    assert not kills.touches(Told("ada", "b1", 7.1, 7.4, "accepted"))


def test_bidders_read_the_price_off_the_wire() -> None:
    prices = Prices(1)
    prices.hear(bytearray(b'{"events":[{"next_minor":900,"x":1},{"next_minor":1250,"count":3}]}'))
    assert prices.next_minor == 1_250
    prices.hear(bytearray(b'{"events":[]}'))
    assert prices.next_minor == 1_250
