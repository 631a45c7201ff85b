"""Which keys may be used together. Checked once, at the start, before any of them is used."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["demo", "test", "live"]
_STRIPE_HOST = "api.stripe.com"


class KeysRefused(Exception):
    """These settings must not be used; `code` is stable, the message says what to do. Never holds a key."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class PaymentKeys:
    """What an operator configured. `base_url` is None for Stripe itself, else where its stand-in is."""

    secret_key: str
    publishable_key: str
    webhook_secret: str
    base_url: str | None = None


def check_keys(keys: PaymentKeys, *, demo: bool) -> Mode:
    """What these keys amount to. Raises KeysRefused: missing_keys, malformed_key, mixed_key_modes,
    live_key_with_demo_payments, live_key_sent_elsewhere, demo_payments_not_local.

    `demo` is true where the payment simulator stands in. A live key beside it is refused: a shop that
    believes it takes money must not be answered by one that moves none, nor may a live key go elsewhere.
    """
    _check_present(keys)
    modes = {_mode(keys.secret_key, ("sk_", "rk_")), _mode(keys.publishable_key, ("pk_",))}
    elsewhere = keys.base_url is not None and urlsplit(keys.base_url).hostname != _STRIPE_HOST
    if demo and "live" in modes:
        raise KeysRefused(
            "live_key_with_demo_payments",
            "demo payments are on and a live Stripe key is set; remove the one or the other",
        )
    if len(modes) > 1:
        raise KeysRefused(
            "mixed_key_modes", "one key is a test key, the other a live key; take both from one mode"
        )
    if "live" in modes and elsewhere:
        raise KeysRefused(
            "live_key_sent_elsewhere", f"live keys go to https://{_STRIPE_HOST} only; unset the address"
        )
    if demo and not elsewhere:
        raise KeysRefused(
            "demo_payments_not_local", "demo payments need the address of the payment simulator"
        )
    return "demo" if demo else modes.pop()


def _check_present(keys: PaymentKeys) -> None:
    named = {
        "secret key": keys.secret_key,
        "publishable key": keys.publishable_key,
        "webhook secret": keys.webhook_secret,
    }
    missing = [name for name, value in named.items() if not value.strip()]
    if missing:
        raise KeysRefused("missing_keys", f"set the {' and the '.join(missing)} too")


def _mode(key: str, prefixes: tuple[str, ...]) -> Mode:
    for prefix in prefixes:
        if key.startswith(prefix + "test_"):
            return "test"
        if key.startswith(prefix + "live_"):
            return "live"
    raise KeysRefused(
        "malformed_key", f"a key that starts with {prefixes[0]}test_ or {prefixes[0]}live_ is wanted"
    )
