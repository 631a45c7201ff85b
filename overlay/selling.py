"""Ways to sell beyond a pin, as the room speaks of them: flash prices, drops and waitlists, auctions.

Each is a view that the room's snapshot holds, the commands that change it, and the events that tell of it.
Who wins, who is next and what a price is are the shop's to decide; the room shows it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from overlay.frames import AmountMinor, Command, Event, Id, ProductCard, Quantity, ServerFrame

BuyerLimit = Annotated[int, Meta(ge=0, le=99)]
MediaTime = Annotated[int, Meta(ge=0, le=4_294_967_295)]
Price = Annotated[int, Meta(ge=1, le=99_999_999)]

# --- flash price ----------------------------------------------------------------------------------------


class FlashView(Struct, frozen=True, omit_defaults=True):
    """A price with an end. `was_minor` is the price before and after; `buyer_limit` 0: the variant's own."""

    flash_id: str
    variant_id: str
    price_minor: int
    was_minor: int
    starts_ms: int
    ends_ms: int
    buyer_limit: int = 0


class StartFlash(Command, frozen=True, tag="start_flash"):
    """Producers: sell a variant for less, for a while. A second one for the variant replaces the first."""

    variant_id: Id
    price_minor: Price
    duration_s: Annotated[int, Meta(ge=5, le=86_400)]
    buyer_limit: BuyerLimit = 0


class EndFlash(Command, frozen=True, tag="end_flash"):
    """Producers: end a flash price before its time."""

    flash_id: Id


class FlashStarted(Event, frozen=True, tag="flash_started", kw_only=True):
    """The price of a variant until `ends_ms`; also true for the pinned card."""

    flash: FlashView


class FlashEnded(Event, frozen=True, tag="flash_ended", kw_only=True):
    """The flash price is over; `price_minor` is the price from now on."""

    flash_id: str
    variant_id: str
    price_minor: int


# --- drop and waitlist ----------------------------------------------------------------------------------


class DropState(StrEnum):
    SCHEDULED = "scheduled"
    OPEN = "open"
    SOLD_OUT = "sold_out"
    CANCELLED = "cancelled"


class DropView(Struct, frozen=True, omit_defaults=True):
    """Units that can be bought from `opens_ms` on, by everyone at the same moment, in the order of taps.

    Until then nobody can buy the variant. `units` are what the drop began with; how many are left is the
    room's `stock`. `waiting` counts the people on the waitlist.
    """

    drop_id: str
    variant_id: str
    card: ProductCard
    state: DropState
    opens_ms: int
    units: int
    waiting: int = 0


class ScheduleDrop(Command, frozen=True, tag="schedule_drop"):
    """Producers: a drop opens `opens_in_s` from now. The variant is not for sale until then. Once it has sold
    out, whoever waits is offered what comes back, and has `offer_s` to take it."""

    variant_id: Id
    opens_in_s: Annotated[int, Meta(ge=5, le=604_800)]
    units: Annotated[int, Meta(ge=1, le=1_000_000)]
    offer_s: Annotated[int, Meta(ge=30, le=3_600)] = 120


class CancelDrop(Command, frozen=True, tag="cancel_drop"):
    """Producers: take a drop back that has not opened yet."""

    drop_id: Id


class DropChanged(Event, frozen=True, tag="drop_changed", kw_only=True):
    """A drop as it is from now on."""

    drop: DropView


class PlaceState(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    BOUGHT = "bought"
    EXPIRED = "expired"
    LEFT = "left"


class PlaceView(Struct, frozen=True, omit_defaults=True):
    """A person's place on a variant's waitlist. `position` counts from 1 while waiting.

    While `offered`, the units are kept for this person until `offer_ends_ms`: `buy` with the `offer_id`.
    """

    variant_id: str
    state: PlaceState
    quantity: int
    position: int | None = None
    offer_id: str | None = None
    offer_ends_ms: int | None = None
    unit_price_minor: int | None = None


class JoinWaitlist(Command, frozen=True, tag="join_waitlist"):
    """Wait for a variant that is sold out. Answered by `ack` with the place, which stays across visits."""

    variant_id: Id
    quantity: Quantity = 1


class LeaveWaitlist(Command, frozen=True, tag="leave_waitlist"):
    """Give the place up, or turn an offer down."""

    variant_id: Id


class Waitlist(ServerFrame, frozen=True, tag="waitlist", kw_only=True):
    """For this person alone: their place has changed. May be lost in an outage: then ask over HTTP."""

    place: PlaceView


# --- auction --------------------------------------------------------------------------------------------


class AuctionState(StrEnum):
    """`announced` (pre-bids are taken) → `open` → `closing` (the hammer fell; bids under way are
    waited for) → `charging` (the winner pays) → `sold` or `unsold`; `cancelled` by the shop."""

    ANNOUNCED = "announced"
    OPEN = "open"
    CLOSING = "closing"
    CHARGING = "charging"
    SOLD = "sold"
    UNSOLD = "unsold"
    CANCELLED = "cancelled"


class BidView(Struct, frozen=True, omit_defaults=True):
    """A line of the public bid book. `alias` is the bidder's pseudonym in this auction; `amount_minor` is
    what the bid stood at when it was placed, never its hidden maximum."""

    bid_n: int
    alias: str
    amount_minor: int
    at_ms: int
    retracted: bool = False


class AuctionView(Struct, frozen=True, omit_defaults=True):
    """An auction as everybody may see it.

    `extension_s`: a bid in the last `extension_s` moves the end to that long after it, never past `cap_ms`; 0
    is sudden death. `latency_window_ms` is how long after the hammer bids that were under way still count.
    `price_minor` is the current price, `next_minor` the least that a new bidder must offer, `recent` the last
    ten lines of the book, newest last, `ends_ms` the hammer, in Unix ms.
    """

    auction_id: str
    variant_id: str
    card: ProductCard
    state: AuctionState
    start_minor: int
    increment_minor: int
    duration_s: int
    extension_s: int
    latency_window_ms: int
    price_minor: int
    next_minor: int
    bids: int = 0
    leader: str | None = None
    ends_ms: int | None = None
    cap_ms: int | None = None
    has_reserve: bool = False
    reserve_met: bool = False
    recent: tuple[BidView, ...] = ()


class AnnounceAuction(Command, frozen=True, tag="announce_auction"):
    """Producers and hosts: put one unit up for auction. Pre-bids are taken until it opens."""

    variant_id: Id
    start_minor: Price
    increment_minor: Price
    duration_s: Annotated[int, Meta(ge=10, le=86_400)]
    extension_s: Annotated[int, Meta(ge=0, le=120)] = 10
    max_extension_s: Annotated[int, Meta(ge=0, le=3_600)] = 300
    reserve_minor: AmountMinor = 0


class OpenAuction(Command, frozen=True, tag="open_auction"):
    """Producers and hosts: the clock starts."""

    auction_id: Id


class CancelAuction(Command, frozen=True, tag="cancel_auction"):
    """Producers and hosts: call it off before the hammer. Nobody pays."""

    auction_id: Id


class Bid(Command, frozen=True, tag="bid"):
    """Offer up to `max_minor`: the shop bids for its bidder, an increment at a time, never above it.

    Answered by `ack` with the bidder's standing, durable by then, or by `refused`: `bid_too_low`,
    `auction_closed`, `card_needed`, `address_needed`, `staff_may_not_bid`. `media_time` is the
    picture's RTP time that the bidder saw.
    """

    auction_id: Id
    max_minor: Price
    media_time: MediaTime | None = None


class RetractBid(Command, frozen=True, tag="retract_bid"):
    """Take one's latest bid back as a mistake, within the misbid window that `standing` names."""

    auction_id: Id


class AuctionChanged(Event, frozen=True, tag="auction_changed", kw_only=True):
    """An auction as it is from now on."""

    auction: AuctionView


class BidsPlaced(Event, frozen=True, tag="bids_placed", kw_only=True):
    """Bids accepted since the last such event, oldest first, and where the auction stands after them."""

    auction_id: str
    bids: tuple[BidView, ...]
    price_minor: int
    next_minor: int
    count: int
    leader: str | None
    ends_ms: int | None
    reserve_met: bool = False


class StandingState(StrEnum):
    LEADING = "leading"
    OUTBID = "outbid"
    WON = "won"
    PAYMENT_FAILED = "payment_failed"
    LOST = "lost"


class StandingView(Struct, frozen=True, omit_defaults=True):
    """Where a bidder stands. `max_minor` is their own hidden maximum, `order_id` the order of what they won,
    `misbid_until_ms` until when the latest bid can be taken back, `reason` why they did not pay."""

    auction_id: str
    alias: str
    state: StandingState
    max_minor: int
    misbid_until_ms: int | None = None
    order_id: str | None = None
    reason: str | None = None


class Standing(ServerFrame, frozen=True, tag="standing", kw_only=True):
    """For this person alone: where they stand in an auction. May be lost in an outage: then ask over HTTP."""

    standing: StandingView


SellingCommand = (
    StartFlash
    | EndFlash
    | ScheduleDrop
    | CancelDrop
    | JoinWaitlist
    | LeaveWaitlist
    | AnnounceAuction
    | OpenAuction
    | CancelAuction
    | Bid
    | RetractBid
)
