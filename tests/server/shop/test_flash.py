"""A flash price: charged inside its window only, over once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.shop.flash import Flash, Over, ended, price, problem, running

NOW = st.integers(0, 2_000)
PRICES = st.integers(1, 10_000)


def flash(starts: int = 500, ends: int = 1_000, price_minor: int = 600) -> Flash:
    return Flash("f", "v", price_minor, 0, starts, ends)


@given(NOW, PRICES, PRICES)
def test_nobody_pays_more_and_only_inside_the_window_less(now: int, base: int, reduced: int) -> None:
    paid = price(base, flash(price_minor=reduced), now)
    assert paid == (min(base, reduced) if 500 <= now < 1_000 else base)
    assert price(base, None, now) == base


@given(PRICES, PRICES)
def test_a_flash_price_is_below_the_usual_one(reduced: int, base: int) -> None:
    assert (problem(reduced, base) is None) == (reduced < base)


class FlashSale(RuleBasedStateMachine):
    """One variant's flash prices as time passes, commands come and late jobs look."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.made = 0, 0
        self.current: Flash | None = None
        self.over: list[Flash] = []

    def end(self, why: Over) -> None:
        if self.current is None:
            return
        over = ended(self.current, why, self.now)
        if over is not None:
            self.over.append(over)
            self.current = None

    @rule(passed=st.integers(0, 300))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(lasts=st.integers(1, 500))
    def start(self, lasts: int) -> None:
        self.end(Over.REPLACED)
        self.made += 1
        self.current = Flash(str(self.made), "v", 600, 0, self.now, self.now + lasts)

    @rule()
    def end_early(self) -> None:
        self.end(Over.EARLY)

    @rule()
    def job_looks(self) -> None:
        self.end(Over.TIME)

    @precondition(lambda self: self.over)
    @rule(why=st.sampled_from(Over))
    def what_is_over_stays_over(self, why: Over) -> None:
        assert ended(self.over[-1], why, self.now) is None

    @invariant()
    def each_is_over_once_at_a_time_that_fits(self) -> None:
        assert len({flash.id for flash in self.over}) == len(self.over) == self.made - bool(self.current)
        for flash in self.over:
            assert flash.over_ms is not None
            assert (flash.over is Over.TIME) == (flash.over_ms >= flash.ends_ms)
            assert not running(flash, self.now)

    @invariant()
    def what_is_charged_is_in_the_window(self) -> None:
        inside = self.current is not None and self.now < self.current.ends_ms
        assert price(1_000, self.current, self.now) == (600 if inside else 1_000)


TestFlashSale = FlashSale.TestCase
