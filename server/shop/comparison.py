"""The provider's payments against ours: what each side knows of one, and what is wrong between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.shop.chain import Fault
from server.shop.orders import OPEN, OrderState

TABLE = "provider"


@dataclass(frozen=True, slots=True)
class Theirs:
    """A payment at the provider, in minor units. `status` is Stripe's."""

    ref: str
    order_id: str | None
    status: str
    received_minor: int
    refunded_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Ours:
    """What the shop has of the same payment; `charged_minor` None: it is not in the ledger. Refunds are this
    payment's, those carried out and those promised in all."""

    state: OrderState
    currency: str
    charged_minor: int | None
    refunded_minor: int
    promised_minor: int


class Remedy(StrEnum):
    """What can be done about it at once."""

    SETTLE = "settle"  # the payment's news never came: settle by what it is
    REFUNDS = "refunds"  # a refund's news never came: look through those it has
    CANCEL = "cancel"  # nobody waits for it any more


@dataclass(frozen=True, slots=True)
class Difference:
    fault: Fault
    remedy: Remedy | None = None


def difference(theirs: Theirs, ours: Ours | None) -> Difference | None:
    """What is wrong with one payment, or None. `ours` None: there is no such order."""
    if theirs.order_id is None:
        return None  # not this shop's: an account may serve others, too
    if theirs.status == "succeeded":
        return _paid(theirs, ours)
    if ours is not None and ours.charged_minor is not None:
        found = f"{theirs.status} at the provider"
        return _wrong(theirs, f"paid {ours.charged_minor}, as the ledger says", found)
    if theirs.status == "canceled" or (ours is not None and ours.state in OPEN):
        return None
    return _wrong(theirs, "to be ended, as its order is", theirs.status, Remedy.CANCEL)


def _paid(theirs: Theirs, ours: Ours | None) -> Difference | None:
    if ours is None:
        if theirs.refunded_minor == theirs.received_minor:
            return None
        kept = theirs.received_minor - theirs.refunded_minor
        return _wrong(theirs, f"an order {theirs.order_id}", f"no such order; {kept} kept")
    if ours.charged_minor is None:
        return _wrong(theirs, "in the ledger", f"paid {theirs.received_minor}, unknown", Remedy.SETTLE)
    if (ours.charged_minor, ours.currency.lower()) != (theirs.received_minor, theirs.currency.lower()):
        expected = f"{ours.charged_minor} {ours.currency}, as the ledger says"
        return _wrong(theirs, expected, f"{theirs.received_minor} {theirs.currency}")
    if not ours.refunded_minor <= theirs.refunded_minor <= ours.promised_minor:
        expected = f"{ours.refunded_minor} given back, as the ledger says"
        return _wrong(theirs, expected, f"{theirs.refunded_minor} given back", Remedy.REFUNDS)
    return None


def missing(ref: str, charged_minor: int) -> Difference:
    """A payment of ours that the provider doesn't have."""
    expected = f"paid {charged_minor}, as the ledger says"
    return Difference(Fault(TABLE, ref, expected, "no such payment"))


def _wrong(theirs: Theirs, expected: str, found: str, remedy: Remedy | None = None) -> Difference:
    return Difference(Fault(TABLE, theirs.ref, expected, found), remedy)
