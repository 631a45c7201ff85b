"""The room's wire protocol: commands in, events out. Version 1.

Every frame is one JSON object in one websocket text message, tagged by `type`. PROTOCOL.md, the JSON Schema
and the pages' TypeScript types are generated from this module, so its docstrings are the documentation.

Order of a connection: the client sends `hello`, the server answers `welcome` (or closes), then the client
sends commands and the server sends `events`, `pulse`, `reset`, `ack`, `refused`, `personal`, `waitlist` and
`standing` frames.
Amounts are minor units of the shop's currency and include tax. Times are Unix milliseconds, set
by the server.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from overlay.frames import (
    AmountMinor,
    Command,
    CommentText,
    Event,
    Id,
    Offset,
    PictureState,
    ProductCard,
    Quantity,
    Reaction,
    ServerFrame,
    ShowState,
)
from overlay.selling import (
    AuctionChanged,
    AuctionView,
    BidsPlaced,
    DropChanged,
    DropView,
    FlashEnded,
    FlashStarted,
    FlashView,
    PlaceView,
    SellingCommand,
    Standing,
    StandingView,
    Waitlist,
)

PROTOCOL_VERSION = 1

# --- commands -------------------------------------------------------------------------------------------


class Say(Command, frozen=True, tag="say"):
    """Write a comment, perhaps as a reply. Signed-in viewers who are not muted."""

    text: CommentText
    reply_to: Id | None = None


class React(Command, frozen=True, tag="react"):
    """Send reactions; clients fold taps and send a count. Answered, summed into `pulse`, not kept: a repeated
    id is recognised only by the process that answered it first."""

    kind: Reaction
    count: Annotated[int, Meta(ge=1, le=20)] = 1


class DeleteComment(Command, frozen=True, tag="delete_comment"):
    """Moderators: take a comment away for everyone."""

    comment_id: Id


class Mute(Command, frozen=True, tag="mute"):
    """Moderators: a person may no longer write in this room, for some time or for good (0)."""

    user_id: Id
    duration_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 0


class Unmute(Command, frozen=True, tag="unmute"):
    """Moderators: the person may write again."""

    user_id: Id


class Pin(Command, frozen=True, tag="pin"):
    """Producers and hosts: show a product of the run-of-show over the picture."""

    product_id: Id


class Unpin(Command, frozen=True, tag="unpin"):
    """Producers and hosts: take the pinned product off the picture."""


class SetStock(Command, frozen=True, tag="set_stock"):
    """Producers: set how many units can be reserved now."""

    variant_id: Id
    available: Annotated[int, Meta(ge=0, le=1_000_000)]


class SetPrice(Command, frozen=True, tag="set_price"):
    """Producers: change a price. Orders already placed keep theirs."""

    variant_id: Id
    price_minor: AmountMinor


class StartShow(Command, frozen=True, tag="start_show"):
    """Hosts and producers: scheduled → live."""


class EndShow(Command, frozen=True, tag="end_show"):
    """Hosts and producers: live → ended."""


class BuyLine(Struct, frozen=True, forbid_unknown_fields=True):
    """`unit_price_minor` is the price the buyer saw; a different one is refused, never charged."""

    variant_id: Id
    quantity: Quantity
    unit_price_minor: AmountMinor


class Buy(Command, frozen=True, tag="buy"):
    """One tap. `order_id` (UUIDv7, made by the client) is the idempotency key of everything that follows.

    Answered by `ack` with an order in state `charging` (durable) or a terminal one, or by `refused`:
    `sold_out`, `buyer_limit`, `price_changed`, `no_card`, `no_address`, `not_signed_in`, `busy`. What follows
    arrives as `personal` frames with the order's new state.
    """

    order_id: Annotated[str, Meta(min_length=36, max_length=36)]
    lines: Annotated[tuple[BuyLine, ...], Meta(min_length=1, max_length=20)]
    card_id: Id | None = None
    address_id: Id | None = None
    show_first_name: bool = False
    media_time: Annotated[int, Meta(ge=0, le=4_294_967_295)] | None = None
    offer_id: Id | None = None


class Hello(Struct, frozen=True, tag_field="type", tag="hello", forbid_unknown_fields=True):
    """The first frame. A guest has no ticket; `resume` asks for what was missed since that offset."""

    protocol: int
    show_id: Id
    ticket: Annotated[str, Meta(max_length=200)] | None = None
    resume: Offset | None = None


AnyCommand = (
    Say
    | React
    | DeleteComment
    | Mute
    | Unmute
    | Pin
    | Unpin
    | SetStock
    | SetPrice
    | StartShow
    | EndShow
    | Buy
    | SellingCommand
)
ClientFrame = Hello | AnyCommand


# --- events (the show log) ------------------------------------------------------------------------------


class Commented(Event, frozen=True, tag="commented", kw_only=True):
    """Somebody wrote. `reply_to` is a comment's id, which may be gone by now."""

    comment_id: str
    user_id: str
    name: str
    text: str
    reply_to: str | None = None
    badge: str | None = None  # host, producer, moderator, owner


class CommentDeleted(Event, frozen=True, tag="comment_deleted", kw_only=True):
    """The comment is gone for everyone; nothing to do where it was not shown any more."""

    comment_id: str


class Muted(Event, frozen=True, tag="muted", kw_only=True):
    """`until_ms` None means for good. The comments stay."""

    user_id: str
    until_ms: int | None = None


class Unmuted(Event, frozen=True, tag="unmuted", kw_only=True):
    """The person may write again."""

    user_id: str


class Pinned(Event, frozen=True, tag="pinned", kw_only=True):
    """The product shown over the picture from now on, in place of any other."""

    card: ProductCard


class Unpinned(Event, frozen=True, tag="unpinned", kw_only=True):
    """No product is shown over the picture."""


class StockChanged(Event, frozen=True, tag="stock_changed", kw_only=True):
    """How many units of a variant can be reserved now; also true for the pinned card."""

    variant_id: str
    available: int


class PriceChanged(Event, frozen=True, tag="price_changed", kw_only=True):
    """A variant's price from now on; also true for the pinned card."""

    variant_id: str
    price_minor: int
    compare_at_minor: int | None = None


class ShowStarted(Event, frozen=True, tag="show_started", kw_only=True):
    """The show is live."""


class ShowEnded(Event, frozen=True, tag="show_ended", kw_only=True):
    """The show has ended. The room stays open for reading."""


class PictureChanged(Event, frozen=True, tag="picture_changed", kw_only=True):
    """The broadcast went live, away ("back in a moment") or idle."""

    state: PictureState


class Purchased(Event, frozen=True, tag="purchased", kw_only=True):
    """Somebody's order was paid. `first_name` only with the buyer's consent."""

    product_title: str
    quantity: int = 1
    first_name: str | None = None


AnyEvent = (
    Commented
    | CommentDeleted
    | Muted
    | Unmuted
    | Pinned
    | Unpinned
    | StockChanged
    | PriceChanged
    | ShowStarted
    | ShowEnded
    | PictureChanged
    | Purchased
    | FlashStarted
    | FlashEnded
    | DropChanged
    | AuctionChanged
    | BidsPlaced
)


# --- server frames --------------------------------------------------------------------------------------


class CommentView(Struct, frozen=True, omit_defaults=True):
    """A comment as a snapshot holds it."""

    comment_id: str
    user_id: str
    name: str
    text: str
    at_ms: int
    reply_to: str | None = None
    badge: str | None = None


class Snapshot(Struct, frozen=True):
    """A room whole, as of an offset: live join, late join and replay start from the same thing.

    `comments` holds the last 200 that were not deleted, oldest first. `stock` is by variant id, `muted` by
    user id with the time in Unix ms it ends (null: for good), `flashes` and `drops` by variant id, `auctions`
    by auction id: the newest few of those that ended stay.
    """

    offset: Offset
    show_state: ShowState
    picture: PictureState
    pin: ProductCard | None
    comments: tuple[CommentView, ...]
    stock: dict[str, int]
    muted: dict[str, int | None]
    flashes: dict[str, FlashView] = {}
    drops: dict[str, DropView] = {}
    auctions: dict[str, AuctionView] = {}


class You(Struct, frozen=True, omit_defaults=True):
    """`may` lists the command types this connection may send."""

    user_id: str | None
    name: str
    roles: tuple[str, ...]
    may: tuple[str, ...]


class Welcome(ServerFrame, frozen=True, tag="welcome", kw_only=True):
    """The answer to `hello`. `offset` is where the room is now.

    Without `snapshot` the resume offset was known, and the missed events follow as `events`; with it the
    client forgets what it had and starts from the snapshot.
    """

    protocol: int
    you: You
    now_ms: int
    offset: Offset
    snapshot: Snapshot | None = None


class Events(ServerFrame, frozen=True, tag="events", kw_only=True):
    """What happened since the last such frame, in order and without gaps; apply each to the room's state."""

    epoch: str
    events: tuple[AnyEvent, ...]


class Pulse(ServerFrame, frozen=True, tag="pulse", kw_only=True):
    """What is summed and not kept: viewers in the room, reactions since the last pulse.

    There is one at least every five seconds: a client that has heard nothing at all for 15 s connects anew.
    """

    viewers: int
    reactions: dict[str, int]


class Reset(ServerFrame, frozen=True, tag="reset", kw_only=True):
    """Forget the room's state and start from this snapshot: the log has begun a new epoch."""

    snapshot: Snapshot


class OrderView(Struct, frozen=True, omit_defaults=True):
    """An order as its buyer sees it. `client_secret` only in state `action_needed` (3-D Secure), `position`
    only in a drop: which one of its taps this was."""

    order_id: str
    state: str
    total_minor: int
    currency: str
    code: str | None = None
    message: str | None = None
    client_secret: str | None = None
    position: int | None = None


class Ack(ServerFrame, frozen=True, tag="ack", kw_only=True):
    """The command `id` was accepted. `n` is its event's number where it made one."""

    id: str
    n: int | None = None
    order: OrderView | None = None
    place: PlaceView | None = None
    standing: StandingView | None = None


class RefusedLine(Struct, frozen=True, omit_defaults=True):
    """Which line of a purchase, why, and what is true instead."""

    variant_id: str
    code: str
    available: int | None = None
    price_minor: int | None = None
    buyer_limit: int | None = None


class Refused(ServerFrame, frozen=True, tag="refused", kw_only=True):
    """The command was not carried out. `code` is stable, `reason` is for people, `retry_after_ms` is there
    when waiting helps."""

    id: str | None
    code: str
    reason: str
    retry_after_ms: int | None = None
    lines: tuple[RefusedLine, ...] = ()


class Personal(ServerFrame, frozen=True, tag="personal", kw_only=True):
    """For this person alone: news of an order. May be lost in an outage: then ask for the order over HTTP."""

    order: OrderView


PersonalFrame = Personal | Waitlist | Standing
AnyServerFrame = Welcome | Events | Pulse | Reset | Ack | Refused | PersonalFrame


class CloseCode:
    """Websocket close codes of ours (4000–4999). A client reconnects after 45xx, not after 44xx."""

    BAD_HELLO = 4400
    NOT_ADMITTED = 4401
    REVOKED = 4403
    NO_SUCH_SHOW = 4404
    PROTOCOL = 4406
    ABUSE = 4429
    UNAVAILABLE = 4503
    SLOW = 4508
    GOING_AWAY = 4509


CLOSE_MEANINGS: dict[int, str] = {
    CloseCode.BAD_HELLO: "the first frame was no valid `hello`, or none came within 10 s",
    CloseCode.NOT_ADMITTED: "the ticket is unknown, spent or expired, or the show needs one: get a new one",
    CloseCode.REVOKED: "the session was signed out or revoked: sign in again",
    CloseCode.NO_SUCH_SHOW: "there is no such show",
    CloseCode.PROTOCOL: "the server does not speak this protocol version: reload the page",
    CloseCode.ABUSE: "too many refused commands in a short time",
    CloseCode.UNAVAILABLE: "the room cannot be opened just now: reconnect after a few seconds, with resume",
    CloseCode.SLOW: "this connection read too slowly: reconnect with resume",
    CloseCode.GOING_AWAY: "this process is being replaced: reconnect with resume, after a moment",
}

REFUSAL_MEANINGS: dict[str, str] = {
    "bad_command": "the frame is no command of this protocol; `reason` names the field",
    "not_signed_in": "guests watch and read: sign in first",
    "not_allowed": "the person's roles do not include this",
    "muted": "a moderator muted this person; `retry_after_ms` says until when, absent: for good",
    "rate_limited": "too many in a short time: try again after `retry_after_ms`",
    "unavailable": "a store did not answer: send the same command with the same id after `retry_after_ms`",
    "no_such_comment": "the comment is gone or too old",
    "wrong_state": "the show is not in a state that allows this",
    "not_open_yet": "the drop has not opened; `retry_after_ms` says when it does",
    "offer_over": "the waitlist's offer has ended or was taken",
    "not_sold_out": "there are units to buy: no need to wait",
    "already_waiting": "the person is on this waitlist",
    "no_such_flash": "the flash price is over or unknown",
    "no_such_drop": "the drop is unknown",
    "no_such_auction": "the auction is unknown",
    "not_enough_stock": "fewer units are available than this needs",
    "bid_too_low": "the bid is below `next_minor`, or not above the bidder's own maximum",
    "auction_closed": "the auction takes no bids: not open yet, or closed",
    "card_needed": "a saved and checked card is needed before the first bid",
    "address_needed": "a delivery address is needed before the first bid",
    "staff_may_not_bid": "people who work for the shop can't bid in its auctions",
    "misbid_over": "the bid can't be taken back any more",
    "not_in_show": "the product is not in the show's run-of-show",
    "busy": "earlier purchases of this connection are still being answered",
    "sold_out": "not enough units are left; `lines` says how many",
    "buyer_limit": "more than one person may buy; `lines` says the limit",
    "price_changed": "the price is another by now; `lines` says it. Nothing was charged",
    "no_card": "there is no saved card",
    "no_address": "there is no delivery address",
    "not_for_sale": "a variant does not exist, or is not sold any more",
    "no_such_variant": "the shop has no such variant",
    "no_such_show": "the show is gone",
    "bad_order": "`order_id` is no UUID, or the lines name a variant twice",
    "order_id_reused": "`order_id` belongs to another purchase: start again with a new one",
    "no_such_order": "the order is unknown, or somebody else's",
    "not_declined": "only a declined order can be tried again",
    "being_charged": "the card is being charged right now: wait for the `personal` frame",
    "not_cancellable": "the order is past the point where it can be cancelled",
    "provider_unavailable": "the payment provider does not answer: the same again after `retry_after_ms`",
}
