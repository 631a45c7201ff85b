"""An order under every order of news: it is paid at most once, and its units are always in one place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from server.shop.changes import (
    MOST_PROVIDER_ERRORS,
    PROVIDER_ERROR,
    NotPossible,
    fulfilled,
    retried,
    settled,
    spent,
)
from server.shop.orders import OPEN, STEPS, OrderEvent, OrderState, step
from server.shop.record import AttemptRecord, Change, LineRecord, OrderRecord, RefundRecord
from server.shop.refunds import refund_asked, refund_done
from server.shop.settlement import ActionNeeded, AttemptState, Cancelled, Declined, Paid
from server.shop.stock import DELTAS, Movement

TOTAL = 1_000


def test_movements_keep_the_sum() -> None:
    """But for the shop's own, and for units that leave it for an auction or come from one."""
    changing = {
        Movement.SET: 1,
        Movement.AUCTION: -1,
        Movement.AUCTION_BACK: 1,
        Movement.AWARD: 1,
        Movement.AWARD_BACK: -1,
    }
    for movement, delta in DELTAS.items():
        assert delta.available + delta.held + delta.sold == changing.get(movement, 0)


def test_units_are_held_while_an_order_is_open_and_only_then() -> None:
    """Every step's movement is what its two states need."""
    for (state, event), taken in STEPS.items():
        was_open, is_open = state in OPEN, taken.to in OPEN
        expected: Movement | None = None
        if was_open and not is_open:
            expected = Movement.SELL if taken.to is OrderState.PAID else Movement.RELEASE
        elif is_open and not was_open:
            expected = Movement.HOLD
        assert taken.stock is expected, (state, event)


@given(st.sampled_from(OrderState), st.sampled_from(OrderEvent))
def test_what_is_not_in_the_table_changes_nothing(state: OrderState, event: OrderEvent) -> None:
    taken = step(state, event)
    assert (taken is None) == ((state, event) not in STEPS)


class Life(RuleBasedStateMachine):
    """News of any attempt, in any order, doubled; retries and refunds in between."""

    @initialize()
    def place(self) -> None:
        self.state = OrderState.CHARGING
        self.held, self.sold = 1, 0
        self.intent: str | None = None
        self.attempts = {1: AttemptState.LEASED}
        self.failures: dict[int, str | None] = {}
        self.refunds: list[RefundRecord] = []
        self.refunded = 0
        self.money: dict[str, int] = {}  # what the provider took, less what it gave back

    def record(self) -> OrderRecord:
        attempts = [
            AttemptRecord(n, state, f"k{n}", "cus", "pm", TOTAL, 0, 0.0, failure_code=self.failures.get(n))
            for n, state in self.attempts.items()
        ]
        return OrderRecord(
            id="o",
            shop_id="s",
            show_id=None,
            user_id="u",
            first_name=None,
            number=1,
            state=self.state,
            currency="EUR",
            total_minor=TOTAL,
            refunded_minor=self.refunded,
            payment_intent_ref=self.intent,
            failure_code=None,
            failure_message=None,
            lines=[LineRecord("v", "Cup", "", 1)],
            attempts=attempts,
            refunds=list(self.refunds),
        )

    def write(self, change: Change) -> None:
        self.state = change.state or self.state
        self.intent = change.payment_intent_ref or self.intent
        self.refunded = self.refunded if change.refunded_minor is None else change.refunded_minor
        if change.attempt:
            self.attempts[change.attempt.attempt] = change.attempt.state
            self.failures[change.attempt.attempt] = change.attempt.failure_code
        if change.new_attempt:
            self.attempts[change.new_attempt.attempt] = AttemptState.LEASED
        if change.stock:
            self.held += DELTAS[change.stock].held
            self.sold += DELTAS[change.stock].sold
        new = change.refund
        if new and all(refund.id != new.key for refund in self.refunds):
            self.refunds.append(
                RefundRecord(new.key, new.payment_intent_ref, new.amount_minor, "queued", new.restock)
            )

    @rule(attempt=st.integers(0, 4), times=st.integers(1, 2))
    def paid(self, attempt: int, times: int) -> None:
        intent = f"pi{attempt}"
        if intent not in self.money:
            self.money[intent] = TOTAL
        for _ in range(times):
            self.write(settled(self.record(), attempt, Paid(intent, TOTAL), 60))

    @rule(attempt=st.integers(0, 4), times=st.integers(1, 2))
    def failed(self, attempt: int, times: int) -> None:
        for _ in range(times):
            answer = Declined("card_declined", "no", f"pi{attempt}")
            self.write(settled(self.record(), attempt, answer, 60))

    @rule(attempt=st.integers(0, 4))
    def action_needed(self, attempt: int) -> None:
        self.write(settled(self.record(), attempt, ActionNeeded(f"pi{attempt}", "secret"), 60))

    @rule(attempt=st.integers(0, 4))
    def cancelled(self, attempt: int) -> None:
        self.write(settled(self.record(), attempt, Cancelled(f"pi{attempt}"), 60))

    @rule(attempt=st.integers(0, 4))
    def came_to_nothing(self, attempt: int) -> None:
        before, tried = self.state, len(self.attempts)
        self.write(spent(self.record(), attempt))
        again = len(self.attempts) - tried
        assert again in (0, 1)
        assert not again or (before, attempt) == (self.state, tried) == (OrderState.CHARGING, tried)
        assert not again or list(self.failures.values()).count(PROVIDER_ERROR) < MOST_PROVIDER_ERRORS

    @precondition(lambda self: len(self.attempts) < 4)
    @rule()
    def retry(self) -> None:
        try:
            self.write(retried(self.record(), "cus", "pm2", "card"))
        except NotPossible:
            assert self.state is not OrderState.DECLINED

    @rule(amount=st.integers(-5, TOTAL + 5), restock=st.booleans())
    def ask_refund(self, amount: int, restock: bool) -> None:
        try:
            number = f"r{len(self.refunds)}"
            self.write(refund_asked(self.record(), number, amount, "why", "staff", restock=restock))
        except NotPossible:
            kept = self.state in (OrderState.PAID, OrderState.FULFILLED)
            assert not kept or not 0 < amount <= TOTAL - self.record().promised_back_minor()

    @rule()
    def carry_out_refunds(self) -> None:
        for n, refund in enumerate(self.refunds):
            if refund.state == "queued":
                change = refund_done(self.record(), refund)
                done = RefundRecord(
                    refund.id, refund.payment_intent_ref, refund.amount_minor, "done", refund.restock
                )
                self.refunds[n] = done
                self.money[refund.payment_intent_ref] -= refund.amount_minor
                self.write(change)

    @rule()
    def fulfil(self) -> None:
        try:
            self.write(fulfilled(self.record(), "staff"))
        except NotPossible:
            kept = self.state in (OrderState.PAID, OrderState.FULFILLED)
            assert not kept or self.record().promised_back_minor() == TOTAL

    @invariant()
    def units_are_in_one_place(self) -> None:
        assert (self.held == 1) == (self.state in OPEN)
        assert self.sold in (0, 1)
        if self.state in (OrderState.PAID, OrderState.FULFILLED):
            assert self.sold == 1

    @invariant()
    def money_is_kept_once(self) -> None:
        """After its refunds, an order has its own payment and nothing else."""
        queued = sum(r.amount_minor for r in self.refunds if r.state == "queued")
        kept = sum(self.money.values()) - queued
        own = self.money.get(self.intent or "", 0)
        own -= sum(
            r.amount_minor
            for r in self.refunds
            if r.state == "queued" and r.payment_intent_ref == self.intent
        )
        assert kept == own
        assert 0 <= own <= TOTAL
        assert 0 <= self.refunded <= TOTAL
        if self.state in (OrderState.DECLINED, OrderState.CANCELLED, OrderState.CHARGING):
            assert self.intent is None
        if self.state in (OrderState.PAID, OrderState.FULFILLED):
            assert self.money[self.intent or ""] + self.refunded == TOTAL
            assert all(refund.id != f"rf:{self.intent}:extra" for refund in self.refunds)
        if self.state is OrderState.REFUNDED:
            assert own == 0


TestLife = Life.TestCase
