"""The shop's own people and settings, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from server.auth.accounts import normal_email
from server.auth.roles import Action, Role
from server.currency import TAKEN
from server.problems import Problem
from server.routes.about import ShopView, shop_view, the_shop
from server.routes.operation import SIGNED_IN, Call, Operation, staff
from server.routes.schemas import (
    AmountMinor,
    Body,
    Country,
    Currency,
    Email,
    Line,
    Me,
    Search,
    Token,
    View,
    check_chargeable,
    check_unchanged,
    given,
    me,
)
from server.store import people
from server.store import staff as store
from server.store.pool import transaction
from server.store.rows import audit

_AUDIT_PAGE = 100


class Invite(Body, frozen=True):
    email: Email
    role: Role


class Accept(Body, frozen=True):
    token: Token


class ShopFields(Body, frozen=True):
    name: Line | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    tax_rate_bp: Annotated[int, Meta(ge=0, le=10_000)] | UnsetType = UNSET
    flat_shipping_minor: AmountMinor | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    contact_email: Email | UnsetType = UNSET


class ChangeShop(ShopFields, frozen=True):
    """`was`: what the change is based on; a field that is something else by now refuses it."""

    was: ShopFields | UnsetType = UNSET


class PeopleQuery(View, frozen=True):
    q: Search = ""


class AuditQuery(View, frozen=True):
    cursor: Annotated[int, Meta(ge=1, le=2**62)] | None = None


class MemberView(View, frozen=True):
    user_id: str
    email: str
    display_name: str
    role: str
    since: datetime


class Members(View, frozen=True):
    members: tuple[MemberView, ...]


class InvitationView(View, frozen=True):
    id: str
    email: str
    role: str
    created_at: datetime
    expires_at: datetime


class Invitations(View, frozen=True):
    invitations: tuple[InvitationView, ...]


class PersonView(View, frozen=True):
    user_id: str
    email: str
    display_name: str
    created_at: datetime


class People(View, frozen=True):
    people: tuple[PersonView, ...]


class AuditView(View, frozen=True):
    """`about` is what the subject is called, `product_id` the product that it is or is a variant of."""

    id: int
    actor_id: str | None
    actor_name: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    at: datetime
    about: str | None
    product_id: str | None


class Audit(View, frozen=True):
    entries: tuple[AuditView, ...]
    next: str | None


class StaffShopView(ShopView, frozen=True):
    """`currencies` are those that can be chosen."""

    contact_email: str
    currencies: tuple[str, ...]


async def members(call: Call) -> Members:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await store.members(db, shop.id)
    return Members(tuple(MemberView(m.user_id, m.email, m.display_name, m.role, m.since) for m in found))


async def remove_member(call: Call) -> None:
    try:
        role = Role(call.path("role"))
    except ValueError:
        raise Problem("no_such_member") from None
    shop = await the_shop(call)
    await call.deps.staff.remove(shop.id, call.person, call.path("user_id"), role)


async def invitations(call: Call) -> Invitations:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await store.open_invitations(db, shop.id)
    return Invitations(tuple(_invitation(one) for one in found))


def _invitation(row: store.Invitation) -> InvitationView:
    return InvitationView(row.id, row.email, row.role, row.created_at, row.expires_at)


async def invite(call: Call, body: Invite) -> InvitationView:
    shop = await the_shop(call)
    made = await call.deps.staff.invite(shop, call.person, normal_email(body.email), body.role)
    return _invitation(made)


async def withdraw(call: Call) -> None:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        if not await store.remove_invitation(db, shop.id, call.path("id")):
            raise Problem("no_such_invitation")
        await audit(db, shop.id, call.person.user_id, "withdraw_invitation", call.path("id"))


async def accept(call: Call, body: Accept) -> Me:
    await call.deps.staff.accept(call.person, body.token, call.client_ip)
    async with transaction(call.deps.pool) as db:
        person = await people.person_of_id(db, call.person.session_id, call.deps.clock())
    if person is None:
        raise Problem("not_signed_in")
    return me(person)


async def find_people(call: Call, query: PeopleQuery) -> People:
    async with transaction(call.deps.pool) as db:
        found = await store.find_people(db, query.q.strip())
    return People(tuple(PersonView(p.user_id, p.email, p.display_name, p.created_at) for p in found))


async def shop_settings(call: Call) -> StaffShopView:
    return _staff_shop(await the_shop(call))


async def change_shop(call: Call, body: ChangeShop) -> StaffShopView:
    shop = await the_shop(call)
    changes = given(body)
    check_unchanged(body.was, changes, shop)
    currency = changes.get("currency", shop.currency)
    if currency != shop.currency and currency not in TAKEN:
        raise Problem("currency_not_taken", fields={"currency": f"{currency} can't be charged."})
    shipping = changes.get("flat_shipping_minor", shop.flat_shipping_minor)
    check_chargeable(currency, flat_shipping_minor=shipping)
    async with transaction(call.deps.pool) as db:
        if currency != shop.currency and await store.has_orders(db, shop.id):
            raise Problem("currency_in_use", fields={"currency": f"Orders exist in {shop.currency}."})
        await store.change_shop(db, shop.id, changes)
        await audit(db, shop.id, call.person.user_id, "edit_shop", shop.id, changes)
    return _staff_shop(await the_shop(call))


def _staff_shop(shop: store.Shop) -> StaffShopView:
    return StaffShopView(
        **asdict(shop_view(shop)), contact_email=shop.contact_email, currencies=tuple(sorted(TAKEN))
    )


async def audit_trail(call: Call, query: AuditQuery) -> Audit:
    shop = await the_shop(call)
    async with transaction(call.deps.pool) as db:
        found = await store.audit_entries(db, shop.id, query.cursor, _AUDIT_PAGE)
    entries = tuple(map(AuditView.of, found))
    return Audit(entries, str(found[-1].id) if len(found) == _AUDIT_PAGE else None)


_MANAGE = staff(Action.MANAGE_PEOPLE)

OPERATIONS = (
    Operation(
        "GET",
        "/api/staff/members",
        members,
        "Who works for the shop, and as what",
        staff(Action.SEE_PEOPLE),
        errors=("no_shop",),
    ),
    Operation(
        "DELETE",
        "/api/staff/members/{user_id:uuid}/{role}",
        remove_member,
        "Take a role away",
        _MANAGE,
        errors=("no_such_member", "last_owner", "no_shop"),
    ),
    Operation("GET", "/api/staff/invitations", invitations, "Open invitations", _MANAGE, errors=("no_shop",)),
    Operation(
        "POST",
        "/api/staff/invitations",
        invite,
        "Invite somebody by mail",
        _MANAGE,
        status=201,
        errors=("already_member", "rate_limited", "no_shop"),
    ),
    Operation(
        "DELETE",
        "/api/staff/invitations/{id:uuid}",
        withdraw,
        "Withdraw an invitation",
        _MANAGE,
        errors=("no_such_invitation", "no_shop"),
    ),
    Operation(
        "POST",
        "/api/invitations/accept",
        accept,
        "Accept an invitation with the token from the mail",
        SIGNED_IN,
        errors=("bad_token", "other_address", "rate_limited"),
    ),
    Operation(
        "GET",
        "/api/staff/people",
        find_people,
        "People with an account, by part of name or address",
        staff(Action.SEE_PEOPLE),
    ),
    Operation(
        "GET",
        "/api/staff/shop",
        shop_settings,
        "The shop's settings",
        staff(Action.EDIT_SHOP),
        errors=("no_shop",),
    ),
    Operation(
        "PATCH",
        "/api/staff/shop",
        change_shop,
        "Change the shop's settings",
        staff(Action.EDIT_SHOP),
        errors=(
            "currency_in_use",
            "currency_not_taken",
            "amount_not_chargeable",
            "changed_meanwhile",
            "no_shop",
        ),
    ),
    Operation(
        "GET",
        "/api/staff/audit",
        audit_trail,
        "What staff did, the newest first",
        staff(Action.SEE_AUDIT),
        errors=("no_shop",),
    ),
)
