"""A room's state, and the one function that applies an event to it.

The state *is* the snapshot that viewers get: live join, late join and replay start from the same value and
apply the same events, so they cannot differ. Pure: no clock; time comes in with the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec.structs import replace

from overlay.frames import (
    Event,
    Offset,
    PictureState,
    ProductCard,
    ShowState,
    VariantCard,
)
from overlay.messages import (
    AnyEvent,
    CommentDeleted,
    Commented,
    CommentView,
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
from overlay.selling import (
    AuctionChanged,
    AuctionView,
    BidsPlaced,
    DropChanged,
    DropView,
    FlashEnded,
    FlashStarted,
    FlashView,
)

COMMENTS_KEPT = 200
MUTES_KEPT = 2_000
SALES_KEPT = 20
BIDS_SHOWN = 10

T = TypeVar("T")


class OutOfOrder(Exception):
    """The event is not the state's next one: catch up from the log first."""


def opened(
    offset: Offset,
    show_state: ShowState = ShowState.SCHEDULED,
    pin: ProductCard | None = None,
    stock: dict[str, int] | None = None,
    picture: PictureState = PictureState.IDLE,
    flashes: dict[str, FlashView] | None = None,
    drops: dict[str, DropView] | None = None,
    auctions: dict[str, AuctionView] | None = None,
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
        flashes=flashes or {},
        drops=drops or {},
        auctions=auctions or {},
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
            return replace(
                state, pin=_priced(state.pin, event.variant_id, event.price_minor, event.compare_at_minor)
            )
        case ShowStarted():
            return replace(state, show_state=ShowState.LIVE)
        case ShowEnded():
            return replace(state, show_state=ShowState.ENDED)
        case PictureChanged():
            return replace(state, picture=event.state)
        case Purchased():
            return state
        case FlashStarted() | FlashEnded() | DropChanged() | AuctionChanged() | BidsPlaced():
            return _sold_otherwise(state, event)
    raise AssertionError(f"no rule for {event!r}")


def _sold_otherwise(state: Snapshot, event: Event) -> Snapshot:
    match event:
        case FlashStarted(flash=flash):
            flashes = state.flashes | {flash.variant_id: flash}
            pin = _priced(state.pin, flash.variant_id, flash.price_minor, flash.was_minor)
            return replace(state, flashes=flashes, pin=pin)
        case FlashEnded():
            flashes = {id: flash for id, flash in state.flashes.items() if flash.flash_id != event.flash_id}
            return replace(
                state, flashes=flashes, pin=_priced(state.pin, event.variant_id, event.price_minor)
            )
        case DropChanged(drop=drop):
            return replace(state, drops=_kept(state.drops, drop.variant_id, drop))
        case AuctionChanged(auction=auction):
            return replace(state, auctions=_kept(state.auctions, auction.auction_id, auction))
        case BidsPlaced():
            before = state.auctions.get(event.auction_id)
            if before is None:
                return state
            return replace(state, auctions=state.auctions | {event.auction_id: _after_bids(before, event)})
    raise AssertionError(f"no rule for {event!r}")


def _kept(views: dict[str, T], key: str, view: T) -> dict[str, T]:
    """The newest last; past the bound the oldest goes."""
    kept = {id: other for id, other in views.items() if id != key}
    while len(kept) >= SALES_KEPT:
        kept.pop(next(iter(kept)))
    return kept | {key: view}


def _after_bids(auction: AuctionView, event: BidsPlaced) -> AuctionView:
    gone = {bid.bid_n for bid in event.bids}
    recent = (*(bid for bid in auction.recent if bid.bid_n not in gone), *event.bids)
    return replace(
        auction,
        recent=recent[-BIDS_SHOWN:],
        price_minor=event.price_minor,
        next_minor=event.next_minor,
        bids=event.count,
        leader=event.leader,
        ends_ms=event.ends_ms,
        reserve_met=event.reserve_met,
    )


def _priced(
    card: ProductCard | None, variant_id: str, price_minor: int, compare_at_minor: int | None = None
) -> ProductCard | None:
    return _with_variant(
        card,
        variant_id,
        lambda variant: replace(variant, price_minor=price_minor, compare_at_minor=compare_at_minor),
    )


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


def _with_variant(
    card: ProductCard | None, variant_id: str, change: Callable[[VariantCard], VariantCard]
) -> ProductCard | None:
    if card is None or all(variant.variant_id != variant_id for variant in card.variants):
        return card
    variants = (change(variant) if variant.variant_id == variant_id else variant for variant in card.variants)
    return replace(card, variants=tuple(variants))
