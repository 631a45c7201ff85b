"""From the stripe package's objects and errors to outcomes. Pure: the rules of what is definite are here."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import stripe

from server.payments.outcomes import (
    STORED_ERROR,
    CardView,
    ChargeOutcome,
    Declined,
    PaymentError,
    PaymentView,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    RefundView,
    SetupIntentView,
    Unknown,
    outcome_of,
)

_LOG = logging.getLogger("hawker.payments")
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no to this request: HTTP 400 or 402. `intent` is the payment intent it is about, if any."""

    code: str
    decline_code: str | None
    message: str
    intent: Mapping[str, Any] | None = None


Failure = Refused | Unknown | RateLimited


def failure_of(error: Exception) -> Failure:
    """What an error tells about the request.

    400, 402 and a missing object are Stripe's verdict on it. All else leaves open what happened, now or under
    the same key before: a mismatched key (400 too) or a refused API key says nothing of the first request.
    """
    match error:
        case stripe.RateLimitError():
            return RateLimited(_retry_after_s(error.headers))
        case stripe.IdempotencyError():
            return Unknown("key_reused")
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Unknown("not_authorized")
        case stripe.CardError() | stripe.InvalidRequestError() if _is_verdict(error):
            return _refused(error)
        case TimeoutError():
            return Unknown("timeout")
        case stripe.APIConnectionError():
            return Unknown("timeout" if isinstance(error.__cause__, TimeoutError) else "connection_lost")
        case aiohttp.ClientError() | OSError():
            return Unknown("connection_lost")
        case stripe.StripeError():
            return Unknown(_unknown_reason(error))
        case _:
            _LOG.error("payment_answer_unreadable", exc_info=error)
            return Unknown("unexpected_answer")


def _is_verdict(error: stripe.StripeError) -> bool:
    """A 404 without Stripe's code may come from anything that stands at the address."""
    return error.http_status in (400, 402) or error.code == "resource_missing"


def _unknown_reason(error: stripe.StripeError) -> str:
    status = error.http_status or 0
    if status == 409:
        return "key_in_use"
    if status < 500:
        return "unexpected_answer"
    return STORED_ERROR if _header(error.headers, "idempotent-replayed") == "true" else "provider_error"


def _refused(error: stripe.CardError | stripe.InvalidRequestError) -> Refused:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    told = body.get("error", {})
    return Refused(
        code=error.code or "invalid_request",
        decline_code=told.get("decline_code"),
        message=told.get("message") or "The payment was refused.",
        intent=told.get("payment_intent"),
    )


def _retry_after_s(headers: Mapping[str, str] | None) -> float:
    value = _header(headers, "retry-after")
    return min(float(value), 60.0) if value.isascii() and value.isdigit() else _RETRY_AFTER_S


def _header(headers: Mapping[str, str] | None, wanted: str) -> str:
    return next((value for name, value in (headers or {}).items() if name.lower() == wanted), "")


def charge_outcome(answer: Mapping[str, Any] | Failure) -> ChargeOutcome:
    """What a create-and-confirm, or a capture, came to; an answer that can't be read is Unknown."""
    try:
        return _charge_outcome(answer)
    except (AttributeError, KeyError, TypeError):
        _LOG.exception("payment_answer_unreadable")
        return Unknown("unexpected_answer")


def _charge_outcome(answer: Mapping[str, Any] | Failure) -> ChargeOutcome:
    match answer:
        case Refused(intent=None):
            return Declined(None, answer.code, answer.decline_code, answer.message)
        case Refused(intent=intent):
            return _refused_charge(answer, payment_view(intent or {}))
        case Unknown() | RateLimited():
            return answer
        case _:
            return outcome_of(payment_view(answer))


def _refused_charge(refused: Refused, payment: PaymentView) -> ChargeOutcome:
    """A refusal with its intent: only an intent that is open for another card, or ended, is a definite no."""
    if payment.status in ("requires_payment_method", "canceled"):
        still_open = payment.status != "canceled"
        return Declined(payment.id, refused.code, refused.decline_code, refused.message, still_open)
    return outcome_of(payment)


def error_of(failure: Failure) -> PaymentError:
    """The exception for a call that has no outcome type."""
    match failure:
        case RateLimited():
            return ProviderBusy(failure.retry_after_s)
        case Unknown():
            return ProviderUnavailable(
                failure.reason, "the payment provider gave no definite answer; try again"
            )
        case Refused():
            return ProviderRefused(failure.code, failure.message)


def payment_view(intent: Mapping[str, Any]) -> PaymentView:
    """From a PaymentIntent; amounts refunded and the capture deadline need `latest_charge` expanded."""
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, Mapping) else {}
    error = intent.get("last_payment_error") or {}
    metadata = intent.get("metadata") or {}
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    return PaymentView(
        id=intent["id"],
        status=intent["status"],
        amount_minor=intent["amount"],
        currency=intent["currency"],
        amount_received_minor=intent.get("amount_received") or 0,
        amount_capturable_minor=intent.get("amount_capturable") or 0,
        amount_refunded_minor=charge.get("amount_refunded") or 0,
        customer=_id(intent.get("customer")),
        payment_method=_id(intent.get("payment_method")),
        order_id=metadata.get("order"),
        metadata=metadata,
        created=intent["created"],
        capture_before=card.get("capture_before"),
        failure_code=error.get("code"),
        decline_code=error.get("decline_code"),
        failure_message=error.get("message"),
        client_secret=intent.get("client_secret") or "",
    )


def refund_view(refund: Mapping[str, Any]) -> RefundView:
    """From a Refund."""
    ours = (refund.get("metadata") or {}).get("refund")
    return RefundView(refund["id"], ours, refund["amount"], refund["status"])


def setup_view(intent: Mapping[str, Any]) -> SetupIntentView:
    """From a SetupIntent."""
    error = intent.get("last_setup_error") or {}
    return SetupIntentView(
        id=intent["id"],
        client_secret=intent.get("client_secret") or "",
        status=intent["status"],
        payment_method=_id(intent.get("payment_method")),
        customer=_id(intent.get("customer")),
        failure_code=error.get("code"),
        failure_message=error.get("message"),
    )


def card_view(method: Mapping[str, Any]) -> CardView:
    """From a PaymentMethod; ProviderRefused(not_a_card) for another kind."""
    card = method.get("card")
    if not card:
        raise ProviderRefused(
            "not_a_card", f"a payment method of type {method.get('type')} can't be used here"
        )
    return CardView(
        payment_method=method["id"],
        brand=card["brand"],
        last4=card["last4"],
        exp_month=card["exp_month"],
        exp_year=card["exp_year"],
        customer=_id(method.get("customer")),
    )


def _id(value: Any) -> str | None:
    """An id, whether the field was expanded or not."""
    return value.get("id") if isinstance(value, Mapping) else value
