"""However refunds are asked for and carried out: no more goes back than was paid, and all of it can."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.shop.changes import NotPossible, refund_asked, refund_done
from server.shop.orders import OrderState
from server.shop.record import AttemptRecord, Change, LineRecord, OrderRecord, RefundRecord
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
    new = refund_asked(order, number, amount, "why", "staff", restock=restock).refund
    assert new is not None
    row = RefundRecord(new.id, new.payment_intent_ref, new.amount_minor, "queued", new.restock)
    return msgspec.structs.replace(order, refunds=[*order.refunds, row])


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
        st.tuples(st.sampled_from(["done", "failed"]), st.integers(0, 20), st.just(value=False)),
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
            if order.state is OrderState.REFUNDED or not 0 < number <= left:
                with pytest.raises(NotPossible):
                    _asked(order, number, restock=restock)
                continue
            order = _asked(order, number, restock=restock)
            continue
        queued = [refund for refund in order.refunds if refund.state == "queued"]
        if not queued:
            continue
        refund = queued[number % len(queued)]
        if step == "failed":
            order = _marked(order, refund, "failed")
            continue
        order, change = _done(order, refund)
        returned += change.stock is Movement.RETURN
    own = [refund for refund in order.refunds if refund.payment_intent_ref == "pi_own"]
    done = sum(refund.amount_minor for refund in own if refund.state == "done")
    assert done == order.refunded_minor <= TOTAL
    assert order.promised_back_minor() <= TOTAL
    assert (order.state is OrderState.REFUNDED) == (order.refunded_minor == TOTAL)
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
    with pytest.raises(NotPossible) as refused:
        refund_asked(_paid(state=state), "1", 1, "", "staff", restock=False)
    assert refused.value.code == "not_paid"
