"""Webhooks: is this body Stripe's, is it fresh, and what does it say. Bytes and `now` in, an event out.

The stripe package can verify too, but reads the clock itself and compares text, not bytes.
Source: docs.stripe.com/webhooks/signatures.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal

TOLERANCE_S = 300


class WebhookRefused(Exception):
    """Answer 400. `code`: bad_signature (wrong secret, or not from Stripe), too_old (replayed, or a clock is
    wrong: the stamp is more than the tolerance away from now), malformed (header or body can't be read)."""

    def __init__(self, code: Literal["bad_signature", "too_old", "malformed"], message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Event:
    """What happened at Stripe. `object` is a snapshot of then: retrieve the object before acting on it."""

    id: str
    type: str
    created: int
    livemode: bool
    object: dict[str, Any]

    @property
    def payment_intent(self) -> str | None:
        """The payment intent that this is about, if it is about one."""
        if self.object.get("object") == "payment_intent":
            return str(self.object["id"])
        about = self.object.get("payment_intent")
        if isinstance(about, dict):
            about = about.get("id")
        return about if isinstance(about, str) else None


def verify(body: bytes, header: str, secret: str, now: float, tolerance_s: float = TOLERANCE_S) -> Event:
    """The event in a webhook's body. `header`: `Stripe-Signature`; `now`: seconds. Raises WebhookRefused."""
    stamp, signatures = _parse(header)
    expected = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    if not secret or not any(hmac.compare_digest(expected.encode(), given.encode()) for given in signatures):
        raise WebhookRefused("bad_signature", "no signature fits; check the webhook secret")
    if abs(now - stamp) > tolerance_s:
        raise WebhookRefused("too_old", f"stamped {now - stamp:.0f} s ago, {tolerance_s:.0f} s are allowed")
    try:
        return event_from(json.loads(body))
    except ValueError:
        raise WebhookRefused("malformed", "the body is not an event") from None


def _parse(header: str) -> tuple[int, list[str]]:
    items = [item.strip().partition("=") for item in header.split(",")]
    stamps = [value for name, _, value in items if name == "t"]
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12):
        raise WebhookRefused("malformed", "the Stripe-Signature header has no timestamp")
    return int(stamps[0]), [value for name, _, value in items if name == "v1"]


def event_from(raw: Any) -> Event:
    """An event from Stripe's JSON; ValueError when it is none."""
    try:
        obj = raw["data"]["object"]
        event = Event(raw["id"], raw["type"], raw["created"], raw["livemode"], obj)
    except (KeyError, TypeError, IndexError):
        raise ValueError("not an event") from None
    typed = isinstance(event.id, str) and isinstance(event.type, str) and isinstance(event.created, int)
    if not typed or not isinstance(obj, dict) or raw.get("object") != "event":
        raise ValueError("not an event")
    return event
