"""What can go wrong with a request: one table of stable codes, and the exception that carries one.

Anything below the routes raises `Problem("code")`; the routes turn it into an RFC 9457 document in one place.
`what_to_do` is for people; `code` is for programs and never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the table: HTTP status, a short title, what the caller can do about it."""

    status: int
    title: str
    what_to_do: str


class Problem(Exception):
    """A request that is not carried out. `fields` names what is wrong with which field of the body or query;
    `extra` is further members of the problem document (such as `lines` of a refused purchase)."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.code, self.kind = code, KINDS[code]
        super().__init__(detail or self.kind.title)
        self.detail = detail
        self.fields = dict(fields or {})
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document (section 3.1), with our members."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.kind.title,
            "status": self.kind.status,
            "code": self.code,
            "detail": self.detail or self.kind.title,
            "what_to_do": self.kind.what_to_do,
        }
        if self.fields:
            document["fields"] = self.fields
        if self.retry_after_s is not None:
            document["retry_after_s"] = self.retry_after_s
        return document | self.extra


_WAIT = "Wait a moment, then try again."
_RELOAD = "Go back and load the page again."

KINDS: Mapping[str, ProblemKind] = {
    # the request itself
    "bad_json": ProblemKind(400, "The body is not JSON", "Send one JSON object in UTF-8."),
    "invalid_body": ProblemKind(422, "Something in the form is not right", "Correct the fields named."),
    "invalid_query": ProblemKind(422, "Something in the address is not right", "Correct the fields named."),
    "bad_text": ProblemKind(422, "The text has characters that can't be kept", "Remove control characters."),
    "wrong_content_type": ProblemKind(
        415, "The body is of a type that is not taken here", "Send the content type named."
    ),
    "too_large": ProblemKind(413, "That is too large", "Send less, or a smaller file."),
    "too_slow": ProblemKind(408, "The body did not arrive in time", "Send it again, on a better line."),
    "not_found": ProblemKind(404, "There is nothing here", "Check the address."),
    "method_not_allowed": ProblemKind(405, "That can't be done here", "Use one of the methods in `Allow`."),
    "cross_site": ProblemKind(
        403, "The request did not come from a page of this shop", "Open the shop's own page and try again."
    ),
    "rate_limited": ProblemKind(429, "Too many tries in a short time", "Wait as long as `retry_after_s`."),
    "internal": ProblemKind(
        500, "Something broke on our side", "Try again; tell the shop the request id if it stays."
    ),
    # stores
    "store_unavailable": ProblemKind(503, "The shop can't reach its data just now", _WAIT),
    "storage_full": ProblemKind(
        507, "The shop's disk is full", "Free some space on the server, then upload again. Nothing was kept."
    ),
    "busy": ProblemKind(503, "The shop is very busy", _WAIT),
    "unavailable": ProblemKind(503, "The shop could not answer in time", _WAIT),
    "no_shop": ProblemKind(
        503, "There is no shop yet", "The operator makes one with `hawker owner create`, then reload."
    ),
    # people
    "not_signed_in": ProblemKind(401, "You are not signed in", "Sign in, then try again."),
    "not_allowed": ProblemKind(403, "Your roles don't include this", "Ask an owner of the shop."),
    "not_your_show": ProblemKind(403, "Somebody else hosts this show", "Ask a producer or an owner."),
    "bad_credentials": ProblemKind(401, "E-mail or password is wrong", "Check both, or reset your password."),
    "wrong_password": ProblemKind(403, "The current password is wrong", "Type your current password again."),
    "email_taken": ProblemKind(
        409, "There is an account with this e-mail address", "Sign in, or reset your password."
    ),
    "bad_token": ProblemKind(
        409, "This link was used before, has expired or is not whole", "Ask for a new one."
    ),
    "already_verified": ProblemKind(409, "Your e-mail address is verified already", "Nothing is left to do."),
    "other_address": ProblemKind(
        409, "The invitation went to another e-mail address", "Sign in with the address that was invited."
    ),
    "no_such_session": ProblemKind(404, "There is no such session", _RELOAD),
    "no_such_member": ProblemKind(404, "There is no such member", _RELOAD),
    "no_such_invitation": ProblemKind(404, "There is no such invitation", _RELOAD),
    "last_owner": ProblemKind(409, "A shop keeps at least one owner", "Make somebody else an owner first."),
    "already_member": ProblemKind(409, "That person has this role already", "Nothing is left to do."),
    "no_such_address": ProblemKind(404, "There is no such address", _RELOAD),
    "too_many": ProblemKind(409, "That is as many as are kept", "Remove one first."),
    "changed_meanwhile": ProblemKind(
        409,
        "Somebody else changed this meanwhile",
        "Nothing was saved. See what it became, then save again if yours shall stand.",
    ),
    # shows and the picture
    "no_such_auction": ProblemKind(404, "There is no such auction", "Check the link, or see what is on."),
    "no_such_show": ProblemKind(404, "There is no such show", "Check the link, or see what is on."),
    "pass_needed": ProblemKind(401, "This show is for invited people", "Open the link you were given."),
    "show_ended": ProblemKind(409, "This show has ended", "Make a new show."),
    "wrong_show_state": ProblemKind(409, "The show is not in a state that allows this", _RELOAD),
    "bad_stream_key": ProblemKind(
        401, "The stream key is wrong or was replaced", "Copy the newest key from the studio."
    ),
    "no_media_node": ProblemKind(503, "No media server is there just now", _WAIT),
    "no_such_pass": ProblemKind(404, "There is no such pass", _RELOAD),
    # catalogue
    "no_such_product": ProblemKind(404, "There is no such product", "See what else the shop has."),
    "no_such_variant": ProblemKind(404, "There is no such variant", _RELOAD),
    "no_such_image": ProblemKind(404, "There is no such image", _RELOAD),
    "handle_taken": ProblemKind(409, "Another product has this handle", "Choose another handle."),
    "not_an_image": ProblemKind(
        422, "The file is not an image that can be read", "Send a JPEG, PNG, WebP, GIF or AVIF."
    ),
    "svg_not_accepted": ProblemKind(
        422, "SVG is not taken, since it can carry scripts", "Export the picture as PNG or WebP."
    ),
    "image_too_large": ProblemKind(
        422, "The image has too many pixels", "Make it smaller: 40 megapixels at most."
    ),
    "not_a_csv": ProblemKind(
        422,
        "The file is not a product CSV",
        "Export the products from Shopify as CSV, in UTF-8.",
    ),
    "currency_in_use": ProblemKind(
        409, "Orders exist in the shop's currency", "The currency stays as it is once something was sold."
    ),
    "currency_not_taken": ProblemKind(
        422, "Stripe does not take this currency", "Choose one of `currencies` of the shop's settings."
    ),
    "amount_not_chargeable": ProblemKind(
        422, "The currency has no such small amounts", "Round the amounts named."
    ),
    # buying
    "no_such_order": ProblemKind(404, "There is no such order", _RELOAD),
    "not_open_yet": ProblemKind(409, "This has not opened yet", "Tap again after `retry_after_s`."),
    "offer_over": ProblemKind(409, "This offer has ended, or was taken", "See where you stand in line."),
    "not_sold_out": ProblemKind(409, "There is something left", "Buy it: no need to wait."),
    "already_waiting": ProblemKind(409, "You are on this waitlist", "Leave it first to change how many."),
    "not_waiting": ProblemKind(404, "You are not on this waitlist", "Join it where it is sold out."),
    "sold_out": ProblemKind(409, "Somebody was faster", "Choose another variant or fewer units."),
    "buyer_limit": ProblemKind(409, "That is more than one person can buy", "Choose fewer units."),
    "price_changed": ProblemKind(409, "The price has changed", "Look at the new price, then buy again."),
    "no_card": ProblemKind(409, "There is no card to charge", "Save a card first."),
    "no_address": ProblemKind(409, "There is no address to send it to", "Save an address first."),
    "not_for_sale": ProblemKind(409, "This is not for sale any more", "See what else the shop has."),
    "order_id_reused": ProblemKind(409, "This order id belongs to another purchase", "Start a new one."),
    "bad_order": ProblemKind(422, "This purchase can't be understood", _RELOAD),
    "not_declined": ProblemKind(409, "Only a declined order can be tried again", _RELOAD),
    "being_charged": ProblemKind(409, "The card is being charged right now", _WAIT),
    "not_cancellable": ProblemKind(409, "This order can't be cancelled any more", "Ask the shop."),
    "not_paid": ProblemKind(409, "The order is not paid", _RELOAD),
    "wrong_order_state": ProblemKind(409, "The order is not in a state that allows this", _RELOAD),
    "nothing_owed": ProblemKind(409, "Nothing is owed for this order", _RELOAD),
    "refund_too_large": ProblemKind(
        409, "That is more than is left to refund", "Refund at most what is left."
    ),
    "provider_unavailable": ProblemKind(503, "The payment provider does not answer", _WAIT),
    "refused": ProblemKind(409, "The purchase was refused", "Read why, then try again."),
    "payment_unavailable": ProblemKind(503, "The payment provider does not answer", _WAIT),
    "card_refused": ProblemKind(422, "The card could not be saved", "Check the card, or use another one."),
    "no_such_card": ProblemKind(404, "There is no such card", _RELOAD),
    # webhooks
    "bad_signature": ProblemKind(
        400, "The webhook's signature is wrong", "Check the signing secret on both sides."
    ),
    "stale_webhook": ProblemKind(
        400, "The webhook is older than 300 seconds", "Check both clocks; the provider sends it again."
    ),
    "bad_webhook": ProblemKind(400, "The webhook is no event", "Send the provider's event as it is."),
}
