"""Who gets what: a batch of wishes decided one after another against one reading of the shop's truth.

Theory: the reading was taken with the stock rows of every variant in the batch locked, so nothing in it can
change before the decision is written. The first wish in line is served first; a wish is served whole or not
at all; what one wish takes is gone for the next. One wish is a batch of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from server.shop.ids import UserId, VariantId
from server.shop.offer import Terms, Totals, totals
from server.shop.orders import OrderState
from server.shop.wish import Wish, WishLine


class FlashNow(msgspec.Struct, frozen=True):
    """A flash price that runs now. `buyer_limit` 0: none of its own."""

    id: str
    price_minor: int
    buyer_limit: int


class VariantNow(msgspec.Struct, frozen=True):
    """`opens_ms` while a drop has not opened; `waiting`: people wait for it, so the crowd gets none."""

    id: str
    shop_id: str
    title: str
    variant_title: str
    price_minor: int
    buyer_limit: int
    active: bool
    available: int
    drop_id: str | None = None
    opens_ms: int | None = None
    flash: FlashNow | None = None
    waiting: bool = False

    @property
    def now_minor(self) -> int:
        """What one unit costs now."""
        return min(self.price_minor, self.flash.price_minor) if self.flash else self.price_minor


class CardNow(msgspec.Struct, frozen=True):
    id: str
    payment_method_ref: str
    is_default: bool


class AddressNow(msgspec.Struct, frozen=True):
    id: str
    is_default: bool
    content: dict[str, str]


Choice = TypeVar("Choice", CardNow, AddressNow)


class BuyerNow(msgspec.Struct, frozen=True):
    """Cards and addresses, the newest first."""

    id: str
    customer_ref: str | None
    cards: list[CardNow]
    addresses: list[AddressNow]


class Bought(msgspec.Struct, frozen=True):
    """Units of a variant in a buyer's orders that still count; `variant_id` may be a flash price's id: units
    at that price."""

    user_id: str
    variant_id: str
    units: int


class Existing(msgspec.Struct, frozen=True):
    """An order that is there already under a wish's id."""

    id: str
    digest: str
    state: str
    total_minor: int
    currency: str
    failure_code: str | None = None
    failure_message: str | None = None
    client_secret: str | None = None
    position: int | None = None


class ShopNow(msgspec.Struct, frozen=True):
    id: str
    currency: str
    tax_rate_bp: int
    flat_shipping_minor: int

    def terms(self) -> Terms:
        return Terms(self.currency, self.tax_rate_bp, self.flat_shipping_minor)


class Reading(msgspec.Struct, frozen=True):
    """The shop's truth about a batch of wishes, as of now."""

    shops: list[ShopNow]
    variants: list[VariantNow]
    buyers: list[BuyerNow]
    bought: list[Bought]
    orders: list[Existing]
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class LineRefused:
    """Which line, why, and what is true instead."""

    variant_id: str
    code: str  # sold_out, buyer_limit, price_changed, not_for_sale, not_open_yet
    available: int | None = None
    price_minor: int | None = None
    buyer_limit: int | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No order is made. `code` is the first line's where lines are at fault."""

    code: str
    lines: tuple[LineRefused, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeated:
    """The order is there already, from the same request."""

    order: Existing


@dataclass(frozen=True, slots=True)
class LineTaken:
    line: WishLine
    variant: VariantNow


@dataclass(frozen=True, slots=True)
class Placed:
    """An order to be written: the price frozen, the buyer's card and address chosen. `unclaimed` units of the
    offer that it was bought by are back on sale."""

    wish: Wish
    digest: str
    terms: Terms
    totals: Totals
    lines: tuple[LineTaken, ...]
    customer_ref: str
    card: CardNow
    address: AddressNow
    unclaimed: int = 0

    def as_existing(self) -> Existing:
        return Existing(
            id=self.wish.order_id,
            digest=self.digest,
            state=OrderState.CHARGING,
            total_minor=self.totals.total_minor,
            currency=self.terms.currency,
            position=self.position,
        )

    @property
    def drop_id(self) -> str | None:
        """The drop it was bought in: its first line's that is in one."""
        return next((line.variant.drop_id for line in self.lines if line.variant.drop_id), None)

    @property
    def position(self) -> int | None:
        return self.wish.position if self.drop_id else None


Decision = Placed | Repeated | Refused

_ORDER_OF_REASONS = ("not_for_sale", "not_open_yet", "price_changed", "sold_out", "buyer_limit")


@dataclass(slots=True)
class Allocation:
    """A reading, and what the wishes decided so far have taken from it."""

    shops: dict[str, ShopNow]
    variants: dict[str, VariantNow]
    buyers: dict[str, BuyerNow]
    orders: dict[str, Existing]
    available: dict[str, int]
    now_ms: int = 0
    bought: dict[tuple[UserId, VariantId], int] = field(default_factory=dict)

    @classmethod
    def of(cls, reading: Reading) -> Allocation:
        return cls(
            shops={shop.id: shop for shop in reading.shops},
            variants={variant.id: variant for variant in reading.variants},
            buyers={buyer.id: buyer for buyer in reading.buyers},
            orders={order.id: order for order in reading.orders},
            available={v.id: 0 if v.waiting else v.available for v in reading.variants},
            now_ms=reading.now_ms,
            bought={(UserId(b.user_id), VariantId(b.variant_id)): b.units for b in reading.bought},
        )

    def decide(self, wish: Wish) -> Decision:
        """Serve one wish, whole or not at all."""
        existing = self.orders.get(wish.order_id)
        if existing is not None:
            same = existing.digest == wish.digest()
            return Repeated(existing) if same else Refused("order_id_reused")
        lines = self._refused_lines(wish)
        if lines:
            return Refused(min((line.code for line in lines), key=_ORDER_OF_REASONS.index), lines)
        decision = self._with_card_and_address(wish)
        if isinstance(decision, Placed):
            self._take(decision)
        return decision

    def _refused_lines(self, wish: Wish) -> tuple[LineRefused, ...]:
        refused = (self._judge(wish, line) for line in wish.lines)
        return tuple(line for line in refused if line is not None)

    def _judge(self, wish: Wish, line: WishLine) -> LineRefused | None:
        variant = self.variants.get(line.variant_id)
        if variant is None or not variant.active or variant.shop_id != wish.shop_id:
            return LineRefused(line.variant_id, "not_for_sale")
        if variant.opens_ms is not None:
            wait_ms = max(variant.opens_ms - self.now_ms, 1)
            return LineRefused(variant.id, "not_open_yet", retry_after_ms=wait_ms)
        if variant.now_minor != line.unit_price_minor:
            return LineRefused(variant.id, "price_changed", price_minor=variant.now_minor)
        available = self.available[variant.id]
        if line.quantity > available:
            return LineRefused(variant.id, "sold_out", available=available)
        limits = {variant.id: variant.buyer_limit}
        if variant.flash:
            limits[variant.flash.id] = variant.flash.buyer_limit
        for counted, limit in limits.items():
            bought = self.bought.get((wish.user_id, VariantId(counted)), 0)
            if limit and bought + line.quantity > limit:
                return LineRefused(variant.id, "buyer_limit", buyer_limit=limit)
        return None

    def _with_card_and_address(self, wish: Wish) -> Decision:
        shop, buyer = self.shops.get(wish.shop_id), self.buyers.get(wish.user_id)
        if shop is None or buyer is None:
            return Refused("not_signed_in" if buyer is None else "not_for_sale")
        card = _chosen(buyer.cards, wish.card_id)
        if card is None or buyer.customer_ref is None:
            return Refused("no_card")
        address = _chosen(buyer.addresses, wish.address_id)
        if address is None:
            return Refused("no_address")
        taken = tuple(LineTaken(line, self.variants[line.variant_id]) for line in wish.lines)
        priced = totals(((t.variant.now_minor, t.line.quantity) for t in taken), shop.terms())
        return Placed(wish, wish.digest(), shop.terms(), priced, taken, buyer.customer_ref, card, address)

    def _take(self, placed: Placed) -> None:
        for line in placed.wish.lines:
            self.available[line.variant_id] -= line.quantity
            flash = self.variants[line.variant_id].flash
            for counted in (line.variant_id, VariantId(flash.id)) if flash else (line.variant_id,):
                key = (placed.wish.user_id, counted)
                self.bought[key] = self.bought.get(key, 0) + line.quantity
        self.orders[placed.wish.order_id] = placed.as_existing()


def decide(wishes: list[Wish], reading: Reading) -> list[Decision]:
    """One decision a wish, in order."""
    allocation = Allocation.of(reading)
    return [allocation.decide(wish) for wish in wishes]


def stands(
    placed: Sequence[Placed], before: Reading, variants: Sequence[VariantNow], bought: Sequence[Bought]
) -> bool:
    """Whether orders decided from `before` are right now, too: only stock moved, and there is enough."""
    taken = Counter[str]()
    for order in placed:
        taken.update({line.variant.id: line.line.quantity for line in order.lines})
    return (
        _but_stock(before.variants) == _but_stock(variants)
        and list(before.bought) == list(bought)
        and all(variant.available >= taken[variant.id] for variant in variants)
    )


def _but_stock(variants: Sequence[VariantNow]) -> dict[str, VariantNow]:
    return {variant.id: replace(variant, available=0) for variant in variants}


def _chosen(choices: list[Choice], wanted: str | None) -> Choice | None:
    """The one asked for; where none is, the default, else the newest. None where it is not the buyer's."""
    if wanted is not None:
        return next((choice for choice in choices if choice.id == wanted), None)
    return next((choice for choice in choices if choice.is_default), choices[0] if choices else None)
