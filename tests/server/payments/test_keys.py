"""Keys that must not meet."""

from __future__ import annotations

import pytest

from server.payments.keys import KeysRefused, PaymentKeys, check_keys

STAND_IN = "http://127.0.0.1:8404"


@pytest.mark.parametrize(
    ("secret", "publishable", "url", "demo", "mode"),
    [
        ("sk_live_a", "pk_live_a", None, False, "live"),
        ("rk_live_a", "pk_live_a", "https://api.stripe.com", False, "live"),
        ("sk_test_a", "pk_test_a", None, False, "test"),
        ("sk_test_a", "pk_test_a", STAND_IN, False, "test"),
        ("sk_test_a", "pk_test_a", STAND_IN, True, "demo"),
    ],
)
def test_keys_that_fit(secret: str, publishable: str, url: str | None, demo: bool, mode: str) -> None:
    assert check_keys(PaymentKeys(secret, publishable, "whsec_a", url), demo=demo) == mode


@pytest.mark.parametrize(
    ("secret", "publishable", "url", "demo", "code"),
    [
        ("sk_live_a", "pk_live_a", STAND_IN, True, "live_key_with_demo_payments"),
        ("sk_test_a", "pk_live_a", STAND_IN, True, "live_key_with_demo_payments"),
        ("rk_live_a", "pk_test_a", STAND_IN, True, "live_key_with_demo_payments"),
        ("sk_live_a", "pk_test_a", None, False, "mixed_key_modes"),
        ("sk_live_a", "pk_live_a", STAND_IN, False, "live_key_sent_elsewhere"),
        ("sk_live_a", "pk_live_a", "https://api.stripe.com.evil.example", False, "live_key_sent_elsewhere"),
        ("sk_test_a", "pk_test_a", None, True, "demo_payments_not_local"),
        ("pk_test_a", "sk_test_a", None, False, "malformed_key"),
        ("hunter2", "pk_test_a", None, False, "malformed_key"),
        ("", "pk_test_a", None, False, "missing_keys"),
    ],
)
def test_keys_that_do_not(secret: str, publishable: str, url: str | None, demo: bool, code: str) -> None:
    with pytest.raises(KeysRefused) as refused:
        check_keys(PaymentKeys(secret, publishable, "whsec_a", url), demo=demo)
    assert refused.value.code == code
    assert "hunter2" not in str(refused.value)
