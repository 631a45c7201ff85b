"""The back office's orders."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from server.auth.roles import Action
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation, staff
from server.routes.orders import Order, OrderNumber, Orders, order_view, page
from server.routes.schemas import Body, Line, Search, View
from server.shop.ids import OrderId
from server.store import order_views as store
from server.store.pool import transaction
from server.store.rows import audit

OrderState = Literal["charging", "action_needed", "paid", "declined", "cancelled", "fulfilled", "refunded"]


class StaffOrderQuery(View, frozen=True):
    """`owed`: only orders whose buyers have not got what they were to get back."""

    state: OrderState | None = None
    owed: bool = False
    q: Search = ""
    cursor: OrderNumber | None = None


class OwedPaid(Body, frozen=True):
    how: Line


class Refund(Body, frozen=True):
    """`id` (a UUID of the client's) makes a repeat of the same refund harmless. `restock` puts the units of
    an order refunded in full back on sale."""

    amount_minor: Annotated[int, Meta(ge=1, le=10_000_000_000)]
    reason: Line
    id: UUID | None = None
    restock: bool = False


async def list_orders(call: Call, query: StaffOrderQuery) -> Orders:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        rows = await store.orders_of_shop(
            db, shop.id, query.state, query.q.strip(), query.cursor, owed=query.owed
        )
    return page(rows, for_buyer=False)


async def order(call: Call) -> Order:
    async with transaction(call.deps.pool) as db:
        row = await store.order(db, call.path("id"))
        if row is None:
            raise Problem("no_such_order")
        trail = await store.trail(db, row.id)
    history = tuple(sorted((*row.history, *trail), key=lambda happening: happening.at))
    return order_view(msgspec.structs.replace(row, history=history), for_buyer=False)


async def fulfil(call: Call) -> Order:
    await call.deps.shopkeeper.fulfil(OrderId(call.path("id")), call.person.user_id)
    await _audit(call, "fulfil", {})
    return await order(call)


async def refund(call: Call, body: Refund) -> Order:
    await call.deps.shopkeeper.refund(
        OrderId(call.path("id")),
        body.amount_minor,
        body.reason.strip(),
        call.person.user_id,
        refund_id=str(body.id) if body.id else None,
        restock=body.restock,
    )
    await _audit(call, "refund", {"amount_minor": body.amount_minor, "reason": body.reason})
    return await order(call)


async def owed_paid(call: Call, body: OwedPaid) -> Order:
    await call.deps.shopkeeper.owed_paid(OrderId(call.path("id")), body.how.strip(), call.person.user_id)
    await _audit(call, "owed_paid", {"how": body.how})
    return await order(call)


async def _audit(call: Call, action: str, detail: dict[str, object]) -> None:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        await audit(db, shop.id, call.person.user_id, action, call.path("id"), detail)


_ORDER = "/api/staff/orders/{id:uuid}"
_SEE = staff(Action.SEE_ORDERS)

OPERATIONS = (
    Operation(
        "GET",
        "/api/staff/orders",
        list_orders,
        "Orders, the newest first; `q` is a number, a name or an e-mail address",
        _SEE,
        errors=("no_shop",),
    ),
    Operation(
        "GET",
        _ORDER,
        order,
        "One order with its whole history: attempts, payments, refunds and webhooks too",
        _SEE,
        errors=("no_such_order",),
    ),
    Operation(
        "POST",
        _ORDER + "/fulfil",
        fulfil,
        "Mark an order as sent; its buyer gets a mail",
        staff(Action.FULFIL),
        errors=("no_such_order", "not_paid"),
    ),
    Operation(
        "POST",
        _ORDER + "/refund",
        refund,
        "Give money back, in part or in full; carried out in the background",
        staff(Action.REFUND),
        errors=("no_such_order", "not_paid", "refund_too_large"),
    ),
    Operation(
        "POST",
        _ORDER + "/owed-paid",
        owed_paid,
        "Say that what a failed refund left owing was paid in another way",
        staff(Action.REFUND),
        errors=("no_such_order", "nothing_owed"),
    ),
)
