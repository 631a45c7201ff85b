"""What Stripe can answer, as plain values. The rule that matters: stock is released, and an attempt ended,
only on a definite answer; all else is `Unknown` (or `RateLimited`) and is asked again with the same key.

    Paid, Authorized    definite: money moved, or is held for us
    Declined            definite: no money moved, and none will for this attempt
    ActionNeeded        the buyer must authenticate; cancel the intent to end it
    Unknown             anything may have happened: replay the same key (< 24 h), later look the intent up.
                        `stored_error`: the key answers no better any more, so look it up at once
    RateLimited         this request did nothing, but an earlier one under the key may have: replay it later
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The request under this key ended in a 500 that Stripe keeps: for a day the key says nothing else and does
# nothing more. What it did before it failed is for a list to say (docs.stripe.com/error-low-level).
STORED_ERROR = "stored_error"


class PaymentError(Exception):
    """A call that has no outcome of its own failed; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ProviderUnavailable(PaymentError):
    """No definite answer: try again with the same key."""


class ProviderBusy(PaymentError):
    """Too many requests: try again after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("rate_limited", f"the payment provider asks to wait {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class ProviderRefused(PaymentError):
    """A definite no, with the provider's code; asking again will not help."""


@dataclass(frozen=True, slots=True)
class Paid:
    payment_intent: str
    amount_received_minor: int


@dataclass(frozen=True, slots=True)
class Authorized:
    """Held, not taken: capture before `capture_before` (Unix seconds), or it is released."""

    payment_intent: str
    amount_capturable_minor: int
    capture_before: int | None


@dataclass(frozen=True, slots=True)
class Declined:
    """`code` is Stripe's error code (`card_declined`, `expired_card`, `authentication_required`, `canceled`),
    `decline_code` the bank's reason, `message` fit for the buyer. No intent when none was made.

    `still_open`: whoever holds the intent's client secret could confirm it with another card. Where the
    secret has left the server (after ActionNeeded), cancel it; release the stock only once it is Cancelled.
    """

    payment_intent: str | None
    code: str
    decline_code: str | None
    message: str
    still_open: bool = False


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    payment_intent: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """`reason`: timeout, connection_lost, provider_error, stored_error, key_in_use, key_reused,
    not_authorized, processing, unconfirmed, unexpected_answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class RateLimited:
    retry_after_s: float


ChargeOutcome = Paid | Authorized | Declined | ActionNeeded | Unknown | RateLimited


@dataclass(frozen=True, slots=True)
class Cancelled:
    payment_intent: str


@dataclass(frozen=True, slots=True)
class NotCancellable:
    """It went on without us (`status`, often succeeded): retrieve and settle."""

    payment_intent: str
    status: str


CancelOutcome = Cancelled | NotCancellable | Unknown | RateLimited


@dataclass(frozen=True, slots=True)
class Refunded:
    """`status`: succeeded, pending, failed, requires_action; it may fail later (event refund.failed)."""

    refund: str
    amount_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """A definite no: `charge_already_refunded`, `charge_disputed`, `invalid_request` (more than is left)…"""

    code: str
    message: str


RefundOutcome = Refunded | RefundRefused | Unknown | RateLimited


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as it is now; `refund_id` is our own, where it has one."""

    id: str
    refund_id: str | None
    amount_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class CustomerRef:
    id: str


@dataclass(frozen=True, slots=True)
class SetupIntentView:
    """`status` succeeded means that `payment_method` is saved with the customer."""

    id: str
    client_secret: str = field(repr=False)
    status: str
    payment_method: str | None
    customer: str | None
    failure_code: str | None
    failure_message: str | None


@dataclass(frozen=True, slots=True)
class CardView:
    """What may be shown of a saved card."""

    payment_method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    customer: str | None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment intent as it is now. `status` is Stripe's; amounts in minor units; times in Unix seconds."""

    id: str
    status: str
    amount_minor: int
    currency: str
    amount_received_minor: int
    amount_capturable_minor: int
    amount_refunded_minor: int
    customer: str | None
    payment_method: str | None
    order_id: str | None
    metadata: Mapping[str, str]
    created: int
    capture_before: int | None
    failure_code: str | None
    decline_code: str | None
    failure_message: str | None
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PaymentViews:
    """Newest first; `complete` is false when there were more than asked for."""

    payments: tuple[PaymentView, ...]
    complete: bool


def outcome_of(payment: PaymentView) -> ChargeOutcome:
    """What a payment intent's present state means for its order."""
    match payment.status:
        case "succeeded":
            return Paid(payment.id, payment.amount_received_minor)
        case "requires_capture":
            return Authorized(payment.id, payment.amount_capturable_minor, payment.capture_before)
        case "requires_action":
            return ActionNeeded(payment.id, payment.client_secret)
        case "canceled":
            return Declined(payment.id, "canceled", None, "The payment was cancelled.")
        case "requires_payment_method" if payment.failure_code:
            message = payment.failure_message or "The card was declined."
            return Declined(payment.id, payment.failure_code, payment.decline_code, message, still_open=True)
        case "processing":
            return Unknown("processing")
        case "requires_payment_method" | "requires_confirmation":
            return Unknown("unconfirmed")
        case _:
            return Unknown("unexpected_answer")
