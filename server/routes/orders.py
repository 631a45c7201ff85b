"""Orders: placing one over HTTP (the same tap as the room's), looking at them, finishing 3-D Secure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from overlay.messages import OrderView
from server.auth import limits
from server.auth.roles import Action, may
from server.checkout.answers import failure_code, failure_message
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import SIGNED_IN, Call, Operation, Reply
from server.routes.schemas import AmountMinor, Body, Quantity, View, image_url
from server.routes.shows import opened_show
from server.shop.ids import OrderId, ShopId, ShowId, UserId, VariantId
from server.shop.wish import MAX_LINES, Wish, WishLine, problem
from server.store import order_views as store
from server.store.pool import transaction

OrderNumber = Annotated[int, Meta(ge=1, le=2**62)]


class NewLine(Body, frozen=True):
    """`unit_price_minor` is the price the buyer saw: another one is refused, never charged."""

    variant_id: UUID
    quantity: Quantity
    unit_price_minor: AmountMinor


class NewOrder(Body, frozen=True):
    """`id` is made by the client (UUIDv7) and kept for every repeat: an order is placed once. `offer_id` is a
    waitlist's offer, which is bought by itself."""

    id: UUID
    lines: Annotated[tuple[NewLine, ...], Meta(min_length=1, max_length=MAX_LINES)]
    show_id: UUID | None = None
    card_id: UUID | None = None
    address_id: UUID | None = None
    show_first_name: bool = False
    offer_id: UUID | None = None


class Retry(Body, frozen=True):
    card_id: UUID


class LineView(View, frozen=True):
    variant_id: str
    title: str
    variant_title: str
    quantity: int
    unit_price_minor: int
    image_url: str | None


class CardView(View, frozen=True):
    brand: str
    last4: str


class AddressView(View, frozen=True):
    name: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    phone: str = ""


class HistoryEntry(View, frozen=True):
    kind: str
    at: datetime
    detail: str


class Order(View, frozen=True):
    """`owed_minor`: what a refund was to give back and did not; `repaid_minor`: what was paid back in another
    way since. `client_secret` is there in state `action_needed`, for its buyer. `auction_id`: it was won
    there; once its payment has failed, the unit is the next bidder's."""

    id: str
    number: int
    state: str
    show_id: str | None
    auction_id: str | None
    currency: str
    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int
    refunded_minor: int
    owed_minor: int
    repaid_minor: int
    lines: tuple[LineView, ...]
    address: AddressView
    card: CardView | None
    failure_code: str | None
    failure_message: str | None
    client_secret: str | None
    buyer_name: str | None
    buyer_email: str | None
    created_at: datetime
    settled_at: datetime | None
    fulfilled_at: datetime | None
    history: tuple[HistoryEntry, ...]


class Orders(View, frozen=True):
    orders: tuple[Order, ...]
    next: str | None


class OrderQuery(View, frozen=True):
    cursor: OrderNumber | None = None


def order_view(row: store.OrderRow, *, for_buyer: bool) -> Order:
    code = failure_code(row.failure_code) if for_buyer else row.failure_code
    return Order.of(
        row,
        lines=tuple(_line(line) for line in row.lines),
        address=msgspec.convert({k: v or "" for k, v in row.address.items()}, AddressView, strict=False),
        card=CardView(row.card_brand, row.card_last4) if row.card_brand and row.card_last4 else None,
        failure_code=code,
        failure_message=failure_message(failure_code(row.failure_code)),
        client_secret=row.client_secret if for_buyer else None,
        history=tuple(
            HistoryEntry(h.kind, h.at, _spoken(h.detail, for_buyer=for_buyer)) for h in row.history
        ),
    )


def _line(line: store.OrderLine) -> LineView:
    return LineView.of(line, image_url=image_url(line.image_id, 320) if line.image_id else None)


def _spoken(detail: dict[str, object], *, for_buyer: bool) -> str:
    """What people may read of an event: the provider's ids stay inside, a bank's suspicion with the staff."""
    hidden = ("payment_intent", "client_secret", "refund", *(("code",) if for_buyer else ()))
    return ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in detail.items() if name not in hidden and value
    )


def page(rows: list[store.OrderRow], *, for_buyer: bool) -> Orders:
    more = str(rows[-1].number) if len(rows) == store.PAGE else None
    return Orders(tuple(order_view(row, for_buyer=for_buyer) for row in rows), more)


async def my_orders(call: Call, query: OrderQuery) -> Orders:
    async with transaction(call.deps.pool) as db:
        rows = await store.orders_of_user(db, call.person.user_id, query.cursor)
    return page(rows, for_buyer=True)


async def order(call: Call) -> Order:
    """The buyer's or the staff's. To everybody else it is not there."""
    async with transaction(call.deps.pool) as db:
        row = await store.order(db, call.path("id"))
    mine = row is not None and row.user_id == call.person.user_id
    if row is None or not (mine or may(call.person.roles, Action.SEE_ORDERS)):
        raise Problem("no_such_order")
    return order_view(row, for_buyer=mine)


async def buy(call: Call, body: NewOrder) -> Reply:
    await call.deps.limits.take(limits.ORDER, call.person.user_id)
    shop = await the_shop(call)
    if body.show_id:
        async with transaction(call.deps.pool) as db:
            await opened_show(call, db, str(body.show_id), call.bearer)
    wish = Wish(
        order_id=OrderId(str(body.id)),
        shop_id=ShopId(shop.id),
        show_id=ShowId(str(body.show_id)) if body.show_id else None,
        user_id=UserId(call.person.user_id),
        lines=tuple(
            WishLine(VariantId(str(line.variant_id)), line.quantity, line.unit_price_minor)
            for line in body.lines
        ),
        card_id=str(body.card_id) if body.card_id else None,
        address_id=str(body.address_id) if body.address_id else None,
        show_first_name=body.show_first_name,
        offer_id=str(body.offer_id) if body.offer_id else None,
    )
    if fault := problem(wish):
        raise Problem("invalid_body", fault, fields={"lines": fault})
    return Reply(await call.deps.tap.buy(wish), 202)


async def authenticated(call: Call) -> Order:
    await call.deps.buyer.authenticated(OrderId(call.path("id")), UserId(call.person.user_id))
    return await order(call)


async def cancel(call: Call) -> Order:
    await call.deps.buyer.cancel(OrderId(call.path("id")), UserId(call.person.user_id))
    return await order(call)


async def retry(call: Call, body: Retry) -> Reply:
    await call.deps.limits.take(limits.ORDER, call.person.user_id)
    user_id, order_id = UserId(call.person.user_id), OrderId(call.path("id"))
    return Reply(await call.deps.buyer.retry(order_id, user_id, str(body.card_id)), 202)


_REFUSED = (
    "sold_out",
    "buyer_limit",
    "price_changed",
    "not_for_sale",
    "not_open_yet",
    "offer_over",
    "no_card",
    "no_address",
    "order_id_reused",
    "bad_order",
    "busy",
    "rate_limited",
    "unavailable",
)

OPERATIONS = (
    Operation("GET", "/api/me/orders", my_orders, "Own orders, the newest first", SIGNED_IN),
    Operation(
        "GET",
        "/api/orders/{id:uuid}",
        order,
        "One order, for its buyer and for staff",
        SIGNED_IN,
        errors=("no_such_order",),
    ),
    Operation(
        "POST",
        "/api/orders",
        buy,
        "Buy with one tap; the answer comes once the order is durable",
        SIGNED_IN,
        returns=OrderView,
        status=202,
        errors=(*_REFUSED, "no_shop", "no_such_show", "pass_needed"),
    ),
    Operation(
        "POST",
        "/api/orders/{id:uuid}/authenticated",
        authenticated,
        "3-D Secure is done: look how it went",
        SIGNED_IN,
        errors=("no_such_order", "provider_unavailable"),
    ),
    Operation(
        "POST",
        "/api/orders/{id:uuid}/cancel",
        cancel,
        "Call off an order that waits for its buyer",
        SIGNED_IN,
        errors=("no_such_order", "being_charged", "not_cancellable", "provider_unavailable"),
    ),
    Operation(
        "POST",
        "/api/orders/{id:uuid}/retry",
        retry,
        "Charge a declined order to another card",
        SIGNED_IN,
        returns=OrderView,
        status=202,
        errors=(*_REFUSED, "no_such_order", "not_declined"),
    ),
)
