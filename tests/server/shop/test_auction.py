"""An auction's rules, and a model of them that bids at random."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from overlay.selling import AuctionState, StandingState
from server.shop.auction import ENDED, NO_TAKING_BACK_MS, STEPS, TAKES_BIDS, Auction, AuctionEvent
from server.shop.auction_book import Answer, Bid, Line, Refused, Repeated, TakeBack, Terms, Written

TERMS = Terms(start_minor=1_000, increment_minor=100, duration_ms=60_000)


def auction(state: AuctionState = AuctionState.OPEN, **terms: Any) -> Auction:
    made = Auction(
        Terms(**{"start_minor": 1_000, "increment_minor": 100, "duration_ms": 60_000} | terms), state
    )
    if state is AuctionState.OPEN:
        made.state = AuctionState.ANNOUNCED
        assert made.open(0)
    return made


def bid(
    of: Auction, user: str, most: int, at_ms: int = 1_000, *, now_ms: int | None = None, **more: Any
) -> Answer:
    command = more.pop("id", f"c{of.last_n}:{at_ms}:{most}")
    return of.bid(Bid(user, command, most, at_ms, **more), at_ms if now_ms is None else now_ms)


def accepted(answer: Answer) -> Line:
    assert isinstance(answer, Written), answer
    return answer.line


def refused(answer: Answer) -> str:
    assert isinstance(answer, Refused), answer
    return answer.code


# Price and place


def test_alone_at_the_start_price_whatever_the_maximum() -> None:
    one = auction()
    assert accepted(bid(one, "ada", 9_000)).amount_minor == 1_000
    assert (one.price_minor, one.next_minor, one.leader_id) == (1_000, 1_100, "ada")


def test_the_second_highest_and_an_increment() -> None:
    one = auction()
    bid(one, "ada", 9_000)
    assert accepted(bid(one, "bob", 3_000)).amount_minor == 3_000
    assert (one.price_minor, one.leader_id) == (3_100, "ada")
    assert one.standing_of("bob") is StandingState.OUTBID


def test_never_above_the_highest_maximum() -> None:
    one = auction()
    bid(one, "ada", 3_050)
    bid(one, "bob", 3_000)
    assert one.price_minor == 3_050


def test_of_equal_maxima_the_earlier_leads() -> None:
    one = auction()
    bid(one, "ada", 3_000)
    assert accepted(bid(one, "bob", 3_000)).amount_minor == 3_000
    assert (one.price_minor, one.leader_id) == (3_000, "ada")


def test_a_leader_raises_the_own_maximum_by_any_amount_and_not_the_price() -> None:
    one = auction()
    bid(one, "ada", 3_000)
    accepted(bid(one, "ada", 3_001))
    assert (one.price_minor, one.max_of("ada")) == (1_000, 3_001)
    assert refused(bid(one, "ada", 3_001, at_ms=2_000)) == "bid_too_low"


def test_below_the_next_price_is_too_low_and_says_the_least() -> None:
    one = auction()
    bid(one, "ada", 3_000)
    answer = bid(one, "bob", 1_099)
    assert answer == Refused("bid_too_low", 1_100)
    assert refused(bid(auction(), "bob", 999)) == "bid_too_low"


def test_a_reserve_is_the_least_price_once_a_maximum_reaches_it() -> None:
    one = auction(reserve_minor=5_000)
    bid(one, "ada", 4_000)
    assert (one.price_minor, one.reserve_met) == (1_000, False)
    bid(one, "bob", 6_000)
    assert (one.price_minor, one.reserve_met) == (5_000, True)
    bid(one, "eve", 5_500)
    assert one.price_minor == 5_600


def test_pre_bids_are_ranked_and_show_nothing() -> None:
    one = auction(AuctionState.ANNOUNCED)
    bid(one, "ada", 4_000)
    assert accepted(bid(one, "bob", 4_000, at_ms=1_001)).amount_minor == 1_000
    assert (one.price_minor, one.next_minor, one.leader_id) == (1_000, 1_000, None)
    assert one.standing_of("bob") is StandingState.LEADING
    assert one.open(5_000)
    assert (one.price_minor, one.leader_id, one.ends_ms) == (4_000, "ada", 65_000)


def test_a_repeated_command_changes_nothing() -> None:
    one = auction()
    first = accepted(bid(one, "ada", 3_000, id="x"))
    assert bid(one, "ada", 9_000, id="x", at_ms=999_999) == Repeated(first)
    assert one.bids == 1


# The clock


def test_a_bid_in_the_last_seconds_moves_the_hammer() -> None:
    one = auction(extension_ms=10_000)
    bid(one, "ada", 2_000, at_ms=49_999)
    assert one.ends_ms == 60_000
    bid(one, "bob", 4_000, at_ms=55_000)
    assert one.ends_ms == 65_000


def test_the_hammer_is_never_moved_past_the_cap() -> None:
    one = auction(extension_ms=10_000, max_extension_ms=2_000)
    bid(one, "ada", 2_000, at_ms=59_000)
    assert one.ends_ms == 62_000


def test_sudden_death() -> None:
    one = auction(extension_ms=0)
    bid(one, "ada", 2_000, at_ms=59_999)
    assert one.ends_ms == 60_000


def test_under_way_when_the_hammer_fell() -> None:
    """Received before, decided after: it counts within the window, and moves nothing."""
    one = auction()
    accepted(bid(one, "ada", 2_000, at_ms=59_990, now_ms=61_500))
    assert one.ends_ms == 60_000
    assert refused(bid(one, "bob", 5_000, at_ms=59_990, now_ms=61_501)) == "auction_closed"


@pytest.mark.parametrize("wraps", [0, 2**32 - 90 * 30_000])
def test_by_its_picture(wraps: int) -> None:
    def picture(at_ms: int) -> int:
        """What is on the picture that is taken at `at_ms`; its clock may wrap meanwhile."""
        return (wraps + at_ms * 90) % 2**32

    one = auction()
    bid(one, "slow", 2_000, at_ms=5_000, media_time=picture(2_000))
    bid(one, "fast", 3_000, at_ms=10_000, media_time=picture(9_800))
    late = {"at_ms": 60_900, "now_ms": 61_000}
    assert refused(bid(one, "bob", 9_000, media_time=picture(59_801), **late)) == "auction_closed"
    assert refused(bid(one, "bob", 9_000, **late)) == "auction_closed"
    accepted(bid(one, "bob", 9_000, media_time=picture(59_800), **late))
    assert one.ends_ms == 60_000
    too_late = {"at_ms": 61_501, "media_time": picture(30_000)}
    assert refused(bid(one, "eve", 20_000, **too_late)) == "auction_closed"


def test_without_any_picture_the_time_of_receipt_decides() -> None:
    one = auction()
    assert refused(bid(one, "bob", 9_000, at_ms=60_001, media_time=0)) == "auction_closed"


@pytest.mark.parametrize("state", sorted(set(AuctionState) - TAKES_BIDS))
def test_no_bids_in_any_other_state(state: AuctionState) -> None:
    assert refused(bid(auction(state), "ada", 9_000)) == "auction_closed"


def test_the_hammer_falls_after_its_time_and_the_window_ends_after_it() -> None:
    one = auction()
    assert not one.hammer(60_000)
    assert one.hammer(60_001)
    assert one.state is AuctionState.CLOSING
    assert not one.is_over(61_500)
    assert one.is_over(61_501)
    accepted(bid(one, "ada", 2_000, at_ms=59_999, now_ms=60_500))


def test_called_off_before_the_hammer_only() -> None:
    assert auction(AuctionState.ANNOUNCED).call_off(0)
    assert auction().call_off(60_000)
    assert not auction().call_off(60_001)
    assert not auction(AuctionState.CHARGING).call_off(0)


def test_an_ended_auction_goes_nowhere() -> None:
    assert not [state for state, _ in STEPS if state in ENDED]
    assert {to for to in STEPS.values() if to not in ENDED} <= {state for state, _ in STEPS}
    assert not auction(AuctionState.SOLD).award(AuctionEvent.AWARDED)


# Misbids


def test_a_misbid_counts_no_more_and_an_extension_stays() -> None:
    one = auction()
    bid(one, "ada", 2_000)
    bid(one, "bob", 90_000, at_ms=51_000)
    assert one.ends_ms == 61_000
    line = accepted(one.take_back(TakeBack("bob", "t", 52_000), 52_000))
    assert (line.takes_back, one.leader_id, one.price_minor, one.ends_ms) == (2, "ada", 1_000, 61_000)
    assert one.bids == 2


def test_what_stood_before_a_misbid_stands_again() -> None:
    one = auction()
    bid(one, "bob", 3_000)
    bid(one, "bob", 30_000)
    accepted(one.take_back(TakeBack("bob", "t", 2_000), 2_000))
    assert one.max_of("bob") == 3_000


@pytest.mark.parametrize(
    ("at_ms", "code"),
    [(11_001, "misbid_over"), (60_001, "auction_closed")],
)
def test_a_misbid_stands_after_its_window(at_ms: int, code: str) -> None:
    one = auction()
    bid(one, "bob", 3_000)
    assert refused(one.take_back(TakeBack("bob", "t", at_ms), at_ms)) == code


def test_a_misbid_stands_close_to_the_hammer() -> None:
    one = auction(extension_ms=0)
    bid(one, "bob", 3_000, at_ms=54_000)
    assert one.misbid_until_ms("bob") == 60_000 - NO_TAKING_BACK_MS
    assert refused(one.take_back(TakeBack("bob", "t", 55_001), 55_001)) == "misbid_over"


def test_one_misbid_an_auction() -> None:
    """Or a bidder could look at the others' maxima as often as wanted."""
    one = auction()
    bid(one, "bob", 3_000)
    accepted(one.take_back(TakeBack("bob", "t", 1_500), 1_500))
    bid(one, "bob", 4_000, at_ms=2_000)
    assert refused(one.take_back(TakeBack("bob", "u", 2_500), 2_500)) == "misbid_over"
    assert refused(one.take_back(TakeBack("ada", "u", 2_500), 2_500)) == "misbid_over"


# Everything at once


class Bidding(RuleBasedStateMachine):
    """Bidders at random against the plainest reading of the rules: all standing bids, sorted."""

    people = Bundle("people")

    @initialize(
        extension=st.sampled_from([0, 3_000]),
        reserve=st.sampled_from([0, 4_000]),
        cap=st.sampled_from([0, 4_000]),
    )
    def announced(self, extension: int, reserve: int, cap: int) -> None:
        self.terms = Terms(1_000, 100, 20_000, extension, cap, reserve_minor=reserve)
        self.auction = Auction(self.terms, AuctionState.ANNOUNCED)
        self.lines: list[Line] = []
        self.now = 1_000
        self.hammers: list[int] = []

    def _standing(self) -> list[Line]:
        struck = {line.takes_back for line in self.lines}
        return [line for line in self.lines if line.takes_back is None and line.n not in struck]

    def _keep(self, answer: Answer) -> None:
        if isinstance(answer, Written):
            assert self.auction.state in TAKES_BIDS
            ends = self.auction.ends_ms
            assert ends is None or self.now <= ends + self.terms.latency_window_ms
            self.lines.append(answer.line)

    @rule(target=people, name=st.integers(0, 5))
    def somebody(self, name: int) -> str:
        return f"p{name}"

    @rule(
        who=people,
        most=st.integers(900, 9_000),
        waited=st.integers(0, 2_000),
        delay=st.none() | st.integers(0, 3_000),
    )
    def bids(self, who: str, most: int, waited: int, delay: int | None) -> None:
        received, ends = self.now - waited, self.auction.ends_ms
        media_time = None if delay is None else max(0, received - delay) * 90
        least = self.auction.next_minor
        answer = self.auction.bid(Bid(who, f"c{self.now}:{most}", most, received, media_time), self.now)
        if isinstance(answer, Refused) and answer.code == "bid_too_low":
            assert most < max(least, answer.least_minor)
        if ends is not None and self.now > ends:
            assert self.auction.ends_ms == ends
        self._keep(answer)

    @rule(who=people)
    def takes_back(self, who: str) -> None:
        self._keep(self.auction.take_back(TakeBack(who, f"t{self.now}", self.now), self.now))

    @rule(nth=st.integers(0, 50))
    def repeats(self, nth: int) -> None:
        if self.lines:
            line = self.lines[nth % len(self.lines)]
            answer = self.auction.bid(Bid(line.user_id, line.command_id, 50_000, self.now), self.now)
            assert answer == Repeated(line)

    @rule(by=st.integers(1, 3_000))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule()
    def opens(self) -> None:
        self.auction.open(self.now)

    @rule()
    def hammer(self) -> None:
        before = self.auction.ends_ms
        if self.auction.hammer(self.now):
            assert before is not None
            assert self.now > before

    @invariant()
    def the_book_has_no_gaps(self) -> None:
        if hasattr(self, "lines"):
            assert [line.n for line in self.lines] == list(range(1, len(self.lines) + 1))

    @invariant()
    def whoever_reads_the_book_gets_the_same(self) -> None:
        if hasattr(self, "lines"):
            read = Auction(self.terms, self.auction.state)
            for line in self.lines:
                read.add(line)
            for name in ("price_minor", "next_minor", "leader_id", "reserve_met", "bids", "picture"):
                assert getattr(read, name) == getattr(self.auction, name)

    @invariant()
    def leader_and_price_are_those_of_all_bids_sorted(self) -> None:
        if not hasattr(self, "lines"):
            return
        best: dict[str, Line] = {}
        for line in self._standing():
            if line.user_id not in best or line.max_minor > best[line.user_id].max_minor:
                best[line.user_id] = line
        ranked = sorted(best.values(), key=lambda line: (-line.max_minor, line.n))
        if self.auction.is_secret or not ranked:
            assert (self.auction.leader_id, self.auction.price_minor) == (None, 1_000)
            return
        top = ranked[0].max_minor
        price = min(top, ranked[1].max_minor + 100) if len(ranked) > 1 else 1_000
        if self.terms.reserve_minor and top >= self.terms.reserve_minor:
            price = max(price, self.terms.reserve_minor)
        assert (self.auction.leader_id, self.auction.price_minor) == (ranked[0].user_id, price)
        assert 1_000 <= price <= top

    @invariant()
    def the_hammer_moves_forward_and_stays_below_the_cap(self) -> None:
        if hasattr(self, "lines") and self.auction.ends_ms is not None:
            self.hammers.append(self.auction.ends_ms)
            assert self.hammers == sorted(self.hammers)
            assert self.auction.cap_ms is not None
            assert self.auction.ends_ms <= self.auction.cap_ms


Bidding.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBidding = Bidding.TestCase
