"""A room's state, and the one function that applies an event to it.

The state *is* the snapshot that viewers get: live join, late join and replay start from the same value and
apply the same events, so they cannot differ. Pure: no clock; time comes in with the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from overlay.messages import (
    AnyEvent,
    CommentDeleted,
    Commented,
    CommentView,
    Event,
    Muted,
    Offset,
    PictureChanged,
    PictureState,
    Pinned,
    PriceChanged,
    ProductCard,
    Purchased,
    ShowEnded,
    ShowStarted,
    ShowState,
    Snapshot,
    StockChanged,
    Unmuted,
    Unpinned,
    VariantCard,
)

COMMENTS_KEPT = 200
MUTES_KEPT = 2_000


class OutOfOrder(Exception):
    """The event is not the state's next one: catch up from the log first."""


def opened(
    offset: Offset,
    show_state: ShowState = ShowState.SCHEDULED,
    pin: ProductCard | None = None,
    stock: dict[str, int] | None = None,
    picture: PictureState = PictureState.IDLE,
) -> Snapshot:
    """The state of a room in which nothing has been said yet."""
    return Snapshot(
        offset=offset,
        show_state=show_state,
        picture=picture,
        pin=pin,
        comments=(),
        stock=stock or {},
        muted={},
    )


def apply(state: Snapshot, event: AnyEvent) -> Snapshot:
    """The state after `event`. Raises OutOfOrder unless its number is the next one."""
    if event.n != state.offset.number + 1:
        raise OutOfOrder(f"event {event.n} after {state.offset.number}")
    return replace(_change(state, event), offset=replace(state.offset, number=event.n))


def replay(state: Snapshot, events: Iterable[AnyEvent]) -> Snapshot:
    for event in events:
        state = apply(state, event)
    return state


def muted_until(state: Snapshot, user_id: str, now_ms: int) -> int | None:
    """0: not muted; None: for good; otherwise the time in Unix ms at which the mute ends."""
    until = state.muted.get(user_id, 0)
    return 0 if until is not None and until <= now_ms else until


def _change(state: Snapshot, event: Event) -> Snapshot:
    match event:
        case Commented():
            return replace(state, comments=_with_comment(state.comments, event))
        case CommentDeleted():
            kept = tuple(comment for comment in state.comments if comment.comment_id != event.comment_id)
            return replace(state, comments=kept)
        case Muted():
            return replace(state, muted=_with_mute(state.muted, event))
        case Unmuted():
            return replace(state, muted={who: t for who, t in state.muted.items() if who != event.user_id})
        case Pinned():
            stock = state.stock | {variant.variant_id: variant.available for variant in event.card.variants}
            return replace(state, pin=event.card, stock=stock)
        case Unpinned():
            return replace(state, pin=None)
        case StockChanged():
            stock = state.stock | {event.variant_id: event.available}
            return replace(state, stock=stock, pin=_restocked(state.pin, event))
        case PriceChanged():
            return replace(state, pin=_repriced(state.pin, event))
        case ShowStarted():
            return replace(state, show_state=ShowState.LIVE)
        case ShowEnded():
            return replace(state, show_state=ShowState.ENDED)
        case PictureChanged():
            return replace(state, picture=event.state)
        case Purchased():
            return state
    raise AssertionError(f"no rule for {event!r}")


def _with_comment(comments: tuple[CommentView, ...], event: Commented) -> tuple[CommentView, ...]:
    # A log that lost its memory of ids may bring a comment again that the snapshot already holds.
    if any(comment.comment_id == event.comment_id for comment in comments):
        return comments
    view = CommentView(
        comment_id=event.comment_id,
        user_id=event.user_id,
        name=event.name,
        text=event.text,
        at_ms=event.at_ms,
        reply_to=event.reply_to,
        badge=event.badge,
    )
    return (*comments[-(COMMENTS_KEPT - 1) :], view)


def _with_mute(muted: dict[str, int | None], event: Muted) -> dict[str, int | None]:
    """Mutes that are over go; past the bound the oldest goes."""
    kept = {who: until for who, until in muted.items() if until is None or until > event.at_ms}
    kept.pop(event.user_id, None)
    while len(kept) >= MUTES_KEPT:
        kept.pop(next(iter(kept)))
    return kept | {event.user_id: event.until_ms}


def _restocked(card: ProductCard | None, event: StockChanged) -> ProductCard | None:
    return _with_variant(card, event.variant_id, lambda variant: replace(variant, available=event.available))


def _repriced(card: ProductCard | None, event: PriceChanged) -> ProductCard | None:
    return _with_variant(
        card,
        event.variant_id,
        lambda variant: replace(
            variant, price_minor=event.price_minor, compare_at_minor=event.compare_at_minor
        ),
    )


def _with_variant(
    card: ProductCard | None, variant_id: str, change: Callable[[VariantCard], VariantCard]
) -> ProductCard | None:
    if card is None or all(variant.variant_id != variant_id for variant in card.variants):
        return card
    variants = (change(variant) if variant.variant_id == variant_id else variant for variant in card.variants)
    return replace(card, variants=tuple(variants))
