"""An auction as the room shows it, and where its bidders stand."""

from __future__ import annotations

from collections.abc import Sequence

from overlay.frames import ProductCard
from overlay.selling import AuctionState, AuctionView, StandingState, StandingView
from server.checkout.auctions.refusals import not_paid
from server.checkout.room_shop import card_of
from server.shop.auction import NO_TAKING_BACK_MS, TAKES_BIDS
from server.shop.auction_award import failed
from server.store import catalogue
from server.store.auction_views import AuctionRow, OwnBids
from server.store.pool import Connection


async def auction_views(db: Connection, rows: Sequence[AuctionRow]) -> list[AuctionView]:
    """Rows with the cards of their products."""
    products = await catalogue.products(db, list({row.product_id for row in rows}))
    by_id = {product.id: product for product in products}
    return [_view(row, card_of(by_id[row.product_id], row.currency)) for row in rows]


def _view(row: AuctionRow, card: ProductCard) -> AuctionView:
    return AuctionView(
        auction_id=row.id,
        variant_id=row.variant_id,
        card=card,
        state=row.state,
        start_minor=row.start_minor,
        increment_minor=row.increment_minor,
        duration_s=row.duration_ms // 1000,
        extension_s=row.extension_ms // 1000,
        latency_window_ms=row.latency_window_ms,
        price_minor=row.price_minor,
        next_minor=row.next_minor,
        bids=row.bids,
        leader=row.leader,
        ends_ms=row.ends_ms,
        cap_ms=row.cap_ms,
        has_reserve=row.reserve_minor > 0,
        reserve_met=row.reserve_met,
        recent=row.recent,
    )


def standing_view(row: AuctionRow, own: OwnBids) -> StandingView:
    """Where somebody who has bid stands."""
    state = _standing(row, own)
    lost = [offer for offer in row.offers if offer.user_id == own.user_id]
    return StandingView(
        auction_id=row.id,
        alias=own.alias,
        state=state,
        max_minor=own.max_minor,
        misbid_until_ms=_misbid_until_ms(row, own),
        order_id=_order_id(row, own.user_id),
        reason=not_paid(lost[-1].failure, lost[-1].failure_code) if state is _FAILED else None,
    )


def _order_id(row: AuctionRow, user_id: str) -> str | None:
    orders = [offer.order_id for offer in row.offers if offer.user_id == user_id and offer.order_id]
    return orders[-1] if orders else None


_FAILED = StandingState.PAYMENT_FAILED


def _standing(row: AuctionRow, own: OwnBids) -> StandingState:
    if row.state in TAKES_BIDS:
        secret = row.state is AuctionState.ANNOUNCED and own.max_minor
        return StandingState.LEADING if secret or own.leads else StandingState.OUTBID
    newest = row.offers[-1] if row.offers else None
    if own.user_id in failed(row.offers) and (newest is None or newest.user_id != own.user_id):
        return StandingState.PAYMENT_FAILED
    if newest is not None and newest.user_id == own.user_id:
        lost = own.user_id in failed([newest]) and row.state is not AuctionState.CHARGING
        return StandingState.PAYMENT_FAILED if lost else StandingState.WON
    return StandingState.OUTBID if row.state is AuctionState.CHARGING else StandingState.LOST


def _misbid_until_ms(row: AuctionRow, own: OwnBids) -> int | None:
    if row.state not in TAKES_BIDS or own.took_back or not own.max_minor or own.latest_ms is None:
        return None
    until = own.latest_ms + row.misbid_ms
    return until if row.ends_ms is None else min(until, row.ends_ms - NO_TAKING_BACK_MS)
