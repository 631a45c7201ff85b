"""Shows as their audience sees them, and the tickets that let people in."""

from __future__ import annotations

from msgspec import Struct
from starlette.responses import Response

from server.auth import limits
from server.auth.limits import network_of
from server.auth.roles import Action, may, may_for_show
from server.auth.tokens import digest
from server.problems import Problem
from server.routes.about import the_shop
from server.routes.operation import SIGNED_IN, Call, Operation
from server.routes.schemas import Body, Product, ShowCard, Token, View, product_view, show_card
from server.store import catalogue
from server.store import shows as store
from server.store.pool import Connection, transaction
from server.store.rows import audited
from server.store.shows import Show
from server.tickets import ROOM_TICKET_MS, RoomTicket


class ShowCards(View, frozen=True):
    live: tuple[ShowCard, ...]
    upcoming: tuple[ShowCard, ...]
    ended: tuple[ShowCard, ...]


class Item(View, frozen=True):
    """`state` is upcoming, pinned or shown."""

    position: int
    product: Product
    state: str


class Can(View, frozen=True):
    host: bool
    produce: bool
    moderate: bool


class ShowView(ShowCard, frozen=True):
    playback_id: str
    whep_url: str
    items: tuple[Item, ...]
    can: Can


class PassQuery(Struct, frozen=True, rename={"pass_": "pass"}):
    pass_: Token | None = None


class RoomTicketWish(Body, frozen=True, rename={"pass_": "pass"}):
    pass_: Token | None = None


class RoomTicketView(View, frozen=True):
    ticket: str
    expires_in_s: int


class PublishTicket(View, frozen=True):
    """POST the offer to `url` with `Authorization: Bearer {token}` (WHIP, RFC 9725)."""

    url: str
    token: str


async def shows(call: Call) -> ShowCards:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await store.listed(db, shop.id)
    pictures = await call.deps.nodes.pictures_or_none()
    cards = [show_card(show, pictures.get(show.id)) for show in found]
    return ShowCards(
        live=tuple(card for card in cards if card.state == store.LIVE),
        upcoming=tuple(card for card in cards if card.state == store.SCHEDULED),
        ended=tuple(card for card in cards if card.state == store.ENDED),
    )


async def show(call: Call, query: PassQuery) -> ShowView:
    async with transaction(call.deps.pool) as db:
        found = await opened_show(call, db, call.path("id"), query.pass_ or call.bearer)
        items = await store.items(db, found.id)
        products = await catalogue.products(db, [item.product_id for item in items])
    pictures = await call.deps.nodes.pictures_or_none()
    staff = bool(call.visitor) and may(call.person.roles, Action.SEE_CATALOGUE)
    run_of_show = _items(found, items, products, staff=staff)
    return show_view(call, found, run_of_show, show_card(found, pictures.get(found.id)))


def show_view(call: Call, found: Show, items: tuple[Item, ...], card: ShowCard) -> ShowView:
    roles = call.visitor.roles if call.visitor else ()
    host = bool(call.visitor) and may_for_show(
        roles, Action.PUBLISH, user_id=call.person.user_id, host_id=found.host_id
    )
    return ShowView.of(
        card,
        playback_id=found.playback_id,
        whep_url=f"/whep/{found.playback_id}",
        items=items,
        can=Can(host=host, produce=may(roles, Action.EDIT_SHOWS), moderate=may(roles, Action.MODERATE)),
    )


def _items(
    found: Show, items: list[store.Item], products: list[catalogue.Product], *, staff: bool
) -> tuple[Item, ...]:
    """The run-of-show; products that are not on sale are for staff's eyes."""
    by_id = {product.id: product for product in products}
    return tuple(
        Item(item.position, product_view(by_id[item.product_id]), _item_state(found, item))
        for item in items
        if item.product_id in by_id and (staff or by_id[item.product_id].state == "active")
    )


def _item_state(found: Show, item: store.Item) -> str:
    if found.pinned_product == item.product_id:
        return "pinned"
    return "shown" if item.shown_at else "upcoming"


async def opened_show(call: Call, db: Connection, show_id: str, given_pass: str | None) -> Show:
    """The show, if this visitor may see it. Raises Problem `no_such_show`, `pass_needed`."""
    found = await store.show(db, show_id)
    if found is None:
        raise Problem("no_such_show")
    await check_pass(call, db, found, given_pass)
    return found


async def check_pass(call: Call, db: Connection, found: Show, given_pass: str | None) -> None:
    """Public shows and unlisted ones (whose link is enough) are open; others want a pass, or a member of
    staff."""
    if found.visibility != store.INVITED:
        return
    if call.visitor and may(call.visitor.roles, Action.SEE_SHOWS):
        return
    if given_pass and await store.pass_opens(db, found.id, digest(given_pass), call.deps.clock()):
        return
    await call.deps.limits.take(limits.KEY_GUESS, f"pass:{network_of(call.client_ip)}")
    raise Problem("pass_needed")


async def calendar(call: Call, query: PassQuery) -> Response:
    async with transaction(call.deps.pool) as db:
        found = await opened_show(call, db, call.path("id"), query.pass_ or call.bearer)
        revision = await audited(db, found.id)
    from server.routes.calendar import calendar_of  # its library takes a tenth of the role's start

    content = calendar_of(found, revision, call.deps.settings.public_url, call.deps.clock())
    name = f'attachment; filename="show-{found.id}.ics"'
    return Response(content, 200, {"content-disposition": name}, "text/calendar; charset=utf-8")


async def room_ticket(call: Call, body: RoomTicketWish) -> RoomTicketView:
    """Whoever is signed in gets a ticket; a guest only with a pass (open shows take guests without one)."""
    async with transaction(call.deps.pool) as db:
        found = await opened_show(call, db, call.path("id"), body.pass_)
    visitor = call.visitor
    if visitor is None and found.visibility != store.INVITED:
        raise Problem("not_signed_in")
    await call.deps.limits.take(limits.TICKET, visitor.user_id if visitor else network_of(call.client_ip))
    ticket = RoomTicket(
        show_id=found.id,
        user_id=visitor.user_id if visitor else None,
        session_id=visitor.session_id if visitor else None,
        name=visitor.display_name if visitor else "guest",
        roles=visitor.roles if visitor else (),
    )
    return RoomTicketView(await call.deps.tickets.issue(ticket), ROOM_TICKET_MS // 1000)


async def publish_ticket(call: Call) -> PublishTicket:
    async with transaction(call.deps.pool) as db:
        found = await store.show(db, call.path("id"))
    if found is None:
        raise Problem("no_such_show")
    person = call.person
    if not may(person.roles, Action.PUBLISH):
        raise Problem("not_allowed")
    if not may_for_show(person.roles, Action.PUBLISH, user_id=person.user_id, host_id=found.host_id):
        raise Problem("not_your_show")
    if found.state == store.ENDED:
        raise Problem("show_ended")
    return PublishTicket("/whip", await call.deps.tickets.issue_publish_token(found.id, person.user_id))


OPERATIONS = (
    Operation("GET", "/api/shows", shows, "What is on, what is next and what was", errors=("no_shop",)),
    Operation(
        "GET",
        "/api/shows/{id:uuid}",
        show,
        "One show with its run-of-show; a pass comes as `pass` or as a bearer token",
        errors=("no_such_show", "pass_needed", "rate_limited"),
    ),
    Operation(
        "GET",
        "/api/shows/{id:uuid}/calendar.ics",
        calendar,
        "The show for a calendar (RFC 5545)",
        media_type="text/calendar",
        errors=("no_such_show", "pass_needed", "rate_limited"),
    ),
    Operation(
        "POST",
        "/api/shows/{id:uuid}/room-ticket",
        room_ticket,
        "A single-use ticket for the show's room",
        errors=("no_such_show", "pass_needed", "not_signed_in", "rate_limited"),
    ),
    Operation(
        "POST",
        "/api/shows/{id:uuid}/publish-ticket",
        publish_ticket,
        "A token with which the studio page publishes this show for twelve hours",
        SIGNED_IN,
        errors=("no_such_show", "not_allowed", "not_your_show", "show_ended"),
    ),
)
