"""The token bucket: never faster than allowed, never slower than needed, never a long line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.payments.rate_limit import RateLimit, TokenBucket

LIMITS = st.builds(
    RateLimit, per_s=st.sampled_from([1, 3, 25, 100]), burst=st.integers(1, 50), max_wait_s=st.floats(0, 3)
)


@given(LIMITS, st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_burst_and_the_rate(limit: RateLimit, gaps_s: list[float]) -> None:
    bucket, now, sent = TokenBucket(limit), 0.0, []
    for gap_s in gaps_s:
        now += gap_s
        wait_s = bucket.take(now)
        assert wait_s is None or 0 <= wait_s <= limit.max_wait_s
        if wait_s is not None:
            sent.append(now + wait_s)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= limit.burst + limit.per_s * (sent[last] - sent[first]) + 1e-6


def test_an_idle_bucket_gives_its_burst_at_once_then_its_rate() -> None:
    bucket = TokenBucket(RateLimit(10, burst=3, max_wait_s=0.25))
    waits = [bucket.take(100.0) for _ in range(6)]
    assert [None if wait is None else round(wait, 6) for wait in waits] == [0, 0, 0, 0.1, 0.2, None]
    assert bucket.take(100.3) == 0
