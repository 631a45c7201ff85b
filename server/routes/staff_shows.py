"""Planning and running shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.auth.roles import Action, may_for_show
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import Call, Operation, Upload, staff
from server.routes.schemas import Body, Line, ShowCard, Text, View, check_unchanged, given, show_card
from server.routes.uploads import IMAGE_ERRORS, keep_image
from server.store import shows as store
from server.store.pool import Connection, transaction
from server.store.rows import audit
from server.store.shows import Show

_FAR = timedelta(days=3 * 366)

Visibility = Literal["public", "unlisted", "invited"]
Moment = Annotated[datetime, Meta(tz=True)]


class NewShow(Body, frozen=True):
    title: Line
    starts_at: Moment
    description: Text = ""
    visibility: Visibility = "public"
    host_id: UUID | None = None


class ShowFields(Body, frozen=True):
    title: Line | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    host_id: UUID | UnsetType | None = UNSET
    cover_image_id: UUID | UnsetType | None = UNSET


class ChangeShow(ShowFields, frozen=True):
    """`was`: what the change is based on; a field that is something else by now refuses it."""

    was: ShowFields | UnsetType = UNSET


class Items(Body, frozen=True):
    product_ids: Annotated[tuple[UUID, ...], Meta(max_length=200)]


class StaffShow(ShowCard, frozen=True):
    playback_id: str
    host_id: str | None


class StaffShows(View, frozen=True):
    shows: tuple[StaffShow, ...]


class SummaryView(View, frozen=True):
    orders: int
    paid: int
    units: int
    revenue_minor: int
    viewers_now: int


async def list_shows(call: Call) -> StaffShows:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await store.all_shows(db, shop.id)
    pictures = await call.deps.nodes.pictures_or_none()
    return StaffShows(tuple(staff_show(show, show_card(show, pictures.get(show.id))) for show in found))


def staff_show(show: Show, card: ShowCard) -> StaffShow:
    return StaffShow(**msgspec.structs.asdict(card), playback_id=show.playback_id, host_id=show.host_id)


async def add_show(call: Call, body: NewShow) -> StaffShow:
    shop, starts_at = await the_shop(call), _plausible(call, body.starts_at)
    async with transaction(call.deps.pool) as db:
        host_id = await _host(db, body.host_id)
        show = await store.add_show(
            db,
            shop.id,
            body.title.strip(),
            starts_at,
            description=body.description,
            visibility=body.visibility,
            host_id=host_id,
        )
        await audit(db, shop.id, call.person.user_id, "add_show", show.id, {"title": show.title})
    return staff_show(show, show_card(show, None))


async def change_show(call: Call, body: ChangeShow) -> StaffShow:
    changes = given(body)
    if "starts_at" in changes:
        changes["starts_at"] = _plausible(call, changes["starts_at"])
    async with transaction(call.deps.pool) as db:
        await db.execute("SELECT FROM shows WHERE id = $1 FOR UPDATE", call.path("id"))
        show = await the_show(call, db)
        check_unchanged(body.was, changes, show)
        await _host(db, changes.get("host_id"))
        await _check_cover(db, changes.get("cover_image_id"))
        await store.change_show(db, show.id, changes)
        await note(call, db, show, "edit_show", msgspec.to_builtins(changes))
        show = await the_show(call, db)
    return await _view(call, show)


async def set_cover(call: Call, raw: bytes) -> StaffShow:
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
    image = await keep_image(call, show.shop_id, raw)
    async with transaction(call.deps.pool) as db:
        await store.change_show(db, show.id, {"cover_image_id": image.id})
        await note(call, db, show, "set_cover", {"image_id": image.id})
        show = await the_show(call, db)
    return await _view(call, show)


async def start(call: Call) -> StaffShow:
    show = await _set_state(call, store.LIVE)
    await call.deps.rooms.show_started(show.id, call.person.user_id)
    return await _view(call, show)


async def end(call: Call) -> StaffShow:
    show = await _set_state(call, store.ENDED)
    await call.deps.rooms.show_ended(show.id, call.person.user_id)
    return await _view(call, show)


async def _set_state(call: Call, state: str) -> Show:
    """The same use case as the room's: see `store.shows.set_show_state`."""
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        check_own(call, show, Action.RUN_SHOWS)
        await store.set_show_state(db, show.id, state, call.deps.clock(), call.person.user_id)
        return await the_show(call, db)


async def set_items(call: Call, body: Items) -> None:
    ids = [str(id) for id in body.product_ids]
    if len(set(ids)) != len(ids):
        raise Problem("invalid_body", fields={"product_ids": "A product is there twice."})
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        await store.set_items(db, show.id, show.shop_id, ids)
        await note(call, db, show, "set_items", {"count": len(ids)})


async def summary(call: Call) -> SummaryView:
    async with transaction(call.deps.pool) as db:
        show = await the_show(call, db)
        sold = await store.summary(db, show.id)
    pictures = await call.deps.nodes.pictures_or_none()
    viewers = pictures[show.id].viewers if show.id in pictures else 0
    return SummaryView(sold.orders, sold.paid, sold.units, sold.revenue_minor, viewers)


# --- inside


async def the_show(call: Call, db: Connection) -> Show:
    show = await store.show(db, call.path("id"))
    if show is None:
        raise Problem("no_such_show")
    return show


async def _view(call: Call, show: Show) -> StaffShow:
    pictures = await call.deps.nodes.pictures_or_none()
    return staff_show(show, show_card(show, pictures.get(show.id)))


async def note(call: Call, db: Connection, show: Show, action: str, detail: dict[str, Any]) -> None:
    await audit(db, show.shop_id, call.person.user_id, action, show.id, detail)


def check_own(call: Call, show: Show, action: Action) -> None:
    person = call.person
    if not may_for_show(person.roles, action, user_id=person.user_id, host_id=show.host_id):
        raise Problem("not_your_show")


async def _host(db: Connection, host_id: UUID | str | None) -> str | None:
    """A host is somebody of the shop's staff."""
    if host_id is None:
        return None
    known = await db.fetchval("SELECT exists(SELECT FROM memberships WHERE user_id = $1)", str(host_id))
    if not known:
        raise Problem("no_such_member", fields={"host_id": "Only staff can host a show."})
    return str(host_id)


async def _check_cover(db: Connection, image_id: str | None) -> None:
    known = "SELECT exists(SELECT FROM images WHERE id = $1)"
    if image_id and not await db.fetchval(known, image_id):
        raise Problem("no_such_image")


def _plausible(call: Call, starts_at: datetime) -> datetime:
    now = call.deps.clock()
    if not now - _FAR < starts_at < now + _FAR:
        raise Problem("invalid_body", fields={"starts_at": "The time is too far away."})
    return starts_at.astimezone(UTC)


SHOW = "/api/staff/shows/{id:uuid}"
_SEE, EDIT = staff(Action.SEE_SHOWS), staff(Action.EDIT_SHOWS)
_RUN, _PUBLISH = staff(Action.RUN_SHOWS), staff(Action.PUBLISH)

OPERATIONS = (
    Operation(
        "GET", "/api/staff/shows", list_shows, "All shows, the latest first", _SEE, errors=("no_shop",)
    ),
    Operation(
        "POST",
        "/api/staff/shows",
        add_show,
        "Plan a show",
        EDIT,
        status=201,
        errors=("no_such_member", "no_shop"),
    ),
    Operation(
        "PATCH",
        SHOW,
        change_show,
        "Change a show's plan",
        EDIT,
        errors=("no_such_show", "no_such_member", "no_such_image", "changed_meanwhile"),
    ),
    Operation(
        "PUT",
        SHOW + "/cover",
        set_cover,
        "Set the show's cover (raw image); the header `X-Hawker: 1` is needed",
        EDIT,
        upload=Upload(("image/*",)),
        errors=(*IMAGE_ERRORS, "no_such_show"),
    ),
    Operation(
        "POST",
        SHOW + "/start",
        start,
        "Start the show; again is no harm",
        _RUN,
        errors=("no_such_show", "wrong_show_state", "not_your_show"),
    ),
    Operation(
        "POST",
        SHOW + "/end",
        end,
        "End the show; again is no harm",
        _RUN,
        errors=("no_such_show", "wrong_show_state", "not_your_show"),
    ),
    Operation(
        "PUT",
        SHOW + "/items",
        set_items,
        "Set the run-of-show: these products in this order",
        EDIT,
        errors=("no_such_show", "no_such_product"),
    ),
    Operation("GET", SHOW + "/summary", summary, "What the show sold so far", _SEE, errors=("no_such_show",)),
)
