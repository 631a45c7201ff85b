"""What the room needs from above, as small protocols that the composition root fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from overlay.frames import PictureState, ProductCard, ShowId, ShowState, UserId
from overlay.messages import Buy, OrderView, RefusedLine
from overlay.selling import AuctionView, DropView, FlashView, PlaceView, SellingCommand, StandingView

Clock: TypeAlias = Callable[[], int]
"""Now, in Unix milliseconds."""


class Refusal(Exception):
    """A command that is not carried out: a stable code, a reason for people, and what is true instead."""

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        retry_after_ms: int | None = None,
        lines: tuple[RefusedLine, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.code, self.reason, self.retry_after_ms, self.lines = code, reason, retry_after_ms, lines


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is on a connection. A guest has neither user nor session; `roles` are those held in the shop."""

    user_id: UserId | None
    session_id: str | None
    name: str
    roles: frozenset[str] = frozenset()  # owner, producer, host, moderator


GUEST = Actor(user_id=None, session_id=None, name="guest")


@dataclass(frozen=True, slots=True)
class Visit:
    """What admission says of a hello: who it is and which show's room it enters."""

    show_id: ShowId
    actor: Actor


class Doorman(Protocol):
    async def admit(self, show_id: str, ticket: str | None) -> Visit:
        """Redeem a single-use ticket (None: a guest).

        Raises Refusal `no_such_show`, `ticket_needed`, `bad_ticket`.
        """
        ...


@dataclass(frozen=True, slots=True)
class RoomSeed:
    """What a room starts from where there is no log: the shop's own truth."""

    show_state: ShowState
    pin: ProductCard | None
    stock: dict[str, int]
    picture: PictureState = PictureState.IDLE
    flashes: dict[str, FlashView] = field(default_factory=dict)
    drops: dict[str, DropView] = field(default_factory=dict)
    auctions: dict[str, AuctionView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SellingAnswer:
    """What the one who sent a selling command is told. What the room is told comes through the show log."""

    place: PlaceView | None = None
    standing: StandingView | None = None


@dataclass(frozen=True, slots=True)
class PriceNow:
    price_minor: int
    compare_at_minor: int | None = None


class Shop(Protocol):
    """The shop as the room sees it. Every method may raise Refusal."""

    async def seed(self, show_id: ShowId) -> RoomSeed: ...

    async def card(self, show_id: ShowId, product_id: str) -> ProductCard:
        """The card of a product in the show's run-of-show; Refusal `not_in_show` where it is not."""
        ...

    async def pinned(self, show_id: ShowId, product_id: str | None, by: UserId) -> None:
        """Keep what is pinned, so that a room can be rebuilt."""
        ...

    async def set_stock(self, show_id: ShowId, variant_id: str, available: int, by: UserId) -> int:
        """How many the crowd can take now: none while people wait. What is held or being paid for stays."""
        ...

    async def set_price(self, show_id: ShowId, variant_id: str, price_minor: int, by: UserId) -> PriceNow:
        """What a unit costs now: that, or a flash price which is still less."""
        ...

    async def set_show_state(self, show_id: ShowId, state: ShowState, by: UserId) -> None: ...

    async def buy(self, show_id: ShowId, actor: Actor, command: Buy) -> OrderView:
        """Steps 1 and 2 of a tap: returns once the order is durable; charging goes on by itself."""
        ...

    async def sell(self, show_id: ShowId, actor: Actor, command: SellingCommand) -> SellingAnswer:
        """Carry out a command of flash prices, drops, waitlists or auctions; returns once it is durable.

        The same person's command with the same id is carried out once.
        """
        ...
