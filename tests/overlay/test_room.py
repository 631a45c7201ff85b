"""One way to apply an event: live, late join and replay see the same room."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from overlay.frames import (
    Offset,
    PictureState,
    ProductCard,
    VariantCard,
)
from overlay.messages import (
    AnyEvent,
    CommentDeleted,
    Commented,
    Muted,
    PictureChanged,
    Pinned,
    PriceChanged,
    Purchased,
    ShowEnded,
    ShowStarted,
    Snapshot,
    StockChanged,
    Unmuted,
    Unpinned,
)
from overlay.room import COMMENTS_KEPT, MUTES_KEPT, OutOfOrder, apply, muted_until, opened, replay

at_ms = st.integers(0, 10_000)
few_ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])
counts = st.integers(0, 50)

cards = st.builds(
    ProductCard,
    product_id=few_ids,
    title=st.text(max_size=8),
    currency=st.just("EUR"),
    variants=st.lists(
        st.builds(VariantCard, variant_id=few_ids, title=st.just("M"), price_minor=counts, available=counts),
        min_size=1,
        max_size=3,
        unique_by=lambda variant: variant.variant_id,
    ).map(tuple),
)


def _of(kind: type[AnyEvent], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[AnyEvent]:
    return st.builds(kind, n=st.just(0), at_ms=at_ms, **fields)


events: st.SearchStrategy[AnyEvent] = st.one_of(
    _of(
        Commented,
        comment_id=st.uuids().map(str) | few_ids,
        user_id=few_ids,
        name=few_ids,
        text=st.text(max_size=8),
    ),
    _of(CommentDeleted, comment_id=few_ids),
    _of(Muted, user_id=few_ids, until_ms=st.none() | at_ms),
    _of(Unmuted, user_id=few_ids),
    _of(Pinned, card=cards),
    _of(Unpinned),
    _of(StockChanged, variant_id=few_ids, available=counts),
    _of(PriceChanged, variant_id=few_ids, price_minor=counts),
    _of(ShowStarted),
    _of(ShowEnded),
    _of(PictureChanged, state=st.sampled_from(list(PictureState))),
    _of(Purchased, product_title=few_ids),
)


def numbered(plain: Iterable[AnyEvent], after: int = 0) -> list[AnyEvent]:
    return [replace(event, n=n) for n, event in enumerate(plain, after + 1)]


START = opened(Offset("e", 0))
CARD = ProductCard("p", "Mug", "EUR", (VariantCard("v", "Blue", 1200, 5), VariantCard("w", "Red", 1300, 0)))


def comment(n: int, comment_id: str | None = None) -> Commented:
    return Commented(n=n, at_ms=n, comment_id=comment_id or f"c{n}", user_id="u", name="Ann", text="hi")


@given(st.lists(events, max_size=30), st.integers(0, 30))
def test_snapshot_and_tail_equal_the_whole(plain: list[AnyEvent], cut: int) -> None:
    log = numbered(plain)
    live = replay(START, log)
    sent = msgspec.json.encode(replay(START, log[:cut]))
    late = replay(msgspec.json.decode(sent, type=Snapshot), log[cut:])
    assert late == live
    assert replay(START, msgspec.json.decode(msgspec.json.encode(log), type=list[AnyEvent])) == live


@given(st.lists(events, max_size=30))
def test_a_deleted_comment_is_in_no_snapshot(plain: list[AnyEvent]) -> None:
    log = numbered([*plain, CommentDeleted(n=0, at_ms=0, comment_id="a")])
    assert "a" not in {view.comment_id for view in replay(START, log).comments}


def test_an_event_out_of_order_is_refused() -> None:
    for wrong in (0, 2):
        with pytest.raises(OutOfOrder):
            apply(START, comment(wrong))


def test_the_last_comments_are_kept() -> None:
    state = replay(START, [comment(n) for n in range(1, COMMENTS_KEPT + 51)])
    assert [view.comment_id for view in state.comments] == [f"c{n}" for n in range(51, COMMENTS_KEPT + 51)]


def test_a_comment_the_snapshot_holds_is_not_shown_twice() -> None:
    state = replay(START, [comment(1, "same"), comment(2, "same")])
    assert len(state.comments) == 1


def test_stock_and_price_change_the_pinned_card_too() -> None:
    state = replay(
        START,
        [
            Pinned(n=1, at_ms=0, card=CARD),
            StockChanged(n=2, at_ms=0, variant_id="v", available=4),
            PriceChanged(n=3, at_ms=0, variant_id="w", price_minor=900, compare_at_minor=1300),
        ],
    )
    assert state.stock == {"v": 4, "w": 0}
    assert state.pin is not None
    assert [(v.available, v.price_minor, v.compare_at_minor) for v in state.pin.variants] == [
        (4, 1200, None),
        (0, 900, 1300),
    ]


def test_mutes_end_by_themselves() -> None:
    state = apply(START, Muted(n=1, at_ms=0, user_id="u", until_ms=100))
    assert muted_until(state, "u", 99) == 100
    assert muted_until(state, "u", 100) == 0
    state = apply(state, Muted(n=2, at_ms=200, user_id="other"))
    assert state.muted == {"other": None}
    assert muted_until(state, "other", 10**12) is None


def test_mutes_are_bounded() -> None:
    state = replay(START, [Muted(n=n, at_ms=0, user_id=str(n)) for n in range(1, MUTES_KEPT + 11)])
    assert len(state.muted) == MUTES_KEPT
    assert str(MUTES_KEPT + 10) in state.muted
