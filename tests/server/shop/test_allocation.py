"""A batch of wishes against one reading: first come, first served, whole or not at all."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from server.shop.allocation import (
    AddressNow,
    Bought,
    BuyerNow,
    CardNow,
    Placed,
    Reading,
    Refused,
    Repeated,
    ShopNow,
    VariantNow,
    decide,
)
from server.shop.ids import OrderId, ShopId, UserId, VariantId, canonical
from server.shop.wish import Wish, WishLine, problem

SHOP = ShopNow("s", "EUR", 1_900, 490)
VARIANTS = ("v0", "v1", "v2")


def reading(available: dict[str, int], limit: int = 0, bought: tuple[Bought, ...] = ()) -> Reading:
    return Reading(
        shops=[SHOP],
        variants=[VariantNow(v, "s", "Cup", "M", 1_000, limit, True, n) for v, n in available.items()],
        buyers=[
            BuyerNow(f"u{n}", "cus", [CardNow("c", "pm", True)], [AddressNow("a", True, {})])
            for n in range(5)
        ],
        bought=list(bought),
        orders=[],
    )


def wish(order: str, user: str, *lines: tuple[str, int], price: int = 1_000) -> Wish:
    return Wish(
        OrderId(order),
        ShopId("s"),
        None,
        UserId(user),
        tuple(WishLine(VariantId(v), quantity, price) for v, quantity in lines),
    )


LINES = st.dictionaries(st.sampled_from(VARIANTS), st.integers(1, 4), min_size=1, max_size=3)
WISHES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), LINES), max_size=30)


@given(WISHES, st.lists(st.integers(0, 12), min_size=3, max_size=3), st.integers(0, 5))
def test_never_more_than_there_is(
    raw: list[tuple[int, int, dict[str, int]]], stock: list[int], limit: int
) -> None:
    available = dict(zip(VARIANTS, stock, strict=True))
    wishes = [wish(f"o{order}", f"u{user}", *lines.items()) for order, user, lines in raw]
    decisions = decide(wishes, reading(available, limit))

    taken: Counter[str] = Counter()
    per_buyer: Counter[tuple[str, str]] = Counter()
    seen: dict[str, str] = {}
    for asked, decision in zip(wishes, decisions, strict=True):
        if asked.order_id in seen:
            same = seen[asked.order_id] == asked.digest()
            assert isinstance(decision, Repeated) if same else decision == Refused("order_id_reused")
            continue
        fits = all(
            line.quantity <= available[line.variant_id] - taken[line.variant_id] for line in asked.lines
        )
        allowed = not limit or all(
            per_buyer[asked.user_id, line.variant_id] + line.quantity <= limit for line in asked.lines
        )
        assert isinstance(decision, Placed) == (fits and allowed)
        if isinstance(decision, Placed):
            seen[asked.order_id] = asked.digest()
            for line in asked.lines:
                taken[line.variant_id] += line.quantity
                per_buyer[asked.user_id, line.variant_id] += line.quantity
        else:
            assert isinstance(decision, Refused)
            assert decision.lines
    assert all(taken[v] <= n for v, n in available.items())


def test_every_bad_line_is_named() -> None:
    refused = decide(
        [wish("o", "u0", ("v0", 3), ("v1", 1), ("gone", 1))],
        reading({"v0": 1, "v1": 5}, limit=2, bought=(Bought("u0", "v1", 2),)),
    )[0]
    assert isinstance(refused, Refused)
    assert {line.variant_id: line.code for line in refused.lines} == {
        "v0": "sold_out",
        "v1": "buyer_limit",
        "gone": "not_for_sale",
    }
    assert refused.code == "not_for_sale"


def test_the_price_seen_must_be_the_price() -> None:
    refused = decide([wish("o", "u0", ("v0", 1), price=999)], reading({"v0": 1}))[0]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.lines[0].price_minor) == ("price_changed", 1_000)


def test_another_shops_variant_is_not_for_sale() -> None:
    foreign = msgspec.structs.replace(reading({"v0": 1}).variants[0], shop_id="other")
    truth = msgspec.structs.replace(reading({}), variants=[foreign])
    refused = decide([wish("o", "u0", ("v0", 1))], truth)[0]
    assert isinstance(refused, Refused)
    assert refused.code == "not_for_sale"


def test_a_digest_is_of_what_is_asked_for() -> None:
    one = wish("o", "u0", ("v0", 1), ("v1", 2))
    assert one.digest() == wish("other", "u0", ("v1", 2), ("v0", 1)).digest()
    assert one.digest() != wish("o", "u1", ("v0", 1), ("v1", 2)).digest()
    assert one.digest() != wish("o", "u0", ("v0", 1), ("v1", 3)).digest()


def test_a_wish_says_what_is_wrong_with_it() -> None:
    assert problem(wish("o", "u0", ("v0", 1))) is None
    assert problem(wish("o", "u0", ("v0", 0)))
    assert problem(wish("o", "u0", ("v0", 1), ("v0", 2)))
    assert problem(wish("o", "u0"))


def test_ids_have_one_form() -> None:
    assert canonical("01890A5D-AC96-774B-BCCE-B302099A8057") == "01890a5d-ac96-774b-bcce-b302099a8057"
    assert canonical("'; DROP TABLE orders") is None
