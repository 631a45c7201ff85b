"""A drop: closed before its second, open after it, and its states follow what is true."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.shop.drop import DropEvent, DropState, due, line_rules, step, wait_ms

STATES = st.sampled_from(DropState)
NOW = st.integers(0, 2_000)


@given(STATES, NOW, st.integers(0, 3), st.booleans())
def test_what_is_due_is_reached_by_the_table_and_stays(
    state: DropState, now: int, available: int, waiting: bool
) -> None:
    reached = due(state, 1_000, now, available=available, waiting=waiting)
    assert due(reached, 1_000, now, available=available, waiting=waiting) is reached
    once = {state, *(step(state, event) for event in DropEvent)} - {None}
    twice = {step(one, event) for one in once for event in DropEvent if one}
    assert reached in once | twice


@given(STATES, st.sampled_from(DropEvent))
def test_only_what_has_not_opened_is_cancelled(state: DropState, event: DropEvent) -> None:
    if step(state, event) is DropState.CANCELLED:
        assert (state, event) == (DropState.SCHEDULED, DropEvent.CANCELLED)
    assert step(DropState.CANCELLED, event) is None


@given(NOW)
def test_one_waits_until_the_second_and_no_longer(now: int) -> None:
    assert wait_ms(DropState.SCHEDULED, 1_000, now) == max(0, 1_000 - now)
    assert wait_ms(DropState.CANCELLED, 1_000, now) == 0


class Drop(RuleBasedStateMachine):
    """A drop among taps, declined cards, a line and jobs that look now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.available, self.held = 0, 3, 0
        self.waiting = False
        self.state = DropState.SCHEDULED

    @rule(passed=st.integers(0, 600))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule()
    def job_looks(self) -> None:
        self.state = due(self.state, 1_000, self.now, available=self.available, waiting=self.waiting)

    @rule()
    def tap(self) -> None:
        barred = self.waiting and line_rules(self.state)
        if wait_ms(self.state, 1_000, self.now) == 0 and self.available and not barred:
            self.available, self.held = self.available - 1, self.held + 1

    @rule()
    def a_card_is_declined(self) -> None:
        if self.held:
            self.available, self.held = self.available + 1, self.held - 1

    @rule()
    def join(self) -> None:
        if self.available == 0 and wait_ms(self.state, 1_000, self.now) == 0:
            self.job_looks()
            self.waiting = True

    @rule()
    def cancel(self) -> None:
        state = due(self.state, 1_000, self.now, available=self.available, waiting=self.waiting)
        self.state = step(state, DropEvent.CANCELLED) or self.state

    @invariant()
    def nothing_is_taken_before_the_second(self) -> None:
        if self.now < 1_000 and self.state is DropState.SCHEDULED:
            assert self.held == 0
        assert self.available + self.held == 3

    @invariant()
    def who_waits_is_never_overtaken(self) -> None:
        if self.waiting and self.state is not DropState.CANCELLED:
            assert line_rules(self.state)


TestDrop = Drop.TestCase
