"""However refunds are asked for and carried out: no more goes back than was paid, and all of it can."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.shop.changes import NotPossible
from server.shop.orders import OrderState
from server.shop.record import AttemptRecord, Change, LineRecord, OrderRecord, RefundRecord
from server.shop.refunds import (
    News,
    Seen,
    news_of,
    refund_asked,
    refund_done,
    refund_failed,
    refund_returned,
    run_amount_minor,
)
from server.shop.settlement import AttemptState
from server.shop.stock import Movement

TOTAL = 1_490


def _paid(**more: object) -> OrderRecord:
    fields: dict[str, object] = {
        "id": "o",
        "shop_id": "s",
        "show_id": None,
        "user_id": "u",
        "first_name": None,
        "number": 1,
        "state": OrderState.PAID,
        "currency": "EUR",
        "total_minor": TOTAL,
        "refunded_minor": 0,
        "payment_intent_ref": "pi_own",
        "failure_code": None,
        "failure_message": None,
        "lines": [LineRecord("v", "Cup", "", 1)],
        "attempts": [AttemptRecord(1, AttemptState.PAID, "k", "c", "p", TOTAL, 0, 0.0)],
        "refunds": [],
    }
    return OrderRecord(**(fields | more))  # type: ignore[arg-type]


def _asked(order: OrderRecord, amount: int, *, restock: bool) -> OrderRecord:
    number = str(len(order.refunds))
    change = refund_asked(order, number, amount, "why", "staff", restock=restock)
    new = change.refund
    assert new is not None
    row = RefundRecord(new.id, new.payment_intent_ref, new.amount_minor, "queued", new.restock)
    owed = change.owed_minor
    return msgspec.structs.replace(order, refunds=[*order.refunds, row], owed_minor=owed)


def _returned(order: OrderRecord, refund: RefundRecord) -> OrderRecord:
    change = refund_returned(order, refund)
    assert change.state is change.stock is None
    order = _marked(order, refund, "returned")
    return msgspec.structs.replace(order, refunded_minor=change.refunded_minor, owed_minor=change.owed_minor)


def _marked(order: OrderRecord, refund: RefundRecord, state: str) -> OrderRecord:
    rows = [msgspec.structs.replace(r, state=state) if r is refund else r for r in order.refunds]
    return msgspec.structs.replace(order, refunds=rows)


def _done(order: OrderRecord, refund: RefundRecord) -> tuple[OrderRecord, Change]:
    change = refund_done(order, refund)
    order = _marked(order, refund, "done")
    refunded = order.refunded_minor if change.refunded_minor is None else change.refunded_minor
    return msgspec.structs.replace(order, state=change.state or order.state, refunded_minor=refunded), change


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(-10, TOTAL + 200), st.booleans()),
        st.tuples(st.sampled_from(["done", "failed", "returned"]), st.integers(0, 20), st.just(value=False)),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_more_goes_back_than_was_paid(steps: list[tuple[str, int, bool]]) -> None:
    order = _paid(refunds=[RefundRecord("x", "pi_extra", TOTAL, "queued", False)])
    returned = 0
    for step, number, restock in steps:
        if step == "ask":
            left = TOTAL - order.promised_back_minor()
            if not 0 < number <= left:
                with pytest.raises(NotPossible):
                    _asked(order, number, restock=restock)
                continue
            order = _asked(order, number, restock=restock)
            continue
        wanted = "done" if step == "returned" else "queued"
        those = [refund for refund in order.refunds if refund.state == wanted and refund.id != "x"]
        if not those:
            continue
        refund = those[number % len(those)]
        if step == "returned":
            order = _returned(order, refund)
            continue
        if step == "failed":
            order = _marked(order, refund, "failed")
            continue
        order, change = _done(order, refund)
        returned += change.stock is Movement.RETURN
    own = [refund for refund in order.refunds if refund.payment_intent_ref == "pi_own"]
    done = sum(refund.amount_minor for refund in own if refund.state == "done")
    assert done == order.refunded_minor <= TOTAL
    assert order.promised_back_minor() <= TOTAL
    came_back = sum(refund.amount_minor for refund in own if refund.state == "returned")
    assert order.owed_minor <= came_back
    if order.refunded_minor == TOTAL:
        assert order.state is OrderState.REFUNDED
    if order.state is OrderState.REFUNDED:
        assert TOTAL - order.refunded_minor <= came_back
    assert returned <= 1
    assert returned == (order.state is OrderState.REFUNDED and any(refund.restock for refund in own))


@given(st.lists(st.integers(1, TOTAL), min_size=1, max_size=12))
def test_what_is_left_can_always_be_given_back(amounts: list[int]) -> None:
    order = _paid()
    for amount in [*amounts, TOTAL]:
        left = TOTAL - order.promised_back_minor()
        if left:
            order = _asked(order, min(amount, left), restock=False)
            order, _ = _done(order, order.refunds[-1])
    assert (order.state, order.refunded_minor) == (OrderState.REFUNDED, TOTAL)


@pytest.mark.parametrize("state", [s for s in OrderState if s not in (OrderState.PAID, OrderState.FULFILLED)])
def test_only_what_was_paid_is_given_back(state: OrderState) -> None:
    given = (
        [RefundRecord("0", "pi_own", TOTAL, "done", restock=False)] if state is OrderState.REFUNDED else []
    )
    with pytest.raises(NotPossible) as refused:
        refund_asked(_paid(state=state, refunds=given), "1", 1, "", "staff", restock=False)
    assert refused.value.code == "not_paid"


def test_what_a_bank_returned_is_owed_until_it_is_given_back_again() -> None:
    order = _asked(_paid(), TOTAL, restock=True)
    order, change = _done(order, order.refunds[0])
    assert change.stock is Movement.RETURN
    order = _returned(order, order.refunds[0])
    assert (order.state, order.refunded_minor, order.owed_minor) == (OrderState.REFUNDED, 0, TOTAL)
    order = _asked(order, TOTAL, restock=True)
    assert order.owed_minor == 0
    order, change = _done(order, order.refunds[1])
    assert (change.state, change.stock, change.refunded_minor) == (None, None, TOTAL)


def test_what_the_provider_shows_is_news_once() -> None:
    order = _asked(_paid(), 500, restock=False)
    ours, theirs = Seen("re_1", "0", 500, gone=False), Seen("re_2", None, 300, gone=False)
    assert news_of(order, ours) == (News.DONE, order.refunds[0])
    assert news_of(order, replace(ours, gone=True)) == (News.FAILED, order.refunds[0])
    assert news_of(order, theirs) == (News.MADE_THERE, None)
    assert news_of(order, replace(theirs, gone=True)) is None
    known = msgspec.structs.replace(order.refunds[0], state="done", refund_ref="re_1")
    order = msgspec.structs.replace(order, refunds=[known])
    assert news_of(order, ours) is None
    assert news_of(order, replace(ours, gone=True)) == (News.RETURNED, known)
    failed = msgspec.structs.replace(known, state="failed")
    assert news_of(msgspec.structs.replace(order, refunds=[failed]), ours) is None  # from before it failed
    twice = Seen("re_3", "0", 500, gone=False)  # under our name: it counts
    assert news_of(order, twice) == (News.MADE_THERE, None)


@pytest.mark.parametrize(("code", "owed"), [("insufficient_funds", 0), ("charge_already_refunded", 200)])
def test_what_was_taken_for_refused_and_went_back_is_owed_no_more(code: str, owed: int) -> None:
    order = _asked(_paid(owed_minor=0), 500, restock=False)
    refund = order.refunds[0]
    owed_before = refund_failed(order, refund, code, "").owed_minor or 0
    failed = msgspec.structs.replace(refund, state="failed", failure_code=code)
    order = msgspec.structs.replace(order, refunds=[failed], owed_minor=owed_before or 200)
    change = refund_done(order, failed)
    assert change.refunded_minor == 500
    assert (order.owed_minor if change.owed_minor is None else change.owed_minor) == owed


def test_a_wish_for_many_gives_back_what_it_is_about_and_never_more_than_is_left() -> None:
    lines = [LineRecord("v", "Cup", "", 2, 300), LineRecord("w", "Jug", "", 1, 400)]
    order = _paid(lines=lines)
    assert run_amount_minor(order, None) == run_amount_minor(order, {"v", "w"}) == TOTAL
    assert run_amount_minor(order, {"v"}) == 600
    order = _asked(order, TOTAL - 100, restock=False)
    assert run_amount_minor(order, {"v"}) == run_amount_minor(order, None) == 100
    assert run_amount_minor(_paid(state=OrderState.CHARGING), None) == 0
