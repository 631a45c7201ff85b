"""What the frames of the room's protocol are made of: ids, bounds, product cards, the bases of all else."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NewType

from msgspec import Meta, Struct

ShowId = NewType("ShowId", str)
UserId = NewType("UserId", str)

Id = Annotated[str, Meta(min_length=1, max_length=64)]
CommandId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]
CommentText = Annotated[str, Meta(min_length=1, max_length=300)]
Quantity = Annotated[int, Meta(ge=1, le=99)]
AmountMinor = Annotated[int, Meta(ge=0, le=99_999_999)]


class Reaction(StrEnum):
    HEART = "heart"
    FIRE = "fire"
    CLAP = "clap"
    LAUGH = "laugh"
    WOW = "wow"


class ShowState(StrEnum):
    SCHEDULED = "scheduled"
    LIVE = "live"
    ENDED = "ended"


class PictureState(StrEnum):
    IDLE = "idle"
    LIVE = "live"
    AWAY = "away"


class Offset(Struct, frozen=True):
    """A place in the show log: a number in an epoch. A wiped Redis starts a new epoch from a snapshot."""

    epoch: Annotated[str, Meta(max_length=40)]
    number: Annotated[int, Meta(ge=0)]


# --- what a pin shows -----------------------------------------------------------------------------------


class VariantCard(Struct, frozen=True, omit_defaults=True):
    """One buyable form of a product. `available` is what can be reserved now; `buyer_limit` 0 means none."""

    variant_id: str
    title: str
    price_minor: int
    available: int
    compare_at_minor: int | None = None
    buyer_limit: int = 0


class ProductCard(Struct, frozen=True, omit_defaults=True):
    """What a pin shows of a product. `handle` is its storefront address, `image_alt` is for those who don't
    see the image."""

    product_id: str
    title: str
    currency: str
    variants: tuple[VariantCard, ...]
    image_url: str | None = None
    image_alt: str = ""
    handle: str = ""


# --- commands -------------------------------------------------------------------------------------------


class Command(Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """Wants something. `id` is the client's own, never used twice by a person (random, say): a command
    repeated with its id is answered again and happens once."""

    id: CommandId


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """Happened. `n` numbers the show log without gaps within an epoch; `media_time` is the picture's RTP time
    at which it is to be shown (90 kHz, mod 2^32), None for at once."""

    n: int
    at_ms: int
    by: str | None = None
    media_time: int | None = None


class ServerFrame(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """What the server sends. Fields that hold their default are left out; unknown ones are to be ignored."""
