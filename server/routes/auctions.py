"""Auctions over HTTP: the public bid book, where a bidder stands, and what staff see. Bids go by the room."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from overlay.selling import AuctionView, BidView, StandingView
from server.auth.roles import Action
from server.checkout.auctions.views import auction_views, standing_view
from server.problems import Problem
from server.routes.operation import SIGNED_IN, Call, Operation, staff
from server.routes.schemas import View
from server.routes.shows import PassQuery, opened_show
from server.store import auction_views as store
from server.store import shows
from server.store.auction_views import AuctionRow
from server.store.pool import Connection, transaction

BidNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class BookQuery(PassQuery, frozen=True, rename={"pass_": "pass"}):
    """`cursor`: the `next` of the page before; older lines follow."""

    cursor: BidNumber | None = None


class Auction(View, frozen=True):
    auction: AuctionView
    show_id: str


class Book(View, frozen=True):
    """The public book: the newest page first, each page oldest line first; `next` leads to older lines."""

    auction: AuctionView
    show_id: str
    bids: tuple[BidView, ...]
    next: int | None


class OwnAuction(View, frozen=True):
    """An auction somebody bid in, and where they stand."""

    auction: AuctionView
    standing: StandingView
    show_id: str


class OwnAuctions(View, frozen=True):
    auctions: tuple[OwnAuction, ...]


class OfferView(View, frozen=True):
    """Whom the unit was offered to, at which price. `failure`: why there could be no order."""

    n: int
    alias: str
    price_minor: int
    on_session: bool
    order_id: str | None
    order_state: str | None
    failure: str | None


class StaffAuction(View, frozen=True):
    """With what the room does not see: the reserve and the offers after the hammer."""

    auction: AuctionView
    reserve_minor: int
    offers: tuple[OfferView, ...]
    announced_at: datetime
    opened_at: datetime | None
    ended_at: datetime | None


class StaffAuctions(View, frozen=True):
    auctions: tuple[StaffAuction, ...]


async def auction(call: Call, query: PassQuery) -> Auction:
    async with transaction(call.deps.pool) as db:
        row = await _opened(call, db, query.pass_)
        (view,) = await auction_views(db, [row])
    return Auction(view, row.show_id)


async def book(call: Call, query: BookQuery) -> Book:
    async with transaction(call.deps.pool) as db:
        row = await _opened(call, db, query.pass_)
        (view,) = await auction_views(db, [row])
        lines = await store.book(db, row.id, query.cursor)
    more = lines[0].bid_n if len(lines) == store.BOOK_PAGE else None
    return Book(view, row.show_id, tuple(lines), more)


async def _opened(call: Call, db: Connection, given_pass: str | None) -> AuctionRow:
    """The auction, for whoever may see its show."""
    row = await store.auction(db, call.path("id"))
    if row is None:
        raise Problem("no_such_auction")
    await opened_show(call, db, row.show_id, given_pass or call.bearer)
    return row


async def my_auctions(call: Call) -> OwnAuctions:
    user_id = call.person.user_id
    async with transaction(call.deps.pool) as db:
        rows = await store.of_bidder(db, user_id)
        views = {view.auction_id: view for view in await auction_views(db, rows)}
        own = {one.auction_id: one for one in await store.own_bids(db, list(views), user_id)}
    newest_first = reversed(rows)
    return OwnAuctions(
        tuple(OwnAuction(views[row.id], standing_view(row, own[row.id]), row.show_id) for row in newest_first)
    )


async def of_show(call: Call) -> StaffAuctions:
    async with transaction(call.deps.pool) as db:
        show = await shows.show(db, call.path("id"))
        if show is None:
            raise Problem("no_such_show")
        rows = await store.of_show(db, show.id, limit=store.STAFF_SHOWN)
        views = await auction_views(db, rows)
    return StaffAuctions(tuple(_for_staff(row, view) for row, view in zip(rows, views, strict=True)))


def _for_staff(row: AuctionRow, view: AuctionView) -> StaffAuction:
    return StaffAuction.of(row, auction=view, announced_at=row.created_at)


_SEEING = ("no_such_auction", "no_such_show", "pass_needed")

OPERATIONS = (
    Operation(
        "GET", "/api/auctions/{id:uuid}", auction, "An auction as everybody may see it", errors=_SEEING
    ),
    Operation(
        "GET", "/api/auctions/{id:uuid}/book", book, "The public bid book, by pseudonym", errors=_SEEING
    ),
    Operation(
        "GET",
        "/api/me/auctions",
        my_auctions,
        "Auctions one has bid in, and where one stands; the newest first",
        SIGNED_IN,
    ),
    Operation(
        "GET",
        "/api/staff/shows/{id:uuid}/auctions",
        of_show,
        "A show's auctions with their reserves, offers and orders",
        staff(Action.RUN_SHOWS),
        errors=("no_such_show",),
    ),
)
