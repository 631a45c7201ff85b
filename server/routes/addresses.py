"""A person's delivery addresses."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from server.problems import Problem
from server.routes.operation import SIGNED_IN, Call, Operation, Reply
from server.routes.schemas import Body, Country, Line, OptionalLine, View
from server.store import addresses as store
from server.store.pool import transaction

PostalCode = Annotated[str, Meta(min_length=1, max_length=20, pattern=r"\S")]
Phone = Annotated[str, Meta(max_length=40)]


class NewAddress(Body, frozen=True):
    name: Line
    line1: Line
    city: Line
    postal_code: PostalCode
    country: Country
    line2: OptionalLine | None = None
    region: OptionalLine | None = None
    phone: Phone | None = None
    is_default: bool = False


class ChangeAddress(Body, frozen=True):
    name: Line | UnsetType = UNSET
    line1: Line | UnsetType = UNSET
    city: Line | UnsetType = UNSET
    postal_code: PostalCode | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    line2: OptionalLine | UnsetType | None = UNSET
    region: OptionalLine | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET


class Address(View, frozen=True):
    id: str
    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str
    is_default: bool


class Addresses(View, frozen=True):
    addresses: tuple[Address, ...]


async def list_addresses(call: Call) -> Addresses:
    async with transaction(call.deps.pool) as db:
        found = await store.addresses_of(db, call.person.user_id)
    return Addresses(tuple(map(Address.of, found)))


async def add(call: Call, body: NewAddress) -> Reply:
    async with transaction(call.deps.pool) as db:
        made = await store.add_address(db, call.person.user_id, _fields(body))
    if made is None:
        raise Problem("too_many", f"{store.MOST} addresses are kept.")
    return Reply(Address.of(made), 201)


async def change(call: Call, body: ChangeAddress) -> Address:
    async with transaction(call.deps.pool) as db:
        changed = await store.change_address(db, call.person.user_id, call.path("id"), _fields(body))
    if changed is None:
        raise Problem("no_such_address")
    return Address.of(changed)


async def remove(call: Call) -> None:
    async with transaction(call.deps.pool) as db:
        if not await store.remove_address(db, call.person.user_id, call.path("id")):
            raise Problem("no_such_address")


def _fields(body: NewAddress | ChangeAddress) -> dict[str, Any]:
    given = {name: getattr(body, name) for name in body.__struct_fields__}
    return {
        name: "" if value is None else value.strip() if isinstance(value, str) else value
        for name, value in given.items()
        if value is not UNSET
    }


_PATH = "/api/me/addresses"

OPERATIONS = (
    Operation("GET", _PATH, list_addresses, "Own addresses, the default first", SIGNED_IN),
    Operation(
        "POST",
        _PATH,
        add,
        "Add an address; the first one is the default",
        SIGNED_IN,
        returns=Address,
        status=201,
        errors=("too_many",),
    ),
    Operation(
        "PATCH",
        _PATH + "/{id:uuid}",
        change,
        "Change an address; orders placed keep theirs",
        SIGNED_IN,
        errors=("no_such_address",),
    ),
    Operation(
        "DELETE", _PATH + "/{id:uuid}", remove, "Remove an address", SIGNED_IN, errors=("no_such_address",)
    ),
)
