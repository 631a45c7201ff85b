"""A person's places on waitlists. Offers are bought like everything else, with their `offer_id`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from overlay.selling import PlaceView
from server.auth import limits
from server.checkout.ways.waitlists import view
from server.problems import Problem
from server.routes.operation import SIGNED_IN, Call, Operation, Reply
from server.routes.schemas import Body, View, image_url
from server.store.waitlist import PlaceRow

Quantity = Annotated[int, Meta(ge=1, le=99)]


class NewPlace(Body, frozen=True):
    variant_id: UUID
    quantity: Quantity = 1


class WaitedFor(View, frozen=True):
    handle: str
    title: str
    image_url: str | None


class Place(View, frozen=True, omit_defaults=True):
    """`position` counts from 1. While `offered`, `quantity` units are kept until `offer_ends_ms`."""

    variant_id: str
    state: str
    quantity: int
    product: WaitedFor
    variant_title: str
    position: int | None = None
    offer_id: str | None = None
    offer_ends_ms: int | None = None
    unit_price_minor: int | None = None
    show_id: str | None = None


class Places(View, frozen=True):
    places: tuple[Place, ...]


def _place(row: PlaceRow) -> Place:
    seen = view(row)
    return Place.of(
        seen,
        product=WaitedFor(
            row.handle, row.product_title, image_url(row.image_id, 320) if row.image_id else None
        ),
        variant_title=row.variant_title,
        show_id=row.show_id,
    )


async def my_places(call: Call) -> Places:
    rows = await call.deps.waitlists.of_user(call.person.user_id)
    return Places(tuple(map(_place, rows)))


async def join(call: Call, body: NewPlace) -> Reply:
    await call.deps.limits.take(limits.ORDER, call.person.user_id)
    user_id, variant_id = call.person.user_id, str(body.variant_id)
    return Reply(await call.deps.waitlists.join(variant_id, user_id, body.quantity), 201)


async def leave(call: Call) -> PlaceView:
    place = await call.deps.waitlists.leave(call.path("id"), call.person.user_id)
    if place is None:
        raise Problem("not_waiting")
    return place


OPERATIONS = (
    Operation(
        "GET",
        "/api/me/waitlist",
        my_places,
        "Own places on waitlists: offers first, then those that wait, then what ended this week",
        SIGNED_IN,
    ),
    Operation(
        "POST",
        "/api/waitlist",
        join,
        "Wait for a variant that is sold out; the place one has stays",
        SIGNED_IN,
        returns=PlaceView,
        status=201,
        errors=(
            "no_such_variant",
            "not_open_yet",
            "not_sold_out",
            "already_waiting",
            "buyer_limit",
            "rate_limited",
        ),
    ),
    Operation(
        "DELETE",
        "/api/waitlist/{id:uuid}",
        leave,
        "Give the place on a variant's waitlist up, or turn its offer down",
        SIGNED_IN,
        errors=("not_waiting",),
    ),
)
