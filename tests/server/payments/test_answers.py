"""Which of Stripe's answers are definite: the table that stock and money hang on."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import stripe

from server.payments.answers import Refused, charge_outcome, failure_of
from server.payments.outcomes import ActionNeeded, Authorized, Declined, Paid, RateLimited, Unknown


def error(
    kind: Any, status: int, code: str | None = None, headers: Any = None, **told: Any
) -> stripe.StripeError:
    body = {"error": {"message": "No.", "code": code, **told}}
    if kind in (stripe.CardError, stripe.InvalidRequestError):
        made: stripe.StripeError = kind("No.", None, code, "", status, body, headers or {})
    else:
        made = kind("No.", "", status, body, headers or {}, code)
    return made


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (
            error(stripe.CardError, 402, "card_declined", decline_code="lost_card"),
            Refused("card_declined", "lost_card", "No."),
        ),
        (
            error(stripe.InvalidRequestError, 400, "resource_missing"),
            Refused("resource_missing", None, "No."),
        ),
        (error(stripe.InvalidRequestError, 400), Refused("invalid_request", None, "No.")),
        (
            error(stripe.InvalidRequestError, 404, "resource_missing"),
            Refused("resource_missing", None, "No."),
        ),
        (error(stripe.InvalidRequestError, 404), Unknown("unexpected_answer")),
        (error(stripe.IdempotencyError, 400), Unknown("key_reused")),
        (error(stripe.APIError, 409, "idempotency_key_in_use"), Unknown("key_in_use")),
        (error(stripe.APIError, 500, headers={"Idempotent-Replayed": "true"}), Unknown("stored_error")),
        (error(stripe.APIError, 500, headers={"Request-Id": "req_1"}), Unknown("provider_error")),
        (error(stripe.APIError, 409, headers={"idempotent-replayed": "true"}), Unknown("key_in_use")),
        (error(stripe.RateLimitError, 429), RateLimited(1.0)),
        (error(stripe.RateLimitError, 429, headers={"Retry-After": "7"}), RateLimited(7.0)),
        (error(stripe.RateLimitError, 429, headers={"retry-after": "soon"}), RateLimited(1.0)),
        (error(stripe.RateLimitError, 429, "lock_timeout"), RateLimited(1.0)),
        (error(stripe.AuthenticationError, 401), Unknown("not_authorized")),
        (error(stripe.PermissionError, 403), Unknown("not_authorized")),
        (error(stripe.APIError, 500), Unknown("provider_error")),
        (error(stripe.APIError, 503), Unknown("provider_error")),
        (error(stripe.APIError, 424), Unknown("unexpected_answer")),
        (error(stripe.APIError, 200), Unknown("unexpected_answer")),
        (stripe.APIConnectionError("gone"), Unknown("connection_lost")),
        (TimeoutError(), Unknown("timeout")),
        (aiohttp.ClientPayloadError("cut"), Unknown("connection_lost")),
        (ConnectionResetError(), Unknown("connection_lost")),
        (KeyError("id"), Unknown("unexpected_answer")),
    ],
)
def test_failures(raised: Exception, failure: Any) -> None:
    assert failure_of(raised) == failure


def intent(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "status": status,
        "amount": 500,
        "currency": "eur",
        "created": 1,
        "client_secret": "s",
        **more,
    }


FAILED = {"last_payment_error": {"code": "card_declined", "decline_code": "lost_card", "message": "No."}}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (intent("succeeded", amount_received=500), Paid("pi_1", 500)),
        (intent("requires_capture", amount_capturable=500), Authorized("pi_1", 500, None)),
        (intent("requires_action"), ActionNeeded("pi_1", "s")),
        (
            intent("requires_payment_method", **FAILED),
            Declined("pi_1", "card_declined", "lost_card", "No.", True),
        ),
        (intent("requires_payment_method"), Unknown("unconfirmed")),
        (intent("requires_confirmation"), Unknown("unconfirmed")),
        (intent("processing"), Unknown("processing")),
        (intent("canceled"), Declined("pi_1", "canceled", None, "The payment was cancelled.")),
        (intent("something_new"), Unknown("unexpected_answer")),
        ({}, Unknown("unexpected_answer")),
        (
            Refused("card_declined", None, "No.", intent("requires_payment_method")),
            Declined("pi_1", "card_declined", None, "No.", True),
        ),
        (Refused("card_declined", None, "No.", intent("succeeded", amount_received=5)), Paid("pi_1", 5)),
        (Refused("card_declined", None, "No.", intent("processing")), Unknown("processing")),
        (Refused("amount_too_small", None, "No."), Declined(None, "amount_too_small", None, "No.")),
        (Unknown("timeout"), Unknown("timeout")),
        (RateLimited(2.0), RateLimited(2.0)),
    ],
)
def test_charges(answer: Any, outcome: Any) -> None:
    assert charge_outcome(answer) == outcome
