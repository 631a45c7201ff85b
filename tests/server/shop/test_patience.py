"""Soon while a buyer waits, patient with an outage that lasts, never past the bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.shop.patience import SOON_TRIES, again_after_s


def test_a_short_outage_costs_a_buyer_seconds_and_a_long_one_few_requests() -> None:
    soon = [again_after_s(tries, 60.0) for tries in range(SOON_TRIES)]
    assert soon[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(soon) == 4.0
    assert [again_after_s(tries, 60.0) for tries in (8, 9, 10, 11, 12)] == [8.0, 16.0, 32.0, 60.0, 60.0]


@given(st.integers(0, 100_000), st.floats(0.5, 1000))
def test_it_only_grows_and_is_bounded(tries: int, longest_s: float) -> None:
    assert 0.5 <= again_after_s(tries, longest_s) <= again_after_s(tries + 1, longest_s) <= longest_s
