"""Form-encoded requests: what the real client sends is read back, and all else is refused politely."""

from __future__ import annotations

import contextlib
import random
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe.params
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from server.payments.simulator import form
from server.payments.simulator.api import ROUTES
from server.payments.simulator.errors import InvalidRequest

SHAPE: Any = {
    "amount": form.integer,
    "confirm": form.boolean,
    "name": form.text,
    "metadata": form.metadata,
    "types": form.listing(form.text),
    "address": form.nested({"city": form.text, "lines": form.listing(form.text)}),
    "created": form.created,
}

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
KEYS = st.text("abcdefghijk_-.é ", min_size=1, max_size=20)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.integers(-(10**15), 10**15),
        "confirm": st.booleans(),
        "name": WORDS,
        "metadata": st.dictionaries(KEYS, WORDS, min_size=1, max_size=5),
        "types": st.lists(WORDS, min_size=1, max_size=12),
        "address": st.fixed_dictionaries({"city": WORDS, "lines": st.lists(WORDS, min_size=1, max_size=3)}),
    },
)


@given(REQUESTS, st.randoms(use_true_random=False))
def test_what_the_client_encodes_is_read_back(request: dict[str, Any], shuffle: random.Random) -> None:
    pairs = list(_api_encode(request))
    shuffle.shuffle(pairs)
    assert form.read(form.decode(urlencode(pairs)), SHAPE) == request


@given(st.text(max_size=200) | st.text("a[]=&%0+1", max_size=60))
def test_any_text_is_read_or_refused(encoded: str) -> None:
    with contextlib.suppress(InvalidRequest):
        values = form.read(form.decode(encoded), SHAPE)
        assert set(values) <= set(SHAPE)


@pytest.mark.parametrize(
    ("encoded", "code"),
    [
        ("colour=red", "parameter_unknown"),
        ("address[street]=x", "parameter_unknown"),
        ("amount=1.0", "parameter_invalid_integer"),
        ("amount=١", "parameter_invalid_integer"),
        ("amount[x]=1", "parameter_invalid_integer"),
        ("confirm=1", "parameter_invalid_boolean"),
        ("types=a", "parameter_invalid_array"),
        ("types[²]=a", "parameter_invalid_array"),
        ("address=x", "parameter_invalid_object"),
        ("a[b=1", "parameter_unknown"),
        ("a[b][c][d][e][f][g]=1", "parameter_unknown"),
        ("name=%ff", "invalid_form"),
        ("&".join(f"a{n}=1" for n in range(1_001)), "invalid_form"),
        ("name=" + "x" * 5_001, "parameter_invalid_string"),
    ],
)
def test_refused(encoded: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        form.read(form.decode(encoded), SHAPE)
    assert refused.value.code == code


def test_lists_may_be_written_with_or_without_numbers() -> None:
    assert form.read(form.decode("types[]=a&types[]=b"), SHAPE) == {"types": ["a", "b"]}
    assert form.read(form.decode("types[10]=b&types[9]=a"), SHAPE) == {"types": ["a", "b"]}


_NAMES = {
    ("POST", "customers"): "CustomerCreateParams",
    ("GET", "customers"): "CustomerListParams",
    ("POST", "setup_intents"): "SetupIntentCreateParams",
    ("POST", "setup_intents/*/cancel"): "SetupIntentCancelParams",
    ("POST", "payment_intents"): "PaymentIntentCreateParams",
    ("GET", "payment_intents"): "PaymentIntentListParams",
    ("POST", "payment_intents/*"): "PaymentIntentUpdateParams",
    ("POST", "payment_intents/*/capture"): "PaymentIntentCaptureParams",
    ("POST", "payment_intents/*/cancel"): "PaymentIntentCancelParams",
    ("POST", "refunds"): "RefundCreateParams",
    ("GET", "refunds"): "RefundListParams",
    ("GET", "charges"): "ChargeListParams",
    ("GET", "events"): "EventListParams",
    ("POST", "accounts"): "AccountCreateParams",
    ("POST", "transfers"): "TransferCreateParams",
    ("GET", "transfers"): "TransferListParams",
    ("POST", "transfers/*/reversals"): "TransferCreateReversalParams",
    ("POST", "transfers/*/reversals/*"): "TransferReversalUpdateParams",
    ("GET", "balance"): "BalanceRetrieveParams",
    ("POST", "payment_methods"): "PaymentMethodCreateParams",
    ("GET", "payment_methods"): "PaymentMethodListParams",
}


@pytest.mark.parametrize("call", _NAMES, ids=lambda call: " ".join(call))
def test_the_simulator_takes_nothing_that_stripe_does_not_know(call: tuple[str, str]) -> None:
    known = getattr(stripe.params, _NAMES[call]).__annotations__
    assert set(ROUTES[call].shape) <= set(known)


@pytest.mark.parametrize("call", ROUTES, ids=lambda call: " ".join(call))
def test_no_call_takes_a_parameter_that_it_does_not_know(call: tuple[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        form.read(form.decode("colour=red"), ROUTES[call].shape)
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "colour")
