"""Who is charged for what was won, and by which name bidders go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlay.selling import AuctionState
from server.shop.auction import Auction
from server.shop.auction_alias import alias
from server.shop.auction_award import MOST_BIDDERS, Candidate, Offer, Sold, Unsold, Waiting, award
from server.shop.auction_book import Bid, Terms
from server.shop.orders import OPEN, OrderState


def closed(*bids: tuple[str, int], reserve_minor: int = 0) -> Auction:
    auction = Auction(
        Terms(1_000, 100, 60_000, reserve_minor=reserve_minor), AuctionState.OPEN, 60_000, 60_000
    )
    for n, (user, most) in enumerate(bids):
        auction.bid(Bid(user, f"c{n}", most, n), n)
    auction.state = AuctionState.CLOSING
    return auction


def offer(user: str, state: OrderState | None, *, on_session: bool = False) -> Offer:
    return Offer(1, user, 1_000, on_session, "o" if state else None, state, None if state else "no_card")


ASCENDING = closed(("eve", 1_500), ("bob", 3_000), ("ada", 9_000))


def test_the_leader_at_the_second_price() -> None:
    assert award(ASCENDING, []) == Candidate("ada", 3_100)


def test_nothing_while_an_offer_is_open() -> None:
    for state in OPEN:
        assert award(ASCENDING, [offer("ada", state)]) == Waiting()


def test_what_was_paid_is_sold_whatever_comes_later() -> None:
    for state in (OrderState.PAID, OrderState.FULFILLED, OrderState.REFUNDED):
        paid = offer("ada", state)
        assert award(ASCENDING, [paid]) == Sold(paid)


def test_the_next_in_line_as_if_the_other_had_never_bid() -> None:
    assert award(ASCENDING, [offer("ada", OrderState.DECLINED)]) == Candidate("bob", 1_600)
    assert award(ASCENDING, [offer("ada", None)]) == Candidate("bob", 1_600)
    both = [offer("ada", OrderState.DECLINED), offer("bob", OrderState.CANCELLED)]
    assert award(ASCENDING, both) == Candidate("eve", 1_000)


def test_who_did_not_confirm_is_charged_without_being_asked_then_passed_over() -> None:
    asked = offer("ada", OrderState.CANCELLED, on_session=True)
    again = award(ASCENDING, [asked])
    assert again == Candidate("ada", 1_000, on_session=False)
    assert award(ASCENDING, [asked, offer("ada", OrderState.DECLINED)]) == Candidate("bob", 1_600)


def test_unsold() -> None:
    assert award(closed(), []) == Unsold()
    assert award(closed(("ada", 4_000), reserve_minor=5_000), []) == Unsold()
    many = closed(*((f"p{n}", 2_000 + 1_000 * n) for n in range(MOST_BIDDERS + 1)))
    failures = [offer(f"p{MOST_BIDDERS - n}", OrderState.DECLINED) for n in range(MOST_BIDDERS)]
    assert award(many, failures[:-1]) == Candidate("p1", 2_100)
    assert award(many, failures) == Unsold()


def test_nobody_pays_less_than_the_reserve() -> None:
    auction = closed(("bob", 4_000), ("ada", 9_000), reserve_minor=5_000)
    assert award(auction, []) == Candidate("ada", 5_000)
    assert award(auction, [offer("ada", OrderState.DECLINED)]) == Unsold()


@given(st.binary(min_size=32, max_size=32), st.lists(st.uuids(), min_size=1, max_size=40, unique=True))
def test_names_differ_and_stay(key: bytes, users: list[object]) -> None:
    names: list[str] = []
    for user in users:
        names.append(alias(key, str(user), names))
    assert len(set(names)) == len(users)
    assert alias(key, str(users[0])) == names[0]
    assert all(len(name.split()) == 3 for name in names)
