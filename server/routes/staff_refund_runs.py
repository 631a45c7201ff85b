"""The back office: money back for many orders, because a show is cancelled or a product withdrawn."""

from __future__ import annotations

from uuid import UUID

from server.auth.roles import Action
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation, staff
from server.routes.schemas import Body, Line, View
from server.store import refund_runs, shows
from server.store.pool import Connection, transaction
from server.store.refund_runs import Progress, Run
from server.store.rows import audit


class NewRun(Body, frozen=True):
    """`id` (a UUID of the client's) makes a repeat harmless. `cancel_show` ends the show and calls off its
    drops and auctions; without it the show goes on. `sent_too`: also orders that were sent. `restock` puts
    the units of orders refunded in full back on sale."""

    id: UUID
    reason: Line
    show_id: UUID | None = None
    product_id: UUID | None = None
    cancel_show: bool = False
    sent_too: bool = False
    restock: bool = False


class RunQuery(View, frozen=True):
    show_id: UUID | None = None
    product_id: UUID | None = None


class Runs(View, frozen=True):
    """`to_send` and `sent`: paid orders with something left to give back now, and how much that is."""

    runs: tuple[Progress, ...]
    to_send: int
    to_send_minor: int
    sent: int
    sent_minor: int


async def list_runs(call: Call, query: RunQuery) -> Runs:
    shop = await the_shop(call)
    show_id, product_id = _text(query.show_id), _text(query.product_id)
    async with transaction(call.deps.pool) as db:
        found = await refund_runs.of(db, shop.id, show_id, product_id)
        reach = await refund_runs.reach(db, shop.id, show_id, product_id)
    return Runs(tuple(found), reach.to_send, reach.to_send_minor, reach.sent, reach.sent_minor)


async def begin(call: Call, body: NewRun) -> Progress:
    run = await _wish(call, body)
    async with transaction(call.deps.pool) as db:
        await _check(db, run)
        if await refund_runs.add(db, run):
            detail = {"show": run.show_id, "product": run.product_id, "reason": run.reason}
            action = "cancel_show" if run.cancels_show else "refund_many"
            await audit(db, run.shop_id, run.asked_by, action, run.show_id or run.id, detail)
            if run.cancels_show and run.show_id:
                await shows.cancel_show(db, run.show_id, call.deps.clock())
        made = await refund_runs.progress(db, run.shop_id, run.id)
    if made is None:
        raise Problem("invalid_body", fields={"id": "This id is taken."})
    if run.cancels_show and run.show_id:
        await call.deps.rooms.show_ended(run.show_id, run.asked_by)
    return made


async def _wish(call: Call, body: NewRun) -> Run:
    if body.show_id is None and (body.product_id is None or body.cancel_show):
        raise Problem("invalid_body", fields={"show_id": "A show or a product; to cancel, a show."})
    if body.cancel_show and body.product_id:
        raise Problem("invalid_body", fields={"product_id": "A show is cancelled whole."})
    return Run(
        id=str(body.id),
        shop_id=(await the_shop(call)).id,
        show_id=_text(body.show_id),
        product_id=_text(body.product_id),
        cancels_show=body.cancel_show,
        sent_too=body.sent_too,
        restock=body.restock,
        reason=body.reason.strip(),
        asked_by=call.person.user_id,
    )


async def _check(db: Connection, run: Run) -> None:
    show = await shows.show(db, run.show_id) if run.show_id else None
    if run.show_id and (show is None or show.shop_id != run.shop_id):
        raise Problem("no_such_show")
    if run.product_id and not await refund_runs.has_product(db, run.shop_id, run.product_id):
        raise Problem("no_such_product")


def _text(number: UUID | None) -> str | None:
    return str(number) if number else None


_RUNS = "/api/staff/refund-runs"

OPERATIONS = (
    Operation(
        "GET",
        _RUNS,
        list_runs,
        "Refunds of many orders, the newest first, how far they are, and what one more would reach",
        staff(Action.REFUND),
        errors=("no_shop",),
    ),
    Operation(
        "POST",
        _RUNS,
        begin,
        "Give back the money of all paid orders of a show or product; cancel the show with it",
        staff(Action.REFUND),
        status=202,
        errors=("no_shop", "no_such_show", "no_such_product"),
    ),
)
