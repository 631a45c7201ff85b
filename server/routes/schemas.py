"""What crosses the API in more than one place. The OpenAPI document is generated from these structs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from server.currency import step_minor
from server.media import Picture
from server.problems import Problem
from server.store import catalogue
from server.store.people import Person
from server.store.shows import Show as ShowRow

_SOMETHING = r"\S"

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=_SOMETHING)]
OptionalLine = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=20_000)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^\s*[^@\s]{1,64}@[^@\s]+\s*$")]
Password = Annotated[str, Meta(min_length=10, max_length=200)]
GivenPassword = Annotated[str, Meta(min_length=1, max_length=200)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")]
AmountMinor = Annotated[int, Meta(ge=0, le=99_999_999)]


def check_chargeable(currency: str, **amounts_minor: Any) -> None:
    """Raises Problem `amount_not_chargeable` where Stripe would refuse the charge; None is fine."""
    step = step_minor(currency)
    wrong = {name: f"A multiple of {step}." for name, minor in amounts_minor.items() if (minor or 0) % step}
    if wrong:
        raise Problem("amount_not_chargeable", fields=wrong)


Quantity = Annotated[int, Meta(ge=1, le=99)]
Search = Annotated[str, Meta(max_length=100)]


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """A request body: what is not in it is refused."""


def given(body: Body) -> dict[str, Any]:
    """What a PATCH names; ids as text, lists for what comes as tuples."""
    named = {name: getattr(body, name) for name in body.__struct_fields__ if name != "was"}
    return {name: _plain(value) for name, value in named.items() if value is not UNSET}


def check_unchanged(was: Body | UnsetType, changes: dict[str, Any], now: object) -> None:
    """Raises Problem `changed_meanwhile` where what a change was based on is something else by now."""
    if was is UNSET:
        return
    there = {name: _plain(getattr(now, name)) for name in changes}
    based_on = given(was)
    fields = {
        name: "It was changed meanwhile."
        for name, value in there.items()
        if name in based_on and value not in (based_on[name], changes[name])
    }
    if fields:
        raise Problem("changed_meanwhile", fields=fields)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


class View(Struct, frozen=True):
    """A response body."""

    @classmethod
    def of(cls, row: object, **own: Any) -> Self:
        """With the row's fields of the same names; `own` are those that it has not, or has otherwise."""
        same = {name: getattr(row, name) for name in cls.__struct_fields__ if name not in own}
        return msgspec.convert({**same, **own}, cls, from_attributes=True)


class Me(View, frozen=True):
    id: str
    email: str
    display_name: str
    email_verified: bool
    show_first_name: bool
    roles: tuple[str, ...]


def me(person: Person) -> Me:
    return Me.of(person, id=person.user_id, email_verified=person.email_verified_at is not None)


class Image(View, frozen=True):
    """`url` is 640 px wide; /media/{id}/{96,320,640,1280}.webp are the others."""

    id: str
    url: str
    alt: str
    width: int
    height: int


class Flash(View, frozen=True):
    """A price with an end; `was_minor` is the usual one. Times in Unix ms; `buyer_limit` 0: no own one."""

    flash_id: str
    price_minor: int
    was_minor: int
    starts_ms: int
    ends_ms: int
    buyer_limit: int


class Drop(View, frozen=True):
    """Units that can be bought from `opens_ms` on. `waiting` people are on the waitlist."""

    drop_id: str
    state: str
    opens_ms: int
    units: int
    waiting: int
    show_id: str | None


class Variant(View, frozen=True, omit_defaults=True):
    """`price_minor` is what it costs now, at its flash price while one runs."""

    id: str
    title: str
    sku: str
    price_minor: int
    compare_at_minor: int | None
    buyer_limit: int
    available: int
    flash: Flash | None = None
    drop: Drop | None = None


class Product(View, frozen=True):
    id: str
    handle: str
    title: str
    description: str
    vendor: str
    tags: tuple[str, ...]
    state: str
    images: tuple[Image, ...]
    variants: tuple[Variant, ...]


class Products(View, frozen=True):
    products: tuple[Product, ...]
    next: str | None


def image_url(image_id: str, width: int = 640) -> str:
    return f"/media/{image_id}/{width}.webp"


def variant_view(row: catalogue.Variant) -> Variant:
    return Variant.of(row)


def product_view(row: catalogue.Product) -> Product:
    return Product.of(row, images=tuple(Image.of(image, url=image_url(image.id)) for image in row.images))


class ShowCard(View, frozen=True):
    """`picture` is idle, live or away; `viewers` watch the picture just now. A show with `cancelled_at` was
    called off, before or after it began: it has ended, and what was paid in it is given back."""

    id: str
    title: str
    description: str
    state: str
    visibility: str
    starts_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancelled_at: datetime | None
    cover_url: str | None
    host_name: str | None
    viewers: int
    picture: str


def show_card(row: ShowRow, picture: Picture | None) -> ShowCard:
    seen = picture or Picture()
    return ShowCard.of(
        row,
        cover_url=image_url(row.cover_image_id, 1280) if row.cover_image_id else None,
        viewers=seen.viewers,
        picture=str(seen.state),
    )
