"""The payment provider's webhook: verified, written down once, answered; a worker acts on it."""

from __future__ import annotations

import json

from server.payments.webhooks import WebhookRefused, verify
from server.problems import Problem
from server.routes import body as bodies
from server.routes.operation import MACHINE, Call, Operation
from server.routes.schemas import View

_MOST_BYTES = 1_000_000
_CODES = {"bad_signature": "bad_signature", "too_old": "stale_webhook", "malformed": "bad_webhook"}


class Received(View, frozen=True):
    """`duplicate`: the event was here before, and nothing happens twice."""

    received: bool
    duplicate: bool


async def stripe(call: Call) -> Received:
    raw = await bodies.read(call.request, _MOST_BYTES)
    header = call.request.headers.get("stripe-signature", "")
    secret = call.deps.settings.stripe_webhook_secret
    try:
        event = verify(raw, header, secret, call.deps.clock().timestamp())
    except WebhookRefused as refused:
        raise Problem(_CODES[refused.code], refused.message) from None
    if event.livemode != ("_live_" in call.deps.settings.stripe_secret_key):
        raise Problem("bad_webhook", "The event is of Stripe's other mode (live or test).")
    new = await call.deps.inbox.receive_webhook(event.id, event.type, json.loads(raw))
    return Received(received=True, duplicate=not new)


OPERATIONS = (
    Operation(
        "POST",
        "/api/stripe/webhook",
        stripe,
        "Stripe's webhook; signed, at most 300 s old",
        MACHINE,
        errors=("bad_signature", "stale_webhook", "bad_webhook", "too_large", "too_slow"),
    ),
)
