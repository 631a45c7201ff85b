"""Why a command about an auction is not carried out, for people."""

from __future__ import annotations

from overlay.ports import Refusal
from server.checkout.answers import failure_code as visible_code
from server.checkout.answers import failure_message

_REASONS = {
    "no_such_auction": "There is no such auction.",
    "bid_too_low": "Somebody bids more already. Offer more.",
    "auction_closed": "This auction takes no bids now.",
    "card_needed": "Save a card first: it is only charged if you win.",
    "address_needed": "Add a delivery address first.",
    "staff_may_not_bid": "Who works for the shop can't bid in its auctions.",
    "misbid_over": "This bid can't be taken back any more.",
    "not_in_show": "This product is not in the show's run-of-show.",
    "not_enough_stock": "There is no unit left to put up for auction.",
    "wrong_state": "The show or the auction is not in a state that allows this.",
    "not_signed_in": "Sign in to bid.",
}


_NOT_PAID = {
    "no_card": "There was no valid card in your account.",
    "no_address": "There was no delivery address in your account.",
    "buyer_limit": "You already have as many as one buyer may get.",
    "cancelled": "You did not confirm the payment in time.",
    "canceled": "You did not confirm the payment in time.",
    "authentication_required": "Your bank wanted you to confirm the payment.",
}


def not_paid(failure: str | None, failure_code: str | None) -> str:
    """Why a winner's payment failed, for the winner: `failure` of an offer that could be no order, or the
    order's `failure_code`. It can't be tried again, so nothing is said of what to do."""
    code = failure or failure_code or "cancelled"
    told = failure_message(visible_code(code)) or ""
    return _NOT_PAID.get(code) or told.split(". ")[0].rstrip(".") + "."


def refusal(code: str, *, least_minor: int = 0) -> Refusal:
    reason = _REASONS[code]
    if least_minor:
        reason = f"{reason} The least is {least_minor} (minor units)."
    return Refusal(code, reason)
